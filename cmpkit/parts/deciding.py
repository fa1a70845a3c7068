"""What a policy is asked, for policies that decide by rules or by a function."""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeAlias, runtime_checkable

from cmpkit.enums import BodyType
from cmpkit.errors import CMPError
from cmpkit.parts.identity import Authenticated, CertificateRecord
from cmpkit.parts.issuing import CertificateRequest, RevocationRequest

__all__ = ["Answered", "Asked", "Decider", "ExplainingPolicy", "RuleFinding", "Ruling"]


class Ruling(enum.Enum):
    """What may come of it."""

    ACCEPT = "accept"
    """As it is asked for."""
    HOLD = "hold"
    """As it is asked for, once a person agrees."""
    DEFAULT = "default"
    """As the default policy decides."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A question to a policy: may this sender do that?

    :param auth: who asks; :attr:`Authenticated.label` is the label of the address.
    :param request: the certificate that is asked for, once its proof of possession was checked. ``None`` for other
        kinds of operation, and when a message has just come: whether its sender may open that kind of operation at all.
    :param revocation: the revocation that is asked for.
    :param certificate: the certificate that it is about.
    """

    body_type: BodyType
    auth: Authenticated
    now: datetime
    request: CertificateRequest | None = None
    revocation: RevocationRequest | None = None
    certificate: CertificateRecord | None = None

    @property
    def is_opening(self) -> bool:
        """Whether it is only about the kind of operation."""
        return self.request is None and self.revocation is None


Answered: TypeAlias = Ruling | CertificateRequest | CMPError | None
"""What a decider says: a ruling; the request as it is to be issued, changed or with ``approval``; a refusal."""
Decider: TypeAlias = Callable[[Asked], Answered] | Callable[[Asked], Awaitable[Answered]]
"""Decides instead of a policy. A refusal may be raised, too; ``None`` refuses as well."""


@dataclass(frozen=True, slots=True)
class RuleFinding:
    """A rule that was looked at.

    :param why_not: why it does not match; empty for the one that does.
    """

    rule: str
    why_not: str = ""


@runtime_checkable
class ExplainingPolicy(Protocol):
    """What a :class:`Policy` has besides if it can say how it decides."""

    def explain(self, asked: Asked) -> tuple[RuleFinding, ...]:
        """The rules that are looked at, in their order; the last one matches, if any does."""
