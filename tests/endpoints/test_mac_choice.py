"""The MAC that a client chooses, through whole transactions: the server answers in it."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from cmpkit_mac import DHBasedMac

from cmpkit import oids
from cmpkit.asn1 import GMACParameters, PBMAC1Params, PBMParameter, PKIMessage, decode_message
from cmpkit.crypto.keys import generate_key
from cmpkit.endpoints.protector import mac_names, seal
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import ConfigurationError, TrustError
from cmpkit.parts import Event, SharedSecret

from .conftest import World
from .forge import Forge
from .test_delayed import Listening


class Algorithms:
    """The protectionAlg of every message, in their order."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def observe(self, event: Event) -> None:
        if event.name in ("message-sent", "message-received"):
            self.seen.append(event.details["message"].header.protection_alg)


async def enrol(world: World, mac: str | None) -> list[Any]:
    said = Algorithms()
    async with world.client(await world.secret(), mac=mac, observers=[said]) as client:
        assert (await client.enroll(subject="CN=dev-42")).certificate
    assert len(said.seen) == 4
    return said.seen


@pytest.mark.parametrize(
    ("mac", "oid"),
    [
        (None, oids.HMAC_SHA256),
        ("hmac-sha512", oids.HMAC_SHA512),
        ("hmac-sha3-256", oids.HMAC_SHA3_256),
        ("kmac128", oids.KMAC_WITH_SHAKE128),
        ("kmac256", oids.KMAC_WITH_SHAKE256),
    ],
)
async def test_both_sides_keep_to_the_parameters_of_the_first_message(world, mac, oid):
    first, *others = await enrol(world, mac)
    assert first.parse(PBMParameter).mac.algorithm == oid
    assert others == [first] * 3


async def test_pbmac1_can_be_chosen(world):
    first, *others = await enrol(world, "pbmac1-hmac-sha256")
    assert first.algorithm == oids.PBMAC1
    assert others == [first] * 3


@pytest.mark.parametrize(("mac", "oid"), [("aes128-gmac", oids.AES128_GMAC), ("aes256-gmac", oids.AES256_GMAC)])
async def test_no_two_messages_under_gmac_have_a_nonce_in_common(world, mac, oid):
    params = [algorithm.parse(PBMParameter) for algorithm in await enrol(world, mac)]
    assert {param.mac.algorithm for param in params} == {oid}
    assert len({param.salt for param in params}) == 1
    assert len({param.mac.parse(GMACParameters).nonce for param in params}) == 4


async def test_gmac_under_pbmac1_has_fresh_nonces_too(world):
    params = [algorithm.parse(PBMAC1Params) for algorithm in await enrol(world, "pbmac1-aes192-gmac")]
    assert len({param.key_derivation_func for param in params}) == 1
    assert len({param.message_auth_scheme for param in params}) == 4


async def test_a_mac_that_there_is_not_is_named(world):
    async with world.client(await world.secret(), mac="md5") as client:
        with pytest.raises(ConfigurationError, match="there is no MAC 'md5'") as caught:
            await client.info()
    assert all(name in caught.value.hint for name in mac_names(world.plugins))


async def test_a_signature_is_a_signature_whatever_mac_is_named(world):
    async with world.client(await world.secret()) as client:
        enrolled = await client.enroll(subject="CN=dev-42")
    async with world.client(enrolled.credentials, mac="kmac128") as client:
        assert await client.info(oids.CA_CERTS)


class TestAgreedSecrets:
    """DHBasedMac proves keys; no message is believed that it protects (RFC 9810 section 5.1.3.2)."""

    async def under(self, message: PKIMessage, secret: SharedSecret) -> PKIMessage:
        """The same message, protected by DHBasedMac with that secret."""
        part = DHBasedMac()
        header = dataclasses.replace(message.header, protection_alg=part.algorithm(secret))
        return await seal(header, message.body, part, secret, message.extra_certs)

    async def test_a_server_refuses_it(self, world):
        forge = Forge(world.plugins, await world.secret(), world.clock)
        message = await forge.request(generate_key("p256", world.plugins), forge.sender)
        answer = await world.handle((await self.under(message, forge.credentials)).raw)
        assert decode_message(answer.der).body.content.pki_status_info.failures is PKIFailureInfo.WRONG_INTEGRITY

    async def test_a_client_refuses_it(self, world):
        async with world.client(await world.secret()) as client:
            enrolled = (await client.enroll("CN=dev-42")).credentials

        class Forging(Listening):
            async def exchange(road, request: bytes) -> bytes:
                answer = decode_message(await super().exchange(request))
                return (await self.under(answer, SharedSecret("", "guessed"))).raw

        async with world.client(enrolled, transport=Forging(world)) as client:
            with pytest.raises(TrustError, match="protection by key agreement is no signature"):
                await client.update()

    async def test_nothing_is_sent_that_is_protected_by_it(self, world):
        class Unfit:
            async def before_protection(self, message: PKIMessage) -> PKIMessage:
                algorithm = DHBasedMac().algorithm(SharedSecret("", ""))
                return dataclasses.replace(
                    message, header=dataclasses.replace(message.header, protection_alg=algorithm)
                )

            async def after_protection(self, octets: bytes) -> bytes:
                return octets

        async with world.client(await world.secret(), transform=Unfit()) as client:
            with pytest.raises(ConfigurationError, match="do not protect by"):
                await client.enroll("CN=dev-42")
