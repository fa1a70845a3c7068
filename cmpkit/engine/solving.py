"""Challenges at a client: which keys they are for, and that they are answered once (RFC 9810 section 5.2.8.3.3)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from cmpkit.asn1 import Challenge, GeneralName, PKIMessage
from cmpkit.engine.client_transaction import ClientTransaction

__all__ = ["Solve", "challenged"]


@dataclass(frozen=True, slots=True)
class Solve:
    """Read the numbers in the challenges, and send them in their order by popdecr.

    :param keys: DER of the SubjectPublicKeyInfo that each challenge is for.
    :param sender: of the message that brought them.
    """

    transaction: ClientTransaction
    keys: tuple[bytes, ...]
    challenges: tuple[Challenge, ...]
    sender: GeneralName


def challenged(transaction: ClientTransaction, message: PKIMessage) -> Solve:
    """What a popdecc wants. After that the transaction takes no other: nobody may have more decrypted."""
    keys = tuple(one.public_key_info for one in transaction.sought if one.is_challenged)
    over = replace(transaction, sought=tuple(replace(one, is_challenged=False) for one in transaction.sought))
    return Solve(over, keys, tuple(message.body.content), message.header.sender)
