"""How client commands end: one status for each kind of error, and what is said about it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from cryptography import x509
from device import SECRET, URL, Device
from operating import run

from cmpkit.asn1 import ErrorMsgContent, PKIBody, PKIHeader, PKIMessage, PKIStatusInfo, decode_message
from cmpkit.cli.exits import ExitStatus, exit_status
from cmpkit.enums import BodyType, PKIFailureInfo, PKIStatus
from cmpkit.errors import (
    CMPError,
    ConfigurationError,
    ConflictError,
    DeploymentError,
    PeerRefusal,
    StillWaiting,
    TransportError,
    TrustError,
)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ConfigurationError("x"), 2),
        (CMPError("x"), 2),
        (ConflictError("x"), 2),
        (TransportError("x"), 3),
        (TransportError("x", tls=True), 4),
        (TrustError("x"), 5),
        (PeerRefusal(PKIFailureInfo.BAD_POP), 6),
        (StillWaiting(None, waiting=True, seconds=1), 7),
        (StillWaiting(None, waiting=False, seconds=1), 8),
        (DeploymentError("x"), 9),
    ],
)
def test_each_kind_of_error_has_its_status(error: CMPError, status: int) -> None:
    assert exit_status(error) is ExitStatus(status)


class TestUsage:
    def test_a_secret_on_the_command_line_is_refused_and_not_repeated(self, device: Device) -> None:
        for bare in (SECRET, f"pass:{SECRET}", "fd:", "file:"):
            refused = device.command("enroll", "--ref", "dev-42", "--secret", bare, *device.wanted(), status=2)
            assert SECRET not in refused.err + refused.out
            assert "file:PATH, env:NAME or fd:N" in refused.err
        assert not device.road.requests
        assert not device.path("dev-42.key").exists()

    @pytest.mark.parametrize(
        ("source", "said"),
        [("env:NOT_SET", "NOT_SET"), ("file:/none", "/none"), ("fd:99", "99"), ("fd:x", "number"), ("fd:9" * 9, "fd:")],
    )
    def test_a_source_that_gives_nothing_is_named(self, device: Device, source: str, said: str) -> None:
        refused = device.command("enroll", "--ref", "dev-42", "--secret", source, *device.wanted(), status=2)
        assert said in refused.err

    def test_an_empty_secret_is_refused(self, device: Device) -> None:
        device.path("dev-42.secret").write_text("\n")
        assert "empty" in device.enroll(status=2).err

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ([], "credentials missing"),
            (["--ref", "dev-42"], "--ref needs --secret"),
            (["--secret", "env:X"], "--secret needs --ref"),
            (["--cert", "x.pem"], "--key missing"),
            (["--key", "x.key"], "--cert missing"),
            (["--ref", "x", "--cert", "x.pem"], "exclude each other"),
        ],
    )
    def test_credentials_that_are_not_whole_are_named(self, device: Device, options: list[str], said: str) -> None:
        assert said in device.command("enroll", *options, *device.wanted(), status=2).err

    def test_a_key_that_does_not_fit_the_certificate_is_refused(self, device: Device) -> None:
        device.enroll()
        device.path("dev-42.key").rename(device.path("old.key"))
        device.command(
            "update",
            "--cert",
            device.path("dev-42.pem"),
            "--key",
            device.path("old.key"),
            "--newkey",
            device.path("dev-42.key"),
            "--certout",
            device.path("x.pem"),
        )
        refused = device.command("info", *device.by_certificate(), status=2)
        assert "--key is not that of the certificate" in refused.err

    def test_without_trust_anchors_nothing_is_asked(self, device: Device) -> None:
        device.enroll(status=2, trust=False)
        assert not device.road.requests

    def test_ca_certificates_are_adopted_only_under_a_secret(self, device: Device) -> None:
        device.enroll()
        refused = device.command("certify", *device.by_certificate(), *device.wanted("x"), "--adopt-ca-pubs", status=2)
        assert "RFC 9483" in refused.err

    @pytest.mark.parametrize("place", ["none/dev.pem", "."])
    def test_a_file_that_cannot_be_written_is_named_before_anything_is_sent(self, device: Device, place: str) -> None:
        refused = device.enroll("--certout", device.path(place), status=2)
        assert "cannot be written" in refused.err
        assert not device.road.requests

    def test_a_directory_without_permission_is_named(self, device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("os.access", lambda path, mode, **_: mode != os.W_OK)
        assert "no permission" in device.enroll(status=2).err

    def test_an_unknown_tolerance_is_refused(self, device: Device) -> None:
        refused = device.enroll("--tolerate", "md5", status=2).err
        assert "--tolerate: there is no md5" in refused
        assert "hmac-sha1" in refused
        assert "--peer: there is no ca" in device.enroll("--peer", "ca", status=2).err

    def test_a_scheme_that_no_plugin_brings_is_named(self, device: Device) -> None:
        refused = device.run(
            "enroll", "gopher://x", "--trusted", device.trusted, *device.by_secret(), *device.wanted(), status=2
        )
        assert "gopher" in refused.err

    def test_an_option_that_is_missing_is_a_usage_error(self) -> None:
        assert run("enroll", URL, status=2).err


class TestRoad:
    def test_transport_errors_end_with_3_and_keep_the_transaction(self, device: Device) -> None:
        device.road.faults = [TransportError("HTTP status 500", hint="look there")]
        failed = device.enroll(status=3)
        (saved,) = device.saved
        assert "HTTP status 500" in failed.err
        assert "hint: look there" in failed.err
        assert f"cmpkit resume {saved}" in failed.err

    def test_tls_errors_end_with_4(self, device: Device) -> None:
        device.road.faults = [TransportError("certificate refused", tls=True)]
        assert device.enroll("--json", status=4).json["kind"] == "tls"

    def test_an_answer_that_is_no_message_ends_with_3(self, device: Device) -> None:
        device.road.faults = [lambda _: b"<html>"]
        assert b"<html>".hex() in device.enroll(status=3).err

    def test_time_that_is_over_without_an_answer_ends_with_8(self, device: Device) -> None:
        device.road.faults = [TransportError("refused", retryable=True)] * 9
        failed = device.enroll("--total-timeout", "0.2", "--json", status=8).json
        assert failed["kind"] == "timed out"
        assert failed["saved"] == str(device.saved[0])

    def test_a_server_that_comes_back_is_asked_again(self, device: Device) -> None:
        device.road.faults = [TransportError("refused", retryable=True)]
        device.enroll()
        first, second, _ = device.road.requests
        assert first.raw == second.raw

    def test_options_reach_the_road(self, device: Device) -> None:
        device.enroll(
            *("--tls-trusted", "a.pem", "--tls-cert", "b.pem", "--tls-key", "c.pem", "--tls-host", "ca.example"),
            *("--proxy", "http://proxy", "--no-proxy", "ca.example", "--tls-keypass", "env:PW", "--msg-timeout", "7"),
            *("--road-option", "imap=imaps://mail.example", "--road-option", "poll=5m"),
        )
        options = device.road.options
        assert options is not None
        assert (options.tls_trusted, options.tls_cert, options.tls_key) == ("a.pem", "b.pem", "c.pem")
        assert (options.tls_host, options.proxy, options.timeout) == ("ca.example", "http://proxy", 7)
        assert (options.tls_keypass, options.no_proxy) == ("env:PW", "ca.example")
        assert options.own == {"imap": "imaps://mail.example", "poll": "5m"}
        assert options.directory == Path.cwd()

    @pytest.mark.parametrize(
        ("given", "said"),
        [(("hush",), "NAME=VALUE is needed"), (("=hush",), "NAME=VALUE"), (("a=hush", "a=hush"), "a is given twice")],
    )
    def test_an_option_of_the_road_without_a_name_is_refused(
        self, device: Device, given: tuple[str, ...], said: str
    ) -> None:
        failed = device.enroll(*(text for one in given for text in ("--road-option", one)), status=2)
        assert said in failed.err
        assert "hush" not in failed.err


class TestTrust:
    def test_an_answer_with_a_wrong_mac_ends_with_5(self, device: Device) -> None:
        device.road.faults = [lambda answer: answer[:-1500] + bytes([answer[-1500] ^ 1]) + answer[-1499:]]
        assert device.enroll("--json", status=5).json["kind"] == "not trusted"

    def test_a_signer_that_leads_to_no_anchor_ends_with_5_and_says_why(self, device: Device, tmp_path: Path) -> None:
        device.enroll()
        run("init", tmp_path / "other")
        refused = device.command(
            *("info", *device.by_certificate(), "--trusted", tmp_path / "other" / "trust.pem"),
            trust=False,
            status=5,
        )
        assert "cmpkit resume" in refused.err

    def test_the_expected_sender_is_compared(self, device: Device) -> None:
        device.enroll()
        refused = device.command("info", *device.by_certificate(), "--expect-sender", "CN=other", status=5)
        assert "--expect-sender" in refused.err

    def test_a_pinned_certificate_is_enough(self, device: Device) -> None:
        device.enroll()
        pinned = device.road.config.parent / "signer.pem"
        device.command("info", *device.by_certificate(), "--srvcert", pinned, trust=False)

    def test_unprotected_refusals_are_taken_only_if_told_so(self, device: Device) -> None:
        device.road.faults = [unprotected_error, unprotected_error]
        refused = device.enroll(status=5)
        assert "not authenticated: badRequest" in refused.err
        refused = device.enroll("--unprotected-errors", status=6)
        assert "badRequest" in refused.err
        assert not device.saved


def unprotected_error(answer: bytes) -> bytes:
    header = decode_message(answer).header
    bare = PKIHeader(
        pvno=2,
        sender=header.sender,
        recipient=header.recipient,
        transaction_id=header.transaction_id,
        sender_nonce=header.sender_nonce,
        recip_nonce=header.recip_nonce,
    )
    status = PKIStatusInfo.of(PKIStatus.REJECTION, ["no"], PKIFailureInfo.BAD_REQUEST)
    return PKIMessage(bare, PKIBody(BodyType.ERROR, ErrorMsgContent(pki_status_info=status))).raw


class TestRefusal:
    def test_a_refusal_ends_with_6_and_forgets_the_transaction(self, device: Device) -> None:
        refused = device.command(
            *("enroll", *device.by_secret(), "--subject", "CN=admin", "--newkey", device.path("x.key")),
            *("--certout", device.path("x.pem"), "--json"),
            status=6,
        )
        assert refused.json["fail_info"] == ["notAuthorized"]
        assert refused.json["pki_status"] == "rejection"
        assert refused.json["body"] == "ip"
        assert not device.saved
        assert not device.path("x.pem").exists()

    def test_a_second_use_of_the_secret_is_refused(self, device: Device) -> None:
        device.enroll()
        assert "notAuthorized" in device.enroll(status=6).err

    def test_a_revoked_certificate_is_refused(self, device: Device) -> None:
        device.enroll()
        own = device.path("dev-42.pem")
        device.command("revoke", *device.by_certificate(), "--oldcert", own, "--revreason", "1")
        assert "certRevoked" in device.command("info", *device.by_certificate(), status=6).err


def test_revoke_says_what_it_did(device: Device) -> None:
    device.enroll()
    own = device.path("dev-42.pem")
    done = device.command("revoke", *device.by_certificate(), "--oldcert", own, "--revreason", "superseded")
    serial = x509.load_pem_x509_certificate(own.read_bytes()).serial_number
    assert "revoked CN=dev-42" in done.out
    assert f"{serial:x}" in done.out


@pytest.mark.parametrize(("reason", "said"), [("certificateHold", "put on hold"), ("KEYCOMPROMISE", "revoked")])
def test_revocation_reasons_have_names_in_any_case(device: Device, reason: str, said: str) -> None:
    device.enroll()
    own = device.path("dev-42.pem")
    done = device.command("revoke", *device.by_certificate(), "--oldcert", own, "--revreason", reason)
    assert f"{said} CN=dev-42" in done.out


def test_an_unknown_revocation_reason_is_refused(device: Device) -> None:
    refused = device.command(
        "revoke", *device.by_secret(), "--oldcert", device.trusted, "--revreason", "boredom", status=2
    )
    assert "cessationOfOperation (5)" in refused.err


class TestInfo:
    def test_ca_certificates_and_crl_go_into_files(self, device: Device) -> None:
        device.enroll()
        files = ("--cacertsout", device.path("cas.pem"), "--crlout", device.path("crl.pem"))
        done = device.command("info", *device.by_certificate(), "caCerts", "currentCRL", *files)
        assert "CN=Example CA, SHA-256" in done.out
        assert device.path("cas.pem").read_bytes().count(b"BEGIN CERTIFICATE") == 2
        assert x509.load_pem_x509_crl(device.path("crl.pem").read_bytes()).issuer.rfc4514_string() == "CN=Example CA"

    def test_what_the_server_does_not_know_is_listed(self, device: Device) -> None:
        device.enroll()
        answers = device.command("info", *device.by_certificate(), "1.2.3", "--json").json["answers"]
        assert answers[0]["type"] == "unsupportedOIDs"
        assert answers[0]["unsupported"] == ["1.2.3"]

    def test_without_a_question_everything_is_told(self, device: Device) -> None:
        device.enroll()
        answers = device.command("info", *device.by_certificate(), "--json").json["answers"]
        assert {answer["type"] for answer in answers} == {
            *("caCerts", "currentCRL", "certReqTemplate"),
            *("signKeyPairTypes", "encKeyPairTypes", "preferredSymmAlg"),
        }

    def test_a_type_without_a_name_is_refused(self, device: Device) -> None:
        assert "caCerts" in device.command("info", *device.by_secret(), "weather", status=2).err


def test_the_version_is_shown() -> None:
    assert run("--version").out.startswith("cmpkit ")
