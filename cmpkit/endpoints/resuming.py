"""Going on with what another process began: whether a saved transaction is ours, and what comes of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from cmpkit.asn1 import decode_message
from cmpkit.crypto.protection import find_protection, verify_message
from cmpkit.endpoints.client import Client
from cmpkit.endpoints.credentials import Credentials
from cmpkit.engine.client_transaction import ClientTransaction
from cmpkit.engine.states import ClientState
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError, PeerRefusal
from cmpkit.parts import PrivateKey, SharedSecret
from cmpkit.plugins import Plugins

__all__ = ["is_own_transaction", "resume_or_begin"]


async def is_own_transaction(
    transaction: ClientTransaction, credentials: Credentials, plugins: Plugins, *, public_key_info: bytes | None
) -> bool:
    """Whether the last message was protected with these credentials, and asks for this key to be certified.

    :param public_key_info: DER of the key to certify; ``None`` for none. Operations that certify no key fit any.
    """
    keys = [one.public_key_info for one in transaction.sought]
    if public_key_info is not None and keys not in ([], [public_key_info]):
        return False
    credential = credentials if isinstance(credentials, SharedSecret) else credentials.key.public_key_info
    try:
        message = decode_message(transaction.message)
        if message.header.protection_alg is None or message.protection is None:
            return False
        protection = find_protection(plugins, message.header.protection_alg.algorithm)
        await verify_message(protection, message, credential)
    except CMPError:
        return False
    return True


async def resume_or_begin(
    client: Client,
    transaction: ClientTransaction | None,
    key: PrivateKey | None,
    *,
    begin: Callable[[], Awaitable[Any]],
) -> Any:
    """What comes of a saved transaction, or of a new one if there is none, or nothing can come of the saved one.

    :param key: the private key of the certificate that was asked for.
    :param begin: begins the operation anew.
    """
    if transaction is None:
        return await begin()
    try:
        return await client.resume(transaction, key)
    except PeerRefusal as refusal:
        # A server that had seen the request would have answered as before: it never got it while it was fresh. A
        # certificate whose confirmation comes too late counts as rejected (RFC 9810 section 5.1.1.2).
        if PKIFailureInfo.BAD_TIME not in refusal.fail_info and transaction.state is not ClientState.CONF_SENT:
            raise
    return await begin()
