"""A device that runs client commands against a server in the same process, over a road that may fail."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from operating import Outcome, run

from cmpkit.asn1 import CertRepMessage, CertResponse, PKIBody, PKIMessage, PKIStatusInfo, PollRep, decode_message
from cmpkit.config import load_configuration, open_parts, open_store
from cmpkit.config.running import build_server
from cmpkit.endpoints.protector import Protector
from cmpkit.enums import BodyType, PKIStatus
from cmpkit.hookspecs import hookimpl
from cmpkit.parts import CertificateRecord, Credential, Event, Peer, ProtectionKind, SharedSecret, TransportOptions
from cmpkit.plugins import Plugins, load_plugins

URL = "test://server"
SECRET = "correct horse battery staple"


@functools.cache
def server_plugins() -> Plugins:
    """What the server consists of, in every test."""
    return load_plugins()


class KilledError(BaseException):
    """The process ends here, as by SIGKILL."""


@dataclass(eq=False)
class Road:
    """A client transport to the server of a configuration file; what is stored is all that it keeps.

    :param faults: for the next exchanges: an exception in place of the request or, from a function, another answer.
    :param waits: how often the server says that it needs time before it sees the request.
    :param check_after: seconds that it asks to wait.
    :param ahead: how far the server's clock is ahead in the next exchanges.
    :param time: gives the time to both sides.
    """

    config: Path
    faults: list[BaseException | Callable[[bytes], bytes] | None] = field(default_factory=list)
    waits: int = 0
    check_after: int = 0
    ahead: list[timedelta] = field(default_factory=list)
    time: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))
    requests: list[PKIMessage] = field(default_factory=list)
    options: TransportOptions | None = None
    schemes: tuple[str, ...] = ("test",)
    _held: bytes = b""

    @hookimpl
    def cmpkit_client_transports(self) -> Iterable[Road]:
        return [self]

    def open(self, url: str, options: TransportOptions) -> Road:
        self.options = options
        return self

    async def exchange(self, request: bytes) -> bytes:
        self.requests.append(decode_message(request))
        fault = self.faults.pop(0) if self.faults else None
        if isinstance(fault, BaseException):
            raise fault
        answer = await self._waiting(request) if self.waits or self._held else await self._serve(request)
        return fault(answer) if fault is not None else answer

    async def aclose(self) -> None:
        pass

    async def _serve(self, request: bytes) -> bytes:
        plugins = server_plugins()
        configuration = load_configuration(self.config, plugins)
        ahead = self.ahead.pop(0) if self.ahead else timedelta()

        def clock() -> datetime:
            return self.time() + ahead

        async with open_parts(configuration, plugins, clock=clock) as parts:
            server = build_server(configuration.server, parts, plugins, clock=clock)
            answer = await server.handle(request, Peer("test"))
        assert answer.der is not None
        return answer.der

    async def _waiting(self, request: bytes) -> bytes:
        """An answer of a server that needs time; in the end, that of the real one to the request that it held."""
        if not self._held:
            self._held = request
            status = PKIStatusInfo.of(PKIStatus.WAITING, ["a person looks at it"])
            content: Any = CertRepMessage(response=[CertResponse(cert_req_id=0, status=status)])
            body = PKIBody(BodyType.IP, content)
        elif self.waits > 1:
            self.waits -= 1
            body = PKIBody(BodyType.POLL_REP, [PollRep(cert_req_id=0, check_after=self.check_after)])
        else:
            held, self._held, self.waits = self._held, b"", 0
            return await self._serve(held)
        plugins = server_plugins()
        header = decode_message(request).header
        secret = SharedSecret("dev-42", SECRET)
        async with open_parts(load_configuration(self.config, plugins), plugins) as parts:
            protector = Protector(plugins, parts.signer, parts.signer.subject)
            to = Credential(ProtectionKind.MAC, "", secret=secret)
            assert header.message_time is not None
            assert header.time is not None
            return (await protector.answer(header, body, to=to, now=header.time)).raw


@dataclass(eq=False)
class Watcher:
    """An observer that raises at a checkpoint, once."""

    at: dict[str, BaseException] = field(default_factory=dict)

    @hookimpl
    def cmpkit_observers(self) -> Iterable[Watcher]:
        return [self]

    def observe(self, event: Event) -> None:
        if event.name == "checkpoint":
            error = self.at.pop(str(event.details["point"]), None)
            if error is not None:
                raise error


@dataclass(eq=False)
class Device:
    """A folder with what a device has, and the commands that it runs."""

    home: Path
    road: Road
    watcher: Watcher
    plugins: Plugins

    @classmethod
    def of(cls, home: Path, config: Path) -> Device:
        road, watcher = Road(config), Watcher()
        plugins = load_plugins([("road", road), ("watcher", watcher)])
        (home / "dev-42.secret").write_text(f"{SECRET}\n")
        return cls(home, road, watcher, plugins)

    @property
    def state(self) -> Path:
        return self.home / "state"

    @property
    def saved(self) -> list[Path]:
        """Transactions that are not finished."""
        return sorted(self.state.glob("*.json")) if self.state.exists() else []

    @property
    def trusted(self) -> Path:
        return self.road.config.parent / "trust.pem"

    def path(self, name: str) -> Path:
        return self.home / name

    def run(self, *arguments: object, status: int = 0, env: dict[str, str] | None = None) -> Outcome:
        return run(*arguments, status=status, env=env, plugins=self.plugins)

    def command(self, name: str, *arguments: object, status: int = 0, trust: bool = True, **run: Any) -> Outcome:
        """A command with URL, trust anchor and state folder."""
        anchors = ("--trusted", self.trusted) if trust else ()
        return self.run(name, URL, *anchors, "--state", self.state, *arguments, status=status, **run)

    def enroll(self, *arguments: object, status: int = 0, **run: Any) -> Outcome:
        """``cmpkit enroll`` as in the README, with more options."""
        return self.command("enroll", *self.by_secret(), *self.wanted(), *arguments, status=status, **run)

    def by_secret(self) -> tuple[object, ...]:
        return ("--ref", "dev-42", "--secret", f"file:{self.path('dev-42.secret')}")

    def by_certificate(self, name: str = "dev-42") -> tuple[object, ...]:
        return ("--cert", self.path(f"{name}.pem"), "--key", self.path(f"{name}.key"))

    def wanted(self, name: str = "dev-42") -> tuple[object, ...]:
        return (
            *("--subject", "CN=dev-42", "--newkey", self.path(f"{name}.key")),
            *("--certout", self.path(f"{name}.pem")),
        )

    async def issued(self) -> list[CertificateRecord]:
        """The certificates for dev-42 in the server's store."""
        plugins = server_plugins()
        async with open_store(load_configuration(self.road.config, plugins), plugins) as store:
            return [record for record in await store.certificates() if record.subject == "CN=dev-42"]
