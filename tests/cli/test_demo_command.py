"""demo: it ends well, tells what happened, and leaves what it should."""

from __future__ import annotations

import re
import smtplib
from pathlib import Path

import pytest
from cryptography import x509
from operating import run

from cmpkit.cli.tour_mail import delivering
from cmpkit.plugins import load_plugins


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


def test_demo_enrols_over_every_road(tmp_path: Path) -> None:
    told = run("demo", "--all-transports", "--keep", tmp_path / "kept").out
    roads = re.findall(r"^\d+\. Enrol: (.+)$", told, re.MULTILINE)
    assert roads == ["http", "tcp", "tcp-rfc2510", "https", "tcps", "file", "mail"]
    serial_numbers = re.findall(r"dev-[^ ]+\.pem: CN=dev-[^ ]+, serial number ([0-9a-f]+)", told)
    assert len(set(serial_numbers)) == len(roads)
    for road in roads:
        enrolled = x509.load_pem_x509_certificate((tmp_path / "kept" / f"dev-{road}.pem").read_bytes())
        assert f"{enrolled.serial_number:x}" in serial_numbers
    assert "Not shown" not in told


def test_demo_names_mail_where_no_server_for_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cmpkit.cli.tour_roads.can_deliver", lambda: False)
    told = run("demo", "--all-transports").out
    assert "Not shown: mailto: the SMTP server for it is not installed, pip install 'cmpkit[demo]'." in told
    assert "Enrol: mail" not in told


def test_the_mail_server_of_the_demo_has_mailboxes_for_its_addresses_alone(tmp_path: Path) -> None:
    with delivering(tmp_path / "mail", "ca@example.org") as port, smtplib.SMTP("127.0.0.1", port) as smtp:
        refused = smtp.sendmail(
            "dev@example.org", ["ca@example.org", "somebody@example.org"], b"Subject: a\r\n\r\nb\r\n"
        )
    assert {address: code for address, (code, _) in refused.items()} == {"somebody@example.org": 550}
    (mail,) = (tmp_path / "mail" / "ca@example.org" / "new").iterdir()
    assert mail.read_bytes().splitlines() == [b"Subject: a", b"", b"b"]


def test_demo_names_roads_that_are_not_installed() -> None:
    plugins = load_plugins()
    del plugins._kinds["server transport"].parts["file"]
    told = run("demo", "--all-transports", plugins=plugins).out
    assert "Not shown: file: no plugin that is installed brings it." in told


def test_demo_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    assert "not empty" in run("demo", "--keep", tmp_path, status=2).err
