"""The end of an enrolment: certConf, a client's error, or the time that is over (RFC 9810 section 5.3.18)."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Set
from dataclasses import replace
from datetime import datetime
from typing import Any

from cmpkit.asn1 import CertStatus, ErrorMsgContent, Null, PKIBody, PKIMessage, PKIStatusInfo
from cmpkit.engine.needs import Confirm, FindCertificate, Need
from cmpkit.engine.polling import delay
from cmpkit.engine.replies import Reply, change_event
from cmpkit.engine.states import P10_CERT_REQ_ID
from cmpkit.engine.wording import number_text
from cmpkit.engine.work import Steps, Work
from cmpkit.enums import BodyType, PKIFailureInfo, PKIStatus
from cmpkit.errors import CMPError, fault_of, raise_first
from cmpkit.parts import AuditEntry, CertificateChange, Pending, Transaction, TransactionState

__all__ = ["confirm", "confirm_again", "confirmation_faults", "end", "expire"]


def confirm(work: Work) -> Steps:
    """certConf, or a pkiconf in its place, which accepts all (R-092 to R-100, RFC 9810 sections 5.3.17 and 5.3.18)."""
    return confirm_again(work, work.message)


def confirm_again(work: Work, kept: PKIMessage) -> Steps:
    """What was said of the certificates is put to the issuer, again if it needed time (R-100)."""
    assert work.transaction is not None
    statuses = _statuses(work.transaction, kept.body)
    changes: tuple[CertificateChange, ...] | Pending = yield from _confirmations(work.transaction, statuses)
    if isinstance(changes, Pending):
        return delay(work, kept, changes)
    return Reply(
        PKIBody(BodyType.PKICONF, Null()),
        transaction=work.continued(TransactionState.DONE, expires=None, request=b""),
        changes=changes,
        audit=tuple(change_event(work.now, work.auth, kept, change) for change in changes),
    )


def _statuses(transaction: Transaction, body: PKIBody) -> dict[int, CertStatus] | None:
    """What a certConf says, by certReqId; ``None`` for a pkiconf in its place."""
    if body.type is not BodyType.CERT_CONF:
        return None
    known = {cert_req_id for cert_req_id, _, _ in transaction.certificates}
    raise_first(confirmation_faults(body.content, known))
    return {_known_id(status.cert_req_id, known): status for status in body.content}


def _known_id(cert_req_id: int, known: Set[int]) -> int:
    """The certReqId that is meant: RFC 9810 wants -1 for p10cr, older clients send 0 (R-093)."""
    return P10_CERT_REQ_ID if known == {P10_CERT_REQ_ID} and cert_req_id == 0 else cert_req_id


def confirmation_faults(content: list[CertStatus], known: Set[int] | None = None) -> Iterator[CMPError]:
    """What a server refuses in a certConf, but for the hashes (R-093, R-094).

    :param known: the certReqIds of the response; ``None`` if it is not known.
    """
    named = [status.cert_req_id for status in content]
    ids = named if known is None else [_known_id(cert_req_id, known) for cert_req_id in named]
    if len(set(ids)) != len(ids) or (known is not None and not set(ids) <= known):
        had = "" if known is None else f", the response had {', '.join(map(str, sorted(known)))}"
        yield CMPError(
            f"certConf names certReqId {', '.join(map(number_text, named))}{had}",
            PKIFailureInfo.BAD_CERT_ID,
            rule="RFC 9810 section 5.3.18",
            hint="confirm each certificate once, by the certReqId that its response has",
        )
    for status in content:
        yield from fault_of(_is_accepted, status.status_info)


def _confirmations(
    transaction: Transaction, statuses: Mapping[int, CertStatus] | None
) -> Generator[Need, Any, tuple[CertificateChange, ...] | Pending]:
    """What becomes of the certificates, or that the issuer needs time to say so."""
    changes = []
    for cert_req_id, issuer_key, serial_number in transaction.certificates:
        status = None if statuses is None else statuses.get(cert_req_id)
        record, cert_hash = yield FindCertificate(issuer_key, serial_number, status)
        if status is not None and status.cert_hash != cert_hash:
            raise _wrong_hash(transaction)
        accepted = statuses is None or (status is not None and _is_accepted(status.status_info))
        if not transaction.implicit_confirm:
            change: CertificateChange | Pending = yield Confirm(record, accepted)
            if isinstance(change, Pending):
                return change
            changes.append(change)
        elif not accepted:
            raise CMPError(
                "the certificate was confirmed implicitly, as the client asked, and is now rejected",
                PKIFailureInfo.CERT_CONFIRMED,
                rule="RFC 9810 section 5.1.1.1",
                hint="the client should revoke it: rr",
            )
    return tuple(changes)


def _wrong_hash(transaction: Transaction) -> CMPError:
    """Where the certificate came encrypted, its hash is the proof of possession (RFC 9810 section 5.2.8.3.2)."""
    encrypted = transaction.state is TransactionState.ISSUED_ENCRYPTED
    return CMPError(
        "certHash is not that of the certificate that was issued",
        PKIFailureInfo.BAD_POP if encrypted else PKIFailureInfo.BAD_CERT_ID,
        rule="RFC 9810 section 5.3.18",
        hint="the client confirms another certificate, or hashes by another algorithm",
    )


def _is_accepted(status: PKIStatusInfo | None) -> bool:
    if status is None or status.status is PKIStatus.ACCEPTED:
        return True
    if status.status is PKIStatus.REJECTION:
        return False
    raise CMPError(
        f"certConf with status {status.status.wire_name}",
        rule="RFC 9810 section 5.3.18",
        hint="a certificate is accepted, which is what no status says too, or rejected",
    )


def end(work: Work) -> Steps:
    """error from a client: the transaction ends; what was not confirmed is rejected (RFC 9810 section 5.3.21)."""
    transaction = work.transaction
    assert transaction is not None
    changes: tuple[CertificateChange, ...] | Pending = ()
    if transaction.state is not TransactionState.DONE:
        changes = yield from _confirmations(transaction, {})
    if isinstance(changes, Pending):
        # It is rejected as soon as the issuer can, like what was not confirmed in time.
        encrypted = transaction.state is TransactionState.ISSUED_ENCRYPTED
        open_still = TransactionState.ISSUED_ENCRYPTED if encrypted else TransactionState.ISSUED
        ended, changes = work.continued(open_still, expires=work.now, request=b""), ()
    else:
        ended = work.continued(TransactionState.DONE, expires=None, request=b"")
    return Reply(
        PKIBody(BodyType.PKICONF, Null()),
        transaction=ended,
        changes=changes,
        audit=(work.audit("ended by the client", text=_error_text(work.message.body.content)),),
    )


def _error_text(content: ErrorMsgContent) -> str:
    return "; ".join(content.pki_status_info.texts)[:200]


def expire(transaction: Transaction, now: datetime, *, keep: bool = False) -> Generator[Need, Any, Reply]:
    """End a transaction whose certConf or pollReq never came: what was issued counts as rejected (R-098, R-116).

    So it does if only the pkiconf was never polled for: to the client, too, that is the end (RFC 9810 section 5.3.21).
    The reply has no transaction if the issuer needs time: then it is to be tried again.

    :param keep: whether what no certConf came for stays valid.
    """
    unsaid = keep and transaction.state is TransactionState.ISSUED
    changes = yield from _confirmations(transaction, None if unsaid else {})
    if isinstance(changes, Pending):
        return Reply(None)
    return Reply(
        None,
        transaction=replace(transaction, state=TransactionState.DONE, expires=None, request=b""),
        changes=changes,
        audit=(AuditEntry(now, "expired", transaction.credential, transaction.transaction_id),),
    )
