"""What does the work of transactions that are passed on: policy, wrapping, the store, and the courier."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from cryptography import x509

from cmpkit.asn1 import PKIMessage
from cmpkit.ca.approval import Approvals
from cmpkit.ca.facts import as_it_came, check_profile_kept, describe_request
from cmpkit.ca.passphrases import check_purpose
from cmpkit.crypto.names import names_match
from cmpkit.endpoints.checkpoints import Checkpoint, reach
from cmpkit.engine.needs import Authorize, Await, Collect, Consider, Need, Pass, Unwrap
from cmpkit.engine.relaying import UNVERIFIED
from cmpkit.engine.replies import requests_in
from cmpkit.engine.states import OPENS
from cmpkit.engine.template import read_p10, read_request, requested_profiles
from cmpkit.enums import BodyType
from cmpkit.errors import ConflictError
from cmpkit.parts import (
    Authenticated,
    CertificateRequest,
    HeldRequest,
    Pending,
    Policy,
    Rejected,
    Relayed,
    Store,
    Transaction,
    UnitOfWork,
)
from cmpkit.plugins import Plugins
from cmpkit.relay.courier import Courier
from cmpkit.relay.wrapping.contract import Manner

__all__ = ["RelayWorkshop"]


@dataclass(frozen=True)
class RelayWorkshop:
    """Does what :func:`cmpkit.engine.relaying.relay` needs; a :class:`cmpkit.endpoints.work.Works`.

    :param policy: who may ask for what.
    :param approvals: which requests wait for a person before they go upstream.
    """

    plugins: Plugins
    store: Store
    policy: Policy
    courier: Courier
    approvals: Approvals = field(default_factory=Approvals)
    leaves_intents: bool = False

    def run(self, need: Need, auth: Authenticated, transaction_id: bytes, now: datetime) -> Awaitable[Any]:
        """The result that the need asks for, to be awaited.

        :raises CMPError: if it is refused.
        """
        return _WORK[type(need)](self, need, auth, now)

    async def commit(self, unit: UnitOfWork) -> None:
        """Store what a message changed, and tell the courier."""
        try:
            await self.store.commit(unit)
        except ConflictError:
            self.courier.unsettled(unit.relay_changes)
            raise
        self.courier.settled(unit.relay_changes)

    async def _authorize(self, need: Authorize, auth: Authenticated, now: datetime) -> None:
        check_purpose(need.body_type, auth)
        await self.policy.authorize(need.body_type, auth, now=now)

    async def _consider(
        self, need: Consider, auth: Authenticated, now: datetime
    ) -> tuple[CertificateRequest | Pending, ...]:
        body = need.message.body
        count = requests_in(body)
        profiles = requested_profiles(need.message, need.profile, count)
        changed: list[CertificateRequest] = []
        waiting: list[Pending] = []
        for number, profile in enumerate(profiles):
            if body.type is BodyType.P10CR:
                asked = read_p10(body.content, profile)
            else:
                asked = read_request(body.type, body.content[number], auth, profile)
            asked = replace(asked, passed_on=True)
            key = need.key if count == 1 else f"{need.key}-{asked.cert_req_id}"
            allowed = await self._allowed(asked, auth, key, need, now)
            if isinstance(allowed, Pending):
                waiting.append(allowed)
            elif asked.profile not in (None, allowed.profile):
                changed.append(allowed)
            elif _is_changed(asked, allowed):
                # The profile is what the policy here calls the request: the upstream has profiles of its own.
                changed.append(replace(allowed, profile=None))
        return tuple(waiting or changed)

    async def _allowed(
        self, asked: CertificateRequest, auth: Authenticated, key: str, need: Consider, now: datetime
    ) -> CertificateRequest | Pending:
        """A request as the policy lets it go upstream, or that a person has to agree before.

        :raises CMPError: if it may not.
        """
        kept = await self._kept(key, now) if need.again else None
        if kept is None:
            allowed = await self.policy.authorize_request(asked, auth, now=now)
            profile = self.approvals.profile_of(allowed)
            if profile is None:
                return allowed
            subject, facts = describe_request(asked, allowed, auth, profile, plugins=self.plugins, now=now)
            transaction_id = need.message.header.transaction_id or b""
            held = HeldRequest(key, transaction_id, auth.credential.id, now, "", allowed.profile or "", subject, facts)
            return self.approvals.wait(held)
        verdict = self.approvals.verdict(kept)
        if isinstance(verdict, Rejected):
            raise verdict.error
        if verdict is not None:
            return verdict
        asked, auth = as_it_came(kept, asked, auth)
        allowed = await self.policy.authorize_request(asked, auth, now=kept.at)
        check_profile_kept(kept, allowed)
        return allowed

    async def _kept(self, key: str, now: datetime) -> HeldRequest | None:
        found = await self.store.held_requests(now=now, key=key)
        return next((request for request in found if request.key == key), None)

    async def _pass(self, need: Pass, auth: Authenticated, now: datetime) -> tuple[Transaction, PKIMessage | None]:
        upstream, message, state = self.courier.upstream, need.message, need.transaction
        verified = None if auth.credential.id == UNVERIFIED else auth
        if message.body.type in OPENS:
            manner = upstream.wrapping.manner(message, verified, changed=need.changed)
            state = replace(state, manner=manner.value)
        else:
            manner = Manner(state.manner)
        outgoing = await upstream.wrapping.wrap(message, verified, manner, changed=need.changed, now=now)
        relayed = Relayed(
            key=need.key,
            transaction_id=state.transaction_id,
            credential=auth.credential.id,
            upstream=upstream.name,
            body_type=message.body.type,
            message=message.raw,
            outgoing=outgoing.raw,
            at=now,
            deadline=now + upstream.deadline,
        )
        unit = UnitOfWork(transaction=state, relayed=(relayed,), spent=need.spent)
        flight = self.courier.flight(relayed, message, nonces=state.peer_nonces[:1], secret=auth.credential.secret)
        if self._is_its_own_record(message, manner):
            answer = await self.courier.deliver(flight)
            if answer is not None:
                self.courier.forget(flight)
                return replace(state, request=b""), answer
            await self._record(unit)
            answer = self.courier.keep(flight)
        else:
            await self._record(unit)
            self.courier.keep(flight)
            answer = await self.courier.deliver(flight)
        return replace(state, version=state.version + 1), answer

    def _is_its_own_record(self, message: PKIMessage, manner: Manner) -> bool:
        """Whether a message need not be written down before it is sent, but only if its answer takes long.

        One that continues a transaction opens nothing that could be forgotten. Where it goes as it came, its requester
        is who sends the same octets again, and the upstream gives its answer again.
        """
        return self.courier.is_direct and message.body.type not in OPENS and manner in (Manner.UNCHANGED, Manner.NESTED)

    async def _record(self, unit: UnitOfWork) -> None:
        await self.store.commit(unit)
        assert unit.transaction is not None
        reach(self.plugins, Checkpoint.RELAY_RECORDED, unit.transaction.transaction_id)

    async def _await(self, need: Await, _: Authenticated, __: datetime) -> PKIMessage | None:
        return await self.courier.join(need.key)

    async def _collect(self, need: Collect, _: Authenticated, __: datetime) -> Relayed | None:
        return await self.store.relayed(need.key)

    async def _unwrap(self, need: Unwrap, auth: Authenticated, _: datetime) -> PKIMessage:
        verified = None if auth.credential.id == UNVERIFIED else auth
        wrapping = self.courier.upstream.wrapping
        return await wrapping.unwrap(need.answer, need.request, verified, Manner(need.manner))


def _is_changed(asked: CertificateRequest, allowed: CertificateRequest) -> bool:
    """Whether the template that goes upstream has to say something else than that which came."""
    return (
        _is_another_name(asked.subject, allowed.subject)
        or allowed.extensions != asked.extensions
        or allowed.not_before != asked.not_before
        or allowed.not_after != asked.not_after
        or allowed.public_key_info != asked.public_key_info
    )


def _is_another_name(asked: x509.Name | None, allowed: x509.Name | None) -> bool:
    if asked is allowed:
        return False
    return asked is None or allowed is None or not names_match(asked, allowed)


_WORK: dict[type[Any], Callable[..., Awaitable[Any]]] = {
    Authorize: RelayWorkshop._authorize,
    Consider: RelayWorkshop._consider,
    Pass: RelayWorkshop._pass,
    Await: RelayWorkshop._await,
    Collect: RelayWorkshop._collect,
    Unwrap: RelayWorkshop._unwrap,
}
