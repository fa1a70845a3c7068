"""Servers that speak TLS, and the certificates that they need."""

from __future__ import annotations

import datetime
import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)


@dataclass
class Pair:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def issue(
    name: str,
    issuer: Pair | None,
    *,
    dns: str | None = None,
    start: datetime.datetime = NOW - DAY,
    end: datetime.datetime = NOW + DAY,
) -> Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    names: x509.GeneralName = x509.IPAddress(ipaddress.ip_address("127.0.0.1")) if dns is None else x509.DNSName(dns)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(issuer is None, None), critical=True)
        .add_extension(x509.SubjectAlternativeName([names]), critical=False)
    )
    return Pair(builder.sign(key if issuer is None else issuer.key, hashes.SHA256()), key)


def pem(pair: Pair, *, password: bytes | None = None) -> tuple[bytes, bytes]:
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    key = pair.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    return pair.certificate.public_bytes(serialization.Encoding.PEM), key


@dataclass
class Files:
    """Certificates and keys as the options want them."""

    directory: Path

    def __post_init__(self) -> None:
        root = issue("Root", None)
        self.root = self.write("root.pem", pem(root)[0])
        self.other_root = self.write("other.pem", pem(issue("Other root", None))[0])
        self.client_cert = self.write("client.crt", pem(client := issue("Client", root))[0])
        self.client_key = self.write("client.key", pem(client)[1])
        self.client_both = self.write("client.pem", b"".join(pem(client)))
        self.locked_key = self.write("locked.key", pem(client, password=b"secret")[1])
        self.servers = {
            "good": issue("127.0.0.1", root),
            "named": issue("ra.example", root, dns="ra.example"),
            "expired": issue("127.0.0.1", root, start=NOW - 2 * DAY, end=NOW - DAY),
            "future": issue("127.0.0.1", root, start=NOW + DAY, end=NOW + 2 * DAY),
        }

    def write(self, name: str, octets: bytes) -> str:
        path = self.directory / name
        path.write_bytes(octets)
        return str(path)

    def server_context(self, which: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.write(f"{which}.pem", b"".join(pem(self.servers[which]))))
        return context


class AnswerWithCMP(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        certificate = self.connection.getpeercert()  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Type", "application/pkixcmp")
        self.end_headers()
        self.wfile.write(b"known client" if certificate else b"unknown client")

    def log_message(self, *arguments: object) -> None:
        pass


class TLSServer(ThreadingHTTPServer):
    daemon_threads = True
    context: ssl.SSLContext

    def finish_request(self, request: socket.socket, client_address: object) -> None:  # type: ignore[override]
        with request.dup() as raw:
            try:
                with self.context.wrap_socket(request, server_side=True) as wrapped:
                    super().finish_request(wrapped, client_address)  # type: ignore[arg-type]
            except OSError:
                # Closed with octets unread the connection would be reset, and the reset may overtake the alert.
                raw.shutdown(socket.SHUT_WR)
                raw.settimeout(10)
                while raw.recv(4096):
                    pass


@contextmanager
def tls_server(
    context: ssl.SSLContext,
    handler: type[BaseHTTPRequestHandler] = AnswerWithCMP,
    *,
    server: type[TLSServer] | None = None,
) -> Iterator[str]:
    """The URL of a server that runs in a thread until the block ends."""
    with (server or TLSServer)(("127.0.0.1", 0), handler) as running:
        running.context = context
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"https://127.0.0.1:{running.server_port}/cmp"
        finally:
            running.shutdown()
            thread.join()
