"""Each version of OpenSSL with the algorithms that it has beside P-256 and RSA, as client and as server."""

from __future__ import annotations

import contextlib
import functools
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from served import Served, cmpkit, make_server_directory, served

from cmpkit import oids
from cmpkit.asn1 import PKIMessage, decode_message
from cmpkit.crypto.paths import validate_path
from cmpkit.crypto.pop import build_p10
from cmpkit.endpoints.client import Client
from cmpkit.endpoints.options import ClientOptions
from cmpkit.enums import BodyType
from cmpkit.parts import Event
from cmpkit.plugins import load_plugins

from .conftest import PEERS, OpenSSL
from .mock_server import MockPKI, make_pki, mock_server
from .openssl_device import Device

# From 3.5 on there is ML-DSA. Where there is but one of the two kinds, its tests tell.
NEW = [peer for peer in PEERS if not peer.version.startswith("3.0.")] or PEERS
OLD = [peer for peer in PEERS if peer.version.startswith("3.0.")] or PEERS
BACKENDS = {"p256": "asyncio", "ed25519": "trio", "mldsa65": "asyncio", "brainpoolp256r1": "trio", "ed448": "asyncio"}


def ids(peer: OpenSSL) -> str:
    return f"openssl-{peer.version}"


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Served]]:
    """Starts a server all of whose keys are of one type; there is one for each type."""
    with contextlib.ExitStack() as running:

        @functools.cache
        def start(key_type: str) -> Served:
            directory = make_server_directory(tmp_path_factory.mktemp("server") / "ca", key_type=key_type)
            return running.enter_context(served(directory, "--backend", BACKENDS[key_type]))

        yield start


@pytest.fixture
def server(request: pytest.FixtureRequest, start: Callable[[str], Served]) -> Served:
    """The server with keys of the type that a test names."""
    return start(request.param)


class TestClients:
    @pytest.mark.parametrize("openssl", NEW, ids=ids)
    @pytest.mark.parametrize("server", ["p256", "ed25519", "mldsa65"], indirect=True)
    def test_a_device_lives_with_keys_of_ed25519_and_ml_dsa(
        self, openssl: OpenSSL, server: Served, tmp_path: Path
    ) -> None:
        """Every operation is protected by, and for, a key of each type; which comes first depends on the version."""
        turns = ("ed25519", "mldsa65") if openssl is NEW[0] else ("mldsa65", "ed25519")
        Device(openssl, server, tmp_path, f"dev-{openssl.version}", *turns).live()

    @pytest.mark.parametrize("openssl", OLD, ids=ids)
    @pytest.mark.parametrize("server", ["brainpoolp256r1"], indirect=True)
    def test_a_device_lives_with_brainpool_keys(self, openssl: OpenSSL, server: Served, tmp_path: Path) -> None:
        Device(openssl, server, tmp_path, f"dev-{openssl.version}", "brainpoolp256r1").live()

    @pytest.mark.parametrize("openssl", OLD, ids=ids)
    @pytest.mark.parametrize("server", ["ed25519"], indirect=True)
    @pytest.mark.parametrize("key_type", ["ed25519", "ed448"])
    def test_the_old_client_gets_certificates_for_edwards_curves(
        self, openssl: OpenSSL, server: Served, tmp_path: Path, key_type: str
    ) -> None:
        """It cannot protect messages with them."""
        enrol(Device(openssl, server, tmp_path, f"old-{key_type}", key_type))

    @pytest.mark.parametrize("openssl", NEW, ids=ids)
    @pytest.mark.parametrize("server", ["ed448"], indirect=True)
    def test_certificates_by_ed448_have_to_be_confirmed_implicitly(
        self, openssl: OpenSSL, server: Served, tmp_path: Path
    ) -> None:
        """OpenSSL's client cannot build the certConf for one."""
        device = Device(openssl, server, tmp_path, f"dev-{openssl.version}", "ed448")
        refused = enrol(device, check=False)
        assert "error creating certconf" in refused.stdout + refused.stderr
        device.name += "-again"
        enrol(device, "-implicit_confirm")
        device.make_key("second")
        device.cmp(
            *("kur", *device.by("first"), "-newkey", tmp_path / "second.key", "-certout", tmp_path / "second.pem"),
            "-implicit_confirm",
        )
        assert device.verify("second")


def enrol(device: Device, *options: object, check: bool = True) -> subprocess.CompletedProcess[str]:
    secret = device.server.add_secret(device.name)
    key = device.make_key("first")
    out = device.folder / "first.pem"
    request = ("-newkey", key, "-subject", f"/CN={device.name}", "-certout", out)
    done = device.cmp("ir", *device.by_secret(secret), *request, *options, check=check)
    assert device.verify("first") is (done.returncode == 0)
    return done


@pytest.mark.parametrize("openssl", NEW, ids=ids)
@pytest.mark.parametrize(
    ("server", "hash_oid"), [("p256", None), ("ed25519", oids.SHA512), ("mldsa65", oids.SHA256)], indirect=["server"]
)
@pytest.mark.rule("R-010", "R-092")
def test_cert_conf_is_as_rfc_9810_section_5_3_18_wants_it(
    openssl: OpenSSL, server: Served, tmp_path: Path, hash_oid: object
) -> None:
    """hashAlg comes with pvno 3, in a transaction that began with 2 and ends with it."""
    device = Device(openssl, server, tmp_path, f"conf-{openssl.version}", "p256")
    names = [tmp_path / f"{name}.der" for name in ("ir", "certConf", "ip", "pkiconf")]
    enrol(device, "-reqout", f"{names[0]} {names[1]}", "-rspout", f"{names[2]} {names[3]}")
    ir, conf, ip, pkiconf = (decode_message(path.read_bytes()) for path in names)
    (status,) = conf.body.content
    assert (status.hash_alg and status.hash_alg.algorithm) == hash_oid
    assert [message.header.pvno for message in (ir, ip, conf, pkiconf)] == [
        *(2, 2),
        *((2, 2) if hash_oid is None else (3, 3)),
    ]


@pytest.mark.parametrize("server", ["p256"], indirect=True)
def test_messages_and_certificates_with_sha_3_are_accepted(openssl: OpenSSL, server: Served, tmp_path: Path) -> None:
    """RFC 9688. OpenSSL 3.0 has it with RSA alone."""
    for key_type in ("rsa2048",) if openssl in OLD else ("rsa2048", "p256"):
        device = Device(openssl, server, tmp_path, f"sha3-{openssl.version}-{key_type}", key_type)
        enrol(device)
        key, out = device.make_key("second"), tmp_path / "second.pem"
        request = ("-newkey", key, "-certout", out, "-reqout", tmp_path / "kur.der")
        device.cmp("kur", *device.by("first"), *request, "-digest", "sha3-384")
        header = decode_message((tmp_path / "kur.der").read_bytes()).header
        assert header.protection_alg is not None
        assert header.protection_alg.algorithm in (oids.ECDSA_SHA3_384, oids.SHA3_384_WITH_RSA)
        pki = make_pki(openssl, tmp_path, key_type, "-sha3-512", authority=key_type)
        leaf, root = pki.certificate("device"), pki.certificate("ca")
        now = datetime.now(UTC)
        assert validate_path(leaf, candidates=[], anchors=[root], now=now, plugins=load_plugins()) == (leaf, root)


class Talk:
    """The messages of a client, in their order."""

    def __init__(self) -> None:
        self.messages: list[PKIMessage] = []

    def observe(self, event: Event) -> None:
        if event.name in ("message-sent", "message-received"):
            self.messages.append(event.details["message"])


class TestServers:
    @pytest.fixture(params=["ed25519", "mldsa65"])
    def pki(
        self, request: pytest.FixtureRequest, any_openssl: OpenSSL, tmp_path_factory: pytest.TempPathFactory
    ) -> MockPKI:
        """All keys are of one type, in the files that OpenSSL writes."""
        return make_pki(any_openssl, tmp_path_factory.mktemp("mock"), request.param, authority=request.param)

    @pytest.mark.parametrize("openssl", NEW, ids=ids)
    async def test_every_operation_succeeds(self, openssl: OpenSSL, pki: MockPKI) -> None:
        plugins = load_plugins()
        talk, given = Talk(), pki.credentials("given", plugins)
        subject = x509.Name.from_rfc4514_string("CN=given,O=Mock")
        with mock_server(openssl, pki, by="certificate") as url:
            async with Client(
                url,
                credentials=pki.credentials("device", plugins),
                trust=[pki.certificate("ca")],
                options=ClientOptions(total_timeout=20.0),
                plugins=plugins,
                observers=[talk],
            ) as client:
                for enrolled in (
                    await client.enroll(subject, given.key),
                    await client.certify(subject, given.key),
                    await client.request_p10(await build_p10(subject, given.key)),
                    await client.update(given, given.key),
                ):
                    assert enrolled.certificate == given.certificate
                assert await client.info(oids.CA_CERTS) is not None
                await client.revoke(given.certificate)
        assert [message.body.type for message in talk.messages[::2]] == [
            *(BodyType.IR, BodyType.CERT_CONF, BodyType.CR, BodyType.CERT_CONF),
            *(BodyType.P10CR, BodyType.CERT_CONF, BodyType.KUR, BodyType.CERT_CONF, BodyType.GENM, BodyType.RR),
        ]


@pytest.mark.parametrize("openssl", NEW, ids=ids)
@pytest.mark.parametrize("server", ["mldsa65"], indirect=True)
def test_keys_and_certificates_of_the_commands_are_read_by_openssl(
    openssl: OpenSSL, server: Served, tmp_path: Path
) -> None:
    """And the keys that OpenSSL writes are taken by the commands, encrypted too."""
    secret = tmp_path / "secret"
    name = f"both-{openssl.version}"
    secret.write_text(server.add_secret(name))
    state = ("--state", tmp_path / "state", "--trusted", server.trust)
    by: tuple[object, ...] = ("--ref", name, "--secret", f"file:{secret}")
    for command, key_type in (("enroll", "mldsa44"), ("certify", "ed25519")):
        key, out = tmp_path / f"{key_type}.key", tmp_path / f"{key_type}.pem"
        wanted = ("--newkey", key, "--newkey-type", key_type, "--subject", f"/CN={name}", "--certout", out)
        cmpkit(command, server.url, *by, *wanted, *state)
        by = ("--cert", out, "--key", key)
        public = openssl.run("pkey", "-in", key, "-pubout").stdout
        assert openssl.run("x509", "-in", out, "-noout", "-pubkey").stdout == public
    key, out = tmp_path / "theirs.key", tmp_path / "theirs.pem"
    openssl.run("genpkey", "-algorithm", "ML-DSA-87", "-aes256", "-pass", "pass:pw", "-out", key)
    (tmp_path / "pw").write_text("pw")
    password = ("--newkeypass", f"file:{tmp_path / 'pw'}")
    cmpkit("update", server.url, *by, "--newkey", key, *password, "--certout", out, *state)
    issuing = server.directory / "issuing.pem"
    openssl.run("verify", "-CAfile", server.trust, "-untrusted", issuing, out)
