"""Batches: who is in one, and whose each answer in it is."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import anyio
import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from cmpkit.asn1 import (
    ErrorMsgContent,
    Null,
    PKIBody,
    PKIHeader,
    PKIMessage,
    PKIStatusInfo,
    PollRep,
    decode_message,
    directory_name,
    to_tlv,
)
from cmpkit.crypto.names import parse_name
from cmpkit.engine.nesting import MAX_COUNT, nest
from cmpkit.enums import BodyType, PKIFailureInfo, PKIStatus
from cmpkit.errors import CMPError, ConfigurationError
from cmpkit.parts import Relayed, SharedSecret
from cmpkit.plugins import load_plugins
from cmpkit.relay.batching import (
    BatchLimits,
    Collector,
    make_batch,
    open_batch,
    pause_before_polling,
    poll_for_batch,
)
from cmpkit.relay.wrapping import OwnProtection

NOW = datetime(2026, 11, 23, tzinfo=UTC)
NOBODY = directory_name(x509.Name([]))
RA = SharedSecret("ra", "secret of the RA")


def message(body: PKIBody, transaction: int, nonce: int, recip_nonce: int | None = None) -> PKIMessage:
    header = PKIHeader(
        pvno=2,
        sender=NOBODY,
        recipient=directory_name(parse_name("CN=CA")),
        transaction_id=transaction.to_bytes(16, "big"),
        sender_nonce=nonce.to_bytes(16, "big"),
        recip_nonce=None if recip_nonce is None else recip_nonce.to_bytes(16, "big"),
    )
    return decode_message(PKIMessage(header, body).raw)


def relayed(number: int, transaction: int | None = None) -> Relayed:
    """The message of one requester; its nonce is its number."""
    body = PKIBody(BodyType.GENM, [])
    outgoing = message(body, number if transaction is None else transaction, number)
    return Relayed(
        key=f"{number:064x}",
        transaction_id=outgoing.header.transaction_id or b"",
        credential=f"mac:{number:x}",
        upstream="ca",
        body_type=BodyType.GENM,
        message=outgoing.raw,
        outgoing=outgoing.raw,
        at=NOW,
        deadline=NOW,
    )


def answer_to(one: Relayed) -> PKIMessage:
    request = decode_message(one.outgoing).header
    nonce = int.from_bytes(request.sender_nonce or b"", "big")
    transaction = int.from_bytes(one.transaction_id, "big")
    return message(PKIBody(BodyType.PKICONF, Null()), transaction, nonce + (1 << 64), nonce)


def nested(*answers: PKIMessage) -> PKIMessage:
    return message(nest(answers), 1 << 100, 1, 2)


def outer_of(members: Sequence[Relayed]) -> PKIMessage:
    return message(nest([decode_message(one.outgoing) for one in members]), 1 << 100, 2)


@pytest.fixture(scope="module")
def own() -> OwnProtection:
    return OwnProtection(load_plugins(), RA)


class TestMaking:
    @pytest.mark.rule("R-152")
    async def test_a_batch_has_identifiers_of_its_own_and_its_messages_in_order(self, own: OwnProtection) -> None:
        members = [relayed(number) for number in (3, 1, 2)]
        batch = await make_batch(members, own, now=NOW)
        outer = decode_message(batch.outgoing)
        assert [inner.raw for inner in outer.nested] == [one.outgoing for one in members]
        assert (outer.header.transaction_id, outer.header.sender_nonce) == (batch.transaction_id, batch.sender_nonce)
        assert batch.transaction_id not in {one.transaction_id for one in members}
        assert (batch.upstream, batch.at, batch.is_sent) == ("ca", NOW, False)

    async def test_no_two_batches_have_the_same_key(self, own: OwnProtection) -> None:
        first, second = [await make_batch([relayed(1), relayed(2)], own, now=NOW) for _ in range(2)]
        assert first.key != second.key
        assert first.transaction_id != second.transaction_id

    @pytest.mark.rule("R-151")
    async def test_one_message_alone_is_nested_under_its_own_identifiers(self, own: OwnProtection) -> None:
        one = relayed(7)
        batch = await make_batch([one], own, now=NOW)
        assert batch.transaction_id == one.transaction_id
        assert open_batch(decode_message(batch.outgoing), answer_to(one), [one]) == {one.key: answer_to(one)}


class TestOpening:
    @pytest.mark.rule("R-152", "R-153")
    @given(count=st.integers(2, 8), data=st.data())
    def test_each_gets_its_own_answer_in_whatever_order_they_come(self, count: int, data: st.DataObject) -> None:
        """Some are lost, some come twice, some are another's, some are no messages at all, some share an ID."""
        shared = data.draw(st.booleans())
        members = [relayed(number, number // 2 if shared else None) for number in range(1, count + 1)]
        here = data.draw(st.sets(st.sampled_from(range(count))))
        answers = [answer_to(members[number]) for number in here]
        if answers:
            answers += data.draw(st.lists(st.sampled_from(answers), max_size=2))
        answers += [answer_to(relayed(number)) for number in data.draw(st.lists(st.integers(100, 110), max_size=2))]
        elements = [to_tlv(one.raw) for one in answers] + [to_tlv(b"\x05\x00")] * data.draw(st.integers(0, 2))
        elements = data.draw(st.permutations(elements)) or [to_tlv(b"\x05\x00")]
        answer = message(PKIBody(BodyType.NESTED, list(elements)), 1 << 100, 1, 2)
        opened = open_batch(outer_of(members), answer, members)
        assert list(opened) == [one.key for one in members]
        for number, one in enumerate(members):
            found = opened[one.key]
            if number in here:
                assert found == answer_to(one)
            else:
                assert isinstance(found, CMPError)
                assert found.fail_info is PKIFailureInfo.SYSTEM_UNAVAIL

    @pytest.mark.rule("R-153")
    def test_what_is_too_much_is_dropped_and_logged(self, caplog: pytest.LogCaptureFixture) -> None:
        members = [relayed(1), relayed(2)]
        with caplog.at_level(logging.WARNING, "cmpkit.relay"):
            opened = open_batch(outer_of(members), nested(*map(answer_to, [*members, relayed(3)])), members)
        assert [opened[one.key] for one in members] == [answer_to(one) for one in members]
        assert "1 answers in a batch from ca answer nothing in it: dropped" in caplog.text

    @pytest.mark.rule("R-153")
    def test_who_is_missing_is_named_in_the_log(self, caplog: pytest.LogCaptureFixture) -> None:
        members = [relayed(1), relayed(0xABC)]
        with caplog.at_level(logging.WARNING, "cmpkit.relay"):
            open_batch(outer_of(members), nested(answer_to(members[0])), members)
        assert "0abc: the batch from ca has no answer to it" in caplog.text
        assert "dropped" not in caplog.text

    @pytest.mark.rule("R-154")
    def test_what_refuses_the_batch_refuses_each_message_in_it(self) -> None:
        members = [relayed(1), relayed(2)]
        opened = open_batch(outer_of(members), refusing(PKIStatus.REJECTION, "not you"), members)
        assert set(opened) == {one.key for one in members}
        for error in opened.values():
            assert isinstance(error, CMPError)
            assert (error.fail_info, error.status_text) == (PKIFailureInfo.SIGNER_NOT_TRUSTED, "not you")

    @pytest.mark.rule("R-110", "R-112")
    def test_how_long_the_upstream_needs_is_what_it_says(self) -> None:
        usual = timedelta(seconds=7)
        assert pause_before_polling(refusing(PKIStatus.WAITING, "busy"), usual) == 7
        assert pause_before_polling(refusing(PKIStatus.REJECTION, "no"), usual) is None
        assert pause_before_polling(nested(answer_to(relayed(1))), usual) is None
        for said, pause in ((5, 5), (0, 0), (-3, 0), (1 << 40, 86_400)):
            poll_rep = PKIBody(BodyType.POLL_REP, [PollRep(cert_req_id=-1, check_after=said)])
            assert pause_before_polling(message(poll_rep, 1 << 100, 1, 2), usual) == pause

    @pytest.mark.rule("R-111")
    async def test_a_batch_is_polled_for_as_a_whole_message(self, own: OwnProtection) -> None:
        members = [relayed(1), relayed(2)]
        outer = decode_message((await make_batch(members, own, now=NOW)).outgoing)
        answer = refusing(PKIStatus.WAITING, "busy")
        polling = decode_message((await poll_for_batch(outer, answer, own, now=NOW)).raw)
        assert [one.cert_req_id for one in polling.body.content] == [-1]
        assert polling.header.transaction_id == outer.header.transaction_id
        assert polling.header.recip_nonce == answer.header.sender_nonce
        assert polling.header.sender_nonce != outer.header.sender_nonce

    def test_what_is_not_nested_is_no_answer_to_a_batch(self) -> None:
        members = [relayed(1), relayed(2)]
        with pytest.raises(CMPError) as caught:
            open_batch(outer_of(members), answer_to(members[0]), members)
        assert caught.value.fail_info is PKIFailureInfo.BAD_DATA_FORMAT

    def test_who_was_answered_before_gets_nothing_anew(self) -> None:
        """After a restart, the rest of a batch has the same answer as all of it."""
        members = [relayed(1), relayed(2)]
        opened = open_batch(outer_of(members), nested(*map(answer_to, members)), members[1:])
        assert opened == {members[1].key: answer_to(members[1])}


def refusing(status: PKIStatus, text: str) -> PKIMessage:
    info = PKIStatusInfo.of(status, [text], PKIFailureInfo.SIGNER_NOT_TRUSTED)
    return message(PKIBody(BodyType.ERROR, ErrorMsgContent(pki_status_info=info)), 1 << 100, 1, 2)


class TestCollecting:
    async def test_as_many_as_are_wanted_go_at_once(self) -> None:
        collector = collecting("abcdefg", count=3)
        with anyio.fail_after(5):
            assert [await collector.take(), await collector.take()] == [("a", "b", "c"), ("d", "e", "f")]

    async def test_the_last_that_is_needed_sends_them_off(self) -> None:
        collector = collecting("", count=2)
        taken: list[Sequence[str]] = []

        async def take() -> None:
            taken.append(await collector.take())

        with anyio.fail_after(5):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(take)
                await anyio.wait_all_tasks_blocked()
                collector.put("a", 1)
                await anyio.wait_all_tasks_blocked()
                assert not taken
                collector.put("b", 1)
        assert taken == [("a", "b")]

    async def test_the_first_waits_no_longer_than_it_may(self) -> None:
        collector = collecting("ab", seconds=0.01)
        with anyio.fail_after(5):
            assert await collector.take() == ("a", "b")

    async def test_more_octets_than_the_upstream_takes_do_not_go_together(self) -> None:
        collector = collecting("abcd", octets=25)
        with anyio.fail_after(5):
            assert await collector.take() == ("a", "b")
        collector.put("e", 10)
        with anyio.fail_after(5):
            assert await collector.take() == ("c", "d")

    async def test_a_message_that_is_too_large_goes_alone(self) -> None:
        collector = collecting("ab", octets=9)
        with anyio.fail_after(5):
            assert [await collector.take(), await collector.take()] == [("a",), ("b",)]

    @pytest.mark.rule("R-155")
    @pytest.mark.parametrize("count", [0, MAX_COUNT + 1])
    def test_a_count_that_no_batch_may_have_is_refused(self, count: int) -> None:
        with pytest.raises(ConfigurationError):
            BatchLimits(count=count)

    def test_no_time_is_less_than_none(self) -> None:
        with pytest.raises(ConfigurationError):
            BatchLimits(seconds=-1)


def collecting(keys: str, *, count: int = 100, seconds: float = 3600, octets: int = 1 << 20) -> Collector:
    """A collector with messages of ten octets."""
    collector = Collector(BatchLimits(count, seconds, octets))
    for key in keys:
        collector.put(key, 10)
    return collector
