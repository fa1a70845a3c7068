"""Values that the check of stores keeps, different in all that must be unique."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from cmpkit.enums import BodyType, CRLReason
from cmpkit.parts import (
    AuditEntry,
    CertificateChange,
    CertificateRecord,
    CertificateState,
    Grant,
    Intent,
    SecretRecord,
    SharedSecret,
    StoredAnswer,
    Transaction,
    TransactionState,
    UnitOfWork,
)

__all__ = ["NOW", "Values"]

NOW = datetime(2026, 5, 17, 12, 34, 56, 789012, tzinfo=UTC)


class Values:
    """Makes them."""

    issuer_key = "ab" * 32
    credential = "mac:636865636b"

    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    def transaction(self, **changes: Any) -> Transaction:
        """A transaction that was not stored yet."""
        values: dict[str, Any] = {
            "transaction_id": self._octets(16),
            "credential": self.credential,
            "opened_by": BodyType.IR,
            "state": TransactionState.ISSUED,
            "implicit_confirm": True,
            "sender_nonce": self._octets(16),
            "peer_nonces": (self._octets(16), self._octets(16)),
            "request": self._octets(32),
            "witnesses": (self._octets(32),),
            "certificates": ((0, self.issuer_key, 1 << 150), (1, self.issuer_key, 2)),
            "extra_certs": (b"one certificate", b"another"),
            "expires": NOW + timedelta(seconds=300),
        }
        return Transaction(**(values | changes))

    def answer(self, transaction: Transaction, **changes: Any) -> StoredAnswer:
        """An answer in a transaction."""
        values: dict[str, Any] = {
            "digest": self._octets(32),
            "credential": transaction.credential,
            "transaction_id": transaction.transaction_id,
            "der": b"an answer",
            "keep_until": NOW + timedelta(days=7),
        }
        return StoredAnswer(**(values | changes))

    def record(self, **changes: Any) -> CertificateRecord:
        """A certificate that was issued."""
        number = next(self._numbers)
        der = b"certificate %d" % number
        values: dict[str, Any] = {
            "issuer_key": self.issuer_key,
            "serial_number": (1 << 158) + number,
            "der": der,
            "fingerprint": hashlib.sha256(der).digest(),
            "subject": f"CN=device {number},O=Zürich",
            "not_before": NOW.replace(microsecond=0),
            "not_after": NOW.replace(microsecond=0) + timedelta(days=365),
            "profile": "device",
            "request_key": f"request {number}",
            "enrolled_by": self.credential,
        }
        return CertificateRecord(**(values | changes))

    def unit(self, **changes: Any) -> UnitOfWork:
        """A unit with something of each kind."""
        transaction = changes.pop("transaction", None) or self.transaction()
        values: dict[str, Any] = {
            "transaction": transaction,
            "answer": self.answer(transaction),
            "certificates": (self.record(),),
            "intents": (Intent(f"key {next(self._numbers)}", b"id", self.credential, "issue", NOW),),
            "audit": (
                AuditEntry(NOW, "issued", self.credential, transaction.transaction_id, {"serial": "1f", "count": 1}),
                AuditEntry(NOW, "refused", "192.0.2.1"),
            ),
        }
        return UnitOfWork(**(values | changes))

    def secret(self, reference: bytes, **grant: Any) -> SecretRecord:
        """A shared secret; its grant is for any subject unless it says otherwise."""
        return SecretRecord(SharedSecret(reference, b"the secret of the checks"), Grant(**({"subject": None} | grant)))

    @staticmethod
    def change(record: CertificateRecord, state: CertificateState, *expected: CertificateState) -> CertificateChange:
        """A change of a certificate, for a reason where there must be one."""
        reasons = {
            CertificateState.REVOKED: CRLReason.KEY_COMPROMISE,
            CertificateState.ON_HOLD: CRLReason.CERTIFICATE_HOLD,
        }
        return CertificateChange(
            record.issuer_key,
            record.serial_number,
            state,
            expected,
            at=NOW,
            reason=reasons.get(state),
            invalidity_date=NOW - timedelta(days=1) if state is CertificateState.REVOKED else None,
        )

    @staticmethod
    def changed(record: CertificateRecord, change: CertificateChange) -> CertificateRecord:
        """The record as it is after a change."""
        out_of_use = change.state in (CertificateState.REVOKED, CertificateState.ON_HOLD)
        return replace(
            record,
            state=change.state,
            revoked_at=change.at if out_of_use else None,
            reason=change.reason if out_of_use else None,
            invalidity_date=change.invalidity_date if out_of_use else None,
        )

    def _octets(self, size: int) -> bytes:
        return hashlib.sha256(b"%d" % next(self._numbers)).digest()[:size]
