"""Roots that a client learns with its first certificate, where its operator wants that (3GPP TS 33.310, clause 9)."""

from __future__ import annotations

from cmpkit.asn1 import CertRepMessage, PKIMessage, encode
from cmpkit.crypto.x509 import outline
from cmpkit.endpoints.credentials import Credentials, SigningCredentials
from cmpkit.endpoints.reading import certificates_in
from cmpkit.endpoints.trust import FirstUse
from cmpkit.engine.client_transaction import ClientTransaction
from cmpkit.enums import BodyType
from cmpkit.errors import CMPError

__all__ = ["first_use", "offered_roots", "trusts_on_first_use"]


def first_use(transaction: ClientTransaction, answer: PKIMessage) -> FirstUse:
    """What the ip of an operation brought, or brings now; nothing in any other operation."""
    if transaction.operation is not BodyType.IR:
        return FirstUse()
    came = tuple(one.certificate for one in transaction.sought if one.certificate)
    return FirstUse((*offered_roots(transaction), *_roots_in(answer)), came or certificates_in(answer))


def _roots_in(answer: PKIMessage) -> tuple[bytes, ...]:
    if answer.body.type is not BodyType.IP:
        return ()
    content: CertRepMessage = answer.body.content
    return _self_issued(*answer.extra_certs, *map(encode, content.ca_pubs or ()))


def offered_roots(transaction: ClientTransaction) -> tuple[bytes, ...]:
    """DER of the self-issued certificates that came in extraCerts and caPubs."""
    return _self_issued(*transaction.chain, *transaction.ca_pubs)


def _self_issued(*certificates: bytes) -> tuple[bytes, ...]:
    return tuple(der for der in dict.fromkeys(certificates) if _is_self_issued(der))


def _is_self_issued(certificate: bytes) -> bool:
    try:
        found = outline(certificate)
    except CMPError:
        return False
    return found.subject_der == found.issuer_der


def trusts_on_first_use(tolerances: frozenset[str], transaction: ClientTransaction, credentials: Credentials) -> bool:
    """Whether the new certificate may lead to a root that came with it.

    Under a shared secret, ``adopt_ca_pubs`` is for that: extraCerts are not protected.
    """
    signing = isinstance(credentials, SigningCredentials)
    return "self-issued-in-ip" in tolerances and transaction.operation is BodyType.IR and signing
