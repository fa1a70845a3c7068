"""Every operation of a device through every wrapping, against a CA."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import anyio
import pytest
from authorities import TrustingCA
from cryptography import x509
from relaying import Authority

from cmpkit import oids
from cmpkit.asn1 import PKIMessage, decode_message
from cmpkit.crypto.keys import generate_key
from cmpkit.crypto.names import parse_name
from cmpkit.crypto.pop import build_p10
from cmpkit.enums import BodyType, PKIFailureInfo
from cmpkit.errors import PeerRefusal
from cmpkit.parts import Answer, Peer, Pending, SharedSecret
from cmpkit.relay.wrapping import FORWARD


@pytest.fixture(params=FORWARD)
def ra(ra: Authority, request: pytest.FixtureRequest) -> Authority:
    """An authority that forwards in one of the ways; in batches of two, or of one if there is no second."""
    ra.forward = request.param
    ra.terms = {"batch_count": 2, "batch_time": timedelta(seconds=0.1)} if ra.forward == "batch" else {}
    return ra


async def secret_of(ra: Authority) -> SharedSecret:
    """Of a device: the authority knows it; the CA, too, if it is to verify it."""
    reference = f"dev-{secrets.token_hex(4)}"
    secret = SharedSecret(reference, "of the RA") if ra.forward == "reprotect" else await ra.ca.add_secret(reference)
    await ra.add_secret(secret)
    return secret


def bodies(messages: list[bytes]) -> set[BodyType]:
    """What is in messages, whatever is around it."""
    read = [decode_message(octets) for octets in messages]
    return {inner.body.type for message in read for inner in (message.nested or (message,))}


async def every_operation(ra: Authority) -> None:
    """What a device does in its life."""
    secret, plugins = await secret_of(ra), ra.ca.plugins
    subject = parse_name(f"CN={secret.reference.decode()}")
    first = await ra.client(secret).enroll(subject=subject, key=generate_key("p256", plugins))
    device = ra.client(first.credentials)
    second = await device.certify(subject=subject, key=generate_key("p256", plugins))
    updated = await device.update(second.credentials)
    by_p10 = await device.request_p10(await build_p10(subject, generate_key("p256", plugins)))
    assert await device.info(oids.CA_CERTS)
    await device.revoke(updated.credentials)
    got = [one.certificate for one in (first, second, updated, by_p10)]
    issued = {record.der: record.state.value for record in await ra.ca.certificates()}
    assert [issued[der] for der in got] == ["valid", "valid", "revoked", "valid"]


@pytest.mark.rule("R-150", "R-151", "R-152", "R-157", "R-160", "R-162")
async def test_a_device_does_all_that_it_could_do_with_the_ca_itself(ra: Authority) -> None:
    async with ra.running(), anyio.create_task_group() as tasks:
        for _ in range(2 if ra.forward == "batch" else 1):
            tasks.start_soon(every_operation, ra)
    requests = {BodyType.IR, BodyType.CR, BodyType.KUR, BodyType.P10CR, BodyType.CERT_CONF, BodyType.GENM, BodyType.RR}
    assert bodies(ra.line.sent) == requests


@dataclass
class SlowIssuer:
    """An issuer that needs time for everything, once."""

    issuer: Any
    seen: set[str]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.issuer, name)

    async def issue(self, request: Any, auth: Any, *, idempotency_key: str, now: Any) -> Any:
        if idempotency_key in self.seen:
            return await self.issuer.issue(request, auth, idempotency_key=idempotency_key, now=now)
        self.seen.add(idempotency_key)
        return Pending(0, "not yet")


@dataclass
class SlowCA:
    """The same CA, with that issuer."""

    ca: TrustingCA
    seen: set[str] = field(default_factory=set)

    async def handle(self, der: bytes, peer: Peer) -> Answer:
        async with self.ca.store() as store:
            server = self.ca.server(store)
            workshop = replace(server.workshop, issuer=SlowIssuer(server.workshop.issuer, self.seen))
            return await replace(server, workshop=workshop).handle(der, peer)


@pytest.mark.rule("R-150", "R-160", "R-162")
async def test_a_device_polls_the_ca_through_the_authority(ra: Authority) -> None:
    ra.line.handler = SlowCA(ra.ca).handle
    async with ra.running():
        secret = await secret_of(ra)
        client = ra.client(secret)
        await client.enroll(subject=f"CN={secret.reference.decode()}", key=generate_key("p256", ra.ca.plugins))
    assert bodies(ra.line.sent) == {BodyType.IR, BodyType.POLL_REQ, BodyType.CERT_CONF}


@pytest.mark.rule("R-160")
async def test_a_device_hears_why_the_ca_refuses(ra: Authority) -> None:
    async with ra.running():
        secret = await secret_of(ra)
        client = ra.client(secret, profile="no such profile")
        with pytest.raises(PeerRefusal) as refused:
            await client.enroll(subject=f"CN={secret.reference.decode()}", key=generate_key("p256", ra.ca.plugins))
    answer = decode_message(ra.line.answered[0])
    inner: PKIMessage = next(iter(answer.nested), answer)
    assert refused.value.texts == inner.body.content.response[0].status.texts
    assert refused.value.texts


@pytest.mark.rule("R-158")
@pytest.mark.parametrize("ra", ["unchanged", "nest"], indirect=True)
async def test_a_device_gets_and_is_told_of_what_the_policy_made_of_its_request(ra: Authority) -> None:
    """Also after polling, when the request is long gone."""
    ra.line.handler, given = SlowCA(ra.ca).handle, parse_name("CN=given,O=Example")
    ra.policy.change = lambda asked: replace(asked, subject=given, profile="what only the RA calls it")
    async with ra.running():
        client = ra.client(await secret_of(ra))
        key = generate_key("p256", ra.ca.plugins)
        if ra.forward == "unchanged":
            with pytest.raises(PeerRefusal) as refused:
                await client.enroll(subject="CN=wished", key=key)
            assert refused.value.fail_info is PKIFailureInfo.BAD_CERT_TEMPLATE
            assert not ra.line.sent
        else:
            enrolled = await client.enroll(subject="CN=wished", key=key)
            assert x509.load_der_x509_certificate(enrolled.certificate).subject == given
            assert bodies(ra.line.sent) == {BodyType.IR, BodyType.POLL_REQ, BodyType.CERT_CONF}
