"""What a client's transform makes of its messages, before and after they are protected."""

from __future__ import annotations

from typing import Any

from cmpkit.asn1 import PKIMessage
from cmpkit.crypto.protection import find_protection
from cmpkit.endpoints.protector import seal
from cmpkit.errors import ConfigurationError
from cmpkit.parts import ProtectionKind, SharedSecret, Transform
from cmpkit.plugins import Plugins

__all__ = ["seal_transformed"]


async def seal_transformed(
    bare: PKIMessage, transform: Transform, plugins: Plugins, key: Any
) -> tuple[PKIMessage, bytes]:
    """The message as it was protected, and the octets to send.

    :param bare: without protection.
    :param key: of the client's credentials: a shared secret or a private key.
    :raises ConfigurationError: if the transform names a protection that the key is not for.
    """
    message = await transform.before_protection(bare)
    algorithm = message.header.protection_alg
    if algorithm is not None and message.protection is None:
        protection = find_protection(plugins, algorithm.algorithm)
        if protection.kind is not (ProtectionKind.MAC if isinstance(key, SharedSecret) else ProtectionKind.SIGNATURE):
            raise ConfigurationError(
                f"the credentials of the client do not protect by {algorithm.algorithm.dotted_string}",
                hint="let the transform give the message its protection too",
            )
        message = await seal(message.header, message.body, protection, key, message.extra_certs)
    return message, await transform.after_protection(message.raw)
