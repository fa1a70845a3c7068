from __future__ import annotations

from pathlib import Path

from cryptography import x509
from operating import Operator


def signer_serial(operator: Operator) -> str:
    """Of the certificate that signs messages, the newest of a new CA."""
    row, _ = operator.run("cert", "list", "--json").json
    return str(row["serial_number"])


def test_the_crl_is_written_and_signed_by_the_ca(operator: Operator, tmp_path: Path) -> None:
    pem, der = tmp_path / "crl.pem", tmp_path / "crl.der"
    assert operator.run("crl", "--out", pem).out == f"CRL 1 with 0 certificates: {pem}\n"
    assert operator.run("crl", "--out", der, "--format", "der").out == f"CRL 2 with 0 certificates: {der}\n"
    issuing = x509.load_pem_x509_certificates((operator.directory / "issuing.pem").read_bytes())[0]
    for crl in (x509.load_pem_x509_crl(pem.read_bytes()), x509.load_der_x509_crl(der.read_bytes())):
        assert crl.is_signature_valid(issuing.public_key())  # type: ignore[arg-type]
        assert list(crl) == []


def test_the_crl_has_what_was_revoked_with_its_reason(operator: Operator) -> None:
    serial = signer_serial(operator)
    operator.run("cert", "revoke", serial, "--revreason", "keyCompromise")
    title, validity, columns, row = operator.run("crl").out.splitlines()
    assert title == "CRL 1 of CN=Example CA"
    assert validity.startswith("from ")
    assert columns.split() == ["SERIAL", "NUMBER", "REVOKED", "AT", "REASON"]
    assert (row.split()[0], row.split()[2]) == (serial, "keyCompromise")


def test_a_revocation_without_a_reason_is_unspecified(operator: Operator) -> None:
    serial = signer_serial(operator)
    operator.run("cert", "revoke", serial)
    (entry,) = operator.run("crl", "--json").json["revoked"]
    assert (entry["serial_number"], entry["reason"]) == (serial, "unspecified")


def test_a_machine_gets_the_crl_as_an_object_beside_the_file(operator: Operator, tmp_path: Path) -> None:
    shown = operator.run("crl", "--out", tmp_path / "crl.pem", "--json").json
    crl = x509.load_pem_x509_crl((tmp_path / "crl.pem").read_bytes())
    assert shown == {
        "issuer": "CN=Example CA",
        "number": 1,
        "this_update": crl.last_update_utc.isoformat(),
        "next_update": crl.next_update_utc.isoformat() if crl.next_update_utc else None,
        "revoked": [],
    }


def test_a_file_that_cannot_be_written_is_named(operator: Operator, tmp_path: Path) -> None:
    assert "cannot be written" in operator.run("crl", "--out", tmp_path / "nowhere" / "crl.pem", status=2).err
