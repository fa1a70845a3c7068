"""Changed requests: another template above than below, on the word of the authority."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography import x509

from cmpkit import oids
from cmpkit.asn1 import (
    AttributeTypeAndValue,
    BitString,
    CertificationRequest,
    CertReqMsg,
    PKIBody,
    PKIMessage,
    POPOSigningKey,
    Variant,
    decode,
    distinguished_name,
    encode,
    read_value,
    to_tlv,
)
from cmpkit.crypto.keys import generate_key
from cmpkit.crypto.names import parse_name
from cmpkit.crypto.pop import build_p10
from cmpkit.crypto.x509 import extension
from cmpkit.endpoints.central_keys import CentralKey
from cmpkit.endpoints.requests import Wish
from cmpkit.engine.nesting import original_faults
from cmpkit.engine.template import read_p10, read_request, requested_profiles
from cmpkit.enums import BodyType, PKIFailureInfo, PKIStatus, ProofMethod
from cmpkit.errors import CMPError, PeerRefusal
from cmpkit.parts import CertificateRequest, PrivateKey
from cmpkit.relay.wrapping import FORWARD, Manner

if TYPE_CHECKING:
    from .conftest import PassingAuthority

NAME = parse_name("CN=dev-42")
GIVEN = parse_name("CN=dev-42,O=Example")
WHOLE = extension(x509.SubjectAlternativeName([x509.DNSName("dev-42.example")]))


@pytest.fixture(scope="module")
def key(made: object) -> PrivateKey:
    return generate_key("p256", made.ca.plugins)  # type: ignore[attr-defined]


async def asked(authority: PassingAuthority, message: PKIMessage, number: int = 0) -> CertificateRequest:
    """What a message asks for, as the policy of the authority sees it."""
    if message.body.type is BodyType.P10CR:
        return read_p10(message.body.content, None)
    auth = await authority.authenticate(message)
    return read_request(message.body.type, message.body.content[number], auth, None)


async def changed(authority: PassingAuthority, message: PKIMessage, *wanted: CertificateRequest) -> PKIMessage:
    authority.changed = wanted
    authority.manners.clear()
    return await authority.wrap(message)


@pytest.mark.rule("R-158")
async def test_the_certificate_is_what_the_authority_makes_of_the_request(
    authority: PassingAuthority, key: PrivateKey
) -> None:
    wanted = CertificateRequest(BodyType.IR, 0, key.public_key_info, GIVEN, (WHOLE,))
    authority.changed = (wanted,)
    enrolled = await authority.client().enroll(subject=NAME, key=key)
    certificate = x509.load_der_x509_certificate(enrolled.certificate)
    assert certificate.subject == GIVEN
    assert certificate.extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    ).value == x509.SubjectAlternativeName([x509.DNSName("dev-42.example")])
    (one,) = authority.passages[0].outgoing.body.content
    assert one.popo.tag == "ra_verified"


async def test_a_refusal_of_a_changed_request_comes_down_as_it_is(authority: PassingAuthority, key: PrivateKey) -> None:
    authority.changed = (CertificateRequest(BodyType.IR, 0, key.public_key_info, NAME, profile="no such profile"),)
    with pytest.raises(PeerRefusal):
        await authority.client().enroll(subject=NAME, key=key)
    (passage,) = authority.passages
    assert passage.down.body.to_der() == passage.answer.body.to_der()


@pytest.mark.rule("R-158")
async def test_everything_that_a_policy_may_decide_is_changed(authority: PassingAuthority, key: PrivateKey) -> None:
    message = await authority.request(BodyType.IR, Wish(key=key, subject=NAME))
    start = authority.ca.clock().replace(microsecond=0)
    wanted = replace(
        await asked(authority, message),
        subject=GIVEN,
        extensions=(WHOLE,),
        not_before=start,
        not_after=start + timedelta(days=30 * 365),
        profile="device",
    )
    outgoing = await changed(authority, message, wanted)
    seen = await asked(authority, outgoing)
    assert replace(seen, profile="device", proof=wanted.proof) == wanted
    assert seen.proof is ProofMethod.RA_VERIFIED
    assert requested_profiles(outgoing, None) == ("device",)
    assert outgoing.header.transaction_id == message.header.transaction_id
    assert outgoing.header.sender_nonce == message.header.sender_nonce


async def test_what_is_asked_for_can_be_taken_out(authority: PassingAuthority, key: PrivateKey) -> None:
    start = authority.ca.clock().replace(microsecond=0)
    wish = Wish(key=key, subject=NAME, extensions=(WHOLE,), not_before=start, not_after=start + timedelta(days=1))
    message = await authority.request(BodyType.IR, wish)
    less = replace(await asked(authority, message), subject=None, extensions=(), not_before=None, not_after=None)
    template = (await changed(authority, message, less)).body.content[0].request.cert_template
    assert (template.subject, template.extensions, template.validity) == (None, None, None)
    assert template.public_key is not None


async def test_only_the_profile_is_changed_where_nothing_else_is(authority: PassingAuthority, key: PrivateKey) -> None:
    message = await authority.request(BodyType.IR, Wish(key=key, subject=NAME), Wish(key=key, subject=NAME))
    other = replace(await asked(authority, message, 1), profile="special")
    outgoing = await changed(authority, message, other)
    assert outgoing.body.to_der() == message.body.to_der()
    assert requested_profiles(outgoing, None, 2) == (None, "special")


async def test_of_several_requests_only_those_change_that_are_named(
    authority: PassingAuthority, key: PrivateKey
) -> None:
    message = await authority.request(BodyType.IR, Wish(key=key, subject=NAME), Wish(key=key, subject=NAME))
    outgoing = await changed(authority, message, replace(await asked(authority, message, 1), subject=GIVEN))
    first, second = outgoing.body.content
    assert encode(first) == encode(message.body.content[0])
    assert (second.request.cert_req_id, second.popo.tag) == (1, "ra_verified")
    assert second.request.cert_template.subject.name == GIVEN


@pytest.mark.rule("R-158")
async def test_a_proof_that_fails_is_not_vouched_for(authority: PassingAuthority, key: PrivateKey) -> None:
    good = await authority.request(BodyType.IR, Wish(key=key, subject=NAME))
    (one,) = good.body.content
    wrong = POPOSigningKey(
        algorithm_identifier=one.popo.value.algorithm_identifier, signature=BitString(b"\x30\x00", 0)
    )
    body = PKIBody(BodyType.IR, [CertReqMsg(cert_req=one.cert_req, popo=Variant(wrong, "signature"))])
    message = await authority.message(body)
    with pytest.raises(CMPError) as caught:
        await changed(authority, message, replace(await asked(authority, good), subject=GIVEN))
    assert caught.value.fail_info is PKIFailureInfo.BAD_POP


async def test_raverified_of_anybody_is_not_repeated(authority: PassingAuthority, key: PrivateKey) -> None:
    message = await authority.request(BodyType.IR, Wish(key=key, subject=NAME, proof=ProofMethod.RA_VERIFIED))
    with pytest.raises(CMPError) as caught:
        await changed(authority, message, replace(await asked(authority, message), subject=GIVEN))
    assert caught.value.fail_info is PKIFailureInfo.BAD_POP


async def test_a_proof_that_is_about_the_key_alone_stays(authority: PassingAuthority, key: PrivateKey) -> None:
    wish = Wish(key=key, subject=NAME, proof=ProofMethod.ENCRYPTED_CERTIFICATE)
    message = await authority.request(BodyType.IR, wish)
    outgoing = await changed(authority, message, replace(await asked(authority, message), subject=GIVEN))
    assert encode(outgoing.body.content[0].popo.value) == encode(message.body.content[0].popo.value)


async def test_what_an_authority_below_replaced_is_what_is_changed(
    authority: PassingAuthority, key: PrivateKey
) -> None:
    below = await authority.ca.authority("CN=RA below")
    plain = await authority.request(BodyType.IR, Wish(key=key, subject=NAME))
    pairs = AttributeTypeAndValue(type=oids.UTF8_PAIRS, value=to_tlv("version?1%"))
    template = replace(plain.body.content[0].request.cert_template, extensions=[WHOLE])
    other = replace(plain.body.content[0].request, cert_template=template)
    information = (AttributeTypeAndValue(type=oids.REG_INFO_CERT_REQ, value=to_tlv(other)), pairs)
    wish = Wish(key=key, subject=NAME, reg_info=information)
    message = await authority.request(BodyType.IR, wish, credentials=below)
    seen = await asked(authority, message)
    assert seen.extensions == (WHOLE,)
    outgoing = await changed(authority, message, replace(seen, subject=GIVEN))
    (one,) = outgoing.body.content
    assert one.reg_info == [pairs]
    assert one.request.cert_template.extensions == [WHOLE]
    assert one.request.cert_template.subject.name == GIVEN


async def test_a_key_that_the_authority_made_is_vouched_for(authority: PassingAuthority, key: PrivateKey) -> None:
    message = await authority.request(BodyType.IR, Wish(key=CentralKey(), subject=NAME), pvno=3)
    outgoing = await changed(
        authority, message, replace(await asked(authority, message), public_key_info=key.public_key_info)
    )
    (one,) = outgoing.body.content
    assert one.popo.tag == "ra_verified"
    assert one.request.cert_template.public_key.der == key.public_key_info


@pytest.mark.rule("R-159")
async def test_the_original_comes_along_where_that_is_wanted(authority: PassingAuthority, key: PrivateKey) -> None:
    authority.include_original = True
    message = await authority.request(BodyType.IR, Wish(key=key, subject=NAME))
    outgoing = await changed(authority, message, replace(await asked(authority, message), subject=GIVEN))
    (original,) = read_value(outgoing.header.info(oids.ORIG_PKI_MESSAGE))
    assert original.raw == message.raw
    assert not list(original_faults(outgoing))


@pytest.mark.rule("R-159")
async def test_an_original_that_came_along_is_kept_as_the_only_one(
    authority: PassingAuthority, key: PrivateKey
) -> None:
    authority.include_original = True
    first = await authority.request(BodyType.IR, Wish(key=key, subject=NAME))
    below = await changed(authority, first, replace(await asked(authority, first), subject=GIVEN))
    again = await changed(authority, below, replace(await asked(authority, below), subject=NAME))
    (original,) = read_value(again.header.info(oids.ORIG_PKI_MESSAGE))
    assert original.raw == first.raw
    assert not list(original_faults(again))


@pytest.mark.rule("R-130")
async def test_of_a_pkcs10_request_only_the_profile_can_be_changed(
    authority: PassingAuthority, key: PrivateKey
) -> None:
    request = decode(CertificationRequest, await build_p10(NAME, key))
    message = await authority.message(PKIBody(BodyType.P10CR, request))
    wanted = replace(await asked(authority, message), profile="special")
    outgoing = await changed(authority, message, wanted)
    assert outgoing.body.to_der() == message.body.to_der()
    assert requested_profiles(outgoing, None) == ("special",)
    with pytest.raises(CMPError) as caught:
        await changed(authority, message, replace(wanted, subject=GIVEN))
    assert caught.value.fail_info is PKIFailureInfo.BAD_CERT_TEMPLATE
    assert "subject" in caught.value.detail


async def test_a_policy_cannot_change_a_key(authority: PassingAuthority, key: PrivateKey) -> None:
    message = await authority.request(BodyType.IR, Wish(key=key, subject=NAME))
    other = generate_key("p256", authority.ca.plugins).public_key_info
    with pytest.raises(CMPError) as caught:
        await changed(authority, message, replace(await asked(authority, message), public_key_info=other))
    assert caught.value.fail_info is PKIFailureInfo.BAD_CERT_TEMPLATE


@pytest.mark.rule("R-157")
@pytest.mark.parametrize("wish", [Wish(key=CentralKey(), subject=NAME), None])
async def test_what_needs_the_requester_cannot_be_changed(
    authority: PassingAuthority, key: PrivateKey, wish: Wish | None
) -> None:
    operation = BodyType.KUR if wish is None else BodyType.IR
    message = await authority.request(operation, wish or Wish(key=key, subject=NAME), pvno=3)
    with pytest.raises(CMPError) as caught:
        await changed(authority, message, replace(await asked(authority, message), subject=GIVEN))
    assert caught.value.fail_info is PKIFailureInfo.BAD_CERT_TEMPLATE


@pytest.mark.parametrize("name", FORWARD)
async def test_a_request_can_be_changed_unless_nothing_may_be_changed(
    authority: PassingAuthority, key: PrivateKey, name: str
) -> None:
    authority.name = name
    message = await authority.request(BodyType.IR, Wish(key=key, subject=NAME))
    auth = await authority.authenticate(message)
    wanted = replace(await asked(authority, message), subject=GIVEN)
    if name == "unchanged":
        with pytest.raises(CMPError) as caught:
            authority.wrapper.manner(message, auth, changed=[wanted])
        assert "the policy would change" in caught.value.detail
    else:
        assert authority.wrapper.manner(message, auth, changed=[wanted]) is Manner.CHANGED


async def test_a_signed_request_that_is_changed_is_confirmed_under_the_same_protection(
    authority: PassingAuthority, key: PrivateKey
) -> None:
    """The CA knows the transaction as the authority's."""
    device = await authority.device()
    authority.changed = (CertificateRequest(BodyType.CR, 0, key.public_key_info, GIVEN),)
    enrolled = await authority.client(device).certify(subject=device.subject, key=key)
    assert x509.load_der_x509_certificate(enrolled.certificate).subject == GIVEN
    assert [passage.outgoing.body.type for passage in authority.passages] == [BodyType.CR, BodyType.CERT_CONF]
    given, confirmed = authority.passages
    assert given.answer.body.content.response[0].status.status is PKIStatus.ACCEPTED
    assert given.down.body.content.response[0].status.status is PKIStatus.GRANTED_WITH_MODS
    assert distinguished_name(given.down.header.sender) == authority.signer.subject
    assert confirmed.down.raw == confirmed.answer.raw
