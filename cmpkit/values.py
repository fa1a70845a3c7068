"""Values that are made by the dozen for each message: immutable classes whose ``__init__`` is compiled to be fast.

A frozen dataclass sets each field by a call that looks the field up again, and :func:`dataclasses.replace` hands each
through a call by name. Here fields are put into the ``__dict__`` of the value: such classes have no slots.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

__all__ = ["Converters", "changed", "install_init", "quick"]

T = TypeVar("T")

Converters = Mapping[str, Callable[[Any], Any]]
"""What is done to what is given for a field, unless it is ``None``, by the name of the field."""

_NONE: Converters = MappingProxyType({})


def quick(cls: type[T]) -> type[T]:
    """A decorator above ``@dataclass(frozen=True)``: values are made in half the time.

    :param cls: without slots, ``__post_init__`` and default factories.
    """
    install_init(cls)
    return cls


def changed(value: T, **changes: Any) -> T:
    """Like :func:`dataclasses.replace`, in a fifth of the time.

    :param value: of a :func:`quick` class.
    :param changes: the new values of fields.
    :raises TypeError: if there is no such field.
    """
    state = {**value.__dict__, **changes}
    if len(state) != len(value.__dict__):
        raise TypeError(f"{type(value).__name__} has no field {', '.join(changes.keys() - value.__dict__.keys())}")
    copy = object.__new__(type(value))
    copy.__dict__.update(state)
    return copy


def install_init(cls: Any, *, keyword_only: bool = False, converters: Converters = _NONE) -> None:
    """Give a dataclass an ``__init__`` that puts its fields into ``__dict__``.

    A method ``_check`` of the class is called at its end, and raises ValueError.
    """
    scope: dict[str, Any] = {f"convert_{name}": convert for name, convert in converters.items()}
    parameters, lines = ["*"] if keyword_only else [], ["_fields = self.__dict__"]
    for field in dataclasses.fields(cls):
        name = value = field.name
        if field.default is dataclasses.MISSING:
            parameters.append(name)
        else:
            scope[f"default_{name}"] = field.default
            parameters.append(f"{name}=default_{name}")
        if name in converters:
            value = f"None if {name} is None else convert_{name}({name})"
        lines.append(f"_fields[{name!r}] = {value}")
    if hasattr(cls, "_check"):
        lines.append("self._check()")
    body = "\n    ".join(lines)
    exec(f"def __init__(self, {', '.join(parameters)}):\n    {body}\n", scope)  # noqa: S102
    scope["__init__"].__annotations__ = {**cls.__init__.__annotations__, "return": None}
    scope["__init__"].__qualname__ = f"{cls.__qualname__}.__init__"
    cls.__init__ = scope["__init__"]
