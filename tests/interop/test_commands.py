"""The commands of cmpkit against OpenSSL's mock server: their fixed forms and their exit statuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from cmpkit.cli import app

from .conftest import OpenSSL
from .mock_server import SECRET, MockPKI, make_pki, mock_server


@pytest.fixture(scope="module")
def pki(any_openssl: OpenSSL, tmp_path_factory: pytest.TempPathFactory) -> MockPKI:
    return make_pki(any_openssl, tmp_path_factory.mktemp("mock"), "p256")


class Commands:
    """Runs commands for one device."""

    def __init__(self, pki: MockPKI, folder: Path) -> None:
        self.pki, self.folder = pki, folder
        self.certout = folder / "out.pem"
        (folder / "secret").write_text(SECRET)

    @property
    def by_secret(self) -> list[object]:
        return ["--ref", "mock", "--secret", f"file:{self.folder / 'secret'}", "--tolerate", "hmac-sha1"]

    def by(self, name: str) -> list[object]:
        return ["--cert", self.pki.folder / f"{name}.pem", "--key", self.pki.folder / f"{name}.key"]

    def __call__(self, *arguments: object) -> Result:
        state = ("--state", self.folder / "state") if arguments[0] != "resume" else ()
        trusted = ("--trusted", self.pki.folder / "ca.pem") if arguments[0] != "resume" else ()
        return CliRunner().invoke(app, [str(argument) for argument in (*arguments, *trusted, *state)])

    def enroll(self, url: str, *options: object, command: str = "enroll") -> Result:
        wanted = ("--subject", "/O=Mock/CN=given", "--newkey", self.pki.folder / "given.key", "--certout", self.certout)
        return self(command, url, *wanted, *options)

    def got(self) -> bool:
        return self.certout.read_bytes().count(b"BEGIN CERTIFICATE") == 1


@pytest.fixture
def run(pki: MockPKI, tmp_path: Path) -> Commands:
    return Commands(pki, tmp_path)


class TestOperations:
    def test_enroll_by_secret(self, openssl, pki, run):
        with mock_server(openssl, pki) as url:
            done = run.enroll(url, *run.by_secret, "--chainout", run.folder / "chain.pem")
        assert done.exit_code == 0, done.output
        assert run.got()
        assert (run.folder / "chain.pem").exists()

    def test_enroll_and_certify_by_certificate(self, openssl, pki, run):
        with mock_server(openssl, pki, by="certificate") as url:
            for command in ("enroll", "certify"):
                done = run.enroll(url, *run.by("device"), command=command)
                assert done.exit_code == 0, done.output
                assert run.got()

    def test_update(self, openssl, pki, run):
        with mock_server(openssl, pki, by="certificate") as url:
            done = run("update", url, *run.by("given"), "--certout", run.certout)
        assert done.exit_code == 0, done.output

    def test_p10(self, openssl, pki, run):
        csr = run.folder / "csr.pem"
        openssl.run(
            *("req", "-new", "-config", pki.folder / "req.cnf", "-key", pki.folder / "given.key"),
            *("-subj", "/O=Mock/CN=given", "-out", csr),
        )
        with mock_server(openssl, pki, by="certificate") as url:
            done = run("p10", url, *run.by("device"), "--csr", csr, "--certout", run.certout)
        assert done.exit_code == 0, done.output
        assert run.got()

    def test_revoke(self, openssl, pki, run):
        with mock_server(openssl, pki, by="certificate") as url:
            oldcert = ("--oldcert", pki.folder / "given.pem", "--revreason", "keyCompromise")
            done = run("revoke", url, *run.by("given"), *oldcert)
        assert done.exit_code == 0, done.output

    def test_info(self, openssl, pki, run):
        with mock_server(openssl, pki, by="certificate") as url:
            done = run("info", url, "caCerts", *run.by("device"), "--json")
        assert done.exit_code == 0, done.output
        assert isinstance(json.loads(done.stdout), dict)

    def test_messages_are_saved(self, openssl, pki, run):
        names = [run.folder / name for name in ("ir.der", "conf.der", "ip.der", "ok.der")]
        with mock_server(openssl, pki, by="certificate") as url:
            saved = ("--reqout", f"{names[0]},{names[1]}", "--rspout", f"{names[2]},{names[3]}")
            done = run.enroll(url, *run.by("device"), *saved)
        assert done.exit_code == 0, done.output
        for name in names:
            assert "SEQUENCE" in openssl.run("asn1parse", "-inform", "DER", "-in", name).stdout


class TestExitStatuses:
    def test_a_refusal_ends_with_6_and_names_the_failure(self, openssl, pki, run):
        options = ("-pkistatus", 2, "-failure", 23, "-statusstring", "not today")
        with mock_server(openssl, pki, *options, by="certificate") as url:
            done = run.enroll(url, *run.by("device"))
        assert done.exit_code == 6, done.output
        assert "notAuthorized" in done.stderr
        assert "not today" in done.stderr
        assert not run.certout.exists()

    def test_an_unprotected_refusal_ends_with_5_or_as_told_with_6(self, openssl, pki, run):
        with mock_server(openssl, pki, "-send_error", "-send_unprot_err", by="certificate") as url:
            done = run.enroll(url, *run.by("device"))
            assert done.exit_code == 5, done.output
            assert "--unprotected-errors" in done.stderr
            assert run.enroll(url, *run.by("device"), "--unprotected-errors").exit_code == 6

    def test_a_mac_with_sha1_ends_with_5_and_names_the_option(self, openssl, pki, run):
        with mock_server(openssl, pki) as url:
            done = run.enroll(url, *run.by_secret[:4])
        assert done.exit_code == 5, done.output
        assert "--tolerate hmac-sha1" in done.stderr

    def test_waiting_ends_with_7_and_resume_goes_on(self, openssl, pki, run):
        with mock_server(openssl, pki, "-poll_count", 2, "-check_after", 2, by="certificate") as url:
            done = run.enroll(url, *run.by("device"), "--total-timeout", 1)
            assert done.exit_code == 7, done.output
            (saved,) = (run.folder / "state").glob("*.json")
            assert f"cmpkit resume {saved}" in done.stderr.replace("\n", " ")
            done = run("resume", saved, "--total-timeout", 20)
            assert done.exit_code == 0, done.output
        assert run.got()
        assert not list((run.folder / "state").iterdir())

    def test_a_wrong_path_ends_with_3_and_tells_the_http_status(self, openssl, pki, run):
        with mock_server(openssl, pki, by="certificate") as url:
            done = run.enroll(url.replace("/pkix/", "/elsewhere"), *run.by("device"))
        assert done.exit_code == 3, done.output
        assert "404" in done.stderr

    def test_another_server_than_the_pinned_one_ends_with_5(self, openssl, pki, run):
        with mock_server(openssl, pki, by="certificate") as url:
            done = run.enroll(url, *run.by("device"), "--srvcert", pki.folder / "device.pem")
            assert done.exit_code == 5, done.output
            assert "--srvcert" in done.stderr
            assert run.enroll(url, *run.by("device"), "--srvcert", pki.folder / "server.pem").exit_code == 0
