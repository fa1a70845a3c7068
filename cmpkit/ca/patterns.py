"""Patterns of names: ``CN=dev-*,O=Example``, ``dns:*.{identity}.example``.

``*`` stands for any characters but a star, and ``{identity}`` for the name of the requester, in which nothing has a
meaning of its own.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.x509 import ObjectIdentifier

from cmpkit.ca.facts import name_text
from cmpkit.crypto.names import fold_value, parse_name
from cmpkit.errors import CMPError

__all__ = ["AlternativeNamePattern", "SubjectPattern", "TextPattern"]

_IDENTITY: Final = "{identity}"
# Of the private use area: no name that is asked for can bring them along unnoticed.
_ANY, _WHO = "\ue000", "\ue001"
_KINDS: Final = ("dns", "email", "uri", "ip")


@dataclass(frozen=True, slots=True)
class TextPattern:
    """A pattern of a text.

    :param marked: the text, with marks in place of ``*`` and ``{identity}``.
    """

    marked: str

    @classmethod
    def parse(cls, text: str) -> TextPattern:
        """Read a pattern."""
        return cls(text.replace(_IDENTITY, _WHO).replace("*", _ANY))

    def fits(self, text: str, identity: str = "") -> bool:
        """Whether a text is of this pattern; case matters.

        :param identity: of the requester.
        """
        marked = self.marked
        if _WHO in marked:
            if not identity or _ANY in identity:
                return False
            marked = marked.replace(_WHO, identity)
        pieces = marked.split(_ANY)
        # A star in the text must be one of the identity's.
        return text.count("*") == marked.count("*") and _is_made_of(pieces, text)


def _is_made_of(pieces: Sequence[str], text: str) -> bool:
    """Whether the pieces follow each other in a text, the first at its beginning and the last at its end."""
    first, *others = pieces
    if not others:
        return text == first
    *middle, last = others
    if not text.startswith(first):
        return False
    position = len(first)
    for piece in middle:
        found = text.find(piece, position)
        if found < 0:
            return False
        position = found + len(piece)
    return text.endswith(last) and len(text) - len(last) >= position


_PatternAttribute = tuple[ObjectIdentifier, TextPattern]


@dataclass(frozen=True, slots=True)
class SubjectPattern:
    """A pattern of distinguished names, compared as RFC 5280 section 7.1 does.

    :param text: as it is written.
    :param rdns: the RDNs in the order of the encoding.
    :param is_open: whether more RDNs may follow: ``*,O=Example``, and ``*``, which is every name but the empty one.
    """

    text: str
    rdns: tuple[tuple[_PatternAttribute, ...], ...]
    is_open: bool = False

    @classmethod
    def parse(cls, text: str) -> SubjectPattern:
        """Read a pattern, in either form that :func:`~cmpkit.crypto.names.parse_name` reads.

        :raises ValueError: if it is none.
        """
        if text == "*":
            return cls(text, (), is_open=True)
        rest = text.removeprefix("*,") if not text.startswith("/") else text.removesuffix("/*")
        # Braces and stars are no characters of PrintableString, which serialNumber and others are.
        who, some = _unused("0identity", rest), _unused("0any", rest)
        try:
            name = parse_name(rest.replace(_IDENTITY, who).replace("*", some))
        except CMPError as error:
            raise ValueError(error.detail.replace(who, _IDENTITY).replace(some, "*")) from error
        if not name.rdns:
            raise ValueError("a pattern of names cannot be empty; every name is *")
        rdns = tuple(
            tuple(
                (item.oid, TextPattern(fold_value(str(item.value).replace(who, _WHO).replace(some, _ANY))))
                for item in rdn
            )
            for rdn in name.rdns
        )
        return cls(text, rdns, is_open=rest != text)

    def fits(self, name: x509.Name, identity: str = "") -> bool:
        """Whether a name is of this pattern.

        :param identity: of the requester.
        """
        given = name.rdns
        if len(given) < max(1, len(self.rdns)) or (len(given) > len(self.rdns) and not self.is_open):
            return False
        folded = fold_value(identity)
        return all(_rdn_fits(pattern, rdn, folded) for pattern, rdn in zip(self.rdns, given, strict=False))


def _rdn_fits(pattern: Sequence[_PatternAttribute], rdn: x509.RelativeDistinguishedName, identity: str) -> bool:
    """Whether each attribute is of one of the patterns, each pattern used once."""
    left = list(pattern)
    for item in rdn:
        value = item.value
        if not isinstance(value, str) or not value.isprintable():
            return False
        folded = fold_value(value)
        found = next((one for one in left if one[0] == item.oid and one[1].fits(folded, identity)), None)
        if found is None:
            return False
        left.remove(found)
    return not left


def _unused(text: str, within: str) -> str:
    """A text that does not occur: digits and letters, which every type of attribute may have."""
    while text in within:
        text += "0"
    return text


@dataclass(frozen=True, slots=True)
class AlternativeNamePattern:
    """A pattern of subjectAltNames: ``dns:``, ``email:``, ``uri:``, or ``ip:`` with an address or a network.

    :param text: as it is written.
    :param pattern: of names in the form of :func:`~cmpkit.ca.facts.name_text`, if it is no network.
    """

    text: str
    pattern: TextPattern = TextPattern("")
    network: ipaddress.IPv4Network | ipaddress.IPv6Network | None = None

    @classmethod
    def parse(cls, text: str) -> AlternativeNamePattern:
        """Read a pattern; ``*`` is every name.

        :raises ValueError: if it is none.
        """
        kind, _, rest = text.partition(":")
        if text != "*" and (kind not in _KINDS or not rest):
            raise ValueError(f"{text!r} begins with none of {', '.join(f'{known}:' for known in _KINDS)}")
        if kind == "ip" and _IDENTITY not in rest:
            return cls(text, network=ipaddress.ip_network(rest))
        return cls(text, TextPattern.parse(_comparable(text)))

    def fits(self, der: bytes, identity: str = "") -> bool:
        """Whether a GeneralName is of this pattern.

        :param der: of a name that can be read.
        :param identity: of the requester.
        """
        text = name_text(der)
        if self.network is not None:
            return text.startswith("ip:") and ipaddress.ip_address(text.removeprefix("ip:")) in self.network
        # The case of a host name does not count, whoever brought it.
        who = identity.lower() if self.text.startswith("dns:") else identity
        return text.isprintable() and self.pattern.fits(_comparable(text), who)


def _comparable(text: str) -> str:
    """A name in which the case of hosts does not count (RFC 5280 section 7)."""
    if text.startswith("dns:"):
        return text.lower()
    if text.startswith("email:"):
        local, at, host = text.rpartition("@")
        return local + at + host.lower()
    return text
