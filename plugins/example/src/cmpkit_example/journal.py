"""An observer: each event becomes one line of JSON in the log ``cmpkit_example.journal``."""

from __future__ import annotations

import json
import logging

from cmpkit.parts import Event

__all__ = ["Journal"]

_log = logging.getLogger("cmpkit_example.journal")


class Journal:
    """The part; see :class:`cmpkit.parts.Observer`.

    Of the details it writes texts and numbers. Messages and errors are left out: they are large, and their place is
    the server's own log.
    """

    def observe(self, event: Event) -> None:
        """Write the line. A handler that is slow belongs behind :class:`logging.handlers.QueueHandler`."""
        if not _log.isEnabledFor(logging.INFO):
            return
        line: dict[str, object] = {"event": event.name}
        if event.transaction_id is not None:
            line["transaction_id"] = event.transaction_id.hex()
        line |= {key: value for key, value in event.details.items() if isinstance(value, str | int | float)}
        _log.info("%s", json.dumps(line))
