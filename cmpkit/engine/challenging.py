"""Challenge and response before a request is looked at: proof of possession for keys that do not sign.

RFC 9810 section 5.2.8.3.3. Kept are the request and the witnesses, by which an answer is known, but not the numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from cmpkit.asn1 import CertReqMsg, Challenge, PKIBody, PKIMessage, decode_message
from cmpkit.crypto.challenges import is_answer
from cmpkit.crypto.later_proof import proof_method
from cmpkit.engine.needs import CheckProof, MakeChallenge
from cmpkit.engine.polling import refuse_late
from cmpkit.engine.replies import Reply
from cmpkit.engine.template import is_by_rsa
from cmpkit.engine.work import Steps, Work
from cmpkit.enums import BodyType, PKIFailureInfo, ProofMethod
from cmpkit.errors import CMPError
from cmpkit.parts import TransactionState

__all__ = ["challenge", "challenged", "take_answers"]


def challenged(opening: PKIMessage) -> list[CertReqMsg]:
    """The requests of a message that are to be challenged; the key of a CA is not, it signs (R-190).

    :raises CMPError: badDataFormat if a proof cannot be read.
    """
    if opening.body.type in (BodyType.P10CR, BodyType.CCR):
        return []
    return [asked for asked in opening.body.content if proof_method(asked) is ProofMethod.CHALLENGE_RESPONSE]


def challenge(work: Work, asked: Sequence[CertReqMsg]) -> Steps:
    """popdecc: one challenge for each of these requests, in their order.

    :raises CMPError: if one of them cannot be challenged.
    """
    pvno = work.message.header.pvno
    challenges: list[Challenge] = []
    for one in asked:
        by_rsa = is_by_rsa(one, pvno, work.leniency)
        yield CheckProof(one, work.message.header.sender, work.leniency)
        made: Challenge = yield MakeChallenge(one, by_rsa)
        challenges.append(made)
    state = work.opened(
        TransactionState.CHALLENGED,
        request=work.message.raw,
        witnesses=tuple(made.witness for made in challenges),
        expires=work.now + work.settings.confirm_wait_time,
    )
    return Reply(
        PKIBody(BodyType.POPDECC, challenges),
        transaction=state,
        audit=(work.audit("challenged", body=work.body_type.wire_name),),
    )


def take_answers(work: Work, again: Callable[[Work, PKIMessage], Steps]) -> Steps:
    """popdecr: the request goes on if every number is right; otherwise it is refused, and may be made anew.

    :param again: what puts the kept request.
    """
    transaction = work.transaction
    assert transaction is not None
    kept = decode_message(transaction.request, max_size=len(transaction.request))
    numbers: list[int] = work.message.body.content
    over = replace(work, transaction=replace(transaction, witnesses=(), request=b""))
    right = len(numbers) == len(transaction.witnesses) and all(map(is_answer, numbers, transaction.witnesses))
    if not right:
        return refuse_late(
            over,
            kept,
            CMPError(
                "the answers to the challenges are not right",
                PKIFailureInfo.BAD_POP,
                rule="RFC 9810 section 5.2.8.3.3",
                hint="the requester has another private key, or answers in another order",
            ),
        )
    return (yield from again(over, kept))
