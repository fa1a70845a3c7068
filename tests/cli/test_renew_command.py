"""``cmpkit renew`` and its commands, as a person or a timer types them."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from device import URL, Device
from operating import Operator, Outcome, run

from cmpkit.cli.jobs import default_state
from cmpkit.errors import TransportError


@pytest.fixture(autouse=True)
def own_log() -> Iterator[None]:
    """What a command does to the log of its process ends with the test."""
    loggers = (logging.getLogger(), logging.getLogger("cmpkit"))
    before = [(logger, logger.level, list(logger.handlers)) for logger in loggers]
    yield
    for logger, level, handlers in before:
        logger.setLevel(level)
        logger.handlers[:] = handlers


@pytest.fixture
def alone(tmp_path: Path) -> Device:
    """A device without a server, for what is refused before one is needed."""
    return Device.of(tmp_path, tmp_path / "cmpkit.toml")


@pytest.fixture
def folder(device: Device) -> Path:
    return device.home / "renewal"


def add(device: Device, *options: object, status: int = 0, credentials: tuple[object, ...] | None = None) -> Outcome:
    who = device.by_secret() if credentials is None else credentials
    arguments = ("renew", "add", "dev", URL, "--state", device.home / "renewal", "--trusted", device.trusted)
    return device.run(*arguments, *who, *options, status=status)


def renew(device: Device, *options: object, status: int = 0) -> Outcome:
    return device.run("renew", "--state", device.home / "renewal", *options, status=status)


def certificate(device: Device) -> x509.Certificate:
    path = device.home / "renewal" / "dev" / "current" / "cert.pem"
    return x509.load_pem_x509_certificate(path.read_bytes())


class TestRenew:
    def test_what_is_due_is_renewed_and_said_in_a_line(self, device: Device) -> None:
        add(device, "--subject", "CN=dev-42")
        done = renew(device)
        assert done.out.startswith("dev: enrolled; valid until ")
        assert renew(device).out.startswith("dev: nothing is due; valid until ")
        first = certificate(device)
        assert renew(device, "--force", "--only", "dev").out.startswith("dev: updated; ")
        assert certificate(device).serial_number != first.serial_number

    def test_machines_get_json(self, device: Device) -> None:
        add(device)
        told = renew(device, "--json").json
        (entry,) = told["certificates"]
        assert (told["status"], entry["name"], entry["done"], entry["errors"]) == (0, "dev", ["enrolled"], [])
        assert entry["certificate"]["subject"] == "CN=dev-42"
        assert entry["directory"].endswith("renewal/dev/current")

    def test_a_failure_ends_with_its_status_and_names_the_certificate(self, device: Device) -> None:
        add(device)
        device.road.faults = [TransportError("no way", hint="look there")]
        failed = renew(device, "--json", status=3)
        assert "cmpkit: dev: no way\n  hint: look there" in failed.err
        assert failed.json["status"] == 3
        assert failed.json["certificates"][0]["errors"][0]["error"] == "no way"
        assert renew(device).out.startswith("dev: nothing is due; next step at ")

    def test_a_hook_that_fails_ends_with_9(self, device: Device) -> None:
        add(device, "--deploy-hook", "echo no room; false")
        failed = renew(device, "--json", status=9)
        (entry,) = failed.json["certificates"]
        assert entry["done"] == ["enrolled"]
        assert (entry["errors"][0]["status"], entry["errors"][0]["kind"]) == (9, "not deployed")
        assert "cmpkit: dev: the deploy hook ended with status 1: no room" in failed.err

    def test_the_log_is_shown_if_it_is_asked_for(self, device: Device) -> None:
        add(device, "--deploy-hook", "echo hello")
        assert "hello" not in renew(device).err
        assert "deploy hook: hello" in renew(device, "--force", "--log-level", "info").err

    def test_a_dry_run_asks_no_server_and_names_what_is_missing(self, device: Device) -> None:
        add(device)
        assert "absent" in renew(device, "--dry-run").out
        device.path("dev-42.secret").unlink()
        failed = renew(device, "--dry-run", status=2)
        assert "cmpkit: dev: " in failed.err
        assert "dev-42.secret cannot be read" in failed.err
        assert not device.road.requests

    @pytest.mark.parametrize(
        "options",
        [["--daemon", "--force"], ["--daemon", "--dry-run"], ["--daemon", "--only", "x"], ["--dry-run", "--force"]],
    )
    def test_options_that_make_no_sense_together_are_refused(self, alone: Device, options: list[str]) -> None:
        assert "exclude each other" in renew(alone, *options, status=2).err

    def test_a_name_that_is_not_there_is_refused(self, device: Device) -> None:
        add(device)
        assert "there is no other in " in renew(device, "--only", "other", status=2).err

    def test_a_folder_that_is_not_there_says_how_to_begin(self, alone: Device) -> None:
        assert "cmpkit renew add" in renew(alone, status=2).err
        assert "cmpkit renew add" in renew(alone, "--daemon", status=2).err

    def test_an_option_before_a_command_is_not_passed_over(self, tmp_path: Path) -> None:
        refused = run("renew", "--state", tmp_path, "list", status=2)
        assert "--state stands before list" in refused.err
        assert "cmpkit renew list" in refused.err

    def test_trio_does_it_too(self, device: Device) -> None:
        add(device)
        assert "enrolled" in renew(device, "--backend", "trio").out


class TestAdd:
    def test_a_certificate_that_there_is_is_taken_over(self, device: Device) -> None:
        device.enroll()
        done = add(device, credentials=device.by_certificate())
        assert "renewal/dev/current/fullchain.pem\n" in done.out
        assert certificate(device) == x509.load_pem_x509_certificate(device.path("dev-42.pem").read_bytes())
        assert "updated" in renew(device, "--force").out

    def test_paths_are_written_so_that_the_directory_does_not_matter(
        self, device: Device, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(device.home)
        credentials = ("--ref", "dev-42", "--secret", "file:dev-42.secret")
        add(device, "--untrusted", "../ca/issuing.pem", credentials=credentials)
        text = (folder / "dev.toml").read_text()
        assert f'secret = "file:{device.path("dev-42.secret")}"' in text
        monkeypatch.chdir("/")
        assert "enrolled" in renew(device).out

    def test_options_become_keys_of_the_definition(self, device: Device, folder: Path) -> None:
        add(
            device,
            *("--window", "10d", "--jitter", "2h", "--newkey-type", "p384", "--sans", "a.example", "--reuse-key"),
            *(
                "--deploy-hook",
                'say "hello"',
                "--hook-timeout",
                "5m",
                "--mac",
                "hmac-sha512",
                "--tolerate",
                "hmac-sha1",
            ),
        )
        lines = (folder / "dev.toml").read_text().splitlines()
        assert {
            *('window = "10d"', 'jitter = "2h"', 'newkey_type = "p384"', 'sans = "a.example"', "reuse_key = true"),
            *('deploy_hook = "say \\"hello\\""', 'hook_timeout = "300s"', 'mac = "hmac-sha512"'),
            'tolerate = ["hmac-sha1"]',
        } <= set(lines)

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            (["--window", "soon"], "--window: a length of time is needed"),
            (["--hook-timeout", "0s"], "--hook-timeout: "),
            (["--secret", "fd:3"], "--secret: file:PATH or env:NAME is needed"),
            (["--secret", "hunter2"], "--secret: file:PATH or env:NAME is needed"),
            (["--cert", "x.pem"], "--key missing"),
            (["--key", "x.key"], "--cert missing"),
        ],
    )
    def test_what_cannot_be_used_is_named(self, alone: Device, options: list[str], said: str) -> None:
        refused = add(alone, *options, status=2)
        assert said in refused.err
        assert "hunter2" not in refused.err
        assert not (alone.home / "renewal").exists()

    def test_by_default_it_is_in_the_state_of_the_user(self, device: Device) -> None:
        env = {"XDG_STATE_HOME": str(device.home / "xdg")}
        arguments = ("renew", "add", "dev", URL, "--trusted", device.trusted, *device.by_secret())
        device.run(*arguments, env=env)
        assert (device.home / "xdg" / "cmpkit" / "renewal" / "dev.toml").exists()
        assert default_state().name == "cmpkit"


class TestImport:
    def test_a_certificate_from_elsewhere_takes_its_place(self, device: Device) -> None:
        add(device)
        device.enroll()
        done = device.run("renew", "import", "dev", "--state", device.home / "renewal", *device.by_certificate())
        assert "renewal/dev/current/fullchain.pem" in done.out
        assert certificate(device) == x509.load_pem_x509_certificate(device.path("dev-42.pem").read_bytes())

    def test_there_must_be_one_of_that_name(self, device: Device) -> None:
        add(device)
        device.enroll()
        state = ("--state", device.home / "renewal")
        assert "there is no x" in device.run("renew", "import", "x", *state, *device.by_certificate(), status=2).err


class TestList:
    def list(self, device: Device, *options: object) -> Outcome:
        return device.run("renew", "list", "--state", device.home / "renewal", *options)

    def state(self, device: Device) -> str:
        (entry,) = self.list(device, "--json").json
        assert entry["state"] in self.list(device).out
        state: str = entry["state"]
        return state

    def test_it_says_how_each_certificate_stands(self, device: Device, folder: Path) -> None:
        good = device.path("good")
        add(device, "--deploy-hook", f"test -e {good}")
        assert self.state(device) == "absent"
        renew(device, status=9)
        assert self.state(device) == "not deployed"
        assert "dev: deploy hook, attempt 1: the deploy hook ended with status 1" in self.list(device).out
        good.touch()
        renew(device, "--force")
        assert self.state(device) == "valid"
        device.road.faults = [TransportError("no way")]
        renew(device, "--force", status=3)
        assert self.state(device) == "failing"
        assert "dev: renewal, attempt 1: no way" in self.list(device).out

    def test_a_request_that_is_not_over_is_due(self, device: Device, folder: Path) -> None:
        add(device)
        renew(device)
        device.road.faults = [TransportError("no way")]
        renew(device, "--force", status=3)
        (folder / "dev" / "state.json").unlink()
        assert self.state(device) == "due"

    def test_one_that_expired_is_named(self, device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
        add(device)
        renew(device)
        ends = certificate(device).not_valid_after_utc
        monkeypatch.setattr("cmpkit.renewal.materials.utc_now", lambda: ends)
        assert self.state(device) == "expired"

    def test_a_definition_that_cannot_be_read_is_broken(self, device: Device, folder: Path) -> None:
        add(device)
        (folder / "dev.toml").write_text("x")
        assert self.state(device) == "broken"
        assert "dev: broken: " in self.list(device).out


class TestUnits:
    def test_they_are_written_and_the_next_command_is_named(self, tmp_path: Path) -> None:
        done = run("renew", "units", tmp_path, "--state", "/var/lib/x")
        assert (tmp_path / "cmpkit-renew.service").exists()
        assert (tmp_path / "cmpkit-renew.timer").exists()
        assert "enable --now cmpkit-renew.timer" in done.out

    def test_a_daemon_has_a_service_alone(self, tmp_path: Path) -> None:
        done = run("renew", "units", tmp_path, "--daemon", "--user", "cmpkit", "--writable", "/srv")
        (unit,) = tmp_path.iterdir()
        text = unit.read_text()
        assert "--daemon" in text
        assert "User=cmpkit" in text
        assert "/srv" in text
        assert "enable --now cmpkit-renew.service" in done.out

    def test_a_folder_that_cannot_be_written_is_named(self, tmp_path: Path) -> None:
        assert "cannot be written" in run("renew", "units", tmp_path / "none", status=2).err


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
class TestDaemon:
    """Told by its own deploy hooks what to do next: they are children of this process."""

    def run(self, device: Device, backend: str) -> list[Any]:
        told = renew(device, "--daemon", "--json", "--backend", backend, "--log-level", "error").out
        return [json.loads(line) for line in told.splitlines()]

    def test_it_sees_what_is_added_and_finishes_what_is_in_flight(
        self, device: Device, operator: Operator, folder: Path, backend: str
    ) -> None:
        operator.run("secret", "add", "dev-43", "--secret", f"file:{device.path('dev-42.secret')}")
        add(device, "--deploy-hook", f"mv {folder}/two {folder}/two.toml && kill -HUP $PPID")
        text = (folder / "dev.toml").read_text()
        for before, after in (("-HUP", "-TERM"), ("mv ", "echo "), ('"dev-42"', '"dev-43"')):
            text = text.replace(before, after)
        (folder / "two").write_text(text)
        first, second = self.run(device, backend)
        assert (first["name"], first["done"]) == ("dev", ["enrolled", "deployed"])
        assert (second["name"], second["done"]) == ("two", ["enrolled", "deployed"])

    def test_a_second_signal_breaks_off_what_the_next_run_goes_on_with(self, device: Device, backend: str) -> None:
        add(device, "--deploy-hook", "kill -TERM $PPID; kill -HUP $PPID; kill -INT $PPID; sleep 60")
        assert self.run(device, backend) == []
        assert certificate(device)
        assert "not deployed" in device.run("renew", "list", "--state", device.home / "renewal").out
