"""The pages that use OpenSSL work with each of its releases."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from pages import ROOT, Block, find_pages, read_blocks, read_tutorial
from reader import Reader, environment

from .conftest import OpenSSL

PAGES = [
    pytest.param(read_blocks(page), id=str(page.relative_to(ROOT)))
    for page in find_pages()
    if "tutorial" not in page.parts and any(block.runs and block.openssl is not None for block in read_blocks(page))
]


@pytest.mark.parametrize("blocks", PAGES)
def test_page_does_what_it_says_with_openssl(blocks: Sequence[Block], openssl: OpenSSL, tmp_path: Path) -> None:
    follow(blocks, openssl, tmp_path)


def test_the_tutorial_does_what_it_says_with_openssl(any_openssl: OpenSSL, tmp_path: Path) -> None:
    follow(read_tutorial(), any_openssl, tmp_path)


def follow(blocks: Sequence[Block], openssl: OpenSSL, tmp_path: Path) -> None:
    """Read them with this ``openssl`` on PATH."""
    programs, home = tmp_path / "bin", tmp_path / "home"
    programs.mkdir()
    home.mkdir()
    (programs / "openssl").write_text(f'#!/bin/sh\nexec {openssl.program} "$@"\n')
    (programs / "openssl").chmod(0o755)
    with environment(home, programs):
        Reader(home, blocks, version_of(openssl)).follow()


def version_of(openssl: OpenSSL) -> tuple[int, ...]:
    """Its numbers."""
    return tuple(map(int, re.findall(r"\d+", openssl.version)))


def test_options_of_openssl_that_the_errors_name_are_there(any_openssl: OpenSSL) -> None:
    page = (ROOT / "docs" / "reference" / "errors.md").read_text()
    if version_of(any_openssl) < (3, 3):
        pytest.skip("the page names an option that OpenSSL has from 3.3 on")
    shown = any_openssl.run("cmp", "-help")
    known = set(re.findall(r"^ +(-\w+)", shown.stdout + shown.stderr, re.MULTILINE))
    assert set(re.findall(r"`(-[a-z]\w+)", page)) <= known
