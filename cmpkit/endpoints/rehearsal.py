"""What would become of a message, with nothing of it done: who may, by which rule, and what would be issued."""

from __future__ import annotations

import enum
from collections.abc import Awaitable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from cmpkit.ca.facts import describe_request
from cmpkit.ca.passphrases import check_owner
from cmpkit.crypto.names import format_name
from cmpkit.endpoints.work import Workshop
from cmpkit.engine.needs import Authorize, CheckProof, FindCertificate, FindNamed, Issue, Need, Recover, Revoke
from cmpkit.engine.work import Steps
from cmpkit.enums import BodyType
from cmpkit.errors import CMPError
from cmpkit.parts import (
    Asked,
    Authenticated,
    CertificateRequest,
    ExplainingPolicy,
    Pending,
    RecoveryPolicy,
    RuleFinding,
)

__all__ = ["Case", "Outcome", "Rehearsal", "rehearse"]


class Outcome(enum.Enum):
    """What would become of something."""

    ISSUED = "would be issued"
    HELD = "would wait for a person"
    REVOKED = "would be revoked"
    PASSED_ON = "would be passed on"
    ANSWERED = "would be answered"
    REFUSED = "would be refused"


@dataclass(frozen=True, slots=True)
class Case:
    """One thing that a message asks for.

    :param what: for people: ``certReqId 0``; empty for the message as a whole.
    :param rules: that the policy looked at; the last one matched, if any did. Empty if it does not go by rules.
    :param profile: that it would be issued under.
    :param subject: that it would have, as RFC 4514 text.
    :param changes: how that differs from what is asked for, in words.
    :param error: why it would be refused.
    """

    what: str
    outcome: Outcome
    rules: tuple[RuleFinding, ...] = ()
    profile: str = ""
    subject: str = ""
    changes: tuple[str, ...] = ()
    error: CMPError | None = None


class _Over(Exception):
    """Nothing more can be said without doing it."""


@dataclass(frozen=True)
class Rehearsal(Workshop):
    """A workshop in which nothing is done: needs are put to the policy and to what reads, and to nothing else.

    :param upstream: where the message would be passed on to; empty if it would be answered here.
    :param cases: what is found.
    """

    upstream: str = ""
    cases: list[Case] = field(default_factory=list)

    def run(self, need: Need, auth: Authenticated, transaction_id: bytes, now: datetime) -> Awaitable[Any]:
        """What lets the engine go on.

        :raises CMPError: if it would be refused.
        """
        if isinstance(need, Authorize):
            return self._rehearse_opening(need, auth, now)
        if isinstance(need, Issue):
            return self._rehearse_issue(need, auth, now)
        if self.upstream and isinstance(need, CheckProof):
            return _nothing()
        if isinstance(need, CheckProof | FindCertificate | FindNamed):
            return super().run(need, auth, transaction_id, now)
        return self._rehearse_other(need, auth, now)

    async def _rehearse_opening(self, need: Authorize, auth: Authenticated, now: datetime) -> None:
        try:
            await super().run(need, auth, b"", now)
        except CMPError as error:
            self._refused("", Asked(need.body_type, auth, now), error)
            raise

    async def _rehearse_issue(self, need: Issue, auth: Authenticated, now: datetime) -> Pending:
        request = replace(need.request, passed_on=bool(self.upstream))
        asked = Asked(request.body_type, auth, now, request)
        what = f"certReqId {request.cert_req_id}"
        try:
            allowed = await self.policy.authorize_request(request, auth, now=now)
            self.cases.append(self._case(what, asked, request, allowed))
        except CMPError as error:
            self._refused(what, asked, error)
            raise
        return Pending(0)

    def _case(self, what: str, asked: Asked, request: CertificateRequest, allowed: CertificateRequest) -> Case:
        """What the policy and the profile make of a request that may be had."""
        held = self.approvals.profile_of(allowed) is not None
        profile = self.approvals.profiles.get(allowed.profile or "")
        subject = "" if allowed.subject is None else format_name(allowed.subject)
        changes: tuple[str, ...] = ()
        if not self.upstream:
            if not allowed.public_key_info:
                self._generation().check(allowed, asked.auth)
            if profile is not None:
                subject, facts = describe_request(
                    request, allowed, asked.auth, profile, plugins=self.plugins, now=asked.now
                )
                changes = tuple(facts["changes"])
        done = Outcome.PASSED_ON if self.upstream else Outcome.ISSUED
        rules = self._explain(asked)
        return Case(what, Outcome.HELD if held else done, rules, allowed.profile or "", subject, changes)

    async def _rehearse_other(self, need: Need, auth: Authenticated, now: datetime) -> Pending:
        """What is neither a request for a certificate nor looked up."""
        if isinstance(need, Revoke) and not self.upstream:
            return await self._rehearse_revocation(need, auth, now)
        if isinstance(need, Recover) and not self.upstream and isinstance(self.policy, RecoveryPolicy):
            await self.policy.authorize_recovery(need.request, auth, now=now)
        self.cases.append(Case("", Outcome.PASSED_ON if self.upstream else Outcome.ANSWERED))
        raise _Over

    async def _rehearse_revocation(self, need: Revoke, auth: Authenticated, now: datetime) -> Pending:
        asked = Asked(BodyType.RR, auth, now, revocation=need.request)
        what = f"serial number {need.request.serial_number:x}"
        try:
            _, record = await self._find_issued(need.request.issuer, need.request.serial_number)
            asked = replace(asked, certificate=record)
            check_owner(need.request, record, auth)
            await self.policy.authorize_revocation(need.request, record, auth, now=now)
        except CMPError as error:
            self._refused(what, asked, error)
            raise
        self.cases.append(Case(what, Outcome.REVOKED, self._explain(asked), record.profile, record.subject))
        return Pending(0)

    def note(self, error: CMPError) -> None:
        """That the message is refused, for what was found before anybody was asked."""
        if not any(case.error is error for case in self.cases):
            self.cases.append(Case("", Outcome.REFUSED, error=error))

    def _refused(self, what: str, asked: Asked, error: CMPError) -> None:
        self.cases.append(Case(what, Outcome.REFUSED, self._explain(asked), error=error))

    def _explain(self, asked: Asked) -> tuple[RuleFinding, ...]:
        # A revocation of what nobody knows shows nothing that rules could go by.
        unknown = asked.revocation is not None and asked.certificate is None
        return self.policy.explain(asked) if isinstance(self.policy, ExplainingPolicy) and not unknown else ()


async def _nothing() -> None:
    """What needs no answer."""


async def rehearse(steps: Steps, rehearsal: Rehearsal, auth: Authenticated, now: datetime) -> tuple[Case, ...]:
    """What would become of a message.

    :param steps: the engine that would answer it.
    """
    try:
        need = next(steps)
        while True:
            try:
                result = await rehearsal.run(need, auth, b"", now)
            except CMPError as error:
                need = steps.throw(error)
            else:
                need = steps.send(result)
    except StopIteration as stop:
        reply = stop.value
        for refused in filter(None, (reply.refused, *reply.also_refused)):
            rehearsal.note(refused)
    except CMPError as error:
        rehearsal.note(error)
    except _Over:
        steps.close()
    return tuple(rehearsal.cases)
