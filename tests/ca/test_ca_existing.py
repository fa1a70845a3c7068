"""``init --ca-cert --ca-key``: a CA that exists already, in the files that people have."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    load_der_private_key,
    pkcs12,
)

from cmpkit.ca.hierarchy import Hierarchy, make_hierarchy
from cmpkit.crypto.keys import key_to_pem
from cmpkit.crypto.names import parse_name
from cmpkit.crypto.x509 import load_certificates, to_pem
from cmpkit.errors import ConfigurationError
from cmpkit.parts import PrivateKey

NOT_BEFORE = datetime(2026, 1, 1, tzinfo=UTC)


class Files:
    """A CA in files of every form."""

    def __init__(self, where: Path, hierarchy: Hierarchy, key: PrivateKey, root_key: PrivateKey) -> None:
        self.where, self.root_key = where, root_key
        self.issuing, self.root = hierarchy.issuing.der, hierarchy.root
        self.key = self.write("ca.key", key_to_pem(key))
        self.encrypted = self.write("encrypted.key", key_to_pem(key, b"pass"))
        self.pem = self.write("ca.pem", to_pem(self.issuing, self.root))
        self.unordered = self.write("unordered.pem", to_pem(self.root, self.issuing))
        self.der = self.write("ca.der", self.issuing)
        self.together = self.write("together.pem", to_pem(self.issuing, self.root) + key_to_pem(key))
        private = load_der_private_key(key.to_pkcs8(), None)
        issuing, root = (x509.load_der_x509_certificate(der) for der in (self.issuing, self.root))
        self.pkcs12 = self.write(
            "ca.p12",
            pkcs12.serialize_key_and_certificates(
                b"ca",
                private,
                issuing,
                [root],
                BestAvailableEncryption(b"pass"),  # type: ignore[arg-type]
            ),
        )

    def write(self, name: str, data: bytes) -> Path:
        path = self.where / name
        path.write_bytes(data)
        return path


@pytest.fixture
def files(tmp_path: Path, hierarchy: Hierarchy, issuing_key: PrivateKey, root_key: PrivateKey) -> Files:
    where = tmp_path / "files"
    where.mkdir()
    return Files(where, hierarchy, issuing_key, root_key)


@pytest.mark.parametrize(
    ("certificate", "key", "password"),
    [
        ("pem", "key", None),
        ("unordered", "key", None),
        ("pem", "encrypted", b"pass"),
        ("together", None, None),
        ("pkcs12", None, b"pass"),
        ("pkcs12", "key", b"pass"),
    ],
)
async def test_a_ca_is_taken_over_from_its_files(
    files: Files, init: Any, look: Any, ask: Any, *, certificate: str, key: str | None, password: bytes | None
) -> None:
    made = await init(
        ca_certificate=getattr(files, certificate),
        ca_key=None if key is None else getattr(files, key),
        ca_key_password=password,
    )
    assert load_certificates(made.trust.read_bytes()) == (files.root,)
    assert load_certificates((made.directory / "issuing.pem").read_bytes()) == (files.issuing, files.root)
    assert look.mode(made.directory / "keys/issuing.key.pem") == 0o600
    assert not (made.directory / "root").exists()
    assert made.notes == ("The key of the CA is in keys/issuing.key.pem, readable by this user only.",)
    issuer, store = await look.open_ca(made)
    result = await issuer.issue(ask.request(), ask.by_secret(), idempotency_key="1", now=ask.now)
    await store.aclose()
    look.verify(made, result.certificate.der)
    look.verify(made, load_certificates((made.directory / "signer.pem").read_bytes())[0])


async def test_without_the_certificates_above_it_the_operator_is_told(files: Files, init: Any) -> None:
    made = await init(ca_certificate=files.der, ca_key=files.key)
    assert load_certificates(made.trust.read_bytes()) == (files.issuing,)
    assert "No root certificate was given" in made.notes[1]


async def test_a_root_may_issue_by_itself(files: Files, init: Any, look: Any, ask: Any) -> None:
    made = await init(
        ca_certificate=files.write("root.pem", to_pem(files.root)),
        ca_key=files.write("root.key", key_to_pem(files.root_key)),
    )
    assert load_certificates(made.trust.read_bytes()) == (files.root,)
    assert len(made.notes) == 1
    issuer, store = await look.open_ca(made)
    result = await issuer.issue(ask.request(), ask.by_secret(), idempotency_key="1", now=ask.now)
    await store.aclose()
    assert result.chain == ()
    look.verify(made, result.certificate.der)


async def refused(init: Any, look: Any, tmp_path: Path, **options: Any) -> str:
    with pytest.raises(ConfigurationError) as caught:
        await init(**options)
    assert look.entries(tmp_path) == [tmp_path / "files", *look.entries(tmp_path / "files")]
    return str(caught.value)


@pytest.mark.parametrize(
    ("certificate", "key", "password", "said"),
    [
        ("pem", None, None, "ca.pem has no private key"),
        ("der", None, None, "ca.der has no private key"),
        ("pem", "encrypted", None, "encrypted.key: the private key is encrypted"),
        ("pem", "encrypted", b"wrong", "encrypted.key: "),
        ("pkcs12", None, b"wrong", "ca.p12: the PKCS#12 file cannot be read"),
        ("key", "key", None, "ca.key: "),
        ("pem", "pem", None, "ca.pem: "),
    ],
)
async def test_files_that_cannot_be_used_are_named(
    files: Files, init: Any, look: Any, tmp_path: Path, *, certificate: str, key: str | None, password: Any, said: str
) -> None:
    detail = await refused(
        init,
        look,
        tmp_path,
        ca_certificate=getattr(files, certificate),
        ca_key=None if key is None else getattr(files, key),
        ca_key_password=password,
    )
    assert said in detail


async def test_the_key_of_another_certificate_is_refused(files: Files, init: Any, look: Any, tmp_path: Path) -> None:
    key = files.write("root.key", key_to_pem(files.root_key))
    certificate = files.write("issuing.pem", to_pem(files.issuing))
    said = await refused(init, look, tmp_path, ca_certificate=certificate, ca_key=key)
    assert "not for its private key" in said


async def test_certificates_that_do_not_belong_to_the_chain_are_refused(
    files: Files, init: Any, look: Any, tmp_path: Path
) -> None:
    keys = {"root_key": files.root_key, "issuing_key": files.root_key}
    other = await make_hierarchy(parse_name("CN=Other CA"), **keys, now=NOT_BEFORE)
    certificate = files.write("more.pem", to_pem(files.issuing, files.root, other.root))
    said = await refused(init, look, tmp_path, ca_certificate=certificate, ca_key=files.key)
    assert "CN=Other CA Root is not above the CA in its chain" in said


async def test_a_ca_that_ended_is_refused(files: Files, init: Any, look: Any, tmp_path: Path, ask: Any) -> None:
    later = ask.now + timedelta(days=2000)
    said = await refused(init, look, tmp_path, ca_certificate=files.pem, ca_key=files.key, now=later)
    assert "CN=Example CA,O=Example is valid from" in said
