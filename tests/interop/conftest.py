"""Programs that nobody here wrote: OpenSSL's command line in each version that is found, and its corpus."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from real_mail import RealMail, real_mail

_MINUTE = 60.0


@dataclass(frozen=True)
class OpenSSL:
    """One release of OpenSSL's command line."""

    program: str
    version: str

    def run(self, *arguments: object, check: bool = True, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command; its output is in the message if it fails."""
        done = subprocess.run(
            [self.program, *map(str, arguments)],
            check=False,
            capture_output=True,
            text=True,
            timeout=_MINUTE,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **environment},
        )
        if check and done.returncode:
            pytest.fail(f"OpenSSL {self.version} {' '.join(map(str, arguments))}:\n{done.stdout}{done.stderr}")
        return done


def _peers() -> list[OpenSSL]:
    """Every OpenSSL on PATH and in CMPKIT_OPENSSL_PEERS (programs or their folders), one per version."""
    found: dict[str, OpenSSL] = {}
    named = re.split(rf"[{os.pathsep}\s]+", os.environ.get("CMPKIT_OPENSSL_PEERS", ""))
    for name in (shutil.which("openssl"), *named):
        if not name:
            continue
        program = os.path.join(name, "openssl") if os.path.isdir(name) else name
        shown = subprocess.run([program, "version"], capture_output=True, text=True, check=True).stdout
        version = shown.split()[1]
        found.setdefault(version, OpenSSL(program, version))
    return sorted(found.values(), key=lambda peer: [int(number) for number in re.findall(r"\d+", peer.version)])


PEERS = _peers()


@pytest.fixture(scope="session", params=PEERS, ids=lambda peer: f"openssl-{peer.version}")
def openssl(request: pytest.FixtureRequest) -> OpenSSL:
    """Each OpenSSL that is found; the system's and newer ones behave differently."""
    peer: OpenSSL = request.param
    return peer


@pytest.fixture(scope="session")
def any_openssl() -> OpenSSL:
    """The newest OpenSSL that is found, to make keys and certificates, and to verify them."""
    if not PEERS:
        pytest.fail("install openssl, or name one in CMPKIT_OPENSSL_PEERS")
    return PEERS[-1]


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, bytes]]:
    """Names and octets of the files in the folder that CMPKIT_CORPUS names; archives in it are unpacked."""
    folder = os.environ.get("CMPKIT_CORPUS")
    if not folder:
        pytest.fail("set CMPKIT_CORPUS to the folder with OpenSSL's CMP fuzzing corpus, or its archive")
    archives = sorted(Path(folder).glob("*.tar.xz"))
    unpacked = tmp_path_factory.mktemp("corpus") if archives else Path(folder)
    for archive in archives:
        with tarfile.open(archive) as opened:
            opened.extractall(unpacked, filter="data")
    files = [path for path in sorted(unpacked.rglob("*")) if path.is_file()]
    if not files:
        pytest.fail(f"CMPKIT_CORPUS={folder} has no files")
    return [(path.name, path.read_bytes()) for path in files]


@pytest.fixture(scope="session")
def mail() -> Iterator[RealMail]:
    """Postfix, which delivers to Dovecot."""
    with real_mail() as running:
        yield running
