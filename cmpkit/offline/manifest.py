"""What a bundle says about itself: its messages with their digests, its place in a series, and its end.

It is JSON that people can read, in a strict form: what is unknown, missing or twice there is refused.
"""

from __future__ import annotations

import enum
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError

__all__ = ["MAX_ENTRIES", "MAX_MESSAGE_SIZE", "Entry", "Kind", "Manifest", "dump_manifest", "load_manifest"]

FORMAT = 1
MAX_ENTRIES = 10_000
"""Messages in one bundle."""
MAX_MESSAGE_SIZE = 1 << 20
"""Octets of one message."""
_NAME = re.compile(r"messages/[A-Za-z0-9][A-Za-z0-9_-]{0,99}\.pki")
_DIGEST_SIZE, _SERIES_SIZE = 32, 16
_MAX_SEQUENCE = 1 << 53


class Kind(enum.Enum):
    """Which way a bundle goes."""

    REQUESTS = "requests"
    ANSWERS = "answers"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One message of a bundle.

    :param name: of its file in the archive: ``messages/NAME.pki``.
    :param size: octets.
    :param digest: SHA-256 of the message.
    :param answers: SHA-256 of the message that it answers; empty for a request.
    :param series: of the bundle that had that message; empty for a request.
    """

    name: str
    size: int
    digest: bytes
    answers: bytes = b""
    series: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """All that a bundle says about itself.

    :param series: whose bundle it is: 16 octets, the same in every bundle that one sender writes.
    :param sequence: its number in the series, from 1. A bundle has everything of its sender that is still to be
        carried, so that it takes the place of all with lower numbers.
    :param created: when it was written, in whole seconds.
    :param expires: until when it is of use.
    :param seen: of answers: the highest number of each series that was submitted; empty for requests.
    """

    kind: Kind
    series: bytes
    sequence: int
    created: datetime
    expires: datetime
    entries: tuple[Entry, ...] = ()
    seen: Mapping[bytes, int] = field(default_factory=dict)


def dump_manifest(manifest: Manifest) -> bytes:
    """The manifest as JSON in UTF-8; octets are hexadecimal."""
    plain = {
        "format": FORMAT,
        "kind": manifest.kind.value,
        "series": manifest.series.hex(),
        "sequence": manifest.sequence,
        "created": _plain_time(manifest.created),
        "expires": _plain_time(manifest.expires),
        "seen": {series.hex(): number for series, number in sorted(manifest.seen.items())},
        "messages": [_plain_entry(entry) for entry in manifest.entries],
    }
    return json.dumps(plain, indent=1).encode()


def load_manifest(octets: bytes) -> Manifest:
    """The manifest that :func:`dump_manifest` wrote.

    :raises CMPError: if it is damaged, or of another format.
    """
    try:
        plain = json.loads(octets.decode(), object_pairs_hook=_object)
        if plain.pop("format") != FORMAT:
            raise ValueError("another version of cmpkit wrote it")
        return _manifest(**plain)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise CMPError(f"the manifest cannot be read: {error}", PKIFailureInfo.BAD_DATA_FORMAT) from error


def _manifest(
    *, kind: object, series: object, sequence: object, created: object, expires: object, seen: object, messages: object
) -> Manifest:
    entries = tuple([_entry(**_exactly(dict, item)) for item in _exactly(list, messages)])
    names = {entry.name for entry in entries}
    if len(names) != len(entries) or len(entries) > MAX_ENTRIES:
        raise ValueError(f"it names a message twice, or more than {MAX_ENTRIES}")
    read = Kind(kind)
    if any((entry.answers != b"") is not (read is Kind.ANSWERS) for entry in entries):
        raise ValueError(f"a message in it does not belong among {read.value}")
    if seen and read is Kind.REQUESTS:
        raise ValueError("requests answer nothing")
    return Manifest(
        kind=read,
        series=_octets(series, _SERIES_SIZE),
        sequence=_number(sequence, _MAX_SEQUENCE),
        created=_time(created),
        expires=_time(expires),
        entries=entries,
        seen={
            _octets(name, _SERIES_SIZE): _number(number, _MAX_SEQUENCE) for name, number in _exactly(dict, seen).items()
        },
    )


def _entry(*, name: object, size: object, sha256: object, answers: object = None, series: object = None) -> Entry:
    text = _exactly(str, name)
    if not _NAME.fullmatch(text):
        raise ValueError(f"{text[:120]!r} is no name of a message")
    if (answers is None) is not (series is None):
        raise ValueError("what a message answers is said in part")
    return Entry(
        name=text,
        size=_number(size, MAX_MESSAGE_SIZE),
        digest=_octets(sha256, _DIGEST_SIZE),
        answers=b"" if answers is None else _octets(answers, _DIGEST_SIZE),
        series=b"" if series is None else _octets(series, _SERIES_SIZE),
    )


def _plain_entry(entry: Entry) -> dict[str, Any]:
    plain = {"name": entry.name, "size": entry.size, "sha256": entry.digest.hex()}
    return plain | ({"answers": entry.answers.hex(), "series": entry.series.hex()} if entry.answers else {})


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is there twice")
    return found


def _exactly(kind: type[Any], value: object) -> Any:
    """The value if it is of that very type: ``True`` is no number."""
    if type(value) is not kind:
        raise TypeError(f"{type(value).__name__} in place of {kind.__name__}")
    return value


def _number(value: object, most: int) -> int:
    number: int = _exactly(int, value)
    if not 1 <= number <= most:
        raise ValueError(f"a number is not between 1 and {most}")
    return number


def _octets(value: object, size: int) -> bytes:
    octets = bytes.fromhex(_exactly(str, value))
    if len(octets) != size or octets.hex() != value:
        raise ValueError(f"a value is not {size} octets in hexadecimal")
    return octets


def _plain_time(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _time(value: object) -> datetime:
    return datetime.strptime(_exactly(str, value), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
