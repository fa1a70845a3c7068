"""Values are made and changed quickly, and are frozen dataclasses in all else."""

from __future__ import annotations

import copy
import inspect
import pickle
from dataclasses import FrozenInstanceError, dataclass, field, replace

import pytest

from cmpkit.values import changed, quick


@quick
@dataclass(frozen=True)
class Point:
    state: int
    y: int = 2
    label: str = field(default="", repr=False)


def test_fields_are_those_that_were_given_and_the_defaults() -> None:
    assert (Point(1).state, Point(1).y, Point(1).label) == (1, 2, "")
    assert Point(1, 5, "a") == Point(label="a", y=5, state=1)


def test_it_is_equal_hashed_and_shown_like_any_dataclass() -> None:
    assert Point(1) == Point(1) != Point(2)
    assert hash(Point(1)) == hash(Point(1))
    assert repr(Point(1)) == "Point(state=1, y=2)"


def test_it_is_immutable() -> None:
    with pytest.raises(FrozenInstanceError):
        Point(1).y = 3  # type: ignore[misc]


def test_what_is_missing_or_unknown_is_refused() -> None:
    with pytest.raises(TypeError, match="state"):
        Point()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="z"):
        Point(1, z=1)  # type: ignore[call-arg]


def test_its_signature_says_what_it_takes() -> None:
    assert str(inspect.signature(Point)) == "(state: 'int', y: 'int' = 2, label: 'str' = '') -> None"


def test_it_can_be_copied_and_pickled() -> None:
    assert copy.deepcopy(Point(1, 5)) == pickle.loads(pickle.dumps(Point(1, 5))) == Point(1, 5)


def test_a_changed_value_is_another_one() -> None:
    before = Point(1, label="a")
    assert changed(before, y=7) == replace(before, y=7) == Point(1, 7, "a")
    assert before == Point(1, label="a")


def test_a_field_that_there_is_not_cannot_be_changed() -> None:
    with pytest.raises(TypeError, match="Point has no field z"):
        changed(Point(1), z=1)
