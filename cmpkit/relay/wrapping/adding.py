"""Adding protection: messages go upstream as they came, inside one of the registration authority."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from cmpkit.asn1 import PKIMessage
from cmpkit.engine.nesting import nest, nested_header
from cmpkit.relay.wrapping.own import OwnProtection

__all__ = ["add_protection"]


async def add_protection(messages: Sequence[PKIMessage], own: OwnProtection, *, now: datetime) -> PKIMessage:
    """A nested message: around one message with its transactionID and nonces, around several with its own.

    RFC 9483 sections 5.2.2.1 and 5.2.2.2. The certificates that a message brings stay in it.

    :param messages: at least one.
    """
    header = nested_header(
        messages,
        sender=own.sender,
        recipient=messages[0].header.recipient,
        sender_kid=own.sender_kid,
        protection_alg=None,
        now=now,
        random=own.random,
    )
    header = replace(header, protection_alg=own.algorithm(header.transaction_id or b""))
    return await own.protect(PKIMessage(header, nest(messages)))
