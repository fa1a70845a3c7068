"""What both sides put into headers and extraCerts, and what they overlook there."""

from __future__ import annotations

import dataclasses

import pytest
from cryptography import x509

from cmpkit import oids
from cmpkit.asn1 import InfoTypeAndValue, PKIMessage, decode_message, directory_name, encode
from cmpkit.crypto.keys import generate_key
from cmpkit.crypto.names import parse_name
from cmpkit.endpoints.credentials import SigningCredentials
from cmpkit.enums import BodyType, PKIStatus

from .conftest import World
from .forge import Forge

DEV = parse_name("CN=dev-42")


@pytest.fixture
async def forge(world: World) -> Forge:
    return Forge(world.plugins, await world.secret(uses=None), world.clock)


@pytest.fixture
async def enrolled(world: World) -> SigningCredentials:
    async with world.client(await world.secret("dev-7")) as client:
        return (await client.enroll(subject="CN=dev-7")).credentials


async def answered(world: World, octets: bytes) -> PKIMessage:
    answer = await world.handle(octets)
    assert answer.der is not None
    return decode_message(answer.der)


@pytest.mark.rule("R-008", "R-014", "R-025", "R-026", "R-028")
@pytest.mark.parametrize(
    "header",
    [
        {"recipient": directory_name(parse_name("CN=another CA"))},
        {"recipient": directory_name(x509.Name([]))},
        {"recip_kid": b"somebody"},
        {"free_text": ["please", "now"]},
        {"general_info": [InfoTypeAndValue(x509.ObjectIdentifier("1.2.3.4"), encode(7))]},
        {"general_info": [InfoTypeAndValue(oids.IMPLICIT_CONFIRM, encode(7))]},
        {"general_info": [InfoTypeAndValue(oids.CONFIRM_WAIT_TIME, encode(7))]},
    ],
    ids=lambda header: next(iter(header)),
)
async def test_a_server_overlooks_what_is_no_reason_to_refuse(world, forge, header):
    request = await forge.request(generate_key("p256", world.plugins), DEV, **header)
    answer = await answered(world, request.raw)
    assert answer.body.type is BodyType.IP
    assert answer.body.content.response[0].status.status is PKIStatus.ACCEPTED


@pytest.mark.rule("R-029")
async def test_an_answer_returns_what_the_request_has(world, forge):
    request = await forge.request(generate_key("p256", world.plugins), DEV)
    answer = await answered(world, request.raw)
    assert answer.header.recipient == request.header.sender
    assert answer.header.transaction_id == request.header.transaction_id
    assert answer.header.recip_nonce == request.header.sender_nonce
    assert len(answer.header.sender_nonce or b"") == 16
    assert answer.header.message_time is not None


@pytest.mark.rule("R-045", "R-046")
async def test_the_protecting_certificate_comes_first_and_no_root_comes(world, enrolled):
    forge = Forge(world.plugins, enrolled, world.clock)
    request = await forge.request(generate_key("p256", world.plugins), enrolled.subject, BodyType.CR)
    answer = await answered(world, request.raw)
    assert request.extra_certs[0] == enrolled.certificate
    assert answer.extra_certs[0] == world.signer.certificate
    assert world.issuing[0] in answer.extra_certs
    for der in (*request.extra_certs, *answer.extra_certs):
        certificate = x509.load_der_x509_certificate(der)
        assert certificate.subject != certificate.issuer


@pytest.mark.rule("R-047")
async def test_extra_certs_may_come_in_any_order_and_twice(world, enrolled):
    forge = Forge(world.plugins, enrolled, world.clock)
    shuffled = (*world.trust, *reversed(enrolled.extra_certs), enrolled.certificate)
    key = generate_key("p256", world.plugins)
    request = await forge.request(key, enrolled.subject, BodyType.CR, extra_certs=shuffled)
    twice = dataclasses.replace(request, extra_certs=(*shuffled, *shuffled))
    assert (await answered(world, PKIMessage(*map(twice.__getattribute__, FIELDS)).raw)).body.type is BodyType.CP


FIELDS = ("header", "body", "protection", "extra_certs")


@pytest.mark.rule("R-012", "R-042")
async def test_whoever_has_the_secret_is_told_under_it_that_the_sender_is_another(world, forge):
    """Its MAC verified, so the answer is under the same secret, and may say what is wrong."""
    request = await forge.request(
        generate_key("p256", world.plugins), DEV, sender=directory_name(parse_name("CN=mallory"))
    )
    answer = await answered(world, request.raw)
    assert answer.header.protection_alg.algorithm == oids.PASSWORD_BASED_MAC
    status = answer.body.content.pki_status_info
    assert status.failures.wire_names == ("badMessageCheck",)
    assert status.texts == ("the sender is not the one that the shared secret was given to",)
