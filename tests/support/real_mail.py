"""Dovecot and Postfix, started on free ports of this machine with everything in a temporary folder. Root is needed."""

from __future__ import annotations

import contextlib
import getpass
import grp
import itertools
import os
import pwd
import shutil
import smtplib
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from tls_servers import Files

PASSWORD = "the-password-of-every-mailbox"
DOVECOT_USER, POSTFIX_USER = "dovecot", "postfix"
_DOVECOT = """
base_dir = {root}/run
state_dir = {root}/state
log_path = {root}/dovecot.log
protocols = imap lmtp
listen = 127.0.0.1
ssl = yes
ssl_cert = <{root}/server.pem
ssl_key = <{root}/server.pem
disable_plaintext_auth = no
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
mail_location = maildir:{root}/mail/%u
mail_home = {root}/home/%u
first_valid_uid = 0
first_valid_gid = 0
auth_mechanisms = plain login
imap_capability = {capability}
mail_max_userip_connections = 500
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={user} gid={group} home={root}/home/%u allow_all_users=yes
}}
auth_failure_delay = 0
service anvil {{
  chroot =
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service stats {{
  chroot =
}}
service auth {{
  inet_listener {{
    address = 127.0.0.1
    port = {sasl}
  }}
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    address = 127.0.0.1
    port = {imap}
  }}
  inet_listener imaps {{
    address = 127.0.0.1
    port = {imaps}
    ssl = yes
  }}
}}
service lmtp {{
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {lmtp}
  }}
}}
"""
_MAIN_CF = """
compatibility_level = 3.6
queue_directory = {root}/queue
data_directory = {root}/data
daemon_directory = /usr/lib/postfix/sbin
command_directory = /usr/sbin
mail_owner = {postfix}
setgid_group = postdrop
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mail.test.example
mydestination =
relay_domains = static:all
relay_transport = lmtp:inet:127.0.0.1:{lmtp}
default_transport = lmtp:inet:127.0.0.1:{lmtp}
smtpd_peername_lookup = no
mynetworks = 127.0.0.0/8
maillog_file = {root}/postfix.log
maillog_file_prefixes = {root}
alias_maps =
multi_instance_name = postfix-test
message_size_limit = 1000000
smtpd_tls_cert_file = {root}/server.pem
smtpd_tls_key_file = {root}/server.pem
smtpd_tls_security_level = may
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = inet:127.0.0.1:{sasl}
smtpd_client_connection_count_limit = 0
local_header_rewrite_clients =
enable_long_queue_ids = yes
smtpd_recipient_restrictions = check_recipient_access inline:{{ nobody@nowhere.example=REJECT }}, permit_mynetworks
"""
_MASTER_CF = """
127.0.0.1:{smtp} inet n - n - - smtpd
127.0.0.1:{smtps} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


@dataclass
class RealMail:
    """Both servers.

    :param root: everything of theirs is there.
    :param ports: of each service.
    """

    root: Path
    ports: dict[str, int]
    files: Files
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def address(self, name: str) -> str:
        """An address that nobody else has; each has a mailbox."""
        return f"{name}{next(self._numbers)}@test.example"

    def own(self, address: str, way: str = "plain") -> dict[str, Any]:
        """The options of who reads the mailbox of an address.

        :param way: ``plain``, ``starttls`` or ``tls``.
        """
        os.environ["CMPKIT_TEST_MAIL_PASSWORD"] = PASSWORD
        source = "env:CMPKIT_TEST_MAIL_PASSWORD"
        imap, smtp = {
            "plain": (f"imap-plain://127.0.0.1:{self.ports['imap']}", f"smtp-plain://127.0.0.1:{self.ports['smtp']}"),
            "starttls": (f"imap://127.0.0.1:{self.ports['imap']}", f"smtp://127.0.0.1:{self.ports['smtp']}"),
            "tls": (f"imaps://127.0.0.1:{self.ports['imaps']}", f"smtps://127.0.0.1:{self.ports['smtps']}"),
        }[way]
        return {"mailbox": imap, "mailbox_password": source, "smtp": smtp, "smtp_password": source}

    def send(self, recipient: str, *mails: bytes, sender: str = "somebody@elsewhere.example") -> None:
        """Hand mails to Postfix."""
        with smtplib.SMTP("127.0.0.1", self.ports["smtp"], "elsewhere.example", timeout=20) as smtp:
            for mail in mails:
                smtp.sendmail(sender, [recipient], mail)

    def mails(self, address: str, folder: str = "") -> list[bytes]:
        """The mails in a folder of a mailbox."""
        place = self.root / "mail" / address / (f".{folder}" if folder else "")
        return [path.read_bytes() for part in ("new", "cur") for path in (place / part).glob("*")]


def _free_ports(*names: str) -> dict[str, int]:
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in names]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return {name: one.getsockname()[1] for name, one in zip(names, sockets, strict=True)}


def _wait_for(port: int, log: Path) -> None:
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 5) as probe:
            if probe.recv(1):
                return
        time.sleep(0.02)
    pytest.fail(f"nobody came to port {port}: {log.read_text() if log.exists() else 'no log'}")


@contextmanager
def _dovecot(root: Path, ports: dict[str, int], capability: str) -> Iterator[None]:
    config = root / "dovecot.conf"
    group = grp.getgrgid(pwd.getpwnam(DOVECOT_USER).pw_gid).gr_name
    config.write_text(
        _DOVECOT.format(root=root, user=DOVECOT_USER, group=group, password=PASSWORD, capability=capability, **ports)
    )
    for folder in ("mail", "home", "state"):
        (root / folder).mkdir()
        shutil.chown(root / folder, DOVECOT_USER, group)
    process = subprocess.Popen(
        ["dovecot", "-F", "-c", config],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(ports["imap"], root / "dovecot.log")
        yield
    finally:
        process.terminate()
        process.wait(10)


@contextmanager
def _postfix(root: Path, ports: dict[str, int]) -> Iterator[None]:
    config = root / "postfix"
    for folder in (config, root / "queue", root / "data"):
        folder.mkdir()
    shutil.chown(root / "data", POSTFIX_USER)
    for name, text in (("main.cf", _MAIN_CF), ("master.cf", _MASTER_CF)):
        (config / name).write_text(text.format(root=root, postfix=POSTFIX_USER, **ports))
        # Postfix waits, a third of a second at a time, while these look just written.
        os.utime(config / name, (time.time() - 3600,) * 2)
    command = ["postfix", "-c", str(config)]
    quiet: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
    started = subprocess.run([*command, "start"], check=False, timeout=30, **quiet)
    try:
        assert started.returncode == 0, (root / "postfix.log").read_text()
        _wait_for(ports["smtp"], root / "postfix.log")
        yield
    finally:
        subprocess.run([*command, "stop"], check=False, timeout=30, **quiet)


@contextmanager
def real_mail(capability: str = "") -> Iterator[RealMail]:
    """Both servers until the block ends.

    :param capability: what Dovecot says that it can do, instead of what it can.
    """
    missing = [name for name in ("dovecot", "postfix") if shutil.which(name) is None]
    if missing or os.geteuid() != 0:
        pytest.fail(
            f"as root, with dovecot-imapd, dovecot-lmtpd and postfix; not {getpass.getuser()}, without {missing}"
        )
    # Not the folder of a test, into which other users cannot look.
    root = Path(tempfile.mkdtemp(prefix="cmpkit-mail-"))
    try:
        root.chmod(0o755)
        files = Files(root)
        files.server_context("good")
        os.replace(root / "good.pem", root / "server.pem")
        ports = _free_ports("imap", "imaps", "lmtp", "sasl", "smtp", "smtps")
        # Dovecot lets half a second pass before it tells of a new mail.
        often = mock.patch("cmpkit_mail.options._IMAP_INTERVAL", timedelta(seconds=0.1))
        with often, _dovecot(root, ports, capability), _postfix(root, ports):
            yield RealMail(root, ports, files)
    finally:
        shutil.rmtree(root)
