"""Transactions that stop half-way: by a signal, a killed process, a server that needs time, a full disk."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import anyio
import pytest
from device import SECRET, Device, KilledError
from operating import run

from cmpkit.asn1 import decode_message
from cmpkit.cli.jobs import default_state
from cmpkit.enums import BodyType
from cmpkit.errors import TransportError

POINTS = [
    "request saved, before send",
    "answer received",
    "certificate saved, before certConf",
    "confirmed, before the files are written",
]


def kill(device: Device, point: str, *arguments: object) -> Path:
    """Begin an enrolment whose process dies at a checkpoint; the file of its transaction."""
    device.watcher.at[point] = KilledError()
    with pytest.raises(KilledError):
        device.enroll(*arguments)
    (saved,) = device.saved
    return saved


@pytest.mark.parametrize("point", POINTS)
def test_resume_finishes_what_a_killed_process_began(device: Device, point: str) -> None:
    saved = kill(device, point)
    done = device.run("resume", saved)
    assert "enrolled CN=dev-42" in done.out
    assert device.path("dev-42.pem").exists()
    assert not device.saved
    assert len(anyio.run(device.issued)) == 1


@pytest.mark.parametrize("point", POINTS)
def test_the_same_command_finishes_what_a_killed_process_began(device: Device, point: str) -> None:
    kill(device, point)
    device.enroll()
    assert device.path("dev-42.pem").exists()
    assert not device.saved
    assert len(anyio.run(device.issued)) == 1


@pytest.mark.parametrize("point", [POINTS[1], POINTS[3]])
def test_an_implicitly_confirmed_enrolment_is_resumed_too(device: Device, point: str) -> None:
    saved = kill(device, point, "--implicit-confirm")
    device.run("resume", saved)
    assert len(anyio.run(device.issued)) == 1


def test_the_same_cert_conf_is_sent_again_if_no_pkiconf_came(device: Device) -> None:
    device.road.faults = [None, TransportError("broken off")]
    device.enroll(status=3)
    device.run("resume", *device.saved)
    confirmations = [request.raw for request in device.road.requests if request.body.type is BodyType.CERT_CONF]
    assert len(confirmations) == 2
    assert confirmations[0] == confirmations[1]


def test_a_certificate_is_not_lost_if_its_file_cannot_be_written(device: Device) -> None:
    def occupy(answer: bytes) -> bytes:
        device.path("dev-42.pem").mkdir(exist_ok=True)
        return answer

    device.road.faults = [None, occupy]
    failed = device.enroll(status=2)
    assert "cmpkit resume" in failed.err
    device.path("dev-42.pem").rmdir()
    device.run("resume", *device.saved)
    assert device.path("dev-42.pem").is_file()


def test_the_saved_file_holds_neither_secret_nor_key(device: Device) -> None:
    saved = kill(device, POINTS[0])
    text = saved.read_text()
    assert SECRET not in text
    assert "PRIVATE" not in text
    assert saved.stat().st_mode & 0o077 == 0
    assert json.loads(json.loads(text)["context"]["job"])["credentials"]["secret"].startswith("file:/")


def test_resume_does_not_depend_on_the_directory(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(device.home)
    device.road.faults = [TransportError("gone")]
    device.command(
        *("enroll", "--ref", "dev-42", "--secret", "file:dev-42.secret", "--subject", "CN=dev-42"),
        *("--newkey", "dev-42.key", "--certout", "dev-42.pem"),
        status=3,
    )
    monkeypatch.chdir("/")
    device.run("resume", *device.saved)
    assert device.path("dev-42.pem").exists()


def test_a_secret_from_a_descriptor_must_be_given_again(device: Device) -> None:
    device.road.faults = [TransportError("gone")]
    with device.path("dev-42.secret").open() as secret:
        device.command("enroll", "--ref", "dev-42", "--secret", f"fd:{secret.fileno()}", *device.wanted(), status=3)
    (saved,) = device.saved
    assert "--ref needs --secret" in device.run("resume", saved, status=2).err
    device.run("resume", saved, "--secret", "env:AGAIN", env={"AGAIN": SECRET})
    assert device.path("dev-42.pem").exists()


def test_other_credentials_cannot_resume(device: Device) -> None:
    saved = kill(device, POINTS[0])
    refused = device.run("resume", saved, "--secret", "env:OTHER", env={"OTHER": "another"}, status=2)
    assert "begun with other credentials" in refused.err
    assert saved.exists()


def test_a_corrected_secret_begins_anew(device: Device) -> None:
    """A request under the wrong secret can never succeed: it is not gone on with once the secret is right."""
    device.path("dev-42.secret").write_text("wrong\n")
    device.road.faults = [TransportError("gone")]
    device.enroll(status=3)
    device.path("dev-42.secret").write_text(SECRET)
    device.enroll()
    assert device.path("dev-42.pem").exists()


def test_another_key_begins_anew(device: Device) -> None:
    kill(device, POINTS[0])
    device.path("dev-42.key").unlink()
    device.enroll()
    assert device.path("dev-42.pem").exists()


def test_other_parameters_begin_anew(device: Device) -> None:
    kill(device, POINTS[0])
    device.enroll("--profile", "device")
    first, second, _ = device.road.requests if len(device.road.requests) == 3 else [None, *device.road.requests]
    assert first is None or first.header.transaction_id != second.header.transaction_id


def test_options_of_trust_may_be_corrected_on_resuming(device: Device) -> None:
    device.enroll()
    refused = device.command(
        *("update", *device.by_certificate(), "--certout", device.path("new.pem"), "--expect-sender", "CN=x"), status=5
    )
    assert "resume" in refused.err
    (saved,) = device.saved
    device.run("resume", saved, "--expect-sender", "CN=Example CA CMP")
    assert device.path("new.pem").exists()


class TestWaiting:
    def test_the_client_polls_until_the_server_is_ready(self, device: Device) -> None:
        device.road.waits = 3
        done = device.enroll()
        types = [request.body.type for request in device.road.requests]
        assert types == [BodyType.IR, *[BodyType.POLL_REQ] * 3, BodyType.CERT_CONF]
        assert "a person looks at it" in done.err

    def test_time_that_is_over_ends_with_7_and_the_command_to_resume(self, device: Device) -> None:
        device.road.waits, device.road.check_after = 2, 3600
        failed = device.enroll("--total-timeout", "0.5", "--json", status=7)
        (saved,) = device.saved
        assert failed.json["resume"] == f"cmpkit resume {saved}"
        assert f"cmpkit resume {saved}" in failed.err
        device.road.check_after = 0
        text = json.loads(saved.read_text())
        saved.write_text(json.dumps({**text, "poll_at": "2026-01-01T00:00:00+00:00"}))
        device.run("resume", saved, "--total-timeout", "0")
        assert device.path("dev-42.pem").exists()

    def test_resume_ends_with_7_if_it_still_waits(self, device: Device) -> None:
        device.road.waits, device.road.check_after = 9, 3600
        device.enroll("--total-timeout", "0.5", status=7)
        device.run("resume", *device.saved, "--total-timeout", "0.1", status=7)


class TestInterrupted:
    def test_the_status_is_130_and_the_command_to_resume_is_shown(self, device: Device) -> None:
        device.watcher.at[POINTS[1]] = KeyboardInterrupt()
        failed = device.enroll("--json", status=130)
        (saved,) = device.saved
        assert failed.json["kind"] == "interrupted"
        assert f"cmpkit resume {saved}" in failed.err
        device.run("resume", saved)
        assert device.path("dev-42.pem").exists()

    def test_nothing_is_to_be_resumed_before_something_was_sent(self, device: Device, monkeypatch) -> None:
        def interrupt(*_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr("cmpkit.cli.preparing.check_outputs", interrupt)
        monkeypatch.setattr("cmpkit.cli.operations.check_outputs", interrupt)
        assert "resume" not in device.enroll(status=130).err


@pytest.mark.parametrize(
    "arguments",
    [
        ("update", "--newkey", "new.key", "--certout", "new.pem"),
        ("certify", "--newkey", "new.key", "--subject", "CN=dev-42", "--certout", "new.pem"),
        ("revoke", "--oldcert", "dev-42.pem"),
        ("info", "caCerts"),
    ],
)
def test_every_command_can_be_resumed(device: Device, monkeypatch, arguments: tuple[str, ...]) -> None:
    monkeypatch.chdir(device.home)
    device.enroll()
    device.road.faults = [TransportError("gone")]
    device.command(*arguments, *device.by_certificate(), status=3)
    (saved,) = device.saved
    done = device.run("resume", saved, "--json").json
    assert done["command"] == arguments[0]
    assert not device.saved


def test_a_request_that_grew_too_old_is_made_anew(device: Device) -> None:
    """The server never saw it, or it would answer as before; so it says badTime, and nothing was issued."""
    device.road.faults = [TransportError("gone")]
    device.enroll(status=3)
    device.road.ahead = [timedelta(hours=1)]
    device.enroll()
    assert len({request.header.transaction_id for request in device.road.requests}) == 2


def test_a_file_that_is_no_transaction_is_refused(device: Device) -> None:
    assert "damaged" in device.run("resume", device.path("dev-42.secret"), status=2).err
    assert "cannot be read" in device.run("resume", device.path("none"), status=2).err


@pytest.mark.parametrize(
    ("context", "said"),
    [({}, "not begun by a command"), ({"job": '{"command": "dance"}'}, "not begun by a command")],
)
def test_a_transaction_of_somebody_else_is_refused(device: Device, context: dict[str, str], said: str) -> None:
    saved = kill(device, POINTS[0])
    saved.write_text(json.dumps({**json.loads(saved.read_text()), "context": context}))
    assert said in device.run("resume", saved, status=2).err


def test_a_command_that_there_is_not_is_refused(device: Device) -> None:
    saved = kill(device, POINTS[0])
    values = json.loads(saved.read_text())
    job = {**json.loads(values["context"]["job"]), "command": "dance"}
    saved.write_text(json.dumps({**values, "context": {"job": json.dumps(job)}}))
    assert "dance" in device.run("resume", saved, status=2).err


def test_transactions_are_kept_where_the_system_keeps_state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert default_state() == tmp_path / "cmpkit"
    monkeypatch.setenv("XDG_STATE_HOME", "relative/is/ignored")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_state() == tmp_path / ".local" / "state" / "cmpkit"


def test_messages_of_a_resumed_transaction_are_saved(device: Device) -> None:
    saved = kill(device, POINTS[0])
    device.run("resume", saved, "--reqout", device.path("again.der"))
    assert decode_message(device.path("again.der").read_bytes()).body.type is BodyType.IR


def test_resume_without_a_file_is_a_usage_error() -> None:
    assert run("resume", status=2).err
