"""Revocation requests (RFC 9810 section 5.3.9, RFC 9483 section 4.2)."""

from __future__ import annotations

from cmpkit.asn1 import PKIBody, PKIMessage, PKIStatusInfo, RevRepContent
from cmpkit.engine.needs import Authorize, Revoke
from cmpkit.engine.polling import delay, refuse_late
from cmpkit.engine.replies import Reply, change_event
from cmpkit.engine.template import read_revocation
from cmpkit.engine.work import Steps, Work
from cmpkit.enums import BodyType, PKIStatus
from cmpkit.errors import CMPError
from cmpkit.parts import Pending, Rejected, Revoked, TransactionState

__all__ = ["revoke", "revoke_again"]


def revoke(work: Work) -> Steps:
    """rr (R-140 to R-145)."""
    yield Authorize(work.body_type)
    return (yield from _revoke(work, work.message))


def revoke_again(work: Work, kept: PKIMessage) -> Steps:
    """A kept rr is put again."""
    try:
        return (yield from _revoke(work, kept))
    except CMPError as error:
        return refuse_late(work, kept, error)


def _revoke(work: Work, opening: PKIMessage) -> Steps:
    request = read_revocation(opening.body.content)
    result: Revoked | Pending | Rejected = yield Revoke(request)
    if isinstance(result, Rejected):
        raise result.error
    if isinstance(result, Pending):
        return delay(work, opening, result)
    return Reply(
        PKIBody(BodyType.RP, RevRepContent(status=[PKIStatusInfo.of(PKIStatus.ACCEPTED)])),
        transaction=work.followed(TransactionState.DONE, request=b"", expires=None),
        changes=(result.change,),
        audit=(change_event(work.now, work.auth, opening, result.change),),
    )
