"""Support messages: genm and genp (RFC 9810 section 5.3.19, RFC 9483 section 4.3), and revocation passphrases.

What an information type keeps is stored with the answer, or both are not.
"""

from __future__ import annotations

import itertools
from collections.abc import Generator, Sequence
from dataclasses import replace
from typing import Any

from cmpkit import oids
from cmpkit.asn1 import InfoTypeAndValue, PKIBody, PKIMessage
from cmpkit.engine.needs import Authorize, Inform, Need
from cmpkit.engine.polling import delay, put_again
from cmpkit.engine.replies import Reply
from cmpkit.engine.template import requested_profiles
from cmpkit.engine.work import Steps, Work
from cmpkit.enums import BodyType, PKIFailureInfo
from cmpkit.errors import CMPError
from cmpkit.parts import Pending, Told, TransactionState

__all__ = ["inform", "inform_again", "keep_passphrase"]


def inform(work: Work) -> Steps:
    """genm.

    :raises CMPError: badRequest if a request template is asked for, and header and address do not name one profile.
    """
    yield Authorize(work.body_type)
    return (yield from _put(work, work.message))


def inform_again(work: Work, kept: PKIMessage) -> Steps:
    """The questions of a kept genm are put again, all of them."""
    return put_again(work, kept, _put(work, kept))


def _put(work: Work, opening: PKIMessage) -> Steps:
    questions = tuple(opening.body.content)
    profile = work.profile
    if any(question.info_type == oids.CERT_REQ_TEMPLATE for question in questions):
        (profile,) = requested_profiles(opening, profile)
    told = yield from _ask(work, opening, questions, profile)
    later = [item for item in told if isinstance(item.answer, Pending)]
    if later:
        waiting = delay(work, opening, *(item.answer for item in later if isinstance(item.answer, Pending)))
        return _with_kept(work, waiting, later)
    reply = Reply(PKIBody(BodyType.GENP, [item.answer for item in told]))
    if work.body_type is BodyType.POLL_REQ or any(item.keep for item in told):
        # What changes nothing is not stored: it is answered anew if it comes again.
        reply = replace(reply, transaction=work.followed(TransactionState.DONE, request=b"", expires=None))
    return _with_kept(work, reply, told)


def _ask(
    work: Work, opening: PKIMessage, questions: tuple[InfoTypeAndValue, ...], profile: str | None
) -> Generator[Need, Any, list[Told]]:
    given: Sequence[InfoTypeAndValue | Told | Pending] = yield Inform(
        questions, profile, work.request_key(opening), again=opening is not work.message
    )
    return [item if isinstance(item, Told) else Told(item) for item in given]


def _with_kept(work: Work, reply: Reply, told: Sequence[Told]) -> Reply:
    """The reply with what is to be kept, and a line of the audit for each."""
    keep = tuple(itertools.chain.from_iterable(item.keep for item in told))
    if not keep:
        return reply
    events = (work.audit("kept", kind=value.kind, owner=value.owner) for value in keep)
    return replace(reply, keep=(*reply.keep, *keep), audit=(*reply.audit, *events))


def keep_passphrase(work: Work, steps: Steps) -> Steps:
    """What a message is answered that brings a revocation passphrase in its header (RFC 9810 appendix B).

    It is kept if the message is granted, and with what that changes; the header of the answer says so (R-187).

    :param steps: those that answer the message; they begin once the passphrase was looked at.
    :raises CMPError: if the passphrase cannot be kept: nothing of the message is done then.
    """
    passphrase = work.message.header.info(oids.REV_PASSPHRASE)
    assert passphrase is not None
    told = yield from _ask(work, work.message, (passphrase,), work.profile)
    kept = InfoTypeAndValue(oids.REV_PASSPHRASE)
    if [item.answer for item in told] != [kept]:
        raise CMPError(
            "a revocation passphrase in the header cannot be kept now",
            PKIFailureInfo.SYSTEM_UNAVAIL,
            rule="RFC 9810 appendix B",
            hint="send it in a genm",
        )
    reply = yield from steps
    if reply.refused is not None and not reply.certificates and not reply.changes:
        return reply
    if reply.transaction is None:
        reply = replace(reply, transaction=work.followed(TransactionState.DONE, request=b"", expires=None))
    return _with_kept(work, replace(reply, general_info=(*reply.general_info, kept)), told)
