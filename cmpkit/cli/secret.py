"""``cmpkit secret``: the shared secrets that a server knows, and what each of them grants."""

from __future__ import annotations

import re
import secrets
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import anyio
import typer

from cmpkit.cli.command import Command, plugins_of
from cmpkit.cli.serverside import (
    ConfigOption,
    JSONOption,
    print_columns,
    print_json,
    read_moment,
    server_packages,
    shown_time,
)
from cmpkit.cli.sources import read_secret
from cmpkit.cli.wording import counted
from cmpkit.errors import ConfigurationError

if TYPE_CHECKING:
    from cryptography import x509

    from cmpkit.config import Configuration
    from cmpkit.parts import Grant
    from cmpkit.plugins import Plugins

__all__ = ["secret_app"]

SECRET_OCTETS = 24
"""Random octets in a secret that is made here: more than the 128 bits that RFC 9810 section 8.4 asks for."""
MIN_OCTETS = 16
DEFAULT_EXPIRY = "30d"
_WITHOUT_LIMIT = {"subject": "any", "profile": "any", "uses": "unlimited", "expires": "never"}

secret_app = typer.Typer(help="Shared secrets: add, list, revoke.", no_args_is_help=True)


_CONTROL = "file:PATH|env:NAME|fd:N"
_RegToken = Annotated[
    str | None,
    typer.Option(
        "--reg-token", metavar=_CONTROL, help="What a request must have as regToken, once (RFC 4211 section 6.1)."
    ),
]
_Authenticator = Annotated[
    str | None,
    typer.Option(
        "--authenticator", metavar=_CONTROL, help="What requests must have as authenticator (RFC 4211 section 6.2)."
    ),
]
_Reference = Annotated[str, typer.Argument(metavar="REF", help="Reference by which a client names the secret.")]
_Source = Annotated[
    str | None,
    typer.Option(
        "--secret",
        metavar="file:PATH|env:NAME|fd:N",
        help="Where the secret is; without it, a strong one is made and printed.",
    ),
]
_Subject = Annotated[
    str | None, typer.Option("--subject", metavar="DN", help="The subject it grants.", show_default="CN=REF")
]
_AnySubject = Annotated[bool, typer.Option("--any-subject", help="Grant any subject.")]
_Uses = Annotated[str, typer.Option("--uses", metavar="N|unlimited", help="How many certificates it is good for.")]
_Expires = Annotated[
    str,
    typer.Option("--expires", metavar="TIME", help="Until when: 12h, 30d, 2026-01-31, 2026-01-31T12:00Z or never."),
]
_Profile = Annotated[
    str | None,
    typer.Option(
        "--profile", metavar="NAME", help="The profile it is for.", show_default="the policy's default_profile"
    ),
]


@secret_app.command(cls=Command)
def add(
    ctx: typer.Context,
    reference: _Reference,
    *,
    config: ConfigOption,
    secret: _Source = None,
    subject: _Subject = None,
    any_subject: _AnySubject = False,
    uses: _Uses = "1",
    expires: _Expires = DEFAULT_EXPIRY,
    profile: _Profile = None,
    reg_token: _RegToken = None,
    authenticator: _Authenticator = None,
    json: JSONOption = False,
) -> None:
    """Add a secret: by itself for one certificate with the subject CN=REF, within 30 days."""
    with server_packages():
        from cmpkit.config import load_configuration, open_store
        from cmpkit.parts import Grant, SecretRecord, SharedSecret

    plugins = plugins_of(ctx)
    configuration = load_configuration(config, plugins)
    grant = Grant(
        subject=_granted_subject(reference, subject, any_subject=any_subject),
        profile=_granted_profile(configuration, profile),
        uses=_granted_uses(uses),
        expires=_granted_until(expires, datetime.now(UTC)),
    )
    wanted = _wanted_octets(configuration, grant)
    made = secrets.token_urlsafe(max(SECRET_OCTETS, wanted)) if secret is None else None

    async def run() -> None:
        value = made.encode() if made is not None else await read_secret(str(secret), "--secret")
        _warn_of_shortness(value, wanted, grant)
        granted = replace(
            grant,
            reg_token=await _control(reg_token, "--reg-token"),
            authenticator=await _control(authenticator, "--authenticator"),
        )
        async with open_store(configuration, plugins) as store:
            await store.add_secret(SecretRecord(SharedSecret(reference, value), granted))

    anyio.run(run)
    if json:
        print_json({**_plain(reference, grant, revoked=False), **({} if made is None else {"secret": made})})
        return
    if made is not None:
        print(made)
    print(_sentence(reference, grant), file=sys.stderr)


def _warn_of_shortness(value: bytes, wanted: int, grant: Grant) -> None:
    """Say on standard error if a secret is shorter than it should be."""
    if len(value) < MIN_OCTETS:
        said = (
            f"the secret has {len(value)} octets only: it can be guessed from one recorded message unless it is random "
            "and long (RFC 9810 section 8.4)"
        )
    elif len(value) < wanted:
        said = (
            f"the secret has {len(value)} octets, {wanted} would be as strong as the strongest keys of profile "
            f"{grant.profile} (RFC 9810 section 8.7)"
        )
    else:
        return
    print(f"cmpkit: {said}", file=sys.stderr)


def _wanted_octets(configuration: Configuration, grant: Grant) -> int:
    """How long a random secret is that is as strong as the keys that its profile names (R-176)."""
    from cmpkit.crypto.strength import key_strength

    key_types = getattr(configuration.profiles.get(grant.profile or ""), "key_types", ())
    return max((key_strength(key_type) or 0 for key_type in key_types), default=0) // 8


async def _control(source: str | None, option: str) -> str | None:
    """What requests must have in a control, from a file or variable.

    :raises ConfigurationError: if it is empty or no text.
    """
    if source is None:
        return None
    try:
        text = (await read_secret(source, option)).decode()
    except UnicodeDecodeError:
        text = ""
    if not text:
        raise ConfigurationError(f"{option}: it is empty, or no UTF-8 text")
    return text


@secret_app.command("list", cls=Command)
def list_secrets(ctx: typer.Context, config: ConfigOption, json: JSONOption = False) -> None:
    """List the secrets with what they grant, but not the secrets themselves."""
    found = anyio.run(_read_all, config, plugins_of(ctx))
    plain = [_plain(_text(reference), grant, revoked=revoked) for reference, grant, revoked in found]
    if json:
        print_json(plain)
        return
    rows = [
        [str(_WITHOUT_LIMIT.get(key, "") if value is None else value) for key, value in row.items()] for row in plain
    ]
    print_columns(["REFERENCE", "SUBJECT", "PROFILE", "USES", "EXPIRES", "STATE"], rows)


@secret_app.command(cls=Command)
def revoke(
    ctx: typer.Context,
    reference: _Reference,
    config: ConfigOption,
    json: JSONOption = False,
) -> None:
    """Make a secret useless at once. Certificates that it got stay valid."""
    if not anyio.run(_revoke, config, plugins_of(ctx), reference):
        raise ConfigurationError(f"there is no secret {reference!r}", hint="see: cmpkit secret list")
    if json:
        print_json({"reference": reference, "state": "revoked"})
    else:
        print(f"revoked {reference}")


async def _read_all(config: Path, plugins: Plugins) -> tuple[tuple[bytes, Grant, bool], ...]:
    with server_packages():
        from cmpkit.config import load_configuration, open_store
    async with open_store(load_configuration(config, plugins), plugins) as store:
        return await store.secrets()


async def _revoke(config: Path, plugins: Plugins, reference: str) -> bool:
    with server_packages():
        from cmpkit.config import load_configuration, open_store
    async with open_store(load_configuration(config, plugins), plugins) as store:
        return await store.revoke_secret(reference.encode())


def _granted_subject(reference: str, subject: str | None, *, any_subject: bool) -> x509.Name | None:
    from cryptography import x509

    from cmpkit.crypto.names import parse_name

    if not reference:
        raise ConfigurationError("the reference is empty")
    if any_subject:
        if subject is not None:
            raise ConfigurationError("--subject and --any-subject contradict each other", hint="leave out one of them")
        return None
    if subject is not None:
        name = parse_name(subject)
        if not name.rdns:
            raise ConfigurationError("--subject is the empty name", hint="to grant any subject: --any-subject")
        return name
    try:
        return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, reference)])
    except ValueError as error:
        raise ConfigurationError(
            f"the reference {reference!r} cannot be a commonName: {error}", hint="say --subject or --any-subject"
        ) from error


def _granted_profile(configuration: Configuration, profile: str | None) -> str:
    chosen = profile
    if chosen is None:
        chosen = _default_profile(configuration)
    known = ", ".join(sorted(configuration.profiles)) or "none"
    if chosen is None:
        raise ConfigurationError("--profile: there is no default profile", hint=f"name one of: {known}")
    if chosen not in configuration.profiles:
        raise ConfigurationError(f"--profile: there is no profile {chosen!r}", hint=f"there are: {known}")
    return chosen


def _default_profile(configuration: Configuration) -> str | None:
    """The one of the default policy; with another policy, the only profile that there is."""
    from cmpkit.ca.policy import PolicySettings
    from cmpkit.ca.settings import read_settings

    if configuration.policy.kind == "default":
        return read_settings(PolicySettings, configuration.policy.settings, "policy").default_profile
    return next(iter(configuration.profiles)) if len(configuration.profiles) == 1 else None


def _granted_uses(uses: str) -> int | None:
    if uses == "unlimited":
        return None
    if not re.fullmatch("[1-9][0-9]{0,17}", uses):
        raise ConfigurationError(f"--uses: {uses!r} is neither a number from 1 nor unlimited")
    return int(uses)


def _granted_until(expires: str, now: datetime) -> datetime | None:
    if expires == "never":
        return None
    return read_moment(expires, "--expires", now)


def _plain(reference: str, grant: Grant, *, revoked: bool) -> dict[str, str | int | None]:
    from cmpkit.crypto.names import format_name

    expired = grant.expires is not None and grant.expires <= datetime.now(UTC)
    state = "revoked" if revoked else "expired" if expired else "used up" if grant.uses == 0 else "good"
    return {
        "reference": reference,
        "subject": None if grant.subject is None else format_name(grant.subject),
        "profile": grant.profile,
        "uses": grant.uses,
        "expires": shown_time(grant.expires),
        "state": state,
    }


def _sentence(reference: str, grant: Grant) -> str:
    from cmpkit.crypto.names import format_name

    count = "any number of certificates" if grant.uses is None else counted(grant.uses, "certificate")
    subject = "any subject" if grant.subject is None else f"the subject {format_name(grant.subject)}"
    until = "without end" if grant.expires is None else f"until {shown_time(grant.expires)}"
    return f"cmpkit: {reference} may get {count} of profile {grant.profile} for {subject}, {until}"


def _text(reference: bytes) -> str:
    return reference.decode(errors="backslashreplace")
