"""Transactions of a client recorded, and played again: the same code makes the same octets, without server and keys.

A signature by ECDSA or RSA-PSS is another one each time, so signatures are recorded like random octets: keys go through
:meth:`Tape.key` and :meth:`Tape.credentials`. Secrets are in no recording; a MAC is computed again.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Protocol, TypeVar

import anyio.lowlevel

from cmpkit.asn1 import AlgorithmIdentifier
from cmpkit.endpoints.credentials import Credentials, SigningCredentials
from cmpkit.endpoints.options import ClientOptions
from cmpkit.errors import CMPError, ConfigurationError, TransportError
from cmpkit.parts import ClientTransport, PrivateKey, RandomOctets
from cmpkit.testing.recording import RecordedExchange, RecordedKey, Recording, load_recording

__all__ = ["Tape", "record", "replay"]

T = TypeVar("T")
_ELSE = "the client does something else than it did when this was recorded"


class Tape(Protocol):
    """What a client is given instead of its own, to record it or to play it again. One operation at a time."""

    recording: Recording

    def options(self, options: ClientOptions | None = None) -> ClientOptions:
        """The options with the clock and the random octets of the tape."""

    def road(self, transport: ClientTransport | None = None) -> ClientTransport:
        """The road to the server; one that is played again needs none."""

    def key(self, key: PrivateKey | None = None) -> PrivateKey:
        """A key whose signatures are recorded; keys are played again in their order, and need none."""

    def credentials(self, credentials: Credentials | None = None) -> Credentials:
        """Credentials whose signatures are recorded. A shared secret must be given each time."""


@contextlib.contextmanager
def record(directory: Path) -> Iterator[Tape]:
    """Record what a client does; it is written to the directory when the block ends, however it ends.

    :raises ConfigurationError: if it cannot be written.
    """
    tape = _Recorder()
    try:
        yield tape
    finally:
        tape.recording.save(directory)


@contextlib.contextmanager
def replay(directory: Path) -> Iterator[Tape]:
    """Play again what a client did. Whoever sends, draws or signs something else is told so.

    :raises ConfigurationError: if there is no recording, or the client does something else or stops too early.
    """
    tape = _Player(load_recording(directory))
    yield tape
    left = len(tape.recording.exchanges) - tape.done
    if left:
        raise ConfigurationError(f"{left} of the recorded exchanges did not take place: {_ELSE}")


class _Recorder:
    def __init__(self) -> None:
        self.recording = Recording()

    def options(self, options: ClientOptions | None = None) -> ClientOptions:
        options = options or ClientOptions()
        return dataclasses.replace(options, clock=self._clock(options.clock), random=self._random(options.random))

    def _clock(self, clock: Callable[[], datetime]) -> Callable[[], datetime]:
        def recorded() -> datetime:
            self.recording.times.append(clock())
            return self.recording.times[-1]

        return recorded

    def _random(self, random: RandomOctets) -> RandomOctets:
        def recorded(size: int) -> bytes:
            self.recording.random.append(random(size))
            return self.recording.random[-1]

        return recorded

    def road(self, transport: ClientTransport | None = None) -> ClientTransport:
        if transport is None:
            raise ConfigurationError("there is no road to record", hint="tape.road(open_transport(plugins, url))")
        return _RecordingRoad(transport, self.recording)

    def key(self, key: PrivateKey | None = None) -> PrivateKey:
        return self._key(key, ())

    def _key(self, key: PrivateKey | None, certificates: tuple[bytes, ...]) -> PrivateKey:
        if key is None:
            raise ConfigurationError("there is no key to record", hint="tape.key(generate_key('p256', plugins))")
        made = RecordedKey(key.key_type, key.public_key_info, key.signature_algorithm, certificates)
        self.recording.keys.append(made)
        return _SigningKey(key, made)

    def credentials(self, credentials: Credentials | None = None) -> Credentials:
        if credentials is None:
            raise ConfigurationError("there are no credentials to record", hint="tape.credentials(secret)")
        if not isinstance(credentials, SigningCredentials):
            return credentials
        key = self._key(credentials.key, (credentials.certificate, *credentials.chain))
        return SigningCredentials(credentials.certificate, key, credentials.chain)


class _Player:
    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.done = 0
        self._times = list(recording.times)
        self._random = list(recording.random)
        self._keys = list(recording.keys)

    def options(self, options: ClientOptions | None = None) -> ClientOptions:
        options = options or ClientOptions()
        return dataclasses.replace(options, clock=self._now, sleep=self._sleep, random=self._octets)

    def _now(self) -> datetime:
        return _next(self._times, "the clock was asked less often")

    def _octets(self, size: int) -> bytes:
        octets = _next(self._random, "fewer random octets were drawn")
        if len(octets) != size:
            raise ConfigurationError(f"{size} random octets were drawn where {len(octets)} were: {_ELSE}")
        return octets

    @staticmethod
    async def _sleep(seconds: float) -> None:
        await anyio.lowlevel.checkpoint()

    def road(self, transport: ClientTransport | None = None) -> ClientTransport:
        return self

    async def exchange(self, request: bytes) -> bytes:
        if self.done == len(self.recording.exchanges):
            raise ConfigurationError(f"request {self.done + 1} was not sent: {_ELSE}")
        exchange = self.recording.exchanges[self.done]
        self.done += 1
        if request != exchange.request:
            octet = _first_difference(request, exchange.request)
            raise ConfigurationError(
                f"request {self.done} is not the recorded one, from octet {octet} on: {_ELSE}",
                hint="compare them with: cmpkit inspect --diff",
            )
        await anyio.lowlevel.checkpoint()
        return exchange.outcome()

    async def aclose(self) -> None:
        pass

    def key(self, key: PrivateKey | None = None) -> PrivateKey:
        return _PlayedKey(_next(self._keys, "fewer keys were used"))

    def credentials(self, credentials: Credentials | None = None) -> Credentials:
        if credentials is not None and not isinstance(credentials, SigningCredentials):
            return credentials
        played = _next(self._keys, "fewer keys were used")
        if not played.certificates:
            raise ConfigurationError(
                "the recorded key has no certificate: the credentials were a shared secret, or come later",
                hint="tape.credentials(secret)",
            )
        certificate, *chain = played.certificates
        return SigningCredentials(certificate, _PlayedKey(played), tuple(chain))


def _first_difference(a: bytes, b: bytes) -> int:
    return next((at for at, (one, other) in enumerate(zip(a, b, strict=False)) if one != other), min(len(a), len(b)))


def _next(values: list[T], otherwise: str) -> T:
    if not values:
        raise ConfigurationError(f"{otherwise} then: {_ELSE}")
    return values.pop(0)


class _RecordingRoad:
    def __init__(self, transport: ClientTransport, recording: Recording) -> None:
        self._transport = transport
        self._recording = recording

    async def exchange(self, request: bytes) -> bytes:
        try:
            answer = await self._transport.exchange(request)
        except TransportError as error:
            failed = RecordedExchange(request, failure=error.detail, retryable=error.retryable)
            self._recording.exchanges.append(failed)
            raise
        self._recording.exchanges.append(RecordedExchange(request, answer))
        return answer

    async def aclose(self) -> None:
        await self._transport.aclose()


class _SigningKey:
    """A key that notes what it signs."""

    def __init__(self, key: PrivateKey, made: RecordedKey) -> None:
        self._key = key
        self._made = made
        self.key_type = key.key_type
        self.public_key_info = key.public_key_info
        self.signature_algorithm = key.signature_algorithm

    async def sign(self, data: bytes, algorithm: AlgorithmIdentifier | None = None) -> bytes:
        signature = await self._key.sign(data, algorithm)
        self._made.signatures[self._made.label(data, algorithm or self.signature_algorithm)] = signature
        return signature

    def to_pkcs8(self, password: bytes | None = None) -> bytes:
        return self._key.to_pkcs8(password)


class _PlayedKey:
    """A key without its private part, which has the signatures that it made."""

    def __init__(self, recorded: RecordedKey) -> None:
        self._recorded = recorded
        self.key_type = recorded.key_type
        self.public_key_info = recorded.public_key_info
        self.signature_algorithm = recorded.signature_algorithm

    async def sign(self, data: bytes, algorithm: AlgorithmIdentifier | None = None) -> bytes:
        signature = self._recorded.signatures.get(self._recorded.label(data, algorithm or self.signature_algorithm))
        if signature is None:
            raise ConfigurationError(f"the recorded key did not sign these {len(data)} octets: {_ELSE}")
        return signature

    def to_pkcs8(self, password: bytes | None = None) -> bytes:
        raise CMPError("a recorded key has no private part", hint="keep the key itself where it is needed")
