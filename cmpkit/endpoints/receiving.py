"""How an endpoint reads what came: strict DER, or what the operator allows beyond."""

from __future__ import annotations

from anyio import to_thread

from cmpkit.asn1 import PKIMessage, decode_message
from cmpkit.asn1.ber import MAX_BER_SIZE, decode_ber_message
from cmpkit.asn1.diagnosis import message_size
from cmpkit.errors import CMPError
from cmpkit.tolerances import STRICT, Leniency

__all__ = ["TOLERATE_BER", "TOLERATE_TRAILING_OCTETS", "receive_message"]

TOLERATE_BER = "ber"
"""The tolerance that lets messages be BER."""
TOLERATE_TRAILING_OCTETS = "trailing-octets"
"""The tolerance that lets other octets follow a message."""


async def receive_message(octets: bytes, *, max_size: int, leniency: Leniency = STRICT) -> PKIMessage:
    """Read a message.

    :param octets: what a peer sent.
    :param max_size: the most octets that are looked at.
    :param leniency: where :data:`TOLERATE_BER` is allowed, what is no DER is read as BER, in a worker thread; where
        :data:`TOLERATE_TRAILING_OCTETS` is, the octets after a message are not looked at.
    :raises CMPError: badDataFormat, or badRequest for a body with an unknown tag.
    """
    try:
        return decode_message(octets, max_size=max_size)
    except CMPError as fault:
        if fault.tolerance == TOLERATE_TRAILING_OCTETS:
            if not leniency.allows(TOLERATE_TRAILING_OCTETS):
                raise
            return await receive_message(octets[: message_size(octets)], max_size=max_size, leniency=leniency)
        if TOLERATE_BER not in leniency.names or len(octets) > MAX_BER_SIZE:
            raise
    message = await to_thread.run_sync(lambda: decode_ber_message(octets, max_size=max_size))
    leniency.allows(TOLERATE_BER)
    return message
