"""Values of :mod:`cmpkit.parts` as rows, and back."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from cmpkit.enums import BodyType, CRLReason, PKIFailureInfo
from cmpkit.errors import ConfigurationError
from cmpkit.parts import CertificateRecord, Grant, RelayStage, Revocation, Transaction
from cmpkit.store.columns import moment
from cmpkit.store.sealing import Sealer

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = [
    "USED",
    "certificate_from_row",
    "certificate_to_row",
    "grant_from_row",
    "grant_to_row",
    "revocations_from_rows",
    "transaction_from_row",
    "transaction_to_row",
    "value_to_row",
]

USED = b""
"""In place of a regToken that was used up."""
_BODY_FORMAT, _UNSEALED = 2, 1
_LARGEST_SERIAL_NUMBER = (1 << 160) - 1
_LARGEST_USES = (1 << 63) - 1


def _text(octets: bytes) -> str:
    return b64encode(octets).decode("ascii")


@cache
def _names(kind: type[DataclassInstance]) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


def value_to_row(value: DataclassInstance) -> dict[str, Any]:
    """The columns of a value that has one of the same name for each of its fields."""
    return {name: getattr(value, name) for name in _names(type(value))}


def transaction_to_row(transaction: Transaction, sealer: Sealer) -> dict[str, Any]:
    """The columns, with the version that the stored value gets.

    :param sealer: encrypts the request that is pending: it may hold a regToken, or an authenticator.
    """
    request = transaction.request and sealer.seal(_request_reference(transaction), transaction.request)
    return {
        "transaction_id": transaction.transaction_id,
        "credential": transaction.credential,
        "version": transaction.version + 1,
        "state": transaction.state,
        "expires": transaction.expires,
        "body": {
            "format": _BODY_FORMAT,
            "opened_by": transaction.opened_by.name,
            "implicit_confirm": transaction.implicit_confirm,
            "sender_nonce": _text(transaction.sender_nonce),
            "peer_nonces": [_text(nonce) for nonce in transaction.peer_nonces],
            "request": _text(request),
            "witnesses": [_text(witness) for witness in transaction.witnesses],
            "certificates": [[number, issuer, f"{serial:x}"] for number, issuer, serial in transaction.certificates],
            "extra_certs": [_text(certificate) for certificate in transaction.extra_certs],
            "road": transaction.road,
            **_relaying(transaction),
        },
    }


def _relaying(transaction: Transaction) -> dict[str, Any]:
    """What only transactions have that are passed on."""
    if not transaction.upstream:
        return {}
    stage = transaction.stage and transaction.stage.value
    return {"upstream": transaction.upstream, "stage": stage, "manner": transaction.manner}


def _request_reference(transaction: Transaction) -> bytes:
    return b"\0request\0" + transaction.credential.encode() + b"\0" + transaction.transaction_id


def transaction_from_row(row: Sequence[Any], sealer: Sealer) -> Transaction:
    """The transaction.

    :param row: its first columns are those of the table, in their order.
    :raises ConfigurationError: if a newer version of cmpkit stored it, or under another sealing key.
    """
    transaction_id, credential, version, state, body, expires = row[:6]
    if body["format"] not in (_BODY_FORMAT, _UNSEALED):
        raise ConfigurationError(
            f"a transaction in the store has format {body['format']}, not {_BODY_FORMAT}",
            PKIFailureInfo.SYSTEM_UNAVAIL,
            hint="a newer version of cmpkit stored it: upgrade cmpkit",
        )
    stored = Transaction(
        transaction_id=transaction_id,
        credential=credential,
        opened_by=BodyType[body["opened_by"]],
        state=state,
        version=version,
        implicit_confirm=body["implicit_confirm"],
        sender_nonce=b64decode(body["sender_nonce"]),
        peer_nonces=tuple(b64decode(nonce) for nonce in body["peer_nonces"]),
        request=b64decode(body["request"]),
        # What was stored by earlier versions has neither these nor a road.
        witnesses=tuple(b64decode(witness) for witness in body.get("witnesses", ())),
        certificates=tuple((number, issuer, int(serial, 16)) for number, issuer, serial in body["certificates"]),
        extra_certs=tuple(b64decode(certificate) for certificate in body["extra_certs"]),
        expires=expires,
        road=body.get("road", ""),
        upstream=body.get("upstream", ""),
        stage=RelayStage(body["stage"]) if body.get("stage") else None,
        manner=body.get("manner", ""),
    )
    if not stored.request or body["format"] == _UNSEALED:
        return stored
    return replace(stored, request=sealer.unseal(_request_reference(stored), stored.request))


def certificate_to_row(record: CertificateRecord) -> dict[str, Any]:
    """The columns.

    :raises ConfigurationError: for a serial number that no certificate may have.
    """
    if not 0 <= record.serial_number <= _LARGEST_SERIAL_NUMBER:
        raise ConfigurationError(
            f"the serial number of a certificate for {record.subject} is negative or has more than 160 bits",
            rule="RFC 5280 section 4.1.2.2",
        )
    return value_to_row(record)


def certificate_from_row(row: Sequence[Any]) -> CertificateRecord:
    """The record; the row has its columns in the order of the fields."""
    return CertificateRecord(*row)


def revocations_from_rows(rows: Iterable[Sequence[Any]]) -> Iterator[Revocation]:
    """The revocations; the rows have serial number, time, reason and invalidity date as they lie in the columns."""
    reasons: dict[int | None, CRLReason | None] = {None: None, **{int(reason): reason for reason in CRLReason}}
    for digits, at, reason, since in rows:
        yield Revocation(
            int(digits, 16),
            None if at is None else moment(at),
            reasons[reason],
            None if since is None else moment(since),
        )


def grant_to_row(grant: Grant) -> dict[str, Any]:
    """The columns.

    :raises ConfigurationError: for a number of uses that cannot be counted.
    """
    if grant.uses is not None and not 0 <= grant.uses <= _LARGEST_USES:
        raise ConfigurationError(
            f"a secret cannot have {grant.uses} uses", hint=f"0 to {_LARGEST_USES}, or without limit"
        )
    return {"subject": grant.subject, "profile": grant.profile, "uses_left": grant.uses, "expires": grant.expires}


def grant_from_row(row: Any) -> Grant:
    """The grant, with the uses that are left."""
    return Grant(subject=row.subject, profile=row.profile, uses=row.uses_left, expires=row.expires)
