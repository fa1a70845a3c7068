"""The plugin that brings the issuers whose CA is elsewhere."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from cmpkit.errors import ConfigurationError
from cmpkit.parts import OpenContext

from .conftest import Landscape


@pytest.mark.parametrize("kind", ["cmp", "command"])
async def test_what_it_needs_is_named_where_it_is_missing(
    landscape: Landscape, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("cmp_opening", "command_opening"):
        monkeypatch.delitem(sys.modules, f"cmpkit.issuers.{name}", raising=False)
    monkeypatch.setitem(sys.modules, "pydantic", None)
    context = OpenContext(tmp_path, landscape.store, landscape.plugins, {})
    with pytest.raises(ConfigurationError, match="needs the package pydantic"):
        await landscape.plugins.require("issuer", kind).open({}, context)


@pytest.mark.parametrize("kind", ["cmp", "command"])
async def test_a_table_of_the_kind_is_read(landscape: Landscape, kind: str, tmp_path: Path) -> None:
    context = OpenContext(tmp_path, landscape.store, landscape.plugins, {})
    with pytest.raises(ConfigurationError, match="authority: is missing"):
        await landscape.plugins.require("issuer", kind).open({}, context)
