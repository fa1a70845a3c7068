"""A client's transaction as versioned JSON text, and back."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from datetime import datetime
from typing import Any

from cmpkit.asn1 import PKIStatusInfo, decode
from cmpkit.engine.client_transaction import ClientTransaction
from cmpkit.engine.sought import SoughtCertificate
from cmpkit.engine.states import ANSWERS, ClientState
from cmpkit.enums import PVNO, BodyType
from cmpkit.errors import CMPError, ConfigurationError

__all__ = ["FORMAT", "dump_transaction", "load_transaction"]

FORMAT = 1
"""The version that is written; others are refused."""


def dump_transaction(transaction: ClientTransaction) -> str:
    """The transaction as JSON text; octets are base64."""
    return json.dumps({"format": FORMAT, **_members(transaction)}, indent=1, sort_keys=True)


def load_transaction(text: str) -> ClientTransaction:
    """The transaction that :func:`dump_transaction` wrote.

    :raises ConfigurationError: if the text is damaged or of another format.
    """
    try:
        values = json.loads(text)
        version = values.pop("format")
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise _damaged(f"it is no saved transaction ({type(error).__name__})") from error
    if version != FORMAT:
        raise ConfigurationError(
            f"the saved transaction has format {version!r:.20}, {FORMAT} is read",
            hint="another version of cmpkit wrote it: go on with that one",
        )
    return ClientTransaction(**_fields(values, _READERS))


def _fields(values: Mapping[str, Any], readers: Mapping[str, Callable[[Any], Any]]) -> dict[str, Any]:
    if set(values) != set(readers):
        odd = ", ".join(sorted(set(values) ^ set(readers)))
        raise _damaged(f"fields are missing or unknown: {odd:.200}")
    return {name: _read(name, value, readers[name]) for name, value in values.items()}


def _damaged(detail: str) -> ConfigurationError:
    return ConfigurationError(f"the saved transaction is damaged: {detail}", hint="begin the operation anew")


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, ClientState):
        return value.value
    if isinstance(value, BodyType):
        return value.name
    return _members(value) if is_dataclass(value) else dict(value) if isinstance(value, Mapping) else value


def _members(value: Any) -> dict[str, Any]:
    return {item.name: _plain(getattr(value, item.name)) for item in fields(value)}


def _read(name: str, value: Any, reader: Callable[[Any], Any]) -> Any:
    try:
        return reader(value)
    except ConfigurationError:
        raise
    except (ValueError, TypeError, KeyError, CMPError) as error:
        raise _damaged(f"{name} cannot be read") from error


def _exactly(kind: type[Any]) -> Callable[[Any], Any]:
    """A reader that takes only values of that very type: ``True`` is no number."""

    def read(value: Any) -> Any:
        if type(value) is not kind:
            raise TypeError(f"{type(value).__name__} in place of {kind.__name__}")
        return value

    return read


_text, _list, _object, _number = _exactly(str), _exactly(list), _exactly(dict), _exactly(int)


def _octets(value: Any) -> bytes:
    return base64.b64decode(_text(value), validate=True)


def _status(value: Any) -> bytes:
    """A status that can be read, or none."""
    octets = _octets(value)
    if octets:
        decode(PKIStatusInfo, octets)
    return octets


def _octet_strings(value: Any) -> tuple[bytes, ...]:
    return tuple(_octets(item) for item in _list(value))


def _numbers(value: Any) -> tuple[int, ...]:
    return tuple(_number(item) for item in _list(value))


def _sought(value: Any) -> tuple[SoughtCertificate, ...]:
    return tuple(SoughtCertificate(**_fields(_object(item), _SOUGHT_READERS)) for item in _list(value))


def _operation(value: Any) -> BodyType:
    operation = BodyType[_text(value)]
    if operation not in ANSWERS:
        raise ValueError(f"{operation.wire_name} opens nothing")
    return operation


def _time(value: Any) -> datetime | None:
    if value is None:
        return None
    time = datetime.fromisoformat(_text(value))
    if time.tzinfo is None:
        raise ValueError("a time without offset")
    return time


def _context(value: Any) -> dict[str, str]:
    return {name: _text(item) for name, item in _object(value).items()}


_READERS: dict[str, Callable[[Any], Any]] = {
    "operation": _operation,
    "transaction_id": _octets,
    "state": ClientState,
    "pvno": lambda value: PVNO(_number(value)),
    "implicit_confirm": _exactly(bool),
    "sought": _sought,
    "asked": _number,
    "poll_ids": _numbers,
    "message": _octets,
    "is_sent": _exactly(bool),
    "request_nonce": _octets,
    "sender_nonce": _octets,
    "awaited_nonce": _octets,
    "recip_nonce": _octets,
    "poll_at": _time,
    "chain": _octet_strings,
    "ca_pubs": _octet_strings,
    "recovered": _octets,
    "context": _context,
}
_SOUGHT_READERS: dict[str, Callable[[Any], Any]] = {
    "cert_req_id": _number,
    "public_key_info": _octets,
    "subject": _octets,
    "status": _status,
    "certificate": _octets,
    "is_central": _exactly(bool),
    "key_algorithm": _octets,
    "enveloped_key": _octets,
    "is_challenged": _exactly(bool),
    "is_agreed": _exactly(bool),
    "is_encrypted": _exactly(bool),
    "encrypted": _octets,
    "issuer": _octets,
    "key_identifier": _octets,
    "is_decided": _exactly(bool),
    "rejection": _text,
}
