"""The page about tolerances has those that there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cmpkit.tolerances import TOLERANCES, Side, Tolerance, peers

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "tolerances.md"


def row(tolerance: Tolerance) -> str:
    where = "both" if len(tolerance.sides) == 2 else next(iter(tolerance.sides)).value
    return f"| `{tolerance.name}` | {tolerance.allows} | {tolerance.rule} | {where} |"


def peer_row(peer: str) -> str:
    needed = [", ".join(f"`{name}`" for name in sorted(peers(side).get(peer, ()))) or "none" for side in Side]
    return f"| `{peer}` | {' | '.join(needed)} |"


def test_the_page_has_each_tolerance_as_it_is() -> None:
    rows = re.findall(r"^\| `.*\|$", PAGE.read_text(), re.MULTILINE)
    names = sorted(peers(Side.SERVER).keys() | peers(Side.CLIENT).keys())
    assert rows == [*map(row, TOLERANCES.values()), *map(peer_row, names)]


@pytest.mark.parametrize("name", TOLERANCES)
def test_names_are_in_the_order_of_the_alphabet_and_tell_what_passes(name: str) -> None:
    assert list(TOLERANCES) == sorted(TOLERANCES)
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name)
    assert TOLERANCES[name].sides
