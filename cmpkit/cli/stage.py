"""What the tours of ``cmpkit demo`` share: a CA, a server and clients in one process, and how what happens is told."""

from __future__ import annotations

import secrets
import textwrap
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import anyio
import typer

from cmpkit.asn1 import distinguished_name
from cmpkit.ca.setup import initialise
from cmpkit.cli.results import describe_certificate
from cmpkit.config import load_configuration, open_store, serve
from cmpkit.crypto.keys import generate_key, key_to_pem, write_file_atomically
from cmpkit.crypto.names import format_name, parse_name
from cmpkit.crypto.protection import find_protection
from cmpkit.crypto.x509 import load_certificates, to_pem
from cmpkit.endpoints.client import Client
from cmpkit.endpoints.credentials import Credentials
from cmpkit.endpoints.enrolled import Enrolled
from cmpkit.endpoints.options import ClientOptions
from cmpkit.errors import CMPError, ConfigurationError
from cmpkit.parts import Event, Grant, PrivateKey, SecretRecord, SharedSecret, TransportOptions
from cmpkit.plugins import Plugins

__all__ = ["LISTEN", "TRUST", "Stage"]

LISTEN = "http://127.0.0.1:0/.well-known/cmp"
"""HTTP on a port that is free."""
TRUST = "ca/trust.pem"
"""The root certificate, in the directory of the stage."""
_ARROWS = {"message-sent": "->", "message-received": "<-"}


class Stage:
    """Makes a CA in a directory, serves it, and is its client.

    :param directory: must not exist, or be empty.
    :param kept: whether the directory is there afterwards.
    :ivar trust: the root certificate, once there is a CA.
    """

    def __init__(self, directory: Path, plugins: Plugins, *, kept: bool) -> None:
        self.directory = directory
        self.plugins = plugins
        self.trust: tuple[bytes, ...] = ()
        self._kept = kept
        self._step = 0

    @property
    def config(self) -> Path:
        """The configuration file of the server."""
        return self.directory / "ca" / "cmpkit.toml"

    async def make_ca(self, *listen: str) -> None:
        """The first step.

        :param listen: URLs to listen on.
        :raises ConfigurationError: if something is in the directory already.
        """
        if await anyio.Path(self.directory).exists() and any(self.directory.iterdir()):
            raise ConfigurationError(f"{self.directory} is not empty", hint="name a directory that does not exist yet")
        self.directory.mkdir(parents=True, exist_ok=True)
        self.begin("Make a CA", f"cmpkit init ca{''.join(f' --listen {url}' for url in listen)}")
        made = await initialise(self.directory / "ca", listen=listen, plugins=self.plugins, now=datetime.now(UTC))
        data = await anyio.Path(made.trust).read_bytes()
        self.trust = load_certificates(data)
        self.say(
            f"A root, {describe_certificate(self.trust[0])['subject']}, whose key the server never opens; an issuing "
            "CA under it; a certificate by which the server signs its answers; and a store (SQLite). Clients need "
            f"{TRUST}, the root certificate."
        )

    async def add_secret(self, reference: str) -> SharedSecret:
        """A secret that is good for one certificate for the commonName that is its reference."""
        value = secrets.token_urlsafe(24)
        secret = SharedSecret(reference, value)
        configuration = load_configuration(self.config, self.plugins)
        async with open_store(configuration, self.plugins) as store:
            await store.add_secret(SecretRecord(secret, Grant(parse_name(f"CN={reference}"), "device")))
        self.write(f"{reference}.secret", value.encode() + b"\n", private=True)
        return secret

    async def serve_while(self, act: Callable[[Sequence[str]], Awaitable[None]]) -> None:
        """Serve while something is done with the addresses of the server.

        :raises CMPError: if that does not end as it should.
        """
        configuration = load_configuration(self.config, self.plugins)
        shutdown = anyio.Event()
        failure: CMPError | None = None
        async with anyio.create_task_group() as group:
            try:
                await act(await group.start(partial(serve, configuration, self.plugins, shutdown=shutdown)))
            except CMPError as error:
                # Raised here it would come out of the task group in an exception group.
                failure = error
            shutdown.set()
        if failure is not None:
            raise failure

    def client(self, url: str, credentials: Credentials, road: TransportOptions | None = None) -> Client:
        """A client whose messages are shown.

        :param road: options of the road.
        """
        options = ClientOptions(transport=road or TransportOptions())
        return Client(
            url, credentials=credentials, trust=self.trust, options=options, plugins=self.plugins, observers=(self,)
        )

    def observe(self, event: Event) -> None:
        """Show a message on its way."""
        arrow = _ARROWS.get(event.name)
        if arrow is None:
            return
        message = event.details["message"]
        kind = find_protection(self.plugins, message.header.protection_alg.algorithm).kind.value
        sender = distinguished_name(message.header.sender)
        who = format_name(sender) if sender is not None else "?"
        typer.echo(
            f"  {arrow} {message.body.type.wire_name:<9}{len(message.raw):>5} octets, protected by {kind}, from {who}"
        )

    def begin(self, title: str, command: str) -> None:
        """Say what comes next, and how a person would do it."""
        self._step += 1
        typer.secho(f"\n{self._step}. {title}", bold=True)
        typer.secho(f"$ {command}", fg=typer.colors.CYAN)

    @staticmethod
    def say(text: str) -> None:
        """Explain something."""
        typer.echo(textwrap.fill(text, 100, initial_indent="  ", subsequent_indent="  "))

    def end(self) -> None:
        """Say where everything is."""
        where = f"Everything is in {self.directory}." if self._kept else "Use --keep DIR to look at the files."
        typer.secho(f"\nDone. {where}", bold=True)

    def show_certificate(self, enrolled: Enrolled, name: str) -> None:
        """Write a certificate, and say what it is."""
        described = describe_certificate(enrolled.certificate)
        self.write(name, to_pem(enrolled.certificate))
        typer.echo(f"  {name}: {described['subject']}, serial number {described['serial_number']}")

    def make_key(self, name: str) -> PrivateKey:
        """A key, and its file."""
        key = generate_key("p256", self.plugins)
        self.write(name, key_to_pem(key), private=True)
        return key

    def write(self, name: str, data: bytes, *, private: bool = False) -> None:
        """Write a file."""
        write_file_atomically(self.directory / name, data, mode=0o600 if private else 0o644)
