from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509
from operating import run

from cmpkit.config import load_configuration
from cmpkit.crypto.names import format_name
from cmpkit.plugins import load_plugins


def test_init_asks_nothing_and_makes_what_serve_needs(tmp_path: Path) -> None:
    directory = tmp_path / "ca"
    outcome = run("init", directory)
    assert str(directory / "trust.pem") in outcome.out
    assert f"cmpkit serve --config {directory / 'cmpkit.toml'}" in outcome.out
    run("serve", "--config", directory / "cmpkit.toml", "--check")


def test_init_follows_its_options(tmp_path: Path) -> None:
    urls = ["http://127.0.0.1:9001/a", "http://[::1]:9002/b"]
    made = run(
        *("init", tmp_path / "ca", "--listen", urls[0], "--listen", urls[1]),
        *("--subject", "/O=Example/CN=Some CA", "--key-type", "p384", "--json"),
    ).json
    configuration = load_configuration(Path(made["config"]), load_plugins())
    assert [listen.url for listen in configuration.listen] == urls
    issuing = x509.load_pem_x509_certificate((configuration.directory / "issuing.pem").read_bytes())
    assert format_name(issuing.subject) == "CN=Some CA,O=Example"
    assert issuing.public_key().key_size == 384
    assert made["trust"] == str(tmp_path / "ca" / "trust.pem")
    assert made["request"] is None
    assert made["notes"]


def test_init_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "ca").mkdir()
    (tmp_path / "ca" / "precious").write_text("mine")
    outcome = run("init", tmp_path / "ca", status=2)
    assert "is not empty, nothing is overwritten" in outcome.err
    assert [path.name for path in (tmp_path / "ca").iterdir()] == ["precious"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--listen", "gopher://127.0.0.1"], "no server transport for gopher"),
        (["--listen", "http://"], "it names no host"),
        (["--subject", "nonsense"], "nonsense"),
        (["--key-type", "rsa1"], "rsa1"),
        (["--ca-key", "key.pem"], "add --ca-cert"),
        (["--ca-cert", "none.pem"], "none.pem cannot be read"),
        (["--ca-keypass", "hunter2", "--ca-cert", "ca.pem"], "--ca-keypass takes file:PATH"),
    ],
)
def test_a_wrong_option_is_named_and_nothing_is_made(tmp_path: Path, options: list[str], said: str) -> None:
    outcome = run("init", tmp_path / "ca", *options, status=2)
    assert said in outcome.err
    assert "hunter2" not in outcome.err
    assert not (tmp_path / "ca").exists()


def test_an_existing_ca_is_taken_over_with_the_password_of_its_key(tmp_path: Path, initialised: Path) -> None:
    passphrase = (initialised / "root" / "root.passphrase").read_text().strip()
    options = ("--ca-cert", initialised / "root" / "root.pem", "--ca-key", initialised / "root" / "root.key.pem")
    run("init", tmp_path / "ca", *options, "--ca-keypass", "env:PASSPHRASE", env={"PASSPHRASE": passphrase})
    run("serve", "--config", tmp_path / "ca" / "cmpkit.toml", "--check")
    refused = run("init", tmp_path / "other", *options, status=2)
    assert "encrypted" in refused.err


def test_a_subordinate_waits_for_its_certificate(tmp_path: Path) -> None:
    request = tmp_path / "ca.csr"
    made = run("init", tmp_path / "ca", "--csr-out", request, "--subject", "CN=Sub", "--json").json
    assert made["request"] == str(request)
    assert made["trust"] is None
    assert x509.load_pem_x509_csr(request.read_bytes()).subject.rfc4514_string() == "CN=Sub"
    waiting = run("serve", "--config", tmp_path / "ca" / "cmpkit.toml", "--check", status=2)
    assert "--ca-cert SIGNED.pem" in waiting.err


def test_a_subordinate_is_told_what_to_do_next(tmp_path: Path) -> None:
    outcome = run("init", tmp_path / "ca", "--csr-out", tmp_path / "ca.csr")
    assert "Have it signed" in outcome.out
    assert "cmpkit serve --config" not in outcome.out
