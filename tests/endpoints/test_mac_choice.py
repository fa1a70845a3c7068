"""The MAC that a client chooses, through whole transactions: the server answers in it."""

from __future__ import annotations

from typing import Any

import pytest

from cmpkit import oids
from cmpkit.asn1 import GMACParameters, PBMAC1Params, PBMParameter
from cmpkit.endpoints.protector import mac_names
from cmpkit.errors import ConfigurationError
from cmpkit.parts import Event

from .conftest import World


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
