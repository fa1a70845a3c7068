"""What is kept of a client's transactions so that they can be played again, and how it lies in a directory."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from cmpkit.asn1 import AlgorithmIdentifier, decode, decode_message, encode
from cmpkit.errors import CMPError, ConfigurationError, TransportError

__all__ = ["RECORDING_FILE", "RecordedExchange", "RecordedKey", "Recording", "load_recording"]

RECORDING_FILE = "recording.json"
"""The file in the directory of a recording that has everything but the messages."""

_FORMAT = "cmpkit recording"
_VERSION = 1


@dataclass(frozen=True, slots=True)
class RecordedExchange:
    """A request and what came of it.

    :param request: the octets that were sent.
    :param answer: those that came, or ``None``.
    :param failure: why none came.
    :param retryable: whether the request could be sent again then.
    """

    request: bytes
    answer: bytes | None = None
    failure: str = ""
    retryable: bool = False

    def outcome(self) -> bytes:
        """The answer once more.

        :raises TransportError: if none came.
        """
        if self.answer is None:
            raise TransportError(self.failure, retryable=self.retryable)
        return self.answer


@dataclass(frozen=True, slots=True)
class RecordedKey:
    """A key without its private part, and the signatures that it made.

    :param public_key_info: DER of the SubjectPublicKeyInfo.
    :param certificates: DER, its own first, where it is that of credentials.
    :param signatures: by :meth:`label` of what was signed.
    """

    key_type: str
    public_key_info: bytes
    signature_algorithm: AlgorithmIdentifier
    certificates: tuple[bytes, ...] = ()
    signatures: dict[str, bytes] = field(default_factory=dict)

    @staticmethod
    def label(data: bytes, algorithm: AlgorithmIdentifier) -> str:
        """What a signature is found by: a digest of what was signed and how."""
        return hashlib.sha256(encode(algorithm) + data).hexdigest()


@dataclass(slots=True)
class Recording:
    """Everything that a client drew and exchanged, in its order. It has no private key and no shared secret.

    :param times: what its clock said, call by call.
    :param random: the random octets that it drew, draw by draw.
    """

    times: list[datetime] = field(default_factory=list)
    random: list[bytes] = field(default_factory=list)
    keys: list[RecordedKey] = field(default_factory=list)
    exchanges: list[RecordedExchange] = field(default_factory=list)

    def save(self, directory: Path) -> None:
        """Write it: each message to a file of its own (``01-ir.der``, ``02-ip.der`` …), the rest to ``recording.json``.

        :param directory: is made if it is not there; recordings in it are overwritten.
        :raises ConfigurationError: if it cannot be written.
        """
        try:
            directory.mkdir(parents=True, exist_ok=True)
            numbers = itertools.count(1)
            exchanges = [_save_exchange(directory, exchange, numbers) for exchange in self.exchanges]
            described = {
                "format": _FORMAT,
                "version": _VERSION,
                "times": [time.isoformat() for time in self.times],
                "random": [octets.hex() for octets in self.random],
                "keys": [_dump_key(key) for key in self.keys],
                "exchanges": exchanges,
            }
            (directory / RECORDING_FILE).write_text(json.dumps(described, indent=2) + "\n")
        except OSError as error:
            raise ConfigurationError(f"the recording cannot be written to {directory}: {error.strerror}") from error


def _save_exchange(directory: Path, exchange: RecordedExchange, numbers: Iterator[int]) -> dict[str, Any]:
    described: dict[str, Any] = {"request": _save_message(directory, exchange.request, next(numbers))}
    if exchange.answer is None:
        return described | {"failure": exchange.failure, "retryable": exchange.retryable}
    return described | {"answer": _save_message(directory, exchange.answer, next(numbers))}


def _save_message(directory: Path, octets: bytes, number: int) -> str:
    try:
        kind = decode_message(octets).body.type.wire_name
    except CMPError:
        kind = "octets"
    name = f"{number:02}-{kind}.der"
    (directory / name).write_bytes(octets)
    return name


def _dump_key(key: RecordedKey) -> dict[str, Any]:
    return {
        "key_type": key.key_type,
        "public_key_info": key.public_key_info.hex(),
        "signature_algorithm": encode(key.signature_algorithm).hex(),
        "certificates": [der.hex() for der in key.certificates],
        "signatures": {label: signature.hex() for label, signature in key.signatures.items()},
    }


def load_recording(directory: Path) -> Recording:
    """The recording in a directory.

    :raises ConfigurationError: if there is none, or it cannot be read.
    """
    try:
        described = json.loads((directory / RECORDING_FILE).read_text())
        if (described["format"], described["version"]) != (_FORMAT, _VERSION):
            raise ConfigurationError(f"the recording in {directory} is of another version", hint="record it again")
        return Recording(
            times=[datetime.fromisoformat(time) for time in described["times"]],
            random=[bytes.fromhex(octets) for octets in described["random"]],
            keys=[_read_key(key) for key in described["keys"]],
            exchanges=[_read_exchange(directory, exchange) for exchange in described["exchanges"]],
        )
    except OSError as error:
        raise ConfigurationError(f"there is no recording in {directory}: {error}", hint="record() makes one") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(
            f"the recording in {directory} is damaged: {error!r}", hint="record it again"
        ) from error


def _read_key(described: Mapping[str, Any]) -> RecordedKey:
    return RecordedKey(
        key_type=described["key_type"],
        public_key_info=bytes.fromhex(described["public_key_info"]),
        signature_algorithm=decode(AlgorithmIdentifier, bytes.fromhex(described["signature_algorithm"])),
        certificates=tuple(bytes.fromhex(der) for der in described["certificates"]),
        signatures={label: bytes.fromhex(signature) for label, signature in described["signatures"].items()},
    )


def _read_exchange(directory: Path, described: Mapping[str, Any]) -> RecordedExchange:
    request = _read_message(directory, described["request"])
    if "answer" in described:
        return RecordedExchange(request, _read_message(directory, described["answer"]))
    return RecordedExchange(request, failure=described["failure"], retryable=described["retryable"])


def _read_message(directory: Path, name: str) -> bytes:
    # A name, not a path: a recording may come from somebody else.
    return (directory / Path(name).name).read_bytes()
