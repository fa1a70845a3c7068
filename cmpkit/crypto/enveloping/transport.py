"""Key transport: the content key, encrypted with RSA (RFC 5652 section 6.2.1, RFC 9481 section 4.2)."""

from __future__ import annotations

import secrets
from typing import Any

from cmpkit import oids
from cmpkit.asn1 import AlgorithmIdentifier, KeyTransRecipientInfo, Variant
from cmpkit.crypto.enveloping.failures import (
    TOLERATE_RSA_PKCS1,
    TOLERATE_SHA1,
    bad_alg,
    bad_structure,
    is_elsewhere,
    refuse_weak,
    undecipherable,
)
from cmpkit.crypto.enveloping.recipients import KeyRecipient, OpeningKey, Recipient
from cmpkit.crypto.oaep import OAEPParameters
from cmpkit.errors import CMPError
from cmpkit.parts import KeyTransport, RandomOctets, TransportKey
from cmpkit.plugins import Plugins

__all__ = ["KeyTransportRecipients", "decrypt_content_key"]

_BY_CERTIFICATE, _BY_KEY = 0, 2
MAX_ENCRYPTED_KEY = 2048
"""Octets of the longest RSA key that key algorithms accept."""


class KeyTransportRecipients:
    """KeyTransRecipientInfo; a :class:`~cmpkit.crypto.enveloping.RecipientKind`."""

    name = "ktri"
    version = 2

    def serves(self, recipient: Recipient, plugins: Plugins) -> bool:
        """Whether the key encrypts, and may."""
        return (
            isinstance(recipient, KeyRecipient)
            and recipient.may("keyEncipherment")
            and isinstance(plugins.key_algorithm_of(recipient.public_key_info), KeyTransport)
        )

    async def wrap(
        self, content_key: bytes, recipient: KeyRecipient, *, plugins: Plugins, random: RandomOctets
    ) -> Variant[Any, Any]:
        """The content key, encrypted as the key algorithm likes it best."""
        part = plugins.key_algorithm_of(recipient.public_key_info)
        assert isinstance(part, KeyTransport)
        algorithm = part.transport_algorithm(recipient.public_key_info)
        rid: Any = recipient.identifier
        by_key = isinstance(rid, bytes)
        info = KeyTransRecipientInfo(
            version=_BY_KEY if by_key else _BY_CERTIFICATE,
            rid=Variant(rid, "subject_key_identifier" if by_key else "issuer_and_serial_number"),
            key_encryption_algorithm=algorithm,
            encrypted_key=part.encrypt(recipient.public_key_info, algorithm, content_key),
        )
        return Variant(info, self.name)

    def reads(self, info: Variant[Any, Any]) -> bool:
        """Whether it is a KeyTransRecipientInfo."""
        return info.tag == self.name

    async def unwrap(
        self, info: KeyTransRecipientInfo, key: OpeningKey, *, key_size: int, tolerances: frozenset[str]
    ) -> bytes:
        """The content key, or a random one where there is none: see :func:`decrypt_content_key`."""
        if info.version not in (_BY_CERTIFICATE, _BY_KEY):
            raise bad_structure(f"a KeyTransRecipientInfo of version {info.version}")
        _check_algorithm(info.key_encryption_algorithm, tolerances)
        return await decrypt_content_key(info.encrypted_key, info.key_encryption_algorithm, key, key_size=key_size)


async def decrypt_content_key(
    encrypted: bytes, algorithm: AlgorithmIdentifier, key: OpeningKey, *, key_size: int
) -> bytes:
    """A content key, or a random one where there is none: the content then tells nobody why it cannot be read.

    That is what keeps PKCS#1 v1.5 from answering an attacker's questions (RFC 3218 section 2.3.2).

    :param key_size: octets that it must have.
    :raises CMPError: badDataFormat if it is too long, or the key decrypts nothing.
    """
    if len(encrypted) > MAX_ENCRYPTED_KEY:
        raise bad_structure(f"an encrypted key of {len(encrypted)} octets")
    if not isinstance(key, TransportKey):
        raise undecipherable()
    instead = secrets.token_bytes(key_size)
    try:
        content_key = await key.decrypt(algorithm, encrypted)
    except CMPError as error:
        if is_elsewhere(error):
            raise
        return instead
    return content_key if len(content_key) == key_size else instead


def _check_algorithm(algorithm: AlgorithmIdentifier, tolerances: frozenset[str]) -> None:
    if algorithm.algorithm == oids.RSA_ENCRYPTION:
        refuse_weak(True, TOLERATE_RSA_PKCS1, "RSA with PKCS#1 v1.5 padding", tolerances)
    elif algorithm.algorithm == oids.RSAES_OAEP:
        refuse_weak("sha1" in OAEPParameters.of(algorithm).hash_names, TOLERATE_SHA1, "OAEP with SHA-1", tolerances)
    else:
        raise bad_alg(f"key transport by {algorithm.algorithm.dotted_string} is not known", "use RSA with OAEP")
