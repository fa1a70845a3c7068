"""Each kind of part has a page with an example that passes the check for that kind."""

from __future__ import annotations

import re

from pages import ROOT, read_blocks

from cmpkit import hookspecs, testing

PAGES = sorted((ROOT / "docs" / "howto" / "parts").glob("*.md"))


def test_every_hook_has_its_page() -> None:
    named = [name for page in PAGES for name in re.findall(r"\[`(cmpkit_\w+)`\]", page.read_text())]
    assert sorted(named) == sorted(name for name in vars(hookspecs) if name.startswith("cmpkit_"))


def test_every_page_has_a_whole_program_with_a_check() -> None:
    checks = [name for name in testing.__all__ if name.startswith("check_")]
    for page in PAGES:
        programs = [block.text for block in read_blocks(page) if block.language == "python" and block.runs]
        assert programs
        assert all(any(f"{check}," in text or f"{check}(" in text for check in checks) for text in programs)
