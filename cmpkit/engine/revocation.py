"""Revocation requests (RFC 9810 section 5.3.9, RFC 9483 section 4.2)."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

from cryptography import x509

from cmpkit.asn1 import CertId, PKIMessage, RevDetails, directory_name
from cmpkit.engine.needs import Authorize, Need, Revoke
from cmpkit.engine.polling import delay, put_again
from cmpkit.engine.replies import Reply, change_event, revocation_response
from cmpkit.engine.rev_details import read_rev_details, revocation_faults
from cmpkit.engine.work import Steps, Work, settled
from cmpkit.enums import BodyType
from cmpkit.errors import CMPError, raise_first
from cmpkit.parts import Pending, Rejected, Revoked, TransactionState

__all__ = ["revoke", "revoke_again"]


def revoke(work: Work) -> Steps:
    """rr (R-140 to R-145)."""
    yield Authorize(work.body_type)
    return (yield from _revoke(work, work.message))


def revoke_again(work: Work, kept: PKIMessage) -> Steps:
    """A kept rr is put again."""
    return put_again(work, kept, _revoke(work, kept))


def _revoke(work: Work, opening: PKIMessage) -> Steps:
    details: list[RevDetails] = opening.body.content
    raise_first(revocation_faults(details, work.settings.max_requests))
    if len(details) == 1:
        results: list[Revoked | Pending | CMPError] = [(yield from _put(work, details[0]))]
    else:
        results = []
        for one in details:
            results.append((yield from settled(_put(work, one))))
    waiting = [result for result in results if isinstance(result, Pending)]
    if waiting:
        return delay(work, opening, *waiting)
    return _answer(work, opening, results)


def _put(work: Work, details: RevDetails) -> Generator[Need, Any, Revoked | Pending]:
    """Ask for one revocation.

    :raises CMPError: the refusal.
    """
    result: Revoked | Pending | Rejected = yield Revoke(read_rev_details(details, work.leniency))
    if isinstance(result, Rejected):
        raise result.error
    return result


def _answer(work: Work, opening: PKIMessage, results: Sequence[Revoked | Pending | CMPError]) -> Reply:
    """One status for each certificate, in their order (R-143)."""
    named = [_certificate_id(details) for details in opening.body.content]
    errors = [result if isinstance(result, CMPError) else None for result in results]
    changes = tuple(result.change for result in results if isinstance(result, Revoked))
    refused = [error for error in errors if error is not None]
    over = bool(changes) or work.body_type is BodyType.POLL_REQ
    return Reply(
        revocation_response(list(zip(named, errors, strict=True))),
        transaction=work.followed(TransactionState.DONE, request=b"", expires=None) if over else None,
        changes=changes,
        audit=(
            *(change_event(work.now, work.auth, opening, change) for change in changes),
            *(work.refused(error) for error in refused if over),
        ),
        refused=refused[0] if refused else None,
        also_refused=tuple(refused[1:]),
    )


def _certificate_id(details: RevDetails) -> CertId:
    template = details.cert_details
    issuer = template.issuer.name if template.issuer is not None else x509.Name([])
    return CertId(issuer=directory_name(issuer), serial_number=template.serial_number or 0)
