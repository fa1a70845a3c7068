"""``cmpkit request``: the requests that wait for a person, and what that person decides."""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import anyio
import typer

from cmpkit.cli.command import Command, plugins_of
from cmpkit.cli.serverside import (
    ConfigOption,
    JSONOption,
    print_columns,
    print_facts,
    print_json,
    server_packages,
    shown_time,
)
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import ConfigurationError
from cmpkit.parts import HeldState

if TYPE_CHECKING:
    from cmpkit.parts import Decision, HeldRequest
    from cmpkit.plugins import Plugins

__all__ = ["request_app"]

request_app = typer.Typer(help="Requests that wait for a person: list, show, approve, reject.", no_args_is_help=True)

_Which = Annotated[str, typer.Argument(metavar="ID", help="Id of the request, or how it begins.")]
_Operator = Annotated[
    str | None,
    typer.Option("--operator", metavar="NAME", help="Who decides.", show_default="the user of the system"),
]


@request_app.command("list", cls=Command)
def list_requests(
    ctx: typer.Context,
    *,
    config: ConfigOption,
    state: Annotated[
        list[HeldState] | None,
        typer.Option("--state", help="Only those in this state; may be repeated.", show_default="waiting"),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="In whatever state.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, help="The newest so many.")] = 1000,
    json: JSONOption = False,
) -> None:
    """List requests, the newest first: those that wait, unless told otherwise."""
    if every and state:
        raise ConfigurationError("--all and --state contradict each other", hint="leave out one of them")
    states = () if every else tuple(state or (HeldState.WAITING,))
    found = anyio.run(_listed, config, plugins_of(ctx), states, limit)
    if json:
        print_json([_plain(request) for request in found])
        return
    from cmpkit.ca.approval import short_id

    rows = [
        [
            short_id(request),
            request.subject,
            request.profile,
            _identity(request),
            shown_time(request.at) or "",
            request.state.value,
        ]
        for request in found
    ]
    print_columns(["ID", "SUBJECT", "PROFILE", "BY", "AT", "STATE"], rows)


@request_app.command(cls=Command)
def show(ctx: typer.Context, which: _Which, config: ConfigOption, json: JSONOption = False) -> None:
    """Show all that is known of a request: what was asked for, by whom, and what would be issued."""
    request = anyio.run(_found, config, plugins_of(ctx), which)
    plain = _plain(request)
    if json:
        print_json(plain)
        return
    print_facts(_lines(plain))


@request_app.command(cls=Command)
def approve(
    ctx: typer.Context,
    which: _Which,
    *,
    config: ConfigOption,
    operator: _Operator = None,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the audit.")] = "",
    json: JSONOption = False,
) -> None:
    """Agree to a request. The certificate is issued when the requester asks again."""
    _decide(ctx, config, which, {"approved": True, "by": _operator(operator), "reason": reason}, as_json=json)


@request_app.command(cls=Command)
def reject(
    ctx: typer.Context,
    which: _Which,
    *,
    config: ConfigOption,
    operator: _Operator = None,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the audit only.")] = "",
    failure: Annotated[
        str, typer.Option("--failure", metavar="NAME", help="The PKIFailureInfo that the requester gets.")
    ] = PKIFailureInfo.NOT_AUTHORIZED.wire_names[0],
    statusstring: Annotated[
        str, typer.Option("--statusstring", metavar="TEXT", help="The text that the requester gets.")
    ] = "a person has decided against it",
    json: JSONOption = False,
) -> None:
    """Refuse a request. The requester is told when it asks again."""
    details = {"fail_info": _failure(failure), "status_text": statusstring, "reason": reason}
    _decide(ctx, config, which, {"approved": False, "by": _operator(operator), **details}, as_json=json)


def _decide(ctx: typer.Context, config: Path, which: str, details: dict[str, Any], *, as_json: bool) -> None:
    with server_packages():
        from cmpkit.ca.approval import decide_request, find_request, short_id
        from cmpkit.config import load_configuration, open_store
    from cmpkit.inspection.text import printable
    from cmpkit.parts import Decision

    plugins = plugins_of(ctx)

    async def run() -> HeldRequest:
        async with open_store(load_configuration(config, plugins), plugins) as store:
            now = datetime.now(UTC)
            request = await find_request(store, which, now=now)
            await decide_request(store, request, Decision(key=request.key, at=now, **details))
            return await find_request(store, request.key, now=now)

    request = anyio.run(run)
    if as_json:
        print_json(_plain(request))
        return
    print(f"{request.state.value} {short_id(request)} ({printable(request.subject)})")
    if request.state is HeldState.APPROVED:
        print(f"  the certificate is issued when the requester asks again, until {shown_time(request.expires)}")


async def _listed(config: Path, plugins: Plugins, states: tuple[HeldState, ...], limit: int) -> tuple[HeldRequest, ...]:
    with server_packages():
        from cmpkit.config import load_configuration, open_store
    async with open_store(load_configuration(config, plugins), plugins) as store:
        return await store.held_requests(now=datetime.now(UTC), states=states, limit=limit)


async def _found(config: Path, plugins: Plugins, which: str) -> HeldRequest:
    with server_packages():
        from cmpkit.ca.approval import find_request
        from cmpkit.config import load_configuration, open_store
    async with open_store(load_configuration(config, plugins), plugins) as store:
        return await find_request(store, which, now=datetime.now(UTC))


def _operator(name: str | None) -> str:
    """Who decides.

    :raises ConfigurationError: if nobody is named, and the system does not know.
    """
    if name is None:
        try:
            name = getpass.getuser()
        except (OSError, KeyError) as error:
            raise ConfigurationError("the user of the system has no name", hint="say it with --operator") from error
    if not name.strip():
        raise ConfigurationError("--operator is empty", hint="name who decides: the audit has it")
    return name.strip()


def _failure(name: str) -> PKIFailureInfo:
    from cmpkit.ca.approval import REJECTIONS

    known = {failure.wire_names[0]: failure for failure in REJECTIONS}
    if name not in known:
        raise ConfigurationError(f"--failure: {name!r} is none of {', '.join(known)}")
    return known[name]


def _identity(request: HeldRequest) -> str:
    return str(request.facts.get("identity", ""))


def _plain(request: HeldRequest) -> dict[str, Any]:
    """Everything, for machines."""
    return {
        "id": request.key,
        "state": request.state.value,
        "at": shown_time(request.at),
        "expires": shown_time(request.expires),
        "address": request.address,
        "transaction_id": request.transaction_id.hex(),
        "credential": request.credential,
        "profile": request.profile,
        "subject": request.subject,
        **request.facts,
        "decision": None if request.decision is None else _plain_decision(request.decision),
    }


def _plain_decision(decision: Decision) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "approved": decision.approved,
        "by": decision.by,
        "at": shown_time(decision.at),
        "reason": decision.reason,
    }
    if not decision.approved:
        plain |= {"failure": " ".join(decision.fail_info.wire_names), "statusstring": decision.status_text}
    return plain


def _lines(plain: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The same for people: nothing that is empty, but for what differs from what was asked for."""
    for key, value in plain.items():
        if key == "decision":
            for name, text in (value or {}).items():
                if text and name != "approved":
                    yield {"by": "decided by", "at": "decided at"}.get(name, name), str(text)
        elif key == "changes":
            yield "changes", "; ".join(value) or "none: it gets what it asks for"
        elif value:
            yield key.replace("_", " "), ", ".join(value) if isinstance(value, list) else str(value)
