"""Controls and registration information of a certificate request (RFC 4211 sections 6 and 7)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Annotated, Literal, TypeAlias

from cmpkit.asn1.declare import sequence
from cmpkit.asn1.elements import name_choice
from cmpkit.asn1.encrypted_key import EncryptedKey
from cmpkit.asn1.names import GeneralName
from cmpkit.asn1.primitives import TLV, Explicit, Holds, Implicit, NonEmpty, Variant
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError

__all__ = ["PKIArchiveOptions", "PKIPublicationInfo", "SinglePubInfo", "join_utf8_pairs", "split_utf8_pairs"]


@sequence
class SinglePubInfo:
    """Where to publish: ``pub_method`` is dontCare(0), x500(1), web(2) or ldap(3) (RFC 4211 section 6.3)."""

    pub_method: int
    pub_location: GeneralName | None = None


@sequence
class PKIPublicationInfo:
    """Whether to publish: ``action`` is dontPublish(0) or pleasePublish(1) (RFC 4211 section 6.3)."""

    action: int
    pub_infos: Annotated[list[SinglePubInfo] | None, NonEmpty] = None


PKIArchiveOptions: TypeAlias = (
    Annotated[Variant[TLV, Literal["encrypted_priv_key"]], Explicit(0), Holds(EncryptedKey)]
    | Annotated[Variant[bytes, Literal["key_gen_parameters"]], Implicit(1)]
    | Annotated[Variant[bool, Literal["archive_rem_gen_priv_key"]], Implicit(2)]
)
"""What the CA should keep of the private key (RFC 4211 section 6.4); the first holds an EncryptedKey, unread."""
name_choice(PKIArchiveOptions, "PKIArchiveOptions")

_END = re.compile(r"%(?!\d)")
_ESCAPE = re.compile(r"%(\d.?)")
_ESCAPED = {"%": "%25", "?": "%3f"}
_RULE = "RFC 4211 section 7.1"


def split_utf8_pairs(text: str) -> list[tuple[str, str]]:
    """The names and values in a utf8Pairs, in their order; names may repeat (RFC 4211 section 7.1).

    :param text: ``name?value%``, repeated; the last "%" may be missing.
    :raises CMPError: badDataFormat if it is not of that form.
    """
    pairs = []
    for part in _END.split(text.removesuffix("%")) if text else ():
        name, mark, value = part.partition("?")
        if not mark or "?" in value or not name or name[0].isdigit():
            raise CMPError(
                f"{part!r} in utf8Pairs is not name?value", PKIFailureInfo.BAD_DATA_FORMAT, rule=_RULE, hint=_HINT
            )
        pairs.append((_unescape(name), _unescape(value)))
    return pairs


_HINT = "write '%' in a name or value as %25, and '?' as %3f"


def _unescape(text: str) -> str:
    return _ESCAPE.sub(_unescape_one, text)


def _unescape_one(found: re.Match[str]) -> str:
    plain = {"25": "%", "3f": "?"}.get(found[1].lower())
    if plain is None:
        raise CMPError(f"{found[0]!r} in utf8Pairs", PKIFailureInfo.BAD_DATA_FORMAT, rule=_RULE, hint=_HINT)
    return plain


def join_utf8_pairs(pairs: Iterable[tuple[str, str]]) -> str:
    """A utf8Pairs from names and values (RFC 4211 section 7.1).

    :param pairs: names, which must not be empty nor begin with a digit, and values.
    :raises CMPError: systemFailure for another name.
    """
    parts = []
    for name, value in pairs:
        if not name or name[0].isdigit():
            raise CMPError(
                f"{name!r} is no name for utf8Pairs: it is empty or begins with a digit",
                PKIFailureInfo.SYSTEM_FAILURE,
                rule=_RULE,
            )
        parts.append(f"{_escape(name)}?{_escape(value)}%")
    return "".join(parts)


def _escape(text: str) -> str:
    return "".join(_ESCAPED.get(character, character) for character in text)
