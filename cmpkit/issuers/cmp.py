"""An issuer that asks another CMP server on behalf of the requester (RFC 9483 section 5.3, R-161)."""

from __future__ import annotations

import base64
import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Literal

from cryptography import x509

from cmpkit.asn1 import decode, encode
from cmpkit.ca.changes import changed, confirmation, revocation
from cmpkit.ca.sources import read_file
from cmpkit.endpoints.conversation import Conversation
from cmpkit.endpoints.examine import judgement
from cmpkit.endpoints.requests import (
    PublicKey,
    Wish,
    certificate_id,
    certificate_request,
    p10_request,
    revocation_request,
    sought_certificate,
)
from cmpkit.engine.client import Decide, Finished, Send, begin, decide
from cmpkit.engine.client_transaction import ClientTransaction
from cmpkit.engine.sought import SoughtCertificate
from cmpkit.engine.states import HEADER_FAULTS
from cmpkit.enums import BodyType, CRLReason, PKIFailureInfo, ProofMethod
from cmpkit.errors import CMPError, ConflictError, PeerRefusal
from cmpkit.issuers.authority import Authority, Order, failed
from cmpkit.issuers.correspondence import AT_IT, JUDGED, Came, Correspondence
from cmpkit.issuers.journal import StoredTransaction
from cmpkit.parts import (
    Abandoned,
    Authenticated,
    CertificateChange,
    CertificateRecord,
    CertificateRequest,
    Issued,
    Pending,
    Rejected,
    RevocationRequest,
    Revoked,
    RootKeyUpdate,
)

__all__ = ["CMPIssuer"]

_log = logging.getLogger("cmpkit.issuer")
_UNPROVEN = "unproven"
"""In the context of a transaction whose requester proves its key by its certConf (RFC 9810 section 5.2.8.3.2)."""


class CMPIssuer:
    """An :class:`~cmpkit.parts.Issuer` behind another CMP server, for which this one is a registration authority.

    Requests go there under the credentials of this server, with the subject and key of the requester. A PKCS#10 request
    goes as it came, as long as nothing of it is changed; the word of this server is the proof of others (raVerified).

    :param correspondence: with that server.
    :param profiles: its names of certificate profiles, by ours.
    :param at_once: whether certificates are confirmed there when they come; otherwise when the requester confirms, so
        that the CA learns what became of each.
    :param late: what happens to a certificate that comes when its requester is gone.
    :param deadline: how long an answer may take.
    :param crl_file: where the CRL is; ``None`` has that server asked.
    :param crl_urls: where the CRL can be fetched.
    """

    name = "cmp"
    local = False

    def __init__(
        self,
        authority: Authority,
        correspondence: Correspondence,
        *,
        profiles: Mapping[str, str] | None = None,
        at_once: bool = False,
        late: Literal["revoke", "keep"] = "revoke",
        deadline: timedelta = timedelta(days=7),
        crl_file: Path | None = None,
        crl_urls: tuple[str, ...] = (),
    ) -> None:
        self._authority = authority
        self._correspondence = correspondence
        self._profiles = dict(profiles or {})
        self._at_once = at_once
        self._late = late
        self._deadline = deadline
        self._crl_file = crl_file
        self.crl_urls = crl_urls

    async def issue(
        self, request: CertificateRequest, auth: Authenticated, *, idempotency_key: str, now: datetime
    ) -> Issued | Pending | Rejected:
        """The certificate that the other server gives, or that it needs time; it is asked once for each key."""
        journal = self._correspondence.journal(idempotency_key)
        try:
            order, asked = self._authority.order(request, auth, idempotency_key, now)
            opening = partial(_opening, order, asked, now)
            came = await self._correspondence.operate(journal, opening, self._profiles.get(order.profile, ""))
            result = await self._result(journal, came, now)
        except PeerRefusal as refusal:
            await journal.remove()
            return Rejected(_passed_on(refusal))
        except ConflictError:
            return AT_IT
        except CMPError as error:
            return Rejected(error)
        if isinstance(result, Pending) and await self._is_too_late(journal, now):
            late = f"{self._correspondence.client.url} did not answer within {self._deadline}"
            return Rejected(CMPError(late, PKIFailureInfo.SYSTEM_UNAVAIL))
        return result

    async def _is_too_late(self, journal: StoredTransaction, now: datetime) -> bool:
        kept = await journal.load()
        return kept is not None and now > datetime.fromisoformat(kept.context["at"]) + self._deadline

    async def _result(self, journal: StoredTransaction, came: Came, now: datetime) -> Issued | Pending | Rejected:
        """What came of a request: the certificate, once it is judged and, if it is to be at once, confirmed."""
        if isinstance(came, Pending):
            return came
        fault: CMPError | None = None
        try:
            issued = await self._examined(journal, came, now)
        except CMPError as error:
            if PKIFailureInfo.SYSTEM_UNAVAIL in error.fail_info:
                raise
            _log.error("what came for %s is not acceptable: %s", journal.key, error)
            if isinstance(came, Finished):
                return Rejected(error)
            fault = error
        at_once = self._at_once and _UNPROVEN not in came.transaction.context
        if isinstance(came, Decide) and (fault is not None or at_once):
            return await self._result(journal, await self._confirm_there(journal, came, fault), now)
        if isinstance(came, Decide) and JUDGED not in came.transaction.context:
            await journal.save(replace(came.transaction, context={**came.transaction.context, JUDGED: "yes"}))
        return issued

    async def _examined(self, journal: StoredTransaction, came: Decide | Finished, now: datetime) -> Issued:
        """The certificate that came.

        :raises CMPError: if there is none, or it is not acceptable.
        """
        transaction = came.transaction
        (one,) = transaction.sought
        if isinstance(came, Finished) and (one.rejection or not one.certificate):
            raise failed(one.rejection or "the CA ended the operation without a certificate")
        if isinstance(came, Decide) and JUDGED not in transaction.context:
            fault = (await self._correspondence.conversation(journal).judge(transaction, one)).fault
            if fault is not None:
                raise failed(str(fault))
        order = _order_of(journal.key, transaction)
        return await self._authority.issued(one.certificate, order, now, modified=one.granted_with_mods)

    async def _confirm_there(self, journal: StoredTransaction, came: Decide, fault: CMPError | None) -> Came:
        """certConf for what came."""
        context = {name: value for name, value in came.transaction.context.items() if name != JUDGED}
        step = replace(came, transaction=replace(came.transaction, context=context))
        (one,) = came.transaction.sought
        judged = judgement(one.certificate, fault, self._correspondence.client.plugins)
        return await self._correspondence.advance(self._correspondence.conversation(journal), decide(step, judged))

    async def confirm(
        self, certificate: CertificateRecord, *, accepted: bool, now: datetime
    ) -> CertificateChange | Pending:
        """Tell the other server what the requester said; what it has as accepted and is rejected now is revoked."""
        journal = self._correspondence.journal(certificate.request_key)
        kept = await journal.load()
        rejected_there = False
        if kept is not None:
            try:
                came = await self._correspondence.go_on(journal, kept)
                if isinstance(came, Decide):
                    fault = None if accepted else CMPError("the requester did not accept it")
                    came = await self._confirm_there(journal, came, fault)
            except PeerRefusal as refusal:
                if accepted:
                    raise _passed_on(refusal) from refusal
                _log.warning("the rejection of %x is not taken, it is revoked: %s", certificate.serial_number, refusal)
            else:
                if isinstance(came, Pending):
                    return came
                rejected_there = any(one.rejection for one in came.transaction.sought)
        if accepted and rejected_there:
            raise CMPError(f"{certificate.serial_number:x} was rejected before", PKIFailureInfo.CERT_REVOKED)
        if not accepted and not rejected_there:
            pending = await self._revoke_there(certificate, CRLReason.CESSATION_OF_OPERATION)
            if pending is not None:
                return pending
        return confirmation(certificate, accepted=accepted, now=now)

    async def revoke(
        self, request: RevocationRequest, auth: Authenticated, *, now: datetime
    ) -> Revoked | Pending | Rejected:
        """Have it revoked there, on behalf of who asked here (rr)."""
        record = await self._authority.record(request)
        try:
            change = revocation(record, request, now)
            assert record is not None
            pending = await self._revoke_there(record, request.reason, request.invalidity_date)
        except CMPError as error:
            return Rejected(error)
        return Revoked(change) if pending is None else pending

    async def _revoke_there(
        self, record: CertificateRecord, reason: CRLReason, invalidity_date: datetime | None = None
    ) -> Pending | None:
        """rr for a certificate.

        :raises CMPError: if it is refused; that it is revoked already is no refusal.
        """
        journal = self._correspondence.journal(f"rr {record.serial_number:x} {reason.name}")
        opening = partial(_revoking, record, reason, invalidity_date)
        try:
            came = await self._correspondence.operate(journal, opening)
        except PeerRefusal as refusal:
            await journal.remove()
            if PKIFailureInfo.CERT_REVOKED in refusal.fail_info and reason is not CRLReason.REMOVE_FROM_CRL:
                return None
            raise _passed_on(refusal) from refusal
        return came if isinstance(came, Pending) else None

    async def abandon(self, idempotency_key: str, *, now: datetime) -> Abandoned | Pending:
        """Wait for what was asked for, and reject it or keep it; see :class:`cmpkit.parts.AbandoningIssuer`."""
        journal = self._correspondence.journal(idempotency_key)
        kept = await journal.load()
        if kept is None:
            return Abandoned()
        try:
            came = await self._correspondence.go_on(journal, kept)
            if isinstance(came, Finished) and came.transaction.sought[0].rejection:
                # It was abandoned before, by somebody who was killed before that could be noted.
                return await self._rejected_before(journal.key, came.transaction, now)
            result = await self._result(journal, came, now)
        except PeerRefusal as refusal:
            _log.info("nothing comes of the abandoned %s: %s", idempotency_key, refusal)
            await journal.remove()
            return Abandoned()
        if isinstance(result, Pending) and not await self._is_too_late(journal, now):
            return result
        if not isinstance(result, Issued):
            await journal.remove()
            return Abandoned()
        change = await self._end_late(result.certificate, now)
        return change if isinstance(change, Pending) else Abandoned(changed(result.certificate, change))

    async def _rejected_before(self, key: str, transaction: ClientTransaction, now: datetime) -> Abandoned:
        try:
            issued = await self._authority.issued(transaction.certificate, _order_of(key, transaction), now)
        except CMPError as error:
            _log.info("nothing comes of the abandoned %s: %s", key, error)
            return Abandoned()
        return Abandoned(changed(issued.certificate, confirmation(issued.certificate, accepted=False, now=now)))

    async def _end_late(self, certificate: CertificateRecord, now: datetime) -> CertificateChange | Pending:
        if self._late == "keep":
            try:
                return await self.confirm(certificate, accepted=True, now=now)
            except CMPError as error:
                _log.warning("the late %x cannot be kept: %s", certificate.serial_number, error)
        return await self.confirm(certificate, accepted=False, now=now)

    async def ca_certificates(self) -> tuple[bytes, ...]:
        """The issuing certificate, then those above it."""
        return self._authority.certificate.all

    async def crl(self, *, now: datetime) -> bytes:
        """The CRL from its file, or as the other server gives it (currentCRL)."""
        if self._crl_file is not None:
            return self._authority.checked_crl(await read_file(self._crl_file, Path()))
        crl = await self._correspondence.client.current_crl()
        if crl is None:
            raise CMPError("the CA gives no CRL", PKIFailureInfo.ADD_INFO_NOT_AVAILABLE)
        return self._authority.checked_crl(crl)

    async def root_key_update(self) -> RootKeyUpdate | None:
        """The other server is to be asked."""
        return None


async def _opening(order: Order, asked: CertificateRequest, now: datetime, conversation: Conversation) -> Send:
    """The request for a certificate on behalf of who asked here (RFC 9483 section 5.3.1)."""
    if asked.p10:
        body = p10_request(asked.p10)
        sought = SoughtCertificate(0, order.public_key_info, encode(body.content.info.subject))
    else:
        wish = Wish(
            key=PublicKey(order.public_key_info),
            subject=order.subject,
            extensions=asked.extensions,
            not_before=asked.not_before,
            not_after=asked.not_after,
        )
        # A kur is for whoever has the old key.
        operation = BodyType.IR if asked.body_type is BodyType.IR else BodyType.CR
        body = await certificate_request(operation, wish, sender=conversation.sender)
        sought = sought_certificate(body.content[0], wish)
    context = {
        "at": now.isoformat(),
        "profile": order.profile,
        "enrolled_by": order.enrolled_by,
        "subject": base64.b64encode(order.subject.public_bytes()).decode(),
    }
    context |= {name: "yes" for name in ("publish", "modified") if getattr(order, name)}
    if asked.proof is ProofMethod.ENCRYPTED_CERTIFICATE:
        context[_UNPROVEN] = "yes"
    return Send(begin(body.type, sought=[sought], context=context, random=conversation.options.random), body)


def _order_of(key: str, transaction: ClientTransaction) -> Order:
    """What :func:`_opening` wrote down."""
    (one,), context = transaction.sought, transaction.context
    return Order(
        key=key,
        public_key_info=one.public_key_info,
        subject=decode(x509.Name, base64.b64decode(context["subject"])),
        profile=context["profile"],
        enrolled_by=context["enrolled_by"],
        publish="publish" in context,
        modified="modified" in context,
    )


async def _revoking(
    record: CertificateRecord, reason: CRLReason, invalidity_date: datetime | None, conversation: Conversation
) -> Send:
    body = revocation_request([certificate_id(record.der)], reason, invalidity_date)
    return Send(begin(body.type, random=conversation.options.random), body)


def _passed_on(refusal: PeerRefusal) -> CMPError:
    """A refusal for the requester: what is wrong between this server and the other one is not his concern."""
    if refusal.fail_info & HEADER_FAULTS or not refusal.fail_info:
        return CMPError(refusal.detail, PKIFailureInfo.SYSTEM_FAILURE, hint=refusal.hint)
    text = "; ".join(refusal.texts)
    return CMPError(refusal.detail, refusal.fail_info, hint=refusal.hint, status_text=text)
