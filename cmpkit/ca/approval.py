"""Requests that a person has to agree to: kept until somebody decides, and what comes of the decision.

A decision is written down, and nothing else: the certificate is issued when the requester asks again. So it is issued
once, in the unit that stores the answer with it; its validity begins when somebody has it; none is left over if nobody
comes back; and who decides needs no key of the CA.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cmpkit.engine.states import HEADER_FAULTS
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError, ConfigurationError, ConflictError
from cmpkit.parts import (
    AuditEntry,
    CertificateProfile,
    CertificateRequest,
    Decision,
    Held,
    HeldRequest,
    HeldState,
    Rejected,
    Store,
    UnitOfWork,
)

__all__ = ["DEFAULT_CHECK_AFTER", "REJECTIONS", "Approvals", "decide_request", "find_request", "short_id"]

REJECTIONS = tuple(failure for failure in PKIFailureInfo if failure not in HEADER_FAULTS)
"""What a request may be rejected with: faults of its content."""

DEFAULT_CHECK_AFTER = timedelta(seconds=60)
"""How soon a requester may ask again that waits for a person."""

_SHORT = 12
_REASON = "a person has to agree to it"


@dataclass(frozen=True, slots=True)
class Approvals:
    """Which requests wait for a person, and whether one that waited may be issued.

    :param profiles: the certificate profiles that there are.
    :param check_after: how soon a requester may ask again.
    """

    profiles: Mapping[str, CertificateProfile] = field(default_factory=dict)
    check_after: timedelta = DEFAULT_CHECK_AFTER

    def profile_of(self, request: CertificateRequest) -> CertificateProfile | None:
        """The profile of a request that has to wait, as the policy or the profile says; ``None`` for the others.

        :param request: as the policy allows it.
        :raises CMPError: badCertTemplate if it would have to wait, and there is no such profile.
        """
        profile = self.profiles.get(request.profile or "")
        if profile is None and request.approval:
            raise CMPError(
                f"a person has to agree to the request, and there is no profile {request.profile!r} to show it by",
                PKIFailureInfo.BAD_CERT_TEMPLATE,
                hint=f"add a table [profiles.{request.profile}]",
            )
        return profile if request.approval or getattr(profile, "approval", "none") == "manual" else None

    def wait(self, request: HeldRequest | None = None) -> Held:
        """What a requester is told whose request waits.

        :param request: to be kept; ``None`` if it is.
        """
        return Held(round(self.check_after.total_seconds()), _REASON, request)

    def verdict(self, kept: HeldRequest) -> Held | Rejected | None:
        """What became of a request that had to wait; ``None`` if it may be issued."""
        if kept.decision is None:
            return self.wait()
        return None if kept.decision.approved else Rejected(_rejection(kept.decision))


def _rejection(decision: Decision) -> CMPError:
    return CMPError(
        f"{decision.by} rejected the request at {decision.at.isoformat()}: {decision.reason or 'no reason given'}",
        decision.fail_info,
        status_text=decision.status_text,
    )


def short_id(request: HeldRequest) -> str:
    """The id of a request as people use it: :func:`find_request` finds it by that."""
    key, hyphen, number = request.key.partition("-")
    return f"{key[:_SHORT]}{hyphen}{number}"


async def find_request(store: Store, text: str, *, now: datetime) -> HeldRequest:
    """The request that a person names by its id, or by how that begins.

    Of requests that came in one message, the ids differ in the number after the hyphen alone, which must be named then:
    ``c28393-1``.

    :raises ConfigurationError: if there is none, or more than one.
    """
    key, hyphen, number = text.strip().lower().partition("-")
    found = await store.held_requests(now=now, key=key) if key else ()
    if hyphen:
        found = tuple(request for request in found if request.key.partition("-")[2] == number)
    if len(found) == 1:
        return found[0]
    what = "more than one request begins with" if found else "there is no request"
    raise ConfigurationError(f"{what} {text!r}", hint="see: cmpkit request list")


async def decide_request(store: Store, request: HeldRequest, decision: Decision) -> None:
    """Write a decision down, in the audit too. It is final, and in force at once, whichever process serves.

    :raises ConfigurationError: if the request does not wait for one, or cannot be rejected so.
    """
    if not decision.approved and decision.fail_info not in REJECTIONS:
        allowed = ", ".join(name for failure in REJECTIONS for name in failure.wire_names)
        raise ConfigurationError(f"a request is rejected with one of {allowed}")
    details: dict[str, str | int] = {
        "request": request.key,
        "subject": request.subject,
        "profile": request.profile,
        "identity": str(request.facts.get("identity", "")),
        "reason": decision.reason,
    }
    if not decision.approved:
        details["fail_info"] = " ".join(decision.fail_info.wire_names)
    event = "request approved" if decision.approved else "request rejected"
    entry = AuditEntry(decision.at, event, f"operator:{decision.by}", request.transaction_id, details)
    try:
        await store.commit(UnitOfWork(decisions=(decision,), audit=(entry,)))
    except ConflictError:
        now = await find_request(store, request.key, now=decision.at)
        raise _refusal(now) from None


def _refusal(request: HeldRequest) -> ConfigurationError:
    """Why it cannot be decided any more."""
    made = request.decision
    by = "" if made is None else f" by {made.by} at {made.at.isoformat(timespec='seconds')}"
    text, hint = {
        HeldState.APPROVED: (f"was approved{by}", "the requester gets the certificate when it asks again"),
        HeldState.REJECTED: (f"was rejected{by}", "a rejection is final: the requester may make another request"),
        HeldState.ISSUED: (f"was approved{by}, and the certificate is issued", "to take it back: cmpkit cert revoke"),
    }.get(
        request.state,
        ("has lapsed: the requester gave it up, or did not ask again in time", "it may make another request"),
    )
    return ConfigurationError(f"the request {short_id(request)} {text}", hint=hint)
