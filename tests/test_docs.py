"""What the documentation says is checked against what there is."""

from __future__ import annotations

import ast
import importlib
import re
import tomllib
from pathlib import Path

import pytest

import cmpkit

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PAGES = [README, ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").glob("**/*.md"))]
PAGES = [page for page in PAGES if "generated" not in page.parts]
FIRST_SCREEN = 30


def blocks(language: str) -> list[object]:
    """Every fenced block in a language, with its page as the test's id."""
    pattern = re.compile(rf"^```{language}\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    return [
        pytest.param(found, id=f"{page.relative_to(ROOT)}:{number}")
        for page in PAGES
        for number, found in enumerate(pattern.findall(page.read_text()), start=1)
    ]


@pytest.mark.parametrize("name", ["one", "two"])
def test_readme_has_the_command_as_one_line_on_its_first_screen(name: str) -> None:
    lines = README.read_text().splitlines()
    start = lines.index(f"<!-- command {name} -->")
    assert lines[start + 1] == "```sh"
    assert lines[start + 2].startswith("python3 -m venv .venv && ")
    assert lines[start + 3 : start + 5] == ["```", "<!-- end -->"]
    assert start + 3 <= FIRST_SCREEN


@pytest.mark.parametrize("page", [pytest.param(page, id=str(page.relative_to(ROOT))) for page in PAGES])
def test_relative_links_lead_to_files(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text())
    relative = [link for link in links if not re.match(r"[a-z]+:", link)]
    assert not [link for link in relative if not (page.parent / link).exists()]


@pytest.mark.parametrize("source", blocks("python"))
def test_python_examples_compile_and_name_what_exists(source: str) -> None:
    tree = compile(source, "example", "exec", ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "cmpkit":
            module = importlib.import_module(node.module or "")
            assert {alias.name for alias in node.names} <= set(module.__all__)
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) == "cmpkit":
            assert node.attr in (*cmpkit.__all__, "blocking")


@pytest.mark.parametrize("source", blocks("toml"))
def test_toml_examples_parse(source: str) -> None:
    assert tomllib.loads(source)


def test_changelog_speaks_of_this_version_or_the_next() -> None:
    headings = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] in ("Unreleased", cmpkit.__version__)


def test_every_public_module_is_in_the_reference() -> None:
    pages = "\n".join(page.read_text() for page in (ROOT / "docs" / "reference" / "api").glob("*.md"))
    described = set(re.findall(r"^\.\. automodule:: (\S+)", pages, re.MULTILINE)) | {"cmpkit.oids", "cmpkit.hookspecs"}
    packages = {path.name for path in (ROOT / "cmpkit").iterdir() if (path / "__init__.py").exists()} - {"cli"}
    modules = {path.stem for path in (ROOT / "cmpkit").glob("*.py") if not path.stem.startswith("__")}
    assert {f"cmpkit.{name}" for name in packages | modules} | {"cmpkit"} <= described
