"""A registration authority between clients and a CA, without a network, and an upstream that can be made to fail."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
from authorities import TrustingCA
from cryptography import x509

from cmpkit import oids
from cmpkit.asn1 import (
    ErrorMsgContent,
    InfoTypeAndValue,
    Null,
    PKIBody,
    PKIMessage,
    PKIStatusInfo,
    PollReq,
    decode_message,
    distinguished_name,
)
from cmpkit.ca.approval import Approvals
from cmpkit.ca.secrets import StoredSecrets
from cmpkit.crypto.keys import generate_key
from cmpkit.endpoints.client import Client
from cmpkit.endpoints.credentials import Credentials, SigningCredentials
from cmpkit.endpoints.protector import Protector
from cmpkit.endpoints.requests import Prover, Wish, certificate_request
from cmpkit.endpoints.server import Server
from cmpkit.endpoints.settings import ServerSettings
from cmpkit.endpoints.trust import AnswerVerifier
from cmpkit.endpoints.verifier import ServerVerifier
from cmpkit.engine.header import request_header
from cmpkit.enums import BodyType, PKIStatus
from cmpkit.errors import TransportError
from cmpkit.parts import (
    Answer,
    AuditEntry,
    Authenticated,
    CertificateRequest,
    Grant,
    Peer,
    RelayState,
    Road,
    SecretRecord,
    SharedSecret,
    Store,
)
from cmpkit.relay.relay import Relay
from cmpkit.relay.upstream import Upstream
from cmpkit.relay.wrapping import OwnProtection, Wrapper
from cmpkit.transports import MemoryRoad

PEER = Peer("memory", "192.0.2.7")
KEY = bytes(32)
SOON = timedelta(seconds=0.05)


class AnyPolicy:
    """Lets everything pass, as it came or as it is told."""

    name = "any"
    change: Callable[[CertificateRequest], CertificateRequest] | None = None

    async def authorize(self, body_type: BodyType, auth: Authenticated, **_: Any) -> None:
        """Everybody may everything."""

    async def authorize_request(self, request: CertificateRequest, auth: Authenticated, **_: Any) -> CertificateRequest:
        return request if self.change is None else self.change(request)


@dataclass
class Line:
    """The road to the upstream: it passes messages to a handler, and does what it is told with them.

    :param sent: every message that reached it.
    :param fail: raises, waits, or makes another answer of the upstream's.
    """

    handler: Callable[[bytes, Peer], Awaitable[Answer]]
    sent: list[bytes] = field(default_factory=list)
    before: Callable[[bytes], Awaitable[None]] | None = None
    after: Callable[[bytes], Awaitable[bytes]] | None = None
    answered: list[bytes] = field(default_factory=list)

    async def exchange(self, request: bytes) -> bytes:
        self.sent.append(request)
        if self.before is not None:
            await self.before(request)
        answer = (await self.handler(request, Peer("line"))).der
        assert answer is not None
        self.answered.append(answer)
        return answer if self.after is None else await self.after(answer)

    async def aclose(self) -> None:
        """Nothing to give up."""


@dataclass
class Authority:
    """A registration authority with a store of its own; made anew by each :meth:`running`.

    :param forward: unchanged, nest, batch or reprotect.
    """

    ca: TrustingCA
    signer: SigningCredentials
    directory: Path
    forward: str = "unchanged"
    road: Road | None = None
    policy: Any = field(default_factory=AnyPolicy)
    approvals: Approvals = field(default_factory=Approvals)
    settings: ServerSettings = field(default_factory=ServerSettings)
    verify: bool = True
    terms: dict[str, Any] = field(default_factory=dict)
    relay: Relay = field(init=False)
    store: Store = field(init=False)

    def __post_init__(self) -> None:
        self.line = Line(self.ca.handle)

    @property
    def url(self) -> str:
        return f"sqlite:///{self.directory}/ra.db"

    async def make(self) -> None:
        await self.ca.plugins.store(self.url).create(self.url)

    def server(self, store: Store) -> Server:
        plugins = self.ca.plugins
        verifier = ServerVerifier(plugins, store, [StoredSecrets(store)], (), self.ca.trust, self.ca.issuing.all)
        protector = Protector(plugins, self.signer, self.signer.subject)
        base = self.ca.server(store)
        return replace(base, verifier=verifier, protector=protector, settings=self.settings)

    def upstream(self) -> Upstream:
        own = OwnProtection(self.ca.plugins, self.signer)
        protector = Protector(self.ca.plugins, self.signer, self.signer.subject)
        return Upstream(
            "ca",
            self.road or self.line,
            AnswerVerifier(self.ca.plugins, self.signer, self.ca.trust),
            Wrapper(self.forward, own, protector),
            own,
            **{"check_after": timedelta(0), **self.terms},
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Relay]:
        """The endpoint, as one process has it."""
        self.store = self.ca.plugins.store(self.url).open(self.url, sealing_key=KEY)
        self.relay = Relay(
            self.server(self.store),
            self.upstream(),
            self.policy,
            approvals=self.approvals,
            secrets=[StoredSecrets(self.store)],
            sleep=self.pause,
        )
        try:
            async with anyio.create_task_group() as tasks:
                await tasks.start(self.relay.run)
                yield self.relay
                tasks.cancel_scope.cancel()
        finally:
            with anyio.CancelScope(shield=True):
                await self.store.aclose()

    @staticmethod
    async def pause(seconds: float) -> None:
        await anyio.sleep(min(seconds, 0.02))

    async def handle(self, der: bytes, peer: Peer = PEER) -> Answer:
        return await self.relay.handle(decode_message(der), peer, verify=self.verify)

    async def ask(self, message: PKIMessage | bytes) -> PKIMessage:
        """What it answers to a message."""
        der = (await self.handle(message if isinstance(message, bytes) else message.raw)).der
        assert der is not None
        return decode_message(der)

    def client(self, credentials: Credentials, **options: Any) -> Client:
        """A device that reaches the authority only."""
        return self.ca.client(credentials, transport=MemoryRoad(self.handle), **options)

    async def message(
        self, secret: SharedSecret, body: PKIBody, to: PKIMessage | None = None, *, implicit_confirm: bool = False
    ) -> PKIMessage:
        """A message of a device.

        :param to: the answer that it goes on from.
        """
        own = OwnProtection(self.ca.plugins, secret)
        transaction_id = secrets.token_bytes(16) if to is None else to.header.transaction_id or b""
        header = request_header(
            pvno=2,
            sender=distinguished_name(own.sender) or x509.Name([]),
            recipient=x509.Name([]),
            sender_kid=own.sender_kid,
            protection_alg=own.algorithm(transaction_id),
            transaction_id=transaction_id,
            recip_nonce=None if to is None else to.header.sender_nonce,
            now=self.ca.clock(),
            general_info=[InfoTypeAndValue(oids.IMPLICIT_CONFIRM, Null())] if implicit_confirm else (),
        )
        return decode_message((await own.protect(PKIMessage(header, body))).raw)

    async def request(self, secret: SharedSecret, *, confirm: bool = False) -> PKIMessage:
        """An ir of a device, for a certificate that it need not confirm unless it wants to."""
        key = generate_key("p256", self.ca.plugins)
        sender = distinguished_name(OwnProtection(self.ca.plugins, secret).sender)
        wish = Wish(key=key, subject=sender)
        assert sender is not None
        body = await certificate_request(BodyType.IR, wish, sender=sender, prover=Prover(self.ca.plugins, secret))
        return await self.message(secret, body, implicit_confirm=not confirm)

    async def poll(self, secret: SharedSecret, to: PKIMessage, number: int = 0) -> PKIMessage:
        """A pollReq."""
        return await self.message(secret, PKIBody(BodyType.POLL_REQ, [PollReq(cert_req_id=number)]), to)

    async def error(self, secret: SharedSecret, to: PKIMessage) -> PKIMessage:
        """An error, by which a device ends a transaction."""
        status = PKIStatusInfo.of(PKIStatus.REJECTION, ["enough"])
        return await self.message(secret, PKIBody(BodyType.ERROR, ErrorMsgContent(pki_status_info=status)), to)

    async def add_secret(self, secret: SharedSecret, *, subject: x509.Name | None = None, **grant: Any) -> None:
        """A shared secret that the authority knows."""
        await self.store.add_secret(SecretRecord(secret, Grant(**{"subject": subject, "uses": None, **grant})))

    async def audit(self, event: str) -> tuple[AuditEntry, ...]:
        return tuple(entry for entry in await self.store.audit_entries() if entry.event == event)

    async def wait_for(self, *states: RelayState, count: int = 1) -> None:
        """Until so many messages are in one of these states; none: until so many are left."""
        with anyio.fail_after(20):
            while len(await self.store.relayed_messages(upstream="ca", states=states)) != count:  # noqa: ASYNC110 - of another process
                await anyio.sleep(0.01)

    async def wait_for_audit(self, event: str) -> AuditEntry:
        with anyio.fail_after(20):
            while not (found := await self.audit(event)):  # noqa: ASYNC110 - of another process
                await anyio.sleep(0.01)
        return found[0]


async def new_secret(ra: Authority, **grant: Any) -> SharedSecret:
    """A secret that the CA and the authority know."""
    secret = await ra.ca.add_secret(f"dev-{secrets.token_hex(4)}")
    await ra.add_secret(secret, **grant)
    return secret


async def issued_to(ra: Authority, secret: SharedSecret) -> int:
    """How many certificates the CA issued to a device."""
    subject = f"CN={secret.reference.decode()}"
    return sum(record.subject == subject for record in await ra.ca.certificates())


def dead(request: bytes) -> Any:
    """For :attr:`Line.before`: nothing gets through."""

    async def fail() -> None:
        raise TransportError("the line is dead", retryable=True)

    return fail()
