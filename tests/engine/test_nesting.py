"""Nested messages as values: made and checked, by whoever forwards messages and by whoever gets them."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st

from cmpkit import oids
from cmpkit.asn1 import (
    GeneralizedTime,
    InfoTypeAndValue,
    Null,
    PKIBody,
    PKIHeader,
    PKIMessage,
    decode_message,
    directory_name,
    encode_list,
    to_tlv,
)
from cmpkit.crypto.names import parse_name
from cmpkit.engine.nesting import (
    NestingLimits,
    count_faults,
    find_answers,
    is_batch,
    nest,
    nested_header,
    nesting_faults,
    original_faults,
)
from cmpkit.enums import BodyType, PKIFailureInfo
from cmpkit.errors import CMPError

from .scene import NOW

RA = directory_name(parse_name("CN=ra"))
NOBODY = directory_name(x509.Name([]))
identifiers = st.binary(min_size=16, max_size=16)


def message(number: int = 1, body: PKIBody | None = None, *, pvno: int = 2, **header: Any) -> PKIMessage:
    """A message that is told from others by its identifiers."""
    made = PKIHeader(
        pvno=pvno,
        sender=NOBODY,
        recipient=NOBODY,
        transaction_id=number.to_bytes(16),
        sender_nonce=(1000 + number).to_bytes(16),
    )
    return decode_message(
        PKIMessage(dataclasses.replace(made, **header), body or PKIBody(BodyType.PKICONF, Null())).raw
    )


def answer_to(request: PKIMessage, **header: Any) -> PKIMessage:
    ids = {"transaction_id": request.header.transaction_id, "recip_nonce": request.header.sender_nonce}
    return message(99, **{**ids, **header})


def outer_of(*members: PKIMessage, **header: Any) -> PKIMessage:
    """A nested message as an RA makes it; ``header`` has what is wrong with it."""
    made = nested_header(members, sender=RA, recipient=NOBODY, sender_kid=b"kid", protection_alg=None, now=NOW)
    return decode_message(PKIMessage(dataclasses.replace(made, **header), nest(members)).raw)


def deep(levels: int, inner: PKIMessage | None = None) -> PKIMessage:
    """A message inside that many nested ones."""
    made = inner or message()
    for _ in range(levels):
        made = outer_of(made)
    return made


def names_of(outer: PKIMessage, limits: NestingLimits | None = None) -> list[str]:
    return [name for fault in nesting_faults(outer, limits) for name in fault.fail_info.wire_names]


def original(*messages: PKIMessage) -> InfoTypeAndValue:
    return InfoTypeAndValue(oids.ORIG_PKI_MESSAGE, to_tlv(encode_list([to_tlv(one.raw) for one in messages])))


class TestMaking:
    @pytest.mark.rule("R-151")
    @given(transaction_id=identifiers, nonce=identifiers, recip_nonce=st.none() | identifiers)
    @settings(max_examples=25)
    def test_around_one_message_are_its_identifiers(self, transaction_id, nonce, recip_nonce) -> None:
        inner = message(transaction_id=transaction_id, sender_nonce=nonce, recip_nonce=recip_nonce)
        outer = outer_of(inner)
        got = outer.header
        assert (got.transaction_id, got.sender_nonce, got.recip_nonce) == (transaction_id, nonce, recip_nonce)
        assert (got.sender, got.sender_kid, got.message_time) == (
            RA,
            b"kid",
            GeneralizedTime(NOW.replace(microsecond=0)),
        )
        assert outer.nested == (inner,)
        assert not is_batch(outer)
        assert names_of(outer) == []

    @pytest.mark.rule("R-152")
    @given(st.lists(st.integers(1, 200), min_size=2, max_size=20, unique=True))
    @settings(max_examples=25)
    def test_around_several_are_identifiers_of_its_own_and_they_are_in_order(self, numbers) -> None:
        members = [message(number) for number in numbers]
        outer = outer_of(*members)
        assert outer.nested == tuple(members)
        taken = {one for member in members for one in (member.header.transaction_id, member.header.sender_nonce)}
        assert len({outer.header.transaction_id, outer.header.sender_nonce, *taken}) == 2 + len(taken)
        assert outer.header.recip_nonce is None
        assert is_batch(outer)
        assert names_of(outer) == []

    @pytest.mark.rule("R-152")
    def test_two_batches_have_different_identifiers(self) -> None:
        one, other = (outer_of(message(1), message(2)).header for _ in range(2))
        assert len({one.transaction_id, other.transaction_id, one.sender_nonce, other.sender_nonce}) == 4

    @given(st.lists(st.sampled_from([2, 3]), min_size=1, max_size=5))
    def test_its_version_is_the_highest_in_it(self, versions) -> None:
        outer = outer_of(*(message(number, pvno=pvno) for number, pvno in enumerate(versions)))
        assert outer.header.pvno == max(versions)

    def test_general_info_is_carried(self) -> None:
        info = original(message())
        made = nested_header(
            [message()], sender=RA, recipient=NOBODY, sender_kid=None, protection_alg=None, now=NOW, general_info=[info]
        )
        assert made.general_info == [info]

    def test_an_empty_one_cannot_be_made(self) -> None:
        with pytest.raises(CMPError) as caught:
            _ = PKIMessage(message().header, nest([])).raw
        assert caught.value.fail_info is PKIFailureInfo.SYSTEM_FAILURE


class TestFaults:
    @pytest.mark.rule("R-151")
    @pytest.mark.parametrize(
        ("header", "fail_info"),
        [
            ({"transaction_id": bytes(16)}, ["badRequest"]),
            ({"sender_nonce": bytes(16)}, ["badSenderNonce"]),
            ({"transaction_id": bytes(16), "sender_nonce": None}, ["badRequest", "badSenderNonce"]),
        ],
    )
    def test_other_identifiers_than_those_of_the_only_message_are_faults(self, header, fail_info) -> None:
        outer = outer_of(message(), **header)
        assert names_of(outer) == fail_info
        assert {fault.tolerance for fault in nesting_faults(outer)} == {"loose-nested"}

    @pytest.mark.rule("R-155")
    def test_an_only_member_that_is_no_message_is_a_fault(self) -> None:
        body = PKIBody(BodyType.NESTED, [to_tlv(b"\x30\x00")])
        assert names_of(message(body=body)) == ["badDataFormat"]

    @pytest.mark.rule("R-155")
    def test_one_among_several_that_is_no_message_does_not_spoil_them(self) -> None:
        body = PKIBody(BodyType.NESTED, [to_tlv(b"\x30\x00"), to_tlv(message().raw)])
        outer = message(body=body)
        assert names_of(outer) == []
        broken, whole = outer.members
        assert isinstance(broken, CMPError)
        assert whole == message()
        with pytest.raises(CMPError):
            _ = outer.nested

    @pytest.mark.rule("R-155")
    @given(levels=st.integers(1, 8), limit=st.integers(1, 6))
    @settings(max_examples=30)
    def test_they_may_be_so_deep_and_no_deeper(self, levels, limit) -> None:
        assert names_of(deep(levels), NestingLimits(depth=limit)) == ([] if levels <= limit else ["badRequest"])

    @pytest.mark.rule("R-155")
    def test_the_usual_limits_are_4_deep_and_1000_messages(self) -> None:
        assert names_of(deep(4)) == []
        assert names_of(deep(5)) == ["badRequest"]
        members = [message(number) for number in range(1001)]
        assert names_of(outer_of(*members[:1000])) == []
        assert names_of(outer_of(*members)) == ["badRequest"]

    @pytest.mark.rule("R-155")
    @given(st.lists(st.integers(1, 5), min_size=1, max_size=5), st.integers(1, 12))
    @settings(max_examples=40)
    def test_messages_are_counted_at_all_depths_together(self, sizes, limit) -> None:
        numbers = iter(range(1, 100))
        batches = [outer_of(*(message(next(numbers)) for _ in range(size))) for size in sizes]
        outer = outer_of(*batches)
        expected = ["badRequest"] if sum(sizes) > limit or len(sizes) > limit else []
        assert names_of(outer, NestingLimits(count=limit)) == expected

    @pytest.mark.rule("R-155")
    def test_none_is_read_of_too_many(self, monkeypatch: pytest.MonkeyPatch) -> None:
        outer = outer_of(message(1), message(2), message(3))

        def read(_: PKIMessage) -> None:
            raise AssertionError("a member was read")

        monkeypatch.setattr(PKIMessage, "members", property(read))
        assert [str(fault) for fault in count_faults(outer, NestingLimits(count=2))] != []
        assert names_of(outer, NestingLimits(count=2)) == ["badRequest"]


class TestOriginals:
    """origPKIMessage (RFC 9810 section 5.1.1.3)."""

    def faults(self, holder: PKIMessage) -> list[str]:
        return [name for fault in original_faults(holder) for name in fault.fail_info.wire_names]

    @pytest.mark.rule("R-159")
    @pytest.mark.parametrize(("count", "expected"), [(1, []), (2, ["badDataFormat"]), (0, ["badDataFormat"])])
    def test_beside_one_message_is_one_original(self, count, expected) -> None:
        holder = message(general_info=[original(*map(message, range(count)))])
        assert self.faults(holder) == expected

    @pytest.mark.rule("R-159")
    @pytest.mark.parametrize("value", [None, to_tlv(b"\x05\x00"), to_tlv(b"\x30\x02\x30\x00")])
    def test_what_is_no_message_is_no_original(self, value) -> None:
        assert self.faults(message(general_info=[InfoTypeAndValue(oids.ORIG_PKI_MESSAGE, value)])) == ["badDataFormat"]

    @pytest.mark.rule("R-159")
    def test_a_message_without_it_has_nothing_wrong(self) -> None:
        other = InfoTypeAndValue(oids.IMPLICIT_CONFIRM, Null())
        assert self.faults(message()) == self.faults(message(general_info=[other])) == []

    @pytest.mark.rule("R-159")
    @given(st.lists(st.booleans(), min_size=1, max_size=6).filter(any), st.randoms(use_true_random=False))
    @settings(max_examples=30)
    def test_beside_a_batch_are_those_of_its_members_in_order(self, changed, random) -> None:
        members = [message(number) for number in range(1, len(changed) + 1)]
        originals = [message(number, pvno=3) for number, was in enumerate(changed, start=1) if was]
        info = original(*originals)
        assert self.faults(outer_of(*members, general_info=[info])) == []
        assert self.faults(outer_of(*members, general_info=[original(*originals, message(77))])) == ["badDataFormat"]
        mixed = random.sample(originals, len(originals))
        expected = [] if mixed == originals else ["badDataFormat"]
        assert self.faults(outer_of(*members, general_info=[original(*mixed)])) == expected

    @pytest.mark.rule("R-159")
    def test_it_is_a_fault_of_a_nested_message(self) -> None:
        assert names_of(outer_of(message(1), general_info=[original(message(2))])) == ["badDataFormat"]


class TestAnswers:
    @pytest.mark.rule("R-152", "R-153")
    @given(st.lists(st.booleans(), min_size=2, max_size=8), st.randoms(use_true_random=False))
    @settings(max_examples=40)
    def test_each_request_gets_its_own_in_whatever_order_they_come(self, there, random) -> None:
        requests = [message(number) for number in range(1, len(there) + 1)]
        answers = [answer_to(request) if is_there else None for request, is_there in zip(requests, there, strict=True)]
        surplus = message(500)
        mixed = [answer for answer in (*answers, surplus) if answer is not None]
        random.shuffle(mixed)
        assert find_answers(outer_of(*mixed), requests) == tuple(answers)

    @pytest.mark.rule("R-152")
    def test_where_requests_have_the_same_id_the_nonce_tells(self) -> None:
        requests = [message(1), message(1, sender_nonce=bytes(16))]
        answers = [answer_to(request) for request in requests]
        assert find_answers(outer_of(*reversed(answers)), requests) == tuple(answers)
        stranger = answer_to(requests[0], recip_nonce=b"of another one..")
        assert find_answers(outer_of(stranger, message(5)), requests) == (None, None)

    @pytest.mark.rule("R-152")
    def test_the_final_answer_after_polling_may_repeat_another_nonce(self) -> None:
        requests = [message(1), message(2)]
        final = answer_to(requests[0], recip_nonce=b"that of the ir..")
        assert find_answers(outer_of(final), requests) == (final, None)

    @pytest.mark.rule("R-153")
    def test_an_answer_that_cannot_be_read_is_passed_over(self) -> None:
        answer = answer_to(message(1))
        nested = message(7, PKIBody(BodyType.NESTED, [to_tlv(b"\x30\x00"), to_tlv(answer.raw)]))
        assert find_answers(nested, [message(1), message(2)]) == (answer, None)

    @pytest.mark.rule("R-152")
    def test_a_batch_is_answered_by_a_nested_message(self) -> None:
        with pytest.raises(CMPError, match="pkiconf in answer to a batch") as caught:
            find_answers(message(1), [message(1), message(2)])
        assert caught.value.fail_info is PKIFailureInfo.BAD_DATA_FORMAT
