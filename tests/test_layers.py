"""The shape of the code: who may import whom, and how large a module or function may be.

The rows are explained in docs/architecture.md. A module imports from its own row and from rows above it. ``cmpkit``
itself stands outside: it offers the names that applications use; nothing inside imports from it but ``__version__``.
"""

from __future__ import annotations

import ast
import functools
import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
ROWS = (
    ("enums", "oids", "tolerances", "errors", "caching", "durations", "passwords", "processes", "values"),
    ("asn1",),
    ("parts", "hookspecs", "plugins"),
    ("crypto",),
    ("engine",),
    ("store", "ca"),
    ("transports",),
    ("endpoints",),
    ("relay", "issuers"),
    ("offline",),
    ("renewal",),
    ("inspection",),
    ("doctor",),
    ("blocking",),
    ("testing",),
    ("pytest_plugin",),
    ("config",),
    ("cli",),
)
ROW_OF = {name: number for number, row in enumerate(ROWS) for name in row}
FOR_PLUGINS = ("asn1", "crypto", "enums", "errors", "hookspecs", "oids", "parts", "testing", "tolerances", "transports")
MAX_MODULE_LINES = 400
MAX_FUNCTION_LINES = 60

CORE = sorted((ROOT / "cmpkit").rglob("*.py"))
PLUGINS = sorted(path for path in (ROOT / "plugins").glob("cmpkit_*/**/*.py"))
EVERYTHING = CORE + PLUGINS


class Import(NamedTuple):
    """One imported module, and the name taken from it (empty for ``import module``)."""

    module: str
    name: str
    line: int


def module_name(path: Path) -> str:
    base = ROOT / "plugins" if path.is_relative_to(ROOT / "plugins") else ROOT
    parts = path.relative_to(base).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(source: str, module: str = "", *, package: bool = False) -> Iterator[Import]:
    """Every import anywhere in the source, also inside functions and under TYPE_CHECKING."""
    parents = module.split(".")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, "", node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = node.module or ""
            if node.level:
                base = parents[: len(parents) - node.level + package]
                start = ".".join([*base, start] if start else base)
            yield from (Import(start, alias.name, node.lineno) for alias in node.names)


@functools.cache
def imports_in(path: Path) -> list[Import]:
    return list(imports_of(path.read_text(), module_name(path), package=path.name == "__init__.py"))


def is_module(name: str) -> bool:
    path = ROOT.joinpath(*name.split("."))
    return (path / "__init__.py").exists() or path.with_suffix(".py").exists()


def top_part(found: Import) -> str | None:
    """The part of cmpkit that is imported from: ``engine`` for ``cmpkit.engine.client``; ``""`` for cmpkit itself."""
    names = found.module.split(".")
    if names[0] != "cmpkit":
        return None
    if len(names) > 1:
        return names[1]
    return found.name if is_module(f"cmpkit.{found.name}") else ""


def outside(directory: Path) -> list[Path]:
    return [path for path in EVERYTHING if not path.is_relative_to(directory)]


def relative(paths: list[Path]) -> list[object]:
    return [pytest.param(path, id=str(path.relative_to(ROOT))) for path in paths]


def test_imports_are_found_wherever_they_stand() -> None:
    source = "from . import a\nfrom ..b import c\ndef f():\n  import cmpkit.engine\nif x:\n  from cmpkit import store"
    assert [found[:2] for found in imports_of(source, "cmpkit.ca.issuer")] == [
        ("cmpkit.ca", "a"),
        ("cmpkit.b", "c"),
        ("cmpkit.engine", ""),
        ("cmpkit", "store"),
    ]


def test_every_part_of_cmpkit_has_a_row() -> None:
    assert {module_name(path).split(".")[1] for path in CORE if path.parent != ROOT / "cmpkit"} <= set(ROW_OF)
    assert {path.stem for path in (ROOT / "cmpkit").glob("*.py")} <= {*ROW_OF, "__init__", "__main__"}


@pytest.mark.parametrize("path", relative([path for path in CORE if len(module_name(path).split(".")) > 1]))
def test_a_row_imports_only_from_rows_above(path: Path) -> None:
    own = ROW_OF[module_name(path).split(".")[1]]
    wrong = [
        found
        for found in imports_in(path)
        if (part := top_part(found)) is not None
        and (ROW_OF.get(part, len(ROWS)) > own)
        and (found.module, found.name) != ("cmpkit", "__version__")
    ]
    assert not wrong


@pytest.mark.parametrize("path", relative(outside(ROOT / "cmpkit" / "asn1")))
def test_only_the_codec_sees_the_asn1_libraries(path: Path) -> None:
    libraries = ("cryptography.hazmat.asn1.", "pyasn1.", "pyasn1_modules.")
    wrong = [found for found in imports_in(path) if f"{found.module}.{found.name}.".startswith(libraries)]
    assert not wrong


@pytest.mark.parametrize("path", relative(outside(ROOT / "plugins" / "cmpkit_http")))
def test_only_the_http_server_names_an_async_backend(path: Path) -> None:
    assert not [found for found in imports_in(path) if found.module.split(".")[0] in ("asyncio", "trio", "sniffio")]


@pytest.mark.parametrize("path", relative(PLUGINS))
def test_plugins_use_only_public_names_of_cmpkit(path: Path) -> None:
    ours = [found for found in imports_in(path) if top_part(found) is not None]
    assert not [found for found in ours if top_part(found) not in FOR_PLUGINS or "._" in found.module]
    whole_modules = [found for found in ours if found.module == "cmpkit"]
    assert not [use for found in whole_modules for use in private_uses(path, found)]
    names = [found for found in ours if found.module != "cmpkit"]
    assert not [found for found in names if found.name not in importlib.import_module(found.module).__all__]


def private_uses(path: Path, found: Import) -> list[Import]:
    """Names that are used as ``oids.NAME`` after ``from cmpkit import oids`` and are not in ``cmpkit.oids.__all__``."""
    public = importlib.import_module(f"cmpkit.{found.name}").__all__
    return [
        Import(f"cmpkit.{found.name}", node.attr, node.lineno)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == found.name
        and node.attr not in public
    ]


@pytest.mark.parametrize("path", relative(EVERYTHING))
def test_modules_and_functions_are_small(path: Path) -> None:
    source = path.read_text()
    assert len(source.splitlines()) < MAX_MODULE_LINES
    assert not [
        f"{node.name}: {node.end_lineno - node.lineno + 1} lines"
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno + 1 >= MAX_FUNCTION_LINES
    ]
