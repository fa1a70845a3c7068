"""Points at which observers are told how far an endpoint has come; fault tests kill the process there."""

from __future__ import annotations

import enum

from cmpkit.parts import Event
from cmpkit.plugins import Plugins

__all__ = ["Checkpoint", "reach"]


class Checkpoint(enum.Enum):
    """Where state has just changed, or is just about to."""

    REQUEST_RECEIVED = "request received"
    INTENT_COMMITTED = "intent committed"
    """A part that is not local is about to be asked."""
    BEFORE_COMMIT = "before commit"
    AFTER_COMMIT = "after commit, before send"
    REQUEST_SAVED = "request saved, before send"
    """The client's transaction is on disk, its first octet is not sent."""
    ANSWER_RECEIVED = "answer received"
    """The client has an answer and has saved nothing of it."""
    CERTIFICATE_SAVED = "certificate saved, before certConf"
    CONFIRMED = "confirmed, before the files are written"
    KEY_WRITTEN = "key written, before the request"
    """Of an unattended renewal, as are those below."""
    VERSION_WRITTEN = "version written, before it is in use"
    VERSION_IN_USE = "version in use, before its request is forgotten"
    DEPLOYED = "deployed, before that is noted"
    KEYS_WRITTEN = "keys written, before they are known"
    """Of a rollover of the CA's keys, as is the one below."""
    BEFORE_CONFIGURATION = "before the configuration is replaced"
    RELAY_RECORDED = "relayed message recorded, before send"
    """Of a registration authority, as are those below."""
    RELAY_SENT = "relayed message sent, its answer is not kept"
    RELAY_ANSWERED = "answer of the upstream kept"


def reach(plugins: Plugins, point: Checkpoint, transaction_id: bytes | None) -> None:
    """Tell the observers of a checkpoint."""
    if plugins.observed:
        plugins.observe(Event("checkpoint", transaction_id, {"point": point.value}))
