from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from cryptography import x509
from operating import Operator

from cmpkit.asn1 import decode_message
from cmpkit.ca.operator import OPERATOR
from cmpkit.config import load_configuration, open_issuer
from cmpkit.crypto.keys import generate_key
from cmpkit.crypto.names import parse_name
from cmpkit.enums import BodyType, PKIFailureInfo, PKIStatus
from cmpkit.errors import CMPError
from cmpkit.hookspecs import hookimpl
from cmpkit.parts import (
    AuditEntry,
    CertificateRecord,
    CertificateRequest,
    Disposition,
    Issued,
    Pending,
    Rejected,
    RevocationRequest,
    TransportOptions,
    UnitOfWork,
)
from cmpkit.plugins import load_plugins


def issue(operator: Operator, subject: str) -> CertificateRecord:
    """A certificate of the operator's CA, confirmed."""

    async def run() -> CertificateRecord:
        plugins = load_plugins()
        now = datetime.now(UTC)
        request = CertificateRequest(
            BodyType.IR,
            0,
            generate_key("p256", plugins).public_key_info,
            subject=parse_name(subject),
            profile="device",
        )
        async with open_issuer(load_configuration(operator.config, plugins), plugins) as (store, issuer):
            issued = await issuer.issue(request, OPERATOR, idempotency_key=subject, now=now)
            assert isinstance(issued, Issued)
            await store.commit(UnitOfWork(certificates=(issued.certificate,)))
            await store.commit(UnitOfWork(changes=(await issuer.confirm(issued.certificate, accepted=True, now=now),)))
            return issued.certificate

    return anyio.run(run)


def audit(operator: Operator) -> list[AuditEntry]:
    async def run() -> list[AuditEntry]:
        plugins = load_plugins()
        async with open_issuer(load_configuration(operator.config, plugins), plugins) as (store, _):
            return list(await store.audit_entries())

    return anyio.run(run)


@pytest.fixture
def record(operator: Operator) -> CertificateRecord:
    return issue(operator, "CN=dev-42,O=Example")


@pytest.fixture
def serial(record: CertificateRecord) -> str:
    return f"{record.serial_number:x}"


def test_the_list_has_every_certificate_newest_first(operator: Operator, record: CertificateRecord) -> None:
    title, newest, *signers = operator.run("cert", "list").out.splitlines()
    assert title.split("  ")[0] == "SERIAL NUMBER"
    assert newest.split() == [
        f"{record.serial_number:x}",
        "CN=dev-42,O=Example",
        "valid",
        record.not_after.isoformat(),
        "device",
    ]
    assert [line.rpartition("  ")[2] for line in signers] == ["cmp-signer", "cmp-signer"]


def test_the_list_may_be_narrowed(operator: Operator, record: CertificateRecord) -> None:
    other = issue(operator, "CN=dev-43")
    operator.run("cert", "revoke", f"{other.serial_number:x}")

    def subjects(*options: object) -> list[str]:
        return [row["subject"] for row in operator.run("cert", "list", *options, "--json").json]

    assert subjects() == ["CN=dev-43", "CN=dev-42,O=Example", "CN=Example CA CMP", "CN=Example CA OCSP"]
    assert subjects("--subject", "/O=Example/CN=dev-42") == ["CN=dev-42,O=Example"]
    assert subjects("--state", "revoked") == ["CN=dev-43"]
    assert subjects("--state", "revoked", "--state", "valid", "--limit", 2) == ["CN=dev-43", "CN=dev-42,O=Example"]


def test_one_certificate_is_shown_by_serial_number_or_fingerprint(
    operator: Operator, record: CertificateRecord, serial: str
) -> None:
    shown = operator.run("cert", "show", serial, "--json").json
    assert shown["serial_number"] == serial
    assert shown["sha256"] == record.fingerprint.hex()
    assert (shown["issuer"], shown["state"], shown["reason"]) == ("CN=Example CA", "valid", None)
    colons = ":".join(f"{octet:02X}" for octet in bytes.fromhex(serial.zfill(40)))
    for which in (record.fingerprint.hex().upper(), f"0x{serial}", colons):
        assert operator.run("cert", "show", which, "--json").json == shown
    text = operator.run("cert", "show", serial).out
    assert "subject        CN=dev-42,O=Example" in text
    assert "reason" not in text


@pytest.mark.parametrize("command", ["show", "export", "revoke"])
@pytest.mark.parametrize(
    ("which", "said"), [("abcdef", "there is no certificate abcdef"), ("f" * 64, "no certificate"), ("xyz", "neither")]
)
def test_a_certificate_that_is_not_there_is_an_error(operator: Operator, command: str, which: str, said: str) -> None:
    assert said in operator.run("cert", command, which, status=2).err


def test_a_certificate_is_exported(operator: Operator, record: CertificateRecord, serial: str, tmp_path: Path) -> None:
    pem, der, chain = tmp_path / "c.pem", tmp_path / "c.der", tmp_path / "chain.pem"
    operator.run("cert", "export", serial, "--out", pem)
    operator.run("cert", "export", serial, "--out", der, "--format", "der")
    operator.run("cert", "export", serial, "--out", chain, "--chain")
    loaded = x509.load_der_x509_certificate(record.der)
    assert der.read_bytes() == record.der
    assert x509.load_pem_x509_certificates(pem.read_bytes()) == [loaded]
    issuing = x509.load_pem_x509_certificates((operator.directory / "issuing.pem").read_bytes())
    assert x509.load_pem_x509_certificates(chain.read_bytes()) == [loaded, *issuing]
    assert operator.run("cert", "export", serial).out == pem.read_text()
    assert "one certificate only" in operator.run("cert", "export", serial, "--chain", "--format", "der", status=2).err


def test_the_operator_revokes_and_the_audit_has_it(operator: Operator, serial: str) -> None:
    done = operator.run("cert", "revoke", serial, "--revreason", "keyCompromise", "--json").json
    assert done == {"serial_number": serial, "state": "revoked", "reason": "keyCompromise"}
    shown = operator.run("cert", "show", serial, "--json").json
    assert (shown["state"], shown["reason"]) == ("revoked", "keyCompromise")
    assert datetime.now(UTC) - datetime.fromisoformat(shown["revoked_at"]) < timedelta(minutes=5)
    entry = audit(operator)[0]
    assert (entry.event, entry.actor) == ("revoked", "operator")
    assert entry.details == {"serial": serial, "reason": "keyCompromise"}
    assert [row["serial_number"] for row in operator.run("crl", "--json").json["revoked"]] == [serial]


def test_a_hold_begins_and_ends(operator: Operator, serial: str) -> None:
    held = operator.run("cert", "revoke", serial, "--revreason", "certificateHold").out
    assert held == f"{serial} (CN=dev-42,O=Example) is on hold\n"
    lifted = operator.run("cert", "revoke", serial, "--revreason", "8").out
    assert lifted == f"{serial} (CN=dev-42,O=Example) is valid\n"
    assert [entry.event for entry in audit(operator)][:2] == ["hold lifted", "put on hold"]
    assert operator.run("crl", "--json").json["revoked"] == []


def test_what_is_revoked_cannot_be_revoked_again(operator: Operator, serial: str) -> None:
    operator.run("cert", "revoke", serial)
    assert "is already revoked" in operator.run("cert", "revoke", serial, status=2).err
    assert "only lifts a hold" in operator.run("cert", "revoke", serial, "--revreason", "removeFromCRL", status=2).err


def test_a_reason_that_is_none_is_refused(operator: Operator, serial: str) -> None:
    assert "no revocation reason" in operator.run("cert", "revoke", serial, "--revreason", "bored", status=2).err


class SlowIssuer:
    """An issuer elsewhere that answers as it is told."""

    name = "slow"
    local = False

    def __init__(self, certificates: tuple[bytes, ...], answer: Any) -> None:
        self._certificates = certificates
        self._answer = answer

    async def ca_certificates(self) -> tuple[bytes, ...]:
        return self._certificates

    async def revoke(self, request: RevocationRequest, auth: object, *, now: datetime) -> Any:
        return self._answer


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Pending(60, "a person must agree"), "the issuer decides later: a person must agree"),
        (Rejected(CMPError("not on Sundays", PKIFailureInfo.NOT_AUTHORIZED)), "not on Sundays"),
    ],
)
def test_an_issuer_elsewhere_may_refuse_or_wait(
    operator: Operator, record: CertificateRecord, answer: Any, said: str
) -> None:
    issuing = x509.load_pem_x509_certificates((operator.directory / "issuing.pem").read_bytes())
    from cryptography.hazmat.primitives.serialization import Encoding

    class Factory:
        kind = "slow"

        async def open(self, settings: object, context: object) -> SlowIssuer:
            return SlowIssuer(tuple(item.public_bytes(Encoding.DER) for item in issuing), answer)

    class Brings:
        @hookimpl
        def cmpkit_issuers(self) -> list[Factory]:
            return [Factory()]

    operator.plugins = load_plugins([("slow", Brings())])
    operator.config.write_text(operator.config.read_text().replace('kind = "local"', 'kind = "slow"'))
    assert said in operator.run("cert", "revoke", f"{record.serial_number:x}", status=2).err
    assert operator.run("cert", "show", f"{record.serial_number:x}", "--json").json["state"] == "valid"


def test_names_cannot_make_the_screen_show_something_else(operator: Operator) -> None:
    record = issue(operator, "CN=evil\x1b[2K\u202edev")
    number = f"{record.serial_number:x}"
    shown = [
        operator.run("cert", "list").out,
        operator.run("cert", "show", number).out,
        operator.run("cert", "revoke", number).out,
    ]
    for text in shown:
        assert not {"\x1b", "\u202e"} & set(text)
        assert "\\x1b[2K\\u202e" in text


class Taking:
    """A road to a repository that keeps everything."""

    schemes = ("taking",)

    def __init__(self) -> None:
        self.taken: list[bytes] = []

    def open(self, url: str, options: TransportOptions) -> Taking:
        return self

    async def announce(self, message: bytes) -> Disposition:
        self.taken.append(message)
        return Disposition.STORED

    async def aclose(self) -> None:
        """There is nothing to close."""

    @hookimpl
    def cmpkit_client_transports(self) -> list[Taking]:
        return [self]


class TestWarning:
    @pytest.fixture
    def announced(self, operator: Operator) -> Operator:
        table = '\n[[announce]]\nurl = "http://127.0.0.1:1/.well-known/cmp"\nwhat = ["rann"]\n'
        operator.config.write_text(operator.config.read_text() + table)
        return operator

    def test_repositories_are_told(self, announced: Operator, serial: str) -> None:
        text = announced.config.read_text().replace("http://127.0.0.1:1/.well-known/cmp", "taking://repository")
        announced.config.write_text(text)
        road = Taking()
        announced.plugins = load_plugins([("taking", road)])
        for json, said in (
            ((), "told taking://repository\n"),
            (("--json",), '{\n  "told": [\n    "taking://repository"\n  ]\n}\n'),
        ):
            assert announced.run("cert", "warn", serial, "--at", "7d", "--revreason", "superseded", *json).out == said
        content = decode_message(road.taken[0]).body.content
        assert (f"{content.cert_id.serial_number:x}", content.status) == (serial, PKIStatus.REVOCATION_WARNING)

    def test_a_repository_that_cannot_be_told_is_named(self, announced: Operator, serial: str) -> None:
        outcome = announced.run("cert", "warn", serial, "--at", "2h", status=3)
        assert "127.0.0.1:1" in outcome.err

    @pytest.mark.parametrize(("at", "said"), [("soon", "neither a length of time"), ("2001-01-01", "has passed")])
    def test_the_time_is_to_come(self, announced: Operator, serial: str, at: str, said: str) -> None:
        assert said in announced.run("cert", "warn", serial, "--at", at, status=2).err

    def test_what_is_revoked_already_needs_no_warning(self, announced: Operator, serial: str) -> None:
        announced.run("cert", "revoke", serial)
        assert "already revoked" in announced.run("cert", "warn", serial, "--at", "2h", status=2).err

    def test_somebody_has_to_be_told(self, operator: Operator, serial: str) -> None:
        assert "no repository is told" in operator.run("cert", "warn", serial, "--at", "2h", status=2).err
