"""What a client reads: answers, its own messages once more, and the certificates that came."""

from __future__ import annotations

from cmpkit.asn1 import MAX_MESSAGE_SIZE, CertRepMessage, PKIMessage, decode_message, encode
from cmpkit.endpoints.receiving import receive_message
from cmpkit.engine.client_transaction import ClientTransaction
from cmpkit.errors import CMPError, TransportError
from cmpkit.tolerances import STRICT, Leniency

__all__ = ["certificates_in", "own_message", "read_answer", "seen_so_far"]

_MOST_CERTIFICATES = 64


def own_message(octets: bytes) -> PKIMessage | None:
    """A message of our own, or ``None`` if a transform made something else of it."""
    try:
        return decode_message(octets)
    except CMPError:
        return None


async def read_answer(der: bytes, leniency: Leniency = STRICT) -> PKIMessage:
    """The answer of a server.

    :param leniency: what is let pass.
    :raises TransportError: if it is no CMP message.
    """
    try:
        return await receive_message(der, max_size=MAX_MESSAGE_SIZE, leniency=leniency)
    except CMPError as error:
        raise TransportError(
            f"the answer is no CMP message: {error.detail}; it begins {der[:32].hex()}",
            hint=error.hint if error.tolerance else "is this a CMP server?",
        ) from error


def seen_so_far(transaction: ClientTransaction, answer: PKIMessage) -> tuple[bytes, ...]:
    """Certificates of extraCerts: later answers may leave theirs out (RFC 9483 section 3.3)."""
    return tuple(dict.fromkeys((*transaction.chain, *answer.extra_certs)))[:_MOST_CERTIFICATES]


def certificates_in(answer: PKIMessage) -> tuple[bytes, ...]:
    """The certificates that an answer issues."""
    if not isinstance(answer.body.content, CertRepMessage):
        return ()
    pairs = [response.certified_key_pair for response in answer.body.content.response]
    return tuple(
        encode(pair.cert_or_enc_cert.value)
        for pair in pairs
        if pair is not None and pair.cert_or_enc_cert.tag == "certificate"
    )
