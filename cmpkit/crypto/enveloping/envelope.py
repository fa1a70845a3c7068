"""EnvelopedData for exactly one recipient: made and opened (RFC 5652 section 6, RFC 9810 section 5.2.2)."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any, Final, TypeVar

from cryptography.x509 import ObjectIdentifier

from cmpkit import oids
from cmpkit.asn1 import EncryptedContentInfo, EnvelopedData, SetOf, Variant
from cmpkit.crypto.enveloping.agreement import KeyAgreementRecipients
from cmpkit.crypto.enveloping.ciphers import MAX_CONTENT, ContentCipher
from cmpkit.crypto.enveloping.failures import bad_alg, bad_structure, one_failure, undecipherable
from cmpkit.crypto.enveloping.password import PasswordRecipients
from cmpkit.crypto.enveloping.recipients import OpeningKey, Recipient, RecipientKind
from cmpkit.crypto.enveloping.transport import KeyTransportRecipients
from cmpkit.parts import RandomOctets
from cmpkit.plugins import Plugins

__all__ = ["RECIPIENT_KINDS", "can_receive", "envelop", "open_envelope"]

T = TypeVar("T")
RECIPIENT_KINDS: Final[tuple[RecipientKind, ...]] = (
    KeyTransportRecipients(),
    KeyAgreementRecipients(),
    PasswordRecipients(),
)
"""Every way to hand over a content key; the first that serves a recipient is taken."""
_VERSIONS = (0, 2, 3)


async def envelop(
    content: bytes,
    recipient: Recipient,
    *,
    plugins: Plugins,
    content_type: ObjectIdentifier = oids.DATA,
    key_size: int = 32,
    random: RandomOctets = secrets.token_bytes,
) -> EnvelopedData:
    """Encrypt a content for one recipient, under a fresh content key and AES-CBC.

    :param recipient: the technique follows from its key and keyUsage, or is password if it is a secret.
    :param content_type: what the content is.
    :param key_size: octets of the content key, and of the key that wraps it: 16, 24 or 32.
    :param random: where the content key, salts and initialisation vectors come from.
    :raises CMPError: badAlg if there is no way to encrypt for that recipient.
    """
    kind = _kind_for(recipient, plugins)
    if kind is None:
        raise bad_alg(
            "nothing can be encrypted to the recipient's key, or its keyUsage does not allow it",
            "use a key with keyEncipherment or keyAgreement",
        )
    content_key = random(key_size)
    cipher = ContentCipher.new(key_size, random)
    info = await kind.wrap(content_key, recipient, plugins=plugins, random=random)
    return EnvelopedData(
        version=kind.version,
        recipient_infos=SetOf([info]),
        encrypted_content_info=EncryptedContentInfo(
            content_type=content_type,
            content_encryption_algorithm=cipher.algorithm,
            encrypted_content=cipher.encrypt(content_key, content),
        ),
    )


def can_receive(recipient: Recipient, plugins: Plugins) -> bool:
    """Whether there is a way to encrypt for a recipient.

    :raises CMPError: badAlg or badDataFormat if its key is not known or cannot be read.
    """
    return _kind_for(recipient, plugins) is not None


def _kind_for(recipient: Recipient, plugins: Plugins) -> RecipientKind | None:
    return next((kind for kind in RECIPIENT_KINDS if kind.serves(recipient, plugins)), None)


async def open_envelope(
    enveloped: EnvelopedData,
    key: OpeningKey,
    *,
    read: Callable[[bytes], T],
    tolerances: frozenset[str] = frozenset(),
) -> T:
    """The content of an EnvelopedData for one recipient.

    Which key the sender names is not looked at: CMP tells by the transaction (RFC 9810 section 5.2.8.3.2).

    :param key: the private key, or the shared secret.
    :param read: reads the content. What it refuses by CMPError ends as a wrong key does, so that nobody learns more: it
        should want what only the right key can give.
    :param tolerances: names of what is accepted beyond the default: ``envelope-sha1``, ``envelope-rsa-pkcs1``.
    :raises CMPError: badAlg for algorithms that are not accepted, badDataFormat for everything else, in one text.
    """
    info, encrypted = _check_structure(enveloped)
    kind = next((kind for kind in RECIPIENT_KINDS if kind.reads(info)), None)
    if kind is None:
        raise bad_alg(f"the technique {info.tag} to hand over the key is not known")
    cipher = ContentCipher.of(enveloped.encrypted_content_info.content_encryption_algorithm)
    content_key = await kind.unwrap(info.value, key, key_size=cipher.key_size, tolerances=tolerances)
    if len(content_key) != cipher.key_size:
        raise undecipherable()
    content = cipher.decrypt(content_key, encrypted)
    with one_failure():
        return read(content)


def _check_structure(enveloped: EnvelopedData) -> tuple[Variant[Any, Any], bytes]:
    """The one recipient, and the ciphertext.

    :raises CMPError: badDataFormat.
    """
    recipients = enveloped.recipient_infos.as_list()
    if len(recipients) != 1:
        raise bad_structure(f"{len(recipients)} recipients; there must be one")
    if enveloped.version not in _VERSIONS:
        raise bad_structure(f"an EnvelopedData of version {enveloped.version}")
    encrypted = enveloped.encrypted_content_info.encrypted_content
    if encrypted is None or len(encrypted) > MAX_CONTENT:
        raise bad_structure("there is no content, or it is too long")
    return recipients[0], encrypted
