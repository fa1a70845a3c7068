"""What observers and the log are told of the messages that a server gets."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from cmpkit.asn1 import PKIMessage
from cmpkit.errors import CMPError
from cmpkit.parts import Event, Peer
from cmpkit.plugins import Plugins
from cmpkit.tolerances import Leniency

__all__ = ["Reporter", "origin", "transaction_text"]

_log = logging.getLogger("cmpkit.server")


def origin(peer: Peer) -> str:
    """Where a message came from, and which registration authorities forwarded it, for people."""
    place = peer.address or peer.road
    return f"{place}, forwarded by {peer.forwarded_by}" if peer.forwarders else place


def transaction_text(message: PKIMessage) -> str:
    """The transactionID in hexadecimal, empty if there is none."""
    return (message.header.transaction_id or b"").hex()


@dataclass(frozen=True)
class Reporter:
    """Tells observers of what happens, and the log of what is refused or tolerated."""

    plugins: Plugins

    def tell(self, name: str, message: PKIMessage, **details: str) -> None:
        """Tell observers of a message.

        :param name: of the event.
        """
        if self.plugins.observed:
            self.plugins.observe(Event(name, message.header.transaction_id, {"message": message, **details}))

    def received(self, message: PKIMessage, peer: Peer) -> None:
        """A message came."""
        by = {"forwarded_by": peer.forwarded_by} if peer.forwarders else {}
        self.tell("message-received", message, peer=peer.address, road=peer.road, **by)

    def tolerated(self, message: PKIMessage, leniency: Leniency) -> None:
        """A message was taken, perhaps only because the operator tolerates something."""
        if leniency.used:
            names = ", ".join(leniency.used)
            body = message.body.type.wire_name
            _log.warning("%s, transaction %s: tolerated %s", body, transaction_text(message), names)
            self.tell("tolerated", message, names=names)

    def refused(self, error: CMPError, peer: Peer, message: PKIMessage | None) -> None:
        """A message was refused.

        :param message: ``None`` if what came is none.
        """
        body = message.body.type.wire_name if message else "octets that are no message"
        names = " ".join(error.fail_info.wire_names)
        transaction_id = message.header.transaction_id if message else None
        _log.warning("refused %s from %s: %s: %s", body, origin(peer), names, error)
        self.plugins.observe(Event("refused", transaction_id, {"error": error, "body": body, "peer": peer.address}))
