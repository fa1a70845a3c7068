"""Delayed delivery: what needs time is kept, and put again at each pollReq.

RFC 9810 section 5.3.22, RFC 9483 section 4.4. It is the same for requests for certificates, revocations, questions and
confirmations, which differ in the body that says "waiting": see :data:`cmpkit.engine.states.DELAYED_BY`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace

from cmpkit.asn1 import PKIBody, PKIMessage, PollRep, PollReq, decode_message
from cmpkit.engine.replies import Reply, rejection, waiting_response
from cmpkit.engine.states import CRMF_REQUESTS, HEADER_FAULTS, OPENS, P10_CERT_REQ_ID, WHOLE_MESSAGE
from cmpkit.engine.wording import number_text
from cmpkit.engine.work import Steps, Work
from cmpkit.enums import BodyType
from cmpkit.errors import CMPError, raise_first
from cmpkit.parts import Held, Pending, TransactionState

__all__ = ["awaited_ids", "delay", "poll", "poll_req_faults", "put_again", "refuse_late"]


def delay(work: Work, kept: PKIMessage, *results: Pending) -> Reply:
    """The answer that says "later" (R-110), or says so again (R-112). It is kept while there are pollReqs (R-116).

    A message is answered as a whole: it waits until none of its requests needs time.

    :param kept: what cannot be answered yet: the message that came, or the one that it polls for.
    :param results: what the requests in it that need time wait for.
    """
    expires = work.now + work.settings.pending_time
    held = tuple(item.request for item in results if isinstance(item, Held) and item.request is not None)
    reasons = list(dict.fromkeys(item.reason for item in results if item.reason))
    state = work.followed(TransactionState.PENDING, request=kept.raw, expires=expires)
    if work.body_type is not BodyType.POLL_REQ:
        return Reply(
            waiting_response(kept.body.type, awaited_ids(kept.body), "; ".join(reasons)),
            transaction=state,
            audit=(work.audit("waiting", body=kept.body.type.wire_name),),
            held=held,
        )
    # the certReqIds that were asked for, which is -1 where the client polls for the whole message.
    check_after = max(work.settings.least_check_after, *(item.check_after for item in results))
    poll_reps = [
        PollRep(cert_req_id=item.cert_req_id, check_after=check_after, reason=reasons or None)
        for item in work.message.body.content
    ]
    return Reply(PKIBody(BodyType.POLL_REP, poll_reps), transaction=state, held=held)


def poll(work: Work, again: Mapping[BodyType, Callable[[Work, PKIMessage], Steps]]) -> Steps:
    """pollReq: what is pending is put again (R-110 to R-118).

    What comes of it answers the pollReq, in its recipNonce too: RFC 9483 section 4.4 wants the nonce of the request
    there, section 5.1.5 that of the pollReq, and OpenSSL before 3.3 takes no other; later ones take either (R-024).

    :param again: what puts a kept message again, by its body type.
    """
    assert work.transaction is not None
    raw = work.transaction.request
    kept = decode_message(raw, max_size=len(raw))
    raise_first(poll_req_faults(work.message.body.content, awaited_ids(kept.body)))
    return (yield from again[kept.body.type](work, kept))


def awaited_ids(body: PKIBody) -> tuple[int, ...]:
    """By which certReqIds a kept message is polled for, if not as a whole."""
    if body.type in CRMF_REQUESTS:
        return tuple(message.request.cert_req_id for message in body.content)
    return (P10_CERT_REQ_ID if body.type is BodyType.P10CR else WHOLE_MESSAGE,)


def put_again(work: Work, kept: PKIMessage, steps: Steps) -> Steps:
    """What comes of a kept request that is put again: if it is refused now, that is the end of the transaction.

    :param steps: those that put it.
    """
    try:
        return (yield from steps)
    except CMPError as error:
        return refuse_late(work, kept, error)


def refuse_late(work: Work, kept: PKIMessage, error: CMPError) -> Reply:
    """The refusal of a request: of one that was kept, it is the end of the transaction.

    :raises CMPError: the error, if ``respond`` makes the answer of it, or it may be another one next time.
    """
    if work.body_type in OPENS or error.fail_info & HEADER_FAULTS:
        raise error
    over = work.continued(TransactionState.DONE, request=b"", expires=None)
    return replace(rejection(kept.body, error), transaction=over)


def poll_req_faults(content: list[PollReq], awaited: Collection[int] | None = None) -> Iterator[CMPError]:
    """What a server refuses in a pollReq: it asks by certReqIds, or for the whole message (R-111, R-114).

    :param awaited: the certReqIds of what is pending; ``None`` if they are not known.
    """
    asked = [item.cert_req_id for item in content]
    # Older clients have 0 for p10cr, as in certConf.
    more = {WHOLE_MESSAGE, 0} if awaited is not None and P10_CERT_REQ_ID in awaited else {WHOLE_MESSAGE}
    unknown = awaited is not None and not {*asked} <= {*awaited, *more}
    if not asked or len({*asked}) != len(asked) or (WHOLE_MESSAGE in asked and len(asked) > 1) or unknown:
        pending = "one request or several" if awaited is None else ", ".join(map(str, awaited))
        yield CMPError(
            f"pollReq asks for certReqId {', '.join(map(number_text, asked)) or 'none'}, {pending} is pending",
            rule="RFC 9483 section 4.4",
            hint="repeat the certReqIds of the responses that said waiting, or -1 after an error that said so",
        )
