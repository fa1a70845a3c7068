"""Certificates that come when nobody waits for them any more: they are revoked, or kept, and the audit says which."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from datetime import datetime
from typing import Final

from cryptography import x509

from cmpkit.asn1 import PKIMessage, decode_message, distinguished_name
from cmpkit.crypto.names import format_name
from cmpkit.endpoints.reading import certificates_in
from cmpkit.endpoints.requests import certificate_id, revocation_request
from cmpkit.engine.answers import answer_statuses, is_refusal
from cmpkit.engine.header import NONCE_SIZE, request_header
from cmpkit.engine.rev_details import read_rev_details
from cmpkit.enums import PVNO, BodyType, CRLReason
from cmpkit.parts import AuditEntry, RelayChange, Relayed, RelayState, Store, UnitOfWork
from cmpkit.relay.upstream import Upstream

__all__ = ["LateCertificates"]

_log = logging.getLogger("cmpkit.relay")
_ANY_STATE: Final = tuple(RelayState)


class LateCertificates:
    """What becomes of them, as the operator wants it for an upstream.

    :param clock: gives the time, in UTC.
    """

    def __init__(self, upstream: Upstream, store: Store, clock: Callable[[], datetime]) -> None:
        self._upstream, self._store, self._clock = upstream, store, clock

    async def take(self, relayed: Relayed, answer: PKIMessage) -> tuple[Relayed, ...]:
        """See to an answer that the requester does not get.

        :returns: the requests to revoke what it brings, which are in the store and are to be sent.
        """
        now, certificates = self._clock(), certificates_in(answer)
        revoking: tuple[Relayed, ...] = ()
        if self._upstream.late == "revoke":
            revoking = tuple([await self._revocation(relayed, der, now) for der in certificates])
        event = "late certificate" if revoking else "late certificate kept"
        audit = tuple(self._entry(event, relayed, _facts(der), now) for der in certificates)
        await self._store.commit(
            UnitOfWork(relayed=revoking, relay_changes=(RelayChange(relayed.key, None, _ANY_STATE),), audit=audit)
        )
        name = relayed.transaction_id.hex()
        _log.warning(
            "transaction %s: %s of the upstream %s came too late, with %d certificates",
            name,
            answer.body.type.wire_name,
            self._upstream.name,
            len(certificates),
        )
        return revoking

    async def conclude(self, own: Relayed, answer: PKIMessage | None) -> None:
        """Write down what became of a request to revoke.

        :param own: one that :meth:`take` returned.
        :param answer: ``None`` if none came in time.
        """
        named = read_rev_details(decode_message(own.outgoing).body.content[0])
        done = answer is not None and answer.body.type is BodyType.RP and not is_refusal(answer)
        said = "no answer" if answer is None else _said(answer)
        facts = {"serial": f"{named.serial_number:x}", "issuer": format_name(named.issuer)}
        event = "late certificate revoked" if done else "late certificate not revoked"
        if not done:
            _log.error("the late certificate %s is not revoked: %s", facts["serial"], said)
        audit = self._entry(event, own, facts if done else {**facts, "answer": said}, self._clock())
        await self._store.commit(UnitOfWork(relay_changes=(RelayChange(own.key, None, _ANY_STATE),), audit=(audit,)))

    async def _revocation(self, relayed: Relayed, certificate: bytes, now: datetime) -> Relayed:
        """A request of our own to revoke a certificate (RFC 9483 section 5.3.2)."""
        own = self._upstream.own
        transaction_id = own.random(NONCE_SIZE)
        loaded = x509.load_der_x509_certificate(certificate)
        header = request_header(
            pvno=PVNO.CMP2000,
            sender=distinguished_name(own.sender) or x509.Name([]),
            recipient=loaded.issuer,
            sender_kid=own.sender_kid,
            protection_alg=own.algorithm(transaction_id),
            transaction_id=transaction_id,
            recip_nonce=None,
            now=now,
            random=own.random,
        )
        body = revocation_request([certificate_id(certificate)], CRLReason.CESSATION_OF_OPERATION)
        message = await own.protect(PKIMessage(header, body))
        return Relayed(
            key=hashlib.sha256(message.raw).hexdigest(),
            transaction_id=transaction_id,
            credential=relayed.credential,
            upstream=self._upstream.name,
            body_type=BodyType.RR,
            message=b"",
            outgoing=message.raw,
            at=now,
            deadline=now + self._upstream.deadline,
        )

    def _entry(self, event: str, relayed: Relayed, facts: dict[str, str], now: datetime) -> AuditEntry:
        details = {**facts, "upstream": self._upstream.name}
        return AuditEntry(now, event, relayed.credential, relayed.transaction_id, details)


def _facts(certificate: bytes) -> dict[str, str]:
    loaded = x509.load_der_x509_certificate(certificate)
    return {"serial": f"{loaded.serial_number:x}", "subject": format_name(loaded.subject)}


def _said(answer: PKIMessage) -> str:
    statuses = answer_statuses(answer)
    texts = [text for status in statuses for text in status.texts]
    names = [name for status in statuses for name in status.failures.wire_names]
    return f"{answer.body.type.wire_name}: {' '.join(names)}: {'; '.join(texts) or 'no text'}"
