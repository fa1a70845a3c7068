"""Archived private keys: what is kept of them, who asks for them, and what is handed over (RFC 9810 section 5.3.7)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, runtime_checkable

from cryptography import x509

from cmpkit.asn1 import EnvelopedData
from cmpkit.parts.identity import Authenticated, CertificateRecord

__all__ = ["ArchivedKey", "Recovered", "RecoveredKey", "RecoveryPolicy", "RecoveryRequest"]


@dataclass(frozen=True, slots=True)
class ArchivedKey:
    """A private key that is kept, so that its holder can have it back.

    :param certificate: what was issued for it.
    :param private_key: DER of PrivateKeyInfo.
    """

    certificate: CertificateRecord
    private_key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class RecoveryRequest:
    """That somebody wants archived keys back.

    :param encryption_key: DER of the SubjectPublicKeyInfo that they are to be encrypted to (protocolEncrKey).
    :param subject: of the certificates that they belong to; ``None`` leaves it to the server.
    :param profile: of these certificates; ``None`` for all that the requester may have.
    """

    encryption_key: bytes
    subject: x509.Name | None = None
    profile: str | None = None


@dataclass(frozen=True, slots=True)
class RecoveredKey:
    """An archived key on its way to who asked for it.

    :param certificate: what was issued for it.
    :param private_key: the key, encrypted for the requester.
    """

    certificate: CertificateRecord
    private_key: EnvelopedData


@dataclass(frozen=True, slots=True)
class Recovered:
    """What is handed over.

    :param keys: the newest first.
    :param chain: DER certificates of the CAs above them, without trust anchors.
    :param is_complete: whether there are no more keys than these.
    """

    keys: tuple[RecoveredKey, ...]
    chain: tuple[bytes, ...] = ()
    is_complete: bool = True


@runtime_checkable
class RecoveryPolicy(Protocol):
    """What a :class:`~cmpkit.parts.Policy` has besides if archived keys may be had back; without it, nobody may."""

    async def authorize_recovery(
        self, request: RecoveryRequest, auth: Authenticated, *, now: datetime
    ) -> Mapping[str, x509.Name]:
        """Of which profiles this sender may have keys, and for each of them of which subject.

        :raises CMPError: notAuthorized, badCertTemplate ... if it may have none.
        """
