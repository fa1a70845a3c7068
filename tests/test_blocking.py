"""The client without async, and what ``import cmpkit`` offers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from device import SECRET, Road
from operating import run

import cmpkit
from cmpkit import oids
from cmpkit.asn1 import PKIMessage
from cmpkit.blocking import Client
from cmpkit.crypto.keys import generate_key
from cmpkit.crypto.x509 import load_certificates
from cmpkit.endpoints.credentials import read_anchors
from cmpkit.plugins import load_plugins


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("served") / "ca"
    run("init", directory)
    file = directory / "cmpkit.toml"
    file.write_text(file.read_text().replace("# revocation_by_passphrase = false", "revocation_by_passphrase = true"))
    return file


@pytest.fixture(scope="module")
def road(config: Path) -> Road:
    """The road to a server that knows a secret for CN=dev-42."""
    options = ("--secret", "env:SECRET", "--uses", "unlimited")
    run("secret", "add", "dev-42", *options, "--config", config, env={"SECRET": SECRET})
    return Road(config)


@pytest.fixture
def trust(config: Path) -> Path:
    return config.parent / "trust.pem"


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
class TestBlocking:
    def test_a_certificate_is_got_updated_and_revoked(self, road: Road, trust: Path, backend: str) -> None:
        secret = cmpkit.SharedSecret("dev-42", SECRET)
        with Client("test:", credentials=secret, trust=trust, transport=road, backend=backend) as client:
            enrolled = client.enroll(subject="CN=dev-42")
            renewed = client.update(enrolled)
            client.revoke(renewed, reason=cmpkit.CRLReason.KEY_COMPROMISE)
        with (
            Client("test:", credentials=renewed.credentials, trust=trust, transport=road, backend=backend) as client,
            pytest.raises(cmpkit.PeerRefusal, match="certRevoked"),
        ):
            client.info(oids.CA_CERTS)

    def test_every_operation_is_there(self, road: Road, trust: Path, backend: str, tmp_path: Path) -> None:
        secret = cmpkit.SharedSecret("dev-42", SECRET)
        with Client("test:", credentials=secret, trust=trust, transport=road, backend=backend) as client:
            credentials = client.enroll("CN=dev-42").credentials
        options = cmpkit.ClientOptions(state=tmp_path)
        with Client(
            "test:", credentials=credentials, trust=trust, transport=road, backend=backend, options=options
        ) as client:
            further = client.certify("CN=dev-42")
            assert further.saved is not None
            again = client.resume(further.saved, further.key)
            assert again == further
            client.forget(further)
            assert not further.saved.exists()
            by_request = client.request_p10(_request(credentials.key.to_pkcs8()))
            assert by_request.key is None
            answers = client.info()
            assert client.ca_certificates()
            assert client.current_crl()
            assert client.crl_update(certificate=credentials.certificate)
            assert client.root_update() is None
            template = client.request_template()
        assert oids.CA_CERTS in [answer.info_type for answer in answers]
        assert template is not None
        assert template.subject == credentials.subject

    def test_it_has_what_the_client_has(self, road: Road, trust: Path, backend: str) -> None:
        operations = {name for name in dir(cmpkit.Client) if not name.startswith("_")}
        # What is driven step by step awaits each step.
        assert operations - {"conversation"} <= {*dir(Client), "options", "plugins", "trust"}

    def test_a_passphrase_revokes(self, road: Road, trust: Path, backend: str) -> None:
        secret = cmpkit.SharedSecret("dev-42", SECRET)
        passphrase = cmpkit.SharedSecret(f"lost-{backend}", SECRET)
        with Client("test:", credentials=secret, trust=trust, transport=road, backend=backend) as client:
            enrolled = client.enroll("CN=dev-42")
            client.choose_passphrase(passphrase)
            assert client.info(client.passphrase_question(passphrase))
        with Client("test:", credentials=passphrase, trust=trust, transport=road, backend=backend) as client:
            client.revoke(enrolled)

    def test_a_transform_changes_what_is_sent(self, road: Road, trust: Path, backend: str) -> None:
        class Signed:
            async def before_protection(self, message: PKIMessage) -> PKIMessage:
                return replace(message, header=replace(message.header, free_text=[backend]))

            async def after_protection(self, octets: bytes) -> bytes:
                return octets

        road.requests.clear()
        secret = cmpkit.SharedSecret("dev-42", SECRET)
        with Client(
            "test:", credentials=secret, trust=trust, transport=road, transform=Signed(), backend=backend
        ) as client:
            client.info()
        assert [request.header.free_text for request in road.requests] == [[backend]]

    def test_errors_come_out_as_they_are(self, road: Road, trust: Path, backend: str) -> None:
        road.faults = [cmpkit.TransportError("gone")]
        secret = cmpkit.SharedSecret("dev-42", SECRET)
        with (
            Client("test:", credentials=secret, trust=trust, transport=road, backend=backend) as client,
            pytest.raises(cmpkit.TransportError, match="gone"),
        ):
            client.enroll("CN=dev-42")


def _request(pkcs8: bytes) -> bytes:
    from cryptography.hazmat.primitives import hashes, serialization

    key = serialization.load_der_private_key(pkcs8, None)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "dev-42")])
    csr = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return csr.public_bytes(serialization.Encoding.DER)


def test_a_client_that_is_not_open_says_how_to_open_it(road: Road, trust: Path) -> None:
    client = Client("test:", credentials=cmpkit.SharedSecret("dev-42", SECRET), trust=trust, transport=road)
    with pytest.raises(cmpkit.ConfigurationError, match="with Client"):
        client.enroll()


async def test_the_example_of_the_readme_works(road: Road, trust: Path) -> None:
    secret, roots = SECRET, str(trust)
    key = generate_key("p256", load_plugins())
    async with cmpkit.Client(
        "test:", credentials=cmpkit.SharedSecret("dev-42", secret), trust=roots, transport=road
    ) as client:
        enrolled = await client.enroll(subject="CN=dev-42", key=key)
        renewed = await client.update(enrolled)
        await client.revoke(renewed)
    assert enrolled.key is key


def test_trust_anchors_may_be_a_path_octets_or_certificates(trust: Path) -> None:
    ders = load_certificates(trust.read_bytes())
    loaded = [x509.load_der_x509_certificate(der) for der in ders]
    assert read_anchors(trust) == read_anchors(str(trust)) == read_anchors(ders) == read_anchors(loaded) == ders


def test_trust_anchors_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(cmpkit.ConfigurationError, match=r"none\.pem"):
        read_anchors(tmp_path / "none.pem")


def test_every_name_that_cmpkit_offers_is_there() -> None:
    assert not [name for name in cmpkit.__all__ if getattr(cmpkit, name, None) is None]
    assert cmpkit.blocking.Client is Client
    assert set(dir(cmpkit)) == {*cmpkit.__all__, "blocking"}


def test_a_name_that_is_not_offered_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        cmpkit.nonsense  # noqa: B018
