"""Every fault with a name is made where it can be, is repeatable, and meets the refusal that is due to it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import anyio
import pytest
from cryptography import x509

from cmpkit.asn1 import (
    CertRepMessage,
    CertReqMsg,
    ErrorMsgContent,
    InfoTypeAndValue,
    PKIBody,
    PKIMessage,
    PollReq,
    decode_message,
    encode_list,
    to_tlv,
)
from cmpkit.crypto.keys import generate_key
from cmpkit.crypto.pop import build_p10
from cmpkit.endpoints.requests import p10_request
from cmpkit.enums import BodyType
from cmpkit.errors import CMPError, ConfigurationError, PeerRefusal
from cmpkit.oids import CA_CERTS
from cmpkit.parts import SharedSecret
from cmpkit.plugins import Plugins
from cmpkit.testing import InProcessCA, MutationPlace, RoadFault, mutate, mutations

IN_MESSAGES = [one.name for one in mutations() if one.place is not MutationPlace.ROAD]
IN_FIRST = {
    "stale-time": "badTime",
    "future-time": "badTime",
    "unknown-version": "unsupportedVersion",
    "no-transaction-id": "badDataFormat",
    "short-nonce": "badSenderNonce",
    "no-sender-nonce": "badSenderNonce",
    "wrong-sender-kid": "badMessageCheck",
    "no-protection": "wrongIntegrity",
    "unknown-protection": "badAlg",
    "unexpected-body": "badRequest",
    "wrong-pop": "badPOP",
    "no-pop": "badPOP",
    "ra-verified": "badPOP",
    "broken-protection": "badMessageCheck",
    "truncated": "badDataFormat",
    "trailing-octets": "badDataFormat",
    "wrong-length": "badDataFormat",
    "wrong-tag": "badDataFormat",
    "garbage": "badDataFormat",
    "text": "badDataFormat",
    "empty": "badDataFormat",
}
IN_CERT_CONF = {
    "replayed-nonce": "badSenderNonce",
    "wrong-recip-nonce": "badRecipientNonce",
    "no-recip-nonce": "badRecipientNonce",
    "wrong-cert-hash": "badCertId",
    "foreign-transaction-id": "badRequest",
}
ENDURED = ("unknown-general-info", "foreign-transaction-id")


@dataclass
class Road:
    """Leads to the server of a CA and remembers what passed by."""

    ca: InProcessCA
    requests: list[bytes] = field(default_factory=list)
    answers: list[PKIMessage] = field(default_factory=list)

    async def exchange(self, request: bytes) -> bytes:
        self.requests.append(request)
        answer = await self.ca.road().exchange(request)
        self.answers.append(decode_message(answer))
        return answer

    async def aclose(self) -> None:
        pass

    @property
    def refusal(self) -> tuple[str, ...]:
        """The failInfo of the last answer."""
        content = self.answers[-1].body.content
        if isinstance(content, ErrorMsgContent):
            return content.pki_status_info.failures.wire_names
        assert isinstance(content, CertRepMessage)
        return content.response[0].status.failures.wire_names


@pytest.fixture
def road(cmp_ca: InProcessCA) -> Road:
    return Road(cmp_ca)


@pytest.fixture(scope="module")
def passed(tmp_path_factory: pytest.TempPathFactory, cmp_plugins: Plugins) -> Road:
    """A road that an enrolment without a fault has passed: ir and certConf."""

    async def enrol() -> Road:
        road = Road(await InProcessCA.make(tmp_path_factory.mktemp("ca"), plugins=cmp_plugins))
        async with road.ca.client(await road.ca.add_secret(), transport=road) as client:
            await client.enroll("CN=dev-42")
        return road

    return anyio.run(enrol)


@pytest.fixture
def enrolment(passed: Road) -> list[bytes]:
    """ir and certConf without a fault."""
    return passed.requests


@pytest.mark.parametrize("name", IN_FIRST)
async def test_a_request_with_a_fault_meets_the_refusal_that_is_due(
    road: Road, cmp_secret: SharedSecret, name: str
) -> None:
    mutant = mutate(name, seed=3)
    async with road.ca.client(cmp_secret, transport=road, transform=mutant) as client:
        with pytest.raises(CMPError):
            await client.enroll("CN=dev-42")
    assert mutant.made == [("ir", name)]
    assert road.refusal == (IN_FIRST[name],)
    assert await road.ca.certificates() == ()


@pytest.mark.parametrize("name", IN_CERT_CONF)
async def test_a_confirmation_with_a_fault_meets_the_refusal_that_is_due(
    road: Road, cmp_secret: SharedSecret, name: str
) -> None:
    mutant = mutate(name, of=[BodyType.CERT_CONF])
    async with road.ca.client(cmp_secret, transport=road, transform=mutant) as client:
        with pytest.raises(CMPError):
            await client.enroll("CN=dev-42")
    assert mutant.made == [("certConf", name)]
    assert road.refusal == (IN_CERT_CONF[name],)


@pytest.mark.parametrize("name", ENDURED)
async def test_what_is_no_fault_of_a_first_message_is_endured(road: Road, cmp_secret: SharedSecret, name: str) -> None:
    mutant = mutate(name, of=[BodyType.IR])
    async with road.ca.client(cmp_secret, transport=road, transform=mutant) as client:
        await client.enroll("CN=dev-42")
    assert mutant.made == [("ir", name)]


@pytest.mark.parametrize("name", IN_MESSAGES)
def test_the_same_seed_makes_the_same_octets(enrolment: list[bytes], name: str) -> None:
    def made(seed: int) -> list[bytes]:
        mutant = mutate(name, seed=seed)
        return [mutant.on_road(octets) for octets in enrolment]

    assert made(5) == made(5)
    if name != "no-extra-certs":
        assert made(5) != enrolment


@pytest.mark.parametrize("name", ["garbage", "flipped-bit", "foreign-transaction-id", "truncated", "wrong-pop"])
def test_another_seed_makes_others(enrolment: list[bytes], name: str) -> None:
    assert len({mutate(name, seed=seed).on_road(enrolment[0]) for seed in range(8)}) > 4


def test_a_message_that_cannot_have_a_fault_stays_as_it_is(enrolment: list[bytes]) -> None:
    mutant = mutate("wrong-cert-hash", "no-extra-certs", "replayed-nonce", "wrong-recip-nonce", "no-recip-nonce")
    assert mutant.on_road(enrolment[0]) == enrolment[0]
    assert mutant.made == []
    pop = mutate("wrong-pop", "no-pop", "ra-verified", "two-requests")
    assert pop.on_road(enrolment[1]) == enrolment[1]
    assert pop.made == []


def test_octets_that_are_no_message_stay_as_they_are() -> None:
    mutant = mutate(*IN_MESSAGES)
    assert mutant.on_road(b"no message") == b"no message"
    assert mutant.made == []


def test_several_faults_are_made_one_after_the_other(enrolment: list[bytes]) -> None:
    mutant = mutate("stale-time", "two-requests", "trailing-octets", seed=2)
    octets = mutant.on_road(enrolment[0])
    assert mutant.made == [("ir", "stale-time"), ("ir", "two-requests"), ("ir", "trailing-octets")]
    with pytest.raises(CMPError):
        decode_message(octets)


@pytest.mark.parametrize("place", ["request", "answer", "confirmation", "poll"])
def test_a_wrong_cert_req_id_is_made_wherever_there_is_one(passed: Road, enrolment: list[bytes], place: str) -> None:
    octets = {"request": enrolment[0], "confirmation": enrolment[1], "answer": passed.answers[0].raw}.get(place)
    if octets is None:
        first = decode_message(enrolment[0])
        octets = PKIMessage(first.header, PKIBody(BodyType.POLL_REQ, [PollReq(cert_req_id=0)]), b"MAC").raw
    mutant = mutate("wrong-cert-req-id")
    assert mutant.on_road(octets) != octets
    assert [name for _, name in mutant.made] == ["wrong-cert-req-id"]


def test_a_pkcs10_request_has_a_proof_that_can_be_wrong(passed: Road) -> None:
    csr = anyio.run(build_p10, x509.Name([]), generate_key("p256", passed.ca.plugins))
    message = PKIMessage(decode_message(passed.requests[0]).header, p10_request(csr), b"MAC")
    mutant = mutate("wrong-pop", "wrong-cert-req-id")
    assert mutant.on_road(message.raw) != message.raw
    assert mutant.made == [("p10cr", "wrong-pop")]


def test_what_has_nothing_that_could_be_wrong_stays_as_it_is(passed: Road) -> None:
    first = decode_message(passed.requests[0])
    bare = PKIMessage(replace(first.header, message_time=None, protection_alg=None), first.body)
    untouched = mutate("stale-time", "future-time", "broken-protection", "no-extra-certs")
    assert untouched.on_road(bare.raw) == bare.raw
    unprotected = PKIMessage(first.header, first.body, b"")
    assert mutate("broken-protection").on_road(unprotected.raw) == unprotected.raw
    genm = PKIMessage(first.header, PKIBody(BodyType.GENM, [InfoTypeAndValue(CA_CERTS)]), b"MAC")
    assert mutate("wrong-cert-req-id", "wrong-pop").on_road(genm.raw) == genm.raw
    asked = CertReqMsg(cert_req=to_tlv(encode_list([])))
    unreadable = PKIMessage(first.header, PKIBody(BodyType.IR, [asked]), b"MAC")
    assert mutate("wrong-cert-req-id", "wrong-pop").on_road(unreadable.raw) == unreadable.raw


def test_octets_that_one_fault_left_nothing_of_have_no_others(enrolment: list[bytes]) -> None:
    mutant = mutate("empty", "truncated", "ber-length", "ber-indefinite", "wrong-length", "wrong-tag", "flipped-bit")
    assert mutant.on_road(enrolment[0]) == b""
    unread = mutate("wrong-tag", "broken-protection", "no-extra-certs")
    assert unread.on_road(enrolment[0])[1:] == enrolment[0][1:]
    short = mutate("ber-length", "ber-length")
    assert decode_message(enrolment[0]).protected_part[4:] in short.on_road(enrolment[0])


async def test_extra_certs_are_lost_where_there_are_some(cmp_ca: InProcessCA, cmp_secret: SharedSecret) -> None:
    async with cmp_ca.client(cmp_secret) as client:
        credentials = (await client.enroll("CN=dev-42")).credentials
    mutant = mutate("no-extra-certs")
    async with cmp_ca.client(credentials, transform=mutant) as client:
        with pytest.raises(PeerRefusal, match="badMessageCheck"):
            await client.info()
    assert mutant.made == [("genm", "no-extra-certs")]


@pytest.mark.parametrize("name", ["ber-length", "ber-indefinite"])
def test_ber_holds_the_same_content(enrolment: list[bytes], name: str) -> None:
    octets = mutate(name).on_road(enrolment[0])
    assert decode_message(enrolment[0]).protected_part[4:] in octets


def test_every_fault_has_a_description_and_only_known_ones_are_made() -> None:
    assert all(one.description.endswith(".") for one in mutations())
    assert len({one.name for one in mutations()}) == len(mutations())
    assert {one.name for one in mutations() if one.place is MutationPlace.ROAD} == set(RoadFault)
    with pytest.raises(ConfigurationError, match="no fault 'nonsense'"):
        mutate("nonsense")
    with pytest.raises(ConfigurationError, match="LossyRoad"):
        mutate("drop-request")
