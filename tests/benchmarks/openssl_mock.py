"""OpenSSL's mock server, ``openssl cmp -port``: it issues and stores nothing, but verifies and answers."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["OpenSSL", "find_openssl"]


@dataclass(frozen=True, slots=True)
class OpenSSL:
    """An OpenSSL command.

    :param version: as it names itself, e.g. ``3.5.7``.
    """

    program: str
    version: str

    @contextlib.contextmanager
    def serving(self, directory: Path) -> Iterator[tuple[str, int]]:
        """URL and process ID of the mock server; it has the signer of ``directory`` and trusts the maker there.

        It answers every request with one certificate, that of the signer.
        """
        signer, key = directory / "signer.pem", directory / "keys" / "signer.key.pem"
        command = [
            *(self.program, "cmp", "-config", "", "-port", "0"),
            *("-srv_cert", signer, "-srv_key", key, "-srv_trusted", directory / "maker.pem", "-rsp_cert", signer),
        ]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as server:
            try:
                assert server.stdout is not None
                lines = []
                for line in server.stdout:
                    lines.append(line)
                    if line.startswith("ACCEPT"):
                        break
                else:
                    raise RuntimeError(f"openssl {self.version} did not start: {''.join(lines)}")
                # A pipe that nobody empties stops the server.
                threading.Thread(target=server.stdout.read, daemon=True).start()
                port = lines[-1].split()[1].rpartition(":")[2]
                yield f"http://127.0.0.1:{port}/pkix/", server.pid
            finally:
                server.kill()


def find_openssl() -> list[OpenSSL]:
    """The commands that CMPKIT_OPENSSL_PEERS names (paths separated by ``:``), and the one on PATH."""
    named = os.environ.get("CMPKIT_OPENSSL_PEERS", "").split(os.pathsep)
    programs = dict.fromkeys(filter(None, (*named, shutil.which("openssl"))))
    return [OpenSSL(program, _version(program)) for program in programs]


def _version(program: str) -> str:
    said = subprocess.run([program, "version"], check=True, capture_output=True, text=True).stdout
    return said.split()[1]
