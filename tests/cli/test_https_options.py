"""The options about TLS, from the command line to a server that insists on certificates."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from operating import Outcome, run, started
from served import Served, make_server_directory, served
from tls_servers import Files

_TLS = 4


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """Of a CA for TLS that has nothing to do with the one for CMP; its certificate of the server is for ra.example."""
    made = Files(tmp_path_factory.mktemp("tls"))
    made.server_context("named")
    made.write("pass", b"secret\n")
    made.write("wrong", b"wrong\n")
    return made


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, files: Files) -> Iterator[Served]:
    directory = make_server_directory(tmp_path_factory.mktemp("server") / "ca")
    config = directory / "cmpkit.toml"
    keys = (
        f'url = "https://127.0.0.1:0"\ntls_cert = "{files.directory}/named.pem"\n'
        f'tls_client = "required"\ntls_trusted = "{files.root}"'
    )
    config.write_text(config.read_text().replace('url = "http://127.0.0.1:0/.well-known/cmp"', keys))
    with served(directory) as made:
        (directory / "secret").write_text(made.add_secret("dev-42", "--uses", 10))
        yield made


class Client:
    def __init__(self, server: Served, files: Files, folder: Path) -> None:
        self.server, self.files, self.folder = server, files, folder
        self.given: dict[str, object] = {
            "--trusted": server.trust,
            "--tls-trusted": files.root,
            "--tls-host": "ra.example",
            "--tls-cert": files.client_cert,
            "--tls-key": files.client_key,
        }

    def enrol(self, status: int = 0, **changes: object) -> Outcome:
        """Enrol with the options of a client that is let in, some of them changed, or left out by ``None``."""
        given = {**self.given, **{f"--{name.replace('_', '-')}": value for name, value in changes.items()}}
        options = [part for name, value in given.items() if value is not None for part in (name, value)]
        return run(
            *("enroll", self.server.url, "--ref", "dev-42", "--secret", f"file:{self.server.directory / 'secret'}"),
            *("--subject", "CN=dev-42", "--newkey", self.folder / "new.key", "--certout", self.folder / "new.pem"),
            *options,
            status=status,
        )


@pytest.fixture
def client(server: Served, files: Files, tmp_path: Path) -> Client:
    return Client(server, files, tmp_path)


def test_a_client_with_a_certificate_is_let_in(client: Client) -> None:
    assert "enrolled CN=dev-42" in client.enrol().out


def test_certificate_and_key_may_be_in_one_file(client: Client) -> None:
    assert "enrolled CN=dev-42" in client.enrol(tls_cert=client.files.client_both, tls_key=None).out


def test_the_password_of_the_key_is_where_it_is_said(client: Client) -> None:
    locked, folder = client.files.locked_key, client.files.directory
    assert "enrolled CN=dev-42" in client.enrol(tls_key=locked, tls_keypass=f"file:{folder / 'pass'}").out
    assert "tls_cert and tls_key" in client.enrol(tls_key=locked, tls_keypass=f"file:{folder / 'wrong'}", status=2).err


def test_without_a_certificate_nobody_is_let_in_and_the_option_is_named(client: Client) -> None:
    assert "--tls-cert" in client.enrol(tls_cert=None, tls_key=None, status=_TLS).err


def test_the_certificate_of_the_server_must_have_the_name(client: Client) -> None:
    assert "--tls-host" in client.enrol(tls_host=None, status=_TLS).err
    assert "--tls-host" in client.enrol(tls_host="other.example", status=_TLS).err


@pytest.mark.parametrize("trusted", ["the anchors of CMP", "those of the system"])
def test_what_is_trusted_for_cmp_is_not_for_tls(client: Client, trusted: str) -> None:
    given = client.server.trust if trusted == "the anchors of CMP" else None
    assert "--tls-trusted" in client.enrol(tls_trusted=given, status=_TLS).err


def test_what_is_trusted_for_tls_is_not_for_cmp(client: Client) -> None:
    assert "--trusted" in client.enrol(trusted=client.files.root, status=5).err
    assert not (client.folder / "new.pem").exists()


def test_doctor_gets_as_far_as_a_client_with_the_same_options(client: Client) -> None:
    options = [part for item in client.given.items() for part in item]
    assert "✓ TLS versions" in run("doctor", client.server.url, *options).out
    told = run("doctor", client.server.url, *options[:6], status=_TLS).out
    assert "A client with these options fails" in told
    assert "--tls-cert" in told


def test_plain_http_to_another_machine_is_warned_of_on_standard_error(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("a secret of more than sixteen octets\n")
    with started(
        *("info", "http://cmpkit.invalid/cmp", "caCerts", "--ref", "dev", "--secret", f"file:{tmp_path / 'secret'}"),
        *("--unprotected-errors", "--json"),
    ) as process:
        out, err = process.communicate(60)
    assert err.count("plain HTTP to cmpkit.invalid") == 1
    assert json.loads(out)["kind"]
