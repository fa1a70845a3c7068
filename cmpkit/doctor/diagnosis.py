"""The order in which a server is examined, from its name to what it does, and what comes of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import anyio

from cmpkit.doctor.algorithms import examine_macs
from cmpkit.doctor.enrolment import Enrolment, Talk, examine_enrolment
from cmpkit.doctor.probing import CA_CERTS, Exchange, Prober, Report, question
from cmpkit.doctor.service import (
    examine_clock,
    examine_credentials,
    examine_information,
    examine_rules,
    examine_versions,
)
from cmpkit.doctor.settings import Settings, settings_for, shown_url
from cmpkit.doctor.strength import examine_strength
from cmpkit.doctor.trust import examine_trust
from cmpkit.endpoints.client import Client
from cmpkit.endpoints.credentials import Anchors, Credentials, SigningCredentials, read_anchors
from cmpkit.endpoints.options import ClientOptions, revocation_checker
from cmpkit.endpoints.trust import AnswerVerifier
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import ConfigurationError, TransportError
from cmpkit.parts import Check, ClientTransport, Examination, Layer, Observer, RoadExaminer, SharedSecret, Verdict
from cmpkit.plugins import Plugins, load_plugins
from cmpkit.transports import open_transport, with_answers

__all__ = ["Diagnosis", "diagnose"]


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What was found.

    :param url: the address that was given, without user and password.
    :param checks: in the order in which they were made.
    :param complete: whether there was time for everything that made sense.
    :param settings: what clients need for this server, ``None`` if no CMP came back.
    """

    url: str
    checks: tuple[Check, ...]
    complete: bool
    settings: Settings | None = None

    @property
    def failure(self) -> Check | None:
        """The first check that is bad: a client with these options fails there; ``None`` if none does."""
        return next((check for check in self.checks if check.verdict is Verdict.BAD), None)

    @property
    def healthy(self) -> bool:
        """Whether everything was examined and nothing is bad."""
        return self.complete and self.failure is None


async def diagnose(
    url: str,
    *,
    credentials: Credentials | None = None,
    trust: Anchors = (),
    options: ClientOptions | None = None,
    enrolment: Enrolment | None = None,
    plugins: Plugins | None = None,
    observers: Sequence[Observer] = (),
    report: Callable[[Check], None] | None = None,
) -> Diagnosis:
    """Examine a server, from the bottom up, until a layer fails that makes the next pointless.

    All questions are harmless (genm), unless ``enrolment`` asks for more. With credentials more can be seen: which
    versions, MACs and information the server has for who may ask.

    :param credentials: what questions are protected with; one is always sent without.
    :param trust: trust anchors for the answers and, for an enrolment, for the new certificate.
    :param options: as for :class:`cmpkit.Client`; ``total_timeout`` bounds the whole, ``transport.timeout`` each step.
    :param enrolment: enrol, too.
    :param plugins: the parts to use; without them, those that are installed.
    :param observers: told of every message that can be read.
    :param report: told of each finding at once.
    :raises ConfigurationError: if the URL or an option cannot be used, or no plugin has such a road.
    """
    plugins, options, anchors = plugins or load_plugins(), options or ClientOptions(), read_anchors(trust)
    if enrolment is not None and credentials is None:
        raise ConfigurationError("an enrolment needs credentials", hint="give --ref and --secret, or --cert and --key")
    checks: list[Check] = []

    def note(check: Check) -> None:
        checks.append(check)
        if report is not None:
            report(check)

    visit = _Visit(plugins, options, credentials, anchors, tuple(observers), note)
    with anyio.move_on_after(options.total_timeout) as scope:
        await visit.examine(url)
        if credentials is not None and visit.address:
            examine_strength(credentials, None if enrolment is None else enrolment.key, plugins, note)
        if enrolment is not None and credentials is not None and visit.address:
            if any(check.verdict is Verdict.BAD for check in checks):
                advice = "put right what is wrong before"
                note(Check("enrolment", Layer.OPERATION, Verdict.NOTE, "not tried", advice))
            else:
                await visit.enrol(enrolment, credentials)
    return Diagnosis(shown_url(url), tuple(checks), not scope.cancelled_caught, visit.settings(checks))


@dataclass
class _Visit:
    """One examination as it goes on.

    :param prober: set as soon as there is somebody to ask.
    :param address: where CMP answers, if it does.
    """

    plugins: Plugins
    options: ClientOptions
    credentials: Credentials | None
    anchors: tuple[bytes, ...]
    observers: tuple[Observer, ...]
    report: Report
    prober: Prober | None = None
    address: str = ""

    async def examine(self, url: str) -> None:
        """Everything that leaves no trace."""
        address = await self._examine_road(url)
        if address is None:
            return
        async with _open(self.plugins, address, self.options) as transport:
            self.prober = Prober(self.plugins, transport, self.credentials, self.options, self.observers)
            bare = await self.prober.ask(CA_CERTS, protect=False)
            if not self._is_cmp(bare):
                return
            self.address = address
            try:
                await self._examine_service(self.prober, bare)
            except TransportError as error:
                self._report_road("answers", error)

    async def _examine_road(self, url: str) -> str | None:
        """The address where something answers, or ``None``."""
        async with _open(self.plugins, url, self.options) as transport:
            factory = self.plugins.client_transport(url)
            if isinstance(factory, RoadExaminer):
                return await factory.examine(url, Examination(self.options.transport, self._question, self.report))
            try:
                await transport.exchange(self._question())
            except TransportError as error:
                self._report_road("road", error)
                return None
        self.report(Check("road", Layer.ROAD, Verdict.GOOD, "something comes back"))
        return url

    def _report_road(self, name: str, error: TransportError) -> None:
        layer = Layer.TLS if error.tls else Layer.ROAD
        self.report(Check(name, layer, Verdict.BAD, error.detail, error.hint))

    def _question(self) -> bytes:
        return question((CA_CERTS,), self.options).raw

    def _is_cmp(self, bare: Exchange) -> bool:
        if bare.error is not None:
            self.report(Check("CMP", Layer.CMP, Verdict.BAD, bare.error.detail, bare.error.hint))
            return False
        said = f"a genm without protection gets {bare.told}"
        if bare.items is None and bare.refusal is None:
            advice = "genp or error is due (RFC 9810 section 5.3): is this a CMP server?"
            self.report(Check("CMP", Layer.CMP, Verdict.BAD, said, advice))
            return False
        self.report(Check("CMP", Layer.CMP, Verdict.GOOD, said))
        return True

    async def _examine_service(self, prober: Prober, bare: Exchange) -> None:
        own = bare if self.credentials is None else await prober.ask(CA_CERTS)
        if own.error is not None:
            self.report(Check("credentials", Layer.CMP, Verdict.BAD, own.error.detail, own.error.hint))
            return
        await examine_trust(own, prober, self._verifier(), self.report)
        examine_credentials(own, prober, self.report)
        # Credentials that are refused are not tried again and again: some servers lock them.
        await examine_versions(prober, self.report, protect=own.items is not None)
        refused = own.refusal is not None and PKIFailureInfo.BAD_ALG in own.refusal.failures
        if isinstance(self.credentials, SharedSecret) and (own.items is not None or refused):
            await examine_macs(prober, self.report)
        if own.items is not None:
            await examine_information(prober, self.report)
        examine_clock(prober, self.report)
        examine_rules(prober, self.report)

    def _verifier(self) -> AnswerVerifier:
        return AnswerVerifier(
            self.plugins,
            self.credentials,
            anchors=self.anchors,
            pinned=self.options.pinned,
            expected_sender=self.options.expected_sender,
            revocation=revocation_checker(self.options, self.plugins),
        )

    async def enrol(self, enrolment: Enrolment, credentials: Credentials) -> None:
        """Enrol where CMP answers."""
        talk = Talk()
        async with Client(
            self.address,
            credentials=credentials,
            trust=self.anchors,
            options=replace(self.options, state=None),
            plugins=self.plugins,
            observers=(*self.observers, talk),
        ) as client:
            await examine_enrolment(client, enrolment, talk, self.report)

    def settings(self, checks: Sequence[Check]) -> Settings | None:
        """What clients need, as far as it was found."""
        if not self.address or self.prober is None:
            return None
        recipient = None if isinstance(self.credentials, SigningCredentials) else self.prober.server_name
        return settings_for(self.address, checks, self.options, recipient)


@asynccontextmanager
async def _open(plugins: Plugins, url: str, options: ClientOptions) -> AsyncIterator[ClientTransport]:
    transport = with_answers(open_transport(plugins, url, options.transport), patience=options.transport.timeout)
    try:
        yield transport
    finally:
        with anyio.CancelScope(shield=True):
            await transport.aclose()
