"""One message at a responder: what every step that answers it needs to know."""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeAlias, TypeVar

from cmpkit.asn1 import PKIMessage
from cmpkit.engine.needs import Need
from cmpkit.engine.replies import Reply
from cmpkit.engine.states import HEADER_FAULTS, OPENS
from cmpkit.enums import BodyType
from cmpkit.errors import CMPError
from cmpkit.parts import AuditEntry, Authenticated, Transaction, TransactionState
from cmpkit.tolerances import STRICT, Leniency
from cmpkit.values import changed, quick

__all__ = ["ResponderSettings", "Steps", "Work", "settled", "spent"]

_REMEMBERED_NONCES = 64

Steps: TypeAlias = Generator[Need, Any, Reply]
"""A responder at work."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class ResponderSettings:
    """How a responder behaves.

    :param implicit_confirm: whether certConf is dispensed with for those who ask (RFC 9810 section 5.1.1.1).
    :param confirm_wait_time: how long a certificate waits for its certConf before it counts as rejected.
    :param pending_time: how long a request that takes time is kept after its last pollReq before it is given up.
    :param least_check_after: seconds that a client waits at least before it asks again (checkAfter).
    :param ca_pubs: DER certificates for caPubs of an ip that is protected by a MAC (RFC 9483 section 4.1.1).
    :param keep_unconfirmed: whether a certificate whose certConf never came stays valid (RFC 9810 section 5.1.1.2).
    :param max_requests: how many certificates one message may ask for, or ask to revoke; RFC 9483 allows one.
    """

    implicit_confirm: bool = True
    confirm_wait_time: timedelta = timedelta(minutes=15)
    pending_time: timedelta = timedelta(days=30)
    least_check_after: int = 0
    ca_pubs: tuple[bytes, ...] = ()
    keep_unconfirmed: bool = False
    max_requests: int = 1


@quick
@dataclass(frozen=True)
class Work:
    """What every step of one message needs to know.

    :param profile: the profile that the address names.
    :param leniency: what is let pass.
    """

    message: PKIMessage
    auth: Authenticated
    transaction: Transaction | None
    settings: ResponderSettings
    now: datetime
    profile: str | None
    leniency: Leniency = STRICT

    @property
    def body_type(self) -> BodyType:
        """The kind of body that came."""
        return self.message.body.type

    def request_key(self, opening: PKIMessage) -> str:
        """The idempotency key of a message that came, or that is put again: each credential has its own."""
        return hashlib.sha256(self.auth.credential.id.encode() + b"\0" + opening.digest).hexdigest()

    def opened(self, state: TransactionState, **changes: Any) -> Transaction:
        """The transaction that this message opens, in its first state."""
        return Transaction(
            transaction_id=self.message.header.transaction_id or b"",
            credential=self.auth.credential.id,
            opened_by=self.body_type,
            state=state,
            version=self.transaction.version if self.transaction else 0,
            peer_nonces=self._nonces(),
            extra_certs=() if state is TransactionState.DONE else self.message.extra_certs,
            **changes,
        )

    def continued(self, state: TransactionState, **changes: Any) -> Transaction:
        """The known transaction after this message, in another state."""
        assert self.transaction is not None
        known = () if state is TransactionState.DONE else self.transaction.extra_certs
        return changed(self.transaction, state=state, peer_nonces=self._nonces(), extra_certs=known, **changes)

    def followed(self, state: TransactionState, **changes: Any) -> Transaction:
        """The transaction after this message, whether it opens it or continues it."""
        return (self.opened if self.body_type in OPENS else self.continued)(state, **changes)

    def _nonces(self) -> tuple[bytes, ...]:
        """Every senderNonce so far; the oldest are forgotten, for their messages have a recipNonce that is over."""
        known = self.transaction.peer_nonces if self.transaction else ()
        return (*known, self.message.header.sender_nonce or b"")[-_REMEMBERED_NONCES:]

    def refused(self, error: CMPError, **details: str | int) -> AuditEntry:
        """A line of the audit about what was refused of a message whose other requests were granted."""
        names = " ".join(error.fail_info.wire_names)
        return self.audit("partly refused", fail_info=names, reason=error.detail, **details)

    def audit(self, event: str, **details: str | int) -> AuditEntry:
        """A line of the audit about this message."""
        return AuditEntry(self.now, event, self.auth.credential.id, self.message.header.transaction_id, {**details})


def spent(work: Work) -> tuple[bytes, ...]:
    """What the store counts a use of: a secret without limit may be one that it does not hold."""
    secret, grant = work.auth.credential.secret, work.auth.grant
    counted = grant is not None and (grant.uses is not None or grant.reg_token is not None)
    return (secret.reference,) if secret and counted else ()


def settled(steps: Generator[Need, Any, _T]) -> Generator[Need, Any, _T | CMPError]:
    """What comes of one of the requests in a message: the error, if the others need not suffer from it.

    :raises CMPError: if the whole message must be refused for it.
    """
    try:
        return (yield from steps)
    except CMPError as error:
        if error.fail_info & HEADER_FAULTS:
            raise
        return error
