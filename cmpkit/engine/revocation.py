"""Revocation requests (RFC 9810 section 5.3.9, RFC 9483 section 4.2)."""

from __future__ import annotations

from cmpkit.asn1 import PKIBody, PKIStatusInfo, RevRepContent
from cmpkit.engine.needs import Authorize, Revoke
from cmpkit.engine.replies import Reply, change_event
from cmpkit.engine.template import read_revocation
from cmpkit.engine.work import Steps, Work
from cmpkit.enums import BodyType, PKIFailureInfo, PKIStatus
from cmpkit.errors import CMPError
from cmpkit.parts import Pending, Rejected, TransactionState

__all__ = ["revoke"]


def revoke(work: Work) -> Steps:
    """rr (R-140 to R-145)."""
    yield Authorize(work.body_type)
    request = read_revocation(work.message.body.content)
    result = yield Revoke(request)
    if isinstance(result, Rejected):
        raise result.error
    if isinstance(result, Pending):
        raise CMPError("the issuer needs time to revoke", PKIFailureInfo.SYSTEM_UNAVAIL, hint="ask again later")
    return Reply(
        PKIBody(BodyType.RP, RevRepContent(status=[PKIStatusInfo.of(PKIStatus.ACCEPTED)])),
        transaction=work.opened(TransactionState.DONE),
        changes=(result.change,),
        audit=(change_event(work.now, work.auth, work.message, result.change),),
    )
