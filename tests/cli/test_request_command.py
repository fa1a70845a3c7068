"""``cmpkit request``: what an operator sees of requests that wait, and what becomes of them."""

from __future__ import annotations

import getpass
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from device import Device
from operating import Operator

COMMANDS = (("show", "0"), ("approve", "0"), ("reject", "0"))


@pytest.fixture
def waiting(device: Device) -> Path:
    """The transaction of a device whose request waits for a person."""
    config = device.road.config
    text = config.read_text()
    assert 'approval = "none"' in text
    text = text.replace('approval = "none"', 'approval = "manual"').replace(
        '# check_after = "60s"', 'check_after = "1s"'
    )
    config.write_text(text)
    told = device.enroll("--total-timeout", 1, status=7)
    assert "a person has to agree to it" in told.err
    (saved,) = device.saved
    return saved


@pytest.fixture
def request_id(operator: Operator, waiting: Path) -> str:
    (request,) = operator.run("request", "list", "--json").json
    return str(request["id"])


def shown(operator: Operator, request_id: str) -> dict[str, Any]:
    found: dict[str, Any] = operator.run("request", "show", request_id, "--json").json
    return found


def test_what_waits_is_listed(operator: Operator, request_id: str) -> None:
    titles, row = operator.run("request", "list").out.splitlines()
    assert titles.split() == ["ID", "SUBJECT", "PROFILE", "BY", "AT", "STATE"]
    assert row.split()[:4] == [request_id[:12], "CN=dev-42", "device", "dev-42"]
    assert row.split()[-1] == "waiting"


def test_it_is_shown_with_all_that_helps_to_decide(operator: Operator, request_id: str) -> None:
    text = operator.run("request", "show", request_id[:8]).out
    lines = dict(line.split("  ", 1) for line in text.splitlines())
    assert {name: value.strip() for name, value in lines.items()}.items() >= {
        "state": "waiting",
        "subject": "CN=dev-42",
        "profile": "device",
        "protected by": "the shared secret dev-42",
        "key type": "p256",
        "changes": "none: it gets what it asks for",
    }.items()
    plain = shown(operator, request_id)
    assert plain["id"] == request_id
    assert plain["decision"] is None
    assert plain["changes"] == []
    assert plain["expires"] > plain["at"]


def test_names_cannot_make_the_screen_show_something_else(operator: Operator, request_id: str) -> None:
    """Who asks chooses them."""
    with sqlite3.connect(operator.directory / "cmpkit.db") as connection:
        connection.execute("UPDATE held_requests SET subject = ?", ("CN=evil\x1b[2K\u202e\nstate  approved",))
    for command in (("list",), ("show", request_id), ("approve", request_id)):
        shown = operator.run("request", *command).out
        assert "evil" in shown
        assert not {"\x1b", "\u202e"} & set(shown)
        assert "\nstate  approved" not in shown


def test_an_approved_request_gets_its_certificate_when_it_asks_again(
    operator: Operator, device: Device, waiting: Path, request_id: str
) -> None:
    told = operator.run("request", "approve", request_id[:8], "--operator", "Alice", "--reason", "I know it").out
    assert told.startswith(f"approved {request_id[:12]} (CN=dev-42)\n")
    assert "when the requester asks again, until " in told
    decision = shown(operator, request_id)["decision"]
    assert (decision["approved"], decision["by"], decision["reason"]) == (True, "Alice", "I know it")
    device.run("resume", waiting, "--total-timeout", 20)
    assert device.path("dev-42.pem").exists()
    assert operator.run("request", "list").out.splitlines()[1:] == []
    (row,) = operator.run("request", "list", "--all").out.splitlines()[1:]
    assert row.endswith("issued")
    assert [found["state"] for found in operator.run("request", "list", "--state", "issued", "--json").json] == [
        "issued"
    ]
    text = operator.run("request", "show", request_id).out
    assert "decided by" in text
    assert "I know it" in text


def test_a_rejected_request_is_told_so(operator: Operator, device: Device, waiting: Path, request_id: str) -> None:
    options = ("--failure", "badCertTemplate", "--statusstring", "not this device", "--reason", "stolen")
    rejected = operator.run("request", "reject", request_id, *options, "--json").json
    assert rejected["state"] == "rejected"
    assert rejected["decision"]["by"] == getpass.getuser()
    assert rejected["decision"]["failure"] == "badCertTemplate"
    done = device.run("resume", waiting, "--total-timeout", 20, "--json", status=6)
    assert (done.json["fail_info"], done.json["texts"]) == (["badCertTemplate"], ["not this device"])
    assert "stolen" not in done.out + done.err


def test_by_itself_a_rejection_says_that_it_is_not_authorised(operator: Operator, request_id: str) -> None:
    assert operator.run("request", "reject", request_id).out == f"rejected {request_id[:12]} (CN=dev-42)\n"
    assert shown(operator, request_id)["decision"]["failure"] == "notAuthorized"


def test_a_second_decision_is_refused_and_the_first_one_told(operator: Operator, request_id: str) -> None:
    operator.run("request", "approve", request_id, "--operator", "Alice")
    for command in ("approve", "reject"):
        refused = operator.run("request", command, request_id, status=2)
        assert "was approved by Alice at " in refused.err


@pytest.mark.parametrize(("command", "which"), COMMANDS)
def test_a_request_that_there_is_not_cannot_be_named(operator: Operator, command: str, which: str) -> None:
    assert "there is no request '0'" in operator.run("request", command, which, status=2).err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("reject", "0", "--failure", "systemUnavail"), "--failure: 'systemUnavail' is none of badAlg, badRequest"),
        (("reject", "0", "--failure", "nonsense"), "is none of"),
        (("approve", "0", "--operator", " "), "--operator is empty"),
        (("list", "--all", "--state", "issued"), "--all and --state contradict each other"),
    ],
)
def test_what_cannot_be_meant_is_refused(operator: Operator, arguments: tuple[str, ...], words: str) -> None:
    assert words in operator.run("request", *arguments, status=2).err


def test_who_has_no_name_has_to_say_one(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise OSError("No username set in the environment")

    monkeypatch.setattr(getpass, "getuser", nobody)
    assert "--operator" in operator.run("request", "approve", "0", status=2).err
