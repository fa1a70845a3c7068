"""The base types, from ``cryptography.hazmat.asn1``, and the marks that our declarations add to its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

try:
    from cryptography.hazmat import asn1 as hazmat
    from cryptography.hazmat.asn1 import (
        TLV,
        BitString,
        Default,
        Explicit,
        GeneralizedTime,
        IA5String,
        Implicit,
        Null,
        PrintableString,
        SetOf,
        Size,
        UTCTime,
        Variant,
        value_set,
    )
except ImportError as error:  # pragma: no cover - needs another release of cryptography
    raise ImportError(
        "cmpkit needs cryptography >= 50 (its module cryptography.hazmat.asn1 with TLV and Variant); "
        "run: pip install -U 'cryptography>=50'"
    ) from error

from cmpkit.enums import PKIStatus, SubsequentMessage

__all__ = [
    "TLV",
    "BitString",
    "Default",
    "Explicit",
    "FrozenList",
    "GeneralizedTime",
    "Holds",
    "IA5String",
    "Implicit",
    "NonEmpty",
    "Null",
    "PrintableString",
    "Secret",
    "SetOf",
    "Size",
    "UTCTime",
    "Unread",
    "Variant",
    "hazmat",
]

E = TypeVar("E")

value_set(int)(PKIStatus)
value_set(int)(SubsequentMessage)


class NonEmpty:
    """Marks ``SEQUENCE SIZE (1..MAX) OF ... OPTIONAL``: hazmat.asn1 has no SIZE for optional lists."""


class Secret:
    """Marks a field whose value no repr may show."""


class Holds:
    """Marks an unread element, or an alternative that is one, with what is in it: what nobody needs is not read.

    :param kind: a declared class, a base type, ``list[kind]``, or a CHOICE such as :data:`cmpkit.asn1.EncryptedKey`.
    """

    __slots__ = ("kind",)

    def __init__(self, kind: Any) -> None:
        self.kind = kind


class Unread:
    """Marks a mandatory field that is kept as one element and read when it is asked for.

    :param keep: makes the value of the field from the element, or from what somebody gave; the value's attribute
        ``element`` is the element.
    """

    __slots__ = ("keep",)

    def __init__(self, keep: Callable[[Any], Any]) -> None:
        self.keep = keep


class FrozenList(list[E]):
    """A list that nobody changes: hazmat.asn1 takes nothing but lists, and values must not change."""

    __slots__ = ()

    def _refuse(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Not for a list that nobody changes.

        :raises TypeError: always.
        """
        raise TypeError(f"a {type(self).__name__} is immutable; make a new one")

    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse
    append = extend = insert = pop = remove = clear = sort = reverse = _refuse

    def __copy__(self) -> FrozenList[E]:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> FrozenList[E]:
        return self
