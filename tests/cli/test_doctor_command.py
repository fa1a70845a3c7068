"""``cmpkit doctor``: what it prints, and its exit status."""

from __future__ import annotations

import json
import re

import pytest
from device import URL, Device
from operating import run
from webs import closed_port, handler_for, silent_server, web_server

from cmpkit.errors import TransportError


def names(printed: str) -> list[str]:
    """What was looked at, line by line."""
    return re.findall(r"^\S (\S.{0,20}?) {2,}", printed, re.MULTILINE)


def test_a_sound_server_ends_with_0(device: Device) -> None:
    done = device.run("doctor", URL, *device.by_secret(), "--trusted", device.trusted)
    assert names(done.out)[:5] == ["road", "CMP", "protection", "trust", "credentials"]
    assert "✓ credentials           accepted: genm gets genp\n" in done.out
    assert "Healthy: nothing is in the way of a client with these options.\n" in done.out
    assert f"\n  cmpkit enroll {URL}\n" in done.out
    assert "openssl cmp -" not in done.out
    assert not done.err
    assert not device.state.exists()


def test_advice_stands_below_what_it_is_about(device: Device) -> None:
    done = device.run("doctor", URL)
    assert "· credentials           none given\n                        -> give --ref and --secret" in done.out


def test_a_refusal_ends_with_6(device: Device) -> None:
    device.path("dev-42.secret").write_text("wrong")
    done = device.run("doctor", URL, *device.by_secret(), "--trusted", device.trusted, status=6)
    assert "✗ credentials           refused: error badMessageCheck" in done.out
    assert "A client with these options fails: credentials.\n" in done.out


def test_an_answer_that_is_not_believed_ends_with_5(device: Device) -> None:
    done = device.run("doctor", URL, "--trusted", device.trusted, "--expect-sender", "CN=Other", status=5)
    assert "✗ trust" in done.out


def test_a_closed_port_ends_with_3() -> None:
    done = run("doctor", f"http://127.0.0.1:{closed_port()}/cmp", status=3)
    assert names(done.out) == ["name", "connection"]
    assert "connection refused" in done.out


def test_tls_that_fails_ends_with_4() -> None:
    with web_server(handler_for(lambda path, body: (404, {}, b""))) as url:
        done = run("doctor", url.replace("http:", "https:"), "--json", status=4)
    assert done.json["checks"][-1]["layer"] == "TLS"


def test_too_little_time_ends_with_8() -> None:
    with silent_server() as url:
        done = run("doctor", f"{url}/cmp", "--total-timeout", 0.3, status=8)
    assert "--total-timeout" in done.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("coap://ra.example",), "no client transport for coap; there are:"),
        (("http://ra.example", "--revoke"), "need --enroll"),
        (("http://ra.example", "--subject", "CN=x"), "need --enroll"),
        (("http://ra.example", "--enroll"), "needs credentials"),
        (("http://ra.example", "--ref", "x"), "--ref needs --secret"),
    ],
)
def test_mistakes_end_with_2(arguments: tuple[str, ...], said: str) -> None:
    assert said in run("doctor", *arguments, status=2).err


def test_machines_get_one_object(device: Device) -> None:
    found = device.run("doctor", URL, *device.by_secret(), "--trusted", device.trusted, "--json").json
    assert (found["status"], found["healthy"], found["complete"], found["url"]) == (0, True, True, URL)
    assert found["checks"][0] == {
        "name": "road",
        "layer": "road",
        "verdict": "good",
        "detail": "something comes back",
        "advice": "",
        "cmpkit": [],
        "openssl": [],
    }
    assert found["settings"] == {"cmpkit": [URL], "openssl": []}


def test_machines_get_what_failed_too(device: Device) -> None:
    device.road.faults.append(TransportError("no way"))
    found = device.run("doctor", URL, "--json", status=3).json
    assert (found["status"], found["settings"], found["checks"][0]["detail"]) == (3, None, "no way")


def test_what_a_server_says_does_not_steer_the_terminal(device: Device) -> None:
    device.road.faults.append(TransportError("red \x1b[31m[bold]"))
    assert "✗ road                  red \\x1b[31m[bold]\n" in device.run("doctor", URL, status=3).out


def test_it_enrols_if_it_is_told_to(device: Device) -> None:
    done = device.run(
        *("doctor", URL, *device.by_secret(), "--trusted", device.trusted),
        *("--enroll", "--subject", "CN=dev-42", "--revoke", "--json"),
    )
    checks = {check["name"]: check for check in json.loads(done.out)["checks"]}
    assert checks["enrolment"]["verdict"] == checks["revocation"]["verdict"] == "good"


def test_messages_are_saved(device: Device) -> None:
    device.run("doctor", URL, "--reqout", device.path("req.der"), "--rspout", device.path("rsp.der"))
    assert device.path("req.der").read_bytes() == device.road.requests[1].raw
    assert device.path("rsp.der").exists()
