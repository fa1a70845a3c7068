"""Messages in BER are answered where the operator allows them, and nowhere else."""

from __future__ import annotations

import logging

import pytest
from writing_ber import indefinite

from cmpkit.asn1 import PKIMessage, decode_message, encode
from cmpkit.asn1.ber import MAX_BER_SIZE
from cmpkit.asn1.codec import der_wrap
from cmpkit.crypto.keys import generate_key
from cmpkit.crypto.names import parse_name
from cmpkit.endpoints.protector import protection_for
from cmpkit.endpoints.receiving import TOLERATE_BER
from cmpkit.enums import BodyType, PKIFailureInfo

from .conftest import World
from .forge import Forge, self_signed

DEV = parse_name("CN=dev-42")


@pytest.fixture
async def forge(world: World) -> Forge:
    return Forge(world.plugins, await world.secret(), world.clock)


@pytest.fixture
async def request_message(world: World, forge: Forge) -> PKIMessage:
    return await forge.request(generate_key("p256", world.plugins), DEV)


async def answered(world: World, octets: bytes) -> PKIMessage:
    """What the server answers."""
    answer = await world.handle(octets)
    assert answer.der is not None
    return decode_message(answer.der)


def failures(message: PKIMessage) -> PKIFailureInfo:
    """The failInfo of an error."""
    assert message.body.type is BodyType.ERROR
    return message.body.content.pki_status_info.failures


async def over_its_octets(world: World, forge: Forge, message: PKIMessage) -> bytes:
    """A message in BER whose protection is over the octets that are sent, and not over their DER."""
    protection, _, key = protection_for(forge.credentials, world.plugins)
    sent = indefinite(encode(message.header)) + indefinite(message.body.to_der())
    value = await protection.protect(der_wrap(0x30, sent), message.header.protection_alg, key)
    rest = indefinite(der_wrap(0xA0, der_wrap(0x03, b"\0" + value)))
    if message.extra_certs:
        rest += der_wrap(0xA1, der_wrap(0x30, b"".join(message.extra_certs)))
    return b"\x30\x80" + sent + rest + b"\0\0"


@pytest.mark.rule("R-003")
async def test_ber_is_refused_by_default(world: World, request_message: PKIMessage) -> None:
    assert failures(await answered(world, indefinite(request_message.raw))) == PKIFailureInfo.BAD_DATA_FORMAT


@pytest.mark.rule("R-003")
async def test_ber_is_answered_where_it_is_tolerated(
    world: World, request_message: PKIMessage, caplog: pytest.LogCaptureFixture
) -> None:
    tolerant = world.with_(tolerances=frozenset({TOLERATE_BER}))
    with caplog.at_level(logging.WARNING):
        answer = await answered(tolerant, indefinite(request_message.raw))
    assert answer.body.type is BodyType.IP
    assert f"ir, transaction {answer.header.transaction_id.hex()}: tolerated ber" in caplog.text
    again = await answered(tolerant, request_message.raw)
    assert again == answer


@pytest.mark.rule("R-003")
async def test_protection_over_the_octets_that_came_is_accepted(
    world: World, forge: Forge, request_message: PKIMessage
) -> None:
    tolerant = world.with_(tolerances=frozenset({TOLERATE_BER}))
    octets = await over_its_octets(world, forge, request_message)
    assert (await answered(tolerant, octets)).body.type is BodyType.IP


async def test_a_signature_over_ber_or_its_der_is_accepted(world: World) -> None:
    tolerant = world.with_(tolerances=frozenset({TOLERATE_BER}))
    async with world.client(await world.secret("dev-7")) as client:
        device = (await client.enroll(subject="CN=dev-7")).credentials
    for over_ber in (False, True):
        forge = Forge(world.plugins, device, world.clock)
        request = await forge.request(generate_key("p256", world.plugins), parse_name("CN=dev-7"), BodyType.KUR)
        octets = await over_its_octets(world, forge, request) if over_ber else indefinite(request.raw)
        assert (await answered(tolerant, octets)).body.type is BodyType.KUP


async def test_a_wrong_protection_of_ber_is_refused(world: World, request_message: PKIMessage) -> None:
    tolerant = world.with_(tolerances=frozenset({TOLERATE_BER}))
    wrong = request_message.with_protection(bytes(32))
    assert failures(await answered(tolerant, indefinite(wrong.raw))) == PKIFailureInfo.BAD_MESSAGE_CHECK
    stranger = Forge(world.plugins, await self_signed(world.plugins, DEV), world.clock)
    signed = await stranger.request(generate_key("p256", world.plugins), DEV)
    assert failures(await answered(tolerant, indefinite(signed.raw))) == PKIFailureInfo.SIGNER_NOT_TRUSTED


async def test_what_is_neither_and_what_is_too_long_is_refused_in_spite_of_the_tolerance(
    world: World, request_message: PKIMessage
) -> None:
    tolerant = world.with_(tolerances=frozenset({TOLERATE_BER}))
    too_long = indefinite(request_message.with_protection(b"", [der_wrap(0x30, bytes(MAX_BER_SIZE))]).raw)
    for octets in (b"", b"\x30\x80", indefinite(request_message.raw)[:-1], too_long):
        assert failures(await answered(tolerant, octets)) == PKIFailureInfo.BAD_DATA_FORMAT
