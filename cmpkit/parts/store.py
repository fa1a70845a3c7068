"""The store: what is kept, and the one unit in which it changes."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from cmpkit.enums import BodyType
from cmpkit.parts.approval import Decision, HeldRequest, HeldState
from cmpkit.parts.identity import CertificateRecord, CertificateState, Grant, SecretRecord
from cmpkit.parts.issuing import CertificateChange
from cmpkit.parts.keeping import KeptValue
from cmpkit.parts.recovery import ArchivedKey
from cmpkit.parts.relaying import Batch, RelayChange, Relayed, RelayStage, RelayState
from cmpkit.parts.revocation import IssuedCRL, Revocation
from cmpkit.parts.undertaking import Undertaking
from cmpkit.values import changed, quick

__all__ = [
    "AuditEntry",
    "Intent",
    "Store",
    "StoreFactory",
    "StoredAnswer",
    "Transaction",
    "TransactionState",
    "UnitOfWork",
]


class TransactionState(enum.Enum):
    """Where a server's transaction stands (the states of a CA, RFC 9810 section 5.3)."""

    PENDING = "pending"
    ISSUED = "issued"
    CHALLENGED = "challenged"
    """Nothing is issued before the challenges are answered (RFC 9810 section 5.2.8.3.3)."""
    ISSUED_ENCRYPTED = "issued-encrypted"
    """Like ``ISSUED``, and the certConf is the proof of possession (RFC 9810 section 5.2.8.3.2)."""
    RELAYED = "relayed"
    """Its messages are passed on: :attr:`Transaction.stage` says how far it is."""
    DONE = "done"


@quick
@dataclass(frozen=True)
class Transaction:
    """A server's transaction: one operation of one credential.

    :param transaction_id: the transactionID; another credential may use the same one for its own.
    :param credential: :attr:`Credential.id` of who opened it.
    :param version: of the stored value; 0 before it was stored.
    :param opened_by: the body type that opened it.
    :param implicit_confirm: whether certConf is dispensed with.
    :param sender_nonce: senderNonce of our last message: the next recipNonce.
    :param peer_nonces: every senderNonce that the peer used in it.
    :param request: what is pending: the request itself; of one that is relayed the key of the message under way.
    :param witnesses: by what the answers to challenges are known.
    :param certificates: ``(certReqId, issuer_key, serial_number)`` of what was issued.
    :param expires: when an unconfirmed certificate counts as rejected, a pending request as given up.
    :param road: the name of the road on which it began, :attr:`Peer.road`.
    :param upstream: the name of the upstream that its messages go to; empty if it is answered here.
    :param stage: how far one is that goes to an upstream.
    :param manner: how its messages go there: a value of :class:`cmpkit.relay.wrapping.Manner`.
    """

    transaction_id: bytes
    credential: str
    opened_by: BodyType
    state: TransactionState
    version: int = 0
    implicit_confirm: bool = False
    sender_nonce: bytes = b""
    peer_nonces: tuple[bytes, ...] = ()
    request: bytes = b""
    witnesses: tuple[bytes, ...] = ()
    certificates: tuple[tuple[int, str, int], ...] = ()
    extra_certs: tuple[bytes, ...] = ()
    expires: datetime | None = None
    road: str = ""
    upstream: str = ""
    stage: RelayStage | None = None
    manner: str = ""

    def answered(self, sender_nonce: bytes, road: str = "") -> Transaction:
        """The same transaction once it was answered by a message with that senderNonce.

        :param road: of the message that was answered: where it begins, if it does with that.
        """
        return changed(self, sender_nonce=sender_nonce, road=self.road or road)


@quick
@dataclass(frozen=True)
class StoredAnswer:
    """The answer to a request, to be given again if the same octets come again from the same credential.

    :param digest: SHA-256 over the request.
    :param credential: who it is for.
    :param der: the answer.
    :param keep_until: until when the request would still be accepted; ``None`` means for ever.
    """

    digest: bytes
    credential: str
    transaction_id: bytes
    der: bytes
    keep_until: datetime | None


@dataclass(frozen=True, slots=True)
class Intent:
    """That an operation of a part that is not local is about to begin; it is kept until that is over."""

    idempotency_key: str
    transaction_id: bytes
    credential: str
    operation: str
    at: datetime


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One line of the audit.

    :param event: what happened: ``issued``, ``confirmed``, ``rejected``, ``revoked``, ``refused`` ...
    :param actor: :attr:`Credential.id`, or the peer's address where nothing was authenticated.
    :param details: plain values, no secrets.
    """

    at: datetime
    event: str
    actor: str
    transaction_id: bytes | None = None
    details: Mapping[str, str | int] = field(default_factory=dict)


@quick
@dataclass(frozen=True)
class UnitOfWork:
    """Everything that one message changes; it is stored whole or not at all.

    :param transaction: stored if the stored version is still ``transaction.version`` (0: if there is none).
    :param spent: references of shared secrets of which a use is taken, and with it the regToken; one without a use
        left, or whose regToken was taken before, makes a conflict.
    :param confirmed: changes of certificates; one that is not in its expected state makes a conflict.
    :param archived: private keys to be kept, encrypted, each with a certificate that is stored.
    :param held: requests that wait for a person, of the transaction.
    :param decisions: about such requests; one about a request that does not wait at that time makes a conflict.
    :param kept: values to be kept, encrypted; one whose key another owner has makes a conflict.
    :param undertakings: what parts have begun elsewhere, each in place of the version that it follows; one that
        does not follow the stored version makes a conflict.
    :param relayed: messages that are passed on from now; one that is there already makes a conflict.
    :param relay_changes: what becomes of such messages, and of those in ``relayed`` of the same unit.
    :param batches: what messages are passed on in from now.
    :param sent_batches: keys of those that were handed to a store-and-forward road.
    :param finished_batches: keys of those that were answered, or given up: they are forgotten.
    """

    transaction: Transaction | None = None
    answer: StoredAnswer | None = None
    certificates: tuple[CertificateRecord, ...] = ()
    changes: tuple[CertificateChange, ...] = ()
    archived: tuple[ArchivedKey, ...] = ()
    spent: tuple[bytes, ...] = ()
    intents: tuple[Intent, ...] = ()
    finished_intents: tuple[str, ...] = ()
    held: tuple[HeldRequest, ...] = ()
    decisions: tuple[Decision, ...] = ()
    kept: tuple[KeptValue, ...] = ()
    undertakings: tuple[Undertaking, ...] = ()
    relayed: tuple[Relayed, ...] = ()
    relay_changes: tuple[RelayChange, ...] = ()
    batches: tuple[Batch, ...] = ()
    sent_batches: tuple[str, ...] = ()
    finished_batches: tuple[str, ...] = ()
    audit: tuple[AuditEntry, ...] = ()


class Store(Protocol):
    """Keeps everything that matters. What :meth:`commit` returned from survives ``kill -9``."""

    async def load(
        self, transaction_id: bytes, digest: bytes
    ) -> tuple[tuple[Transaction, ...], tuple[StoredAnswer, ...]]:
        """The transactions with that ID, of whatever credential, and the answers to the request with that digest."""

    async def commit(self, unit: UnitOfWork) -> None:
        """Store all of it, durably, before returning.

        :raises ConflictError: if a condition of the unit does not hold; nothing was stored then.
        """

    async def certificate(self, issuer_key: str, serial_number: int) -> CertificateRecord | None:
        """The record of one certificate."""

    async def certificate_by_fingerprint(self, fingerprint: bytes) -> CertificateRecord | None:
        """The record of the certificate with that SHA-256."""

    async def certificates(
        self, *, subject: str | None = None, states: Sequence[CertificateState] = (), limit: int = 1000
    ) -> tuple[CertificateRecord, ...]:
        """Records, newest first.

        :param subject: RFC 4514 text, exactly.
        :param states: only these; none means any.
        """

    async def revoked(self, issuer_key: str) -> tuple[Revocation, ...]:
        """All that a CRL of this issuer must list: revoked or on hold, and not expired before the CRL could say so."""

    async def status_version(self, issuer_key: str) -> int:
        """A number that grows whenever a certificate of this issuer is revoked or put on hold, or a hold is lifted.

        What was read after it holds at least the changes up to it.
        """

    async def status_changes(self, issuer_key: str, *, since: int) -> tuple[Revocation, ...]:
        """What became of the certificates of this issuer that changed after that :meth:`status_version`.

        Those that are revoked or on hold as :meth:`revoked` gives them; of those whose hold was lifted ``at`` is
        ``None``.
        """

    async def add_crl(self, crl: IssuedCRL) -> None:
        """Remember a complete CRL until its nextUpdate."""

    async def oldest_crl(self, issuer_key: str, *, at: datetime) -> IssuedCRL | None:
        """The one with the smallest number of those complete CRLs that are still valid then (nextUpdate after it)."""

    async def publications(
        self, issuer_key: str, *, since: int, now: datetime, limit: int = 100
    ) -> tuple[tuple[int, CertificateRecord], ...]:
        """Certificates of this issuer that are to be published and became valid, each with a number.

        Numbers grow in the order in which that was committed; the smallest come first. Those that are not valid any
        more are left out.

        :param since: only those with greater numbers.
        """

    async def revocations(
        self, issuer_key: str, *, since: int, now: datetime, limit: int = 100
    ) -> tuple[tuple[int, CertificateRecord], ...]:
        """Certificates of this issuer that are revoked or on hold, each with the :meth:`status_version` of that.

        The smallest come first. Those that have expired are left out.

        :param since: only those with greater numbers.
        """

    async def announced(self, subscriber: str, topic: str) -> int:
        """Up to which number a repository was told of something; 0 if it never was."""

    async def note_announced(self, subscriber: str, topic: str, number: int) -> None:
        """Remember up to which number a repository was told of something."""

    async def last_expiry(self, issuer_key: str, *, besides: str = "") -> datetime | None:
        """When the last certificate of this issuer ends, revoked ones included; ``None`` if there is none.

        :param besides: the profile of certificates that do not count.
        """

    async def overdue(self, now: datetime) -> tuple[Transaction, ...]:
        """Transactions whose ``expires`` has passed and which are not done."""

    async def open_transactions(self) -> Mapping[str, int]:
        """How many transactions are not done, by credential; their number bounds the work."""

    async def held_requests(
        self, *, now: datetime, key: str = "", states: Sequence[HeldState] = (), limit: int = 1000
    ) -> tuple[HeldRequest, ...]:
        """Requests that wait or waited for a person, newest first, as long as their transactions are kept.

        A decision of another process that was committed before is in it.

        :param key: how their keys begin.
        :param states: only these; none means any.
        """

    async def undertaking(self, kind: str, key: str) -> Undertaking | None:
        """The undertaking of that kind with that key, or ``None``."""

    async def abandoned_intents(self, *, before: datetime, limit: int = 1000) -> tuple[Intent, ...]:
        """Operations that began before then, are not known to be over, and whose transaction is not open, oldest first.

        Nobody waits for what comes of them.
        """

    async def relayed(self, key: str) -> Relayed | None:
        """The message with that key that is passed on, or ``None``."""

    async def relayed_messages(
        self, *, upstream: str, states: Sequence[RelayState] = (), batch: str | None = None, limit: int = 1000
    ) -> tuple[Relayed, ...]:
        """Messages that are passed on to that upstream, oldest first.

        :param states: only these; none means any.
        :param batch: only those that go in the batch with that key; empty: those in none; ``None``: whichever.
        """

    async def batches(self, *, upstream: str, key: str = "") -> tuple[Batch, ...]:
        """The batches that are not answered yet, oldest first.

        :param key: only the one with that key.
        """

    async def next_crl_number(self, issuer_key: str) -> int:
        """A number that is greater than each one given before (RFC 5280 section 5.2.3)."""

    async def add_secret(self, record: SecretRecord) -> None:
        """Keep a shared secret, encrypted.

        :raises ConfigurationError: if the reference exists.
        """

    async def find_secret(self, reference: bytes) -> SecretRecord | None:
        """The secret with that reference, or ``None``."""

    async def secrets(self) -> tuple[tuple[bytes, Grant, bool], ...]:
        """Reference, grant and whether it is revoked, of every secret; not the secrets."""

    async def revoke_secret(self, reference: bytes) -> bool:
        """Make a secret useless; whether there was one."""

    async def archived_keys(self, *, subject: str, profile: str, limit: int = 1000) -> tuple[ArchivedKey, ...]:
        """The archived private keys of certificates that were confirmed, newest first; revoked and expired ones, too.

        :param subject: of the certificates: RFC 4514 text, exactly.
        :param profile: under which they were issued.
        """

    async def kept_value(self, kind: str, key: bytes) -> KeptValue | None:
        """The value of that kind with that key, or ``None``."""

    async def audit_entries(self, *, limit: int = 1000) -> tuple[AuditEntry, ...]:
        """The newest entries, newest first."""

    async def prune(self, now: datetime) -> int:
        """Forget answers whose requests would no longer be accepted; how many."""

    async def check(self) -> None:
        """Whether the store can be used.

        :raises ConfigurationError: if it cannot be reached, or its schema is of another version.
        """

    async def aclose(self) -> None:
        """Give up connections."""


class StoreFactory(Protocol):
    """Opens stores for some URL schemes."""

    schemes: tuple[str, ...]

    def open(self, url: str, *, sealing_key: bytes) -> Store:
        """A store at ``url``, ready for use once :meth:`Store.check` or :meth:`create` returned.

        :param sealing_key: 32 octets; secrets at rest are encrypted with it.
        """

    async def create(self, url: str) -> None:
        """Make the schema, or bring it to this version."""
