"""Keys that the server generates: who gets one, how it travels, and what either side refuses (rules R-170 to R-176)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_der_private_key, load_der_public_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from cmpkit import oids
from cmpkit.asn1 import CertRepMessage, EnvelopedData, SubjectPublicKeyInfo, decode, decode_message, encode
from cmpkit.ca.approval import Approvals, decide_request
from cmpkit.ca.certificates import read_issuer_certificate
from cmpkit.ca.issuer import LocalIssuer
from cmpkit.ca.key_generation import KeyGeneration, check_key_generation
from cmpkit.ca.profiles import load_profile
from cmpkit.crypto.enveloping import PasswordRecipient, password
from cmpkit.crypto.key_packages import TOLERATE_BARE_KEY, open_key_package, seal_key_package
from cmpkit.crypto.keys import generate_key, load_private_key
from cmpkit.crypto.names import parse_name
from cmpkit.crypto.x509 import CertificateContent, build_certificate, extension, key_identifier, random_serial
from cmpkit.endpoints.central_keys import CentralKey
from cmpkit.endpoints.controls import protocol_encryption_key
from cmpkit.endpoints.enrolled import Enrolled
from cmpkit.endpoints.requests import Wish, certificate_request
from cmpkit.enums import BodyType, PKIFailureInfo
from cmpkit.errors import CMPError, ConfigurationError, PeerRefusal, StillWaiting, TrustError
from cmpkit.parts import CertificateRecord, CertificateState, Decision, Pending, PrivateKey, SharedSecret

from .conftest import World
from .forge import NOW, Forge

USAGES = ("digitalSignature", "keyAgreement", "keyEncipherment")


@pytest.fixture(autouse=True)
def _quick_derivations(monkeypatch: pytest.MonkeyPatch) -> None:
    """How slow a password is tried is not what these tests are about."""
    monkeypatch.setattr(password, "_OWN_ITERATIONS", 1000)


@dataclass
class Authority:
    """A world whose profile generates keys."""

    world: World
    key: PrivateKey

    def generating(self, tolerances: frozenset[str] = frozenset(), **table: Any) -> World:
        """With a profile like this; unless it says otherwise, it generates keys."""
        world = self.world
        settings = {"key_generation": "central", "key_usage": USAGES, **table}
        profiles = {"device": load_profile("device", settings, world.plugins)}
        issuer = LocalIssuer(read_issuer_certificate(world.issuing), self.key, world.store, profiles)
        signer = world.signer
        generation = KeyGeneration(world.plugins, profiles, signer.key, signer.extra_certs, tolerances)
        return world.with_(issuer=issuer, key_generation=generation, tolerances=tolerances)

    async def certificate(
        self, name: str, key: PrivateKey, *, issuer_key: PrivateKey | None = None, **options: Any
    ) -> bytes:
        """A certificate by the CA of the world, or by another one of that name."""
        authority = read_issuer_certificate(self.world.issuing)
        content = CertificateContent(
            serial_number=random_serial(),
            issuer=authority.subject,
            subject=parse_name(f"CN={name}"),
            not_before=NOW,
            not_after=authority.not_after,
            public_key_info=key.public_key_info,
            extensions=(
                extension(x509.ExtendedKeyUsage(options.get("purposes", [oids.KP_CM_KGA]))),
                extension(x509.SubjectKeyIdentifier(key_identifier(key.public_key_info))),
            ),
        )
        return await build_certificate(content, issuer_key or self.key)


@pytest.fixture
async def authority(world: World) -> Authority:
    key = load_private_key((world.directory / "keys/issuing.key.pem").read_bytes(), None, world.plugins)
    return Authority(world, key)


async def issued(world: World) -> tuple[CertificateRecord, ...]:
    """What clients got."""
    return tuple(record for record in await world.store.certificates() if record.profile == "device")


async def enroll(world: World, key: CentralKey | None = None, **options: Any) -> Enrolled:
    secret = await world.secret(uses=None)
    return await world.client(secret, **options).enroll("CN=dev-42", key or CentralKey())


@pytest.mark.rule("R-171")
async def test_key_comes_with_its_certificate_under_a_secret(authority: Authority) -> None:
    world = authority.generating()
    enrolled = await enroll(world)
    assert enrolled.key is not None
    assert enrolled.key.key_type == "p256"
    certificate = x509.load_der_x509_certificate(enrolled.certificate)
    assert certificate.public_key() == _public(enrolled.key)
    (record,) = await issued(world)
    assert record.state is CertificateState.VALID


def _public(key: PrivateKey) -> Any:
    return load_der_public_key(key.public_key_info)


@pytest.mark.rule("R-175")
async def test_nothing_that_is_stored_or_logged_has_the_key_in_clear(authority: Authority) -> None:
    world = authority.generating()
    enrolled = await enroll(world)
    assert enrolled.key is not None
    secret_number = _number(enrolled.key)
    kept = b"".join(path.read_bytes() for path in world.directory.glob("cmpkit.db*"))
    assert enrolled.certificate in kept
    assert secret_number not in kept
    assert secret_number.hex() not in repr(world.watcher.events)


def _number(key: PrivateKey) -> bytes:
    """The octets of the private key of a P-256 key, by which everything else can be had."""
    private: Any = load_der_private_key(key.to_pkcs8(), None)
    return int(private.private_numbers().private_value).to_bytes(32)


@pytest.mark.rule("R-170")
@pytest.mark.parametrize("wanted", ["p384", "rsa2048", "ed25519", "x25519"])
async def test_key_is_of_the_algorithm_that_was_asked_for(authority: Authority, wanted: str) -> None:
    world = authority.generating()
    enrolled = await enroll(world, CentralKey.of_type(wanted, world.plugins))
    assert enrolled.key is not None
    assert enrolled.key.key_type == wanted


async def test_profile_chooses_among_its_key_types(authority: Authority) -> None:
    world = authority.generating(key_types=["p521", "rsa3072", "rsa2048"])
    of_profile = await enroll(world)
    assert of_profile.key is not None
    assert of_profile.key.key_type == "p521"
    rsa = await world.client(SharedSecret("dev-42", "correct horse battery staple")).enroll(
        "CN=dev-42", CentralKey.of_type("rsa2048", world.plugins)
    )
    assert rsa.key is not None
    assert rsa.key.key_type == "rsa3072"


@pytest.mark.rule("R-172")
@pytest.mark.parametrize("wanted", ["p256", "rsa2048"])
async def test_key_is_encrypted_for_the_certificate_that_signs(authority: Authority, wanted: str) -> None:
    world = authority.generating()
    secret = await world.secret()
    own = await world.client(secret).enroll("CN=dev-42", generate_key(wanted, world.plugins))
    client = world.client(own.credentials)
    for come in (client.certify("CN=dev-42", CentralKey()), client.update(key=CentralKey())):
        enrolled = await come
        assert enrolled.key is not None
        assert enrolled.key.public_key_info != own.credentials.key.public_key_info


@pytest.mark.rule("R-172")
async def test_signer_that_nothing_can_be_encrypted_for_is_told_so(authority: Authority) -> None:
    world = authority.generating(key_usage=["digitalSignature"])
    own = await world.client(await world.secret()).enroll("CN=dev-42")
    with pytest.raises(PeerRefusal) as refused:
        await world.client(own.credentials).certify("CN=dev-42", CentralKey())
    assert refused.value.fail_info is PKIFailureInfo.BAD_ALG


@pytest.mark.rule("R-170")
async def test_profile_that_generates_no_keys_refuses(authority: Authority) -> None:
    for world in (authority.generating(key_generation="requester"), authority.world):
        secret = SharedSecret("dev-42", "correct horse battery staple")
        if not await world.store.secrets():
            await world.secret(uses=None)
        with pytest.raises(PeerRefusal) as refused:
            await world.client(secret).enroll("CN=dev-42", CentralKey())
        assert refused.value.fail_info is PKIFailureInfo.BAD_CERT_TEMPLATE
    assert not await issued(authority.world)


async def test_algorithm_that_the_profile_does_not_have_is_refused(authority: Authority) -> None:
    world = authority.generating(key_types=["p256"])
    with pytest.raises(PeerRefusal) as refused:
        await enroll(world, CentralKey.of_type("p384", world.plugins))
    assert refused.value.fail_info is PKIFailureInfo.BAD_ALG


@pytest.mark.rule("R-175")
async def test_issuer_elsewhere_is_asked_again_for_the_same_key_which_is_forgotten_then(authority: Authority) -> None:
    asked: list[bytes] = []

    class Elsewhere(LocalIssuer):
        local = False

        async def issue(self, request: Any, *arguments: Any, **options: Any) -> Any:
            asked.append(request.public_key_info)
            return await super().issue(request, *arguments, **options) if len(asked) > 1 else Pending(0)

    world = authority.generating()
    world.issuer.__class__ = Elsewhere
    enrolled = await enroll(world)
    assert asked == [enrolled.key.public_key_info] * 2
    (record,) = await issued(world)
    assert await world.store.undertaking("generated key", record.request_key) is None


async def ask(world: World, *, pvno: int = 3, change: Callable[[Any], Any] = lambda body: body, **wish: Any) -> Any:
    """The answer to an ir that leaves the key to the server."""
    secret = await world.secret(uses=None)
    forge = Forge(world.plugins, secret, world.clock)
    wanted = Wish(**{"key": CentralKey(), "subject": parse_name("CN=dev-42"), **wish})
    body = await certificate_request(BodyType.IR, wanted, sender=forge.sender)
    message = await forge.message(change(body), pvno=pvno)
    return decode_message((await world.handle(message.raw)).der)


def refusal_of(answer: Any) -> PKIFailureInfo:
    content: CertRepMessage = answer.body.content
    return content.response[0].status.failures


@pytest.mark.rule("R-170")
async def test_pvno_2_is_refused_unless_openssl_is_tolerated(
    authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    assert refusal_of(await ask(authority.generating(), pvno=2)) is PKIFailureInfo.BAD_CERT_TEMPLATE
    assert 'or allow it: tolerances = ["openssl-central-keygen"] at a server' in caplog.text


async def test_pvno_2_is_answered_in_kind_where_openssl_is_tolerated(authority: Authority) -> None:
    answer = await ask(authority.generating(frozenset({TOLERATE_BARE_KEY})), pvno=2)
    assert answer.header.pvno == 2
    (response,) = answer.body.content.response
    assert response.certified_key_pair.private_key.tag == "enveloped_data"


@pytest.mark.rule("R-170")
async def test_proof_of_a_key_that_is_not_there_is_refused(authority: Authority) -> None:
    world = authority.generating()
    with_key = await certificate_request(
        BodyType.IR,
        Wish(key=generate_key("p256", world.plugins), subject=parse_name("CN=dev-42")),
        sender=parse_name("CN=dev-42"),
    )
    (proven,) = with_key.content

    def add_proof(body: Any) -> Any:
        (asked,) = body.content
        return replace(body, content=[type(asked)(cert_req=asked.cert_req, popo=proven.popo)])

    assert refusal_of(await ask(world, change=add_proof)) is PKIFailureInfo.BAD_CERT_TEMPLATE


@pytest.mark.rule("R-172")
async def test_key_is_encrypted_for_the_key_that_the_request_names(authority: Authority) -> None:
    world = authority.generating()
    other = generate_key("x25519", world.plugins)
    answer = await ask(world, controls=(protocol_encryption_key(other.public_key_info),))
    enveloped = answer.body.content.response[0].certified_key_pair.private_key.value
    delivered = await open_key_package(enveloped, other, plugins=world.plugins)
    assert delivered.signer == world.signer.certificate
    with pytest.raises(CMPError, match="cannot be decrypted"):
        await open_key_package(enveloped, SharedSecret("dev-42", "correct horse battery staple"), plugins=world.plugins)


async def test_key_named_to_encrypt_for_must_be_able_to(authority: Authority) -> None:
    world = authority.generating()
    other = generate_key("ed25519", world.plugins)
    answer = await ask(world, controls=(protocol_encryption_key(other.public_key_info),))
    assert refusal_of(answer) is PKIFailureInfo.BAD_ALG


@pytest.mark.rule("R-170")
async def test_template_may_have_no_key_or_an_empty_one(authority: Authority) -> None:
    empty = CentralKey.of_type("p256", authority.world.plugins).template_key
    assert isinstance(empty, SubjectPublicKeyInfo)
    assert empty.subject_public_key.as_bytes() == b""
    assert CentralKey().template_key is None


class Meddling(KeyGeneration):
    """A key generation authority that hands over something else."""

    other: Callable[[EnvelopedData], EnvelopedData | None]

    async def issue(self, *arguments: Any, **options: Any) -> Any:
        result = await super().issue(*arguments, **options)
        changed: Any = self.other(result.private_key)
        return replace(result, private_key=await changed if hasattr(changed, "__await__") else changed)


def meddling(world: World, other: Callable[[EnvelopedData], Any]) -> World:
    """The world, with something else in place of the key that is handed over."""
    honest = world.key_generation
    assert honest is not None
    generation = Meddling(honest.plugins, honest.profiles, honest.signer, honest.certificates)
    object.__setattr__(generation, "other", other)
    return world.with_(key_generation=generation)


async def refuse(world: World, match: str, key: CentralKey | None = None) -> None:
    """The client refuses what comes, and the server revokes the certificate."""
    with pytest.raises(TrustError, match=match):
        await enroll(world, key)
    (record,) = await issued(world)
    assert record.state is CertificateState.REVOKED


@pytest.mark.rule("R-174")
async def test_client_refuses_a_key_that_is_not_that_of_the_certificate(authority: Authority) -> None:
    world = authority.generating()

    async def another(_: EnvelopedData) -> EnvelopedData:
        return await seal_key_package(
            generate_key("p256", world.plugins),
            PasswordRecipient(SharedSecret("dev-42", "correct horse battery staple")),
            signer=world.signer.key,
            certificates=world.signer.extra_certs,
            plugins=world.plugins,
        )

    await refuse(meddling(world, another), "another public key")


@pytest.mark.rule("R-174")
async def test_client_refuses_a_key_that_is_damaged(authority: Authority) -> None:
    def damage(enveloped: EnvelopedData) -> EnvelopedData:
        octets = bytearray(encode(enveloped))
        octets[-1] ^= 1
        return decode(EnvelopedData, bytes(octets))

    await refuse(meddling(authority.generating(), damage), "cannot be decrypted")


@pytest.mark.rule("R-171")
async def test_client_wants_the_key_beside_the_certificate(authority: Authority) -> None:
    with pytest.raises(TrustError, match="no private key as EnvelopedData"):
        await enroll(meddling(authority.generating(), lambda _: None))


@pytest.mark.rule("R-174")
async def test_client_refuses_a_key_of_another_algorithm(authority: Authority) -> None:
    world = authority.generating()
    honest = world.key_generation
    assert honest is not None

    class Stubborn(KeyGeneration):
        def _key_type(self, request: Any) -> str:
            return "p256"

    stubborn = Stubborn(honest.plugins, honest.profiles, honest.signer, honest.certificates)
    asked = CentralKey.of_type("p384", world.plugins)
    await refuse(world.with_(key_generation=stubborn), "which was not asked for", asked)


async def signed_by(authority: Authority, key: PrivateKey, *certificates: bytes) -> World:
    """The world, where that key signs what is handed over."""
    world = authority.generating()
    assert world.key_generation is not None
    return world.with_(key_generation=replace(world.key_generation, signer=key, certificates=certificates))


@pytest.mark.rule("R-173")
async def test_authority_may_have_a_certificate_for_that_alone(authority: Authority) -> None:
    key = generate_key("p256", authority.world.plugins)
    world = await signed_by(authority, key, await authority.certificate("kga", key))
    assert (await enroll(world)).key is not None


@pytest.mark.rule("R-173")
async def test_ca_may_sign_itself(authority: Authority) -> None:
    world = await signed_by(authority, authority.key, authority.world.issuing[0])
    assert (await enroll(world)).key is not None


@pytest.mark.rule("R-173")
async def test_client_refuses_a_signer_that_is_no_authority_for_keys(authority: Authority) -> None:
    key = generate_key("p256", authority.world.plugins)
    purposes = [oids.KP_CMC_CA, ExtendedKeyUsageOID.CLIENT_AUTH]
    world = await signed_by(authority, key, await authority.certificate("kga", key, purposes=purposes))
    await refuse(world, "no extended key usage cmKGA")


@pytest.mark.rule("R-173")
async def test_client_refuses_a_signer_that_leads_to_no_trust_anchor(authority: Authority) -> None:
    key, stranger = (generate_key("p256", authority.world.plugins) for _ in range(2))
    world = await signed_by(authority, key, await authority.certificate("kga", key, issuer_key=stranger))
    await refuse(world, "no key generation authority")


async def test_key_is_kept_before_its_certificate_is_confirmed(authority: Authority) -> None:
    world = authority.generating()
    states: list[CertificateState] = []
    kept: list[PrivateKey] = []

    async def keep(key: PrivateKey) -> None:
        kept.append(key)
        states.extend([record.state for record in await issued(world)])

    enrolled = await enroll(world, keep_key=keep)
    assert enrolled.key is not None
    assert [key.public_key_info for key in kept] == [enrolled.key.public_key_info]
    assert states == [CertificateState.ISSUED]


async def test_what_cannot_be_kept_is_not_confirmed_and_can_be_resumed(authority: Authority, tmp_path: Path) -> None:
    world = authority.generating()

    async def fail(key: PrivateKey) -> None:
        raise ConfigurationError("the disk is full")

    with pytest.raises(ConfigurationError, match="the disk is full"):
        await enroll(world, keep_key=fail, state=tmp_path)
    (record,) = await issued(world)
    assert record.state is CertificateState.ISSUED
    (saved,) = [path async for path in anyio.Path(tmp_path).glob("*.json")]
    client = world.client(SharedSecret("dev-42", "correct horse battery staple"), state=tmp_path)
    resumed = await client.resume(Path(saved))
    assert resumed.key is not None
    assert resumed.certificate == record.der
    assert (await issued(world))[0].state is CertificateState.VALID


async def test_saved_transaction_holds_the_key_encrypted_and_gives_it_again(
    authority: Authority, tmp_path: Path
) -> None:
    world = authority.generating()
    enrolled = await enroll(world, state=tmp_path)
    assert enrolled.saved is not None
    assert enrolled.key is not None
    client = world.client(SharedSecret("dev-42", "correct horse battery staple"), state=tmp_path)
    again = await client.resume(enrolled.saved)
    assert again.key.to_pkcs8() == enrolled.key.to_pkcs8()


async def test_key_is_made_once_a_person_agreed(authority: Authority, tmp_path: Path) -> None:
    world = authority.generating(approval="manual")
    assert world.key_generation is not None
    world = world.with_(approvals=Approvals(world.key_generation.profiles))
    with pytest.raises(StillWaiting):
        await enroll(world, state=tmp_path, total_timeout=30, sleep=world.clock.sleep)
    (held,) = await world.store.held_requests(now=world.clock())
    assert held.facts["key_type"] == "p256, generated here"
    assert not await issued(world)
    await decide_request(world.store, held, Decision(held.key, True, by="alice", at=world.clock()))
    (saved,) = [path async for path in anyio.Path(tmp_path).glob("*.json")]
    client = world.client(
        SharedSecret("dev-42", "correct horse battery staple"),
        state=tmp_path,
        sleep=world.clock.sleep,
        total_timeout=300,
    )
    enrolled = await client.resume(Path(saved))
    assert enrolled.key is not None
    (record,) = await issued(world)
    assert record.state is CertificateState.VALID


async def test_nobody_is_asked_to_agree_to_what_cannot_be_handed_over(authority: Authority) -> None:
    world = authority.generating(approval="manual")
    assert world.key_generation is not None
    world = world.with_(approvals=Approvals(world.key_generation.profiles))
    useless = generate_key("ed25519", world.plugins)
    answer = await ask(world, controls=(protocol_encryption_key(useless.public_key_info),))
    assert refusal_of(answer) is PKIFailureInfo.BAD_ALG
    assert not await world.store.held_requests(now=world.clock())


@pytest.mark.rule("R-171")
@pytest.mark.parametrize("implicit_confirm", [False, True])
async def test_bare_key_that_openssl_wants_needs_the_tolerance_at_the_client(
    authority: Authority, *, implicit_confirm: bool
) -> None:
    tolerances = frozenset({TOLERATE_BARE_KEY})
    world = authority.generating(tolerances)
    with pytest.raises(TrustError, match=r"it is a bare private key .*--tolerate openssl-central-keygen at a client"):
        await enroll(world)
    client = world.client(
        SharedSecret("dev-42", "correct horse battery staple"),
        tolerances=tolerances,
        implicit_confirm=implicit_confirm,
    )
    assert (await client.enroll("CN=dev-42", CentralKey())).key is not None


async def test_server_whose_signer_is_no_authority_for_keys_does_not_start(authority: Authority) -> None:
    world = authority.world
    central = load_profile("device", {"key_generation": "central"}, world.plugins)
    check_key_generation([central], world.signer.certificate)
    check_key_generation([central], world.issuing[0])
    key = generate_key("p256", world.plugins)
    other = await authority.certificate("signer", key, purposes=[oids.KP_CMC_CA])
    check_key_generation([load_profile("device", {}, world.plugins)], other)
    with pytest.raises(ConfigurationError, match="profile device hands over keys"):
        check_key_generation([central], other)
