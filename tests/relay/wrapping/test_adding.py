"""Added protection: messages go up as they came, inside one of the authority."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cmpkit.asn1 import PKIBody, distinguished_name
from cmpkit.crypto.keys import generate_key
from cmpkit.crypto.protection import find_protection, verify_message
from cmpkit.crypto.x509 import certificate_public_key_info
from cmpkit.endpoints.requests import Wish
from cmpkit.engine.nesting import nesting_faults
from cmpkit.enums import BodyType
from cmpkit.relay.wrapping import Manner, OwnProtection
from cmpkit.relay.wrapping.adding import add_protection

if TYPE_CHECKING:
    from .conftest import PassingAuthority


@pytest.mark.rule("R-150", "R-151")
async def test_one_message_is_nested_with_its_own_identifiers(authority: PassingAuthority) -> None:
    authority.name = "nest"
    device = await authority.device()
    wish = Wish(key=generate_key("p256", authority.ca.plugins), subject=device.subject)
    message = await authority.request(BodyType.CR, wish, credentials=device, recip_nonce=b"n" * 16)
    outer = await authority.wrap(message)
    (inner,) = outer.nested
    assert inner.raw == message.raw
    assert inner.extra_certs == device.extra_certs
    for name in ("transaction_id", "sender_nonce", "recip_nonce", "recipient"):
        assert getattr(outer.header, name) == getattr(message.header, name)
    assert distinguished_name(outer.header.sender) == authority.signer.subject
    assert outer.extra_certs == authority.signer.extra_certs
    assert not list(nesting_faults(outer))


async def test_the_outer_message_is_signed_by_the_authority(authority: PassingAuthority) -> None:
    authority.name = "nest"
    outer = await authority.wrap(await authority.message(PKIBody(BodyType.GENM, [])))
    assert outer.header.protection_alg is not None
    protection = find_protection(authority.ca.plugins, outer.header.protection_alg.algorithm)
    await verify_message(protection, outer, certificate_public_key_info(authority.signer.certificate))


@pytest.mark.rule("R-152")
async def test_several_messages_are_nested_under_identifiers_of_their_own(authority: PassingAuthority) -> None:
    messages = [await authority.message(PKIBody(BodyType.GENM, [])) for _ in range(3)]
    own = OwnProtection(authority.ca.plugins, authority.signer)
    outer = await add_protection(messages, own, now=authority.ca.clock())
    assert [inner.raw for inner in outer.nested] == [message.raw for message in messages]
    assert outer.header.transaction_id not in {message.header.transaction_id for message in messages}
    assert outer.header.sender_nonce not in {message.header.sender_nonce for message in messages}
    assert not list(nesting_faults(outer))


async def test_a_secret_above_protects_nested_messages_too(authority: PassingAuthority) -> None:
    above = authority.upstream = await authority.secret_above()
    message = await authority.message(PKIBody(BodyType.GENM, []))
    outer = await authority.wrapper.wrap(message, None, Manner.NESTED, now=authority.ca.clock())
    assert (outer.header.sender_kid, outer.extra_certs) == (above.reference, ())
    assert outer.header.protection_alg is not None
    await verify_message(find_protection(authority.ca.plugins, outer.header.protection_alg.algorithm), outer, above)


@pytest.mark.rule("R-150")
@pytest.mark.parametrize("name", ["unchanged", "batch"])
async def test_messages_go_up_and_answers_down_octet_by_octet(authority: PassingAuthority, name: str) -> None:
    authority.name = name
    device = await authority.device()
    key = generate_key("p256", authority.ca.plugins)
    await authority.client(device).certify(subject=device.subject, key=key)
    assert len(authority.passages) == 2
    for message, outgoing, answer, down in authority.passages:
        assert outgoing.raw == message.raw
        assert down.raw == answer.raw
