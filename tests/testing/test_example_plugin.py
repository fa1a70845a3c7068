"""The example plugin keeps to what authors of plugins are told; its own tests run in ``nox -s plugin``."""

from __future__ import annotations

import ast
import importlib
import re
import tomllib
from pathlib import Path

import pytest

import cmpkit

ROOT = Path(__file__).parent.parent.parent
EXAMPLE = ROOT / "plugins" / "example"
SOURCES = sorted((EXAMPLE / "src").rglob("*.py"))
FOR_PLUGINS = {"asn1", "crypto", "enums", "errors", "hookspecs", "oids", "parts", "testing", "transports"}
FOR_TESTS = FOR_PLUGINS | {"config", "plugins"}


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        *((path, FOR_PLUGINS) for path in SOURCES),
        *((path, FOR_TESTS) for path in sorted((EXAMPLE / "tests").rglob("*.py"))),
    ],
    ids=lambda value: value.name if isinstance(value, Path) else "",
)
def test_the_example_imports_only_public_names(path: Path, allowed: set[str]) -> None:
    found = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
    ours = {node.module: {alias.name for alias in node.names} for node in found if node.module}
    for module, names in ours.items():
        top, _, rest = module.partition(".")
        if top == "cmpkit":
            assert not rest or rest.split(".")[0] in allowed
            assert names <= set(importlib.import_module(module).__all__)


def test_the_example_depends_on_this_version_of_cmpkit() -> None:
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    (wanted,) = [one for one in project["dependencies"] if one.startswith("cmpkit")]
    matched = re.fullmatch(r"cmpkit>=([\d.]+),<([\d.]+)", wanted)
    assert matched
    low, version, high = (
        [int(n) for n in text.split(".")] for text in (*matched.groups()[:1], cmpkit.__version__, matched[2])
    )
    assert low <= version < high


def test_the_example_is_no_part_of_the_wheel() -> None:
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert not [package for package in build["packages"] if EXAMPLE.is_relative_to(ROOT / package)]
    assert not build.keys() & {"include", "force-include"}
