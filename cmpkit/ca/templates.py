"""Names that are made from the identity of a requester: ``CN={identity}, O=Example``, ``dns:{identity}.example``.

The identity is put into attribute values, never into text that is parsed afterwards: it cannot bring an attribute or a
name of its own.
"""

from __future__ import annotations

import contextlib
import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from cryptography import x509

from cmpkit.crypto.names import new_attribute, parse_name
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError

__all__ = ["AlternativeNameTemplate", "SubjectTemplate"]

_PLACEHOLDER = "{identity}"
_HOST_NAME = re.compile(
    r"(?=.{1,253}\Z)[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)*\Z"
)
_LOCAL_PART = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*\Z")


def _unfit(identity: str, what: str, why: str) -> CMPError:
    return CMPError(
        f"the identity {identity!r} cannot be used in the {what} of the profile: {why}",
        PKIFailureInfo.BAD_CERT_TEMPLATE,
        hint="rename the identity or change the profile",
    )


def _check_printable(identity: str, what: str) -> None:
    if not identity or not identity.isprintable():
        raise _unfit(identity, what, "it is empty or has characters that cannot be printed")


@dataclass(frozen=True, slots=True)
class SubjectTemplate:
    """A distinguished name in which the identity of the requester has a place.

    :param name: the name, with ``placeholder`` in that place.
    """

    name: x509.Name
    placeholder: str

    @classmethod
    def parse(cls, text: str) -> SubjectTemplate:
        """Read a template: the text of a name with ``{identity}`` in it.

        :raises ValueError: if it is no name, or an empty one.
        """
        # Braces are no characters of PrintableString, which serialNumber and others are.
        placeholder = "0identity0"
        while placeholder in text:
            placeholder += "0"
        try:
            name = parse_name(text.replace(_PLACEHOLDER, placeholder))
        except CMPError as error:
            raise ValueError(error.detail.replace(placeholder, _PLACEHOLDER)) from error
        if not name.rdns:
            raise ValueError("a subject cannot be empty")
        return cls(name, placeholder)

    def render(self, identity: str) -> x509.Name:
        """The name of that requester.

        :raises CMPError: badCertTemplate if the identity does not fit (length, characters).
        """
        _check_printable(identity, "subject")
        try:
            return x509.Name([self._render_rdn(rdn, identity) for rdn in self.name.rdns])
        except ValueError as error:
            raise _unfit(identity, "subject", str(error)) from error

    def _render_rdn(self, rdn: x509.RelativeDistinguishedName, identity: str) -> x509.RelativeDistinguishedName:
        return x509.RelativeDistinguishedName(
            new_attribute(attribute.oid, attribute.value.replace(self.placeholder, identity))
            if isinstance(attribute.value, str) and self.placeholder in attribute.value
            else attribute
            for attribute in rdn
        )


def _dns(text: str, identity: str) -> x509.GeneralName:
    name = text.replace(_PLACEHOLDER, identity)
    # A wildcard may be written in the profile; an identity may not bring one.
    if not _HOST_NAME.match(name.removeprefix("*.") if text.startswith("*.") else name):
        raise ValueError("not a host name (RFC 1034 section 3.5)")
    return x509.DNSName(name)


def _uri(text: str, identity: str) -> x509.GeneralName:
    uri = text.replace(_PLACEHOLDER, quote(identity, safe=""))
    if not urlsplit(uri).scheme or not uri.isascii():
        raise ValueError("not an absolute URI (RFC 5280 section 4.2.1.6)")
    return x509.UniformResourceIdentifier(uri)


def _email(text: str, identity: str) -> x509.GeneralName:
    address = text.replace(_PLACEHOLDER, identity)
    local, _, host = address.rpartition("@")
    if not _LOCAL_PART.match(local) or not _HOST_NAME.match(host):
        raise ValueError("not a mail address (RFC 5280 section 4.2.1.6)")
    return x509.RFC822Name(address)


def _ip(text: str, identity: str) -> x509.GeneralName:
    return x509.IPAddress(ipaddress.ip_address(text.replace(_PLACEHOLDER, identity)))


_KINDS: dict[str, Callable[[str, str], x509.GeneralName]] = {"dns": _dns, "uri": _uri, "email": _email, "ip": _ip}
_EXAMPLES = ("device", "1", "device@example.com", "192.0.2.1", "2001:db8::1")


@dataclass(frozen=True, slots=True)
class AlternativeNameTemplate:
    """A subjectAltName in which ``{identity}`` stands for the requester: ``dns:``, ``uri:``, ``email:`` or ``ip:``."""

    kind: str
    text: str

    @classmethod
    def parse(cls, text: str) -> AlternativeNameTemplate:
        """Read a template.

        :raises ValueError: if its kind is not known, or no identity could make it a name.
        """
        kind, colon, rest = text.partition(":")
        if not colon or kind not in _KINDS:
            raise ValueError(f"{text!r} begins with none of {', '.join(f'{known}:' for known in _KINDS)}")
        for example in _EXAMPLES:
            with contextlib.suppress(ValueError):
                _KINDS[kind](rest, example)
                return cls(kind, rest)
        raise ValueError(f"{text!r}: no identity makes this a {kind} name")

    def render(self, identity: str) -> x509.GeneralName:
        """The name of that requester.

        :raises CMPError: badCertTemplate if the identity makes no such name.
        """
        what = f"{self.kind} name"
        _check_printable(identity, what)
        try:
            return _KINDS[self.kind](self.text, identity)
        except ValueError as error:
            raise _unfit(identity, what, str(error)) from error
