"""What is where: each message of the devices, in which bundles it is, and what is missing."""

from __future__ import annotations

import enum
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cmpkit.asn1 import decode_message, distinguished_name
from cmpkit.crypto.names import format_name
from cmpkit.errors import CMPError
from cmpkit.offline.bundle import Bundle, digest_of
from cmpkit.offline.manifest import Kind

__all__ = ["Line", "Place", "overview"]


class Place(enum.Enum):
    """How far a message has come, and so what is missing."""

    DEVICE = "at the device: to be packed"
    REQUESTS = "packed: to be submitted"
    DAMAGED = "damaged: to be packed again"
    ANSWERS = "answered: to be accepted"
    ANSWER_DAMAGED = "the answer is damaged: to be submitted again"
    OVER = "over: the device has gone on"


@dataclass(frozen=True, slots=True)
class Line:
    """One message.

    :param transaction_id: as in its header; empty if neither it nor its answer can be read.
    :param body: its name on the wire; that of the answer if only that is at hand.
    :param device: whose it is: a name, or the reference of a secret.
    :param place: the furthest that it, or its answer, has come.
    :param files: the bundles that have it or its answer.
    """

    digest: bytes
    transaction_id: bytes
    body: str
    device: str
    place: Place
    files: tuple[Path, ...]


def overview(bundles: Sequence[Bundle], at_device: Collection[bytes] = ()) -> tuple[Line, ...]:
    """Every message that is known of, in the order in which it was found.

    :param at_device: the messages that wait in a folder of transactions.
    """
    messages = {digest_of(octets): octets for octets in at_device}
    answers: dict[bytes, bytes] = {}
    places = dict.fromkeys(messages, Place.DEVICE)
    files: dict[bytes, list[Path]] = {}
    for bundle in bundles:
        asking = bundle.manifest.kind is Kind.REQUESTS
        for entry in bundle.manifest.entries:
            digest, octets = entry.digest if asking else entry.answers, bundle.messages.get(entry)
            if octets is not None:
                (messages if asking else answers).setdefault(digest, octets)
            files.setdefault(digest, []).append(bundle.path)
            place = _PLACES[asking, octets is not None]
            places[digest] = max(place, places.get(digest, place), key=_ORDER.index)
    lines = [
        _line(digest, messages.get(digest), answers.get(digest), place, tuple(files.get(digest, ())))
        for digest, place in places.items()
    ]
    gone_on = {line.transaction_id for line in lines if line.digest in messages}
    return tuple(
        replace(line, place=Place.OVER) if line.digest not in messages and line.transaction_id in gone_on else line
        for line in lines
    )


_PLACES = {
    (True, False): Place.DAMAGED,
    (True, True): Place.REQUESTS,
    (False, False): Place.ANSWER_DAMAGED,
    (False, True): Place.ANSWERS,
}
_ORDER = (Place.DEVICE, Place.DAMAGED, Place.REQUESTS, Place.ANSWER_DAMAGED, Place.ANSWERS)


def _line(digest: bytes, message: bytes | None, answer: bytes | None, place: Place, files: tuple[Path, ...]) -> Line:
    try:
        read = decode_message(message or answer or b"")
        header = read.header
        name = distinguished_name(header.sender if message else header.recipient)
    except CMPError:
        return Line(digest, b"", "", "", place, files)
    kid = header.sender_kid if message else header.recip_kid
    device = format_name(name) if name else (kid or b"").decode(errors="replace")
    return Line(digest, header.transaction_id or b"", read.body.type.wire_name, device, place, files)
