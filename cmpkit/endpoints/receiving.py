"""How a server reads what came: strict DER, or what the operator allows beyond."""

from __future__ import annotations

import logging

from anyio import to_thread

from cmpkit.asn1 import PKIMessage, decode_message
from cmpkit.asn1.ber import MAX_BER_SIZE, decode_ber_message
from cmpkit.errors import CMPError

__all__ = ["TOLERATE_BER", "receive_message"]

TOLERATE_BER = "ber"
"""The name in ``tolerances`` that lets messages be BER."""

_log = logging.getLogger(__name__)


async def receive_message(octets: bytes, *, max_size: int, tolerances: frozenset[str]) -> PKIMessage:
    """Read a message.

    :param octets: what a peer sent.
    :param max_size: the most octets that are looked at.
    :param tolerances: with :data:`TOLERATE_BER` among them, what is no DER is read as BER, in a worker thread.
    :raises CMPError: badDataFormat, or badRequest for a body with an unknown tag.
    """
    try:
        return decode_message(octets, max_size=max_size)
    except CMPError:
        if TOLERATE_BER not in tolerances or len(octets) > MAX_BER_SIZE:
            raise
    message = await to_thread.run_sync(lambda: decode_ber_message(octets, max_size=max_size))
    _log.warning("a %s came in BER (tolerance %s)", message.body.type.wire_name, TOLERATE_BER)
    return message
