"""Every exit status and every failInfo is explained, with texts and options that there are."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from pages import ROOT

from cmpkit.cli.app import app
from cmpkit.cli.exits import ExitStatus
from cmpkit.enums import PKIFailureInfo

PAGE = (ROOT / "docs" / "reference" / "errors.md").read_text()
PACKAGES = ["cmpkit", *(path.relative_to(ROOT).as_posix() for path in (ROOT / "plugins").glob("cmpkit_*"))]
NO_SENDERS = ("cmpkit/enums.py", "cmpkit/errors.py", "cmpkit/testing")
UNSENT = "cmpkit does not send it"


def sections(below: str) -> dict[str, str]:
    """The entries below a heading, by their titles."""
    (part,) = re.findall(rf"^## {below}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    return dict(re.findall(r"^### (.+?)\n(.*?)(?=^### |\Z)", part, re.MULTILINE | re.DOTALL))


STATUSES = sections("Exit statuses")
FAILURES = sections("failInfo")
TEXTS = [
    text
    for entry in (*STATUSES.values(), *FAILURES.values())
    for cell in re.findall(r"^\| (`.*?`) \|", entry, re.MULTILINE)
    for text in re.findall(r"`(.+?)`", cell)
]


@functools.cache
def sources() -> dict[str, str]:
    """Every module that may send or print an error."""
    paths = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    return {path.relative_to(ROOT).as_posix(): path.read_text() for path in paths}


@functools.cache
def said() -> str:
    """Every text of the program, one a line, with ``…`` for what is put in."""
    return "\n".join(shown for source in sources().values() for shown in _texts(ast.parse(source)))


def _texts(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


@functools.cache
def options() -> set[str]:
    """Every long option of the command line."""

    def walk(command: Any) -> Iterator[str]:
        for parameter in command.params:
            yield from parameter.opts
        for below in getattr(command, "commands", {}).values():
            yield from walk(below)

    return set(walk(typer.main.get_command(app)))


def test_every_exit_status_has_an_entry() -> None:
    assert [int(title.partition(":")[0]) for title in STATUSES] == list(map(int, ExitStatus))


def test_every_fail_info_has_an_entry_in_the_order_of_the_bits() -> None:
    names = [bit.wire_names[0] for bit in PKIFailureInfo]
    assert sorted(FAILURES) == sorted(names)


@pytest.mark.parametrize("bit", PKIFailureInfo, ids=lambda bit: bit.wire_names[0])
def test_what_is_said_not_to_be_sent_is_not(bit: PKIFailureInfo) -> None:
    senders = [
        name
        for name, source in sources().items()
        if not name.startswith(NO_SENDERS) and re.search(rf"PKIFailureInfo\.{bit.name}\b", source)
    ]
    assert bool(senders) is (UNSENT not in FAILURES[bit.wire_names[0]]), senders


@pytest.mark.parametrize("bit", PKIFailureInfo, ids=lambda bit: bit.wire_names[0])
def test_what_is_sent_has_its_texts(bit: PKIFailureInfo) -> None:
    entry = FAILURES[bit.wire_names[0]]
    assert ("| cmpkit says |" in entry) is (UNSENT not in entry)


@pytest.mark.parametrize("text", sorted(set(TEXTS)))
def test_text_is_one_of_the_program(text: str) -> None:
    pieces = [re.escape(piece) for piece in text.split("…") if piece]
    assert pieces
    assert re.search(".*".join(pieces), said())


def test_options_of_cmpkit_that_are_named_are_there() -> None:
    assert set(re.findall(r"`(?:cmpkit [a-z ]+)?(--[a-z-]+)", PAGE)) <= options()


def test_keys_and_commands_that_are_named_are_there() -> None:
    reference = (ROOT / "docs" / "reference" / "configuration.md").read_text()
    for key in set(re.findall(r"`([a-z]+(?:_[a-z]+)+)`", PAGE)) - {"fail_info"}:
        assert f"| `{key}` |" in reference
    commands = typer.main.get_command(app)
    for words in re.findall(r"`cmpkit ([a-z]+)(?: ([a-z]+))?", PAGE):
        found: Any = commands
        for word in filter(None, words):
            found = found.commands[word]
