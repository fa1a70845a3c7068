"""Time that passes when a test says so."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import anyio.lowlevel

from cmpkit.errors import ConfigurationError

__all__ = ["VirtualClock"]

_START = datetime(2026, 1, 1, tzinfo=UTC)


class VirtualClock:
    """A clock for whatever takes ``clock=``: called, it gives the time, which stands still until :meth:`advance`.

    What takes ``sleep=`` takes its :meth:`sleep`: who waits lets the time pass, and goes on at once.

    :param start: its first time, aware.
    :raises ConfigurationError: if that has no time zone.
    """

    def __init__(self, start: datetime = _START) -> None:
        if start.tzinfo is None:
            raise ConfigurationError(f"{start} has no time zone", hint="give it tzinfo=UTC")
        self._now = start.astimezone(UTC)

    def __call__(self) -> datetime:
        """The time, in UTC."""
        return self._now

    def __repr__(self) -> str:
        return f"VirtualClock({self._now.isoformat()})"

    def advance(self, by: float | timedelta) -> datetime:
        """Let time pass.

        :param by: seconds, or a duration; not negative.
        :return: the new time.
        :raises ConfigurationError: if it is negative.
        """
        passed = by if isinstance(by, timedelta) else timedelta(seconds=by)
        if passed < timedelta(0):
            raise ConfigurationError(f"time does not go back by {-passed}", hint="make another VirtualClock")
        self._now += passed
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Let that much time pass without waiting for it; others may run meanwhile.

        :raises ConfigurationError: if it is negative.
        """
        self.advance(seconds)
        await anyio.lowlevel.checkpoint()
