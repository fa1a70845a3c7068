"""What pyproject.toml says holds together, and is what is installed."""

from __future__ import annotations

import importlib.metadata
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]


def test_installed_entry_points_are_those_of_pyproject() -> None:
    ours = importlib.metadata.distribution("cmpkit").entry_points
    for group, declared in PROJECT["entry-points"].items():
        assert {point.name: point.value for point in ours.select(group=group)} == declared
    assert all(point.load() for point in ours)


def test_every_extra_brings_something() -> None:
    assert all(PROJECT["optional-dependencies"].values())


def test_the_wheel_has_every_plugin_package() -> None:
    packages = PYPROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    found = {f"plugins/{path.name}" for path in (ROOT / "plugins").glob("cmpkit_*") if path.is_dir()}
    assert set(packages) == {"cmpkit", *found}
    assert set(packages) == set(PYPROJECT["tool"]["mypy"]["files"])
    assert {Path(package).name for package in packages} == set(PYPROJECT["tool"]["coverage"]["run"]["source"])


def test_every_requirement_has_an_upper_bound() -> None:
    assert not [wanted for wanted in requirements() if ",<" not in wanted]


def test_the_oldest_constraints_are_the_lower_bounds() -> None:
    bounds = dict(re.findall(r"^([\w-]+)(?:\[\w+\])?>=([\d.]+),", wanted)[0] for wanted in requirements())
    lines = (ROOT / "tests" / "constraints" / "oldest.txt").read_text().splitlines()
    pins = dict(line.split("==") for line in lines if not line.startswith("#"))
    assert pins.keys() == bounds.keys()
    assert not [name for name, bound in bounds.items() if not f"{pins[name]}.".startswith(f"{bound}.")]


def requirements() -> list[str]:
    """What the core, the extras and the tests need."""
    extras = [wanted for extra in PROJECT["optional-dependencies"].values() for wanted in extra]
    every = [*PROJECT["dependencies"], *extras, *PYPROJECT["dependency-groups"]["test"]]
    return [wanted for wanted in every if not wanted.startswith("cmpkit[")]
