"""Which way a message takes: the first route that it fits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from cryptography import x509

from cmpkit import oids
from cmpkit.asn1 import CertId, CertTemplate, GeneralName, PKIMessage, distinguished_name, parse_tlv
from cmpkit.crypto.names import names_match
from cmpkit.engine.registration import find_attribute
from cmpkit.engine.states import CRMF_REQUESTS, OPENS
from cmpkit.enums import BodyType
from cmpkit.errors import CMPError

__all__ = ["LOCAL", "Route", "find_route", "named_issuers", "named_profile"]

LOCAL: Final = "local"
"""Where :attr:`Route.to` leads if the endpoint itself answers."""


@dataclass(frozen=True, slots=True)
class Route:
    """Where messages go that fit all of it; what is left out fits every message.

    :param to: the name of an upstream, or :data:`LOCAL`.
    :param path: the label of the address, the NAME of ``/p/NAME``.
    :param profile: the profile that is asked for, by certProfile, else by the label of the address.
    :param bodies: the types of body that open a transaction.
    :param issuer: the name of the CA that is addressed: as issuer in a template, in oldCertID or in what is to be
        revoked, or as recipient.
    :param verify: whether the protection of what takes this route is verified here; if not, it is passed on as it is.
    """

    to: str
    path: str | None = None
    profile: str | None = None
    bodies: frozenset[BodyType] = frozenset()
    issuer: x509.Name | None = None
    verify: bool = True

    def fits(self, message: PKIMessage, label: str | None) -> bool:
        """Whether a message takes this route.

        :param label: of the address at which it came.
        """
        if self.bodies and message.body.type in OPENS and message.body.type not in self.bodies:
            return False
        if self.path is not None and self.path != label:
            return False
        try:
            if self.profile is not None and self.profile != named_profile(message, label):
                return False
            return self.issuer is None or any(names_match(self.issuer, name) for name in named_issuers(message))
        except CMPError:
            # Whoever answers it will say what cannot be read.
            return False


def find_route(routes: Sequence[Route], message: PKIMessage, label: str | None) -> Route | None:
    """The first route that a message fits.

    :param label: of the address at which it came.
    """
    return next((route for route in routes if route.fits(message, label)), None)


def named_profile(message: PKIMessage, label: str | None) -> str | None:
    """The profile that a message asks for first: by certProfile, else by the label of the address.

    :raises CMPError: badDataFormat if certProfile cannot be read.
    """
    item = message.header.info(oids.CERT_PROFILE)
    names = item.parse_list(str) if item is not None else []
    return next(iter(names), "") or label


def named_issuers(message: PKIMessage) -> Iterator[x509.Name]:
    """The names of CAs that a message is about: what it says of them, then its recipient.

    :raises CMPError: badDataFormat if a name cannot be read.
    """
    for name in (*_issuers_in_body(message), message.header.recipient):
        found = name if isinstance(name, x509.Name) else distinguished_name(name)
        if found is not None and found.rdns:
            yield found


def _issuers_in_body(message: PKIMessage) -> Iterator[x509.Name | GeneralName]:
    body = message.body
    if body.type in CRMF_REQUESTS:
        for one in body.content:
            yield from _issuer_of(one.request.cert_template)
            control = find_attribute(one.request.controls, oids.OLD_CERT_ID)
            if control is not None:
                yield parse_tlv(control.value, CertId).issuer
    elif body.type is BodyType.RR:
        for details in body.content:
            yield from _issuer_of(details.cert_details)


def _issuer_of(template: CertTemplate) -> Iterator[x509.Name]:
    if template.issuer is not None:
        yield template.issuer.name
