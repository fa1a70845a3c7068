"""``cmpkit inspect`` on what OpenSSL and its mock server say to each other, saved by it and captured on the way."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from captures import conversation, pcap
from operating import run

from .conftest import OpenSSL
from .mock_server import SECRET, MockPKI, make_pki, mock_server

BODIES = ["ir", "ip", "certConf", "pkiconf"]


@pytest.fixture(scope="module")
def pki(any_openssl: OpenSSL, tmp_path_factory: pytest.TempPathFactory) -> MockPKI:
    return make_pki(any_openssl, tmp_path_factory.mktemp("mock"), "p256")


@contextlib.contextmanager
def tapped(url: str) -> Iterator[tuple[str, list[list[tuple[bool, bytes]]]]]:
    """The URL of a way to a server on which every octet is noted: for each connection who spoke, and what."""
    parts = urlsplit(url)
    noted: list[list[tuple[bool, bytes]]] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_accept, args=(listener, (parts.hostname, parts.port), noted), daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}{parts.path}", noted


def _accept(listener: socket.socket, server: tuple[str, int], noted: list[list[tuple[bool, bytes]]]) -> None:
    with contextlib.suppress(OSError):
        while True:
            client, _ = listener.accept()
            turns: list[tuple[bool, bytes]] = []
            noted.append(turns)
            beyond = socket.create_connection(server)
            threads = [
                threading.Thread(target=_pump, args=way, daemon=True)
                for way in ((client, beyond, True, turns), (beyond, client, False, turns))
            ]
            for thread in threads:
                thread.start()


def _pump(source: socket.socket, target: socket.socket, by_client: bool, turns: list[tuple[bool, bytes]]) -> None:
    with contextlib.suppress(OSError), source:
        while octets := source.recv(4096):
            turns.append((by_client, octets))
            target.sendall(octets)
        target.shutdown(socket.SHUT_WR)


def enrol(openssl: OpenSSL, pki: MockPKI, url: str, folder: Path, *options: object) -> tuple[list[Path], list[Path]]:
    """What OpenSSL saves of an enrolment: requests and answers."""
    requests = [folder / f"{name}.der" for name in ("ir", "certConf")]
    answers = [folder / f"{name}.der" for name in ("ip", "pkiconf")]
    parts = urlsplit(url)
    openssl.run(
        *("cmp", "-config", "", "-cmd", "ir", "-server", parts.netloc, "-path", parts.path),
        *(
            "-ref",
            "mock",
            "-secret",
            f"pass:{SECRET}",
            "-recipient",
            "/O=Mock/CN=server",
            "-subject",
            "/O=Mock/CN=given",
        ),
        *("-newkey", pki.folder / "given.key", "-certout", folder / "out.pem", "-trusted", pki.folder / "ca.pem"),
        *("-reqout", ",".join(map(str, requests)), "-rspout", ",".join(map(str, answers)), *options),
    )
    return requests, answers


def test_what_openssl_saves_breaks_no_rule_and_its_macs_fit(openssl: OpenSSL, pki: MockPKI, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(SECRET)
    with mock_server(openssl, pki) as url:
        requests, answers = enrol(openssl, pki, url, tmp_path)
    files = [*answers, *requests]
    found = json.loads(run("inspect", "--json", *files, "--secret", f"file:{tmp_path / 'secret'}").out)
    by_body = {one["body"]: one for one in found}
    assert set(by_body) == set(BODIES)
    assert [finding for one in found for finding in one["findings"] if finding["severity"] == "fault"] == []
    assert {check["outcome"] for one in found for check in one["checks"]} == {"good"}
    assert {"protection", "certHash"} == {check["what"] for check in by_body["certConf"]["checks"]}
    [diagram] = json.loads(run("inspect", "--sequence", "--json", *files).out)
    assert [step["title"] for step in diagram["steps"]] == BODIES


def test_the_same_is_found_in_the_traffic(openssl: OpenSSL, pki: MockPKI, tmp_path: Path) -> None:
    with mock_server(openssl, pki) as url, tapped(url) as (way, noted):
        requests, answers = enrol(openssl, pki, way, tmp_path, "-keep_alive", "0")
    trace = tmp_path / "trace.pcap"
    trace.write_bytes(pcap([frame for turns in noted for frame in conversation(*turns)]))
    found = json.loads(run("inspect", "--json", trace).out)
    assert [one["body"] for one in found] == BODIES
    assert [one["octets"] for one in found] == [
        path.stat().st_size for pair in zip(requests, answers, strict=True) for path in pair
    ]
    assert not [finding for one in found for finding in one["findings"] if finding["severity"] == "fault"]


def test_each_octet_that_is_missing_is_survived(openssl: OpenSSL, pki: MockPKI, tmp_path: Path) -> None:
    with mock_server(openssl, pki) as url:
        requests, _ = enrol(openssl, pki, url, tmp_path)
    whole = requests[0].read_bytes()
    for end in range(0, len(whole), 37):
        (tmp_path / "cut.der").write_bytes(whole[:end])
        assert "no message" in run("inspect", tmp_path / "cut.der").out
