"""Each message goes to whom its route leads, and all of a transaction the same way."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any

import anyio
import pytest
from cryptography import x509

from cmpkit import oids
from cmpkit.asn1 import (
    CertReqMsg,
    CertRequest,
    CertStatus,
    CertTemplate,
    InfoTypeAndValue,
    PKIBody,
    PKIHeader,
    PKIMessage,
    PollReq,
    decode_message,
    directory_name,
)
from cmpkit.endpoints.server import Server
from cmpkit.endpoints.settings import ServerSettings
from cmpkit.engine.nesting import nest
from cmpkit.engine.relaying import UNVERIFIED
from cmpkit.enums import BodyType, PKIFailureInfo
from cmpkit.parts import Answer, Disposition, Peer, Store, Transaction, TransactionState, UnitOfWork
from cmpkit.relay.gateway import Gateway, choose_route
from cmpkit.relay.routes import LOCAL, Route
from cmpkit.relay.wrapping import OwnProtection
from cmpkit.relay.wrapping.adding import add_protection
from cmpkit.testing import InProcessCA
from cmpkit.transports import MemoryRoad

IR = frozenset({BodyType.IR})


@dataclass
class Upstream:
    """In the place of a relay: remembers what it gets, and gives it back."""

    taken: list[tuple[BodyType, bool]] = field(default_factory=list)

    async def handle(
        self, message: PKIMessage, peer: Peer, settings: ServerSettings, *, verify: bool, **_: Any
    ) -> Answer:
        self.taken.append((message.body.type, verify))
        return Answer(message.raw)


@dataclass
class World:
    ca: InProcessCA
    store: Store
    one: Upstream = field(default_factory=Upstream)
    two: Upstream = field(default_factory=Upstream)
    transaction_id: bytes = field(default_factory=lambda: secrets.token_bytes(16))

    @property
    def server(self) -> Server:
        return self.ca.server(self.store)

    def gateway(self, *routes: Route, issues: bool = True) -> Gateway:
        relays: Any = {"one": self.one, "two": self.two}
        return Gateway(self.server, relays, routes, issues)

    async def begin(self, credential: str, upstream: str, **more: Any) -> None:
        """A transaction that is under way."""
        state = TransactionState.RELAYED if upstream else TransactionState.ISSUED
        transaction = Transaction(self.transaction_id, credential, BodyType.IR, state, upstream=upstream, **more)
        await self.store.commit(UnitOfWork(transaction=transaction))

    def message(self, kind: BodyType, **header: Any) -> bytes:
        """One without protection: a gateway does not look at it."""
        content: dict[BodyType, Any] = {
            BodyType.IR: [CertReqMsg.build(CertRequest(cert_req_id=0, cert_template=CertTemplate()))],
            BodyType.GENM: [InfoTypeAndValue(oids.CA_CERTS)],
            BodyType.CERT_CONF: [CertStatus(cert_req_id=0, cert_hash=b"")],
            BodyType.POLL_REQ: [PollReq(cert_req_id=0)],
        }
        nobody = directory_name(x509.Name([]))
        made = PKIHeader(pvno=2, sender=nobody, recipient=nobody, transaction_id=self.transaction_id, **header)
        return PKIMessage(made, PKIBody(kind, content[kind])).raw


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> InProcessCA:
    return anyio.run(InProcessCA.make, tmp_path_factory.mktemp("ca"))


@pytest.fixture
async def world(ca: InProcessCA) -> AsyncIterator[World]:
    async with ca.store() as store:
        yield World(ca, store)


def failure(answer: Answer) -> PKIFailureInfo:
    """Of an error."""
    assert answer.der is not None
    found: PKIFailureInfo = decode_message(answer.der).body.content.pki_status_info.failures
    return found


async def test_what_opens_a_transaction_takes_its_route(world: World) -> None:
    gateway = world.gateway(Route("one", bodies=IR, verify=False), Route("two", path="b"), Route("one"))
    for body, label in ((BodyType.IR, None), (BodyType.GENM, "b"), (BodyType.GENM, None)):
        der = world.message(body)
        assert await gateway.handle(der, Peer("memory", label=label)) == Answer(der)
    assert world.one.taken == [(BodyType.IR, False), (BodyType.GENM, True)]
    assert world.two.taken == [(BodyType.GENM, True)]


@pytest.mark.rule("R-162")
@pytest.mark.parametrize("body", [BodyType.CERT_CONF, BodyType.POLL_REQ])
async def test_what_follows_goes_the_way_of_its_transaction(world: World, body: BodyType) -> None:
    await world.begin("mac:00", "two")
    await world.gateway(Route("one"), Route("two", path="b")).handle(world.message(body), Peer("memory"))
    assert (world.one.taken, world.two.taken) == ([], [(body, True)])


@pytest.mark.rule("R-162")
async def test_what_follows_is_verified_as_its_request_was(world: World) -> None:
    await world.begin(UNVERIFIED, "one")
    await world.gateway(Route("one")).handle(world.message(BodyType.POLL_REQ), Peer("memory"))
    assert world.one.taken == [(BodyType.POLL_REQ, False)]


@pytest.mark.rule("R-162")
async def test_of_two_transactions_with_one_id_the_nonce_tells_which_goes_on(world: World) -> None:
    await world.begin("mac:00", "one", sender_nonce=b"the first" * 2)
    await world.begin("mac:01", "two", sender_nonce=b"the other" * 2)
    gateway = world.gateway(Route("one"), Route("two", path="b"))
    await gateway.handle(world.message(BodyType.CERT_CONF, recip_nonce=b"the other" * 2), Peer("memory"))
    assert (world.one.taken, world.two.taken) == ([], [(BodyType.CERT_CONF, True)])


async def test_one_endpoint_is_the_ca_for_some_and_an_authority_before_another_for_others(world: World) -> None:
    gateway = world.gateway(Route("one", profile="special"), Route(LOCAL))
    name = f"dev-{world.transaction_id.hex()}"
    secret = await world.ca.add_secret(name)
    async with world.ca.client(secret, transport=MemoryRoad(gateway.handle)) as client:
        await client.enroll(f"CN={name}")
    assert world.one.taken == []
    assert await world.ca.certificates()
    await gateway.handle(world.message(BodyType.IR), Peer("memory", label="special"))
    assert world.one.taken == [(BodyType.IR, True)]


async def test_what_fits_no_route_is_answered_by_the_issuer_of_the_endpoint(world: World) -> None:
    answer = await world.gateway(Route("one", bodies=IR)).handle(world.message(BodyType.GENM), Peer("memory"))
    assert failure(answer) is PKIFailureInfo.BAD_SENDER_NONCE


async def test_what_fits_no_route_is_refused_where_there_is_no_issuer(world: World) -> None:
    gateway = world.gateway(Route("one", bodies=IR), issues=False)
    answer = await gateway.handle(world.message(BodyType.GENM), Peer("memory"))
    assert failure(answer) is PKIFailureInfo.WRONG_AUTHORITY
    assert world.one.taken == []


async def test_a_transaction_whose_upstream_is_gone_is_refused(world: World) -> None:
    await world.begin("mac:00", "three")
    gateway, poll = world.gateway(Route("one")), world.message(BodyType.POLL_REQ)
    answer = await gateway.handle(poll, Peer("memory"))
    assert failure(answer) is PKIFailureInfo.SYSTEM_UNAVAIL
    assert answer.disposition is Disposition.ANSWERED
    slow = await gateway.handle(poll, Peer("memory"), ServerSettings(puts_off=True))
    assert slow.disposition is Disposition.UNAVAILABLE


async def test_a_store_that_fails_is_no_reason_to_fall_silent(world: World, caplog: pytest.LogCaptureFixture) -> None:
    nothing: Any = None
    gateway = world.gateway(Route("one"))
    broken = replace(gateway, server=replace(gateway.server, workshop=nothing))
    answer = await broken.handle(world.message(BodyType.POLL_REQ), Peer("memory"))
    assert failure(answer) is PKIFailureInfo.SYSTEM_FAILURE
    assert world.transaction_id.hex() in caplog.text


@pytest.mark.rule("R-155")
async def test_what_is_in_a_nested_message_takes_its_own_way(world: World) -> None:
    authority = world.ca.signer
    settings = ServerSettings()
    verifier: Any = world.server.verifier
    verifier = replace(verifier, registration_authorities=(authority.certificate,))
    server = replace(world.server, verifier=verifier)
    gateway = replace(world.gateway(Route("one", bodies=IR), issues=False), server=server)
    other = replace(world, transaction_id=secrets.token_bytes(16))
    inside = [decode_message(world.message(BodyType.IR)), decode_message(other.message(BodyType.GENM))]
    outer = await add_protection(inside, OwnProtection(world.ca.plugins, authority), now=world.ca.clock())
    answer = await gateway.handle(outer.raw, Peer("memory"), settings)
    assert answer.der is not None
    passed_on, refused = decode_message(answer.der).nested
    assert world.one.taken == [(BodyType.IR, True)]
    assert passed_on == inside[0]
    assert refused.body.content.pki_status_info.failures is PKIFailureInfo.WRONG_AUTHORITY


async def test_what_is_no_message_is_answered_by_the_endpoint(world: World) -> None:
    answer = await world.gateway(Route("one"), issues=False).handle(b"nothing", Peer("memory"))
    assert answer.disposition is Disposition.MALFORMED
    assert failure(answer) is PKIFailureInfo.BAD_DATA_FORMAT


async def test_what_is_larger_than_the_road_takes_is_answered_by_the_endpoint(world: World) -> None:
    settings = ServerSettings(max_message_size=40)
    answer = await world.gateway(Route("one")).handle(world.message(BodyType.IR), Peer("memory"), settings)
    assert failure(answer) is PKIFailureInfo.BAD_DATA_FORMAT
    assert world.one.taken == []


async def test_where_everything_goes_one_way_no_transaction_is_looked_up(world: World) -> None:
    gateway = world.gateway(Route("one", bodies=IR), issues=False)
    nothing: Any = None
    await replace(gateway, server=replace(gateway.server, workshop=nothing)).handle(
        world.message(BodyType.CERT_CONF), Peer("memory")
    )
    assert world.one.taken == [(BodyType.CERT_CONF, True)]


def test_a_nested_message_is_for_the_endpoint_itself() -> None:
    header = PKIHeader(pvno=2, sender=directory_name(x509.Name([])), recipient=directory_name(x509.Name([])))
    nested = PKIMessage(header, nest([PKIMessage(header, PKIBody(BodyType.POLL_REQ, [PollReq(cert_req_id=0)]))]))
    assert choose_route([Route("one")], nested, None, (), issues=False) == Route(LOCAL)
