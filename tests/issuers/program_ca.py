"""A CA that a program asks: the program is a few lines, for Python takes its time; the CA is a thread of the test."""

from __future__ import annotations

import json
import socketserver
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from cmpkit.parts import PrivateKey

PROGRAM = """
import socket, sys
road = socket.socket(socket.AF_UNIX)
road.connect(sys.argv[1])
road.sendall(sys.stdin.buffer.read() + b"\\0" + "\\n".join(sys.argv[2:]).encode() + b"\\0")
answer = b"".join(iter(lambda: road.recv(65536), b""))
sys.stdout.buffer.write(answer[1:])
sys.exit(answer[0])
"""
_REASONS = {flag.value: flag for flag in x509.ReasonFlags}


@dataclass
class ProgramCA:
    """The CA.

    :param clock: gives the time.
    :param answer: what becomes of a task, if it is not done: exit status and standard output.
    """

    issuing: bytes
    key: PrivateKey
    directory: Path
    clock: Callable[[], datetime]
    answer: Callable[[dict[str, Any]], tuple[int, bytes] | None] = lambda facts: None
    tasks: list[dict[str, Any]] = field(default_factory=list)
    issued: dict[str, bytes] = field(default_factory=dict)
    revoked: dict[int, str] = field(default_factory=dict)

    def __enter__(self) -> ProgramCA:
        (self.directory / "program.py").write_text(PROGRAM)
        self._server = socketserver.ThreadingUnixStreamServer(str(self._socket), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    @property
    def _socket(self) -> Path:
        return self.directory / "socket"

    def command(self, *more: str) -> tuple[str, ...]:
        """Arguments of the program that asks this CA."""
        return (sys.executable, "-I", "-S", str(self.directory / "program.py"), str(self._socket), *more)

    def _handler(self) -> type[socketserver.BaseRequestHandler]:
        ca = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                octets = b""
                while octets.count(b"\0") < 2:
                    octets += self.request.recv(65536)
                document, words, _ = octets.split(b"\0")
                status, output = ca.do({**json.loads(document), "arguments": words.decode().split("\n")})
                self.request.sendall(bytes((status,)) + output)

        return Handler

    def do(self, facts: dict[str, Any]) -> tuple[int, bytes]:
        self.tasks.append(facts)
        given = self.answer(facts)
        if given is not None:
            return given
        return 0, {"issue": self.issue, "revoke": self.revoke, "crl": lambda _: self.crl()}[facts["operation"]](facts)

    def issue(self, facts: dict[str, Any], public_key: Any = None) -> bytes:
        """The same certificate for the same key."""
        if facts["key"] not in self.issued:
            key = public_key or serialization.load_pem_public_key(facts["public_key"].encode())
            builder = x509.CertificateBuilder(
                self._authority.subject,
                x509.Name.from_rfc4514_string(facts["subject"]),
                key,
                x509.random_serial_number(),
                self.clock().replace(microsecond=0),
                datetime.fromisoformat(facts["not_after"]),
            )
            certificate = builder.sign(self._private_key, hashes.SHA256())
            self.issued[facts["key"]] = certificate.public_bytes(serialization.Encoding.PEM)
        return self.issued[facts["key"]]

    def revoke(self, facts: dict[str, Any]) -> bytes:
        serial = int(facts["serial"], 16)
        if facts["reason"] == "removeFromCRL":
            del self.revoked[serial]
        else:
            self.revoked[serial] = facts["reason"]
        return b""

    def crl(self) -> bytes:
        now = self.clock().replace(microsecond=0)
        builder = x509.CertificateRevocationListBuilder(self._authority.subject, now, now + timedelta(days=1))
        for serial, reason in self.revoked.items():
            entry = x509.RevokedCertificateBuilder(serial, now)
            builder = builder.add_revoked_certificate(
                entry.add_extension(x509.CRLReason(_REASONS[reason]), critical=False).build()
            )
        return builder.sign(self._private_key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)

    @property
    def _authority(self) -> x509.Certificate:
        return x509.load_der_x509_certificate(self.issuing)

    @property
    def _private_key(self) -> Any:
        return serialization.load_der_private_key(self.key.to_pkcs8(), None)
