"""Private keys that requesters hand over: EncKeyWithID in EnvelopedData (RFC 4211 sections 4.2.1 and 6.4)."""

from __future__ import annotations

import secrets
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from cryptography import x509

from cmpkit import oids
from cmpkit.asn1 import (
    EncKeyWithID,
    EnvelopedData,
    OneAsymmetricKey,
    ProofOfPossession,
    Variant,
    decode,
    decode_general_name,
    directory_name,
    distinguished_name,
    encode,
    encode_general_name,
)
from cmpkit.crypto.enveloping import (
    KeyRecipient,
    OpeningKey,
    PasswordRecipient,
    Recipient,
    envelop,
    open_envelope,
)
from cmpkit.crypto.later_proof import private_popo
from cmpkit.crypto.names import names_match
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError
from cmpkit.parts import PrivateKey, RandomOctets, SharedSecret
from cmpkit.plugins import Plugins

__all__ = ["HandedKey", "open_private_key", "recipient_of", "seal_private_key"]

_RULE: Final = "RFC 4211 section 6.4"


async def seal_private_key(
    key: PrivateKey,
    recipient: Recipient,
    holder: x509.Name,
    *,
    plugins: Plugins,
    random: RandomOctets = secrets.token_bytes,
) -> EnvelopedData:
    """A private key with the name of its holder, encrypted.

    :param recipient: who may have it: the CA.
    :raises CMPError: badAlg if there is no way to encrypt for the recipient, or the key cannot leave its place.
    """
    content = EncKeyWithID(
        private_key=decode(OneAsymmetricKey, key.to_pkcs8()),
        identifier=Variant(encode_general_name(directory_name(holder)), "general_name"),
    )
    return await envelop(
        encode(content), recipient, plugins=plugins, content_type=oids.CT_ENC_KEY_WITH_ID, random=random
    )


async def open_private_key(
    enveloped: EnvelopedData,
    opening_key: OpeningKey,
    *,
    public_key_info: bytes,
    plugins: Plugins,
    owners: Collection[x509.Name | str | None] = (),
    tolerances: frozenset[str] = frozenset(),
) -> PrivateKey:
    """The private key that somebody handed over.

    :param opening_key: of whom it is encrypted for: a private key or a shared secret.
    :param public_key_info: DER of the public key that it must have.
    :param owners: who may have it, if it proves possession: its identifier must be one of them (RFC 4211 section
        4.2.1). None asks for no identifier.
    :param tolerances: see :func:`cmpkit.crypto.enveloping.open_envelope`.
    :raises CMPError: badAlg or badDataFormat if it cannot be had; badPOP if it is another key, or somebody else's.
    """
    content_type = enveloped.encrypted_content_info.content_type
    if content_type != oids.CT_ENC_KEY_WITH_ID:
        raise CMPError(
            f"the private key that was handed over is of the type {content_type.dotted_string}, not id-ct-encKeyWithID",
            PKIFailureInfo.BAD_DATA_FORMAT,
            rule=_RULE,
        )
    content = await open_envelope(enveloped, opening_key, read=_read, tolerances=tolerances)
    if owners and not any(_names(content, owner) for owner in owners):
        raise CMPError(
            "the private key that was handed over is not said to be the requester's",
            PKIFailureInfo.BAD_POP,
            rule="RFC 4211 section 4.2.1",
            hint="put the name of the requester into the identifier of EncKeyWithID",
        )
    handed = content.private_key
    algorithm = plugins.key_algorithm(handed.private_key_algorithm.algorithm)
    key = algorithm.load_private_key(encode(handed))
    if key.public_key_info != public_key_info:
        raise CMPError(
            "the private key that was handed over is not that of the public key in the request",
            PKIFailureInfo.BAD_POP,
            rule=_RULE,
            hint="hand over the private key of the key to certify",
        )
    return key


def _names(content: EncKeyWithID, owner: x509.Name | str | None) -> bool:
    """Whether the identifier beside a key is that name or text."""
    if content.identifier is None or owner is None:
        return False
    value = content.identifier.value
    if isinstance(value, str):
        return value == owner
    name = distinguished_name(decode_general_name(value))
    return name is not None and isinstance(owner, x509.Name) and names_match(name, owner)


@dataclass(frozen=True, slots=True)
class HandedKey:
    """That a key is proven by handing it over, to be archived (RFC 4211 section 4.2.1, RFC 9810 section 5.2.8.3.1).

    :param server: what it is encrypted with: the secret that is shared with the CA, or DER of the certificate that the
        CA has for that (caProtEncCert).
    """

    server: SharedSecret | bytes

    async def prove(self, key: PrivateKey, holder: x509.Name, *, plugins: Plugins) -> ProofOfPossession:
        """The proof: encryptedKey.

        :param holder: the name of who has the key.
        :raises CMPError: badPOP if the key neither encrypts nor agrees, badAlg if it cannot leave its place or nothing
            can be encrypted for the server.
        """
        recipient = recipient_of(self.server)
        enveloped = await seal_private_key(key, recipient, holder, plugins=plugins)
        return private_popo(key, Variant(enveloped, "encrypted_key"))


def recipient_of(server: SharedSecret | bytes) -> Recipient:
    """Whom to encrypt for: who shares a secret, or has a certificate (DER)."""
    return PasswordRecipient(server) if isinstance(server, SharedSecret) else KeyRecipient.of_certificate(server)


def _read(content: bytes) -> EncKeyWithID:
    return decode(EncKeyWithID, content)
