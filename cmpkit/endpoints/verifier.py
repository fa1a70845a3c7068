"""Who sent a request: the server's verifier (RFC 9483 sections 3.2 and 3.5; R-030 to R-037)."""

from __future__ import annotations

import secrets as _random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol

from cryptography.x509 import ObjectIdentifier

from cmpkit import oids
from cmpkit.asn1 import GeneralName, PKIMessage, decode_list, distinguished_name, read_name
from cmpkit.crypto.names import common_name, format_name, names_match
from cmpkit.crypto.protection import find_protection, verify_message
from cmpkit.crypto.x509 import certificate_public_key_info, fingerprint, issuer_key_id, outline
from cmpkit.endpoints.signer import find_signer, validate_signer
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError
from cmpkit.parts import (
    Authenticated,
    CertificateRecord,
    CertificateState,
    Credential,
    Peer,
    Protection,
    ProtectionKind,
    SecretRecord,
    SecretSource,
    SharedSecret,
    Store,
    Transaction,
)
from cmpkit.plugins import Plugins
from cmpkit.tolerances import STRICT, Leniency

__all__ = ["RequestVerifier", "ServerVerifier", "addressed", "issuer_key_of", "road_faults", "sender_faults"]

_RA, _NONE = frozenset({"ra"}), frozenset[str]()
_STAND_IN = SharedSecret(b"", _random.token_bytes(32))


class RequestVerifier(Protocol):
    """What tells a server who sent a request."""

    @property
    def tolerances(self) -> frozenset[str]:
        """Names of what is allowed beyond the default (:mod:`cmpkit.tolerances`)."""

    async def verify(
        self, message: PKIMessage, transactions: Sequence[Transaction], now: datetime, leniency: Leniency = STRICT
    ) -> Authenticated:
        """See :meth:`ServerVerifier.verify`."""


@dataclass(frozen=True)
class ServerVerifier:
    """Verifies requests against shared secrets, certificates of our own, and trust anchors.

    :param issuer_certificates: DER of the certificates that issue or did: what they issued must be in the store.
    :param anchors: DER trust anchors for signers; the issuing certificate's own is among them.
    :param intermediates: DER certificates that paths may go through besides those that messages bring.
    :param registration_authorities: DER certificates of registration authorities that other CAs issued: their holders
        are trusted as if they had cmcRA from us.
    :param tolerances: names of what is allowed beyond the default (:mod:`cmpkit.tolerances`).
    """

    plugins: Plugins
    store: Store
    secrets: Sequence[SecretSource]
    issuer_certificates: tuple[bytes, ...]
    anchors: tuple[bytes, ...]
    intermediates: tuple[bytes, ...] = ()
    registration_authorities: tuple[bytes, ...] = ()
    tolerances: frozenset[str] = field(default_factory=frozenset)

    async def verify(
        self, message: PKIMessage, transactions: Sequence[Transaction], now: datetime, leniency: Leniency = STRICT
    ) -> Authenticated:
        """The authenticated sender of a message that is protected.

        :param transactions: those with the message's transactionID: their certificates may be left out of extraCerts.
        :param leniency: what is let pass.
        :raises CMPError: badAlg, badMessageCheck, signerNotTrusted, certRevoked, wrongIntegrity.
        """
        assert message.header.protection_alg is not None
        protection = find_protection(self.plugins, message.header.protection_alg.algorithm)
        if protection.kind is ProtectionKind.MAC:
            return await self._verify_mac(message, protection, leniency)
        if protection.kind is ProtectionKind.SIGNATURE:
            return await self._verify_signature(message, protection, transactions, now, leniency)
        raise CMPError(
            f"protection by {protection.kind.value} is not served here",
            PKIFailureInfo.WRONG_INTEGRITY,
            rule="RFC 9483 section 3.5",
        )

    async def _verify_mac(self, message: PKIMessage, protection: Protection, leniency: Leniency) -> Authenticated:
        header = message.header
        reference = header.sender_kid or _reference_in_sender(header.sender, leniency)
        record = await self._find_secret(reference) if reference else None
        secret = record.secret if record else _STAND_IN
        # An unknown reference costs the same work, and gets the same answer, as a wrong MAC.
        try:
            await verify_message(protection, message, secret, leniency=leniency)
        except CMPError as error:
            if record is not None or error.fail_info is not PKIFailureInfo.BAD_MESSAGE_CHECK:
                raise
            raise self._unknown_reference(reference) from error
        if record is None:
            raise self._unknown_reference(reference)
        if record.revoked:
            raise CMPError(
                "the shared secret is revoked", PKIFailureInfo.NOT_AUTHORIZED, hint="see: cmpkit secret list"
            )
        reference = secret.reference
        identity = reference.decode(errors="backslashreplace")
        # What a passphrase does is never taken for the doing of a secret with the same reference.
        kind = "mac:passphrase:" if record.grant.revokes else "mac:"
        credential = Credential(ProtectionKind.MAC, f"{kind}{reference.hex()}", secret=secret)
        return Authenticated(identity, credential, record.grant.subject, record.grant)

    @staticmethod
    def _unknown_reference(reference: bytes | None) -> CMPError:
        if reference is None:
            return CMPError(
                "senderKID is missing, which names the shared secret",
                PKIFailureInfo.BAD_MESSAGE_CHECK,
                rule="RFC 9483 section 3.1",
                hint="the client must send the reference of the secret as senderKID",
                tolerance="missing-sender-kid",
            )
        return CMPError(
            f"no shared secret has the reference {reference.decode(errors='backslashreplace')}",
            PKIFailureInfo.BAD_MESSAGE_CHECK,
            rule="RFC 9483 section 3.5",
            hint="see: cmpkit secret list",
        )

    async def _find_secret(self, reference: bytes) -> SecretRecord | None:
        for source in self.secrets:
            record = await source.find(reference)
            if record is not None:
                return record
        return None

    async def _verify_signature(
        self,
        message: PKIMessage,
        protection: Protection,
        transactions: Sequence[Transaction],
        now: datetime,
        leniency: Leniency,
    ) -> Authenticated:
        known = tuple(der for transaction in transactions for der in transaction.extra_certs)
        certificate = find_signer(message, (*known, *self.registration_authorities), leniency)
        await verify_message(protection, message, certificate_public_key_info(certificate))
        digest = fingerprint(certificate)
        # Where nothing is issued, nobody can have a certificate of ours.
        record = await self.store.certificate_by_fingerprint(digest) if self.issuer_certificates else None
        _check_state(record, now)
        is_listed = certificate in self.registration_authorities
        path = validate_signer(
            message,
            certificate,
            known=(*known, *self.intermediates),
            anchors=(certificate,) if is_listed else self.anchors,
            now=now,
            plugins=self.plugins,
            leniency=leniency,
        )
        if record is None and len(path) > 1 and path[1] in self.issuer_certificates:
            raise CMPError(
                "our issuing certificate signed the signer's certificate, but the store does not know it",
                PKIFailureInfo.SIGNER_NOT_TRUSTED,
                hint="was the store restored from an older copy?",
            )
        return self._authenticated(certificate, digest, record, is_listed=is_listed)

    @staticmethod
    def _authenticated(
        certificate: bytes, digest: bytes, record: CertificateRecord | None, *, is_listed: bool
    ) -> Authenticated:
        subject = read_name(outline(certificate).subject_der)
        credential = Credential(ProtectionKind.SIGNATURE, f"cert:{digest.hex()}", certificate=certificate)
        is_authority = is_listed or (record is not None and _is_registration_authority(certificate))
        roles = _RA if is_authority else _NONE
        name = common_name(subject) or format_name(subject)
        return Authenticated(name, credential, subject, record=record, roles=roles)


def _is_registration_authority(certificate: bytes) -> bool:
    """Whether a certificate that we issued says that its holder is one (RFC 9810 section 8.10, R-068)."""
    usage = outline(certificate).extension(oids.EXTENDED_KEY_USAGE)
    return usage is not None and oids.KP_CMC_RA in decode_list(ObjectIdentifier, usage)


def _reference_in_sender(sender: GeneralName, leniency: Leniency) -> bytes | None:
    """The reference that the sender's commonName is, where senderKID is missing and that is tolerated."""
    name = distinguished_name(sender)
    text = None if name is None else common_name(name)
    return text.encode() if text and leniency.allows("missing-sender-kid") else None


def addressed(auth: Authenticated, peer: Peer) -> Authenticated:
    """The sender of a message, with the label of the address that it came to: policies may go by that."""
    return auth if peer.label is None else replace(auth, label=peer.label)


def sender_faults(message: PKIMessage, auth: Authenticated) -> Iterator[CMPError]:
    """Whether the sender of a message under a shared secret is the one that the secret was given to (R-012).

    That is a name whose commonName is the reference, the empty name (RFC 9810 section 5.1.1), or the subject that the
    secret grants: OpenSSL sends the subject that it asks for. A secret that grants any subject fits any name. The
    sender of a signed message is looked at where its certificate is found.
    """
    if auth.credential.secret is None:
        return
    name, subject = distinguished_name(message.header.sender), auth.subject
    reference = auth.credential.secret.reference
    if name is not None:
        text = common_name(name)
        named = text is not None and text.encode() == reference
        if named or not name.rdns or subject is None or names_match(name, subject):
            return
    yield CMPError(
        f"the sender {'is no directoryName' if name is None else format_name(name)} is not the one that the secret "
        f"{reference.decode(errors='backslashreplace')} was given to",
        PKIFailureInfo.BAD_MESSAGE_CHECK,
        rule="RFC 9483 section 3.1",
        hint="put the reference of the secret into the commonName of the sender, or the subject that it grants",
        status_text="the sender is not the one that the shared secret was given to",
        tolerance="foreign-mac-sender",
    )


def road_faults(transaction: Transaction | None, peer: Peer) -> Iterator[CMPError]:
    """Whether a message comes over the road on which its transaction began, where the operator wants that."""
    if transaction is not None and transaction.road not in ("", peer.road):
        yield CMPError(
            f"the transaction began on the road {transaction.road}, and goes on over {peer.road}",
            PKIFailureInfo.NOT_AUTHORIZED,
            rule="same_road of [server]",
            hint="go on over the same road, or set same_road = false",
            status_text="this transaction must go on over the road on which it began",
        )


def _check_state(record: CertificateRecord | None, now: datetime) -> None:
    """Revocation and expiry of a certificate of our own (R-121, R-145)."""
    if record is None:
        return
    revoked = record.state in (CertificateState.REVOKED, CertificateState.ON_HOLD)
    if revoked or record.not_after < now:
        raise CMPError(
            f"the signer's certificate {record.serial_number:x} ({record.subject}) is "
            + (record.state.value if revoked else "expired"),
            PKIFailureInfo.CERT_REVOKED | PKIFailureInfo.SIGNER_NOT_TRUSTED,
            rule="RFC 9483 section 4.1.3",
            hint="it needs a new certificate, by another credential",
        )


def issuer_key_of(certificate: bytes) -> str:
    """The ``issuer_key`` under which a CA certificate's issues are recorded."""
    return issuer_key_id(certificate_public_key_info(certificate))
