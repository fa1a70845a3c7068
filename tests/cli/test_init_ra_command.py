"""``cmpkit init-ra`` makes what ``cmpkit serve`` needs to be a registration authority."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from operating import run

from cmpkit.config import load_configuration
from cmpkit.crypto.x509 import load_certificates
from cmpkit.plugins import load_plugins
from cmpkit.relay.routes import Route

UPSTREAM = "http://127.0.0.1:1/.well-known/cmp"


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CA, the signer of which stands for a registration authority."""
    directory = tmp_path_factory.mktemp("made") / "ca"
    run("init", directory)
    return directory


def options(ca: Path, **changes: object) -> list[object]:
    given = {
        "upstream": UPSTREAM,
        "trusted": ca / "trust.pem",
        "cert": ca / "signer.pem",
        "key": ca / "keys/signer.key.pem",
        **changes,
    }
    return [part for name, value in given.items() for part in (f"--{name}", value)]


def test_it_makes_what_serve_needs(ca: Path, tmp_path: Path) -> None:
    outcome = run("init-ra", tmp_path / "ra", *options(ca, listen="tcp://127.0.0.1:0"))
    config = tmp_path / "ra" / "cmpkit.toml"
    assert f"cmpkit serve --config {config}" in outcome.out
    run("serve", "--config", config, "--check")
    configuration = load_configuration(config, load_plugins())
    (upstream,) = configuration.upstreams
    assert (upstream.url, upstream.forward) == (UPSTREAM, "reprotect")
    assert configuration.routes == (Route("ca"),)
    assert configuration.issuer is None
    assert [one.url for one in configuration.listen] == ["tcp://127.0.0.1:0"]
    assert (tmp_path / "ra/keys/ra.key.pem").stat().st_mode & 0o777 == 0o600
    run("secret", "add", "dev-1", "--config", config)


def test_certificates_above_its_own_may_be_in_another_file(ca: Path, tmp_path: Path) -> None:
    above = (ca / "issuing.pem").read_bytes()
    (tmp_path / "own.pem").write_bytes((ca / "signer.pem").read_bytes().replace(above, b""))
    (tmp_path / "above.pem").write_bytes(above)
    said = run("init-ra", tmp_path / "ra", *options(ca, cert=tmp_path / "own.pem"), status=2).err
    assert "requesters could not verify the certificate" in said
    assert "--chainout" in said
    assert not (tmp_path / "ra").exists()
    run("init-ra", tmp_path / "ra", *options(ca, cert=tmp_path / "own.pem", chain=tmp_path / "above.pem"))
    assert len(load_certificates((tmp_path / "ra/ra.pem").read_bytes())) == 3


def test_who_is_no_registration_authority_by_its_certificate_is_told(ca: Path, tmp_path: Path) -> None:
    made = json.loads(run("init-ra", tmp_path / "ra", *options(ca, forward="nest"), "--json").out)
    assert ["cmcRA" in note for note in made["notes"]] == [True]


@pytest.mark.parametrize(
    ("changes", "mistake"),
    [
        ({"upstream": "gopher://ca"}, "no client transport for gopher"),
        ({"listen": "gopher://ca"}, "no server transport for gopher"),
        ({"key": "keys/store.key"}, "keys/store.key"),
        ({"key": "keys/issuing.key.pem"}, "the certificate is not for the private key"),
    ],
)
def test_what_cannot_be_used_is_named_and_nothing_is_made(
    ca: Path, tmp_path: Path, changes: dict[str, str], mistake: str
) -> None:
    given = {name: ca / value if name == "key" else value for name, value in changes.items()}
    assert mistake in run("init-ra", tmp_path / "ra", *options(ca, **given), status=2).err
    assert not (tmp_path / "ra").exists()


def test_nothing_is_overwritten(ca: Path, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    assert "nothing is overwritten" in run("init-ra", tmp_path, *options(ca), status=2).err
