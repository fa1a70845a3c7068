"""The page about conformance has every rule, as the code and the tests are now."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

import pytest
from pages import ROOT

DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def conformance() -> ModuleType:
    """The program that writes the page."""
    sys.path.insert(0, str(DOCS))
    try:
        return importlib.import_module("conformance")
    finally:
        sys.path.remove(str(DOCS))


def test_every_rule_has_a_test_or_a_reason(conformance: ModuleType) -> None:
    assert list(conformance.faults()) == []


def test_the_page_is_up_to_date(conformance: ModuleType) -> None:
    """If it is not: ``python docs/conformance.py``."""
    assert (DOCS / "conformance.md").read_text() == conformance.page()


def test_no_rule_is_missing(conformance: ModuleType) -> None:
    ids = [rule.id for rule in conformance.rules()]
    assert ids == sorted(set(ids))
    assert (ids[0], ids[-1]) == ("R-001", "R-202")
    assert set(conformance.checked_in()) <= set(ids)
