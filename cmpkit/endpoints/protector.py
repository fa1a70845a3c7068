"""Protecting messages: the header gets its protectionAlg, the message its protection and extraCerts."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from cryptography import x509

from cmpkit import oids
from cmpkit.asn1 import (
    AlgorithmIdentifier,
    GeneralName,
    InfoTypeAndValue,
    PKIBody,
    PKIHeader,
    PKIMessage,
    directory_name,
)
from cmpkit.caching import cached_property
from cmpkit.crypto.protection import find_protection, mac_protection
from cmpkit.crypto.x509 import outline
from cmpkit.endpoints.credentials import Credentials, SigningCredentials
from cmpkit.engine.header import response_header
from cmpkit.enums import BodyType
from cmpkit.errors import ConfigurationError
from cmpkit.parts import Credential, Protection, RandomOctets, SecretProtection, SharedSecret
from cmpkit.plugins import Plugins

__all__ = ["Protector", "mac_names", "protect", "protection_for", "seal"]


def protection_for(
    credentials: Credentials,
    plugins: Plugins,
    like: AlgorithmIdentifier | None = None,
    *,
    mac: str | None = None,
    random: RandomOctets = secrets.token_bytes,
) -> tuple[Protection, AlgorithmIdentifier, Any]:
    """The protection part, the protectionAlg and the key for these credentials.

    :param like: what the peer used, to answer a MAC in kind.
    :param mac: the MAC to begin with under a shared secret: one of :func:`mac_names`; ``None`` takes the usual one.
    :param random: where the random octets of new parameters come from.
    :raises ConfigurationError: if there is no such MAC.
    """
    if isinstance(credentials, SigningCredentials):
        algorithm = credentials.key.signature_algorithm
        return find_protection(plugins, algorithm.algorithm), algorithm, credentials.key
    if like is None and mac is not None:
        chosen = _find_mac(plugins, mac)
        return chosen, chosen.new_algorithm(mac, random), credentials
    part = find_protection(plugins, like.algorithm) if like is not None else mac_protection(plugins)
    return part, part.algorithm(credentials, like, random=random), credentials


def mac_names(plugins: Plugins) -> tuple[str, ...]:
    """The names of the MACs that messages under a shared secret can begin with."""
    return tuple(name for part in plugins.all("protection") for name in getattr(part, "macs", ()))


def _find_mac(plugins: Plugins, mac: str) -> SecretProtection:
    for part in plugins.all("protection"):
        if mac in getattr(part, "macs", ()):
            return part  # type: ignore[no-any-return]
    raise ConfigurationError(
        f"there is no MAC {mac!r}", hint=f"there are: {', '.join(mac_names(plugins)) or 'none'}; see: cmpkit plugins"
    )


async def seal(
    header: PKIHeader, body: PKIBody, protection: Protection, key: Any, extra_certs: Sequence[bytes]
) -> PKIMessage:
    """The protected message; ``header`` names the algorithm already.

    :param extra_certs: DER certificates; duplicates are left out.
    """
    return await protect(PKIMessage(header, body), protection, key, extra_certs)


async def protect(bare: PKIMessage, protection: Protection, key: Any, extra_certs: Sequence[bytes]) -> PKIMessage:
    """A message with its protection, header and body octet by octet as they are.

    :param bare: a message whose header names the algorithm already.
    :param extra_certs: DER certificates; duplicates are left out.
    """
    assert bare.header.protection_alg is not None
    value = await protection.protect(bare.protected_part, bare.header.protection_alg, key)
    return bare.with_protection(value, dict.fromkeys(extra_certs))


@dataclass(frozen=True)
class Protector:
    """Protects a server's answers: a MAC for whoever authenticated by MAC, a signature for everybody else (R-042).

    :param name: the name of the server in answers under a MAC.
    :param random: where nonces and salts come from.
    :param former: signers under earlier keys of the CA: whoever has a certificate from the same key is answered by
        them, for he may know no other (RFC 9810 section 4.5).
    """

    plugins: Plugins
    signer: SigningCredentials
    name: x509.Name
    random: RandomOctets = secrets.token_bytes
    former: tuple[SigningCredentials, ...] = ()

    @cached_property
    def _name(self) -> GeneralName:
        """The sender of answers under a MAC."""
        return directory_name(self.name)

    def _signer(self, to: Credential | None) -> SigningCredentials:
        """Who signs the answer to that credential."""
        if not self.former or to is None or to.certificate is None:
            return self.signer
        issuer = _issuer_id(to.certificate)
        return next((signer for signer in self.former if _issuer_id(signer.certificate) == issuer), self.signer)

    def sender(self, to: Credential) -> GeneralName:
        """The sender of the answer to that credential."""
        return self._name if to.secret else self._signer(to).sender

    async def answer(
        self,
        request: PKIHeader | None,
        body: PKIBody,
        *,
        to: Credential | None,
        now: datetime,
        general_info: Sequence[InfoTypeAndValue] = (),
        extra_certs: Sequence[bytes] = (),
        sender_nonce: bytes = b"",
    ) -> PKIMessage:
        """The protected answer to a request.

        :param request: its header, ``None`` if it could not be read.
        :param to: the credential that was authenticated, ``None`` if none was.
        :param sender_nonce: another one than a fresh one.
        """
        secret: SharedSecret | None = to.secret if to else None
        like = request.protection_alg if request and secret else None
        signer = self._signer(to)
        protection, algorithm, key = protection_for(secret or signer, self.plugins, like, random=self.random)
        header = response_header(
            request,
            sender=self._name if secret else signer.sender,
            sender_kid=secret.reference if secret else signer.key_identifier,
            protection_alg=algorithm,
            recip_nonce=request.sender_nonce if request else None,
            now=now,
            general_info=general_info,
            random=self.random,
        )
        if sender_nonce:
            header = replace(header, sender_nonce=sender_nonce)
        own = () if secret else signer.extra_certs
        return await seal(header, body, protection, key, (*own, *extra_certs))

    async def protect_again(self, answer: PKIMessage, request: PKIHeader, *, to: Credential) -> PKIMessage:
        """The answer of another server under our protection, for who asked us (RFC 9483 section 5.2.3).

        Body, transactionID, nonces, generalInfo and certificates stay. So does the sender of challenges that is told by
        a MAC: they hold its name (RFC 9810 section 5.2.8.3.3).

        :param request: the header of what is answered.
        """
        secret, signer = to.secret, self._signer(to)
        like = request.protection_alg if secret else None
        protection, algorithm, key = protection_for(secret or signer, self.plugins, like, random=self.random)
        is_challenge = secret is not None and answer.body.type is BodyType.POPDECC
        header = replace(
            answer.header,
            sender=answer.header.sender if is_challenge else self.sender(to),
            recipient=request.sender,
            protection_alg=algorithm,
            sender_kid=secret.reference if secret else signer.key_identifier,
        )
        own = () if secret else signer.extra_certs
        return await protect(answer.with_header(header), protection, key, (*own, *answer.extra_certs))


def _issuer_id(certificate: bytes) -> tuple[bytes, bytes | None]:
    """What tells the issuers of certificates apart: name and key identifier."""
    found = outline(certificate)
    return found.issuer_der, found.extension(oids.AUTHORITY_KEY_IDENTIFIER)
