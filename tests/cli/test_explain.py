"""``cmpkit serve --explain``: which rule a message would meet, without anything of it being done."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from device import Device
from operating import Operator

from cmpkit.asn1 import decode_message
from cmpkit.config import load_configuration, open_parts
from cmpkit.config.explaining import explain_messages
from cmpkit.endpoints.protector import Protector
from cmpkit.engine.nesting import nest
from cmpkit.errors import TransportError
from cmpkit.plugins import load_plugins

RULES = """
[policy]
kind = "rules"

[[policy.rule]]
name = "no admins"
subjects = ["CN=admin*"]
action = "refuse"
fail_info = "badCertTemplate"
text = "ask somebody else"

[[policy.rule]]
name = "the factory"
path = "factory"
who = ["secret"]
action = "hold"

[[policy.rule]]
action = "default"
"""
Keep = Callable[..., Path]


@pytest.fixture
def keep(device: Device, tmp_path: Path) -> Keep:
    """Keeps the message of a command that did not reach the server."""

    def run(*command: object) -> Path:
        device.road.faults = [TransportError("gone")]
        sent = len(device.road.requests)
        device.run(*command, "--trusted", device.trusted, "--state", device.state, "--total-timeout", 0, status=3)
        path = tmp_path / "message.der"
        path.write_bytes(device.road.requests[sent].raw)
        return path

    return run


@pytest.fixture
def message(device: Device, keep: Keep) -> Path:
    return keep("enroll", "test://server", *device.by_secret(), *device.wanted())


def write_rules(operator: Operator, text: str = RULES) -> None:
    before, _, rest = operator.config.read_text().partition("[policy]\n")
    _, _, after = rest.partition("\n[[secrets]]")
    operator.config.write_text(f"{before}{text}\n[[secrets]]{after}")


def explain(operator: Operator, message: Path, *options: object) -> dict[str, Any]:
    (one,) = operator.run("serve", "--explain", message, "--json", *options).json
    return dict(one)


def test_it_says_what_the_default_policy_would_do(operator: Operator, message: Path) -> None:
    lines = operator.run("serve", "--explain", message).out.splitlines()
    text = [line.split(maxsplit=1) for line in lines]
    assert ["sender", "dev-42, by a shared secret; its MAC is right"] in text
    assert ["policy", "default"] in text
    assert ["subject", "CN=dev-42"] in text
    assert ["outcome", "would be issued"] in text


def test_nothing_of_it_is_done(operator: Operator, device: Device, message: Path) -> None:
    for _ in range(2):
        assert explain(operator, message)["cases"][0]["outcome"] == "issued"
    (secret,) = operator.run("secret", "list", "--json").json
    assert secret["uses"] == 1
    assert "CN=dev-42" not in operator.run("cert", "list").out
    device.enroll("--newkey", device.path("other.key"))


def test_it_says_which_rule_matches_and_why_earlier_ones_do_not(operator: Operator, message: Path) -> None:
    write_rules(operator)
    (case,) = explain(operator, message)["cases"]
    assert [(rule["rule"], rule["matches"]) for rule in case["rules"]] == [
        ("no admins", False),
        ("the factory", False),
        ("rule 3", True),
    ]
    assert case["rules"][0]["why_not"] == "the subject CN=dev-42 is none of CN=admin*"
    assert "no label" in case["rules"][1]["why_not"]
    assert (case["outcome"], case["profile"]) == ("issued", "device")
    lines = operator.run("serve", "--explain", message).out
    assert "rule 3: matches" in lines


@pytest.mark.parametrize("place", ["factory", "http://127.0.0.1:0/.well-known/cmp/p/factory"])
def test_the_address_counts(operator: Operator, message: Path, place: str) -> None:
    write_rules(operator)
    one = explain(operator, message, "--from", place)
    assert one["label"] == "factory"
    assert one["cases"][0]["outcome"] == "held"
    assert one["cases"][0]["rules"][-1] == {"rule": "the factory", "matches": True, "why_not": ""}
    assert operator.run("request", "list", "--json").json == []


def test_a_refusal_is_told_as_the_requester_would_hear_it(operator: Operator, device: Device, keep: Keep) -> None:
    write_rules(operator)
    operator.run("secret", "add", "root", "--any-subject", "--secret", f"file:{device.path('dev-42.secret')}")
    credentials = ("--ref", "root", "--secret", f"file:{device.path('dev-42.secret')}")
    wanted = ("--subject", "CN=admin", "--newkey", device.path("x.key"), "--certout", device.path("x.pem"))
    (case,) = explain(operator, keep("enroll", "test://server", *credentials, *wanted))["cases"]
    assert (case["outcome"], case["fail_info"], case["text"]) == ("refused", ["badCertTemplate"], "ask somebody else")
    assert case["rules"] == [{"rule": "no admins", "matches": True, "why_not": ""}]


def test_that_protection_cannot_be_verified_is_told(operator: Operator, message: Path) -> None:
    data = bytearray(message.read_bytes())
    data[-1] ^= 1
    message.with_suffix(".bad").write_bytes(data)
    one = explain(operator, message.with_suffix(".bad"))
    assert (one["sender"], one["cases"][0]["fail_info"]) == (None, ["badMessageCheck"])
    operator.run("secret", "revoke", "dev-42")
    told = operator.run("serve", "--explain", message).out
    assert re.search(r"^protection +cannot be verified: the shared secret is revoked$", told, re.MULTILINE)
    assert "would be refused: notAuthorized" in told


def test_revocations_and_questions_are_explained(operator: Operator, device: Device, keep: Keep) -> None:
    device.enroll()
    signed = device.by_certificate()
    write_rules(operator)
    revoking = keep("revoke", "test://server", *signed, "--oldcert", device.path("dev-42.pem"))
    (case,) = explain(operator, revoking)["cases"]
    assert (case["outcome"], case["profile"], case["subject"]) == ("revoked", "device", "CN=dev-42")
    assert case["rules"][-1]["matches"]
    asking = keep("info", "test://server", "caCerts", *signed)
    one = explain(operator, asking)
    assert (one["body"], one["cases"][0]["outcome"]) == ("genm", "answered")
    assert "by a certificate of this CA" in one["sender"]


def test_what_would_not_be_revoked_or_issued_is_told(operator: Operator, device: Device, keep: Keep) -> None:
    device.enroll()
    unknown = keep("revoke", "test://server", *device.by_certificate(), "--issuer", "CN=Example CA", "--serial", "0x42")
    (case,) = explain(operator, unknown)["cases"]
    assert (case["what"], case["fail_info"], case["rules"]) == ("serial number 42", ["badCertId"], [])
    subject = ("--subject", "CN=dev-42", "--newkeyout", device.path("n.key"), "--certout", device.path("n.pem"))
    central = keep("certify", "test://server", *device.by_certificate(), *subject, "--centralkeygen")
    (case,) = explain(operator, central)["cases"]
    assert (case["outcome"], case["fail_info"]) == ("refused", ["badCertTemplate"])


def test_what_came_before_and_what_is_old_is_noted(
    operator: Operator, device: Device, message: Path, tmp_path: Path
) -> None:
    sent = len(device.road.requests)
    device.enroll("--newkey", device.path("other.key"))
    first = device.road.requests[sent].raw
    path = tmp_path / "first.der"
    path.write_bytes(first)
    assert any("came before" in note for note in explain(operator, path)["notes"])
    plugins = load_plugins()
    later = partial(explain_messages, load_configuration(operator.config, plugins), plugins, (message.read_bytes(),))
    (one,) = anyio.run(partial(later, clock=lambda: datetime.now(UTC) + timedelta(hours=1)))
    assert any("badTime" in note for note in one.remarks)


def test_every_form_of_a_message_is_read_and_each_in_a_file_explained(operator: Operator, message: Path) -> None:
    encoded = base64.encodebytes(message.read_bytes())
    message.write_bytes(encoded)
    assert explain(operator, message)["body"] == "ir"
    raw = base64.b64decode(encoded)
    message.write_bytes(raw + raw)
    assert len(operator.run("serve", "--explain", message, "--json").json) == 2
    assert operator.run("serve", "--explain", message).out.count("outcome") == 2


def test_what_is_no_message_would_be_refused(operator: Operator, tmp_path: Path) -> None:
    path = tmp_path / "nothing.der"
    path.write_bytes(b"\x30\x03\x02\x01\x00")
    one = explain(operator, path)
    assert (one["body"], one["cases"][0]["fail_info"]) == (None, ["badDataFormat"])
    assert "cannot be read" in operator.run("serve", "--explain", path).out


def test_the_tolerance_that_a_message_needs_is_named(operator: Operator, message: Path) -> None:
    message.write_bytes(message.read_bytes() + b"\x05\x00")
    (case,) = explain(operator, message)["cases"]
    assert "trailing-octets" in case["detail"]
    config = operator.config.read_text()
    operator.config.write_text(config.replace('# tolerances = ["hmac-sha1"]', 'tolerances = ["trailing-octets"]'))
    one = explain(operator, message)
    assert one["tolerated"] == ["trailing-octets"]
    assert "tolerated" in operator.run("serve", "--explain", message).out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--from", "x"), "go with --explain"),
        (("--json",), "go with --explain"),
        (("--explain", "nothing.der"), "cannot be read"),
    ],
)
def test_wrong_options_are_refused(operator: Operator, options: tuple[object, ...], said: str) -> None:
    assert said in operator.run("serve", *options, status=2).err


def test_an_address_that_is_not_served_is_refused(operator: Operator, message: Path) -> None:
    told = operator.run("serve", "--explain", message, "--from", "http://elsewhere/cmp", status=2)
    assert "http://127.0.0.1:0/.well-known/cmp" in told.err


ROUTES = """
[[upstream]]
name = "ca"
url = "http://127.0.0.1:9/cmp"
trusted = ["trust.pem"]

[[route]]
path = "dark"
to = "ca"
verify = false

[[route]]
path = "factory"
to = "ca"
"""


def test_the_route_is_told(operator: Operator, message: Path) -> None:
    with operator.config.open("a") as file:
        file.write(ROUTES)
    passed_on = explain(operator, message, "--from", "factory")
    assert passed_on["route"] == "[[route]] 2, to ca"
    assert (passed_on["cases"][0]["outcome"], passed_on["cases"][0]["profile"]) == ("passed_on", "device")
    unseen = explain(operator, message, "--from", "dark")
    assert (unseen["sender"], unseen["cases"][0]["outcome"]) == (None, "passed_on")
    assert "only the upstream can tell" in unseen["unverified"]
    here = explain(operator, message)
    assert (here["route"], here["cases"][0]["outcome"]) == ("fits no [[route]], so this server answers", "issued")
    assert "route" in operator.run("serve", "--explain", message).out


def test_what_continues_a_transaction_is_explained(operator: Operator, device: Device, tmp_path: Path) -> None:
    device.road.faults = [None, TransportError("gone")]
    device.enroll("--total-timeout", 0, status=3)
    path = tmp_path / "confirmation.der"
    path.write_bytes(device.road.requests[-1].raw)
    one = explain(operator, path)
    assert (one["body"], one["cases"][0]["outcome"]) == ("certConf", "answered")


def test_the_message_in_a_nested_one_is_explained_after_it(operator: Operator, message: Path) -> None:
    octets = message.read_bytes()

    async def wrap() -> bytes:
        plugins = load_plugins()
        async with open_parts(load_configuration(operator.config, plugins), plugins) as parts:
            own = Protector(plugins, parts.signer, parts.signer.subject)
            inner = decode_message(octets)
            return (await own.answer(inner.header, nest([inner]), to=None, now=datetime.now(UTC))).raw

    message.write_bytes(anyio.run(wrap))
    outer, inner = operator.run("serve", "--explain", message, "--json").json
    assert (outer["body"], inner["body"]) == ("nested", "ir")
    assert inner["cases"][0]["outcome"] == "issued"
