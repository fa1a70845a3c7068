"""A program as issuer: a request in, a certificate out."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from cmpkit.crypto.keys import generate_key
from cmpkit.crypto.names import parse_name
from cmpkit.crypto.pop import build_p10
from cmpkit.crypto.x509 import to_pem
from cmpkit.enums import BodyType, CRLReason, PKIFailureInfo
from cmpkit.errors import CMPError, ConfigurationError, PeerRefusal
from cmpkit.issuers.command import CommandIssuer
from cmpkit.issuers.command_opening import open_command_issuer
from cmpkit.issuers.program import PENDING, REJECTED, Programs
from cmpkit.parts import (
    Abandoned,
    CertificateState,
    Issued,
    OpenContext,
    Pending,
    Rejected,
    RevocationRequest,
    UnitOfWork,
)
from cmpkit.testing import check_issuer

from .conftest import DEVICE, Landscape
from .program_ca import ProgramCA


@pytest.fixture
def ca(landscape: Landscape, tmp_path: Path) -> Iterator[ProgramCA]:
    with ProgramCA(landscape.ca.issuing.der, landscape.ca.issuing_key, tmp_path, landscape.clock) as ca:
        yield ca


def issuer_of(landscape: Landscape, ca: ProgramCA, *, limit: float = 20.0, **commands: Any) -> CommandIssuer:
    programs = {"issue": ca.command(), "revoke": ca.command(), "crl": ca.command(), **commands}
    known = {name: arguments for name, arguments in programs.items() if arguments is not None}
    return CommandIssuer(
        landscape.authority, Programs(known, ca.directory, ("SECRET_PIN",), timedelta(seconds=limit), 10)
    )


async def ask(landscape: Landscape, issuer: CommandIssuer, request: Any = None, key: str = "ab" * 32) -> Any:
    request = request or landscape.request()
    return await issuer.issue(request, DEVICE, idempotency_key=key, now=landscape.clock())


async def test_it_keeps_the_contract_of_issuers(landscape: Landscape, ca: ProgramCA) -> None:
    await check_issuer(
        issuer_of(landscape, ca),
        landscape.request,
        DEVICE,
        plugins=landscape.plugins,
        commit=landscape.store.commit,
        clock=landscape.clock,
        wait=landscape.sleep,
    )


async def test_it_is_told_what_is_asked_for(landscape: Landscape, ca: ProgramCA) -> None:
    words = ("{subject}", "{days}", "{profile}", "{not_after}", "{public_key}", "{extensions}", "{key}")
    issuer = issuer_of(landscape, ca, issue=ca.command(*words))
    request = landscape.request(subject=parse_name(r"CN=a\,b/c+OU=x"))
    result = await ask(landscape, issuer, request)
    assert isinstance(result, Issued)
    (task,) = ca.tasks
    subject, days, profile, not_after, public_key, extensions, key = task["arguments"]
    assert subject in (r"/CN=a,b\/c+OU=x", r"/OU=x+CN=a,b\/c")
    assert (days, profile, key) == ("365", "device", task["key"])
    assert not_after == "20271123120000Z"
    assert Path(public_key).name == "public_key"
    assert not await anyio.Path(extensions).exists()
    assert [item["oid"] for item in task["extensions"]] == ["2.5.29.19", "2.5.29.15"]
    assert (task["body"], task["identity"], task["csr"]) == ("ir", "dev-42", None)


async def test_it_gets_no_more_of_the_environment_than_it_is_to(
    landscape: Landscape, ca: ProgramCA, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_PIN", "1234")
    monkeypatch.setenv("HIDDEN", "value")
    names = "env | grep -E '^[A-Z_]+=' | cut -d= -f1 | sort | tr '\\n' ' '"
    result = await ask(landscape, issuer_of(landscape, ca, issue=("/bin/sh", "-c", f"{names}; exit {REJECTED}")))
    said = result.error.status_text.split()
    assert {"CMPKIT_KEY", "CMPKIT_SUBJECT", "SECRET_PIN", "PATH"} <= {*said}
    assert "HIDDEN" not in said


async def test_what_it_gave_is_given_again(landscape: Landscape, ca: ProgramCA) -> None:
    issuer, request = issuer_of(landscape, ca), landscape.request()
    first = await ask(landscape, issuer, request)
    assert (await ask(landscape, issuer_of(landscape, ca), request)).certificate == first.certificate
    assert len(ca.tasks) == 1


async def test_one_that_was_killed_is_asked_again_with_the_same_key(landscape: Landscape, ca: ProgramCA) -> None:
    ca.answer = lambda facts: (ca.issue(facts), (0, b""))[1] if len(ca.tasks) == 1 else None
    asking = " ".join(ca.command())
    hanging = issuer_of(landscape, ca, limit=2, issue=("/bin/sh", "-c", f"{asking}; exec sleep 60"))
    request = landscape.request()
    result = await ask(landscape, hanging, request)
    assert result == Pending(10, "the CA has not answered yet")
    result = await ask(landscape, issuer_of(landscape, ca), request)
    assert isinstance(result, Issued)
    assert [task["key"] for task in ca.tasks] == ["ab" * 32] * 2
    assert len(ca.issued) == 1


async def test_nobody_else_asks_while_one_is_at_work(landscape: Landscape, ca: ProgramCA) -> None:
    issuer, request = issuer_of(landscape, ca), landscape.request()
    busy = issuer_of(landscape, ca, limit=0.2, issue=("/bin/sleep", "60"))
    await ask(landscape, busy, request)
    kept = await landscape.store.undertaking("command", "ab" * 32)
    assert kept is not None
    state = kept.state.replace(b'"busy_until": ""', b'"busy_until": "2026-11-23T12:00:09+00:00"')
    await landscape.store.commit(UnitOfWork(undertakings=(replace(kept, state=state),)))
    assert await ask(landscape, issuer, request) == Pending(1, "the CA is at it")
    assert not ca.tasks
    landscape.clock.advance(10)
    assert isinstance(await ask(landscape, issuer, request), Issued)


@pytest.mark.parametrize(
    ("said", "fail_info", "text"),
    [
        (b"badCertTemplate: no such names", PKIFailureInfo.BAD_CERT_TEMPLATE, "no such names"),
        (b"notAuthorized", PKIFailureInfo.NOT_AUTHORIZED, "the request is not authorised"),
        (b"because\nof that", PKIFailureInfo.BAD_REQUEST, "because of that"),
    ],
)
async def test_it_refuses_with_a_failure_of_its_choice(
    landscape: Landscape, ca: ProgramCA, said: bytes, fail_info: PKIFailureInfo, text: str
) -> None:
    ca.answer = lambda facts: (REJECTED, said)
    result = await ask(landscape, issuer_of(landscape, ca))
    assert (result.error.fail_info, result.error.status_text) == (fail_info, text)


@pytest.mark.parametrize(("said", "seconds"), [(b"3600\n", 3600), (b"", 10), (b"999999999", 86400), (b"soon", 10)])
async def test_it_asks_for_time(landscape: Landscape, ca: ProgramCA, said: bytes, seconds: int) -> None:
    ca.answer = lambda facts: (PENDING, said)
    assert await ask(landscape, issuer_of(landscape, ca)) == Pending(seconds, "the CA needs time")
    ca.answer = lambda facts: None
    assert isinstance(await ask(landscape, issuer_of(landscape, ca)), Issued | Rejected)


@pytest.mark.parametrize(
    ("command", "fail_info", "detail"),
    [
        (("/nowhere/issue",), PKIFailureInfo.SYSTEM_UNAVAIL, "issue of [issuer] cannot be run"),
        (("/bin/sh", "-c", "echo no; echo why >&2; exit 1"), PKIFailureInfo.SYSTEM_FAILURE, "status 1: no"),
        (("/bin/echo", "garbage"), PKIFailureInfo.SYSTEM_FAILURE, "the program gave no certificate"),
        (("/bin/true",), PKIFailureInfo.SYSTEM_FAILURE, "the program gave no certificate"),
        (("/bin/sh", "-c", "head -c 2000000 /dev/zero"), PKIFailureInfo.SYSTEM_FAILURE, "more than 1048576 octets"),
        (
            ("/bin/sh", "-c", "head -c 2000000 /dev/zero > $0", "{out}"),
            PKIFailureInfo.SYSTEM_FAILURE,
            "more than 1048576 octets",
        ),
        (("/bin/sh", "-c", "kill -9 $$"), PKIFailureInfo.SYSTEM_FAILURE, "status -9"),
    ],
)
async def test_a_program_that_fails_issues_nothing(
    landscape: Landscape, ca: ProgramCA, command: tuple[str, ...], fail_info: PKIFailureInfo, detail: str
) -> None:
    result = await ask(landscape, issuer_of(landscape, ca, issue=command))
    assert isinstance(result, Rejected)
    assert result.error.fail_info is fail_info
    assert detail in result.error.detail


async def test_a_certificate_for_another_key_is_refused(landscape: Landscape, ca: ProgramCA) -> None:
    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    ca.answer = lambda facts: (0, ca.issue(facts, other))
    result = await ask(landscape, issuer_of(landscape, ca))
    assert "a certificate for another key" in result.error.detail


async def test_a_certificate_of_another_request_is_refused(landscape: Landscape, ca: ProgramCA) -> None:
    issuer, request = issuer_of(landscape, ca), landscape.request()
    first = await ask(landscape, issuer, request)
    await landscape.store.commit(UnitOfWork(certificates=(first.certificate,)))
    old = next(iter(ca.issued.values()))
    ca.answer = lambda facts: (0, old)
    result = await ask(landscape, issuer, request, key="cd" * 32)
    assert "had issued before" in result.error.detail


async def test_a_certificate_that_is_over_is_refused(landscape: Landscape, ca: ProgramCA) -> None:
    request = landscape.request()
    ca.answer = lambda facts: (0, ca.issue({**facts, "not_after": "2026-11-23T12:00:01+00:00"}))
    landscape.clock.advance(1)
    result = await ask(landscape, issuer_of(landscape, ca), request)
    assert "that ended at" in result.error.detail


async def test_only_pkcs10_is_taken_where_there_is_a_program_for_nothing_else(
    landscape: Landscape, ca: ProgramCA
) -> None:
    issuer = issuer_of(landscape, ca, issue=None, issue_p10=ca.command("{csr}"))
    result = await ask(landscape, issuer)
    assert result.error.status_text == "ask by p10cr"


async def test_what_comes_late_is_revoked_or_kept(
    landscape: Landscape, ca: ProgramCA, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    ca.answer = lambda facts: (PENDING, b"") if facts["operation"] == "issue" else None
    issuer = issuer_of(landscape, ca)
    await ask(landscape, issuer)
    assert isinstance(await issuer.abandon("ab" * 32, now=landscape.clock()), Pending)
    ca.answer = lambda facts: None
    ended = await issuer.abandon("ab" * 32, now=landscape.clock())
    assert isinstance(ended, Abandoned)
    assert ended.certificate is not None
    assert ended.certificate.state is CertificateState.REVOKED
    assert ended.certificate.serial_number in ca.revoked
    await ask(landscape, issuer_of(landscape, ca, revoke=None), key="cd" * 32)
    kept = await issuer_of(landscape, ca, revoke=None).abandon("cd" * 32, now=landscape.clock())
    assert isinstance(kept, Abandoned)
    assert kept.certificate is not None
    assert kept.certificate.state is CertificateState.VALID
    assert await issuer.abandon("never asked", now=landscape.clock()) == Abandoned()


async def test_what_is_refused_late_is_forgotten(landscape: Landscape, ca: ProgramCA) -> None:
    ca.answer = lambda facts: (PENDING, b"")
    issuer = issuer_of(landscape, ca)
    await ask(landscape, issuer)
    ca.answer = lambda facts: (REJECTED, b"")
    assert await issuer.abandon("ab" * 32, now=landscape.clock()) == Abandoned()
    assert await landscape.store.undertaking("command", "ab" * 32) is None


async def test_a_crl_that_is_not_there_is_told(landscape: Landscape, ca: ProgramCA) -> None:
    with pytest.raises(CMPError, match="there is no CRL"):
        await issuer_of(landscape, ca, crl=None).crl(now=landscape.clock())
    ca.answer = lambda facts: (PENDING, b"")
    with pytest.raises(CMPError, match="takes longer"):
        await issuer_of(landscape, ca).crl(now=landscape.clock())


async def test_a_rejection_that_nobody_can_be_told_is_in_the_log(
    landscape: Landscape, ca: ProgramCA, caplog: pytest.LogCaptureFixture
) -> None:
    issuer = issuer_of(landscape, ca, revoke=None)
    issued = await ask(landscape, issuer)
    change = await issuer.confirm(issued.certificate, accepted=False, now=landscape.clock())
    assert change.state is CertificateState.REVOKED
    assert "there is no program to tell that" in caplog.text


async def test_nothing_is_revoked_without_a_program_for_it(landscape: Landscape, ca: ProgramCA) -> None:
    issuer = issuer_of(landscape, ca, revoke=None)
    issued = await ask(landscape, issuer)
    await landscape.store.commit(UnitOfWork(certificates=(issued.certificate,)))
    named = RevocationRequest(landscape.ca.issuing.name, issued.certificate.serial_number, CRLReason.SUPERSEDED)
    result = await issuer.revoke(named, DEVICE, now=landscape.clock())
    assert isinstance(result, Rejected)
    assert result.error.fail_info is PKIFailureInfo.NOT_AUTHORIZED


async def test_a_program_is_told_what_the_requester_said(landscape: Landscape, ca: ProgramCA) -> None:
    ca.answer = lambda facts: (0, b"") if facts["operation"] == "confirm" else None
    issuer = issuer_of(landscape, ca, confirm=ca.command("{status}", "{certificate}"))
    issued = await ask(landscape, issuer)
    for accepted in (True, False):
        change = await issuer.confirm(issued.certificate, accepted=accepted, now=landscape.clock())
        assert change.state is (CertificateState.VALID if accepted else CertificateState.REVOKED)
    assert [task["arguments"][0] for task in ca.tasks[1:]] == ["accepted", "rejected"]


async def test_a_device_enrols(landscape: Landscape, ca: ProgramCA) -> None:
    issuer = issuer_of(landscape, ca)
    secret = await landscape.secret()
    async with landscape.device(secret, issuer) as client:
        enrolled = await client.enroll("CN=dev-42")
        await client.revoke(enrolled)
        ca.answer = lambda facts: (REJECTED, b"badCertTemplate never")
        with pytest.raises(PeerRefusal) as caught:
            await client.certify("CN=dev-42")
    assert caught.value.texts == ("never",)
    assert x509.load_der_x509_certificate(enrolled.certificate).serial_number in ca.revoked
    record = (await landscape.store.certificates())[0]
    assert record.state is CertificateState.REVOKED


async def test_a_device_that_asked_by_pkcs10_gets_what_that_says(landscape: Landscape, ca: ProgramCA) -> None:
    key = generate_key("p256", landscape.plugins)
    csr = await build_p10(parse_name("CN=dev-42"), key, ())
    issuer = issuer_of(landscape, ca, issue_p10=ca.command("{csr}"))
    async with landscape.device(await landscape.secret(), issuer) as client:
        await client.request_p10(csr)
    (task,) = ca.tasks
    assert Path(task["arguments"][0]).name == "csr"
    assert x509.load_pem_x509_csr(task["csr"].encode()).is_signature_valid
    assert task["body"] == BodyType.P10CR.wire_name


@pytest.mark.parametrize(
    ("change", "mistake"),
    [
        ({"issue": None}, "issue: is missing, as is issue_p10"),
        ({"issue": ["/bin/true", "{csr}"]}, r"\[issuer\] issue: there is no {csr}; there are: {days}, {extensions}"),
        ({"issue": ["no-such-program"]}, "issue: there is no program no-such-program"),
        ({"issue": []}, "issue: "),
        ({"authority": "missing.pem"}, r"\[issuer\] authority: .*missing.pem cannot be read"),
        ({"nonsense": 1}, "nonsense: there is no such key"),
    ],
)
async def test_mistakes_in_its_table_are_named(landscape: Landscape, tmp_path: Path, change: Any, mistake: str) -> None:
    table = {"authority": "issuing.pem", "issue": ["/bin/true"], **change}
    context = OpenContext(tmp_path, landscape.store, landscape.plugins, landscape.authority.profiles)
    _write_authority(landscape, tmp_path)
    with pytest.raises(ConfigurationError, match=mistake):
        await open_command_issuer({name: value for name, value in table.items() if value is not None}, context)


async def test_its_table_is_read(landscape: Landscape, ca: ProgramCA, tmp_path: Path) -> None:
    _write_authority(landscape, tmp_path)
    crl = ca.crl()
    (tmp_path / "ca.crl").write_bytes(crl)
    context = OpenContext(tmp_path, landscape.store, landscape.plugins, landscape.authority.profiles)
    table = {"authority": "issuing.pem", "issue": list(ca.command()), "crl_file": "ca.crl"}
    issuer = await open_command_issuer(table, context)
    assert isinstance(await ask(landscape, issuer), Issued)
    assert await issuer.crl(now=landscape.clock()) == crl
    assert await issuer.root_key_update() is None


def _write_authority(landscape: Landscape, directory: Path) -> None:
    (directory / "issuing.pem").write_bytes(to_pem(*landscape.ca.issuing.all))
