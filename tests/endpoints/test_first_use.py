"""A root that a device learns with its first certificate (3GPP TS 33.310), by the tolerance ``self-issued-in-ip``."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from rollover import Rollover, name

from cmpkit.asn1 import PKIBody, PKIMessage, decode_message, to_tlv
from cmpkit.ca import policy
from cmpkit.crypto.x509 import fingerprint
from cmpkit.endpoints.client import Client
from cmpkit.endpoints.credentials import SigningCredentials
from cmpkit.endpoints.options import ClientOptions
from cmpkit.endpoints.protector import protection_for, seal
from cmpkit.enums import BodyType
from cmpkit.errors import ConfigurationError, TrustError

from .conftest import World
from .forge import NOW

NAME = "self-issued-in-ip"
LEARNING = frozenset({NAME})


@pytest.fixture
async def device(world: World, monkeypatch: pytest.MonkeyPatch) -> SigningCredentials:
    """A certificate that may sign an ir at this server."""
    monkeypatch.setattr(policy, "_FOR_CERTIFICATES", policy._FOR_CERTIFICATES | {BodyType.IR})
    async with world.client(await world.secret()) as client:
        return (await client.enroll("CN=dev-42")).credentials


@dataclass
class Road:
    """A road on which answers come with more certificates: in extraCerts, or as caPubs."""

    world: World
    brought: tuple[bytes, ...]
    in_ca_pubs: bool = False

    async def exchange(self, request: bytes) -> bytes:
        answer = decode_message(await self.world.road().exchange(request))
        if answer.body.type not in (BodyType.IP, BodyType.CP):
            return answer.raw
        if not self.in_ca_pubs:
            assert answer.protection is not None
            return answer.with_protection(answer.protection, (*answer.extra_certs, *self.brought)).raw
        response = answer.body.content.response
        content = type(answer.body.content)(ca_pubs=[to_tlv(der) for der in self.brought], response=response)
        protection, algorithm, key = protection_for(self.world.signer, self.world.plugins)
        header = replace(answer.header, protection_alg=algorithm)
        sealed: PKIMessage = await seal(header, PKIBody(answer.body.type, content), protection, key, answer.extra_certs)
        return sealed.raw

    async def aclose(self) -> None:
        pass


@pytest.fixture
def client(world: World, device: SigningCredentials, tmp_path: Path) -> Callable[..., Client]:
    def make(road: Road, trust: Sequence[bytes] = (), **options: Any) -> Client:
        return Client(
            "memory:",
            credentials=device,
            trust=trust,
            options=ClientOptions(clock=world.clock, state=tmp_path, **options),
            plugins=world.plugins,
            transport=road,
        )

    return make


@pytest.mark.parametrize("in_ca_pubs", [False, True])
async def test_a_root_that_comes_with_the_ip_is_trusted_from_then_on(world, client, caplog, in_ca_pubs):
    (root,) = world.trust
    road = Road(world, (root,), in_ca_pubs)
    with caplog.at_level(logging.WARNING, "cmpkit.client"):
        async with client(road, tolerances=LEARNING) as learning:
            enrolled = await learning.enroll("CN=dev-42")
            assert enrolled.chain[-1] == root
            # What was kept says the same, in another process too.
            assert await learning.resume(enrolled.saved, enrolled.key) == enrolled
    assert f"is trusted, on first use: SHA-256 {fingerprint(root).hex()}" in caplog.text
    assert f"tolerated {NAME}" in caplog.text


async def test_it_is_refused_by_default_naming_the_tolerance(world, client):
    road = Road(world, world.trust)
    async with client(road, trust=[Rollover(NOW).old_root]) as strict:
        with pytest.raises(TrustError, match=f"--tolerate {NAME} at a client"):
            await strict.enroll("CN=dev-42")
    async with client(road) as strict:
        with pytest.raises(ConfigurationError, match="no trust anchors"):
            await strict.enroll("CN=dev-42")


async def test_a_root_that_the_new_certificate_does_not_lead_to_is_not_trusted(world, client):
    stranger = Rollover(NOW, subject=name("CA")).old_root
    for brought in ((), (stranger,)):
        async with client(Road(world, brought), tolerances=LEARNING) as learning:
            with pytest.raises(TrustError) as caught:
                await learning.enroll("CN=dev-42")
            assert NAME not in str(caught.value)


async def test_no_other_answer_brings_a_root(world, client):
    async with client(Road(world, world.trust), tolerances=LEARNING) as learning:
        for ask in (learning.certify("CN=dev-42"), learning.ca_certificates()):
            with pytest.raises(TrustError) as caught:
                await ask
            assert NAME not in str(caught.value)


async def test_who_trusts_the_root_already_learns_nothing(world, client, caplog):
    async with client(Road(world, world.trust), trust=world.trust, tolerances=LEARNING) as learning:
        await learning.enroll("CN=dev-42")
    assert "first use" not in caplog.text
