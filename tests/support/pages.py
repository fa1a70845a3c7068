"""The pages of the documentation, as blocks of commands, programs and files.

HTML comments before a block, which no reader sees, say what a test must know about it:

``not run: REASON``
    No test runs it.
``needs openssl`` or ``needs openssl 3.5``
    It is run where foreign programs are (tests/interop), by this version or a later one.
``exit status: 6``
    How its last command ends; without it, with 0.
``background: TEXT``
    Its last command runs until the page ends, and is ready when it has printed this. ``cmpkit serve``
    needs no such note.
``file: NAME``
    The block is the text of this file. A configuration file is then checked with ``cmpkit serve --check``.
``tables into: NAME``
    Its TOML tables are put into this file, in place of those of the same name.
``server prints``
    What the program that runs on prints at last.
``unchecked``
    The configuration needs a plugin that the page brings, so the page checks it itself, if it does.
``setup``
    The comment itself has commands, line by line: what the page takes for granted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
RUNNABLE = ("console", "python", "toml")
SHELLS = ("sh", "bash", "shell")
NOTES = ("not run", "needs openssl", "exit status", "background", "file", "tables into", "server prints", "unchecked")
README_COMMANDS = ("command one", "command two", "end")

_FENCE = re.compile(r"^(?P<indent> *)(?P<fence>`{3,}|:{3,})(?P<language>\S*)")
_COMMENT = re.compile(r"^ *<!-- (?P<text>.*) -->$")


@dataclass(frozen=True)
class Block:
    """A fenced block, or a setup that is not seen.

    :param line: where it starts in the page, from 1.
    :param notes: what the comments before it say, by the part before the colon.
    :param seen: by readers.
    """

    page: Path
    line: int
    language: str
    text: str
    notes: dict[str, str]
    seen: bool = True

    @property
    def where(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def openssl(self) -> tuple[int, ...] | None:
        """The oldest version of OpenSSL that it needs; ``None`` if it needs none."""
        version = self.notes.get("needs openssl")
        return None if version is None else tuple(map(int, re.findall(r"\d+", version or "3.0")))

    @property
    def runs(self) -> bool:
        """Whether there is something to run, or to write into a file."""
        return "not run" not in self.notes and (
            self.language in RUNNABLE or bool({"file", "server prints"} & set(self.notes))
        )


def find_pages() -> list[Path]:
    """Every page that a person wrote."""
    pages = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")]
    written = (ROOT / "docs").glob("**/*.md")
    return pages + sorted(path for path in written if not {"generated", "_build"} & set(path.parts))


def read_blocks(page: Path) -> list[Block]:
    """The blocks of a page, in order."""
    return list(_blocks(page, page.read_text().splitlines()))


def _blocks(page: Path, lines: list[str]) -> Iterator[Block]:
    notes: dict[str, str] = {}
    number = 0
    while number < len(lines):
        line = lines[number]
        start = number + 1
        number += 1
        if line.strip() == "<!-- setup":
            end = lines.index("-->", number)
            yield Block(page, start, "console", "\n".join(lines[number:end]), notes, seen=False)
            notes, number = {}, end + 1
        elif comment := _COMMENT.match(line):
            key, value = _note(comment["text"], f"{page.name}:{start}")
            notes[key] = value
        elif fence := _FENCE.match(line):
            indent = len(fence["indent"])
            end = next(at for at in range(number, len(lines)) if lines[at].strip() == fence["fence"])
            text = "\n".join(inner[indent:] for inner in lines[number:end])
            yield Block(page, start, fence["language"], text, notes)
            notes, number = {}, end + 1
        elif line.strip():
            notes = {}


def _note(text: str, where: str) -> tuple[str, str]:
    if text in README_COMMANDS:
        return "not run", "run by .ci/run"
    for key in NOTES:
        if text == key or text.startswith((f"{key}: ", f"{key} ")):
            return key, text.removeprefix(key).lstrip(": ")
    raise AssertionError(f"{where}: {text!r} is no note that the tests know")


def read_tutorial() -> list[Block]:
    """The blocks of the tutorial: its pages are one story, told in the order of the index."""
    index = (ROOT / "docs" / "index.md").read_text()
    pages = [ROOT / "docs" / f"{name}.md" for name in re.findall(r"^tutorial/.+$", index, re.MULTILINE)]
    assert sorted(pages) == sorted((ROOT / "docs" / "tutorial").glob("*.md"))
    return [block for page in pages for block in read_blocks(page)]
