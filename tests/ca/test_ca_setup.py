from __future__ import annotations

import base64
import os
import shutil
import tomllib
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from pyasn1.codec.der import decoder
from pyasn1_modules import rfc5280

from cmpkit import oids
from cmpkit.ca import directory
from cmpkit.ca.documents import DEFAULT_LISTEN
from cmpkit.ca.hierarchy import SIGNER_PROFILE
from cmpkit.ca.profiles import load_profile
from cmpkit.ca.setup import Initialised, initialise
from cmpkit.crypto.names import parse_name
from cmpkit.errors import ConfigurationError
from cmpkit.hookspecs import hookimpl
from cmpkit.parts import CertificateState, Issued
from cmpkit.plugins import Plugins

Init = Callable[..., Awaitable[Initialised]]
LISTEN = ['http://[::1]:80/ä"\\#', "tcp://127.0.0.1:829"]


# a CA of its own


async def test_init_makes_a_ca_that_issues_certificates_that_trust_pem_verifies(
    init: Init, plugins: Plugins, ask: Any, look: Any
) -> None:
    made = await init()
    issuer, store = await look.open_ca(made)
    result = await issuer.issue(ask.request(), ask.by_secret(), idempotency_key="1", now=ask.now)
    assert isinstance(result, Issued)
    look.verify(made, result.certificate.der)
    await store.aclose()


async def test_the_root_is_for_ten_years_and_the_issuing_ca_for_five_below_it(init: Init, ask: Any, look: Any) -> None:
    made = await init(subject=parse_name("CN=Example CA,O=Example"))
    (root,) = look.certificates(made.trust)
    issuing, above = look.certificates(made.directory / "issuing.pem")
    assert above == root
    assert root.subject == root.issuer == parse_name("CN=Example CA Root,O=Example")
    assert issuing.subject == parse_name("CN=Example CA,O=Example")
    root.verify_directly_issued_by(root)
    issuing.verify_directly_issued_by(root)
    assert root.not_valid_after_utc == ask.second + timedelta(days=3650)
    assert issuing.not_valid_after_utc == ask.second + timedelta(days=1825)
    lengths = [c.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length for c in (root, issuing)]
    assert lengths == [None, 0]
    for certificate in (root, issuing):
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage)
        assert usage.critical
        assert (usage.value.key_cert_sign, usage.value.crl_sign, usage.value.digital_signature) == (True, True, False)


async def test_without_a_subject_every_ca_has_another_name(init: Init, tmp_path: Path, look: Any) -> None:
    names = set()
    for _ in range(2):
        names.add(look.certificates((await init()).directory / "issuing.pem")[0].subject)
        shutil.rmtree(tmp_path / "ca")
    assert len(names) == 2


@pytest.mark.rule("R-040")
async def test_r_040_the_signer_may_speak_for_the_ca_and_nothing_else(init: Init, ask: Any, look: Any) -> None:
    made = await init(subject=parse_name("O=Example"))
    signer, issuing, _ = look.certificates(made.directory / "signer.pem")
    signer.verify_directly_issued_by(issuing)
    look.verify(made, signer.public_bytes(serialization.Encoding.DER))
    assert signer.subject == parse_name("CN=CMP,O=Example")
    read, _ = decoder.decode(
        signer.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value.public_bytes(),
        asn1Spec=rfc5280.ExtKeyUsageSyntax(),
    )
    assert [str(oid) for oid in read] == [oids.KP_CMC_CA.dotted_string, oids.KP_CM_KGA.dotted_string]
    assert signer.extensions.get_extension_for_class(x509.KeyUsage).value.digital_signature
    assert not signer.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    key = serialization.load_pem_private_key((made.directory / "keys/signer.key.pem").read_bytes(), None)
    assert key.public_key() == signer.public_key()


async def test_the_store_knows_the_certificates_of_the_signers(init: Init, plugins: Plugins, look: Any) -> None:
    made = await init()
    _, store = await look.open_ca(made)
    records = await store.certificates()
    await store.aclose()
    signers = [look.certificates(made.directory / file)[0] for file in ("signer.pem", "ocsp.pem")]
    assert [record.der for record in records] == [signer.public_bytes(serialization.Encoding.DER) for signer in signers]
    assert {(record.profile, record.state) for record in records} == {(SIGNER_PROFILE, CertificateState.VALID)}


async def test_the_signer_of_ocsp_responses_is_authorised_by_the_ca(init: Init, look: Any) -> None:
    made = await init(subject=parse_name("CN=Example CA"))
    signer, issuing, root = look.certificates(made.directory / "ocsp.pem")
    assert [issuing, root] == look.certificates(made.directory / "issuing.pem")
    signer.verify_directly_issued_by(issuing)
    assert signer.subject == parse_name("CN=Example CA OCSP")
    (usage,) = signer.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert usage == oids.KP_OCSP_SIGNING
    assert signer.extensions.get_extension_for_class(x509.OCSPNoCheck)
    key = made.directory / "keys/ocsp.key.pem"
    assert look.mode(key) == 0o600
    assert serialization.load_pem_private_key(key.read_bytes(), None).public_key() == signer.public_key()


async def test_the_root_has_an_empty_crl_as_long_as_the_issuing_ca_is_valid(init: Init, ask: Any, look: Any) -> None:
    made = await init()
    (root,) = look.certificates(made.trust)
    crl = x509.load_pem_x509_crl((made.directory / "root.crl").read_bytes())
    assert crl.is_signature_valid(root.public_key())
    assert (crl.issuer, list(crl)) == (root.subject, [])
    assert crl.next_update_utc == ask.second + timedelta(days=1825)


async def test_the_root_key_is_encrypted_and_not_in_the_configuration(init: Init, look: Any) -> None:
    made = await init()
    root = made.directory / "root"
    pem = (root / "root.key.pem").read_bytes()
    assert pem.startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
    passphrase = (root / "root.passphrase").read_bytes().strip()
    assert len(passphrase) >= 43
    key = serialization.load_pem_private_key(pem, passphrase)
    assert key.public_key() == look.certificates(made.trust)[0].public_key()
    assert "root/" not in made.config.read_text()
    assert "Carry the key and the passphrase away" in (root / "README.txt").read_text()
    assert any("carry both away" in note for note in made.notes)


async def test_a_server_runs_without_the_directory_of_the_root(
    init: Init, plugins: Plugins, ask: Any, look: Any
) -> None:
    made = await init()
    shutil.rmtree(made.directory / "root")
    issuer, store = await look.open_ca(made)
    assert len(await issuer.ca_certificates()) == 2
    await store.aclose()


async def test_what_is_private_is_private(init: Init, look: Any) -> None:
    made = await init()
    for path in made.directory.rglob("*"):
        private = path.is_relative_to(made.directory / "keys") or path.is_relative_to(made.directory / "root")
        if private or path.name.startswith("cmpkit.db"):
            assert look.mode(path) == (0o700 if path.is_dir() else 0o600), path
    assert look.mode(made.directory) == 0o700
    assert look.mode(made.trust) == 0o644
    assert len(base64.b64decode((made.directory / "keys/store.key").read_bytes())) == 32


@pytest.mark.parametrize("key_type", ["p384", "rsa2048"])
async def test_all_keys_are_of_the_type_that_was_asked_for(
    init: Init, plugins: Plugins, key_type: str, look: Any
) -> None:
    made = await init(key_type=key_type)
    for certificate in look.certificates(made.directory / "signer.pem"):
        info = certificate.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        assert plugins.key_algorithm_of(info).key_type(info) == key_type


@pytest.fixture
def listening(plugins: Plugins) -> Plugins:
    """Plugins with a road for tcp and http."""

    class Road:
        schemes = ("http", "tcp")

        def check(self, url: str) -> None:
            assert url in LISTEN

    class Brings:
        @hookimpl
        def cmpkit_server_transports(self) -> list[Any]:
            return [Road()]

    loaded = Plugins()
    for plugin in plugins.loaded:
        loaded.add(plugins._manager.get_plugin(plugin.name), plugin.name)
    loaded.add(Brings(), "roads")
    return loaded


async def test_the_configuration_listens_where_it_is_told(tmp_path: Path, listening: Plugins, ask: Any) -> None:
    made = await initialise(tmp_path / "ca", listen=LISTEN, plugins=listening, now=ask.now)
    assert [table["url"] for table in tomllib.loads(made.config.read_text())["listen"]] == LISTEN


async def test_the_configuration_listens_on_loopback_by_itself(init: Init) -> None:
    made = await init()
    assert tomllib.loads(made.config.read_text())["listen"] == [{"url": DEFAULT_LISTEN}]


async def test_what_the_configuration_only_suggests_is_right(init: Init, plugins: Plugins) -> None:
    text = (await init()).config.read_text()
    suggested = "\n".join(
        line.removeprefix("# ") for line in text.splitlines() if not line.startswith("#") or " = " in line
    )
    table = tomllib.loads(suggested)
    profile = table["profiles"]["device"]
    assert profile["subject"] == "CN={identity}, O=Example"
    load_profile("device", profile, plugins)
    assert {"key_password", "crl_urls"} <= set(table["issuer"])


# refusals


@pytest.mark.parametrize("name", ["cmpkit.toml", "something", ".init/x"])
async def test_a_directory_that_is_not_empty_is_refused_and_left_alone(
    init: Init, tmp_path: Path, name: str, look: Any
) -> None:
    path = tmp_path / "ca" / name
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    with pytest.raises(ConfigurationError, match="is not empty, nothing is overwritten"):
        await init()
    assert look.tree(tmp_path) == {f"ca/{name}": b"mine"}


async def test_init_twice_is_refused_and_changes_nothing(init: Init, look: Any) -> None:
    made = await init()
    before = look.tree(made.directory)
    with pytest.raises(ConfigurationError, match="not empty"):
        await init()
    assert look.tree(made.directory) == before


async def test_a_file_in_the_place_of_the_directory_is_refused(init: Init, tmp_path: Path) -> None:
    (tmp_path / "ca").write_text("mine")
    with pytest.raises(ConfigurationError, match="cannot be used"):
        await init()
    assert (tmp_path / "ca").read_text() == "mine"


async def test_an_empty_directory_is_filled(init: Init, tmp_path: Path) -> None:
    (tmp_path / "ca").mkdir(mode=0o755)
    made = await init()
    assert made.config.exists()
    assert not (made.directory / ".init").exists()


async def test_a_directory_may_be_made_with_those_above_it(tmp_path: Path, plugins: Plugins, ask: Any) -> None:
    made = await initialise(tmp_path / "a" / "b", plugins=plugins, now=ask.now)
    assert made.config == tmp_path / "a" / "b" / "cmpkit.toml"


async def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path, plugins: Plugins, ask: Any) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(ConfigurationError, match="cannot be made"):
        await initialise(tmp_path / "a" / "b", plugins=plugins, now=ask.now)


@pytest.mark.parametrize("exists", [False, True])
async def test_a_failure_half_way_leaves_nothing_behind(
    tmp_path: Path, plugins: Plugins, ask: Any, exists: bool, look: Any
) -> None:
    without_store = Plugins()
    for plugin in plugins.loaded:
        if plugin.name != "store":
            without_store.add(plugins._manager.get_plugin(plugin.name), plugin.name)
    if exists:
        (tmp_path / "ca").mkdir()
    with pytest.raises(ConfigurationError, match="no store for sqlite"):
        await initialise(tmp_path / "ca", plugins=without_store, now=ask.now)
    assert look.entries(tmp_path) == ([tmp_path / "ca"] if exists else [])


async def test_a_failure_of_the_disk_at_the_last_file_leaves_nothing_behind(
    init: Init, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, look: Any
) -> None:
    real, moved = os.rename, []

    def rename(source: Path, target: Path) -> None:
        moved.append(target.name)
        if target.name == "cmpkit.toml":
            raise OSError(28, "No space left on device")
        real(source, target)

    monkeypatch.setattr(directory.os, "rename", rename)
    with pytest.raises(ConfigurationError, match="cannot be made: No space left on device"):
        await init()
    assert {"keys", "root", "trust.pem"} <= set(moved[:-1])
    assert look.entries(tmp_path) == []


async def test_an_init_that_is_cancelled_leaves_nothing_behind(
    init: Init, tmp_path: Path, plugins: Plugins, monkeypatch: pytest.MonkeyPatch, look: Any
) -> None:
    with anyio.CancelScope() as scope:

        async def create(url: str) -> None:
            scope.cancel()
            await anyio.lowlevel.checkpoint()

        monkeypatch.setattr(plugins.store("sqlite://"), "create", create)
        await init()
    assert scope.cancelled_caught
    assert look.entries(tmp_path) == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"ca_key": Path("key.pem")}, "without its certificate"),
        ({"ca_certificate": Path("ca.pem"), "csr_out": Path("x.csr")}, "needs no request"),
        ({"ca_certificate": Path("ca.pem"), "subject": parse_name("CN=x")}, "needs no subject"),
        ({"subject": parse_name("")}, "cannot be empty"),
        ({"subject": parse_name(f"CN={'x' * 60}")}, "at most 59 characters"),
        ({"key_type": "p255"}, "no key type 'p255'"),
        ({"listen": ["gopher://x"]}, "no server transport for gopher"),
        ({"ca_certificate": Path("nothing.pem"), "ca_key": Path("key.pem")}, "nothing.pem cannot be read"),
    ],
)
async def test_options_that_do_not_go_together_are_refused(
    init: Init, tmp_path: Path, options: dict[str, Any], said: str, look: Any
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        await init(**options)
    assert said in str(caught.value)
    assert look.entries(tmp_path) == []
