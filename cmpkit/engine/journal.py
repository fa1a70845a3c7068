"""A client's transaction as versioned JSON text, and back."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import fields
from datetime import datetime
from typing import Any

from cmpkit.engine.client import ClientTransaction
from cmpkit.engine.states import ClientState
from cmpkit.enums import BodyType
from cmpkit.errors import ConfigurationError

__all__ = ["FORMAT", "dump_transaction", "load_transaction"]

FORMAT = 1
"""The version that is written; others are refused."""


def dump_transaction(transaction: ClientTransaction) -> str:
    """The transaction as JSON text; octets are base64."""
    values = {item.name: _plain(getattr(transaction, item.name)) for item in fields(transaction)}
    return json.dumps({"format": FORMAT, **values}, indent=1, sort_keys=True)


def load_transaction(text: str) -> ClientTransaction:
    """The transaction that :func:`dump_transaction` wrote.

    :raises ConfigurationError: if the text is damaged or of another format.
    """
    try:
        values = json.loads(text)
        if values.pop("format") != FORMAT:
            raise ConfigurationError(f"the saved transaction is not of format {FORMAT}")
        return ClientTransaction(**{name: _READERS.get(name, _same)(value) for name, value in values.items()})
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConfigurationError(f"the saved transaction is damaged: {error}") from error


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
    return dict(value) if isinstance(value, dict) else value


def _same(value: Any) -> Any:
    return value


def _octets(value: str) -> bytes:
    return base64.b64decode(value, validate=True)


_READERS: dict[str, Callable[[Any], Any]] = {
    "operation": lambda value: BodyType[value],
    "state": ClientState,
    "poll_at": lambda value: None if value is None else datetime.fromisoformat(value),
    "chain": lambda value: tuple(_octets(item) for item in value),
    "ca_pubs": lambda value: tuple(_octets(item) for item in value),
    **dict.fromkeys(
        (
            "transaction_id",
            "message",
            "sender_nonce",
            "awaited_nonce",
            "recip_nonce",
            "certificate",
            "public_key_info",
            "subject",
        ),
        _octets,
    ),
}
