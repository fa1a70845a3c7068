from __future__ import annotations

import re
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import httpx
import pytest
from operating import Operator, run, started
from served import free_port

BACKENDS = ["asyncio", "trio"]


def wait_for(process: subprocess.Popen[str]) -> str:
    """The address that the server announces."""
    assert process.stdout is not None
    line = process.stdout.readline()
    found = re.fullmatch(r"listening on (\S+)\n", line)
    assert found, line or process.communicate()
    return found[1]


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_signal_ends_the_server_in_time(operator: Operator, backend: str, sent: signal.Signals) -> None:
    with started("serve", "--config", operator.config, "--backend", backend) as process:
        url = wait_for(process)
        assert httpx.post(url, content=b"", headers={"content-type": "application/pkixcmp"}).status_code == 400
        process.send_signal(sent)
        begun = time.monotonic()
        out, err = process.communicate(timeout=20)
        assert time.monotonic() - begun < 5
        assert process.returncode == 0
        assert out == ""
        assert "finishing what is in flight" in err


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_client_that_never_ends_its_request_does_not_keep_the_server(operator: Operator, backend: str) -> None:
    with started("serve", "--config", operator.config, "--backend", backend) as process:
        address = httpx.URL(wait_for(process))
        with socket.create_connection((address.host, address.port or 80)) as connection:
            connection.sendall(b"POST /.well-known/cmp HTTP/1.1\r\nhost: x\r\ncontent-type: application/pkixcmp\r\n")
            connection.sendall(b"content-length: 1000\r\n\r\n0")
            # A second request is answered once the first has been taken up.
            httpx.post(address, content=b"", headers={"content-type": "application/pkixcmp"})
            process.send_signal(signal.SIGTERM)
            begun = time.monotonic()
            process.communicate(timeout=20)
            assert time.monotonic() - begun < 5
            assert process.returncode == 0


def test_a_second_signal_ends_it_at_once(operator: Operator) -> None:
    with started("serve", "--config", operator.config) as process:
        address = httpx.URL(wait_for(process))
        assert process.stderr is not None
        with socket.create_connection((address.host, address.port or 80)) as connection:
            connection.sendall(b"POST /.well-known/cmp HTTP/1.1\r\nhost: x\r\ncontent-type: application/pkixcmp\r\n")
            connection.sendall(b"content-length: 1000\r\n\r\n0")
            httpx.post(address, content=b"", headers={"content-type": "application/pkixcmp"})
            process.send_signal(signal.SIGTERM)
            while "finishing what is in flight" not in process.stderr.readline():
                assert process.poll() is None
            begun = time.monotonic()
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=20)
            assert time.monotonic() - begun < 3
            assert process.returncode == 0


def test_every_address_is_announced(operator: Operator) -> None:
    with operator.config.open("a") as file:
        file.write('\n[[listen]]\nurl = "http://[::1]:0/somewhere"\n')
    with started("serve", "--config", operator.config) as process:
        urls = {wait_for(process), wait_for(process)}
        paths = {httpx.URL(url).path for url in urls}
        assert paths == {"/.well-known/cmp", "/somewhere"}
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0


def test_what_is_logged_goes_to_standard_error_only_as_far_as_wanted(operator: Operator) -> None:
    with started("serve", "--config", operator.config, "--log-level", "error") as process:
        url = wait_for(process)
        httpx.post(url, content=b"0", headers={"content-type": "application/pkixcmp"})
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=20) == ("", "")


def test_a_port_that_is_taken_ends_the_server_with_status_2(operator: Operator) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        operator.config.write_text(operator.config.read_text().replace("127.0.0.1:0", address))
        with started("serve", "--config", operator.config) as process:
            out, err = process.communicate(timeout=20)
        assert process.returncode == 2
        assert out == ""
        assert f"cannot listen on http://{address}/" in err
        assert "Traceback" not in err


def test_check_finds_no_mistake_in_what_init_makes(operator: Operator) -> None:
    outcome = operator.run("serve", "--check")
    assert outcome.out == f"{operator.config}: no mistakes\n"


@pytest.mark.parametrize("backend", BACKENDS)
def test_check_names_every_mistake_with_its_key(operator: Operator, backend: str) -> None:
    text = operator.config.read_text()
    text = text.replace("implicit_confirm = true", "implicit_confirm = 1").replace('"365d"', '"soon"')
    operator.config.write_text(text)
    (operator.directory / "signer.pem").unlink()
    outcome = operator.run("serve", "--check", "--backend", backend, status=2)
    assert outcome.out == ""
    for key in ("[server] implicit_confirm: ", "[profiles.device] validity: ", "[signer] certificate: "):
        assert f"\n  {key}" in outcome.err


def test_check_listens_nowhere(operator: Operator) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        operator.config.write_text(operator.config.read_text().replace("127.0.0.1:0", address))
        operator.run("serve", "--check")


def test_a_configuration_that_is_not_there_is_named(tmp_path: Path) -> None:
    outcome = run("serve", "--config", tmp_path / "none.toml", status=2)
    assert "none.toml cannot be read" in outcome.err
    assert "cmpkit init DIR" in outcome.err


def test_a_server_within_another_program_ends_by_its_signal(operator: Operator) -> None:
    """In this process, so that coverage sees it."""
    port = free_port()
    operator.config.write_text(operator.config.read_text().replace("127.0.0.1:0/", f"127.0.0.1:{port}/"))

    def end_what_listens() -> None:
        while not connects(port):
            pass
        signal.raise_signal(signal.SIGTERM)

    # A server that does not start must not leave the signal to this process.
    former = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        threading.Thread(target=end_what_listens, daemon=True).start()
        outcome = operator.run("serve")
    finally:
        signal.signal(signal.SIGTERM, former)
    assert outcome.out == f"listening on http://127.0.0.1:{port}/.well-known/cmp\n"


def connects(port: int) -> bool:
    """Whether somebody listens there."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
