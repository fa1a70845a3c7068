"""OpenSSL's mock server, with the certificates that it needs."""

from __future__ import annotations

import contextlib
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cmpkit.crypto.keys import load_private_key
from cmpkit.crypto.x509 import load_certificates
from cmpkit.endpoints.credentials import SigningCredentials

if TYPE_CHECKING:
    from cmpkit.parts import PrivateKey
    from cmpkit.plugins import Plugins

    from .conftest import OpenSSL

KEY_TYPES = {
    "p256": ("ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
    "rsa2048": ("rsa:2048",),
    "brainpoolp256r1": ("ec", "-pkeyopt", "ec_paramgen_curve:brainpoolP256r1"),
    "ed25519": ("ed25519",),
    "ed448": ("ed448",),
    "mldsa65": ("ML-DSA-65",),
}
"""What openssl req -newkey wants for each."""

SECRET = "correct horse"


@dataclass(frozen=True)
class MockPKI:
    """A CA, its CMP server, a device that has a certificate, and the certificate that the server gives out."""

    folder: Path

    def certificate(self, name: str) -> bytes:
        return load_certificates((self.folder / f"{name}.pem").read_bytes())[0]

    def key(self, name: str, plugins: Plugins) -> PrivateKey:
        return load_private_key((self.folder / f"{name}.key").read_bytes(), None, plugins)

    def credentials(self, name: str, plugins: Plugins) -> SigningCredentials:
        return SigningCredentials(self.certificate(name), self.key(name, plugins))


def make_pki(openssl: OpenSSL, folder: Path, key_type: str, *options: object, authority: str = "p256") -> MockPKI:
    """Everything made by OpenSSL itself.

    :param key_type: of the device.
    :param options: of the command that makes certificates.
    :param authority: type of the keys of CA and server.
    """
    (folder / "req.cnf").write_text("[req]\ndistinguished_name = dn\n[dn]\n")
    extensions = {
        "ca": "basicConstraints=critical,CA:true",
        "server": "extendedKeyUsage=cmcCA",
        "device": "keyUsage=digitalSignature",
        "given": "keyUsage=digitalSignature",
    }
    for name, extension in extensions.items():
        kind = KEY_TYPES[authority if name in ("ca", "server") else key_type]
        issuer = () if name == "ca" else ("-CA", folder / "ca.pem", "-CAkey", folder / "ca.key")
        openssl.run(
            *("req", "-x509", "-nodes", "-days", "30", "-newkey", *kind, "-config", folder / "req.cnf"),
            *("-subj", f"/O=Mock/CN={name}", "-addext", extension, *issuer, *options),
            *("-keyout", folder / f"{name}.key", "-out", folder / f"{name}.pem"),
        )
    return MockPKI(folder)


@contextlib.contextmanager
def mock_server(openssl: OpenSSL, pki: MockPKI, *options: object, by: str = "secret") -> Iterator[str]:
    """The URL of a server that runs until the block ends.

    :param by: what it protects its answers with: ``secret`` or ``certificate``.
    """
    folder = pki.folder
    protection: tuple[object, ...] = ("-srv_ref", "mock", "-srv_secret", f"pass:{SECRET}")
    if by == "certificate":
        protection = ("-srv_cert", folder / "server.pem", "-srv_key", folder / "server.key")
    command = [
        *(openssl.program, "cmp", "-config", "", "-port", "0", "-verbosity", "7"),
        *(*protection, "-srv_trusted", folder / "ca.pem", "-rsp_cert", folder / "given.pem"),
        *("-rsp_extracerts", folder / "ca.pem", *options),
    ]
    server = subprocess.Popen(
        [str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
    )
    assert server.stdout is not None
    try:
        said = []
        for line in server.stdout:
            said.append(line.decode())
            if line.startswith(b"ACCEPT"):
                break
        else:
            raise AssertionError(f"OpenSSL {openssl.version} did not start:\n{''.join(said)}")
        port = said[-1].split()[1].rpartition(":")[2]
        # A pipe that nobody empties stops the server.
        drain = threading.Thread(target=server.stdout.read, daemon=True)
        drain.start()
        yield f"http://127.0.0.1:{port}/pkix/"
    finally:
        server.kill()
        server.wait()
        server.stdout.close()
