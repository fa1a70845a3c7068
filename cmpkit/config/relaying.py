"""What passes messages on in the server of a configuration: its upstreams, opened, and the gateway in front of all."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import anyio

from cmpkit.ca.approval import Approvals
from cmpkit.ca.settings import naming
from cmpkit.config.listening import EndpointHandler
from cmpkit.config.mistakes import Mistakes
from cmpkit.config.signing import check_validity
from cmpkit.config.tables import UpstreamTable
from cmpkit.endpoints.credentials import Credentials, SigningCredentials
from cmpkit.endpoints.server import Server
from cmpkit.endpoints.trust import AnswerVerifier
from cmpkit.errors import CMPError
from cmpkit.parts import Policy, Road, SecretSource
from cmpkit.plugins import Plugins
from cmpkit.relay.gateway import Gateway
from cmpkit.relay.peers import Trust, open_credentials, open_trust, read_tolerances
from cmpkit.relay.relay import Relay
from cmpkit.relay.routes import Route
from cmpkit.relay.upstream import Upstream
from cmpkit.relay.wrapping import OwnProtection, Wrapper

__all__ = ["Passing", "UpstreamParts", "open_upstream", "passing_on"]


@dataclass(frozen=True, slots=True)
class UpstreamParts:
    """What an upstream consists of, but for the road there.

    :param credentials: what this server protects messages with that it sends there.
    :param trust: what answers are believed by.
    :param tolerances: what is accepted of answers beyond the default.
    """

    table: UpstreamTable
    credentials: Credentials
    trust: Trust
    tolerances: frozenset[str]


async def open_upstream(
    table: UpstreamTable,
    signer: SigningCredentials | None,
    plugins: Plugins,
    mistakes: Mistakes,
    *,
    directory: Path,
    now: datetime,
) -> UpstreamParts | None:
    """What a table names; ``None`` if there were mistakes.

    :param signer: protects what goes there, if the table has no credentials.
    :param mistakes: gets what is wrong.
    :param directory: where relative paths start.
    """
    where = f"[[upstream]] {table.name}"
    credentials: Credentials | None = None
    trust: Trust | None = None
    with mistakes:
        credentials = await open_credentials(table, where, directory, plugins) or signer
    if isinstance(credentials, SigningCredentials):
        with mistakes, naming(f"{where} certificate"):
            check_validity(credentials.certificate, now)
    with mistakes:
        trust = await open_trust(table, where, directory)
    if credentials is None or trust is None:
        return None
    return UpstreamParts(table, credentials, trust, read_tolerances(table, where, plugins))


@dataclass(frozen=True, slots=True)
class Passing:
    """How messages are passed on.

    :param routes: where they go; there are none where everything is answered here.
    :param upstreams: where they may go.
    :param policy: who may ask for what to be passed on.
    :param approvals: which requests wait for a person before they are.
    :param secrets: where the shared secrets of requesters are.
    :param issues: whether what fits no route is answered here.
    :param directory: where relative paths of roads start.
    """

    routes: Sequence[Route]
    upstreams: Sequence[UpstreamParts]
    policy: Policy
    approvals: Approvals
    secrets: Sequence[SecretSource]
    issues: bool
    directory: Path


@asynccontextmanager
async def passing_on(server: Server, passing: Passing) -> AsyncIterator[EndpointHandler]:
    """What answers the messages for a server: itself, or a gateway whose relays run until the block ends.

    :raises ConfigurationError: if a road cannot be used.
    """
    if not passing.routes:
        yield server.handle
        return
    failure: CMPError | None = None
    async with AsyncExitStack() as roads, anyio.create_task_group() as tasks:
        try:
            relays: dict[str, Relay] = {}
            for parts in passing.upstreams:
                road = _open_road(parts.table, server.plugins, passing.directory)
                roads.push_async_callback(_close, road)
                upstream = _upstream(parts, road, server)
                relay = Relay(server, upstream, passing.policy, approvals=passing.approvals, secrets=passing.secrets)
                relays[upstream.name] = relay
                await tasks.start(relay.run)
            yield Gateway(server, relays, passing.routes, passing.issues).handle
        except CMPError as error:
            # Raised here it would come out of the task group in an exception group.
            failure = error
        tasks.cancel_scope.cancel()
    if failure is not None:
        raise failure


def _open_road(table: UpstreamTable, plugins: Plugins, directory: Path) -> Road:
    with naming(f"[[upstream]] {table.name} url"):
        return plugins.client_transport(table.url).open(table.url, table.options(directory))


async def _close(road: Road) -> None:
    with anyio.CancelScope(shield=True):
        await road.aclose()


def _upstream(parts: UpstreamParts, road: Road, server: Server) -> Upstream:
    table, trust, plugins = parts.table, parts.trust, server.plugins
    own = OwnProtection(plugins, parts.credentials)
    wrapping = Wrapper(
        table.forward,
        own,
        server.protector,
        include_original=table.include_original,
        tolerances=server.verifier.tolerances,
    )
    return Upstream(
        name=table.name,
        road=road,
        verifier=AnswerVerifier(plugins, parts.credentials, trust.anchors, trust.pinned, trust.expected_sender),
        wrapping=wrapping,
        own=own,
        timeout=table.timeout,
        check_after=table.check_after,
        deadline=table.deadline,
        late=table.late,
        batch_count=table.batch_count,
        batch_time=table.batch_time,
        tolerances=parts.tolerances,
    )
