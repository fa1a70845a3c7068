"""The responder: what a server does with an authenticated message. Sans I/O: values in, needs and a reply out.

:func:`respond` is a generator. It yields a :mod:`need <cmpkit.engine.needs>` wherever something must be signed, stored,
looked up or decided, is sent the result (or has the refusal thrown in), and returns the :class:`Reply`. Nothing has
happened before that reply was committed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, TypeAlias

from cmpkit import oids
from cmpkit.asn1 import (
    ErrorMsgContent,
    InfoTypeAndValue,
    Null,
    PKIBody,
    PKIMessage,
    PKIStatusInfo,
    PollRep,
    RevRepContent,
    decode_message,
)
from cmpkit.engine.header import whole_seconds
from cmpkit.engine.needs import Authorize, CheckProof, Confirm, FindCertificate, Inform, Issue, Need, Revoke
from cmpkit.engine.replies import Reply, certificate_response, change_event, rejection, waiting_response
from cmpkit.engine.states import CERTIFICATE_REQUESTS, CONTINUES, HEADER_FAULTS, OPENS
from cmpkit.engine.template import P10_CERT_REQ_ID, read_p10, read_request, read_revocation
from cmpkit.enums import BodyType, PKIFailureInfo, PKIStatus
from cmpkit.errors import CMPError
from cmpkit.parts import (
    AuditEntry,
    Authenticated,
    CertificateChange,
    CertificateRequest,
    Issued,
    Pending,
    ProtectionKind,
    Rejected,
    Transaction,
    TransactionState,
)

__all__ = ["ResponderSettings", "Steps", "expire", "find_transaction", "respond"]

Steps: TypeAlias = Generator[Need, Any, Reply]
"""A responder at work."""


@dataclass(frozen=True, slots=True)
class ResponderSettings:
    """How a responder behaves.

    :param implicit_confirm: whether certConf is dispensed with for those who ask (RFC 9810 section 5.1.1.1).
    :param confirm_wait_time: how long a certificate waits for its certConf before it counts as rejected.
    :param ca_pubs: DER certificates for caPubs of an ip that is protected by a MAC (RFC 9483 section 4.1.1).
    """

    implicit_confirm: bool = True
    confirm_wait_time: timedelta = timedelta(minutes=15)
    ca_pubs: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class _Work:
    """What every step of one message needs to know."""

    message: PKIMessage
    auth: Authenticated
    transaction: Transaction | None
    settings: ResponderSettings
    now: datetime
    profile: str | None

    @property
    def body_type(self) -> BodyType:
        return self.message.body.type

    def opened(self, state: TransactionState, **changes: Any) -> Transaction:
        """The transaction that this message opens, in its first state."""
        known = self.transaction
        return Transaction(
            transaction_id=self.message.header.transaction_id or b"",
            credential=self.auth.credential.id,
            opened_by=self.body_type,
            state=state,
            version=known.version if known else 0,
            peer_nonces=(*(known.peer_nonces if known else ()), self.message.header.sender_nonce or b""),
            extra_certs=() if state is TransactionState.DONE else self.message.extra_certs,
            **changes,
        )

    def continued(self, state: TransactionState, **changes: Any) -> Transaction:
        """The known transaction after this message, in another state."""
        assert self.transaction is not None
        nonces = (*self.transaction.peer_nonces, self.message.header.sender_nonce or b"")
        known = () if state is TransactionState.DONE else self.transaction.extra_certs
        return replace(self.transaction, state=state, peer_nonces=nonces, extra_certs=known, **changes)

    def audit(self, event: str, **details: str | int) -> AuditEntry:
        """A line of the audit about this message."""
        return AuditEntry(self.now, event, self.auth.credential.id, self.message.header.transaction_id, {**details})


def find_transaction(
    transactions: Sequence[Transaction], message: PKIMessage, auth: Authenticated
) -> Transaction | None:
    """The transaction that a message belongs to: same ID, same credential.

    :raises CMPError: wrongIntegrity or badMessageCheck for a certConf or pollReq under another credential than the
        request's (R-096: RFC 9483 section 4.1.1).
    """
    own = next((known for known in transactions if known.credential == auth.credential.id), None)
    if own is not None or not transactions or message.body.type in OPENS:
        return own
    prefix = auth.credential.id.partition(":")[0]
    same_kind = any(known.credential.partition(":")[0] == prefix for known in transactions)
    raise CMPError(
        f"{message.body.type.wire_name} of {auth.credential.id} for a transaction of another credential",
        PKIFailureInfo.BAD_MESSAGE_CHECK if same_kind else PKIFailureInfo.WRONG_INTEGRITY,
        rule="RFC 9483 section 4.1.1",
    )


def respond(
    message: PKIMessage,
    auth: Authenticated,
    transaction: Transaction | None,
    *,
    settings: ResponderSettings,
    now: datetime,
    profile: str | None = None,
) -> Steps:
    """Answer one message whose header was checked and whose protection verified.

    :param transaction: from :func:`find_transaction`.
    :param profile: the profile that the address names; certProfile in the header must not contradict it.
    :raises CMPError: for faults that are answered by ``error``; faults of a request's content become a rejection in the
        body that answers it (RFC 9483 section 3.6).
    """
    _check_place(message, transaction)
    work = _Work(message, auth, transaction, settings, now, _profile(message, profile))
    try:
        reply = yield from _BRANCHES[message.body.type](work)
    except CMPError as error:
        if error.fail_info & HEADER_FAULTS or message.body.type not in OPENS - {BodyType.GENM}:
            raise
        return rejection(message.body, error)
    return reply


def _check_place(message: PKIMessage, transaction: Transaction | None) -> None:
    """Whether this body and these nonces may come now (R-004, R-019, R-022, R-023)."""
    header, body_type = message.header, message.body.type
    is_open = transaction is not None and transaction.state is not TransactionState.DONE
    if transaction is not None and header.sender_nonce in transaction.peer_nonces:
        raise CMPError("senderNonce was used before", PKIFailureInfo.BAD_SENDER_NONCE, rule="RFC 9810 section 5.1.1")
    if body_type in OPENS:
        if is_open:
            raise CMPError(
                "transactionID belongs to an open transaction of this client, and this is another message",
                PKIFailureInfo.TRANSACTION_ID_IN_USE,
                rule="RFC 9810 section 5.1.1",
                hint="the client should repeat the request with a new transactionID",
            )
        if header.recip_nonce is not None:
            raise CMPError(
                "a first message must not have a recipNonce",
                PKIFailureInfo.BAD_RECIPIENT_NONCE,
                rule="RFC 9483 section 3.1",
            )
        return
    if body_type not in _BRANCHES:
        raise CMPError(f"{body_type.wire_name} is not served here", rule="RFC 9483 section 3.5")
    if transaction is None:
        raise CMPError(f"{body_type.wire_name} for no known transaction", rule="RFC 9483 section 3.5")
    if body_type not in CONTINUES[transaction.state]:
        late = transaction.state is TransactionState.DONE and body_type is not BodyType.POLL_REQ
        raise CMPError(
            f"{body_type.wire_name} for a transaction that is {transaction.state.value}",
            PKIFailureInfo.CERT_CONFIRMED if late else PKIFailureInfo.BAD_REQUEST,
            rule="RFC 9483 section 3.5",
        )
    if header.recip_nonce != transaction.sender_nonce:
        raise CMPError(
            "recipNonce is not the senderNonce of our last message",
            PKIFailureInfo.BAD_RECIPIENT_NONCE,
            rule="RFC 9483 section 3.5",
        )


def _profile(message: PKIMessage, labelled: str | None) -> str | None:
    """The profile asked for: certProfile (exactly one name, RFC 9483 section 3.1), else the label of the address."""
    item = message.header.info(oids.CERT_PROFILE)
    if item is None:
        return labelled
    names = item.parse_list(str)
    if len(names) != 1:
        raise CMPError(f"certProfile has {len(names)} names, one is allowed", rule="RFC 9483 section 3.1")
    if labelled and names[0] and names[0] != labelled:
        raise CMPError(f"certProfile says {names[0]}, the address says {labelled}", rule="RFC 9483 section 3.1")
    return names[0] or labelled


# ------------------------------------------------------------------------------------------------------ certificates


def _enrol(work: _Work) -> Steps:
    """ir, cr, kur and p10cr."""
    yield Authorize(work.body_type)
    content = work.message.body.content
    proof = content if work.body_type is BodyType.P10CR else content[0]
    request = _read(work, work.message)
    yield CheckProof(proof, work.message.header.sender)
    return (yield from _issue(work, request, work.message, work.opened))


def _read(work: _Work, message: PKIMessage) -> CertificateRequest:
    if message.body.type is BodyType.P10CR:
        return read_p10(message.body.content, work.profile)
    return read_request(message.body.type, message.body.content, work.auth, work.profile)


def _issue(work: _Work, request: CertificateRequest, opening: PKIMessage, transaction: Any) -> Steps:
    """Ask for the certificate and answer with it, with "waiting", or with the refusal.

    :param transaction: makes the state that follows: ``work.opened`` or ``work.continued``.
    """
    key = hashlib.sha256(work.auth.credential.id.encode() + b"\0" + hashlib.sha256(opening.raw).digest()).hexdigest()
    result: Issued | Pending | Rejected = yield Issue(request, key)
    if isinstance(result, Rejected):
        raise result.error
    if isinstance(result, Pending):
        return _waiting(work, opening, request.cert_req_id, result, transaction)
    return (yield from _issued(work, request, opening, result, transaction))


def _issued(work: _Work, request: CertificateRequest, opening: PKIMessage, result: Issued, transaction: Any) -> Steps:
    record = result.certificate
    wanted = opening.header.info(oids.IMPLICIT_CONFIRM) is not None
    changes: tuple[CertificateChange, ...] = ()
    named = ((request.cert_req_id, record.issuer_key, record.serial_number),)
    if wanted and work.settings.implicit_confirm:
        changes = ((yield Confirm(record, accepted=True)),)
        state = transaction(TransactionState.DONE, implicit_confirm=True, certificates=named, request=b"", expires=None)
        info = InfoTypeAndValue(oids.IMPLICIT_CONFIRM, Null())
    else:
        expires = work.now + work.settings.confirm_wait_time
        state = transaction(TransactionState.ISSUED, certificates=named, request=b"", expires=expires)
        info = InfoTypeAndValue(oids.CONFIRM_WAIT_TIME, whole_seconds(expires))
    by_mac = work.auth.credential.kind is ProtectionKind.MAC
    ca_pubs = work.settings.ca_pubs if by_mac and opening.body.type is BodyType.IR else ()
    return Reply(
        certificate_response(opening.body.type, request.cert_req_id, result, ca_pubs),
        transaction=state,
        general_info=(info,),
        extra_certs=result.chain,
        certificates=(record,),
        changes=changes,
        spent=(work.auth.credential.secret.reference,) if work.auth.credential.secret else (),
        audit=(
            work.audit(
                "issued",
                serial=f"{record.serial_number:x}",
                subject=record.subject,
                profile=record.profile,
                identity=work.auth.identity,
                body=opening.body.type.wire_name,
            ),
            *(change_event(work.now, work.auth, opening, change) for change in changes),
        ),
    )


def _waiting(work: _Work, opening: PKIMessage, cert_req_id: int, result: Pending, transaction: Any) -> Reply:
    """The request is kept and put again at each pollReq (R-110)."""
    state = transaction(TransactionState.PENDING, request=opening.raw)
    if work.body_type is not BodyType.POLL_REQ:
        body = waiting_response(opening.body.type, cert_req_id, result.reason)
        return Reply(body, transaction=state, audit=(work.audit("waiting"),))
    reasons = [result.reason] if result.reason else None
    poll_rep = PollRep(cert_req_id=cert_req_id, check_after=result.check_after, reason=reasons)
    return Reply(PKIBody(BodyType.POLL_REP, [poll_rep]), transaction=state)


def _poll(work: _Work) -> Steps:
    """pollReq: the pending request is put again, under its idempotency key (R-110 to R-118)."""
    assert work.transaction is not None
    opening = decode_message(work.transaction.request)
    request = _read(work, opening)
    asked = [item.cert_req_id for item in work.message.body.content]
    if asked not in ([request.cert_req_id], [P10_CERT_REQ_ID]):
        raise CMPError(f"pollReq asks for certReqId {asked}", rule="RFC 9483 section 4.4")
    try:
        return (yield from _issue(work, request, opening, work.continued))
    except CMPError as error:
        if error.fail_info & HEADER_FAULTS:
            raise
        return replace(rejection(opening.body, error), transaction=work.continued(TransactionState.DONE, request=b""))


def _confirm(work: _Work) -> Steps:
    """certConf, or a pkiconf in its place, which accepts all (R-092 to R-098, RFC 9810 sections 5.3.17 and 5.3.18)."""
    assert work.transaction is not None
    if work.transaction.expires is not None and work.now > work.transaction.expires:
        raise CMPError(
            "the certConf came after confirmWaitTime: the certificate counts as rejected",
            PKIFailureInfo.BAD_REQUEST,
            rule="RFC 9810 section 5.1.1.2",
        )
    statuses = None
    if work.body_type is BodyType.CERT_CONF:
        statuses = {status.cert_req_id: status for status in work.message.body.content}
        known = {cert_req_id for cert_req_id, _, _ in work.transaction.certificates}
        # RFC 9810 wants -1 for p10cr, older clients send 0.
        if work.transaction.opened_by is BodyType.P10CR and set(statuses) == {0}:
            statuses = {P10_CERT_REQ_ID: statuses[0]}
        if not set(statuses) <= known or len(statuses) != len(work.message.body.content):
            raise CMPError(
                f"certConf names certReqIds {sorted(statuses)}, the response had {sorted(known)}",
                PKIFailureInfo.BAD_CERT_ID,
                rule="RFC 9810 section 5.3.18",
            )
    changes = yield from _confirmations(work, statuses)
    return Reply(
        PKIBody(BodyType.PKICONF, Null()),
        transaction=work.continued(TransactionState.DONE, expires=None),
        changes=changes,
        audit=tuple(change_event(work.now, work.auth, work.message, change) for change in changes),
    )


def _confirmations(work: _Work, statuses: dict[int, Any] | None) -> Generator[Need, Any, tuple[CertificateChange, ...]]:
    assert work.transaction is not None
    changes = []
    for cert_req_id, issuer_key, serial_number in work.transaction.certificates:
        status = None if statuses is None else statuses.get(cert_req_id)
        hash_alg = status.hash_alg if status else None
        record, cert_hash = yield FindCertificate(issuer_key, serial_number, hash_alg)
        if status is not None and status.cert_hash != cert_hash:
            raise CMPError(
                "certHash is not that of the certificate that was issued",
                PKIFailureInfo.BAD_CERT_ID,
                rule="RFC 9810 section 5.3.18",
            )
        accepted = statuses is None or (status is not None and _is_accepted(status.status_info))
        changes.append((yield Confirm(record, accepted)))
    return tuple(changes)


def _is_accepted(status: PKIStatusInfo | None) -> bool:
    if status is None or status.status is PKIStatus.ACCEPTED:
        return True
    if status.status is PKIStatus.REJECTION:
        return False
    raise CMPError(f"certConf with status {status.status.wire_name}", rule="RFC 9810 section 5.3.18")


# -------------------------------------------------------------------------------------- revocation, information, errors


def _revoke(work: _Work) -> Steps:
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


def _inform(work: _Work) -> Steps:
    """genm; nothing changes, so nothing is stored."""
    yield Authorize(work.body_type)
    answers = yield Inform(tuple(work.message.body.content))
    return Reply(PKIBody(BodyType.GENP, list(answers)))


def _end(work: _Work) -> Steps:
    """error from a client: the transaction ends; what was not confirmed is rejected (RFC 9810 section 5.3.21)."""
    assert work.transaction is not None
    changes: tuple[CertificateChange, ...] = ()
    if work.transaction.state is TransactionState.ISSUED:
        changes = yield from _confirmations(work, {})
    return Reply(
        PKIBody(BodyType.PKICONF, Null()),
        transaction=work.continued(TransactionState.DONE, expires=None, request=b""),
        changes=changes,
        audit=(work.audit("ended by the client", text=_error_text(work.message.body.content)),),
    )


def _error_text(content: ErrorMsgContent) -> str:
    return "; ".join(content.pki_status_info.texts)[:200]


def expire(transaction: Transaction, now: datetime) -> Generator[Need, Any, Reply]:
    """End a transaction whose certConf or pollReq never came: what was issued counts as rejected (R-098, R-116)."""
    changes = []
    for _, issuer_key, serial_number in transaction.certificates:
        record, _ = yield FindCertificate(issuer_key, serial_number)
        changes.append((yield Confirm(record, accepted=False)))
    return Reply(
        None,
        transaction=replace(transaction, state=TransactionState.DONE, expires=None, request=b""),
        changes=tuple(changes),
        audit=(AuditEntry(now, "expired", transaction.credential, transaction.transaction_id),),
    )


_BRANCHES = {
    **dict.fromkeys(CERTIFICATE_REQUESTS, _enrol),
    BodyType.RR: _revoke,
    BodyType.GENM: _inform,
    BodyType.CERT_CONF: _confirm,
    BodyType.PKICONF: _confirm,
    BodyType.POLL_REQ: _poll,
    BodyType.ERROR: _end,
}
