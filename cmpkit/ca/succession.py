"""The new keys of a CA whose root is replaced, and what ties them to the old one (RFC 9810 section 4.4)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from cryptography import x509

from cmpkit.ca.certificates import IssuerCertificate, read_issuer_certificate
from cmpkit.ca.hierarchy import (
    ROOT_VALIDITY,
    make_issuing,
    make_ocsp_signer,
    make_root,
    make_root_crl,
    make_signer,
)
from cmpkit.crypto.names import common_name, format_name
from cmpkit.crypto.root_update import check_root_update
from cmpkit.errors import ConfigurationError
from cmpkit.parts import CertificateRecord, PrivateKey, RootKeyUpdate
from cmpkit.plugins import Plugins

__all__ = ["Successor", "SuccessorKeys", "make_successor", "successor_name"]


@dataclass(frozen=True, slots=True)
class Successor:
    """What takes the place of a root and of the issuing CA below it.

    :param update: the new root certificate, and the links between it and the old one.
    :param root_crl: DER of the CRL of the new root.
    :param signer: the record of the new signer of CMP messages.
    :param ocsp: that of the new signer of OCSP responses.
    """

    update: RootKeyUpdate
    root_crl: bytes
    issuing: IssuerCertificate
    signer: CertificateRecord
    ocsp: CertificateRecord


@dataclass(frozen=True, slots=True)
class SuccessorKeys:
    """The keys of a successor."""

    root: PrivateKey
    issuing: PrivateKey
    signer: PrivateKey
    ocsp: PrivateKey


async def make_successor(
    old_root: bytes,
    subject: x509.Name,
    *,
    old_key: PrivateKey,
    keys: SuccessorKeys,
    plugins: Plugins,
    now: datetime,
    path_length: int | None = 0,
) -> Successor:
    """Certify the new keys: newWithNew, newWithOld and oldWithNew, the issuing CA under the new root, and its signers.

    Validity is as RFC 9810 section 4.4 wants it (R-196): newWithOld begins with newWithNew and ends with the old root,
    oldWithNew is valid as long as the old root is.

    :param old_root: DER of the root certificate so far.
    :param subject: of the new issuing CA.
    :param old_key: the key of the old root.
    :param path_length: how many CAs may be below the new issuing CA; ``None`` for any number.
    :raises ConfigurationError: if ``old_key`` is not that of the old root, or the root is not valid now.
    """
    root = x509.load_der_x509_certificate(old_root)
    begins, ends = root.not_valid_before_utc, root.not_valid_after_utc
    if not begins <= now <= ends:
        raise ConfigurationError(
            f"the root {format_name(root.subject)} is valid from {begins} to {ends} only: it can vouch for no other",
            rule="RFC 9810 section 4.4",
            hint="make a new CA with cmpkit init, and bring its root to clients by another way",
        )
    now = now.replace(microsecond=0)
    until = now + ROOT_VALIDITY
    name = root.subject
    update = RootKeyUpdate(
        new_with_new=await make_root(name, keys.root, signed_by=keys.root, not_before=now, not_after=until),
        new_with_old=await make_root(name, keys.root, signed_by=old_key, not_before=now, not_after=min(until, ends)),
        old_with_new=await make_root(name, old_key, signed_by=keys.root, not_before=begins, not_after=ends),
    )
    check_root_update(update, old_root, plugins=plugins, now=now)
    issuing = await make_issuing(
        subject, keys.issuing, root_name=name, root_key=keys.root, now=now, path_length=path_length
    )
    authority = read_issuer_certificate((issuing, update.new_with_new))
    return Successor(
        update,
        await make_root_crl(update.new_with_new, keys.root, now=now),
        authority,
        await make_signer(authority, keys.issuing, key=keys.signer, now=now),
        await make_ocsp_signer(authority, keys.issuing, key=keys.ocsp, now=now),
    )


def successor_name(name: x509.Name, generation: int) -> x509.Name:
    """The name of an issuing CA with its generation after the commonName, in place of an earlier one.

    Each key of an issuing CA has a name of its own, or its CRLs could be taken for one another's (RFC 5280 section 5).

    :param generation: 2 for the first successor.
    :raises ConfigurationError: if the name gets too long.
    """
    base = common_name(name)
    if base is None:
        raise ConfigurationError(
            f"the CA {format_name(name)} has no commonName to make another name of", hint="give one with --subject"
        )
    text = f"{base.removesuffix(f' {generation - 1}')} {generation}"
    try:
        attribute = x509.NameAttribute(x509.NameOID.COMMON_NAME, text)
    except ValueError as error:
        raise ConfigurationError(
            f"{text!r} is too long for a commonName", hint="give a shorter one with --subject"
        ) from error
    kept = [rdn for rdn in name.rdns if not any(item.oid == x509.NameOID.COMMON_NAME for item in rdn)]
    return x509.Name([*kept, x509.RelativeDistinguishedName([attribute])])
