"""The steps of ``cmpkit demo``, with the commands that a person would type, the messages, and what each side checks."""

from __future__ import annotations

import secrets
import textwrap
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
import typer
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cmpkit import oids
from cmpkit.asn1 import distinguished_name, encode
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
from cmpkit.enums import CRLReason
from cmpkit.errors import CMPError, ConfigurationError, PeerRefusal, TrustError
from cmpkit.parts import Event, Grant, PrivateKey, SecretRecord, SharedSecret
from cmpkit.plugins import Plugins

__all__ = ["Tour"]

_REFERENCE = "dev-42"
_SUBJECT = "CN=dev-42"
_ARROWS = {"message-sent": "->", "message-received": "<-"}


class Tour:
    """Makes a CA in a directory, serves it on a loopback port, and is its client.

    :param directory: must not exist, or be empty.
    :param kept: whether the directory is there afterwards.
    """

    def __init__(self, directory: Path, plugins: Plugins, *, kept: bool) -> None:
        self._directory = directory
        self._plugins = plugins
        self._kept = kept
        self._step = 0
        self._url = ""
        self._trust: tuple[bytes, ...] = ()

    async def run(self) -> None:
        """Go through all steps.

        :raises CMPError: if one of them does not end as it should.
        """
        if await anyio.Path(self._directory).exists() and any(self._directory.iterdir()):
            raise ConfigurationError(f"{self._directory} is not empty", hint="name a directory that does not exist yet")
        self._directory.mkdir(parents=True, exist_ok=True)
        await self._make_ca()
        secret = await self._add_secret()
        configuration = load_configuration(self._directory / "ca" / "cmpkit.toml", self._plugins)
        shutdown = anyio.Event()
        failure: CMPError | None = None
        async with anyio.create_task_group() as group:
            try:
                (self._url,) = await group.start(partial(serve, configuration, self._plugins, shutdown=shutdown))
                await self._be_a_client(secret)
            except CMPError as error:
                # Raised here it would come out of the task group in an exception group.
                failure = error
            shutdown.set()
        if failure is not None:
            raise failure
        where = f"Everything is in {self._directory}." if self._kept else "Use --keep DIR to look at the files."
        typer.secho(f"\nDone. {where}", bold=True)

    async def _make_ca(self) -> None:
        self._begin("Make a CA", "cmpkit init ca --listen http://127.0.0.1:0/.well-known/cmp")
        made = await initialise(
            self._directory / "ca",
            listen=["http://127.0.0.1:0/.well-known/cmp"],
            plugins=self._plugins,
            now=datetime.now(UTC),
        )
        data = await anyio.Path(made.trust).read_bytes()
        self._trust = load_certificates(data)
        self._say(
            f"A root, {describe_certificate(self._trust[0])['subject']}, whose key the server never opens; an issuing "
            "CA under it; a certificate by which the server signs its answers; and a store (SQLite). Clients need "
            "ca/trust.pem, the root certificate."
        )

    async def _add_secret(self) -> SharedSecret:
        self._begin("Let a device in", f"cmpkit secret add {_REFERENCE} --config ca/cmpkit.toml > {_REFERENCE}.secret")
        value = secrets.token_urlsafe(24)
        secret = SharedSecret(_REFERENCE, value)
        configuration = load_configuration(self._directory / "ca" / "cmpkit.toml", self._plugins)
        async with open_store(configuration, self._plugins) as store:
            await store.add_secret(SecretRecord(secret, Grant(parse_name(_SUBJECT), "device")))
        self._write(f"{_REFERENCE}.secret", value.encode() + b"\n", private=True)
        self._say(
            f"Nothing is allowed unless a rule allows it: this secret is good for one certificate for {_SUBJECT}."
        )
        return secret

    async def _be_a_client(self, secret: SharedSecret) -> None:
        self._begin("Serve", "cmpkit serve --config ca/cmpkit.toml")
        typer.echo(f"listening on {self._url}")
        first = await self._enroll(secret)
        await self._overreach(secret)
        second = await self._update(first)
        await self._revoke(second)
        await self._look_into_crl(first, second)

    async def _enroll(self, secret: SharedSecret) -> Enrolled:
        self._begin(
            "Enrol by the secret",
            f"cmpkit enroll {self._url} --ref {_REFERENCE} --secret file:{_REFERENCE}.secret --subject {_SUBJECT} "
            "--newkey dev-42.key --trusted ca/trust.pem --certout dev-42.pem",
        )
        key = self._make_key("dev-42.key")
        async with self._client(secret) as client:
            enrolled = await client.enroll(_SUBJECT, key)
        self._show_certificate(enrolled, "dev-42.pem")
        self._say(
            "The server checked the MAC with the secret, the signature by the new key (proof of possession), and that "
            f"the secret grants {_SUBJECT}. The client checked the MAC, transactionID and nonces of the answers, and "
            "that the certificate has its key and subject and leads to the root; its certConf says so, and the server "
            "answers pkiconf."
        )
        return enrolled

    async def _overreach(self, secret: SharedSecret) -> None:
        self._begin("Ask for more than is granted", f"cmpkit enroll … --ref {_REFERENCE} --subject CN=admin …")
        try:
            async with self._client(secret) as client:
                await client.enroll("CN=admin")
        except PeerRefusal as refusal:
            typer.echo(f"  {refusal.detail}")
        else:
            raise TrustError("the server gave what the secret does not grant")
        self._say("The secret grants another subject, and it is used up. The command would end with exit status 6.")

    async def _update(self, first: Enrolled) -> Enrolled:
        self._begin(
            "Update, by the certificate",
            f"cmpkit update {self._url} --cert dev-42.pem --key dev-42.key --newkey dev-42-2.key "
            "--trusted ca/trust.pem --certout dev-42-2.pem",
        )
        key = self._make_key("dev-42-2.key")
        async with self._client(first.credentials) as client:
            second = await client.update(first, key)
        self._show_certificate(second, "dev-42-2.pem")
        self._say(
            "No secret this time: the old key signed the request. The server checked the signature, that the "
            "certificate is its own and neither revoked nor expired, and that the subject stays. The answer is signed "
            "by a certificate that the CA authorised for that (extended key usage cmcCA), which the client checked."
        )
        return second

    async def _revoke(self, second: Enrolled) -> None:
        self._begin(
            "Revoke",
            f"cmpkit revoke {self._url} --cert dev-42-2.pem --key dev-42-2.key --oldcert dev-42-2.pem "
            "--revreason keyCompromise --trusted ca/trust.pem",
        )
        async with self._client(second.credentials) as client:
            await client.revoke(second, CRLReason.KEY_COMPROMISE)
        self._say("A certificate may revoke itself. From now on the server refuses whatever it protects (certRevoked).")

    async def _look_into_crl(self, first: Enrolled, second: Enrolled) -> None:
        self._begin(
            "Fetch the CRL",
            f"cmpkit info {self._url} currentCRL --cert dev-42.pem --key dev-42.key --trusted ca/trust.pem "
            "--crlout crl.pem",
        )
        async with self._client(first.credentials) as client:
            (answer,) = await client.info(oids.CURRENT_CRL)
        assert answer.info_value is not None
        crl = x509.load_der_x509_crl(encode(answer.info_value))
        issuer = x509.load_der_x509_certificate(first.chain[0]).public_key()
        revoked = x509.load_der_x509_certificate(second.certificate).serial_number
        entry = crl.get_revoked_certificate_by_serial_number(revoked)
        if entry is None or not crl.is_signature_valid(issuer):  # type: ignore[arg-type]
            raise TrustError("the CRL does not have the certificate, or its signature is wrong")
        reason = entry.extensions.get_extension_for_class(x509.CRLReason).value.reason.value
        self._write("crl.pem", crl.public_bytes(Encoding.PEM))
        typer.echo(f"  serial number {revoked:x} revoked {entry.revocation_date_utc:%Y-%m-%d %H:%M:%SZ}: {reason}")
        self._say("The CA signed the CRL, and the certificate is in it.")

    def _client(self, credentials: Credentials) -> Client:
        return Client(self._url, credentials=credentials, trust=self._trust, plugins=self._plugins, observers=(self,))

    def observe(self, event: Event) -> None:
        """Show a message on its way."""
        arrow = _ARROWS.get(event.name)
        if arrow is None:
            return
        message = event.details["message"]
        kind = find_protection(self._plugins, message.header.protection_alg.algorithm).kind.value
        sender = distinguished_name(message.header.sender)
        who = format_name(sender) if sender is not None else "?"
        typer.echo(
            f"  {arrow} {message.body.type.wire_name:<9}{len(message.raw):>5} octets, protected by {kind}, from {who}"
        )

    def _begin(self, title: str, command: str) -> None:
        self._step += 1
        typer.secho(f"\n{self._step}. {title}", bold=True)
        typer.secho(f"$ {command}", fg=typer.colors.CYAN)

    @staticmethod
    def _say(text: str) -> None:
        typer.echo(textwrap.fill(text, 100, initial_indent="  ", subsequent_indent="  "))

    def _show_certificate(self, enrolled: Enrolled, name: str) -> None:
        described = describe_certificate(enrolled.certificate)
        self._write(name, to_pem(enrolled.certificate))
        typer.echo(f"  {name}: {described['subject']}, serial number {described['serial_number']}")

    def _make_key(self, name: str) -> PrivateKey:
        key = generate_key("p256", self._plugins)
        self._write(name, key_to_pem(key), private=True)
        return key

    def _write(self, name: str, data: bytes, *, private: bool = False) -> None:
        write_file_atomically(self._directory / name, data, mode=0o600 if private else 0o644)
