"""A cross certificate as OpenSSL sees it: certificates of one CA lead to the root of another one."""

from __future__ import annotations

from pathlib import Path

import pytest
from crossing import Sites, make_two
from served import cmpkit, served

from cmpkit.crypto.x509 import load_certificates, to_pem

from .conftest import OpenSSL


@pytest.fixture(scope="module")
def crossed(tmp_path_factory: pytest.TempPathFactory) -> Sites:
    """Both CAs, after the partner got its certificate; only names below partner.example may be below it."""
    sites = Sites.copied(make_two(tmp_path_factory.mktemp("two")), tmp_path_factory.mktemp("copies"))
    sites.allow(profile='permitted_names = ["dns:partner.example"]\n')
    ours = sites.responder.parent
    with served(ours) as server:
        cmpkit(
            *("ca", "cross-certify", server.url, "--config", sites.partner, "--name", "ours"),
            *("--issuer-cert", ours / "issuing.pem", "--trusted", ours / "trust.pem"),
        )
    return sites


@pytest.mark.rule("R-193")
def test_openssl_builds_the_path_through_the_cross_certificate(
    openssl: OpenSSL, crossed: Sites, tmp_path: Path
) -> None:
    ours, partner = crossed.responder.parent, crossed.partner.parent
    between = [load_certificates((ours / "issuing.pem").read_bytes())[0]]
    leaf, root = partner / "signer.pem", ours / "trust.pem"
    crossing = load_certificates((partner / "cross" / "ours.pem").read_bytes())
    for certificates, fits in ((between, False), ((*between, *crossing), True)):
        untrusted = tmp_path / "untrusted.pem"
        untrusted.write_bytes(to_pem(*certificates))
        found = openssl.run("verify", "-x509_strict", "-CAfile", root, "-untrusted", untrusted, leaf, check=False)
        assert (found.returncode == 0) is fits, found.stderr
