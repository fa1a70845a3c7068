from __future__ import annotations

import importlib.metadata

import pytest
from operating import run

from cmpkit.plugins import load_plugins


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """An installed plugin whose module is not there."""
    every = importlib.metadata.entry_points

    def entry_points(*, group: str) -> list[importlib.metadata.EntryPoint]:
        return [*every(group=group), importlib.metadata.EntryPoint("broken", "cmpkit_not_there", group)]

    monkeypatch.setattr(importlib.metadata, "entry_points", entry_points)


def test_every_plugin_is_listed_with_its_parts() -> None:
    listed = {plugin["name"]: plugin for plugin in run("plugins", "--json").json}
    assert set(listed) == {point.name for point in importlib.metadata.entry_points(group="cmpkit")}
    assert "server transport http https" in listed["http"]["parts"]
    assert listed["http"]["distribution"].startswith("cmpkit ")
    assert listed["http"]["error"] is None


def test_people_see_the_same() -> None:
    lines = run("plugins").out.splitlines()
    assert any(line.startswith("http  (cmpkit ") for line in lines)
    assert "  server transport http https" in lines


@pytest.mark.usefixtures("broken")
def test_a_plugin_that_cannot_be_loaded_is_named_with_the_reason() -> None:
    out = run("plugins", status=2).out
    assert "broken  (not from a distribution)\n  FAILED: " in out
    assert "cmpkit_not_there" in out
    assert "  server transport http https" in out.splitlines()
    listed = {plugin["name"]: plugin for plugin in run("plugins", "--json", status=2).json}
    assert "cmpkit_not_there" in listed["broken"]["error"]


@pytest.mark.usefixtures("broken")
def test_other_commands_do_not_go_on_without_it(tmp_path: object) -> None:
    assert "plugin broken" in run("init", f"{tmp_path}/ca", status=2).err


def test_plugins_given_in_code_are_listed() -> None:
    given = load_plugins([("mine", object())])
    listed = [plugin for plugin in run("plugins", "--json", plugins=given).json if plugin["name"] == "mine"]
    assert listed == [{"name": "mine", "distribution": None, "parts": [], "error": None}]
