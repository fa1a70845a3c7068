"""A certificate that is confirmed implicitly and refused by the client is revoked with its own key."""

from __future__ import annotations

import dataclasses

import pytest

from cmpkit.asn1 import decode_message
from cmpkit.crypto.keys import generate_key
from cmpkit.crypto.names import parse_name
from cmpkit.crypto.pop import build_p10
from cmpkit.enums import BodyType
from cmpkit.errors import TransportError, TrustError
from cmpkit.parts import CertificateState

from .conftest import World
from .forge import self_signed


class Watched:
    """A road that remembers what went over it, and may lose what is sent late."""

    def __init__(self, world: World, *, until: int = 100) -> None:
        self.inner, self.until = world.road(), until
        self.sent: list[BodyType] = []

    async def exchange(self, request: bytes) -> bytes:
        self.sent.append(decode_message(request).body.type)
        if len(self.sent) > self.until:
            raise TransportError("the road is closed")
        return await self.inner.exchange(request)

    async def aclose(self) -> None:
        pass


async def refusing(world: World, road: Watched, *, implicit: bool):
    """A client that trusts another CA, so that no certificate is acceptable."""
    other = await self_signed(world.plugins, parse_name("CN=other root"))
    distrusting = dataclasses.replace(world, trust=(other.certificate,))
    return distrusting.client(await world.secret(), transport=road, implicit_confirm=implicit)


async def states(world: World) -> list[CertificateState]:
    return [record.state for record in await world.certificates() if record.subject == "CN=dev-42"]


@pytest.mark.rule("R-084")
async def test_it_is_revoked_with_its_own_key(world):
    road = Watched(world)
    async with await refusing(world, road, implicit=True) as client:
        with pytest.raises(TrustError, match=r"was rejected: .*the server takes it for confirmed"):
            await client.enroll(subject="CN=dev-42")
    assert road.sent == [BodyType.IR, BodyType.RR]
    assert await states(world) == [CertificateState.REVOKED]


@pytest.mark.rule("R-084")
async def test_what_cert_conf_rejects_needs_no_revocation(world):
    road = Watched(world)
    async with await refusing(world, road, implicit=False) as client:
        with pytest.raises(TrustError, match="was rejected") as caught:
            await client.enroll(subject="CN=dev-42")
    assert "takes it for confirmed" not in str(caught.value)
    assert road.sent == [BodyType.IR, BodyType.CERT_CONF]
    assert await states(world) == [CertificateState.REVOKED]


@pytest.mark.rule("R-084")
async def test_that_it_could_not_be_revoked_is_told(world):
    async with await refusing(world, Watched(world, until=1), implicit=True) as client:
        with pytest.raises(TrustError, match=r"whether it revoked it is not known .the road is closed"):
            await client.enroll(subject="CN=dev-42")
    assert await states(world) == [CertificateState.VALID]


@pytest.mark.rule("R-084")
async def test_without_its_key_somebody_else_must_revoke_it(world):
    key = generate_key("p256", world.plugins)
    csr = await build_p10(parse_name("CN=dev-42"), key)
    async with await refusing(world, Watched(world), implicit=True) as client:
        with pytest.raises(TrustError, match="takes it for confirmed: have it revoked"):
            await client.request_p10(csr)
    assert await states(world) == [CertificateState.VALID]
