"""``kill -9`` of both sides while a request waits for a person: it waits on, and comes to one certificate."""

from __future__ import annotations

import json
from pathlib import Path

from forking import Forked
from served import Served, cmpkit, free_port, make_server_directory, start

from cmpkit.crypto.x509 import load_certificates


def make_manual(folder: Path) -> Path:
    """A server's directory whose one profile needs a person."""
    directory = make_server_directory(folder / "ca", free_port())
    config = directory / "cmpkit.toml"
    text = config.read_text().replace('approval = "none"', 'approval = "manual"')
    config.write_text(text.replace('# check_after = "60s"', 'check_after = "1s"'))
    return directory


def enroll(folder: Path, server: Served) -> Forked:
    """A client that waits for ever, once it has shown that it does."""
    (folder / "secret").write_text(server.add_secret("dev"))
    client = Forked(
        [
            *("enroll", server.url, "--subject", "/CN=dev", "--total-timeout", "0"),
            *("--ref", "dev", "--secret", f"file:{folder / 'secret'}", "--newkey", str(folder / "dev.key")),
            *("--trusted", str(server.trust), "--certout", str(folder / "dev.pem"), "--state", str(folder / "state")),
        ]
    )
    assert client.stderr is not None
    line = client.stderr.readline()
    assert line.startswith("the server needs time, waiting until ")
    assert line.endswith(": a person has to agree to it\n")
    return client


def approve(server: Served) -> None:
    (request,) = json.loads(cmpkit("request", "list", "--config", server.config, "--json"))
    cmpkit("request", "approve", request["id"], "--config", server.config, "--operator", "Alice")


def assert_one_certificate(server: Served, folder: Path) -> None:
    """There is one, it is confirmed, the client has it, and the request counts as issued."""
    found = json.loads(cmpkit("cert", "list", "--config", server.config, "--json"))
    (certificate,) = [one for one in found if one["profile"] != "cmp-signer"]
    assert certificate["state"] == "valid"
    (der,) = load_certificates((folder / "dev.pem").read_bytes())[:1]
    exported = folder / "exported.pem"
    cmpkit("cert", "export", certificate["serial_number"], "--config", server.config, "--out", exported)
    assert load_certificates(exported.read_bytes()) == (der,)
    (request,) = json.loads(cmpkit("request", "list", "--all", "--config", server.config, "--json"))
    assert (request["state"], request["decision"]["by"]) == ("issued", "Alice")
    assert list((folder / "state").glob("*.json")) == []


def test_client_and_server_die_and_the_certificate_comes(tmp_path: Path) -> None:
    """The server comes back under the other backend: what it knew is in the store."""
    directory = make_manual(tmp_path)
    doomed = start(directory, "--backend", "asyncio")
    try:
        client = enroll(tmp_path, doomed)
        client.kill()
        client.communicate()
    finally:
        doomed.end()
    survivor = start(directory, "--backend", "trio")
    try:
        approve(survivor)
        (saved,) = (tmp_path / "state").glob("*.json")
        assert "enrolled CN=dev" in cmpkit("resume", saved, "--total-timeout", 30)
        assert_one_certificate(survivor, tmp_path)
        assert survivor.stop() == 0
    finally:
        survivor.end()
