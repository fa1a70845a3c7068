"""``cmpkit offline``: a device, a courier and a CA in three directories, and nothing between them but files."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from device import SECRET, Device, server_plugins
from forking import Forked
from operating import Operator, Outcome

from cmpkit.asn1 import decode_message
from cmpkit.config.offline import offline_server
from cmpkit.enums import BodyType
from cmpkit.errors import TransportError
from cmpkit.offline.bundle import read_bundle
from cmpkit.parts import TransportOptions

ROOT = Path(__file__).parents[2]


@pytest.fixture
def stick(tmp_path: Path) -> Path:
    (tmp_path / "courier").mkdir()
    return tmp_path / "courier"


class Trip:
    """Commands of all three, with what they need."""

    def __init__(self, device: Device, operator: Operator, stick: Path) -> None:
        self.device, self.operator = device, operator
        self.requests, self.answers = stick / "requests.zip", stick / "answers.zip"

    def make(self, command: str, *arguments: object, status: int = 0, **options: Any) -> Outcome:
        given = (self.requests, "--trusted", self.device.trusted, "--state", self.device.state, *arguments)
        return self.device.run("offline", "make", command, *given, status=status, **options)

    def enroll(self, *arguments: object, **options: Any) -> Outcome:
        return self.make("enroll", *self.device.by_secret(), *self.device.wanted(), *arguments, **options)

    def submit(self, *arguments: object, status: int = 0) -> Outcome:
        return self.operator.run(
            "offline", "submit", self.requests, "--answers", self.answers, *arguments, status=status
        )

    def accept(self, *arguments: object, status: int = 0, env: dict[str, str] | None = None) -> Outcome:
        given = (self.answers, "--state", self.device.state, "--into", self.requests, *arguments)
        return self.device.run("offline", "accept", *given, status=status, env=env)

    def status(self, *bundles: Path, status: int = 0) -> Any:
        return self.device.run(
            "offline", "status", *bundles, "--state", self.device.state, "--json", status=status
        ).json


@pytest.fixture
def trip(device: Device, operator: Operator, stick: Path) -> Trip:
    return Trip(device, operator, stick)


def test_a_certificate_is_enrolled_in_two_trips(trip: Trip) -> None:
    made = trip.enroll()
    assert made.out.startswith(f"written {trip.requests}, to be carried to the CA")
    assert trip.status()["messages"][0]["place"] == "device"
    assert trip.status(trip.requests)["messages"][0]["place"] == "requests"
    trip.submit()
    assert trip.status(trip.requests, trip.answers)["messages"][0]["place"] == "answers"
    half = trip.accept(status=7)
    assert "1 message to be carried to the CA" in half.out
    assert not trip.device.path("dev-42.pem").exists()
    assert [one["body"] for one in trip.status(trip.requests)["messages"]] == ["certConf"]
    trip.submit()
    done = trip.accept()
    assert "enrolled CN=dev-42" in done.out
    assert "0 messages to be carried" in done.out
    assert b"BEGIN CERTIFICATE" in trip.device.path("dev-42.pem").read_bytes()
    assert not trip.device.saved
    assert trip.accept().out.startswith("written ")


def test_one_trip_is_enough_with_implicit_confirmation_and_machines_can_read_it(trip: Trip) -> None:
    made = trip.enroll("--implicit-confirm", "--json").json
    assert (made["command"], made["kind"], made["sequence"], made["messages"]) == ("offline make", "requests", 1, 1)
    answered = trip.submit("--json").json
    assert (answered["status"], answered["asked"], answered["kind"]) == (0, 1, "answers")
    accepted = trip.accept("--json").json
    assert (accepted["status"], accepted["waiting"], accepted["problems"]) == (0, 0, [])
    assert accepted["results"][0]["certificate"]["subject"] == "CN=dev-42"
    assert accepted["written"]["sequence"] == 2


def test_the_other_operations_are_carried_as_well(trip: Trip) -> None:
    trip.enroll("--implicit-confirm")
    trip.submit()
    trip.accept()
    by_certificate = trip.device.by_certificate()
    out = ("--certout", trip.device.path("new.pem"))
    trip.make("update", *by_certificate, "--newkey", trip.device.path("new.key"), *out, "--implicit-confirm")
    trip.make("info", "caCerts", *by_certificate, "--cacertsout", trip.device.path("ca.pem"))
    assert len(trip.status(trip.requests)["messages"]) == 2
    trip.submit()
    told = trip.accept().out
    assert "updated CN=dev-42" in told
    assert trip.device.path("ca.pem").exists()
    trip.make("revoke", *trip.device.by_certificate("new"), "--oldcert", trip.device.path("new.pem"))
    trip.submit()
    assert "revoked CN=dev-42" in trip.accept().out


def test_a_request_that_a_person_approves_is_polled_for_by_the_next_trips(trip: Trip) -> None:
    config = trip.operator.config
    config.write_text(config.read_text() + '\n[profiles.slow]\napproval = "manual"\n')
    secret = trip.device.path("slow.secret")
    secret.write_text(SECRET + "\n")
    trip.operator.run("secret", "add", "dev-7", "--profile", "slow", "--secret", f"file:{secret}")
    trip.make(
        *("enroll", "--ref", "dev-7", "--secret", f"file:{secret}", "--subject", "CN=dev-7", "--implicit-confirm"),
        *("--newkey", trip.device.path("7.key"), "--certout", trip.device.path("7.pem")),
    )
    trip.submit()
    trip.accept(status=7)
    assert [one["body"] for one in trip.status(trip.requests)["messages"]] == ["pollReq"]
    trip.accept(status=7)
    assert [one["body"] for one in trip.status(trip.requests)["messages"]] == ["pollReq"]
    trip.submit()
    trip.accept(status=7)
    (waiting,) = trip.operator.run("request", "list", "--json").json
    trip.operator.run("request", "approve", waiting["id"])
    trip.submit()
    trip.accept()
    assert trip.device.path("7.pem").exists()


def test_a_stick_that_is_lost_is_written_again(trip: Trip) -> None:
    trip.enroll()
    lost = trip.requests.read_bytes()
    trip.requests.unlink()
    again = trip.device.run(
        "offline", "accept", "--into", trip.requests, "--state", trip.device.state, "--json", status=7
    ).json
    assert (again["waiting"], again["written"]["sequence"]) == (1, 2)
    trip.submit()
    trip.requests.write_bytes(lost)
    old = trip.submit(status=2)
    assert "number 1 of its sender, 2 is there" in old.err
    trip.accept(status=7)


def test_the_same_command_again_makes_no_second_request(trip: Trip) -> None:
    trip.enroll()
    trip.enroll()
    assert len(trip.device.saved) == 1
    assert trip.status(trip.requests)["bundles"][0]["sequence"] == 2


def test_what_waits_is_said_where_nothing_is_written(trip: Trip) -> None:
    told = trip.device.run("offline", "accept", "--state", trip.device.state)
    assert told.out == "nothing came for this device, and nothing waits\n"
    trip.enroll()
    told = trip.device.run("offline", "accept", "--state", trip.device.state, status=7)
    assert told.out == "1 message still to be carried: write them with --into BUNDLE\n"
    shown = trip.device.run("resume", *trip.device.saved, status=7)
    assert "carried by cmpkit offline accept" in shown.err


def test_answers_to_an_earlier_bundle_are_taken_and_it_is_said(trip: Trip) -> None:
    trip.enroll("--implicit-confirm")
    trip.submit()
    trip.make("info", "caCerts", *trip.device.by_secret())
    told = trip.accept(status=7)
    assert "enrolled CN=dev-42" in told.out
    assert "answers number 1 from here, 2 was written since" in told.out


def test_answers_that_are_out_of_date_or_over_are_refused(trip: Trip) -> None:
    trip.enroll("--implicit-confirm")
    trip.submit("--expires", "1s")
    first = trip.answers.read_bytes()
    while not (refused := trip.device.run("offline", "status", trip.answers, "--json").json)["bundles"][0]["expired"]:
        pass
    assert refused["status"] == 0
    assert "it expired at" in trip.accept(status=2).err
    trip.submit()
    trip.accept()
    trip.answers.write_bytes(first)
    assert "it is out of date: number 1 of its sender, number 2 was here" in trip.accept(status=2).err


def test_a_damaged_message_is_named_and_the_others_are_taken(trip: Trip) -> None:
    trip.enroll("--implicit-confirm")
    trip.make("info", "caCerts", *trip.device.by_secret())
    name = damage(trip.requests, "-ir-")
    answered = trip.submit("--json", status=2)
    assert f"{trip.requests}: {name}: it is damaged" in answered.err
    assert answered.json["asked"] == 1
    shown = trip.device.run("offline", "status", trip.requests, "--state", trip.device.state, status=2)
    assert "1 of 2" in shown.out
    assert "damaged: to be packed again" in shown.out
    trip.accept(status=7)
    trip.submit()
    assert "enrolled CN=dev-42" in trip.accept().out


def damage(bundle: Path, kind: str) -> str:
    """Flip a bit in a message of a kind, whose name is given."""
    with zipfile.ZipFile(bundle) as archive:
        name = next(name for name in archive.namelist() if kind in name)
        message = archive.read(name)
    octets = bundle.read_bytes()
    bundle.write_bytes(octets.replace(message, message[:99] + bytes([message[99] ^ 1]) + message[100:]))
    return name


def test_a_damaged_answer_is_the_matter_of_its_device_alone(trip: Trip, tmp_path: Path) -> None:
    trip.enroll("--implicit-confirm")
    first = trip.requests.rename(trip.requests.with_name("first.zip"))
    other = ("--state", tmp_path / "other")
    trip.make("info", "caCerts", *trip.device.by_secret(), *other)
    trip.submit(first)
    name = damage(trip.answers, "-genp-")
    taken = trip.accept()
    assert "enrolled CN=dev-42" in taken.out
    assert f"{trip.answers}: {name}: it is damaged" in taken.err
    assert f"{name}: it is damaged" in trip.accept(*other, status=2).err


def test_many_faults_are_told_in_bounds_and_cannot_write_to_the_screen(trip: Trip) -> None:
    trip.enroll()
    with zipfile.ZipFile(trip.requests, "a") as archive:
        for number in range(100):
            archive.writestr(f"\x1b[31m{number}", b"")
    told = trip.submit(status=2)
    assert "\x1b" not in told.err
    assert told.err.endswith("cmpkit: and 80 more\n")
    assert len(trip.status(trip.requests, status=2)["problems"]) == 100


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda trip: trip.requests.write_bytes(b"no bundle"), "it is no bundle"),
        (lambda trip: trip.requests.unlink(), "it cannot be read: No such file"),
    ],
)
def test_what_cannot_be_read_is_told_and_nothing_is_written(
    trip: Trip, change: Callable[[Trip], object], said: str
) -> None:
    trip.enroll()
    change(trip)
    assert said in trip.submit(status=2).err
    refused = trip.submit("--json", status=2).json
    assert refused["command"] == "offline submit"
    assert said in refused["problems"][0]["error"]
    assert not trip.answers.exists()


def test_files_that_are_something_else_are_not_overwritten(trip: Trip) -> None:
    trip.enroll()
    trip.submit()
    shutil.copy(trip.requests, trip.answers)
    assert "it has requests, not answers" in trip.submit(status=2).err
    assert "it has requests, not answers" in trip.accept(status=2).err
    trip.answers.write_text("a letter")
    assert f"--answers {trip.answers}: it is no bundle" in trip.submit(status=2).err
    assert trip.answers.read_text() == "a letter"


def test_a_refusal_is_told_and_ends_the_transaction(trip: Trip) -> None:
    trip.enroll()
    saved = trip.device.saved[0].stem
    trip.operator.run("secret", "revoke", "dev-42")
    trip.submit()
    refused = trip.accept(status=6)
    assert f"cmpkit: transaction {saved}: the peer answered error" in refused.err
    assert not trip.device.saved


def test_a_secret_that_is_not_where_it_was_is_given_again(trip: Trip) -> None:
    trip.enroll("--implicit-confirm")
    trip.submit()
    trip.device.path("dev-42.secret").unlink()
    assert "dev-42.secret" in trip.accept(status=2).err
    trip.accept("--secret", "env:AGAIN", env={"AGAIN": SECRET})
    assert trip.device.path("dev-42.pem").exists()


def test_signed_bundles_are_taken_from_their_signer_only(trip: Trip) -> None:
    trip.enroll("--implicit-confirm")
    trip.submit()
    trip.accept()
    certificate, key = trip.device.path("dev-42.pem"), trip.device.path("dev-42.key")
    signing = ("--sign-cert", certificate, "--sign-key", key)
    trip.make("info", "caCerts", *trip.device.by_certificate())
    assert "it is not signed" in trip.submit("--signed-by", certificate, status=5).err
    trip.make("info", "caCerts", *trip.device.by_certificate(), *signing)
    assert "somebody else signed it" in trip.submit("--signed-by", trip.device.trusted, status=5).err
    trip.submit("--signed-by", certificate)
    trip.accept()
    wrong = trip.make("info", "caCerts", *trip.device.by_secret(), *signing[:2], status=2)
    assert "--sign-cert and --sign-key belong together" in wrong.err
    wrong = trip.make(
        "info", "caCerts", *trip.device.by_secret(), "--sign-cert", trip.device.trusted, "--sign-key", key, status=2
    )
    assert "the key of --sign-key is not that of the certificate" in wrong.err


def test_a_server_answers_over_any_road_and_options_are_for_the_road(trip: Trip) -> None:
    trip.enroll("--implicit-confirm")
    submit = ("offline", "submit", trip.requests, "--answers", trip.answers, "--server", "test://server")
    trip.device.road.faults = [TransportError("broken off")]
    failed = trip.device.run(*submit, status=3)
    assert "broken off" in failed.err
    done = trip.device.run(*submit, "--msg-timeout", "7", "--road-option", "a=b")
    assert "asked just now  1" in done.out
    options = trip.device.road.options
    assert isinstance(options, TransportOptions)
    assert (options.timeout, options.own) == (7.0, {"a": "b"})
    trip.accept()


def test_it_must_be_said_who_answers(trip: Trip) -> None:
    trip.enroll()
    neither = ("offline", "submit", trip.requests, "--answers", trip.answers)
    assert "say who answers" in trip.device.run(*neither, status=2).err
    assert "say who answers" in trip.submit("--server", "test://server", status=2).err


def test_options_of_a_road_are_none_of_a_device_without_one(trip: Trip) -> None:
    assert "--proxy" in trip.enroll("--proxy", "http://proxy", status=2).err


def test_transactions_with_a_network_are_left_alone(trip: Trip) -> None:
    trip.device.road.faults = [TransportError("gone")]
    trip.device.enroll(status=3)
    trip.make("info", "caCerts", *trip.device.by_secret())
    assert len(trip.device.saved) == 2
    assert [one["body"] for one in trip.status(trip.requests)["messages"]] == ["genm"]


def test_what_cannot_be_written_is_told_before_it_is_lost(trip: Trip) -> None:
    trip.requests = trip.requests.parent / "missing" / "requests.zip"
    assert "cannot be written" in trip.enroll(status=2).err
    (saved,) = trip.device.saved
    assert json.loads(saved.read_text())["is_sent"]
    trip.requests.parent.mkdir()
    trip.enroll()
    assert len(trip.status(trip.requests)["messages"]) == 1


def test_messages_may_be_so_old_that_their_answers_are_kept_still(trip: Trip) -> None:
    trip.enroll()
    (message,) = read_bundle(trip.requests, trip.device.plugins).messages.values()

    async def answer() -> BodyType:
        later = datetime.now(UTC) + timedelta(days=10)
        async with offline_server(trip.operator.config, server_plugins(), clock=lambda: later) as handle:
            return decode_message(await handle(message)).body.type

    assert anyio.run(answer) is BodyType.ERROR
    config = trip.operator.config
    config.write_text(config.read_text().replace("[server]\n", "[server]\nanswer_retention = '60d'\n"))
    assert anyio.run(answer) is BodyType.IP


def test_where_nothing_waits_nothing_is_shown(trip: Trip) -> None:
    assert trip.device.run("offline", "status", "--state", trip.device.state).out == "nothing waits\n"


def test_a_mistake_is_told_before_anything_is_written(trip: Trip) -> None:
    assert "--ref needs --secret" in trip.make("info", "caCerts", "--ref", "dev-42", status=2).err
    assert not trip.requests.exists()


def test_processes_in_three_directories(trip: Trip, tmp_path: Path) -> None:
    def cmpkit(place: Path, *arguments: object) -> int:
        process = Forked(arguments, directory=place)
        process.communicate(30)
        return process.wait()

    home, courier, ca = trip.device.home, trip.requests.parent, trip.operator.directory
    shutil.copy(trip.device.trusted, home / "trust.pem")
    made = cmpkit(
        *(home, "offline", "make", "enroll", "../courier/dev-42.zip", "--ref", "dev-42", "--secret"),
        *("file:dev-42.secret", "--subject", "CN=dev-42", "--newkey", "dev-42.key", "--trusted", "trust.pem"),
        *("--certout", "dev-42.pem", "--state", "state", "--implicit-confirm"),
    )
    assert made == 0
    assert cmpkit(courier, "offline", "status", "dev-42.zip") == 0
    submitted = cmpkit(
        *(ca, "offline", "submit", "../courier/dev-42.zip", "--config", "cmpkit.toml"),
        *("--answers", "../courier/answers.zip"),
    )
    assert submitted == 0
    assert cmpkit(home, "offline", "accept", "../courier/answers.zip", "--state", "state") == 0
    assert (home / "dev-42.pem").exists()
