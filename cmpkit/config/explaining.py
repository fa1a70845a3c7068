"""What the server of a configuration would do with a message, and why: nothing is served, sent or stored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from datetime import datetime

from cmpkit.asn1 import PKIMessage
from cmpkit.config.listening import Listening, road_settings
from cmpkit.config.opening import open_parts, utc_now
from cmpkit.config.reading import Configuration
from cmpkit.config.running import build_server
from cmpkit.endpoints.announcements import ANNOUNCEMENTS
from cmpkit.endpoints.receiving import receive_message
from cmpkit.endpoints.rehearsal import Case, Outcome, Rehearsal, rehearse
from cmpkit.endpoints.server import Server
from cmpkit.endpoints.settings import ServerSettings
from cmpkit.endpoints.verifier import addressed, road_faults, sender_faults
from cmpkit.endpoints.work import Workshop
from cmpkit.engine.header import check_message_time, check_request_header
from cmpkit.engine.responder import find_transaction, respond
from cmpkit.engine.states import OPENS
from cmpkit.enums import BodyType
from cmpkit.errors import CMPError, ConfigurationError, raise_first
from cmpkit.parts import Authenticated, Peer, Transaction
from cmpkit.plugins import Plugins
from cmpkit.relay.gateway import choose_route
from cmpkit.relay.routes import LOCAL, Route
from cmpkit.tolerances import Leniency

__all__ = ["Explanation", "explain_messages"]


@dataclass(slots=True)
class Explanation:
    """What would become of one message.

    :param policy: the kind of the policy.
    :param body: its type; empty if it cannot be read.
    :param transaction_id: in hexadecimal.
    :param address: at which it is taken to come.
    :param label: of that address.
    :param settings: how the server behaves there.
    :param route: the number of the ``[[route]]`` that it takes, from 1, and where that leads.
    :param sender: who sent it, by what; empty if that is not known.
    :param unverified: why its protection cannot be verified; empty if it was.
    :param remarks: what else is worth knowing.
    :param cases: what would become of each thing that it asks for.
    :param tolerated: the tolerances that it needs, and that are given.
    """

    address: str
    label: str | None
    settings: ServerSettings
    policy: str
    body: str = ""
    transaction_id: str = ""
    route: str = ""
    sender: str = ""
    unverified: str = ""
    remarks: list[str] = field(default_factory=list)
    cases: tuple[Case, ...] = ()
    tolerated: tuple[str, ...] = ()


async def explain_messages(
    configuration: Configuration,
    plugins: Plugins,
    messages: tuple[bytes, ...],
    *,
    address: str | None = None,
    clock: Callable[[], datetime] = utc_now,
) -> tuple[Explanation, ...]:
    """What would become of each message; those in a nested one follow it.

    :param address: at which they are taken to come: an address of ``[[listen]]``, with ``/p/LABEL`` or without it, or
        a label alone, at the first address; ``None`` is the first address.
    :raises ConfigurationError: if something that the configuration names cannot be used, or there is no such address.
    """
    number, label = _place(configuration.listen, address)
    async with open_parts(configuration, plugins, clock=clock) as parts:
        server = build_server(configuration.server, parts, plugins, clock=clock)
        settings = road_settings(server.settings, configuration.listen)[number]
        listening = configuration.listen[number]
        examiner = _Examiner(server, configuration, listening, label, settings, clock())
        return tuple([found for message in messages for found in await examiner.examine(message)])


def _place(listening: tuple[Listening, ...], address: str | None) -> tuple[int, str | None]:
    """Which ``[[listen]]`` is meant, and which label."""
    if address is None or "://" not in address:
        return 0, address or None
    url, _, rest = address.partition("/p/")
    for number, one in enumerate(listening):
        if one.url.rstrip("/") == url.rstrip("/"):
            return number, rest.partition("/")[0] or None
    known = ", ".join(one.url for one in listening)
    raise ConfigurationError(f"--from: {url} is no address of [[listen]]", hint=f"there are: {known}")


@dataclass(frozen=True)
class _Examiner:
    """Finds out what would become of messages at one address."""

    server: Server
    configuration: Configuration
    listening: Listening
    label: str | None
    settings: ServerSettings
    now: datetime

    async def examine(self, octets: bytes) -> list[Explanation]:
        """What would become of a message, and of those in it."""
        found = Explanation(self.listening.url, self.label, self.settings, self.configuration.policy.kind)
        leniency = Leniency(self.server.verifier.tolerances)
        inner: list[bytes] = []
        try:
            message = await receive_message(octets, max_size=self.settings.max_message_size, leniency=leniency)
            found.body, found.transaction_id = message.body.type.wire_name, (message.header.transaction_id or b"").hex()
            if message.body.type is BodyType.NESTED:
                inner = [one.raw for one in message.nested]
            await self._examine(message, found, leniency)
        except CMPError as error:
            found.cases = (Case("", Outcome.REFUSED, error=error),)
        found.tolerated = tuple(leniency.used)
        return [found, *[deeper for one in inner for deeper in await self.examine(one)]]

    async def _examine(self, message: PKIMessage, found: Explanation, leniency: Leniency) -> None:
        """Look at a message that could be read.

        :raises CMPError: if it would be refused.
        """
        if message.body.type in ANNOUNCEMENTS:
            there = self.configuration.repository is not None
            found.remarks.append("an announcement, for the repository" if there else "this server is no repository")
            found.cases = (Case("", Outcome.ANSWERED if there else Outcome.REFUSED),)
            return
        check_request_header(message, leniency)
        identifier = message.header.transaction_id or b""
        transactions, answers = await self.server.workshop.store.load(identifier, message.digest)
        self._check_time(message, found, is_known=bool(answers))
        route = self._route(message, transactions, found)
        if not route.verify:
            found.unverified = "the route says verify = false: only the upstream can tell"
            found.cases = (Case("", Outcome.PASSED_ON),)
            return
        try:
            auth = await self.server.verifier.verify(message, transactions, self.now, leniency)
        except CMPError as error:
            found.unverified = error.detail
            raise
        auth = addressed(auth, Peer(self.listening.transport.name, label=self.label))
        found.sender = _sender(auth)
        raise_first(sender_faults(message, auth), leniency)
        answered = any(answer.credential == auth.credential.id for answer in answers)
        if answered:
            found.remarks.append("it came before, and gets the same answer again; this is about the first time")
        if message.body.type is BodyType.NESTED:
            self._check_forwarder(auth, found)
            return
        transaction = None if answered else find_transaction(transactions, message, auth)
        if self.settings.same_road:
            raise_first(road_faults(transaction, Peer(self.listening.transport.name)))
        upstream = "" if route.to == LOCAL else route.to
        if upstream and message.body.type not in OPENS:
            found.cases = (Case("", Outcome.PASSED_ON),)
            return
        steps = respond(
            message,
            auth,
            transaction,
            settings=self.settings.responder,
            now=self.now,
            profile=None if self.label in self.settings.paths else self.label,
            leniency=leniency,
        )
        found.cases = await rehearse(steps, self._rehearsal(upstream), auth, self.now)

    def _check_time(self, message: PKIMessage, found: Explanation, *, is_known: bool) -> None:
        """A message that was kept to be looked at is old; that need not be in the way."""
        if is_known or message.body.type is BodyType.POLL_REQ:
            return
        try:
            check_message_time(message, self.now, self.settings.message_time_window)
        except CMPError as error:
            found.remarks.append(f"now it would be refused with badTime: {error.detail}")

    def _route(self, message: PKIMessage, transactions: tuple[Transaction, ...], found: Explanation) -> Route:
        """The route that it takes.

        :raises CMPError: wrongAuthority if nobody answers it.
        """
        routes, issues = self.configuration.routes, self.configuration.issuer is not None
        route = choose_route(routes, message, self.label, transactions, issues=issues)
        if message.body.type not in OPENS and transactions:
            found.route = f"goes on with its transaction, at {'this server' if route.to == LOCAL else route.to}"
        elif route in routes:
            found.route = f"[[route]] {routes.index(route) + 1}, to {route.to}"
        elif routes and message.body.type is not BodyType.NESTED:
            found.route = "fits no [[route]], so this server answers"
        return route

    def _check_forwarder(self, auth: Authenticated, found: Explanation) -> None:
        forwards = "ra" in auth.roles
        found.remarks.append("what is in it is explained next")
        if not forwards:
            found.remarks.append("its sender is no registration authority: all of it is refused")
        found.cases = (Case("", Outcome.ANSWERED if forwards else Outcome.REFUSED),)

    def _rehearsal(self, upstream: str) -> Rehearsal:
        parts = {one.name: getattr(self.server.workshop, one.name) for one in fields(Workshop)}
        return Rehearsal(**parts, upstream=upstream)


def _sender(auth: Authenticated) -> str:
    """Who it is, in words."""
    role = ", a registration authority" if "ra" in auth.roles else ""
    if auth.credential.secret is not None:
        return f"{auth.identity}, by a shared secret; its MAC is right{role}"
    whose = "this CA" if auth.record is not None else "another PKI"
    return f"{auth.identity}, by a certificate of {whose}; its signature is right{role}"
