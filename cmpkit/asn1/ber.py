"""Messages in BER, from peers that do not write DER: a tolerance, off unless somebody asks for it.

What is not DER is brought to definite lengths, read by pyasn1, written again as DER, and read as ever. That is slow: at
most :data:`MAX_BER_SIZE` octets, and never on an event loop. What is signed by itself, such as a certificate, must be
DER, and what stands beside an OID as well.
"""

from __future__ import annotations

from collections.abc import Iterator

from cmpkit.asn1.body import content_holder
from cmpkit.asn1.codec import der_wrap
from cmpkit.asn1.declare import sequence
from cmpkit.asn1.foreign import rewrite_ber
from cmpkit.asn1.message import MAX_MESSAGE_SIZE, PKIHeader, PKIMessage, decode_message
from cmpkit.asn1.primitives import BitString
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError

__all__ = ["MAX_BER_SIZE", "decode_ber_message"]

MAX_BER_SIZE = 16384
"""Octets that a message in BER may have (16 KiB); pyasn1 takes some milliseconds for each KiB."""

_MAX_DEPTH = 64
_SEQUENCE = b"\x30"
_INDEFINITE = 0x80
_CONSTRUCTED = 0x20
_HIGH_TAG = 0x1F
_PROTECTION = b"\xa0"


@sequence
class _Protection:
    bits: BitString


def decode_ber_message(octets: bytes, *, max_size: int = MAX_MESSAGE_SIZE) -> PKIMessage:
    """Read one PKIMessage in DER or, up to :data:`MAX_BER_SIZE`, in BER.

    Of a message that came in BER, :attr:`PKIMessage.raw` is the DER form, and :attr:`PKIMessage.protected_forms` has
    the octets that came before their DER form: it is not said over which of them a peer that writes BER computes its
    protection, which is defined over DER (RFC 9810 section 5.1.3).

    :param octets: the message.
    :param max_size: the most octets that are looked at.
    :raises CMPError: as :func:`cmpkit.asn1.decode_message`, whose error it is for what is no BER either.
    """
    try:
        return decode_message(octets, max_size=max_size)
    except CMPError as error:
        if len(octets) > min(max_size, MAX_BER_SIZE) or octets[:1] != _SEQUENCE:
            raise
        try:
            message = decode_message(_as_der(octets), max_size=max_size)
            message.__dict__["received_part"] = _received_part(octets)
        except (CMPError, IndexError):
            raise error from None
    return message


def _as_der(octets: bytes) -> bytes:
    definite, end = _definite(octets, 0, _MAX_DEPTH)
    if end != len(octets):
        raise _no_ber(f"{len(octets) - end} octets follow the message")
    header, body, *others = _children(definite)
    parts = [rewrite_ber(header, PKIHeader), body[:1] + rewrite_ber(_SEQUENCE + body[1:], content_holder(body[0]))[1:]]
    for other in others:
        is_protection = other[:1] == _PROTECTION
        parts.append(_PROTECTION + rewrite_ber(_SEQUENCE + other[1:], _Protection)[1:] if is_protection else other)
    return der_wrap(_SEQUENCE[0], b"".join(parts))


def _received_part(octets: bytes) -> bytes:
    """ProtectedPart around header and body as they came."""
    start = _content_start(octets, 0)
    _, end = _definite(octets, start, _MAX_DEPTH)
    _, end = _definite(octets, end, _MAX_DEPTH)
    return der_wrap(_SEQUENCE[0], octets[start:end])


def _definite(octets: bytes, start: int, depth: int) -> tuple[bytes, int]:
    """An element with lengths that are definite and short, here and in all that it is made of; and where it ends.

    :raises IndexError: if the octets end before.
    :raises CMPError: if they are no BER.
    """
    if not depth:
        raise _no_ber(f"more than {_MAX_DEPTH} elements are in one another")
    content = _content_start(octets, start)
    tag_end = _tag_end(octets, start)
    constructed, length = octets[start] & _CONSTRUCTED, octets[tag_end]
    if length == _INDEFINITE:
        if not constructed:
            raise _no_ber("a primitive element has an indefinite length")
        parts = []
        while octets[content : content + 2] != b"\0\0":
            part, content = _definite(octets, content, depth - 1)
            parts.append(part)
        return _wrap(octets[start:tag_end], b"".join(parts)), content + 2
    end = content + (length if length < _INDEFINITE else int.from_bytes(octets[tag_end + 1 : content], "big"))
    if end > len(octets):
        raise _no_ber("an element is cut off")
    inner = octets[content:end]
    return _wrap(octets[start:tag_end], b"".join(_definite_all(inner, depth - 1)) if constructed else inner), end


def _definite_all(octets: bytes, depth: int) -> Iterator[bytes]:
    position = 0
    while position < len(octets):
        part, position = _definite(octets, position, depth)
        yield part


def _children(element: bytes) -> list[bytes]:
    """The elements in one that has definite lengths.

    :raises CMPError: if it has not two to four, as a message has.
    """
    children = list(_definite_all(element[_content_start(element, 0) :], _MAX_DEPTH))
    if not 2 <= len(children) <= 4:
        raise _no_ber(f"{len(children)} elements where a message has two to four")
    return children


def _tag_end(octets: bytes, start: int) -> int:
    end = start + 1
    if octets[start] & _HIGH_TAG == _HIGH_TAG:
        while octets[end] & _INDEFINITE:
            end += 1
        end += 1
    return end


def _content_start(octets: bytes, start: int) -> int:
    tag_end = _tag_end(octets, start)
    length = octets[tag_end]
    return tag_end + 1 + (length - _INDEFINITE if length > _INDEFINITE else 0)


def _wrap(tag: bytes, content: bytes) -> bytes:
    return tag + der_wrap(0, content)[1:]


def _no_ber(why: str) -> CMPError:
    return CMPError(f"no BER: {why}", PKIFailureInfo.BAD_DATA_FORMAT)
