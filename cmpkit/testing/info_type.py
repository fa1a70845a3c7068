"""Whether an info type keeps its contract: a check to be awaited in its author's tests."""

from __future__ import annotations

from dataclasses import replace

from cryptography.x509 import ObjectIdentifier

from cmpkit.asn1 import TLV, InfoTypeAndValue, decode, encode, to_tlv
from cmpkit.parts import InfoContext, InfoType, KeptValue, Pending, Told, UnitOfWork
from cmpkit.testing.contract import AnsweredOrRefused, require, require_name, require_type, success

__all__ = ["check_info_type"]

# Absent, NULL, BOOLEAN, INTEGERs, strings, sequences, a context tag: a question may hold any of them.
_ODD = (
    None,
    "0500",
    "0101ff",
    "020100",
    "0201ff",
    "021100ffffffffffffffffffffffffffffffff",
    "0400",
    "0c00",
    "0c01ff",
    "1300",
    "3000",
    "30060101ff0101ff",
    "30033001ff",
    "a000",
)
_MOST_POLLS = 8


async def check_info_type(
    info_type: InfoType,
    context: InfoContext,
    *,
    question: TLV | None = None,
    answer_oid: ObjectIdentifier | None = None,
) -> InfoTypeAndValue:
    """Check an info type, with a question that it can answer.

    Its answer is of its own type, or of the one that belongs to it, and survives DER; questions with other values, and
    one without (a genm that asks for everything has no values), are answered or refused by a CMPError. An answer that
    comes later comes within eight questions more; what it keeps is committed in between, if there is a store.

    :param context: what it may ask to find its answer.
    :param question: the value of the question.
    :param answer_oid: of the answer, if it is not the OID of the question (RFC 9483 section 4.3).
    :return: the answer, for the test to look at.
    :raises AssertionError: naming what is wrong.
    """
    require_name(info_type)
    require_type(getattr(info_type, "oid", None), ObjectIdentifier, "oid")
    expected = info_type.oid if answer_oid is None else answer_oid
    with success("answer() must answer the question"):
        answer = await _last_answer(info_type, question, context)
    _require_answer(answer, expected)
    for number, odd in enumerate(_ODD):
        value = None if odd is None else to_tlv(bytes.fromhex(odd))
        given = None
        with AnsweredOrRefused(f"the question with the value {odd or 'absent'}"):
            # Another question comes in another message.
            other = replace(context, key=f"{context.key}{number:02x}")
            given, _ = _taken_apart(await info_type.answer(value, other))
        if given is not None and not isinstance(given, Pending):
            _require_answer(given, expected)
    return answer


async def _last_answer(info_type: InfoType, question: TLV | None, context: InfoContext) -> InfoTypeAndValue:
    """The answer, once it is there."""
    for _ in range(_MOST_POLLS + 1):
        given, kept = _taken_apart(await info_type.answer(question, context))
        if kept and context.store is not None:
            await context.store.commit(UnitOfWork(kept=kept))
        if not isinstance(given, Pending):
            return given
        require(given.check_after >= 0, "check_after must not be negative")
        context = replace(context, again=True)
    raise AssertionError(f"answer() must have an answer when it is asked again {_MOST_POLLS} times")


def _taken_apart(
    given: InfoTypeAndValue | Told | Pending,
) -> tuple[InfoTypeAndValue | Pending, tuple[KeptValue, ...]]:
    return (given.answer, given.keep) if isinstance(given, Told) else (given, ())


def _require_answer(answer: InfoTypeAndValue, expected: ObjectIdentifier) -> None:
    require_type(answer, InfoTypeAndValue, "what answer() returns")
    require(
        answer.info_type == expected,
        f"the answer must be of type {expected.dotted_string}, not {answer.info_type.dotted_string}",
    )
    require(decode(InfoTypeAndValue, encode(answer)) == answer, "the answer must survive DER")
