"""demo: it ends well, tells what happened, and leaves what it should."""

from __future__ import annotations

import re
from pathlib import Path

from cryptography import x509
from operating import run


def test_demo_finds_the_revoked_certificate_in_the_crl() -> None:
    told = run("demo").out
    steps = re.findall(r"^\d\. (.+)$", told, re.MULTILINE)
    assert len(steps) == 8
    for body in ("ir", "ip", "certConf", "pkiconf", "kur", "kup", "rr", "rp", "genm", "genp"):
        assert re.search(rf"^  (->|<-) {body} +\d+ octets, protected by (MAC|signature), from CN=", told, re.MULTILINE)
    (serial,) = re.findall(r"dev-42-2\.pem: CN=dev-42, serial number ([0-9a-f]+)", told)
    assert re.search(rf"serial number {serial} revoked .*: keyCompromise", told)


def test_demo_keeps_its_files_if_told_so(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    assert str(kept) in run("demo", "--keep", kept).out
    crl = x509.load_pem_x509_crl((kept / "crl.pem").read_bytes())
    revoked = x509.load_pem_x509_certificate((kept / "dev-42-2.pem").read_bytes())
    assert crl.get_revoked_certificate_by_serial_number(revoked.serial_number)
    assert (kept / "dev-42.key").stat().st_mode & 0o077 == 0
    assert (kept / "dev-42.secret").stat().st_mode & 0o077 == 0


def test_demo_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    assert "not empty" in run("demo", "--keep", tmp_path, status=2).err
