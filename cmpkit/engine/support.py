"""Support messages: genm and genp (RFC 9810 section 5.3.19, RFC 9483 section 4.3)."""

from __future__ import annotations

from cmpkit.asn1 import PKIBody
from cmpkit.engine.needs import Authorize, Inform
from cmpkit.engine.replies import Reply
from cmpkit.engine.work import Steps, Work
from cmpkit.enums import BodyType

__all__ = ["inform"]


def inform(work: Work) -> Steps:
    """genm; nothing changes, so nothing is stored."""
    yield Authorize(work.body_type)
    answers = yield Inform(tuple(work.message.body.content))
    return Reply(PKIBody(BodyType.GENP, list(answers)))
