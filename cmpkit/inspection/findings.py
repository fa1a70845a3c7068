"""The rules that a message breaks: the checks of the engine, all of them, where the engine stops at the first."""

from __future__ import annotations

import enum
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, replace

from cmpkit.asn1 import CertRepMessage, PKIMessage
from cmpkit.crypto.later_proof import proof_method
from cmpkit.crypto.pop import leaves_key_to_server, popo_faults
from cmpkit.engine.answers import (
    answer_ids,
    certificate_answer_faults,
    misplaced_answer,
    poll_rep_faults,
    recovery_answer_faults,
    revocation_answer_faults,
    sent_key_answer_faults,
    waiting_faults,
)
from cmpkit.engine.confirmation import confirmation_faults
from cmpkit.engine.header import (
    Correlation,
    confirm_wait_time_faults,
    correlation_faults,
    first_message_faults,
    foreign_mac_faults,
    header_form_faults,
    next_message_faults,
    request_header_faults,
    unprotected_answer_faults,
    used_nonce_faults,
)
from cmpkit.engine.nesting import is_batch, nesting_faults, original_faults, signature_faults
from cmpkit.engine.polling import poll_req_faults
from cmpkit.engine.recovery import recovery_faults
from cmpkit.engine.replies import requests_in
from cmpkit.engine.responder import place_faults, unknown_transaction
from cmpkit.engine.rev_details import rev_details_faults, revocation_faults
from cmpkit.engine.states import ANSWERS, CERTIFICATE_REQUESTS, CRMF_REQUESTS, OPENS
from cmpkit.engine.template import (
    key_generation_faults,
    p10_faults,
    proof_version_faults,
    request_faults,
    requested_profiles,
    single_request_faults,
)
from cmpkit.enums import BodyType, PKIFailureInfo, ProofMethod
from cmpkit.errors import CMPError, fault_of
from cmpkit.inspection.advice import MACS, advise
from cmpkit.parts import ProtectionKind

__all__ = ["DEEPEST", "Finding", "Severity", "find_faults", "from_client", "place_inside"]

DEEPEST = 4
"""How deep messages inside messages are looked at."""

_CLIENT_BODIES = OPENS | {
    BodyType.CERT_CONF,
    BodyType.POLL_REQ,
    BodyType.POPDECR,
    BodyType.CCR,
    BodyType.NESTED,
}
_EITHER = frozenset({BodyType.PKICONF, BodyType.ERROR, BodyType.NESTED})
_DUE = {
    BodyType.CERT_CONF: BodyType.PKICONF,
    BodyType.ERROR: BodyType.PKICONF,
    BodyType.NESTED: BodyType.NESTED,
}
_ANNOUNCEMENTS = frozenset({BodyType.CKUANN, BodyType.CANN, BodyType.RANN, BodyType.CRLANN})


_NONE = PKIFailureInfo(0)


class Severity(enum.Enum):
    """How bad a finding is."""

    FAULT = "fault"
    """The server of this package, or its client, refuses the message for it."""
    NOTE = "note"
    """A rule for senders that receivers do not insist on, or a thing to know."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with a message.

    :param detail: what is wrong.
    :param rule: the rule, as an RFC section.
    :param change: what to change.
    :param fail_info: what an answer would say; none for a note.
    :param tolerance: the name of the tolerance that lets it pass (:mod:`cmpkit.tolerances`), if there is one.
    :param where: the message inside the message that it is about, such as ``nested[0]``; empty for the message itself.
    """

    severity: Severity
    detail: str
    rule: str = ""
    change: str = ""
    fail_info: PKIFailureInfo = _NONE
    tolerance: str = ""
    where: str = ""

    @classmethod
    def of(cls, fault: CMPError, severity: Severity = Severity.FAULT) -> Finding:
        """The finding for a fault of the engine."""
        return cls(severity, fault.detail, fault.rule, fault.hint, fault.fail_info, fault.tolerance)


def find_faults(
    message: PKIMessage, *, answer_to: PKIMessage | None = None, used_nonces: Container[bytes | None] = ()
) -> tuple[Finding, ...]:
    """Everything that is wrong with a message as far as it can be seen without keys, faults first, then notes.

    The first fault is what :mod:`cmpkit`'s server (for a message of a client) or client (for an answer) would refuse
    the message for, had its protection verified. Nothing that a peer may send makes this fail.

    :param message: a message of a client or of a server.
    :param answer_to: the message that this one answers, or that it continues: for an ip the ir, for a certConf the ip,
        for a pollReq the ip or error that said waiting. Without it, what must fit that message is not looked at.
    :param used_nonces: for a message of a client, the senderNonces of those before it in its transaction.
    """
    return tuple(dict.fromkeys(_findings(message, answer_to, used_nonces, DEEPEST)))


def _findings(
    message: PKIMessage, answer_to: PKIMessage | None, used: Container[bytes | None], depth: int
) -> Iterator[Finding]:
    """Those of a message, then those of the messages in it."""
    faults = (
        _client_faults(message, answer_to, used)
        if from_client(message, answer_to)
        else _server_faults(message, answer_to)
    )
    yield from (Finding.of(fault) for fault in faults)
    yield from (Finding(Severity.NOTE, note.detail, note.rule, note.change) for note in advise(message))
    if depth:
        requests = {one.header.transaction_id: one for one in _readable(answer_to)}
        for number, member in enumerate(message.members):
            for finding in _inner_findings(member, requests, depth - 1):
                yield replace(finding, where=place_inside(number, finding.where))


def place_inside(number: int, where: str) -> str:
    """The place of something in a message that is inside another one.

    :param number: of the message inside, from 0.
    :param where: its place in that message.
    """
    return f"nested[{number}]" + (f".{where}" if where else "")


def _inner_findings(
    member: PKIMessage | CMPError, requests: Mapping[bytes | None, PKIMessage], depth: int
) -> Iterator[Finding]:
    """Those of a message in a batch; in the answer to another batch, each is held against what it answers."""
    if isinstance(member, CMPError):
        yield Finding.of(member)
    else:
        yield from _findings(member, requests.get(member.header.transaction_id), (), depth)


def _readable(message: PKIMessage | None) -> tuple[PKIMessage, ...]:
    """The messages in a nested message that can be read."""
    return () if message is None else tuple(one for one in message.members if isinstance(one, PKIMessage))


def from_client(message: PKIMessage, answer_to: PKIMessage | None = None) -> bool:
    """Whether a message is one that clients send: error, pkiconf and nested are, where they follow a server's message.

    :param answer_to: what it answers or continues, if that is known.
    """
    if message.body.type in _EITHER and answer_to is not None:
        return not from_client(answer_to)
    return message.body.type in _CLIENT_BODIES


def _client_faults(message: PKIMessage, before: PKIMessage | None, used: Container[bytes | None]) -> Iterator[CMPError]:
    """In the order in which the server looks."""
    body = message.body
    yield from request_header_faults(message)
    if body.type is BodyType.NESTED:
        yield from _nested_faults(message)
        return
    yield from place_faults(body.type)
    yield from used_nonce_faults(message.header, used)
    if body.type in OPENS:
        yield from first_message_faults(message.header)
    elif before is not None:
        if message.header.transaction_id != before.header.transaction_id:
            yield unknown_transaction(body.type)
        yield from next_message_faults(message.header, before.header.sender_nonce)
    yield from original_faults(message)
    yield from _content_faults(message, before)


def _nested_faults(message: PKIMessage) -> Iterator[CMPError]:
    if message.header.protection_alg is not None:
        yield from signature_faults(ProtectionKind.MAC if _by_mac(message) else ProtectionKind.SIGNATURE)
    yield from nesting_faults(message)


def _content_faults(message: PKIMessage, before: PKIMessage | None) -> Iterator[CMPError]:
    """Those of what a client asks for."""
    body = message.body
    if body.type in CERTIFICATE_REQUESTS:
        yield from fault_of(requested_profiles, message, None, requests_in(body))
    if body.type in CRMF_REQUESTS:
        yield from _request_faults(message)
    elif body.type is BodyType.KRR:
        yield from request_faults(body.content)
        for request in body.content:
            yield from recovery_faults(request, message.header.pvno)
    elif body.type is BodyType.P10CR:
        yield from p10_faults(body.content)
    elif body.type is BodyType.RR:
        yield from revocation_faults(body.content)
        for details in body.content:
            yield from rev_details_faults(details)
    elif body.type is BodyType.CERT_CONF:
        yield from confirmation_faults(body.content, _response_ids(before))
    elif body.type is BodyType.POLL_REQ:
        yield from poll_req_faults(body.content, _response_ids(before))


def _request_faults(message: PKIMessage) -> Iterator[CMPError]:
    yield from request_faults(message.body.content)
    for request in message.body.content:
        yield from single_request_faults(message.body.type, request)
    for request in message.body.content:
        if not list(fault_of(lambda request: request.request, request)):
            if leaves_key_to_server(request.request.cert_template):
                yield from key_generation_faults(message.header.pvno)
            if not list(fault_of(proof_method, request)):
                yield from proof_version_faults(proof_method(request), message.header.pvno)
            # Whether the sender may vouch for others is not in the message.
            yield from popo_faults(request, ra_verified=True, others=tuple(ProofMethod))


def _response_ids(answer: PKIMessage | None) -> frozenset[int] | None:
    if answer is None or not isinstance(answer.body.content, CertRepMessage):
        return None
    return frozenset(response.cert_req_id for response in answer.body.content.response)


def _server_faults(message: PKIMessage, request: PKIMessage | None) -> Iterator[CMPError]:
    """In the order in which the client looks."""
    body, request = message.body, _really_asked(request)
    yield from header_form_faults(message)
    if body.type is not BodyType.ERROR:
        yield from unprotected_answer_faults(message)
    if request is not None and body.type not in _ANNOUNCEMENTS:
        sent = request.header
        nonces = (sent.sender_nonce or b"",)
        yield from correlation_faults(message, Correlation(sent.pvno, sent.transaction_id or b"", nonces))
        if sent.protection_alg is not None:
            yield from foreign_mac_faults(by_mac=_by_mac(message), asked_by_mac=_by_mac(request))
        yield from _place_faults(body.type, request.body.type)
    yield from confirm_wait_time_faults(message.header)
    if body.type in (BodyType.IP, BodyType.CP, BodyType.KUP, BodyType.CCP):
        yield from certificate_answer_faults(body.content, _request_ids(request), _due(request))
        if body.type is BodyType.CCP:
            for response in body.content.response:
                yield from sent_key_answer_faults(response)
    elif body.type is BodyType.KRP:
        yield from recovery_answer_faults(body.content)
    elif body.type is BodyType.RP:
        rr = request is not None and request.body.type is BodyType.RR
        yield from revocation_answer_faults(body.content, len(request.body.content) if request and rr else 1)
    elif body.type is BodyType.POLL_REP:
        yield from poll_rep_faults(body.content, _request_ids_polled(request))
    elif body.type is BodyType.ERROR:
        yield from waiting_faults(body.content.pki_status_info)


def _really_asked(request: PKIMessage | None) -> PKIMessage | None:
    """What an answer is the answer to: where one message was put into another one, the one inside (R-151)."""
    while request is not None and request.body.type is BodyType.NESTED and not is_batch(request):
        inside = _readable(request)
        if not inside:
            break
        request = inside[0]
    return request


def _by_mac(message: PKIMessage) -> bool:
    return message.header.protection_alg is not None and message.header.protection_alg.algorithm in MACS


def _place_faults(came: BodyType, sent: BodyType) -> Iterator[CMPError]:
    """Whether the body answers what was sent (R-080); a pollReq may be answered by what answers the first request."""
    if came is BodyType.ERROR:
        return
    due = {**_DUE, **ANSWERS}.get(sent)
    if due is not None and came is not due:
        yield misplaced_answer(came, due)
    if sent is BodyType.POLL_REQ and came not in {BodyType.POLL_REP, BodyType.PKICONF, *ANSWERS.values()}:
        yield misplaced_answer(came, BodyType.POLL_REP)


def _request_ids(request: PKIMessage | None) -> frozenset[int] | None:
    """The certReqIds that an answer may have (R-081)."""
    if request is None:
        return None
    if request.body.type not in CERTIFICATE_REQUESTS:
        return None
    messages = request.body.content if request.body.type in CRMF_REQUESTS else ()
    readable = (item for item in messages if not list(fault_of(lambda item: item.request, item)))
    return answer_ids(request.body.type, [item.request.cert_req_id for item in readable])


def _due(request: PKIMessage | None) -> int | None:
    """How many responses an answer must have; ``None`` if the request does not tell."""
    if request is None or request.body.type not in CERTIFICATE_REQUESTS:
        return None
    return len(request.body.content) if request.body.type in CRMF_REQUESTS else 1


def _request_ids_polled(request: PKIMessage | None) -> tuple[int, ...] | None:
    if request is None or request.body.type is not BodyType.POLL_REQ:
        return None
    return tuple(int(item.cert_req_id) for item in request.body.content)
