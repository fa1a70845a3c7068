"""``cmpkit verify``, with CRLs from files; what is fetched is in the tests of the parts, and with a server."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from operating import Operator, run

DER = Encoding.DER


@pytest.fixture
def crl(operator: Operator, tmp_path: Path) -> Path:
    path = tmp_path / "ca.crl"
    operator.run("crl", "--out", path)
    return path


def arguments(operator: Operator, *more: object) -> tuple[object, ...]:
    directory = operator.directory
    return ("verify", directory / "signer.pem", "--trusted", directory / "trust.pem", *more)


def serial(operator: Operator, file: str) -> str:
    return f"{x509.load_pem_x509_certificate((operator.directory / file).read_bytes()).serial_number:x}"


def test_a_certificate_whose_path_nothing_revokes_is_good(operator: Operator, crl: Path) -> None:
    sources = ("--crl", crl, "--crl", operator.directory / "root.crl")
    signer, issuing = serial(operator, "signer.pem"), serial(operator, "issuing.pem")
    assert run(*arguments(operator, *sources)).out.splitlines() == [
        f"CN=Example CA CMP ({signer}): good",
        f"CN=Example CA ({issuing}): good",
    ]
    assert run(*arguments(operator, *sources, "--json")).json == [
        {"subject": "CN=Example CA CMP", "serial_number": signer, "standing": "good"},
        {"subject": "CN=Example CA", "serial_number": issuing, "standing": "good"},
    ]


def test_a_revoked_certificate_ends_with_status_5(operator: Operator, tmp_path: Path) -> None:
    operator.run("cert", "revoke", serial(operator, "signer.pem"), "--revreason", "keyCompromise")
    crl = tmp_path / "ca.crl"
    operator.run("crl", "--out", crl)
    said = run(*arguments(operator, "--crl", crl, "--crl", operator.directory / "root.crl"), status=5).err
    assert "the certificate 'CN=Example CA CMP' is revoked since" in said
    assert "(keyCompromise)" in said


def test_a_ca_without_a_crl_ends_with_status_5_and_the_option(operator: Operator, crl: Path) -> None:
    said = run(*arguments(operator, "--crl", crl), status=5).err
    assert "whether the certificate 'CN=Example CA' is revoked is not known" in said
    assert "--crl" in said


def test_intermediate_certificates_may_be_in_another_file(operator: Operator, crl: Path, tmp_path: Path) -> None:
    leaf = tmp_path / "leaf.der"
    directory = operator.directory
    leaf.write_bytes(x509.load_pem_x509_certificate((directory / "signer.pem").read_bytes()).public_bytes(DER))
    common = ("verify", leaf, "--trusted", directory / "trust.pem", "--crl", crl, "--crl", directory / "root.crl")
    assert run(*common, "--untrusted", directory / "issuing.pem").out.endswith(": good\n")
    assert "the issuer of" in run(*common, status=5).err


def test_who_names_no_source_is_told_which_there_are(operator: Operator) -> None:
    said = run(*arguments(operator), status=2).err
    assert "nothing says what is revoked" in said
    assert "--ocsp" in said


def test_a_file_that_is_no_crl_is_named(operator: Operator) -> None:
    assert "no CRL" in run(*arguments(operator, "--crl", operator.config), status=2).err
