"""Whether an observer keeps its contract: a check to be called in its author's tests."""

from __future__ import annotations

import time
from types import MappingProxyType

from cmpkit.asn1 import PKIBody, PKIHeader, PKIMessage, directory_name
from cmpkit.crypto.names import parse_name
from cmpkit.enums import BodyType, PKIFailureInfo
from cmpkit.errors import CMPError
from cmpkit.parts import Event, Observer
from cmpkit.testing.contract import require, success

__all__ = ["check_observer"]

_ROUNDS = 100
_TRANSACTION = bytes(range(16))


def check_observer(observer: Observer, *, seconds_per_event: float = 0.005) -> None:
    """Check an observer, with events as endpoints send them and with odd ones.

    It takes each of them outside of any event loop, raises nothing, returns nothing that would have to be awaited,
    changes no event, and blocks for no longer than it may.

    :param seconds_per_event: how long it may take on average.
    :raises AssertionError: naming what is wrong.
    """
    events = _events()
    allowed = seconds_per_event * _ROUNDS * len(events)
    start = time.monotonic()
    for _ in range(_ROUNDS):
        for event in events:
            what = f"observe() must take the event {event.name!r} with {dict(event.details)!r}"
            with success(what):
                # A value is returned by what is no observer at all, a coroutine function above all.
                result: object = observer.observe(event)  # type: ignore[func-returns-value]
            require(result is None, f"observe() must be no coroutine and return None, not {result!r}")
        require(
            time.monotonic() - start <= allowed,
            f"observe() must not block: it took longer than {seconds_per_event} seconds per event",
        )


def _events() -> tuple[Event, ...]:
    sender = directory_name(parse_name("CN=device"))
    message = PKIMessage(PKIHeader(pvno=2, sender=sender, recipient=sender), PKIBody(BodyType.GENM, []))
    error = CMPError("the checks refuse it", PKIFailureInfo.BAD_REQUEST, rule="RFC 9810 section 5.1", hint="go on")
    serial = f"{1 << 150:x}"
    return tuple(
        Event(name, transaction_id, MappingProxyType(details))
        for name, transaction_id, details in (
            ("message-received", _TRANSACTION, {"message": message}),
            ("message-sent", None, {"message": message, "peer": "192.0.2.1"}),
            ("refused", None, {"error": error, "body": "octets that are no message", "peer": ""}),
            ("issued", _TRANSACTION, {"serial": serial, "subject": "CN=device\nCN=Zürich", "profile": "device"}),
            ("revoked", _TRANSACTION, {"serial": serial, "reason": 1}),
            ("checkpoint", _TRANSACTION, {"point": "after commit, before send"}),
            ("an event of the future", b"", {"octets": b"\xff", "nothing": None, "nested": ({"list": [1.5]},)}),
            ("", None, {}),
        )
    )
