"""``init --csr-out``: a CA that another one certifies."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from cmpkit.ca import directory, setup
from cmpkit.ca.hierarchy import Hierarchy, make_hierarchy
from cmpkit.ca.setup import Initialised, install_ca_certificate
from cmpkit.crypto.keys import generate_key
from cmpkit.crypto.names import parse_name
from cmpkit.crypto.x509 import CertificateContent, build_certificate, extension, load_certificates, to_pem
from cmpkit.errors import ConfigurationError
from cmpkit.parts import PrivateKey

SUBJECT = parse_name("CN=Sub CA,O=Example")


class Waiting:
    """A subordinate that waits for its certificate, and the CA above it."""

    def __init__(self, made: Initialised, init: Callable[..., Awaitable[Initialised]], root: bytes, ask: Any) -> None:
        assert made.request is not None
        self.made, self.init, self.root, self.ask = made, init, root, ask
        self.csr = x509.load_pem_x509_csr(made.request.read_bytes())
        self.signed = made.request.with_name("signed.pem")

    async def sign(self, root_key: PrivateKey, **changes: Any) -> bytes:
        """DER of what the CA above makes of the request."""
        content = {
            "serial_number": 7,
            "issuer": x509.load_der_x509_certificate(self.root).subject.public_bytes(),
            "subject": self.csr.subject,
            "not_before": self.ask.second,
            "not_after": self.ask.second + timedelta(days=100),
            "public_key_info": self.csr.public_key().public_bytes(
                serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
            ),
            "extensions": tuple(extension(item.value, critical=item.critical) for item in self.csr.extensions),
        }
        return await build_certificate(CertificateContent(**(content | changes)), root_key)

    async def install(self, *ders: bytes) -> Initialised:
        """``cmpkit init DIR --ca-cert signed.pem``."""
        self.signed.write_bytes(to_pem(*ders))
        return await self.init(ca_certificate=self.signed)


@pytest.fixture
async def waiting(init: Any, tmp_path: Path, hierarchy: Hierarchy, ask: Any) -> Waiting:
    return Waiting(await init(csr_out=tmp_path / "ca.csr", subject=SUBJECT), init, hierarchy.root, ask)


async def test_a_subordinate_asks_for_the_certificate_of_a_ca(waiting: Waiting) -> None:
    csr = waiting.csr
    assert csr.is_signature_valid
    assert csr.subject == SUBJECT
    constraints = csr.extensions.get_extension_for_class(x509.BasicConstraints)
    assert (constraints.critical, constraints.value) == (True, x509.BasicConstraints(ca=True, path_length=0))
    usage = csr.extensions.get_extension_for_class(x509.KeyUsage).value
    assert (usage.key_cert_sign, usage.crl_sign) == (True, True)


async def test_a_server_does_not_start_while_it_waits_and_says_what_to_do(waiting: Waiting, look: Any) -> None:
    made = waiting.made
    assert f"cmpkit init {made.directory} --ca-cert" in made.notes[0]
    assert not made.trust.exists()
    with pytest.raises(ConfigurationError) as caught:
        await look.open_ca(made)
    assert f"cmpkit init {made.directory} --ca-cert" in caught.value.hint


async def test_a_subordinate_gets_its_certificate_and_issues(
    waiting: Waiting, root_key: PrivateKey, ask: Any, look: Any
) -> None:
    done = await waiting.install(waiting.root, await waiting.sign(root_key))
    assert (done.directory, done.config, done.notes) == (waiting.made.directory, waiting.made.config, ())
    assert load_certificates(done.trust.read_bytes()) == (waiting.root,)
    assert look.mode(done.directory / "keys/signer.key.pem") == 0o600
    issuer, store = await look.open_ca(done)
    result = await issuer.issue(ask.request(), ask.by_secret(), idempotency_key="1", now=ask.now)
    look.verify(done, result.certificate.der)
    records = await store.certificates()
    await store.aclose()
    assert [record.der for record in records] == [
        load_certificates((done.directory / file).read_bytes())[0] for file in ("signer.pem", "ocsp.pem")
    ]


async def test_a_certificate_is_installed_once(waiting: Waiting, root_key: PrivateKey, look: Any) -> None:
    await waiting.install(await waiting.sign(root_key), waiting.root)
    before = look.tree(waiting.made.directory)
    with pytest.raises(ConfigurationError, match="not empty"):
        await waiting.install(await waiting.sign(root_key), waiting.root)
    assert look.tree(waiting.made.directory) == before


async def test_an_installation_that_was_cut_off_can_be_repeated(
    waiting: Waiting, root_key: PrivateKey, look: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = setup.write_file_atomically

    def cut_off(path: Path, data: bytes, *, mode: int) -> None:
        if path.name == "issuing.pem":
            raise KeyboardInterrupt
        real(path, data, mode=mode)

    certificate = await waiting.sign(root_key)
    with monkeypatch.context() as patched:
        patched.setattr(setup, "write_file_atomically", cut_off)
        with pytest.raises(KeyboardInterrupt):
            await waiting.install(certificate, waiting.root)
    with pytest.raises(ConfigurationError, match="is not there"):
        await look.open_ca(waiting.made)
    _, store = await look.open_ca(await waiting.install(certificate, waiting.root))
    await store.aclose()


async def refused(waiting: Waiting, look: Any, *ders: bytes) -> str:
    before = look.tree(waiting.made.directory)
    with pytest.raises(ConfigurationError) as caught:
        await waiting.install(*ders)
    assert look.tree(waiting.made.directory) == before
    return caught.value.detail


async def test_a_certificate_for_another_key_is_not_installed(
    waiting: Waiting, root_key: PrivateKey, look: Any, ask: Any
) -> None:
    other = await waiting.sign(root_key, public_key_info=ask.key.public_key_info)
    assert "is not for its private key" in await refused(waiting, look, other, waiting.root)


async def test_a_certificate_that_is_no_ca_is_not_installed(waiting: Waiting, root_key: PrivateKey, look: Any) -> None:
    plain = await waiting.sign(root_key, extensions=())
    assert "is not a CA" in await refused(waiting, look, plain, waiting.root)
    may_not = await waiting.sign(
        root_key,
        extensions=(
            extension(x509.BasicConstraints(ca=True, path_length=0), critical=True),
            extension(x509.KeyUsage(True, *[False] * 8)),
        ),
    )
    assert "keyCertSign" in await refused(waiting, look, may_not, waiting.root)


@pytest.mark.parametrize(("start", "end"), [(-2, -1), (1, 2)])
async def test_a_certificate_that_is_not_valid_now_is_not_installed(
    waiting: Waiting, root_key: PrivateKey, look: Any, start: int, end: int
) -> None:
    now = waiting.ask.now
    other = await waiting.sign(root_key, not_before=now + timedelta(days=start), not_after=now + timedelta(days=end))
    assert "is valid from" in await refused(waiting, look, other, waiting.root)


async def test_a_certificate_of_another_issuer_is_not_installed(
    waiting: Waiting, root_key: PrivateKey, look: Any
) -> None:
    other = await waiting.sign(root_key, issuer=parse_name("CN=Other").public_bytes())
    assert "not above the CA" in await refused(waiting, look, other, waiting.root)


async def test_a_certificate_with_a_root_of_the_same_name_but_another_key_is_not_installed(
    waiting: Waiting, root_key: PrivateKey, look: Any, issuing_key: PrivateKey
) -> None:
    impostor = await make_hierarchy(
        parse_name("CN=Example CA,O=Example"), root_key=issuing_key, issuing_key=root_key, now=waiting.ask.now
    )
    said = await refused(waiting, look, await waiting.sign(root_key), impostor.root)
    assert "is not signed by the key of the certificate above it" in said


async def test_a_chain_whose_signatures_nobody_knows_is_not_installed(
    waiting: Waiting, root_key: PrivateKey, look: Any
) -> None:
    der = await waiting.sign(root_key)
    ecdsa_with_sha256, unknown = bytes.fromhex("06082a8648ce3d040302"), bytes.fromhex("06082a8648ce3d04037f")
    said = await refused(waiting, look, der.replace(ecdsa_with_sha256, unknown), waiting.root)
    assert "cannot be checked: no key algorithm for 1.2.840.10045.4.3.127" in said


async def test_without_the_root_the_operator_is_told(waiting: Waiting, root_key: PrivateKey) -> None:
    own = await waiting.sign(root_key)
    done = await waiting.install(own)
    assert load_certificates(done.trust.read_bytes()) == (own,)
    assert "No root certificate was given" in done.notes[0]


async def test_a_file_without_certificates_is_not_installed(waiting: Waiting, look: Any) -> None:
    assert "certificate" in await refused(waiting, look)


async def test_a_directory_that_does_not_wait_takes_no_certificate(init: Any, plugins: Any, ask: Any) -> None:
    """Where the key of the CA is not that of the certificate."""
    made = await init()
    foreign = await make_hierarchy(
        SUBJECT, root_key=generate_key("p256", plugins), issuing_key=generate_key("p256", plugins), now=ask.now
    )
    with pytest.raises(ConfigurationError, match="is not for its private key"):
        await install_ca_certificate(made.directory, to_pem(foreign.root), plugins=plugins, now=ask.now)


@pytest.mark.parametrize("name", ["exists.csr", "ca/x.csr"])
async def test_a_request_is_not_written_over_a_file_or_into_the_directory(
    init: Any, tmp_path: Path, look: Any, name: str
) -> None:
    (tmp_path / "exists.csr").write_text("mine")
    with pytest.raises(ConfigurationError, match="the request cannot be written"):
        await init(csr_out=tmp_path / name)
    assert look.tree(tmp_path) == {"exists.csr": b"mine"}


async def test_no_request_is_left_if_the_directory_cannot_be_made(
    init: Any, tmp_path: Path, look: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(source: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(directory.os, "rename", fail)
    with pytest.raises(ConfigurationError, match="No space left"):
        await init(csr_out=tmp_path / "ca.csr")
    assert look.entries(tmp_path) == []
