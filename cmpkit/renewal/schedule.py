"""When a certificate is to be renewed, and when to try again: pure functions over times."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509

from cmpkit.durations import parse_duration

__all__ = ["Lifetime", "Span", "lifetime_of", "renewal_time", "retry_pause"]

_FIRST_PAUSE = timedelta(minutes=1)
_LONGEST_PAUSE = timedelta(hours=6)
_SHORTEST_PAUSE = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Span:
    """A length of time, or a share of one that is known later.

    :param text: as it was written: ``30d``, ``33%``.
    :param length: what it is, unless there is a share.
    :param share: more than 0, less than 1; ``None`` if it is a length.
    """

    text: str
    length: timedelta = timedelta()
    share: float | None = None

    @classmethod
    def parse(cls, text: object) -> Span:
        """Read ``33%``, or a length of time as for :func:`~cmpkit.durations.parse_duration`.

        :raises ValueError: if it is neither.
        """
        found = re.fullmatch(r"([1-9][0-9]?)%", text) if isinstance(text, str) else None
        if found is not None:
            return cls(found[0], share=int(found[1]) / 100)
        try:
            return cls(str(text), length=parse_duration(text))
        except ValueError as error:
            raise ValueError(f"{error}, or a share from 1% to 99%") from error

    def of(self, whole: timedelta) -> timedelta:
        """How long it is, if ``whole`` is 100%."""
        return self.length if self.share is None else whole * self.share


@dataclass(frozen=True, slots=True)
class Lifetime:
    """From when to when a certificate is valid, both aware."""

    not_before: datetime
    not_after: datetime

    @property
    def length(self) -> timedelta:
        """How long that is; never negative."""
        return max(self.not_after - self.not_before, timedelta())

    def window(self, span: Span) -> timedelta:
        """How long before its end the renewal begins: at most half of the lifetime, or renewal would never rest."""
        return min(span.of(self.length), self.length / 2)

    def is_over(self, now: datetime) -> bool:
        """Whether it cannot protect an update any more."""
        return self.not_after <= now


def lifetime_of(certificate: bytes) -> Lifetime:
    """The lifetime of a certificate in DER."""
    loaded = x509.load_der_x509_certificate(certificate)
    return Lifetime(loaded.not_valid_before_utc, loaded.not_valid_after_utc)


def renewal_time(lifetime: Lifetime, window: Span, jitter: Span, *, seed: bytes) -> datetime:
    """When a certificate is due: where its window begins, or later by a part of the jitter.

    The part is drawn from the seed, so that a certificate has one time, and a fleet has many.

    :param jitter: as a share: of the window. At most half of the window.
    :param seed: the certificate.
    """
    length = lifetime.window(window)
    return lifetime.not_after - length + min(jitter.of(length), length / 2) * _fraction(seed)


def retry_pause(attempts: int, window: timedelta, *, seed: bytes) -> timedelta:
    """How long to wait after a failure: doubled after each, capped, and spread by a quarter up and down.

    A short window has short pauses: a certificate of a minute has some attempts before it ends.

    :param attempts: how many failed in a row, from 1.
    :param window: how long before its end the renewal of the certificate begins; zero if there is no certificate.
    :param seed: of what fails.
    """
    first, longest = _FIRST_PAUSE, _LONGEST_PAUSE
    if window:
        first, longest = min(first, window / 16), min(longest, window / 4)
    pause = min(first * (1 << min(attempts - 1, 32)), longest)
    return max(_SHORTEST_PAUSE, pause * (0.75 + _fraction(seed + attempts.to_bytes(8, "big")) / 2))


def _fraction(seed: bytes) -> float:
    """From 0 to 1, evenly spread over the seeds."""
    return int.from_bytes(hashlib.sha256(seed).digest()[:7], "big") / (1 << 56)
