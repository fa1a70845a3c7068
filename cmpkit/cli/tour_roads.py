"""The steps of ``cmpkit demo --all-transports``: one server on every road, and an enrolment over each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import anyio
import typer

from cmpkit.cli.stage import LISTEN, TRUST, Stage
from cmpkit.cli.tour_mail import can_deliver, delivering
from cmpkit.parts import TransportOptions

__all__ = ["RoadsTour"]


@dataclass(frozen=True, slots=True)
class _Exhibit:
    """A road as it is shown.

    :param name: what distinguishes it, and its device.
    :param url: what the server listens on; the scheme chooses the road.
    :param about: what is worth knowing.
    :param options: of the road, for clients.
    """

    name: str
    url: str
    about: str
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def scheme(self) -> str:
        """That of the URL."""
        return self.url.partition(":")[0]

    @property
    def arguments(self) -> str:
        """What a command of the client has for it, beside the URL."""
        trusted = f" --tls-trusted {TRUST}" if self._secured else ""
        return "".join([trusted, *(f" --road-option {name}={value}" for name, value in self.options.items())])

    def transport(self, directory: Path) -> TransportOptions:
        """The same for the client.

        :param directory: where relative paths start.
        """
        trusted = TRUST if self._secured else None
        return TransportOptions(tls_trusted=trusted, own=self.options, directory=directory)

    @property
    def _secured(self) -> bool:
        return self.scheme in ("https", "tcps")


_SPOOL = "spool"
_EXHIBITS = (
    _Exhibit("http", LISTEN, "Each message is a POST, each answer comes with it (RFC 9811)."),
    _Exhibit(
        "tcp",
        "tcp://127.0.0.1:0",
        "Units of a length, a type and a message, without HTTP: the framing that came last, known as version 10.",
    ),
    _Exhibit(
        "tcp-rfc2510",
        "tcp://127.0.0.1:0",
        "The framing of RFC 2510, at the same port: the server tells them apart, and answers as it is asked.",
        options={"framing": "rfc2510"},
    ),
    _Exhibit(
        "https",
        "https://127.0.0.1:0",
        "The server's TLS certificate is from its own CA, which renews it. TLS hides who asks for what; what is said "
        "is believed because CMP protects it, as without TLS.",
    ),
    _Exhibit("tcps", "tcps://127.0.0.1:0", "The same certificate for TLS, and units as over TCP in it."),
    _Exhibit(
        "file",
        f"file:../{_SPOOL}",
        "A request is a file in spool/in, its answer one in spool/out (RFC 9483 section 6.4.1). Neither side needs to "
        "run when the other does.",
    ),
)
_CA_ADDRESS, _DEVICE_ADDRESS = "ca@example.org", "dev-mail@example.org"
_MAILBOX = f"""
[[listen]]
url = "mailto:{_CA_ADDRESS}"
mailbox = "maildir:../mail/{_CA_ADDRESS}"
smtp = "smtp-plain://127.0.0.1:%d"
poll_interval = "1s"
"""
_NOT_SHOWN = {
    "mailto": "the SMTP server for it is not installed, pip install 'cmpkit[demo]'",
}


def _by_mail(port: int) -> _Exhibit:
    return _Exhibit(
        "mail",
        f"mailto:{_CA_ADDRESS}",
        "Requests and answers are mails with the message attached (RFC 9483 section 6.4.2). An SMTP server takes them "
        "and delivers into mailboxes, here Maildirs; by IMAP it is the same.",
        options={
            "sender": _DEVICE_ADDRESS,
            "smtp": f"smtp-plain://127.0.0.1:{port}",
            "mailbox": f"maildir:mail/{_DEVICE_ADDRESS}",
            "poll_interval": "1s",
        },
    )


class RoadsTour(Stage):
    """Enrols one device over each road that is installed."""

    async def run(self) -> None:
        """Go through all steps.

        :raises CMPError: if one of them does not end as it should.
        """
        shown = [exhibit for exhibit in _EXHIBITS if self._is_installed(exhibit.scheme)]
        await self.make_ca(*dict.fromkeys(exhibit.url for exhibit in shown))
        await anyio.Path(self.directory / _SPOOL).mkdir()
        with ExitStack() as stack:
            if self._is_installed("mailto") and can_deliver():
                port = stack.enter_context(delivering(self.directory / "mail", _CA_ADDRESS, _DEVICE_ADDRESS))
                self._give_a_mailbox(port)
                shown.append(_by_mail(port))
            await self.serve_while(partial(self._enroll_over_each, shown))
        self._name_what_is_not_shown(shown)
        self.end()

    def _is_installed(self, scheme: str) -> bool:
        return self.plugins.get("server transport", scheme) is not None

    def _give_a_mailbox(self, port: int) -> None:
        table = _MAILBOX % port
        self.begin("Give the CA a mailbox", f"cat >> ca/cmpkit.toml <<END{table}END")
        self.write("ca/cmpkit.toml", self.config.read_bytes() + table.encode())
        self.say("A mail server runs on this machine for as long as the demo, and sends nothing to anywhere else.")

    async def _enroll_over_each(self, shown: Sequence[_Exhibit], urls: Sequence[str]) -> None:
        self.begin("Serve on all of them at once", f"mkdir {_SPOOL}; cmpkit serve --config ca/cmpkit.toml")
        for url in urls:
            typer.echo(f"listening on {url}")
        addresses = {url.partition(":")[0]: url for url in urls}
        for exhibit in shown:
            await self._enroll(exhibit, addresses[exhibit.scheme])

    async def _enroll(self, exhibit: _Exhibit, url: str) -> None:
        device = f"dev-{exhibit.name}"
        self.begin(
            f"Enrol: {exhibit.name}",
            f"cmpkit enroll {url}{exhibit.arguments} --ref {device} --secret file:{device}.secret "
            f"--subject CN={device} --newkey {device}.key --trusted {TRUST} --certout {device}.pem",
        )
        self.say(exhibit.about)
        secret = await self.add_secret(device)
        key = self.make_key(f"{device}.key")
        async with self.client(url, secret, exhibit.transport(self.directory)) as client:
            enrolled = await client.enroll(f"CN={device}", key)
        self.show_certificate(enrolled, f"{device}.pem")

    def _name_what_is_not_shown(self, shown: Sequence[_Exhibit]) -> None:
        seen = {exhibit.scheme for exhibit in shown}
        installed = [scheme for part in self.plugins.all("server transport") for scheme in part.schemes]
        missing = dict.fromkeys(
            [*(exhibit.scheme for exhibit in _EXHIBITS), "mailto"], "no plugin that is installed brings it"
        )
        unknown = {scheme: _NOT_SHOWN.get(scheme, "this tour does not know what it needs") for scheme in installed}
        for scheme, reason in {**missing, **unknown}.items():
            if scheme not in seen:
                typer.echo(f"\nNot shown: {scheme}: {reason}.")
