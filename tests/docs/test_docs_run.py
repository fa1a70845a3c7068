"""What the documentation tells people to type works, and prints what it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pages import ROOT, RUNNABLE, SHELLS, Block, find_pages, read_blocks, read_tutorial
from reader import Command, Reader, as_pattern, environment, put_tables, read_commands

PAGES = [pytest.param(page, id=str(page.relative_to(ROOT))) for page in find_pages()]
RUN = [
    pytest.param(page, id=str(page.relative_to(ROOT)))
    for page in find_pages()
    if "tutorial" not in page.parts
    and any(block.runs and block.seen and block.openssl is None for block in read_blocks(page))
]


@pytest.mark.parametrize("page", RUN)
def test_page_does_what_it_says(page: Path, tmp_path: Path) -> None:
    with environment(tmp_path):
        Reader(tmp_path, read_blocks(page)).follow()


def test_the_tutorial_does_what_it_says(tmp_path: Path) -> None:
    with environment(tmp_path):
        Reader(tmp_path, read_tutorial()).follow()


@pytest.mark.parametrize("page", PAGES)
def test_every_block_is_run_or_says_why_not(page: Path) -> None:
    blocks = [block for block in read_blocks(page) if block.language in (*RUNNABLE, *SHELLS)]
    assert not [block.where for block in blocks if not block.runs and not block.notes.get("not run")]
    assert not [block.where for block in blocks if block.language == "toml" and block.runs and not writes(block)]


def writes(block: Block) -> bool:
    """Whether the block becomes a file, or a part of one."""
    return bool({"file", "tables into"} & set(block.notes))


def test_commands_of_a_block_have_what_they_print() -> None:
    first, second = read_commands("$ cmpkit secret add \\\n    dev-42 > it\n$ cmpkit plugins\nhttp …\n\nmac")
    assert first == Command("cmpkit secret add \\\n    dev-42 > it")
    assert first.plain == (["secret", "add", "dev-42"], "it")
    assert second == Command("cmpkit plugins", ["http …", "", "mac"])


@pytest.mark.parametrize("text", ["cmpkit crl | cat", "cmpkit crl && ls", "A=b cmpkit crl", "cmpkit crl $A", "ls > it"])
def test_a_command_that_needs_a_shell_gets_one(text: str) -> None:
    assert Command(text).plain is None


@pytest.mark.parametrize(
    ("shown", "real", "fits"),
    [
        (["one"], "zero\none\ntwo", True),
        (["one"], "none", False),
        (["one", "three"], "one\ntwo\nthree", False),
        (["one", "…", "three"], "one\ntwo\nthree", True),
        (["a … c"], "a b c", True),
        (["a … c"], "a\nc", False),
        (["(serial …)"], "(serial 1f)", True),
    ],
)
def test_shown_output_is_compared_by_lines(shown: list[str], real: str, fits: bool) -> None:
    assert bool(re.search(as_pattern(shown), real, re.MULTILINE)) is fits


def test_tables_take_the_place_of_those_of_the_same_name() -> None:
    text = '[a]\nx = 1\n\n[[b]]\ny = [\n  "z",\n]\n[c]\nz = 1\n'
    assert put_tables(text, "[[b]]\ny = []") == "[a]\nx = 1\n\n[c]\nz = 1\n\n[[b]]\ny = []\n"
