"""Replaced protection: the authority's own above, the requester's below."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cryptography import x509

from cmpkit import oids
from cmpkit.asn1 import InfoTypeAndValue, PKIBody, PKIHeader, PKIMessage, distinguished_name
from cmpkit.crypto.keys import generate_key
from cmpkit.crypto.names import parse_name
from cmpkit.endpoints.central_keys import CentralKey
from cmpkit.endpoints.requests import Wish
from cmpkit.enums import BodyType, PKIFailureInfo, ProofMethod
from cmpkit.errors import CMPError, PeerRefusal
from cmpkit.relay.wrapping import Manner

if TYPE_CHECKING:
    from .conftest import PassingAuthority

SUBJECT = "CN=dev-42"
OWN_FIELDS = {"sender", "sender_kid", "protection_alg", "message_time"}
"""What of a header becomes the authority's on the way up."""


def differences(one: PKIHeader, other: PKIHeader) -> set[str]:
    names = PKIHeader.__dataclass_fields__
    return {name for name in names if getattr(one, name) != getattr(other, name)}


def body_octets(message: PKIMessage) -> bytes:
    return message.body.to_der()


@pytest.mark.rule("R-150", "R-157")
async def test_a_mac_below_becomes_a_signature_above(authority: PassingAuthority) -> None:
    key = generate_key("p256", authority.ca.plugins)
    enrolled = await authority.client().enroll(subject=SUBJECT, key=key)
    assert x509.load_der_x509_certificate(enrolled.certificate).subject.rfc4514_string() == SUBJECT
    assert [passage.message.body.type for passage in authority.passages] == [BodyType.IR, BodyType.CERT_CONF]
    for passage in authority.passages:
        assert differences(passage.message.header, passage.outgoing.header) | {"message_time"} == OWN_FIELDS
        assert body_octets(passage.outgoing) == body_octets(passage.message)
        assert distinguished_name(passage.outgoing.header.sender) == authority.signer.subject
        assert passage.outgoing.header.sender_kid == authority.signer.key_identifier
        assert passage.outgoing.extra_certs == authority.signer.extra_certs


@pytest.mark.rule("R-160")
async def test_answers_to_a_mac_come_down_under_that_mac(authority: PassingAuthority) -> None:
    await authority.client().enroll(subject=SUBJECT, key=generate_key("p256", authority.ca.plugins))
    for message, _, answer, down in authority.passages:
        changed = differences(answer.header, down.header)
        assert changed == {"sender", "recipient", "sender_kid", "protection_alg"}
        assert down.header.recipient == message.header.sender
        assert down.header.sender_kid == authority.secret.reference
        assert down.header.protection_alg == message.header.protection_alg
        assert body_octets(down) == body_octets(answer)
        assert set(down.extra_certs) == set(answer.extra_certs)
    assert {passage.down.body.type for passage in authority.passages} == {BodyType.IP, BodyType.PKICONF}


@pytest.mark.rule("R-157")
async def test_certificates_of_the_requester_come_after_those_of_the_authority(authority: PassingAuthority) -> None:
    other = authority.ca.signer.certificate
    client = authority.client(extra_certs=(other,))
    await client.enroll(subject=SUBJECT, key=generate_key("p256", authority.ca.plugins))
    assert authority.passages[0].outgoing.extra_certs == (*authority.signer.extra_certs, other)


@pytest.mark.rule("R-160")
async def test_refusals_from_above_come_down_as_they_are(authority: PassingAuthority) -> None:
    client = authority.client(profile="no such profile")
    with pytest.raises(PeerRefusal) as caught:
        await client.enroll(subject=SUBJECT, key=generate_key("p256", authority.ca.plugins))
    (passage,) = authority.passages
    assert body_octets(passage.down) == body_octets(passage.answer)
    assert passage.down.header.sender_kid == authority.secret.reference
    assert caught.value.fail_info


async def test_a_signed_request_is_not_re_protected(authority: PassingAuthority) -> None:
    device = await authority.device()
    body = PKIBody(BodyType.GENM, [InfoTypeAndValue(oids.CA_CERTS)])
    message = await authority.message(body, device)
    assert authority.wrapper.manner(message, await authority.authenticate(message)) is Manner.NESTED


@pytest.mark.rule("R-157")
@pytest.mark.parametrize("central", [False, True])
async def test_what_the_ca_needs_the_requester_for_is_not_re_protected(
    authority: PassingAuthority, central: bool
) -> None:
    key = CentralKey() if central else generate_key("p256", authority.ca.plugins)
    operation = BodyType.IR if central else BodyType.KUR
    message = await authority.request(operation, Wish(key=key, subject=x509.Name([])))
    assert authority.wrapper.manner(message, await authority.authenticate(message)) is Manner.NESTED


async def test_what_was_not_verified_is_not_re_protected(authority: PassingAuthority) -> None:
    message = await authority.message(PKIBody(BodyType.GENM, []), authority.secret)
    with pytest.raises(CMPError) as caught:
        authority.wrapper.manner(message, None)
    assert caught.value.fail_info is PKIFailureInfo.NOT_AUTHORIZED
    assert "verify = true" in caught.value.hint


async def test_an_answer_to_who_was_not_verified_comes_down_as_it_is(authority: PassingAuthority) -> None:
    await authority.client().enroll(subject=SUBJECT, key=generate_key("p256", authority.ca.plugins))
    for message, _, answer, _ in authority.passages:
        assert await authority.wrapper.unwrap(answer, message, None, Manner.REPROTECTED) is answer


@pytest.mark.rule("R-066", "R-067", "R-158")
@pytest.mark.parametrize("by_mac", [False, True])
async def test_a_proof_that_names_the_requester_is_verified_here(authority: PassingAuthority, by_mac: bool) -> None:
    """For who signs poposkInput says who sends the request, and the sender becomes another."""
    credentials = authority.secret if by_mac else await authority.device()
    wish = Wish(key=generate_key("p256", authority.ca.plugins))
    message = await authority.request(BodyType.CR, wish, credentials=credentials)
    auth = await authority.authenticate(message)
    outgoing = await authority.wrapper.wrap(message, auth, Manner.REPROTECTED, now=authority.ca.clock())
    (one,) = outgoing.body.content
    assert one.popo.tag == "ra_verified"
    assert one.request_der == message.body.content[0].request_der
    assert outgoing.header.info(oids.ORIG_PKI_MESSAGE) is None


async def test_a_secret_above_has_the_same_parameters_through_a_transaction(authority: PassingAuthority) -> None:
    above = authority.upstream = await authority.secret_above()
    await authority.client().enroll(subject=SUBJECT, key=generate_key("p256", authority.ca.plugins))
    first, second = (passage.outgoing.header for passage in authority.passages)
    assert first.sender_kid == second.sender_kid == above.reference
    assert first.protection_alg == second.protection_alg != authority.passages[0].message.header.protection_alg
    for passage in authority.passages:
        assert passage.answer.header.sender_kid == above.reference
        assert passage.down.header.sender_kid == authority.secret.reference


@pytest.mark.rule("R-160")
async def test_an_answer_under_the_secret_above_comes_down_signed_for_who_signs(authority: PassingAuthority) -> None:
    above = authority.upstream = await authority.secret_above()
    message = await authority.message(PKIBody(BodyType.GENM, []), await authority.device())
    _, _, answer, down = await authority.forward(message, Manner.REPROTECTED)
    assert answer.header.sender_kid == above.reference
    assert down.header.sender_kid == authority.signer.key_identifier
    assert down.extra_certs[: len(authority.signer.extra_certs)] == authority.signer.extra_certs
    assert body_octets(down) == body_octets(answer)


async def test_challenges_of_the_ca_are_solved_under_a_mac(authority: PassingAuthority) -> None:
    """They hold the name of the CA, which has to be that of who sends them (RFC 9810 section 5.2.8.3.3)."""
    wish = Wish(
        key=generate_key("p256", authority.ca.plugins),
        subject=parse_name(SUBJECT),
        proof=ProofMethod.CHALLENGE_RESPONSE,
    )
    await authority.client().obtain(wish)
    kinds = [passage.answer.body.type for passage in authority.passages]
    assert kinds == [BodyType.POPDECC, BodyType.IP, BodyType.PKICONF]
    for passage in authority.passages:
        assert passage.down.header.sender_kid == authority.secret.reference
