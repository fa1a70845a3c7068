"""OpenSSL asks how certificates stand: by OCSP, and by CRLs with and without deltas."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from served import Served, cmpkit, make_server_directory, start

from .conftest import PEERS, OpenSSL

KEY_TYPES = ("p256", "rsa2048", "ed25519", "mldsa65")
PAIRS = [
    pytest.param(peer, key_type, id=f"openssl-{peer.version}-{key_type}")
    for peer in PEERS
    for key_type in KEY_TYPES
    if key_type != "mldsa65" or [int(part) for part in peer.version.split(".")[:2]] >= [3, 5]
]
DELTAS = """\
delta_crl_validity = "1d"
delta_crl_urls = ["http://pki.example/crl/ca-delta.crl"]
"""
"""OpenSSL looks for a delta only if the certificate or the complete CRL says that there is one."""


@dataclass
class Publisher:
    """A server with two certificates, of which one is revoked after the first complete CRL was fetched."""

    server: Served
    folder: Path

    @property
    def base(self) -> str:
        return self.server.url.removesuffix("/.well-known/cmp")

    @property
    def issuing(self) -> Path:
        return self.server.directory / "issuing.pem"

    def certificate(self, name: str) -> Path:
        return self.folder / f"{name}.pem"

    def crl(self, openssl: OpenSSL, name: str) -> Path:
        """A CRL as it is published now, in PEM."""
        der, pem = self.folder / f"{openssl.version}-{name}.der", self.folder / f"{openssl.version}-{name}.pem"
        der.write_bytes(httpx.get(f"{self.base}/crl/{name}.crl").raise_for_status().content)
        openssl.run("crl", "-inform", "DER", "-in", der, "-out", pem)
        return pem


class Publishers:
    """One for each type of key, made when it is wanted."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder, self._stack = folder, stack
        self.of = cache(self._make)

    def _make(self, key_type: str) -> Publisher:
        folder = self._folder / key_type
        folder.mkdir()
        directory = make_server_directory(folder / "ca", key_type=key_type)
        config = directory / "cmpkit.toml"
        config.write_text(config.read_text().replace("[signer]\n", f"{DELTAS}\n[signer]\n"))
        server = start(directory)
        self._stack.callback(server.end)
        publisher = Publisher(server, folder)
        for name in ("good", "revoked"):
            secret = folder / f"{name}.secret"
            secret.write_text(server.add_secret(name))
            cmpkit(
                *("enroll", server.url, "--ref", name, "--secret", f"file:{secret}", "--subject", f"CN={name}"),
                *("--newkey", folder / f"{name}.key", "--trusted", server.trust),
                *("--certout", publisher.certificate(name)),
            )
        (folder / "before.der").write_bytes(httpx.get(f"{publisher.base}/crl/ca.crl").raise_for_status().content)
        serial = PEERS[-1].run("x509", "-in", publisher.certificate("revoked"), "-noout", "-serial").stdout
        which = serial.strip().removeprefix("serial=")
        cmpkit("cert", "revoke", which, "--revreason", "keyCompromise", "--config", config)
        return publisher


@pytest.fixture(scope="module")
def publishers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Publishers]:
    with ExitStack() as stack:
        yield Publishers(tmp_path_factory.mktemp("publishers"), stack)


def ask(openssl: OpenSSL, publisher: Publisher, *options: object) -> str:
    """What OpenSSL says of both certificates."""
    done = openssl.run(
        *("ocsp", *options, "-issuer", publisher.issuing, "-CAfile", publisher.server.trust),
        *("-cert", publisher.certificate("good"), "-cert", publisher.certificate("revoked")),
    )
    assert "Response verify OK" in done.stderr
    return done.stdout


def require_both(said: str, publisher: Publisher) -> None:
    assert f"{publisher.certificate('good')}: good" in said
    assert f"{publisher.certificate('revoked')}: revoked" in said
    assert "Reason: keyCompromise" in said


@pytest.mark.parametrize(("openssl", "key_type"), PAIRS)
def test_openssl_asks_by_post_with_and_without_a_nonce(openssl: OpenSSL, key_type: str, publishers: Publishers) -> None:
    publisher = publishers.of(key_type)
    url = ("-url", f"{publisher.base}/ocsp")
    require_both(ask(openssl, publisher, *url, "-nonce"), publisher)
    require_both(ask(openssl, publisher, *url, "-no_nonce"), publisher)
    signer = publisher.server.directory / "ocsp.pem"
    require_both(ask(openssl, publisher, *url, "-VAfile", signer, "-sha256"), publisher)


@pytest.mark.parametrize(("openssl", "key_type"), PAIRS)
def test_openssl_believes_an_answer_that_came_by_get(
    openssl: OpenSSL, key_type: str, publishers: Publishers, tmp_path: Path
) -> None:
    publisher = publishers.of(key_type)
    request, response = tmp_path / "request.der", tmp_path / "response.der"
    names = ("-issuer", publisher.issuing, "-cert", publisher.certificate("good"))
    openssl.run("ocsp", *names, "-no_nonce", "-reqout", request)
    path = quote(base64.b64encode(request.read_bytes()).decode(), safe="")
    answer = httpx.get(f"{publisher.base}/ocsp/{path}").raise_for_status()
    assert answer.headers["cache-control"].startswith("max-age=")
    again = httpx.get(f"{publisher.base}/ocsp/{path}", headers={"if-none-match": answer.headers["etag"]})
    assert again.status_code == 304
    response.write_bytes(answer.content)
    done = openssl.run("ocsp", *names, "-respin", response, "-CAfile", publisher.server.trust, "-no_nonce")
    assert "Response verify OK" in done.stderr
    assert f"{publisher.certificate('good')}: good" in done.stdout


@pytest.mark.parametrize(("openssl", "key_type"), PAIRS)
def test_openssl_checks_a_path_by_complete_crls(
    openssl: OpenSSL, key_type: str, publishers: Publishers, tmp_path: Path
) -> None:
    publisher = publishers.of(key_type)
    crls = tmp_path / "crls.pem"
    crls.write_bytes(b"".join(publisher.crl(openssl, name).read_bytes() for name in ("ca", "root")))
    require_revocation_found(openssl, publisher, "-CRLfile", crls)


@pytest.mark.parametrize(("openssl", "key_type"), PAIRS)
def test_openssl_completes_an_older_crl_by_the_delta(
    openssl: OpenSSL, key_type: str, publishers: Publishers, tmp_path: Path
) -> None:
    publisher = publishers.of(key_type)
    before, crls = tmp_path / "before.pem", tmp_path / "crls.pem"
    openssl.run("crl", "-inform", "DER", "-in", publisher.folder / "before.der", "-out", before)
    pems = [before, publisher.crl(openssl, "root"), publisher.crl(openssl, "ca-delta")]
    crls.write_bytes(b"".join(pem.read_bytes() for pem in pems))
    without = verify(openssl, publisher, "revoked", "-CRLfile", before, "-crl_check")
    assert without.endswith(": OK\n")
    require_revocation_found(openssl, publisher, "-CRLfile", crls, "-extended_crl", "-use_deltas")


def require_revocation_found(openssl: OpenSSL, publisher: Publisher, *options: object) -> None:
    assert verify(openssl, publisher, "good", "-crl_check_all", *options).endswith(": OK\n")
    assert "certificate revoked" in verify(openssl, publisher, "revoked", "-crl_check_all", *options)


def verify(openssl: OpenSSL, publisher: Publisher, name: str, *options: object) -> str:
    done = openssl.run(
        *("verify", *options, "-CAfile", publisher.server.trust, "-untrusted", publisher.issuing),
        publisher.certificate(name),
        check=False,
    )
    return done.stderr + done.stdout
