"""Who signed a message: the certificate is found, the signature verified, the path validated.

RFC 9483 section 3.5; R-011, R-013, R-036, R-037, R-047, R-049.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from cmpkit import oids
from cmpkit.asn1 import GeneralName, PKIMessage, decode, distinguished_name, encode_general_name, read_name
from cmpkit.asn1.codec import encode_octets
from cmpkit.crypto.names import format_name, names_match
from cmpkit.crypto.paths import check_digital_signature_usage, validate_path
from cmpkit.crypto.protection import find_protection, verify_message
from cmpkit.crypto.x509 import certificate_public_key_info, outline
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError, fault_of, raise_first
from cmpkit.parts import ProtectionKind
from cmpkit.plugins import Plugins
from cmpkit.tolerances import STRICT, Leniency

__all__ = [
    "MAX_EXTRA_CERTS",
    "find_signer",
    "subject_key_identifier",
    "validate_signer",
    "verify_signature",
]

MAX_EXTRA_CERTS = 32
"""extraCerts of one message that are looked at; they are not integrity-protected (R-049)."""


def subject_key_identifier(certificate: bytes) -> bytes | None:
    """The SubjectKeyIdentifier of a certificate, or ``None`` if it has none.

    :raises CMPError: badDataFormat if the certificate cannot be read.
    """
    value = outline(certificate).extension(oids.SUBJECT_KEY_IDENTIFIER)
    return None if value is None else decode(bytes, value)


def find_signer(message: PKIMessage, known: Iterable[bytes] = (), leniency: Leniency = STRICT) -> bytes:
    """The certificate whose key protects a message: the one that senderKID and sender name.

    :param known: DER certificates to look at besides extraCerts (pinned ones, earlier ones of the transaction).
    :param leniency: what is let pass where no certificate is named as it should be.
    :raises CMPError: badMessageCheck if there is none, naming what did not fit.
    """
    misfits: list[tuple[bytes, tuple[_Misfit, ...]]] = []
    for der in (*message.extra_certs[:MAX_EXTRA_CERTS], *known):
        found = tuple(_misfits(message, der))
        if not found:
            return der
        misfits.append((der, found))
    for der, found in misfits:
        if all(misfit.tolerance in leniency.names for misfit in found):
            for misfit in found:
                leniency.allows(misfit.tolerance)
            return der
    faults = [found[0].detail for _, found in misfits]
    if len(message.extra_certs) > MAX_EXTRA_CERTS:
        faults.append(f"only {MAX_EXTRA_CERTS} of {len(message.extra_certs)} extraCerts were looked at")
    raise CMPError(
        "no certificate of the signer: " + ("; ".join(dict.fromkeys(faults)) or "extraCerts is empty"),
        PKIFailureInfo.BAD_MESSAGE_CHECK,
        rule="RFC 9483 sections 3.3 and 3.5",
        hint="the protecting certificate must be in extraCerts, its subject be the sender, its "
        "SubjectKeyIdentifier the senderKID",
        tolerance=_way_out([found for _, found in misfits], leniency),
    )


class _Misfit(NamedTuple):
    """Why a certificate is not the signer's, and the tolerance under which it may be."""

    detail: str
    tolerance: str


def _way_out(misfits: Sequence[tuple[_Misfit, ...]], leniency: Leniency) -> str:
    """The tolerance that is needed first for the first certificate that tolerances would let pass."""
    for found in misfits:
        if all(misfit.tolerance for misfit in found):
            return next(misfit.tolerance for misfit in found if misfit.tolerance not in leniency.names)
    return ""


def _misfits(message: PKIMessage, der: bytes) -> Iterator[_Misfit]:
    """Why this certificate is not the signer's; nothing if it is."""
    header = message.header
    try:
        certificate = outline(der)
        identifier = certificate.extension(oids.SUBJECT_KEY_IDENTIFIER)
        subject_der = certificate.subject_der
        subject = read_name(subject_der)
    except CMPError:
        yield _Misfit("a certificate in extraCerts cannot be read", "")
        return
    if identifier is not None:
        if header.sender_kid is None:
            yield _Misfit("senderKID is missing", "missing-sender-kid")
        elif identifier != encode_octets(header.sender_kid):
            yield _Misfit("senderKID is not the SubjectKeyIdentifier of a certificate that came", "foreign-sender-kid")
    sender = subject if _is_directory_name(header.sender, subject_der) else distinguished_name(header.sender)
    if sender is None:
        yield _Misfit("sender is no directoryName", "")
    elif not names_match(sender, subject):
        tolerance = "" if sender.rdns else "null-sender"
        if sender.rdns and names_match(sender, subject, any_order=True):
            tolerance = "reordered-sender"
        yield _Misfit(f"sender {format_name(sender)} is not the subject {format_name(subject)}", tolerance)


def _is_directory_name(name: GeneralName, der: bytes) -> bool:
    """Whether it is that name, to the octet, which needs no reading."""
    return name.tag == "directory_name" and bytes(encode_general_name(name).data) == der


async def verify_signature(message: PKIMessage, certificate: bytes, plugins: Plugins) -> None:
    """Whether the key of ``certificate`` signed the message.

    :raises CMPError: badAlg, badMessageCheck; wrongIntegrity if it is no signature.
    """
    assert message.header.protection_alg is not None
    protection = find_protection(plugins, message.header.protection_alg.algorithm)
    if protection.kind is not ProtectionKind.SIGNATURE:
        raise CMPError(
            f"protection by {protection.kind.value} is no signature",
            PKIFailureInfo.WRONG_INTEGRITY,
            rule="RFC 9483 section 3.5",
        )
    await verify_message(protection, message, certificate_public_key_info(certificate))


def validate_signer(
    message: PKIMessage,
    certificate: bytes,
    *,
    known: Sequence[bytes] = (),
    anchors: Sequence[bytes],
    now: datetime,
    plugins: Plugins,
    leniency: Leniency = STRICT,
) -> tuple[bytes, ...]:
    """The path from the signer to a trust anchor.

    :param leniency: what is let pass.
    :raises CMPError: signerNotTrusted, naming the certificate and the reason.
    """
    raise_first(fault_of(check_digital_signature_usage, certificate), leniency)
    candidates = (*message.extra_certs[:MAX_EXTRA_CERTS], *known)
    return validate_path(certificate, candidates=candidates, anchors=anchors, now=now, plugins=plugins)
