"""Private keys from a key generation authority: signed, encrypted, and taken out again (RFC 9483 section 4.1.6)."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cmpkit import oids
from cmpkit.asn1 import (
    EnvelopedData,
    OneAsymmetricKey,
    SignedData,
    decode,
    decode_list,
    encode,
    encode_list,
    read_public_key_info,
)
from cmpkit.crypto.enveloping import OpeningKey, Recipient, envelop, open_envelope
from cmpkit.crypto.keys import private_key_from
from cmpkit.crypto.pkcs8 import PrivateKeyInfo
from cmpkit.crypto.signed_data import RULE, VerifiedContent, sign_content, verify_content
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError
from cmpkit.parts import PrivateKey, RandomOctets
from cmpkit.plugins import Plugins

__all__ = ["TOLERATE_BARE_KEY", "DeliveredKey", "open_key_package", "seal_key_package"]

TOLERATE_BARE_KEY: Final = "openssl-central-keygen"
"""The name in ``tolerances`` that allows a bare private key in place of the key package, as OpenSSL 3.6 has it."""
_VERSION_2 = 1
_PROBE = b"whether a private key is that of a public key"


@dataclass(frozen=True, slots=True)
class DeliveredKey:
    """A private key that came, and who vouches for it.

    :param signer: DER of the certificate that signed it.
    :param certificates: DER of those that came with it.
    """

    key: PrivateKey
    signer: bytes
    certificates: tuple[bytes, ...]


async def seal_key_package(
    key: PrivateKey,
    recipient: Recipient,
    *,
    signer: PrivateKey,
    certificates: Sequence[bytes],
    plugins: Plugins,
    bare: bool = False,
    random: RandomOctets = secrets.token_bytes,
) -> EnvelopedData:
    """A private key for one recipient: EnvelopedData around SignedData around a key package with this key.

    :param signer: the key of the key generation authority.
    :param certificates: DER, its certificate first, then its chain.
    :param bare: whether PKCS#8 takes the place of the key package, for OpenSSL.
    :raises CMPError: badAlg if there is no way to encrypt for the recipient, or the key cannot leave its place.
    """
    pkcs8 = key.to_pkcs8()
    if bare:
        content, content_type = pkcs8, oids.DATA
    else:
        info = decode(PrivateKeyInfo, pkcs8)
        one = OneAsymmetricKey(
            version=_VERSION_2,
            private_key_algorithm=info.algorithm,
            private_key=info.private_key,
            public_key=read_public_key_info(key.public_key_info).subject_public_key,
        )
        content, content_type = encode_list([one]), oids.CT_ASYMMETRIC_KEY_PACKAGE
    signed = await sign_content(content, content_type, key=signer, certificates=certificates, plugins=plugins)
    return await envelop(encode(signed), recipient, plugins=plugins, content_type=oids.SIGNED_DATA, random=random)


async def open_key_package(
    enveloped: EnvelopedData,
    opening_key: OpeningKey,
    *,
    plugins: Plugins,
    tolerances: frozenset[str] = frozenset(),
) -> DeliveredKey:
    """The private key in an EnvelopedData, whose signature fits; whether its signer may sign, the caller has to judge.

    :param opening_key: of whom it is encrypted for: a private key or a shared secret.
    :param tolerances: names of what is accepted beyond the default: ``openssl-central-keygen``, and what
        :func:`cmpkit.crypto.enveloping.open_envelope` knows.
    :raises CMPError: badDataFormat, badAlg or badMessageCheck if it is not what it should be; no text holds a secret.
    """
    bare = TOLERATE_BARE_KEY in tolerances
    wanted = enveloped.encrypted_content_info.content_type
    if wanted != oids.SIGNED_DATA and not (bare and wanted == oids.DATA):
        detail = f"its content is of the type {wanted.dotted_string}, not SignedData"
        raise _not_accepted(detail, tolerance=TOLERATE_BARE_KEY if wanted == oids.DATA else "")
    signed = await open_envelope(enveloped, opening_key, read=_read_signed_data, tolerances=tolerances)
    if signed.encap_content_info.e_content_type == oids.DATA and not bare:
        raise _not_accepted("it is a bare private key", tolerance=TOLERATE_BARE_KEY)
    content_types = (oids.CT_ASYMMETRIC_KEY_PACKAGE, *((oids.DATA,) if bare else ()))
    verified = verify_content(signed, content_types=content_types, plugins=plugins)
    key = _read_key(verified, plugins)
    await _check_key(key, plugins)
    return DeliveredKey(key, verified.signer, verified.certificates)


def _read_signed_data(content: bytes) -> SignedData:
    return decode(SignedData, content)


def _read_key(verified: VerifiedContent, plugins: Plugins) -> PrivateKey:
    if verified.content_type != oids.CT_ASYMMETRIC_KEY_PACKAGE:
        return private_key_from(verified.content, None, plugins.key_algorithm)
    packed = decode_list(OneAsymmetricKey, verified.content)
    if len(packed) != 1:
        raise _not_accepted(f"it holds {len(packed)} keys, where there must be one")
    (one,) = packed
    info = PrivateKeyInfo(version=0, algorithm=one.private_key_algorithm, private_key=one.private_key)
    key = plugins.key_algorithm(one.private_key_algorithm.algorithm).load_private_key(encode(info))
    if one.version != _VERSION_2 or one.public_key is None:
        raise _not_accepted("its key is not of version 2, with the public key")
    if read_public_key_info(key.public_key_info).subject_public_key != one.public_key:
        raise _not_accepted("its private key and its public key do not belong together")
    return key


async def _check_key(key: PrivateKey, plugins: Plugins) -> None:
    """Whether a key that signs does so: octets that only look like the private key would show when it is too late."""
    part = plugins.key_algorithm_of(key.public_key_info)
    if not part.signature_oids:
        return
    algorithm = key.signature_algorithm
    if not part.verify(key.public_key_info, algorithm, _PROBE, await key.sign(_PROBE, algorithm)):
        raise _not_accepted("its private key does not sign what its public key verifies")


def _not_accepted(detail: str, *, tolerance: str = "") -> CMPError:
    return CMPError(
        f"the key package is not accepted: {detail}", PKIFailureInfo.BAD_DATA_FORMAT, rule=RULE, tolerance=tolerance
    )
