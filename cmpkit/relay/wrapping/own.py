"""The protection that a registration authority puts on what it sends upstream."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from cmpkit.asn1 import AlgorithmIdentifier, GeneralName, PKIMessage, directory_name
from cmpkit.caching import cached_property
from cmpkit.crypto.protection import find_protection
from cmpkit.endpoints.credentials import Credentials, SigningCredentials, secret_sender
from cmpkit.endpoints.protector import protect, protection_for
from cmpkit.parts import RandomOctets
from cmpkit.plugins import Plugins

__all__ = ["OwnProtection"]


@dataclass(frozen=True)
class OwnProtection:
    """Protects messages by a certificate of the registration authority, or by the secret that it shares with the CA.

    :param random: where nonces and salts come from.
    """

    plugins: Plugins
    credentials: Credentials
    random: RandomOctets = secrets.token_bytes

    @cached_property
    def sender(self) -> GeneralName:
        """The sender of its messages: the subject of the certificate, or the reference of the secret."""
        if isinstance(self.credentials, SigningCredentials):
            return self.credentials.sender
        return directory_name(secret_sender(self.credentials))

    @property
    def sender_kid(self) -> bytes | None:
        """The key identifier of the certificate, or the reference of the secret."""
        if isinstance(self.credentials, SigningCredentials):
            return self.credentials.key_identifier
        return self.credentials.reference

    @property
    def extra_certs(self) -> tuple[bytes, ...]:
        """The certificate and its chain; nothing under a secret."""
        return self.credentials.extra_certs if isinstance(self.credentials, SigningCredentials) else ()

    def algorithm(self, transaction_id: bytes) -> AlgorithmIdentifier:
        """The protectionAlg for a message of a transaction.

        The parameters of a MAC are the same through a transaction, also after a restart (RFC 9483 section 4.1.5): its
        salt, which need only differ between transactions, is made from the transactionID.
        """
        if isinstance(self.credentials, SigningCredentials):
            return self.credentials.key.signature_algorithm
        _, constant, _ = protection_for(self.credentials, self.plugins, random=hashlib.shake_256(transaction_id).digest)
        return protection_for(self.credentials, self.plugins, constant, random=self.random)[1]

    async def protect(self, bare: PKIMessage, extra_certs: Sequence[bytes] = ()) -> PKIMessage:
        """The message with its protection.

        :param bare: a message whose header has :attr:`sender`, :attr:`sender_kid` and :meth:`algorithm`.
        :param extra_certs: DER certificates that come after our own.
        """
        assert bare.header.protection_alg is not None
        part = find_protection(self.plugins, bare.header.protection_alg.algorithm)
        key = self.credentials.key if isinstance(self.credentials, SigningCredentials) else self.credentials
        return await protect(bare, part, key, (*self.extra_certs, *extra_certs))
