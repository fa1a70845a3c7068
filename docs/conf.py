"""How the documentation is built: Sphinx with MyST; API pages from docstrings, the command line's from the code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from sphinx.application import Sphinx

# Its models are made before autodoc writes annotations that it reads in sources into pydantic's classes.
import cmpkit.config
import cmpkit.issuers.cmp_opening
import cmpkit.issuers.command_opening

project = "cmpkit"
author = "the cmpkit authors"
copyright = "the cmpkit authors"
version = release = cmpkit.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build", "reference/generated"]
html_theme = "furo"
html_title = f"cmpkit {version}"

myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3

autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_class_signature = "mixed"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_use_type_comments = False

GENERATED = Path(__file__).parent / "reference" / "generated"


def write_command_line_reference(app: Sphinx) -> None:
    """Let typer describe ``cmpkit`` as it is, for reference/cli.md to include."""
    GENERATED.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "typer", "cmpkit.cli", "utils", "docs", "--name", "cmpkit"]
    described = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    commands = described[described.index("\n## ") :]
    (GENERATED / "cli.md").write_text(commands)


def skip_foreign_names(app: Sphinx, what: str, name: str, value: object, skip: bool, options: object) -> bool | None:
    """Leave out what a module only passes on: its own project documents it, in its own way."""
    home = getattr(value, "__module__", None)
    return True if what == "module" and isinstance(home, str) and not home.startswith("cmpkit") else None


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("builder-inited", write_command_line_reference)
    app.connect("autodoc-skip-member", skip_foreign_names)
