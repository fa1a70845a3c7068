"""A device that has OpenSSL's client, from its first certificate to the revocation."""

from __future__ import annotations

import itertools
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

from served import Served, cmpkit

from .conftest import OpenSSL

PBM = ("-digest", "sha256", "-mac", "hmacWithSHA256")
KEY_TYPES = {
    "p256": ("EC", "-pkeyopt", "ec_paramgen_curve:P-256"),
    "rsa2048": ("RSA", "-pkeyopt", "rsa_keygen_bits:2048"),
    "brainpoolp256r1": ("EC", "-pkeyopt", "ec_paramgen_curve:brainpoolP256r1"),
    "ed25519": ("ED25519",),
    "ed448": ("ED448",),
    "mldsa65": ("ML-DSA-65",),
}
"""What openssl genpkey -algorithm wants for each."""


class Device:
    """One device with OpenSSL's client.

    :param key_types: of its keys, in turns.
    :param way: options about the way to the server.
    :param ca: the CA, if the server is a registration authority before it.
    """

    def __init__(
        self,
        openssl: OpenSSL,
        server: Served,
        folder: Path,
        name: str,
        *key_types: str,
        way: tuple[object, ...] = (),
        ca: Served | None = None,
    ) -> None:
        self.openssl, self.server, self.folder, self.name = openssl, server, folder, name
        self.key_types = itertools.cycle(key_types)
        self.way = way
        self.ca = ca or server

    def make_key(self, name: str) -> Path:
        path = self.folder / f"{name}.key"
        self.openssl.run("genpkey", "-algorithm", *KEY_TYPES[next(self.key_types)], "-out", path)
        return path

    def cmp(self, command: str, *options: object, check: bool = True) -> subprocess.CompletedProcess[str]:
        host = urlsplit(self.server.url).netloc
        where = ("-server", host, "-path", self.server.path, "-trusted", self.server.trust, *self.way)
        return self.openssl.run("cmp", "-config", "", "-cmd", command, *where, *options, check=check)

    def by_secret(self, secret: str) -> tuple[object, ...]:
        return ("-ref", self.name, "-secret", f"pass:{secret}", *PBM)

    def by(self, certificate: str, key: str | None = None) -> tuple[object, ...]:
        """Protection by a certificate; the chain that came with it lies beside."""
        return (
            *("-cert", self.folder / f"{certificate}.pem", "-key", self.folder / f"{key or certificate}.key"),
            *("-untrusted", self.ca.directory / "issuing.pem"),
        )

    def verify(self, certificate: str, *options: object) -> bool:
        """Whether OpenSSL finds a path from the certificate to the trust anchor."""
        done = self.openssl.run(
            *("verify", "-CAfile", self.server.trust, "-untrusted", self.ca.directory / "issuing.pem"),
            *(*options, self.folder / f"{certificate}.pem"),
            check=False,
        )
        return done.returncode == 0

    def subject(self, certificate: str) -> str:
        path = self.folder / f"{certificate}.pem"
        return self.openssl.run("x509", "-in", path, "-noout", "-subject", "-nameopt", "RFC2253").stdout.strip()

    def live(self, *confirm: object) -> None:
        """From ir to rr, with a new key each time, and what OpenSSL thinks of the CRL before and after.

        :param confirm: options of the requests for certificates.
        """
        folder = self.folder
        subject = f"/CN={self.name}"
        secret = self.server.add_secret(self.name)

        self.make_key("first")
        chain = ("-chainout", folder / "chain.pem", "-cacertsout", folder / "capubs.pem")
        self.cmp(
            "ir",
            *self.by_secret(secret),
            *("-newkey", folder / "first.key", "-subject", subject, "-certout", folder / "first.pem"),
            *(*chain, *confirm),
        )
        assert self.verify("first")
        assert self.subject("first") == f"subject=CN={self.name}"

        self.make_key("second")
        self.cmp(
            *("kur", *self.by("first"), "-newkey", folder / "second.key", "-certout", folder / "second.pem", *confirm)
        )
        assert self.verify("second")
        assert self.subject("second") == f"subject=CN={self.name}"

        self.make_key("third")
        self.cmp(
            *("cr", *self.by("second"), "-newkey", folder / "third.key", "-subject", subject),
            *("-certout", folder / "third.pem", *confirm),
        )
        assert self.verify("third")

        self.make_key("fourth")
        self.openssl.run(
            *("req", "-new", "-config", _request_config(folder), "-key", folder / "fourth.key", "-subj", subject),
            *("-out", folder / "fourth.csr"),
        )
        self.cmp("p10cr", *self.by("third"), "-csr", folder / "fourth.csr", "-certout", folder / "fourth.pem", *confirm)
        assert self.verify("fourth")

        got = ("-infotype", "caCerts")
        if not self.openssl.version.startswith("3.0."):
            got += ("-cacertsout", folder / "told.pem")
        self.cmp("genm", *self.by("fourth"), *map(str, got))

        crl = folder / "crl.pem"
        cmpkit("crl", "--config", self.ca.config, "--out", crl)
        assert self.verify("second", "-crl_check", "-CRLfile", crl)
        self.cmp("rr", *self.by("second"), "-oldcert", folder / "second.pem", "-revreason", 1)
        cmpkit("crl", "--config", self.ca.config, "--out", crl)
        assert not self.verify("second", "-crl_check", "-CRLfile", crl)
        assert self.verify("third", "-crl_check", "-CRLfile", crl)
        refused = self.cmp(
            *("kur", *self.by("second"), "-newkey", folder / "first.key", "-certout", folder / "never.pem"), check=False
        )
        assert refused.returncode != 0
        assert "certRevoked" in refused.stdout + refused.stderr
        assert not (folder / "never.pem").exists()


def _request_config(folder: Path) -> Path:
    path = folder / "req.cnf"
    path.write_text("[req]\ndistinguished_name = dn\n[dn]\n")
    return path
