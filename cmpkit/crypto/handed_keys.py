"""Private keys that requesters hand over: EncKeyWithID in EnvelopedData (RFC 4211 sections 4.2.1 and 6.4)."""

from __future__ import annotations

import secrets
from typing import Final

from cryptography import x509

from cmpkit import oids
from cmpkit.asn1 import (
    EncKeyWithID,
    EnvelopedData,
    OneAsymmetricKey,
    Variant,
    decode,
    directory_name,
    encode,
    encode_general_name,
)
from cmpkit.crypto.enveloping import OpeningKey, Recipient, envelop, open_envelope
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError
from cmpkit.parts import PrivateKey, RandomOctets
from cmpkit.plugins import Plugins

__all__ = ["open_private_key", "seal_private_key"]

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
    tolerances: frozenset[str] = frozenset(),
) -> PrivateKey:
    """The private key that somebody handed over.

    :param opening_key: of whom it is encrypted for: a private key or a shared secret.
    :param public_key_info: DER of the public key that it must have.
    :param tolerances: see :func:`cmpkit.crypto.enveloping.open_envelope`.
    :raises CMPError: badAlg or badDataFormat if it cannot be had; badPOP if it is another key.
    """
    content_type = enveloped.encrypted_content_info.content_type
    if content_type != oids.CT_ENC_KEY_WITH_ID:
        raise CMPError(
            f"the private key that was handed over is of the type {content_type.dotted_string}, not id-ct-encKeyWithID",
            PKIFailureInfo.BAD_DATA_FORMAT,
            rule=_RULE,
        )
    handed = (await open_envelope(enveloped, opening_key, read=_read, tolerances=tolerances)).private_key
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


def _read(content: bytes) -> EncKeyWithID:
    return decode(EncKeyWithID, content)
