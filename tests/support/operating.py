"""The commands of a server's operator, in this process and in one of their own."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer.testing
from forking import Forked
from typer.testing import CliRunner

from cmpkit.cli.app import app
from cmpkit.plugins import Plugins

# CliRunner makes all commands anew for each run, which takes longer than most of them.
typer.testing._get_command = functools.cache(typer.testing._get_command)


@dataclass
class Outcome:
    """How a command ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass
class Operator:
    """Runs commands with one configuration file."""

    config: Path
    plugins: Plugins | None = None

    @property
    def directory(self) -> Path:
        return self.config.parent

    def run(self, *arguments: object, status: int = 0, env: dict[str, str] | None = None) -> Outcome:
        """Run a command with ``--config``, in this process."""
        return run(*arguments, "--config", self.config, status=status, env=env, plugins=self.plugins)


def run(
    *arguments: object, status: int = 0, env: dict[str, str] | None = None, plugins: Plugins | None = None
) -> Outcome:
    """Run a command in this process; it must end with ``status``."""
    result = CliRunner().invoke(app, list(map(str, arguments)), obj=plugins, env=env, catch_exceptions=False)
    assert result.exit_code == status, f"{result.exit_code}: {result.stdout}{result.stderr}"
    return Outcome(result.exit_code, result.stdout, result.stderr)


@contextmanager
def started(*arguments: object) -> Iterator[Forked]:
    """A command in a process of its own; it is killed if it does not end by itself."""
    process = Forked(arguments, environment={**os.environ, "COLUMNS": "120"})
    try:
        yield process
    finally:
        process.kill()
        process.communicate()
