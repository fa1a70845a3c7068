"""The names that the holder of a certificate of ours may have in another one: the same (RFC 9483 section 4.1.3)."""

from __future__ import annotations

from typing import Final

from cryptography import x509

from cmpkit import oids
from cmpkit.asn1 import CertificateWire, Extension, decode
from cmpkit.ca.extensions import name_keys, read_alternative_names
from cmpkit.crypto.names import format_name, names_match
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError
from cmpkit.parts import Authenticated, CertificateRecord, CertificateRequest

__all__ = ["named_by_policy", "own_names", "own_subject", "same_names", "same_subject"]

_RULE: Final = "RFC 9483 section 4.1.3"


def named_by_policy(auth: Authenticated) -> bool:
    """Whether what a sender asks for has the names that the policy let pass, and none that are made of its identity.

    So it is with the holder of a certificate of ours, which keeps its names, and with an RA, which asks for others
    (RFC 9483 section 5.3.1; R-161).
    """
    return auth.record is not None or "ra" in auth.roles


def own_subject(own: CertificateRecord) -> x509.Name:
    """The subject of the sender's certificate."""
    return x509.load_der_x509_certificate(own.der).subject


def own_names(own: CertificateRecord) -> Extension | None:
    """The subjectAltName of the sender's certificate."""
    extensions = decode(CertificateWire, own.der).tbs.extensions or ()
    return next((item for item in extensions if item.extn_id == oids.SUBJECT_ALTERNATIVE_NAME), None)


def same_subject(request: CertificateRequest, own: CertificateRecord, fail_info: PKIFailureInfo) -> x509.Name:
    """The subject of the sender's certificate, if the request has that or none.

    :raises CMPError: with ``fail_info`` if it asks for another one.
    """
    subject = own_subject(own)
    asked = request.subject
    if asked is not None and asked.rdns and not names_match(asked, subject):
        raise CMPError(
            f"the subject {format_name(asked)} is asked for with the certificate of {own.subject}",
            fail_info,
            rule=_RULE,
            hint="leave the subject as it is, or enrol anew",
        )
    return subject


def same_names(request: CertificateRequest, own: CertificateRecord, fail_info: PKIFailureInfo) -> tuple[Extension, ...]:
    """The extensions asked for, with the subjectAltName of the sender's certificate.

    :raises CMPError: with ``fail_info`` if they ask for other names.
    """
    current = own_names(own)
    asked = read_alternative_names(request.extensions)
    if asked is None:
        return request.extensions if current is None else (*request.extensions, current)
    names = () if current is None else read_alternative_names([current]) or ()
    if name_keys(asked) != name_keys(names):
        raise CMPError(
            f"other subjectAltNames are asked for than the certificate of {own.subject} has",
            fail_info,
            rule=_RULE,
            hint="leave them as they are, or enrol anew",
        )
    return request.extensions
