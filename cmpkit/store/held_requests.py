"""Requests that wait for a person, and decisions. Each function is one statement on a connection.

Nothing is written down twice: whether a request is still open is for its transaction to say, and whether it came to a
certificate, for the certificate that has its key.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import ConflictError
from cmpkit.parts import Decision, HeldRequest, HeldState, TransactionState
from cmpkit.store import tables

__all__ = ["add", "decide", "listing", "prune"]

_H, _T, _C = tables.held_requests.c, tables.transactions.c, tables.certificates.c

_KEPT = tuple(item.name for item in fields(HeldRequest) if item.name not in ("state", "expires", "decision"))
_OF_REQUEST = sa.and_(_T.transaction_id == _H.transaction_id, _T.credential == _H.credential)
_OPEN = sa.and_(_T.state == TransactionState.PENDING, _T.expires > sa.bindparam("now"))

_STATE = sa.case(
    (_C.ordinal.is_not(None), HeldState.ISSUED.value),
    (_H.approved.is_(sa.false()), HeldState.REJECTED.value),
    (~sa.func.coalesce(_OPEN, sa.false()), HeldState.LAPSED.value),
    (_H.approved.is_(sa.true()), HeldState.APPROVED.value),
    else_=HeldState.WAITING.value,
)
_LISTING = (
    sa.select(tables.held_requests, sa.case((_OPEN, _T.expires)).label("until"), _STATE.label("state"))
    .select_from(
        tables.held_requests.outerjoin(tables.transactions, _OF_REQUEST).outerjoin(
            tables.certificates, _C.request_key == _H.key
        )
    )
    .order_by(_H.at.desc(), _H.key)
)
_ADD = tables.held_requests.insert()
_DECIDE = (
    tables.held_requests.update()
    .where(_H.key == sa.bindparam("of_key"), _H.approved.is_(None))
    .where(sa.exists().where(_OF_REQUEST, _OPEN))
    .values({column: sa.bindparam(f"new_{column}") for column in ("approved", "decided_by", "decided_at")})
    .values({column: sa.bindparam(f"new_{column}") for column in ("reason", "fail_info", "status_text")})
)
_FORGET = tables.held_requests.delete().where(~sa.exists().where(_OF_REQUEST))


def add(connection: sa.Connection, requests: Sequence[HeldRequest]) -> None:
    """Keep them; IntegrityError if one is there already."""
    rows = [{name: getattr(request, name) for name in _KEPT} for request in requests]
    connection.execute(_ADD, [row | {"facts": dict(row["facts"])} for row in rows])


def decide(connection: sa.Connection, decision: Decision) -> None:
    """Write a decision down.

    :raises ConflictError: if the request is not waiting at that time.
    """
    values = {
        "of_key": decision.key,
        "now": decision.at,
        "new_approved": decision.approved,
        "new_decided_by": decision.by,
        "new_decided_at": decision.at,
        "new_reason": decision.reason,
        "new_fail_info": int(decision.fail_info),
        "new_status_text": decision.status_text,
    }
    if connection.execute(_DECIDE, values).rowcount == 0:
        raise ConflictError(f"the request {decision.key} is not waiting for a decision")


def listing(
    connection: sa.Connection, now: datetime, key: str, states: Sequence[HeldState], limit: int
) -> tuple[HeldRequest, ...]:
    """See :meth:`cmpkit.parts.Store.held_requests`."""
    query = _LISTING.limit(limit)
    if key:
        # Keys are hexadecimal digits, and numbers after a hyphen: "g" comes after these in the order of every language.
        query = query.where(_H.key >= key, _H.key < f"{key}g")
    if states:
        query = query.where(_STATE.in_([state.value for state in states]))
    return tuple(map(_from_row, connection.execute(query, {"now": now})))


def _from_row(row: Any) -> HeldRequest:
    decision = None
    if row.approved is not None:
        fail_info = PKIFailureInfo(row.fail_info)
        decision = Decision(
            row.key, row.approved, row.decided_by, row.decided_at, row.reason, fail_info, row.status_text
        )
    kept = {name: getattr(row, name) for name in _KEPT}
    return HeldRequest(**kept, state=HeldState(row.state), expires=row.until, decision=decision)


def prune(connection: sa.Connection) -> None:
    """Forget those whose transactions are forgotten."""
    connection.execute(_FORGET)
