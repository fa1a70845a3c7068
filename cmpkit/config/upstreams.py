"""The tables ``[[upstream]]`` and ``[[route]]``: where the messages of a registration authority go."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from cmpkit.ca.settings import naming, read_settings
from cmpkit.config.mistakes import Mistakes
from cmpkit.config.tables import RouteTable, UpstreamTable
from cmpkit.crypto.names import parse_name
from cmpkit.enums import BodyType
from cmpkit.errors import ConfigurationError
from cmpkit.plugins import Plugins
from cmpkit.relay.peers import credential_mistakes, read_tolerances
from cmpkit.relay.routes import LOCAL, Route

__all__ = ["read_routes", "read_upstreams"]

_BATCH_KEYS = ("batch_count", "batch_time")


def read_upstreams(
    tables: Iterable[Mapping[str, Any]], plugins: Plugins, mistakes: Mistakes, directory: Path
) -> tuple[UpstreamTable, ...]:
    """The tables ``[[upstream]]``.

    :param mistakes: gets what is wrong.
    :param directory: where relative paths start.
    """
    found: list[UpstreamTable] = []
    for table in tables:
        with mistakes:
            read = read_settings(UpstreamTable, table, "[upstream]")
            if read.name in [earlier.name for earlier in found]:
                raise ConfigurationError(f"[[upstream]] name: {read.name} is there twice")
            found.append(read)
            _check(read, plugins, mistakes, directory)
    return tuple(found)


def read_routes(
    tables: Iterable[Mapping[str, Any]], upstreams: Sequence[UpstreamTable], mistakes: Mistakes, *, issues: bool
) -> tuple[Route, ...]:
    """The tables ``[[route]]``; without any, and without an issuer, everything goes to the only upstream.

    :param mistakes: gets what is wrong.
    :param issues: whether there is an ``[issuer]``.
    """
    found: list[Route] = []
    for table in tables:
        with mistakes:
            found.append(_route(read_settings(RouteTable, table, "[route]")))
    if not found and not issues and len(upstreams) == 1:
        found.append(Route(upstreams[0].name))
    for number, route in enumerate(found, start=1):
        for mistake in _faults(route, upstreams, issues=issues, is_last=number == len(found)):
            mistakes.add(f"[[route]] {number} {mistake}")
    for name in (upstream.name for upstream in upstreams):
        if name not in [route.to for route in found]:
            mistakes.add(f"[[upstream]] {name}: no [[route]] leads there")
    return tuple(found)


def _check(table: UpstreamTable, plugins: Plugins, mistakes: Mistakes, directory: Path) -> None:
    """Whether a table can be used, as far as that shows without opening what it names."""
    where = f"[[upstream]] {table.name}"
    for mistake in _contradictions(table):
        mistakes.add(f"{where} {mistake}")
    with mistakes, naming(f"{where} url"):
        plugins.client_transport(table.url).open(table.url, table.options(directory))
    if table.expected_sender is not None:
        with mistakes, naming(f"{where} expected_sender"):
            parse_name(table.expected_sender)
    with mistakes:
        read_tolerances(table, where, plugins)


def _contradictions(table: UpstreamTable) -> Iterator[str]:
    """What does not go together in a table."""
    if table.name == LOCAL:
        yield f"name: {LOCAL} is this server itself"
    yield from credential_mistakes(table)
    if table.secret is not None and table.forward in ("nest", "batch"):
        yield f"forward: {table.forward} needs a signature, not a shared secret (RFC 9483 section 5.2.2)"
    if not table.trusted and table.pinned is None and table.secret is None:
        yield "trusted: is missing, nothing could be believed that comes from there"
    if table.forward != "batch":
        yield from (f'{key}: is for forward = "batch" only' for key in _BATCH_KEYS if key in table.model_fields_set)


def _route(table: RouteTable) -> Route:
    """The route of a table.

    :raises ConfigurationError: if the issuer is no name.
    """
    issuer = None
    if table.issuer is not None:
        with naming("[[route]] issuer"):
            issuer = parse_name(table.issuer)
    bodies = frozenset(BodyType[name.upper()] for name in table.body)
    return Route(table.to, table.path, table.profile, bodies, issuer, table.verify)


def _faults(route: Route, upstreams: Sequence[UpstreamTable], *, issues: bool, is_last: bool) -> Iterator[str]:
    """What is wrong with where a route leads."""
    forwards = {upstream.name: upstream.forward for upstream in upstreams}
    if route.to == LOCAL and not issues:
        yield f"to: {LOCAL} needs an [issuer]"
    elif route.to not in (*forwards, LOCAL):
        yield f"to: there is no upstream {route.to}; there are: {', '.join((*forwards, LOCAL))}"
    if not route.verify and forwards.get(route.to) not in ("unchanged", "nest", "batch"):
        yield "verify: only what an upstream gets as it came (unchanged, nest, batch) may be left unverified"
    if not is_last and route == Route(route.to, verify=route.verify):
        yield "fits every message, those after it are never taken"
