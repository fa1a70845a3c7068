"""``cmpkit inspect``: files in, text, JSON, differences and diagrams out."""

from __future__ import annotations

import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from captures import chunked, conversation, pcap, post
from device import Device
from operating import run

from cmpkit.asn1 import decode_message, encode
from cmpkit.cli.exits import ExitStatus

MESSAGES = Path(__file__).parent.parent / "asn1" / "messages" / "openssl-3.6"


def message(name: str) -> Path:
    return MESSAGES / f"{name}.der"


def test_a_message_is_shown_with_what_is_wrong(tmp_path: Path) -> None:
    broken = tmp_path / "broken.der"
    broken.write_bytes(message("ir").read_bytes().replace(b"\x02\x01\x02", b"\x02\x01\x09", 1))
    text = run("inspect", broken).out
    assert text.startswith("broken.der: ir, 1155 octets, ecdsa-with-SHA256\n")
    assert "FAULT unsupportedVersion: pvno 9 is not supported, versions 2 and 3 are (RFC 9810 section 7)" in text
    assert "change: the client may repeat" in text
    assert "bad          protection: the signature of the message does not fit the signer's key" in text


def test_json_has_every_message() -> None:
    found = json.loads(run("inspect", "--json", message("ir"), message("ip")).out)
    assert [one["body"] for one in found] == ["ir", "ip"]
    assert found[0]["message"]["header"]["pvno"] == {"value": 2, "name": "cmp2000"}
    assert found[0]["findings"] == []
    assert {check["what"]: check["outcome"] for check in found[0]["checks"]} == {
        "protection": "good",
        "signer": "not checked",
        "proof of possession": "good",
    }


def test_a_broken_message_is_no_failure(tmp_path: Path) -> None:
    (tmp_path / "cut.der").write_bytes(message("ir").read_bytes()[:300])
    text = run("inspect", tmp_path / "cut.der").out
    assert "cut.der: no message, 300 octets" in text
    assert "elements, by offset" in text
    assert "cut.der: no message" in run("inspect", "--sequence", tmp_path / "cut.der").out


def test_stdin_is_read() -> None:
    command = [sys.executable, "-m", "cmpkit.cli", "inspect", "-"]
    done = subprocess.run(command, input=message("pkiconf").read_bytes(), capture_output=True, check=True)
    assert done.stdout.startswith(b"stdin: pkiconf")


def test_two_messages_are_compared() -> None:
    text = run("inspect", "--diff", message("ir"), message("cr")).out
    assert text.startswith("--- ir.der\n+++ cr.der\nbody\n  - ir\n  + cr\n")
    found = json.loads(run("inspect", "--diff", "--json", message("ir"), message("cr")).out)
    assert found["differences"][0] == {"path": "body", "first": "ir", "second": "cr"}


def test_other_than_two_messages_cannot_be_compared() -> None:
    done = run("inspect", "--diff", message("ir"), status=ExitStatus.USAGE)
    assert "--diff takes two messages, 1 were given" in done.err


def test_a_capture_becomes_a_diagram_in_text_json_and_svg(tmp_path: Path) -> None:
    turns = ((True, post(message("ir").read_bytes())), (False, chunked(message("ip").read_bytes())))
    (tmp_path / "trace.pcap").write_bytes(pcap(conversation(*turns)))
    picture = tmp_path / "trace.svg"
    text = run("inspect", "--sequence", tmp_path / "trace.pcap", "--svg", picture).out
    assert "1 ir" in text
    assert "trace.pcap#2" in text
    assert ET.parse(picture).getroot().tag.endswith("svg")
    [diagram] = json.loads(run("inspect", "--sequence", "--json", tmp_path / "trace.pcap").out)
    assert [step["title"] for step in diagram["steps"]] == ["ir", "ip"]
    assert [one["sender"] for one in json.loads(run("inspect", "--json", tmp_path / "trace.pcap").out)] == [
        "10.0.0.1:50000",
        "10.0.0.2:8829",
    ]
    plain = run("inspect", tmp_path / "trace.pcap").out
    assert "10.0.0.1:50000 -> 10.0.0.2:8829  POST /.well-known/cmp  1970-01-01T00:00:04Z" in plain


@pytest.mark.parametrize(("secret", "outcome"), [("secret", "good"), ("wrong", "bad")])
def test_a_mac_is_checked_with_the_secret(tmp_path: Path, secret: str, outcome: str) -> None:
    (tmp_path / "secret").write_text(secret)
    text = run("inspect", message("ir-mac"), "--secret", f"file:{tmp_path / 'secret'}").out
    assert f"{outcome:11}  protection: the MAC" in text


def test_a_signer_is_checked_with_trust_anchors(tmp_path: Path) -> None:
    (tmp_path / "root.der").write_bytes(encode(decode_message(message("ip").read_bytes()).body.content.ca_pubs[0]))
    assert "good         signer" in run("inspect", message("ip"), "--trusted", tmp_path / "root.der").out


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["nowhere.der"], "nowhere.der cannot be read: No such file"),
        ([message("ir"), "--secret", "hunter2"], "never the secret itself"),
        ([message("ir"), "--trusted", "nowhere.pem"], "nowhere.pem cannot be read"),
    ],
)
def test_wrong_usage_is_named(arguments: list[object], expected: str) -> None:
    done = run("inspect", *arguments, status=ExitStatus.USAGE)
    assert expected in done.err
    assert "hunter2" not in done.err


def test_a_file_that_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cmpkit.inspection.sources.MAX_FILE_SIZE", 100)
    assert "more than 100 octets" in run("inspect", message("ir"), status=ExitStatus.USAGE).err


def test_a_saved_transaction_of_ours_breaks_no_rule(device: Device, tmp_path: Path) -> None:
    device.enroll("--reqout", tmp_path / "req.der", "--rspout", tmp_path / "rsp.der")
    files = sorted(tmp_path.glob("r*.der"))
    found = json.loads(run("inspect", "--json", *files, "--secret", f"file:{device.path('dev-42.secret')}").out)
    assert sorted(one["body"] for one in found) == ["certConf", "ip", "ir", "pkiconf"]
    assert [one["findings"] for one in found] == [[], [], [], []]
    assert {check["outcome"] for one in found for check in one["checks"]} == {"good"}
    assert "4 pkiconf" in run("inspect", "--sequence", *files).out
