"""The server of a configuration, at work on every address that it names."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import datetime

import anyio
from anyio.abc import TaskStatus

from cmpkit.ca.approval import Approvals
from cmpkit.ca.archive import KeyArchive
from cmpkit.ca.key_generation import KeyGeneration
from cmpkit.ca.passphrases import Passphrases
from cmpkit.config.listening import listen, road_settings
from cmpkit.config.opening import ServerParts, open_parts, utc_now
from cmpkit.config.publishing import build_resources
from cmpkit.config.reading import Configuration
from cmpkit.config.relaying import Passing, passing_on
from cmpkit.config.tables import ServerTable
from cmpkit.endpoints.announcing import Announcer, Subscriber
from cmpkit.endpoints.protector import Protector
from cmpkit.endpoints.server import Server
from cmpkit.endpoints.settings import ServerSettings
from cmpkit.endpoints.tolerating import wanted_tolerances
from cmpkit.endpoints.verifier import ServerVerifier, issuer_key_of
from cmpkit.endpoints.work import Workshop
from cmpkit.engine.nesting import NestingLimits
from cmpkit.engine.responder import ResponderSettings
from cmpkit.enums import BodyType
from cmpkit.errors import CMPError
from cmpkit.parts import Resource
from cmpkit.plugins import Plugins
from cmpkit.tolerances import Side

__all__ = ["build_announcer", "build_passing", "build_server", "serve"]


async def serve(
    configuration: Configuration,
    plugins: Plugins,
    *,
    shutdown: anyio.Event,
    clock: Callable[[], datetime] = utc_now,
    task_status: TaskStatus[tuple[str, ...]] = anyio.TASK_STATUS_IGNORED,
) -> None:
    """Serve on every address until ``shutdown`` is set, then finish what is in flight.

    ``task_status.started(urls)`` is called once they take messages, with the addresses as clients use them. One that
    cannot now, or not any more, is tried again and the others go on.

    :param clock: gives the time, in UTC.
    :raises ConfigurationError: if something that the configuration names cannot be used.
    """
    async with open_parts(configuration, plugins, clock=clock) as parts:
        server = build_server(configuration.server, parts, plugins, clock=clock)
        renewal = None if parts.published is None else parts.published.renewal
        if renewal is not None:
            await renewal.renew(clock())
        for certificate in parts.tls:
            await certificate.begin(clock())
        failure: CMPError | None = None
        passing = build_passing(configuration, parts)
        async with passing_on(server, passing) as handler, anyio.create_task_group() as house:
            house.start_soon(server.keep_house)
            if configuration.announce:
                house.start_soon(build_announcer(configuration, parts, plugins, clock=clock).keep_announcing)
            if renewal is not None:
                house.start_soon(renewal.keep_renewing, clock)
            for certificate in parts.tls:
                house.start_soon(certificate.keep_renewing, clock)
            resources = _resources(parts, configuration, clock)
            settings = road_settings(server.settings, configuration.listen)
            roads = {
                one.url: one.serving(handler, of_road, resources)
                for one, of_road in zip(configuration.listen, settings, strict=True)
            }
            failure = await listen(roads, shutdown=shutdown, task_status=task_status)
            house.cancel_scope.cancel()
        if failure is not None:
            raise failure


def _resources(parts: ServerParts, configuration: Configuration, clock: Callable[[], datetime]) -> dict[str, Resource]:
    if parts.published is None:
        return {}
    return build_resources(parts.published, configuration.ocsp, clock=clock)


def build_passing(configuration: Configuration, parts: ServerParts) -> Passing:
    """How the server of a configuration passes messages on."""
    return Passing(
        routes=parts.routes,
        upstreams=parts.upstreams,
        policy=parts.policy,
        approvals=Approvals(parts.profiles, configuration.server.check_after),
        secrets=(*parts.secrets, Passphrases(parts.store)),
        issues=configuration.issuer is not None,
        directory=configuration.directory,
    )


def build_announcer(
    configuration: Configuration, parts: ServerParts, plugins: Plugins, *, clock: Callable[[], datetime] = utc_now
) -> Announcer:
    """What tells the repositories of a configuration of what changes."""
    subscribers = [
        Subscriber(
            table.url,
            frozenset(BodyType[name.upper()] for name in table.what),
            table.options(configuration.directory),
        )
        for table in configuration.announce
    ]
    issuers = ((parts.issuer, parts.authority), *parts.former)
    return Announcer(plugins, parts.signer, parts.store, issuers, subscribers, clock, former=parts.former_signers)


def build_server(
    table: ServerTable, parts: ServerParts, plugins: Plugins, *, clock: Callable[[], datetime] = utc_now
) -> Server:
    """The server that these parts make, without a road."""
    chains = tuple(filter(None, (parts.authority, *(certificates for _, certificates in parts.former))))
    issuing, tops = tuple(chain[0] for chain in chains), tuple(dict.fromkeys(chain[-1] for chain in chains))
    former = {issuer_key_of(certificates[0]): issuer for issuer, certificates in parts.former}
    approvals = Approvals(parts.profiles, table.check_after)
    tolerances = wanted_tolerances(Side.SERVER, plugins, names=table.tolerances, peer=table.peer)
    signer = parts.signer
    key_generation = KeyGeneration(plugins, parts.profiles, signer.key, signer.extra_certs, tolerances)
    archiving = {name: one for name, one in parts.profiles.items() if getattr(one, "archive", "never") != "never"}
    encryption = parts.encryption
    opening_key = None if encryption is None else encryption.key
    archive = KeyArchive(archiving, opening_key, signer=signer.key, certificates=signer.extra_certs)
    return Server(
        plugins,
        Workshop(
            plugins,
            parts.store,
            parts.issuer,
            issuer_key_of(issuing[0]) if issuing else "",
            parts.policy,
            former,
            approvals,
            key_generation,
            archive=archive,
            encryption=encryption,
        ),
        ServerVerifier(
            plugins,
            parts.store,
            (*parts.secrets, Passphrases(parts.store)),
            issuing,
            (*tops, *parts.trusted),
            (*itertools.chain(*chains), *parts.intermediates),
            registration_authorities=parts.registration_authorities,
            tolerances=tolerances,
        ),
        Protector(plugins, parts.signer, parts.signer.subject, former=parts.former_signers),
        _settings(table, parts),
        clock,
        parts.repository,
    )


def _settings(table: ServerTable, parts: ServerParts) -> ServerSettings:
    """How the server behaves."""
    return ServerSettings(
        responder=ResponderSettings(
            implicit_confirm=table.implicit_confirm,
            confirm_wait_time=table.confirm_wait_time,
            pending_time=table.pending_time,
            ca_pubs=parts.ca_pubs,
            keep_unconfirmed=table.unconfirmed == "keep",
            max_requests=table.max_requests,
        ),
        max_message_size=table.max_message_size,
        nesting=NestingLimits(table.max_nesting, table.max_nested),
        message_time_window=table.message_time_window,
        answer_retention=table.answer_retention,
        max_open=table.max_open,
        max_open_per_peer=table.max_open_per_peer,
        same_road=table.same_road,
        paths=_paths(parts),
        housekeeping_interval=table.housekeeping_interval,
    )


def _paths(parts: ServerParts) -> frozenset[str]:
    """The labels of addresses by which routes and policies go, and which name no profile."""
    routed = {route.path for route in parts.routes if route.path is not None}
    return frozenset(routed.union(getattr(parts.policy, "paths", ()))).difference(parts.profiles)
