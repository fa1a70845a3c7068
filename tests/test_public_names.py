"""Every module says what is public in it, and every public name says what it is for."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cmpkit import hookspecs, parts

ROOT = Path(__file__).parent.parent
HEAVY = {"alembic", "hypercorn", "httpx", "pydantic", "sqlalchemy", "trio", "uvicorn"}


def find_modules() -> Iterator[str]:
    """Every module of the wheel, except those that only Alembic can run."""
    for base, pattern in ((ROOT, "cmpkit/**/*.py"), (ROOT / "plugins", "cmpkit_*/**/*.py")):
        for path in base.glob(pattern):
            names = path.relative_to(base).with_suffix("").parts
            if "migrations" not in names and names[-1] != "__main__":
                yield ".".join(names[:-1] if names[-1] == "__init__" else names)


MODULES = sorted(find_modules())
CONTRACTS = {
    name
    for contract in map(parts.__dict__.get, parts.__all__)
    if getattr(contract, "_is_protocol", False)
    for name, member in vars(contract).items()
    if inspect.isroutine(member) and member.__doc__
}


HOOKS = [name for name in vars(hookspecs) if name.startswith("cmpkit_")]


def public_members(owner: type) -> Iterator[tuple[str, Any]]:
    """Methods and properties that the class itself defines under public names."""
    for name, member in vars(owner).items():
        if name.startswith("_"):
            continue
        function = getattr(member, "__func__", getattr(member, "fget", member))
        if inspect.isfunction(function) and function.__module__ == owner.__module__:
            yield name, function


def is_ours(value: Any) -> bool:
    """Whether it is a class or function of ours, and not one that we pass on."""
    return (inspect.isclass(value) or inspect.isfunction(value)) and value.__module__.startswith("cmpkit")


@pytest.mark.parametrize("name", MODULES)
def test_module_declares_its_public_names(name: str) -> None:
    module = importlib.import_module(name)
    assert module.__doc__
    assert len(set(module.__all__)) == len(module.__all__)
    assert not [public for public in module.__all__ if not hasattr(module, public)]


@pytest.mark.parametrize("name", MODULES)
def test_public_names_have_docstrings(name: str) -> None:
    module = importlib.import_module(name)
    public = {key: getattr(module, key) for key in module.__all__}
    described = {key: value for key, value in public.items() if is_ours(value)}
    missing = [key for key, value in described.items() if not value.__doc__ and key not in HOOKS]
    missing += [
        f"{key}.{member}"
        for key, value in described.items()
        if inspect.isclass(value)
        for member, function in public_members(value)
        if not function.__doc__ and member not in CONTRACTS
    ]
    assert not missing


def test_the_contracts_of_parts_document_their_methods() -> None:
    assert {"exchange", "issue", "commit", "verify", "observe"} <= CONTRACTS


@pytest.mark.parametrize("name", HOOKS)
def test_hook_is_specified_and_described(name: str) -> None:
    hook = getattr(hookspecs, name)
    assert hook.__doc__
    assert hasattr(hook, f"{hookspecs.PROJECT_NAME}_spec")


@pytest.mark.parametrize("name", HOOKS)
def test_hook_has_a_section_in_the_reference(name: str) -> None:
    page = (ROOT / "docs" / "reference" / "plugins.md").read_text()
    assert f"\n### `{name}`\n" in page


@pytest.mark.parametrize("name", ["cmpkit", "cmpkit.cli"])
def test_import_loads_nothing_heavy(name: str) -> None:
    program = f"import sys, {name}; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not HEAVY & set(run.stdout.split())
