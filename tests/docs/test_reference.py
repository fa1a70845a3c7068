"""The reference of the Python API has every public name.

A package either offers its names itself, and then what it offers is documented, or each of its modules is.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from types import ModuleType

import pytest
from pages import ROOT

import cmpkit

PAGES = "\n".join(page.read_text() for page in sorted((ROOT / "docs" / "reference" / "api").glob("*.md")))
PACKAGES = sorted(found.name for found in pkgutil.iter_modules(cmpkit.__path__) if found.ispkg and found.name != "cli")
WHOLE = {
    module
    for module, options in re.findall(r"^\.\. automodule:: (\S+)\n((?: +:.*\n)*)", PAGES, re.MULTILINE)
    if ":no-members:" not in options
}
SINGLE = set(re.findall(r"^\.\. auto(?:class|function|data):: (\S+)", PAGES, re.MULTILINE))


def modules_of(package: ModuleType) -> list[ModuleType]:
    """Its modules that have public names."""
    names = [found.name for found in pkgutil.iter_modules(package.__path__, f"{package.__name__}.") if not found.ispkg]
    return [module for module in map(importlib.import_module, names) if module.__all__]


@pytest.mark.parametrize("name", PACKAGES)
def test_public_names_of_a_package_are_in_the_reference(name: str) -> None:
    package = importlib.import_module(f"cmpkit.{name}")
    described = {offered.rpartition(".")[2] for offered in SINGLE}
    missing = [
        f"{module.__name__}.{public}"
        for module in ([package] if package.__all__ else modules_of(package))
        if module.__name__ not in WHOLE
        for public in set(module.__all__) - described
    ]
    assert not sorted(missing)


def test_names_that_cmpkit_offers_are_in_the_reference() -> None:
    documented = {name.rpartition(".")[2] for name in SINGLE} | {"__version__"}
    for module in WHOLE:
        documented |= set(importlib.import_module(module).__all__)
    assert set(cmpkit.__all__) <= documented
