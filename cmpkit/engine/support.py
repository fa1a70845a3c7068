"""Support messages: genm and genp (RFC 9810 section 5.3.19, RFC 9483 section 4.3)."""

from __future__ import annotations

from cmpkit import oids
from cmpkit.asn1 import PKIBody
from cmpkit.engine.needs import Authorize, Inform
from cmpkit.engine.replies import Reply
from cmpkit.engine.template import requested_profiles
from cmpkit.engine.work import Steps, Work
from cmpkit.enums import BodyType

__all__ = ["inform"]


def inform(work: Work) -> Steps:
    """genm; nothing changes, so nothing is stored.

    :raises CMPError: badRequest if a request template is asked for, and header and address do not name one profile.
    """
    questions = tuple(work.message.body.content)
    profile = work.profile
    if any(question.info_type == oids.CERT_REQ_TEMPLATE for question in questions):
        (profile,) = requested_profiles(work.message, profile)
    yield Authorize(work.body_type)
    answers = yield Inform(questions, profile)
    return Reply(PKIBody(BodyType.GENP, list(answers)))
