"""What a transform makes of a client's messages is what is sent, once, again and by another process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from cmpkit.asn1 import AlgorithmIdentifier, PKIMessage, decode_message
from cmpkit.endpoints.saving import TransactionFolder
from cmpkit.enums import BodyType, PKIFailureInfo
from cmpkit.errors import ConfigurationError, PeerRefusal, StillWaiting, TransportError, TrustError
from cmpkit.oids import PBMAC1, SHA256
from cmpkit.parts import Event, SharedSecret

from .conftest import World, subject_of


@dataclass
class Odd:
    """A transform of two functions that keeps what it saw."""

    before: Callable[[PKIMessage], PKIMessage] = lambda message: message
    after: Callable[[bytes], bytes] = lambda octets: octets
    messages: list[PKIMessage] = field(default_factory=list)
    octets: list[bytes] = field(default_factory=list)

    async def before_protection(self, message: PKIMessage) -> PKIMessage:
        self.messages.append(message)
        return self.before(message)

    async def after_protection(self, octets: bytes) -> bytes:
        self.octets.append(octets)
        return self.after(octets)


@dataclass
class Road:
    """Leads to the server of a world; loses the answers to some requests."""

    world: World
    lose: int = 0
    requests: list[bytes] = field(default_factory=list)

    async def exchange(self, request: bytes) -> bytes:
        self.requests.append(request)
        answer = await self.world.handle(request)
        if self.lose:
            self.lose -= 1
            raise TransportError("lost", retryable=True)
        assert answer.der is not None
        return answer.der

    async def aclose(self) -> None:
        pass


@dataclass
class Watcher:
    events: list[Event] = field(default_factory=list)

    def observe(self, event: Event) -> None:
        self.events.append(event)


def header(**fields: object) -> Callable[[PKIMessage], PKIMessage]:
    """Every message gets these fields in its header."""
    return lambda message: replace(message, header=replace(message.header, **fields))


def only(kind: BodyType, change: Callable[[PKIMessage], PKIMessage]) -> Callable[[PKIMessage], PKIMessage]:
    return lambda message: change(message) if message.body.type is kind else message


@pytest.fixture
async def secret(world: World) -> SharedSecret:
    return await world.secret()


async def test_a_transform_sees_each_message_before_and_after_protection(world, secret):
    odd, road = Odd(), Road(world)
    async with world.client(secret, transport=road, transform=odd) as client:
        await client.enroll(subject="CN=dev-42")
    assert [message.body.type for message in odd.messages] == [BodyType.IR, BodyType.CERT_CONF]
    assert all(message.protection is None and message.header.protection_alg for message in odd.messages)
    assert odd.octets == road.requests
    assert [decode_message(octets).protected_part for octets in odd.octets] == [
        message.protected_part for message in odd.messages
    ]


async def test_what_is_changed_before_is_protected_as_it_is(world, secret):
    odd = Odd(header(free_text=["an experiment"]))
    async with world.client(secret, transform=odd) as client:
        enrolled = await client.enroll(subject="CN=dev-42")
    assert subject_of(enrolled.certificate) == "CN=dev-42"
    assert all(decode_message(octets).header.free_text == ["an experiment"] for octets in odd.octets)


async def test_answers_are_judged_by_what_was_sent(world, secret, tmp_path):
    nonce, transaction_id = bytes(range(16)), b"a transaction ID"
    change = header(sender_nonce=nonce, transaction_id=transaction_id)
    async with world.client(secret, transform=Odd(only(BodyType.IR, change)), state=tmp_path) as client:
        enrolled = await client.enroll(subject="CN=dev-42")
    assert enrolled.saved == tmp_path / f"{transaction_id.hex()}.json"
    assert list(tmp_path.glob("*.json")) == [enrolled.saved]


async def test_a_transaction_that_gets_another_id_leaves_no_file_behind(world, secret, tmp_path):
    odd = Odd(only(BodyType.CERT_CONF, header(transaction_id=b"a foreign ID 123")))
    async with world.client(secret, transform=odd, state=tmp_path) as client:
        with pytest.raises(PeerRefusal) as caught:
            await client.enroll(subject="CN=dev-42")
    assert caught.value.fail_info
    assert list(tmp_path.glob("*.json")) == []


async def test_a_message_without_protection_alg_goes_out_unprotected(world, secret):
    odd = Odd(header(protection_alg=None))
    async with world.client(secret, transform=odd) as client:
        with pytest.raises((PeerRefusal, TrustError)):
            await client.enroll(subject="CN=dev-42")
    assert decode_message(odd.octets[0]).protection is None
    (refused,) = world.watcher.of("refused")
    assert refused.details["error"].fail_info is PKIFailureInfo.WRONG_INTEGRITY


async def test_a_protection_that_is_there_already_stays(world, secret):
    odd = Odd(lambda message: message.with_protection(b"no MAC at all"))
    async with world.client(secret, transform=odd, tolerances=frozenset({"unprotected-errors"})) as client:
        with pytest.raises(PeerRefusal, match="badMessageCheck"):
            await client.enroll(subject="CN=dev-42")
    assert decode_message(odd.octets[0]).protection == b"no MAC at all"


async def test_another_mac_protects_by_that(world, secret):
    def change(message: PKIMessage) -> PKIMessage:
        algorithm = world.plugins.require("protection", PBMAC1).algorithm(secret)
        return header(protection_alg=algorithm)(message)

    odd = Odd(only(BodyType.IR, change))
    async with world.client(secret, transform=odd) as client:
        await client.enroll(subject="CN=dev-42")
    assert {decode_message(octets).header.protection_alg.algorithm for octets in odd.octets} == {PBMAC1}


async def test_a_protection_that_the_key_is_not_for_is_an_error_of_the_caller(world, secret):
    ecdsa = AlgorithmIdentifier(world.signer.key.signature_algorithm.algorithm)
    async with world.client(secret, transform=Odd(header(protection_alg=ecdsa))) as client:
        with pytest.raises(ConfigurationError, match="do not protect by"):
            await client.enroll(subject="CN=dev-42")
    async with world.client(secret, transform=Odd(header(protection_alg=AlgorithmIdentifier(SHA256)))) as client:
        with pytest.raises(Exception, match="no protection for protectionAlg"):
            await client.enroll(subject="CN=dev-42")


async def test_what_is_sent_again_is_not_transformed_again(world, secret):
    odd, road = Odd(), Road(world, lose=2)
    async with world.client(secret, transport=road, transform=odd, sleep=world.clock.sleep) as client:
        await client.enroll(subject="CN=dev-42")
    assert len(odd.octets) == 2
    assert len(road.requests) == 4
    assert len(set(road.requests)) == 2


async def test_octets_that_are_no_message_are_sent_told_and_resumed_as_they_are(world, secret, tmp_path):
    watcher, road = Watcher(), Road(world, lose=1000)
    odd = Odd(after=lambda octets: octets[:-1])
    async with world.client(
        secret, transport=road, transform=odd, state=tmp_path, total_timeout=0.1, observers=[watcher]
    ) as client:
        with pytest.raises(StillWaiting) as caught:
            await client.enroll(subject="CN=dev-42")
    cut = odd.octets[0][:-1]
    saved = caught.value.saved
    assert isinstance(saved, Path)
    assert TransactionFolder(tmp_path).load(saved).message == cut
    assert [event.details["octets"] for event in watcher.events if event.name == "octets-sent"] == [cut]
    again = Road(world)
    async with world.client(secret, transport=again, transform=odd, state=tmp_path) as client:
        with pytest.raises((PeerRefusal, TrustError)):
            await client.resume(saved)
    assert again.requests == [cut]
    assert len(odd.octets) == 1


async def test_after_octets_that_are_no_message_the_next_has_parameters_of_its_own(world, secret):
    sent: list[bytes] = []

    def pad(octets: bytes) -> bytes:
        sent.append(octets)
        return octets + b"\0" if len(sent) == 1 else octets

    class Repairing(Road):
        """Takes away what is too much."""

        async def exchange(self, request: bytes) -> bytes:
            return await super().exchange(sent[-1])

    async with world.client(secret, transport=Repairing(world), transform=Odd(after=pad)) as client:
        await client.enroll(subject="CN=dev-42")
    first, second = (decode_message(octets).header.protection_alg for octets in sent)
    assert first != second
