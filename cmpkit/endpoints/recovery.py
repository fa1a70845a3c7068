"""Archived keys, had back by their holders (RFC 9810 sections 5.3.7 and 5.3.8)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography import x509

from cmpkit.asn1 import CertifiedKeyPair, EnvelopedData, KeyRecRepContent, decode, encode
from cmpkit.crypto.enveloping import KeyRecipient, can_receive
from cmpkit.crypto.key_packages import open_key_package
from cmpkit.crypto.names import format_name, names_match
from cmpkit.crypto.paths import validate_path
from cmpkit.crypto.x509 import certificate_public_key_info
from cmpkit.endpoints.central_keys import check_deliverer
from cmpkit.endpoints.controls import protocol_encryption_key
from cmpkit.endpoints.conversation import Conversation
from cmpkit.endpoints.credentials import Credentials, SigningCredentials, as_name
from cmpkit.endpoints.enrolled import Enrolled, certificate_results
from cmpkit.endpoints.options import ClientOptions
from cmpkit.endpoints.requests import Wish, recovery_request, sought_certificate
from cmpkit.engine.client import Send, begin
from cmpkit.engine.client_transaction import ClientTransaction
from cmpkit.enums import PKIFailureInfo, PKIStatus
from cmpkit.errors import CMPError, ConfigurationError, TrustError
from cmpkit.parts import PrivateKey
from cmpkit.plugins import Plugins

__all__ = ["RecoveredPair", "Recovering", "Recovery"]

_RULE: Final = "RFC 9810 section 5.3.8"


@dataclass(frozen=True, slots=True)
class RecoveredPair:
    """An archived key that came, checked.

    :param certificate: DER of what was issued for it; it may have expired, or be revoked.
    :param chain: DER certificates from its issuer to the trust anchor.
    """

    certificate: bytes
    key: PrivateKey
    chain: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Recovery:
    """What came of a recovery.

    :param pairs: the archived keys, the newest first.
    :param enrolled: the certificate for the new signing key, if one was asked for.
    :param is_complete: whether the server says that these are all keys it has.
    :param saved: the file that keeps its transaction until :meth:`Client.forget
        <cmpkit.endpoints.client.Client.forget>`; ``None`` if none is kept.
    """

    pairs: tuple[RecoveredPair, ...]
    enrolled: Enrolled | None = None
    is_complete: bool = True
    saved: Path | None = None


class Recovering(ABC):
    """What a client does to have archived keys back, and to forget what is over."""

    credentials: Credentials
    options: ClientOptions
    plugins: Plugins
    trust: tuple[bytes, ...]

    @abstractmethod
    def _conversation(
        self, credentials: Credentials, profiles: tuple[str, ...] | None = None, keys: Sequence[PrivateKey] = ()
    ) -> Conversation: ...

    async def recover(
        self,
        encryption_key: PrivateKey | None = None,
        *,
        key: PrivateKey | None = None,
        subject: x509.Name | str | None = None,
        context: Mapping[str, str] | None = None,
    ) -> Recovery:
        """Have archived keys back (krr): those that the server lets this requester have.

        The profile of the client's options, if there is one, says of which profile.

        :param encryption_key: what the archived keys are to be encrypted to; ``None`` takes the key of the client's
            certificate. With it, a recovery that was interrupted can be gone on with.
        :param key: a new signing key to certify besides; ``None`` asks for no certificate.
        :param subject: whose keys, and the subject of the new certificate; ``None`` leaves it to the server.
        :param context: kept in the saved transaction, for whoever resumes it.
        """
        opening_key = self._opening_key(encryption_key)
        if not self.trust:
            raise ConfigurationError("no trust anchors: keys that come could not be checked", hint="give --trusted")
        name = None if subject is None else as_name(subject)
        conversation = self._conversation(self.credentials, keys=[key] if key is not None else [])
        controls = (protocol_encryption_key(opening_key.public_key_info),)
        body = await recovery_request(key, name, controls, sender=conversation.sender)
        sought = [] if key is None else [sought_certificate(body.content[0], Wish(key=key, subject=name))]
        transaction = begin(
            body.type,
            sought=sought,
            enveloped=True,
            implicit_confirm=self.options.implicit_confirm,
            context=context,
            random=self.options.random,
        )
        finished = await conversation.run(Send(transaction, body))
        return await self._recovered(finished.transaction, conversation, opening_key, name)

    async def resume_recovery(
        self,
        saved: Path | ClientTransaction,
        encryption_key: PrivateKey | None = None,
        *,
        key: PrivateKey | None = None,
    ) -> Recovery:
        """Go on with a recovery that another process began; keys as for :meth:`recover`.

        :param saved: its file, or the transaction.
        """
        opening_key = self._opening_key(encryption_key)
        conversation = self._conversation(self.credentials, keys=[key] if key is not None else [])
        transaction = conversation.load(saved) if isinstance(saved, Path) else saved
        finished = await conversation.resume(transaction)
        return await self._recovered(finished.transaction, conversation, opening_key, None)

    def forget(self, came: Enrolled | Recovery) -> None:
        """Remove the saved transaction of what is in a safe place now."""
        if came.saved is not None:
            came.saved.unlink(missing_ok=True)

    def _opening_key(self, given: PrivateKey | None) -> PrivateKey:
        key = given or (self.credentials.key if isinstance(self.credentials, SigningCredentials) else None)
        if key is None or not can_receive(KeyRecipient.of_key(key.public_key_info), self.plugins):
            raise ConfigurationError(
                "archived keys are encrypted to a key of the requester, and none is given that can open them",
                hint="give an RSA, EC, X25519 or X448 key: --enckey",
            )
        return key

    async def _recovered(
        self, transaction: ClientTransaction, conversation: Conversation, key: PrivateKey, subject: x509.Name | None
    ) -> Recovery:
        results = await certificate_results(transaction, conversation)
        enrolled = results[0] if results else None
        if isinstance(enrolled, CMPError):
            raise enrolled
        content = decode(KeyRecRepContent, transaction.recovered)
        pairs = [
            await self._open(pair, transaction, content, key, subject=subject) for pair in content.key_pair_hist or ()
        ]
        is_complete = content.status.status is not PKIStatus.GRANTED_WITH_MODS
        return Recovery(tuple(pairs), enrolled, is_complete, conversation.saved_as(transaction))

    async def _open(
        self,
        pair: CertifiedKeyPair,
        transaction: ClientTransaction,
        content: KeyRecRepContent,
        key: PrivateKey,
        *,
        subject: x509.Name | None,
    ) -> RecoveredPair:
        """A key that came with its certificate.

        :raises TrustError: if the server may not hand it over, or it is not that of the certificate or the subject.
        """
        certificate = encode(pair.cert_or_enc_cert.value)
        assert pair.private_key is not None
        assert isinstance(pair.private_key.value, EnvelopedData)
        now = self.options.clock()
        candidates = (*map(encode, content.ca_certs or ()), *transaction.chain, *self.options.untrusted)
        try:
            delivered = await open_key_package(
                pair.private_key.value, key, plugins=self.plugins, tolerances=self.options.tolerances
            )
            _check_pair(certificate, delivered.key, subject)
            path = validate_path(
                certificate,
                candidates=candidates,
                anchors=self.trust,
                now=_within_validity(certificate, now),
                plugins=self.plugins,
            )
        except TrustError:
            raise
        except CMPError as error:
            raise TrustError(
                f"an archived key that came is not acceptable: {error.detail}",
                error.fail_info,
                rule=error.rule or _RULE,
                hint=error.hint,
            ) from error
        check_deliverer(
            delivered,
            path,
            candidates=candidates,
            anchors=self.trust,
            now=now,
            plugins=self.plugins,
            is_archived=True,
        )
        return RecoveredPair(certificate, delivered.key, path[1:])


def _check_pair(certificate: bytes, key: PrivateKey, subject: x509.Name | None) -> None:
    if certificate_public_key_info(certificate) != key.public_key_info:
        raise TrustError(
            "an archived key that came is not that of its certificate", PKIFailureInfo.BAD_DATA_FORMAT, rule=_RULE
        )
    found = x509.load_der_x509_certificate(certificate).subject
    if subject is not None and not names_match(found, subject):
        raise TrustError(
            f"a key of {format_name(found)} came, where those of {format_name(subject)} were asked for",
            PKIFailureInfo.BAD_CERT_TEMPLATE,
            rule=_RULE,
        )


def _within_validity(certificate: bytes, now: datetime) -> datetime:
    """Now, or the last moment at which a certificate was valid: old keys have old certificates."""
    loaded = x509.load_der_x509_certificate(certificate)
    return min(max(now, loaded.not_valid_before_utc), loaded.not_valid_after_utc)
