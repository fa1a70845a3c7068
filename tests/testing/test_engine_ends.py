"""Both engines face to face: what they exchange is seen, and the test answers what the responder needs."""

from __future__ import annotations

import pytest

from cmpkit.asn1 import InfoTypeAndValue, PKIBody
from cmpkit.engine.client import Finished
from cmpkit.engine.needs import Authorize, Inform
from cmpkit.enums import BodyType, PKIFailureInfo
from cmpkit.errors import CMPError
from cmpkit.oids import CA_CERTS, SIGN_KEY_PAIR_TYPES
from cmpkit.testing import ClientEnd, ResponderEnd, known_sender, run_to_the_end

GENM = PKIBody(BodyType.GENM, [InfoTypeAndValue(CA_CERTS)])


def test_every_message_passes_through_the_hands_of_the_test() -> None:
    client = ClientEnd.of(GENM)
    request, answer = run_to_the_end(client, ResponderEnd())
    assert (request.body.type, answer.body.type) == (BodyType.GENM, BodyType.GENP)
    assert answer.header.recip_nonce == request.header.sender_nonce
    assert isinstance(client.step, Finished)
    assert client.next_message() is None


def test_a_need_is_answered_as_the_test_wants_it() -> None:
    answers = (InfoTypeAndValue(SIGN_KEY_PAIR_TYPES),)
    client = ClientEnd.of(GENM, known_sender("bob"))
    run_to_the_end(client, ResponderEnd(parts={Inform: lambda need: answers}))
    assert isinstance(client.step, Finished)
    assert tuple(client.step.content) == answers


def test_a_need_may_be_refused() -> None:
    def refuse(need: Authorize) -> None:
        raise CMPError("not today", PKIFailureInfo.NOT_AUTHORIZED)

    client = ClientEnd.of(GENM)
    run_to_the_end(client, ResponderEnd(parts={Authorize: refuse}))
    assert client.refusal is not None
    assert client.refusal.fail_info is PKIFailureInfo.NOT_AUTHORIZED


def test_who_never_comes_to_an_end_is_stopped() -> None:
    with pytest.raises(AssertionError, match="not done after 1 requests"):
        run_to_the_end(ClientEnd.of(GENM), ResponderEnd(), limit=1)
