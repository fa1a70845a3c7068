"""What a part elsewhere was asked for, and nobody waits for any more: it is seen to that nothing is left of it."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime

from cmpkit.ca.key_generation import forgotten_keys
from cmpkit.errors import CMPError, ConflictError
from cmpkit.parts import (
    Abandoned,
    AbandoningIssuer,
    AuditEntry,
    CertificateRecord,
    CertificateState,
    Event,
    Intent,
    Issuer,
    Pending,
    Store,
    UnitOfWork,
)
from cmpkit.plugins import Plugins

__all__ = ["end_abandoned"]

_log = logging.getLogger("cmpkit.server")


async def end_abandoned(issuer: Issuer, store: Store, plugins: Plugins, *, now: datetime, before: datetime) -> None:
    """End what was asked of an issuer for requesters that are gone; what needs time is tried again next time.

    :param before: only what was asked for before then: somebody may be about to get what came later.
    """
    for intent in await store.abandoned_intents(before=before):
        try:
            await _end(intent, issuer, store, plugins, now)
        except ConflictError as conflict:
            _log.debug("abandoned %s: %s", intent.idempotency_key, conflict)
        except CMPError as error:
            _log.error("abandoned %s cannot be ended: %s", intent.idempotency_key, error)


async def _end(intent: Intent, issuer: Issuer, store: Store, plugins: Plugins, now: datetime) -> None:
    ended: Abandoned | Pending = Abandoned()
    if isinstance(issuer, AbandoningIssuer):
        ended = await issuer.abandon(intent.idempotency_key, now=now)
    if isinstance(ended, Pending):
        return
    key = intent.idempotency_key
    unit = UnitOfWork(finished_intents=(key,), undertakings=forgotten_keys((key,)))
    if ended.certificate is not None:
        # Its requester may come back after all, and get another one under that key.
        record = replace(ended.certificate, request_key=f"late {key}")
        unit = replace(unit, certificates=(record,), audit=(_entry(record, intent, now),))
    await store.commit(unit)
    for entry in unit.audit:
        _log.warning("%s: %s", entry.event, entry.details["serial"])
        plugins.observe(Event(entry.event, entry.transaction_id, entry.details))


def _entry(record: CertificateRecord, intent: Intent, now: datetime) -> AuditEntry:
    what = "kept" if record.state is CertificateState.VALID else "revoked"
    details = {"serial": f"{record.serial_number:x}", "subject": record.subject, "profile": record.profile}
    return AuditEntry(now, f"late certificate {what}", intent.credential, intent.transaction_id, details)
