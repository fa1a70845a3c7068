"""A mail server in this process: it takes mail by SMTP and puts it into a Maildir for each address.

``python -m mail_servers PORT DIRECTORY ADDRESS...`` is one for pages of the documentation.
"""

from __future__ import annotations

import mailbox
import socketserver
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest import mock


@dataclass
class PostOffice:
    """Where mail is taken and delivered.

    :param directory: with a Maildir for each address that there is.
    :ivar refusals: what the server says to commands that begin like that, instead of what it would say.
    :ivar commands: that were refused.
    :ivar taken: the octets of all mails, as they came.
    """

    directory: Path
    port: int = 0
    refusals: dict[str, str] = field(default_factory=dict)
    commands: list[str] = field(default_factory=list)
    taken: list[bytes] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def smtp(self) -> str:
        return f"smtp-plain://127.0.0.1:{self.port}"

    def maildir(self, address: str) -> Path:
        path = self.directory / address
        mailbox.Maildir(path, create=True)
        return path

    def deliver(self, address: str, mail: bytes) -> None:
        """Put a mail into a Maildir, as delivery agents do."""
        with self.lock:
            mailbox.Maildir(self.directory / address, create=False).add(mail)

    def own(self, address: str) -> dict[str, Any]:
        """The options of who reads the Maildir of an address."""
        return {"smtp": self.smtp, "mailbox": f"maildir:{self.maildir(address)}"}

    def folder(self, address: str, name: str) -> list[bytes]:
        """The mails in a folder of a Maildir; without a name those that lie before it."""
        base = self.directory / address
        root = base / f".{name}" if name else base
        return [path.read_bytes() for part in ("new", "cur") for path in sorted((root / part).glob("*"))]


class _Session(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        office: PostOffice = self.server.office  # type: ignore[attr-defined]
        recipients: list[str] = []
        self._say("220 ready")
        while line := self.rfile.readline():
            text = line.decode().strip()
            command = text.upper()
            refusal = next((said for start, said in office.refusals.items() if command.startswith(start)), None)
            if refusal is not None:
                office.commands.append(text)
                self._say(refusal)
            elif command.startswith("EHLO"):
                self._say("250-here\r\n250-AUTH PLAIN\r\n250 8BITMIME")
            elif command.startswith("RCPT"):
                recipients.append(text.partition("<")[2].rstrip(">"))
                there = (office.directory / recipients[-1]).is_dir()
                self._say("250 ok" if there else "550 nobody of that name")
            elif command == "DATA":
                self._take(office, recipients)
                recipients = []
            elif command == "QUIT":
                self._say("221 bye")
                return
            else:
                self._say("235 welcome" if command.startswith("AUTH") else "250 ok")

    def _take(self, office: PostOffice, recipients: list[str]) -> None:
        self._say("354 go on")
        lines: list[bytes] = []
        while (line := self.rfile.readline()) != b".\r\n":
            lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
        refusal = office.refusals.get("after DATA")
        if refusal is not None:
            office.commands.append("after DATA")
            self._say(refusal)
            return
        mail = b"".join(lines)
        office.taken.append(mail)
        for recipient in recipients:
            office.deliver(recipient, mail)
        self._say("250 taken")

    def _say(self, text: str) -> None:
        self.wfile.write(text.encode() + b"\r\n")


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 100


@contextmanager
def post_office(directory: Path, port: int = 0) -> Iterator[PostOffice]:
    """A mail server until the block ends."""
    directory.mkdir(exist_ok=True)
    office = PostOffice(directory)
    with _Server(("127.0.0.1", port), _Session) as server:
        server.office = office  # type: ignore[attr-defined]
        office.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            with mock.patch("cmpkit_mail.options._MAILDIR_INTERVAL", timedelta(seconds=0.02)):
                yield office
        finally:
            server.shutdown()
            thread.join()


if __name__ == "__main__":
    with post_office(Path(sys.argv[2]), int(sys.argv[1])) as running:
        for one in sys.argv[3:]:
            running.maildir(one)
        print("taking mail", flush=True)
        threading.Event().wait()
