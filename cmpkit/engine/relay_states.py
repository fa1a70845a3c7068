"""The state table of a transaction that is passed on: what may come when, and what follows from an answer.

RFC 9483 section 5.2. The stages are those of :class:`cmpkit.parts.RelayStage`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from cmpkit import oids
from cmpkit.asn1 import PKIMessage
from cmpkit.engine.answers import answer_statuses
from cmpkit.engine.states import ANSWERS, CERTIFICATE_REQUESTS
from cmpkit.enums import BodyType, PKIFailureInfo, PKIStatus
from cmpkit.errors import TrustError
from cmpkit.parts import RelayStage

__all__ = ["ANSWERED_HERE", "RELAY_CONTINUES", "relayed_answer_faults", "stage_after"]

_ENDS = frozenset({BodyType.CERT_CONF, BodyType.PKICONF, BodyType.POLL_REQ, BodyType.ERROR})

RELAY_CONTINUES: Mapping[RelayStage, frozenset[BodyType]] = {
    RelayStage.UNDER_WAY: frozenset({BodyType.ERROR}),
    RelayStage.DELAYED: frozenset({BodyType.POLL_REQ, BodyType.ERROR}),
    RelayStage.POLLED: frozenset({BodyType.POLL_REQ, BodyType.CERT_CONF, BodyType.PKICONF, BodyType.ERROR}),
    RelayStage.CHALLENGED: frozenset({BodyType.POPDECR, BodyType.ERROR}),
    RelayStage.GRANTED: _ENDS,
    # Whether something may still come then is for the upstream to say: a certConf that it dispensed with, or
    # the pollReq for the rest of what was asked for.
    RelayStage.OVER: _ENDS,
}
"""Bodies that may continue a transaction in each stage; all of them go upstream but those of :data:`ANSWERED_HERE`."""

ANSWERED_HERE = frozenset({RelayStage.UNDER_WAY, RelayStage.DELAYED})
"""Stages in which what comes is answered here: the upstream does not know what it continues."""

_GRANTING = frozenset({BodyType.IP, BodyType.CP, BodyType.KUP, BodyType.CCP, BodyType.KRP})
_AFTER_POLLING = frozenset({*ANSWERS.values(), BodyType.PKICONF, BodyType.POLL_REP})
_ANSWERS_TO: Mapping[BodyType, frozenset[BodyType]] = {
    **{request: frozenset({answer}) for request, answer in ANSWERS.items()},
    **{request: frozenset({ANSWERS[request], BodyType.POPDECC}) for request in CERTIFICATE_REQUESTS - {BodyType.P10CR}},
    BodyType.POPDECR: _GRANTING,
    BodyType.POLL_REQ: _AFTER_POLLING,
    BodyType.CERT_CONF: frozenset({BodyType.PKICONF}),
    BodyType.PKICONF: frozenset({BodyType.PKICONF}),
    BodyType.ERROR: frozenset({BodyType.PKICONF}),
    BodyType.NESTED: frozenset({BodyType.NESTED, BodyType.POLL_REP}),
}
"""What may answer a body besides ``error``."""


def stage_after(answer: PKIMessage) -> RelayStage:
    """How far a transaction is after this answer of the upstream."""
    kind = answer.body.type
    statuses = [status.status for status in answer_statuses(answer)]
    if kind is BodyType.POLL_REP or PKIStatus.WAITING in statuses:
        return RelayStage.POLLED
    if kind is BodyType.POPDECC:
        return RelayStage.CHALLENGED
    granted = kind in _GRANTING and any(status is not PKIStatus.REJECTION for status in statuses)
    if granted and answer.header.info(oids.IMPLICIT_CONFIRM) is None:
        return RelayStage.GRANTED
    return RelayStage.OVER


def relayed_answer_faults(body_type: BodyType, answer: PKIMessage) -> Iterator[TrustError]:
    """Whether an answer of the upstream has a body that answers what was sent.

    :param body_type: of what was sent.
    """
    if answer.body.type is not BodyType.ERROR and answer.body.type not in _ANSWERS_TO[body_type]:
        yield TrustError(
            f"the upstream answers {body_type.wire_name} by {answer.body.type.wire_name}",
            PKIFailureInfo.BAD_REQUEST,
            rule="RFC 9810 section 5.3",
        )
