"""Requests for certificates that wait for a person, and what that person decides."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from cmpkit.enums import PKIFailureInfo
from cmpkit.parts.issuing import Pending

__all__ = ["Decision", "Held", "HeldRequest", "HeldState"]


_NONE = PKIFailureInfo(0)


class HeldState(enum.Enum):
    """Where a request stands that a person has to agree to."""

    WAITING = "waiting"
    """Nobody has decided."""
    APPROVED = "approved"
    """The certificate is issued when the requester asks again."""
    REJECTED = "rejected"
    ISSUED = "issued"
    LAPSED = "lapsed"
    """The requester ended it, or did not ask again in time: nothing is issued any more."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person decided about a request; it is final.

    :param key: the idempotency key of the request.
    :param by: who decided.
    :param reason: why, for the audit.
    :param fail_info: of a rejection: for the requester.
    :param status_text: of a rejection: for the requester; empty for the generic text of the failInfo.
    """

    key: str
    approved: bool
    by: str
    at: datetime
    reason: str = ""
    fail_info: PKIFailureInfo = _NONE
    status_text: str = ""


@dataclass(frozen=True, slots=True)
class HeldRequest:
    """A request for a certificate that a person has to agree to.

    :param key: its idempotency key.
    :param credential: :attr:`Credential.id` of the requester.
    :param at: when it came.
    :param address: where it came from, as the road tells, and who forwarded it.
    :param profile: the profile that it is for.
    :param subject: the subject that the certificate would have, as RFC 4514 text.
    :param facts: more that helps to decide, in words: texts and lists of texts.
    :param state: where it stands; the store knows.
    :param expires: until when the requester must have asked again; ``None`` if that is over. The store knows.
    :param decision: what was decided, if anything was.
    """

    key: str
    transaction_id: bytes
    credential: str
    at: datetime
    address: str
    profile: str
    subject: str
    facts: Mapping[str, str | list[str]] = field(default_factory=dict)
    state: HeldState = HeldState.WAITING
    expires: datetime | None = None
    decision: Decision | None = None


@dataclass(frozen=True, slots=True)
class Held(Pending):
    """*Pending*, because a person has to agree: the request is to be kept for that person.

    :param request: ``None`` if it is kept already.
    """

    request: HeldRequest | None = None
