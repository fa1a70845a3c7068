"""A CA, and a registration authority that does nothing but wrap what passes through it."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NamedTuple

import anyio
import pytest
from authorities import TrustingCA
from cryptography import x509

from cmpkit import Client
from cmpkit.asn1 import PKIBody, PKIMessage, decode_message, distinguished_name
from cmpkit.crypto.keys import generate_key
from cmpkit.endpoints.credentials import Credentials, SigningCredentials
from cmpkit.endpoints.protector import Protector
from cmpkit.endpoints.requests import Prover, Wish, certificate_request
from cmpkit.engine.header import request_header
from cmpkit.enums import BodyType
from cmpkit.parts import Answer, Authenticated, CertificateRequest, Grant, Peer, SecretRecord, SharedSecret
from cmpkit.plugins import load_plugins
from cmpkit.relay.wrapping import Manner, OwnProtection, Wrapper
from cmpkit.testing import InProcessCA
from cmpkit.transports import MemoryRoad


class Passage(NamedTuple):
    """One message on its way up, and its answer on its way down."""

    message: PKIMessage
    outgoing: PKIMessage
    answer: PKIMessage
    down: PKIMessage


class Secrets:
    """A secret source with one secret, that of the device."""

    name = "one"

    def __init__(self, secret: SharedSecret) -> None:
        self._secret = secret

    async def find(self, reference: bytes) -> SecretRecord | None:
        return SecretRecord(self._secret, Grant(None)) if reference == self._secret.reference else None


@dataclass
class PassingAuthority:
    """Verifies, wraps and unwraps what passes, and keeps nothing.

    :param changed: what the requests are to become.
    """

    ca: InProcessCA
    signer: SigningCredentials
    name: str = "reprotect"
    upstream: Credentials | None = None
    changed: Sequence[CertificateRequest] = ()
    include_original: bool = False
    secret: SharedSecret = field(default_factory=lambda: SharedSecret("dev-42", "only the RA knows it"))
    passages: list[Passage] = field(default_factory=list)
    manners: dict[bytes | None, Manner] = field(default_factory=dict)

    @property
    def wrapper(self) -> Wrapper:
        own = OwnProtection(self.ca.plugins, self.upstream or self.signer)
        protector = Protector(self.ca.plugins, self.signer, self.signer.subject)
        return Wrapper(self.name, own, protector, include_original=self.include_original)

    async def authenticate(self, message: PKIMessage) -> Authenticated:
        """Who sent a message, as the authority sees it."""
        async with self.ca.store() as store:
            verifier = replace(self.ca.server(store).verifier, secrets=[Secrets(self.secret)])
            known, _ = await store.load(message.header.transaction_id or b"", message.digest)
            return await verifier.verify(message, known, self.ca.clock())

    async def wrap(self, message: PKIMessage) -> PKIMessage:
        """What goes upstream for a message."""
        auth, wrapper, changed = await self.authenticate(message), self.wrapper, ()
        if message.header.transaction_id not in self.manners:
            changed = self.changed
            self.manners[message.header.transaction_id] = wrapper.manner(message, auth, changed=changed)
        manner = self.manners[message.header.transaction_id]
        outgoing = await wrapper.wrap(message, auth, manner, changed=changed, now=self.ca.clock())
        return decode_message(outgoing.raw)

    async def handle(self, der: bytes, peer: Peer) -> Answer:
        message = decode_message(der)
        outgoing = await self.wrap(message)
        auth, manner = await self.authenticate(message), self.manners[message.header.transaction_id]
        answer = decode_message((await self.ca.handle(outgoing.raw, peer)).der or b"")
        down = await self.wrapper.unwrap(answer, message, auth, manner)
        self.passages.append(Passage(message, outgoing, answer, decode_message(down.raw)))
        return Answer(down.raw)

    async def forward(self, message: PKIMessage, manner: Manner) -> Passage:
        """A message that passes in that manner, whatever the wrapping would choose."""
        auth = await self.authenticate(message)
        outgoing = await self.wrapper.wrap(message, auth, manner, now=self.ca.clock())
        answer = decode_message((await self.ca.handle(outgoing.raw, Peer("memory"))).der or b"")
        return Passage(message, outgoing, answer, await self.wrapper.unwrap(answer, message, auth, manner))

    async def message(self, body: PKIBody, credentials: Credentials | None = None, **fields: Any) -> PKIMessage:
        """A first message under these credentials, those of the device by default."""
        own, transaction_id = OwnProtection(self.ca.plugins, credentials or self.secret), secrets.token_bytes(16)
        header = request_header(
            pvno=2,
            sender=distinguished_name(own.sender) or x509.Name([]),
            recipient=x509.Name([]),
            sender_kid=own.sender_kid,
            protection_alg=own.algorithm(transaction_id),
            transaction_id=transaction_id,
            recip_nonce=None,
            now=self.ca.clock(),
        )
        return decode_message((await own.protect(PKIMessage(replace(header, **fields), body))).raw)

    async def request(
        self, operation: BodyType, *wishes: Wish, credentials: Credentials | None = None, **fields: Any
    ) -> PKIMessage:
        """A request for certificates."""
        credentials = credentials or self.secret
        sender = distinguished_name(OwnProtection(self.ca.plugins, credentials).sender) or x509.Name([])
        prover = Prover(self.ca.plugins, credentials)
        body = await certificate_request(operation, *wishes, sender=sender, prover=prover)
        return await self.message(body, credentials, **fields)

    async def device(self) -> SigningCredentials:
        """A device that has a certificate of the CA."""
        secret = await self.ca.add_secret(f"device-{secrets.token_hex(4)}")
        key = generate_key("p256", self.ca.plugins)
        enrolled = await self.ca.client(secret).enroll(subject=f"CN={secret.reference.decode()}", key=key)
        return enrolled.credentials

    async def secret_above(self) -> SharedSecret:
        """A secret that authority and CA share."""
        return await self.ca.add_secret(f"ra-{secrets.token_hex(4)}", subject=None)

    def client(self, credentials: Credentials | None = None, **options: Any) -> Client:
        """A device that reaches the authority only."""
        return self.ca.client(credentials or self.secret, transport=MemoryRoad(self.handle), **options)


class Made(NamedTuple):
    """What is made once."""

    ca: TrustingCA
    signer: SigningCredentials


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A CA and the certificate of an authority; made outside of any event loop."""
    profile = {"proofs": ["signature", "challengeResp"]}
    ca = anyio.run(partial(TrustingCA.make, tmp_path_factory.mktemp("ca"), plugins=load_plugins(), profile=profile))
    return Made(ca, anyio.run(ca.authority))


@pytest.fixture
def authority(made: Made) -> PassingAuthority:
    return PassingAuthority(made.ca, made.signer)
