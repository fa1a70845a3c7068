"""What is in front of a server and of its upstreams: it gives each message to the one that its route leads to."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cmpkit.asn1 import PKIMessage
from cmpkit.caching import cached_property
from cmpkit.endpoints.announcements import ANNOUNCEMENTS
from cmpkit.endpoints.receiving import receive_message
from cmpkit.endpoints.server import Server
from cmpkit.endpoints.settings import ServerSettings
from cmpkit.engine.relaying import UNVERIFIED
from cmpkit.engine.replies import refusal
from cmpkit.engine.states import OPENS
from cmpkit.enums import BodyType, PKIFailureInfo
from cmpkit.errors import CMPError
from cmpkit.parts import Answer, Disposition, Event, Peer, Transaction
from cmpkit.relay.no_issuer import no_route
from cmpkit.relay.relay import Relay
from cmpkit.relay.routes import LOCAL, Route, find_route
from cmpkit.tolerances import Leniency

__all__ = ["Gateway", "choose_route"]

_log = logging.getLogger("cmpkit.relay")
_LOCAL = Route(LOCAL)
_FOR_ENDPOINTS = ANNOUNCEMENTS | {BodyType.NESTED}


@dataclass(frozen=True)
class Gateway:
    """The handler of an endpoint with routes.

    What opens a transaction takes the first route that it fits; everything after it takes the same way (RFC 9483
    section 5.2; R-162). Nested messages of other registration authorities are opened here, and what is in them takes
    its own ways.

    :param server: answers what is for this endpoint itself, and what is no message.
    :param relays: what passes messages on, by the names of the upstreams.
    :param issues: whether the server answers what fits no route; otherwise that is refused.
    """

    server: Server
    relays: Mapping[str, Relay]
    routes: Sequence[Route]
    issues: bool = True

    async def handle(self, der: bytes, peer: Peer, settings: ServerSettings | None = None) -> Answer:
        """Answer one message (a :data:`cmpkit.parts.Handler`). Never raises for what a peer sent.

        :param settings: those of the road on which it came, if they are not those of the server.
        """
        settings = settings or self.server.settings
        leniency = Leniency(self.server.verifier.tolerances)
        try:
            message = await receive_message(der, max_size=settings.max_message_size, leniency=leniency)
        except CMPError:
            return await self.server.handle(der, peer, settings)
        try:
            route = await self._route(message, peer)
        except CMPError as error:
            return await self._refuse(message, peer, settings, error)
        except Exception:
            _log.exception("the way of transaction %s cannot be found", (message.header.transaction_id or b"").hex())
            failed = CMPError("the server failed, see its log", PKIFailureInfo.SYSTEM_FAILURE)
            return await self._refuse(message, peer, settings, failed)
        if route.to == LOCAL:
            return await self.server.answer(message, peer, settings, leniency=leniency, inner=self.handle)
        relay = self.relays.get(route.to)
        if relay is None:
            return await self._refuse(message, peer, settings, _no_upstream(route.to))
        return await relay.handle(message, peer, settings, verify=route.verify, leniency=leniency)

    async def _route(self, message: PKIMessage, peer: Peer) -> Route:
        known: Sequence[Transaction] = ()
        if message.body.type not in OPENS and self._may_differ and message.header.transaction_id:
            known, _ = await self.server.workshop.store.load(message.header.transaction_id, message.digest)
        return choose_route(self.routes, message, peer.label, known, issues=self.issues)

    @cached_property
    def _may_differ(self) -> bool:
        """Whether it depends on its transaction which way a message goes that continues one."""
        return self.issues or len({(route.to, route.verify) for route in self.routes}) > 1

    async def _refuse(self, message: PKIMessage, peer: Peer, settings: ServerSettings, error: CMPError) -> Answer:
        reply, plugins = refusal(error), self.server.plugins
        assert reply.body is not None
        response = await self.server.protector.answer(message.header, reply.body, to=None, now=self.server.clock())
        body = message.body.type.wire_name
        _log.warning("refused %s from %s: %s", body, peer.address or peer.road, error)
        details = {"error": error, "body": body, "peer": peer.address}
        plugins.observe(Event("refused", message.header.transaction_id, details))
        later = settings.puts_off and PKIFailureInfo.SYSTEM_UNAVAIL in error.fail_info
        return Answer(response.raw, Disposition.UNAVAILABLE if later else Disposition.ANSWERED)


def choose_route(
    routes: Sequence[Route], message: PKIMessage, label: str | None, known: Sequence[Transaction], *, issues: bool
) -> Route:
    """The route of a message: that of its transaction, if there is one; the first that it fits, if not.

    :param label: of the address at which it came.
    :param known: the transactions with its transactionID.
    :param issues: whether the endpoint answers what fits no route.
    :raises CMPError: wrongAuthority if nobody does.
    """
    if message.body.type in _FOR_ENDPOINTS:
        return _LOCAL
    if message.body.type not in OPENS:
        transaction = _own_transaction(known, message)
        if transaction is not None:
            return Route(transaction.upstream or LOCAL, verify=transaction.credential != UNVERIFIED)
    found = find_route(routes, message, label)
    if found is None and not issues:
        raise no_route()
    return found or _LOCAL


def _own_transaction(known: Sequence[Transaction], message: PKIMessage) -> Transaction | None:
    """The transaction that a message goes on with, as far as that shows before it is verified.

    Transactions of several requesters may have the same ID: the recipNonce tells whose last answer is answered.
    """
    answered = (one for one in known if one.sender_nonce and one.sender_nonce == message.header.recip_nonce)
    return next(answered, next(iter(known), None))


def _no_upstream(name: str) -> CMPError:
    return CMPError(
        f"the transaction goes to the upstream {name}, which there is not any more",
        PKIFailureInfo.SYSTEM_UNAVAIL,
        hint="keep an [[upstream]] until its transactions are over",
    )
