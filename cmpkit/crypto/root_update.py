"""Whether the certificates of a root CA key update hold together, and with the old root (RFC 9810 section 4.4)."""

from __future__ import annotations

from datetime import datetime
from typing import TypeVar

from cryptography import x509

from cmpkit.asn1 import CertificateWire, decode, encode, read_name
from cmpkit.crypto.names import format_name, names_match
from cmpkit.crypto.x509 import CertificateOutline, outline
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError
from cmpkit.parts import RootKeyUpdate
from cmpkit.plugins import Plugins

__all__ = ["check_root_update", "is_link", "is_update_of"]

_RULE = "RFC 9810 section 4.4"
E = TypeVar("E", bound=x509.ExtensionType)


def check_root_update(
    update: RootKeyUpdate, old_root: bytes | None, *, plugins: Plugins, now: datetime | None = None
) -> None:
    """Check that the old root vouches for the new one, by newWithOld, and that all that came belongs together.

    :param old_root: DER of the root certificate that is trusted so far; ``None`` checks only what holds without it.
    :param now: the time at which the old root, the new one and the link must be valid; ``None`` does not check that.
    :raises CMPError: signerNotTrusted, naming the certificate and what is wrong with it; badDataFormat if one cannot be
        read.
    """
    new = outline(update.new_with_new)
    _check_root(update.new_with_new, "newWithNew", plugins)
    dated = [("newWithNew", new)]
    old = None if old_root is None else outline(old_root)
    if update.old_with_new is not None:
        back = outline(update.old_with_new)
        _check_issued(update.old_with_new, new, "oldWithNew", "newWithNew", plugins)
        if old is not None:
            _check_same(back, old, "oldWithNew", "the old root")
        old = old or back
    if update.new_with_old is not None:
        link = outline(update.new_with_old)
        _check_same(link, new, "newWithOld", "newWithNew")
        if old is not None:
            _check_issued(update.new_with_old, old, "newWithOld", "the old root", plugins)
        dated.append(("newWithOld", link))
    elif old_root is not None:
        raise _fault(
            "newWithOld is missing: nothing shows that the old root vouches for the new one",
            "have the server give it, or get the new root out of band",
        )
    if old_root is not None and old is not None:
        dated.append(("the old root", old))
        if old.public_key_info == new.public_key_info:
            raise _fault("newWithNew has the key of the old root")
    if now is not None:
        for title, certificate in dated:
            _check_validity(certificate, title, now)


def is_link(der: bytes) -> bool:
    """Whether a certificate is for one key of a root CA and signed by another one: newWithOld or oldWithNew.

    Unlike a root certificate it is self-issued but not self-signed (RFC 5280 section 3.2), as its key identifiers say.

    :param der: the certificate.
    :raises CMPError: badDataFormat if it is no certificate.
    """
    found = outline(der)
    if not names_match(read_name(found.subject_der), read_name(found.issuer_der)):
        return False
    certificate = decode(x509.Certificate, der)
    own = _find_extension(certificate, x509.SubjectKeyIdentifier)
    issuer = _find_extension(certificate, x509.AuthorityKeyIdentifier)
    return own is not None and issuer is not None and issuer.key_identifier not in (None, own.digest)


def is_update_of(update: RootKeyUpdate, root: bytes) -> bool:
    """Whether a root certificate looks like the one whose key was replaced; who trusts it checks the rest.

    :param root: DER.
    :raises CMPError: badDataFormat if it is no certificate.
    """
    old = outline(root)
    if old.public_key_info == outline(update.new_with_new).public_key_info:
        return False
    if update.old_with_new is not None:
        return old.public_key_info == outline(update.old_with_new).public_key_info
    if update.new_with_old is None:
        return False
    return names_match(read_name(old.subject_der), read_name(outline(update.new_with_old).issuer_der))


def _check_root(der: bytes, title: str, plugins: Plugins) -> None:
    certificate = outline(der)
    _check_issued(der, certificate, title, "its own key", plugins)
    # A root may be a certificate of version 1, which has no extensions (RFC 9810 section 4.4).
    if certificate.extensions and not _is_ca(decode(x509.Certificate, der)):
        raise _fault(f"{title} is not the certificate of a CA: basicConstraints has no cA=TRUE")


def _is_ca(certificate: x509.Certificate) -> bool:
    constraints = _find_extension(certificate, x509.BasicConstraints)
    return constraints is not None and constraints.ca


def _find_extension(certificate: x509.Certificate, kind: type[E]) -> E | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return None


def _check_issued(der: bytes, issuer: CertificateOutline, title: str, by: str, plugins: Plugins) -> None:
    """Whether a certificate names that issuer and is signed by its key."""
    certificate, wire = outline(der), decode(CertificateWire, der)
    wanted, given = read_name(issuer.subject_der), read_name(certificate.issuer_der)
    if not names_match(wanted, given):
        raise _fault(f"{title} was issued by {format_name(given)!r}, not by {format_name(wanted)!r}")
    algorithm = wire.signature_algorithm
    part = plugins.key_algorithm_of(issuer.public_key_info)
    if (
        algorithm.algorithm not in part.signature_oids
        or wire.tbs.signature != algorithm
        or not part.verify(
            issuer.public_key_info, algorithm, encode(wire.tbs_certificate), wire.signature_value.as_bytes()
        )
    ):
        raise _fault(f"the signature of {title} does not fit the key of {by}")


def _check_same(one: CertificateOutline, other: CertificateOutline, title: str, of: str) -> None:
    """Whether two certificates are for the same key under the same name."""
    if one.public_key_info != other.public_key_info:
        raise _fault(f"{title} has another key than {of}")
    if not names_match(read_name(one.subject_der), read_name(other.subject_der)):
        raise _fault(f"{title} has another subject than {of}")


def _check_validity(certificate: CertificateOutline, title: str, now: datetime) -> None:
    not_before, not_after = certificate.validity_period
    if not not_before <= now <= not_after:
        raise _fault(f"{title} is valid from {not_before} to {not_after} only")


def _fault(detail: str, hint: str = "") -> CMPError:
    return CMPError(detail, PKIFailureInfo.SIGNER_NOT_TRUSTED, rule=_RULE, hint=hint)
