"""A private key that is handed over, to be archived, as the proof that the requester has it (encryptedKey)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_der_private_key, load_der_public_key

from cmpkit.asn1 import (
    EncKeyWithID,
    OneAsymmetricKey,
    PKIMessage,
    POPOPrivKey,
    ProofOfPossession,
    Variant,
    decode,
    decode_message,
    directory_name,
    encode,
    encode_general_name,
    read_element,
)
from cmpkit.crypto.enveloping import envelop, password
from cmpkit.crypto.handed_keys import HandedKey, recipient_of
from cmpkit.crypto.keys import generate_key, key_to_pem
from cmpkit.crypto.later_proof import private_popo
from cmpkit.crypto.names import parse_name
from cmpkit.crypto.x509 import to_pem
from cmpkit.endpoints.controls import archived_key, generated_key_archival, hands_over_key
from cmpkit.endpoints.requests import Prover, Wish, certificate_request
from cmpkit.enums import BodyType, PKIFailureInfo
from cmpkit.errors import CMPError, ConfigurationError, PeerRefusal
from cmpkit.oids import CT_ENC_KEY_WITH_ID
from cmpkit.parts import Peer, PrivateKey, SharedSecret, TransportOptions
from cmpkit.plugins import Plugins, load_plugins
from cmpkit.transports.address import open_transport

from .forge import Forge, certify
from .test_recovery import PROFILE, Configure, Site, configure, opened

DEV = parse_name("CN=dev-42")
HANDED = {**PROFILE, "proofs": ["encryptedKey"]}
PEER = Peer("memory", "192.0.2.1")
__all__ = ["configure"]


@pytest.fixture(autouse=True)
def _quick_derivations(monkeypatch: pytest.MonkeyPatch) -> None:
    """How slow a password is tried is not what these tests are about."""
    monkeypatch.setattr(password, "_OWN_ITERATIONS", 1000)


ENCRYPTION = '\n[encryption]\ncertificate = "encryption.pem"\nkey = "file:keys/encryption.key.pem"\n'


def encrypting(path: Path) -> Path:
    """The configuration with a key to encrypt to."""
    path.write_text(path.read_text() + ENCRYPTION)
    return path


async def make_encryption_key(path: Path) -> bytes:
    """DER of the certificate that the configuration names for that."""
    plugins = load_plugins()
    key = generate_key("x25519", plugins)
    certificate = await certify(key, DEV, generate_key("p256", plugins), DEV)
    (path.parent / "encryption.pem").write_bytes(to_pem(certificate))
    (path.parent / "keys/encryption.key.pem").write_bytes(key_to_pem(key))
    return certificate


@pytest.fixture
async def site(configure: Configure) -> AsyncIterator[Site]:
    async with opened(configure(device=HANDED)) as site:
        yield site


async def refusal(site: Site, secret: SharedSecret, key: PrivateKey, *, controls: Any = (), proof: Any = None) -> Any:
    wish = Wish(key=key, subject=DEV, proof=proof or HandedKey(secret), controls=controls)
    with pytest.raises(PeerRefusal) as caught:
        await site.client(secret).obtain(wish)
    assert await site.store.archived_keys(subject="CN=dev-42", profile="device") == ()
    return caught.value.fail_info


class Recording:
    """A road that keeps what is sent."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.sent: list[PKIMessage] = []

    async def exchange(self, request: bytes) -> bytes:
        self.sent.append(decode_message(request))
        answer: bytes = await self.inner.exchange(request)
        return answer

    async def aclose(self) -> None:
        await self.inner.aclose()


@pytest.mark.parametrize(
    ("kind", "tag"), [("rsa2048", "key_encipherment"), ("x25519", "key_agreement"), ("p256", "key_agreement")]
)
@pytest.mark.parametrize("to", ["secret", "certificate"])
@pytest.mark.rule("R-074")
async def test_a_key_is_proven_by_handing_it_over(configure: Configure, kind: str, tag: str, to: str) -> None:
    """R-074, over HTTP: for whom it is encrypted says the shared secret, or the certificate of caProtEncCert."""
    path = encrypting(configure(device=HANDED))
    certificate = await make_encryption_key(path)
    address, shutdown = "http://127.0.0.1:0/.well-known/cmp", anyio.Event()
    async with opened(path) as site, anyio.create_task_group() as tasks:
        serve = partial(site.plugins.server_transport(address).serve, address, site.handle)
        url = await tasks.start(partial(serve, max_message_size=1 << 20, shutdown=shutdown))
        secret, key = await site.secret(), site.key(kind)
        road = Recording(open_transport(site.plugins, url, TransportOptions()))
        async with site.client(secret, transport=road) as client:
            wish = Wish(key=key, subject=DEV, proof=HandedKey(secret if to == "secret" else certificate))
            enrolled = await client.obtain(wish)
        shutdown.set()
        (found,) = await site.store.archived_keys(subject="CN=dev-42", profile="device")
    assert found.certificate.der == enrolled.certificate
    assert load_der_private_key(found.private_key, None).public_key() == load_der_public_key(key.public_key_info)
    popo = road.sent[0].body.content[0].popo
    assert (popo.tag, read_element(popo.value, POPOPrivKey).tag) == (tag, "encrypted_key")
    assert road.sent[0].header.pvno == 3


@pytest.mark.rule("R-069")
async def test_a_profile_has_to_allow_it(configure: Configure) -> None:
    async with opened(configure(device=PROFILE)) as site:
        assert await refusal(site, await site.secret(), site.key()) is PKIFailureInfo.BAD_POP


@pytest.mark.rule("R-074")
async def test_it_is_for_keys_that_are_archived_only(configure: Configure) -> None:
    """R-074: RFC 9810 section 5.2.8.3.1."""
    device = {key: value for key, value in HANDED.items() if key not in ("archive", "recovery")}
    async with opened(configure(device=device)) as site:
        assert await refusal(site, await site.secret(), site.key()) is PKIFailureInfo.BAD_REQUEST


@dataclass(frozen=True)
class Other(HandedKey):
    """Hands over another key, or says that it is somebody else's.

    :param identifier: of EncKeyWithID; ``None`` leaves it out.
    """

    other: PrivateKey | None = None
    identifier: x509.Name | str | None = None

    async def prove(self, key: PrivateKey, holder: x509.Name, *, plugins: Plugins) -> ProofOfPossession:
        named: Any = None
        if isinstance(self.identifier, str):
            named = Variant(self.identifier, "string")
        elif self.identifier is not None:
            named = Variant(encode_general_name(directory_name(self.identifier)), "general_name")
        handed = decode(OneAsymmetricKey, (self.other or key).to_pkcs8())
        content = encode(EncKeyWithID(private_key=handed, identifier=named))
        enveloped = await envelop(content, recipient_of(self.server), plugins=plugins, content_type=CT_ENC_KEY_WITH_ID)
        return private_popo(key, Variant(enveloped, "encrypted_key"))


async def test_another_key_proves_nothing(site: Site) -> None:
    secret = await site.secret()
    proof = Other(secret, site.key(), DEV)
    assert await refusal(site, secret, site.key(), proof=proof) is PKIFailureInfo.BAD_POP


@pytest.mark.parametrize("identifier", [None, "dev-43", parse_name("CN=dev-43")], ids=["none", "text", "name"])
async def test_a_key_that_is_not_said_to_be_the_requesters_proves_nothing(site: Site, identifier: Any) -> None:
    """RFC 4211 section 4.2.1: otherwise, what one requester handed over would prove the key of the next."""
    secret = await site.secret()
    proof = Other(secret, identifier=identifier)
    assert await refusal(site, secret, site.key(), proof=proof) is PKIFailureInfo.BAD_POP


@pytest.mark.parametrize("identifier", ["dev-42", parse_name("CN=DEV-42")], ids=["text", "name"])
async def test_it_may_name_its_owner_by_name_or_by_the_reference_of_the_secret(site: Site, identifier: Any) -> None:
    secret = await site.secret()
    proof = Other(secret, identifier=identifier)
    assert (await site.client(secret).obtain(Wish(key=site.key(), subject=DEV, proof=proof))).certificate


@pytest.mark.rule("R-074")
async def test_it_is_handed_over_once(site: Site) -> None:
    secret, key = await site.secret(), site.key()
    for control in (
        await archived_key(key, secret, DEV, plugins=site.plugins),
        generated_key_archival(False),
    ):
        assert await refusal(site, secret, key, controls=(control,)) is PKIFailureInfo.BAD_REQUEST


@pytest.mark.rule("R-074")
async def test_it_needs_version_3(site: Site) -> None:
    secret = await site.secret()
    forge = Forge(site.plugins, secret, site.clock)
    wish, prover = Wish(key=site.key(), subject=DEV, proof=HandedKey(secret)), Prover(site.plugins, secret)
    body = await certificate_request(BodyType.IR, wish, sender=DEV, prover=prover)
    assert hands_over_key(body)
    answer = decode_message((await site.handle((await forge.message(body, pvno=2)).raw, PEER)).der)
    assert answer.body.content.response[0].status.failures is PKIFailureInfo.BAD_REQUEST


async def test_a_signing_key_is_not_proven_so(site: Site) -> None:
    secret = await site.secret()
    with pytest.raises(CMPError, match="nothing can be encrypted to a key of type ed25519"):
        await site.client(secret).obtain(Wish(key=site.key("ed25519"), subject=DEV, proof=HandedKey(secret)))
    with pytest.raises(ConfigurationError, match="give a prover"):
        await certificate_request(BodyType.IR, Wish(key=site.key(), subject=DEV, proof=HandedKey(secret)), sender=DEV)
