"""Mails that lie in the mailbox of a CA and are no requests: most innocent, some made to do harm."""

from __future__ import annotations

import base64
import itertools

__all__ = ["hostile_mails", "kinds_of_mail"]

_BODY = base64.encodebytes(b"no CMP, but nobody looks at that here").decode()
_BASE64 = "Content-Type: application/pkixcmp\nContent-Transfer-Encoding: base64"
_CMP = f"{_BASE64}\n\n{_BODY}"
_FROM = "From: someone@elsewhere.example\nTo: ca@test.example\nSubject: hello\n"


def kinds_of_mail(ca: str) -> dict[str, str]:
    """One of each kind, by what is wrong with it.

    :param ca: the address of the mailbox.
    """
    nested = "".join(f"Content-Type: multipart/mixed; boundary=b{n}\n\n--b{n}\n" for n in range(3000))
    two = f"--x\n{_CMP}\n--x\n{_CMP}\n--x--\n"
    return {
        "text": f"{_FROM}\nLunch?",
        "html": f"{_FROM}Content-Type: text/html\n\n<a href=x>win</a>",
        "nothing": "\n",
        "binary": "From: x@y.example\n\n\x01\x02 \x7f",
        "bounce": f"{_FROM}Content-Type: multipart/report; report-type=delivery-status; boundary=x\n\n--x\n"
        f"Content-Type: text/plain\n\nnobody\n--x\nContent-Type: message/rfc822\n\n{_FROM}{_CMP}\n--x--\n",
        "a mail in a mail": f"{_FROM}Content-Type: message/rfc822\n\n{_FROM}{_CMP}",
        "vacation": f"{_FROM}Auto-Submitted: auto-replied\n{_CMP}",
        "vacation without a standard": f"{_FROM}X-Autoreply: yes\n{_CMP}",
        "list": f"{_FROM}List-Id: <everybody.example>\n{_CMP}",
        "bulk": f"{_FROM}Precedence: bulk\n{_CMP}",
        "ourselves": f"From: <{ca.upper()}>\n{_CMP}",
        "answer to ourselves": f"{_FROM}Reply-To: {ca}\n{_CMP}",
        "mail system": f"From: MAILER-DAEMON@elsewhere.example\n{_CMP}",
        "no sender": f"Subject: x\n{_CMP}",
        "many senders": f"From: a@x.example, b@x.example\n{_CMP}",
        "many to answer to": f"{_FROM}Reply-To: a@x.example, b@x.example\n{_CMP}",
        "a sender with more in it": f'From: "a\\" <x"@x.example>\n{_CMP}',
        "a sender that is a command": f"From: <a@x.example> SIZE=1 BODY=8BITMIME <b>\n{_CMP}",
        "two messages": f"{_FROM}Content-Type: multipart/mixed; boundary=x\n\n{two}",
        "no base64": f"{_FROM}{_BASE64}\n\n!!!! not base64 !!!!",
        "half base64": f"{_FROM}{_BASE64}\n\nMIIB\nA",
        "unknown encoding": f"{_FROM}Content-Type: application/pkixcmp\nContent-Transfer-Encoding: uuencode\n\nbegin 6",
        "parts in parts": f"{_FROM}{nested}",
        "a boundary that never ends": f"{_FROM}Content-Type: multipart/mixed; boundary=x\n\n--x\n{'a' * 500}",
        "no boundary": f"{_FROM}Content-Type: multipart/mixed\n\n{_CMP}",
        "parts that are one": f"{_FROM}{_BASE64}\n\n--x\n{_CMP}\n--x--\n",
        "many headers": f"{_FROM}" + "".join(f"X-{n}: {n}\n" for n in range(2000)) + "\nx",
        "a long header": f"{_FROM}X: {'x' * 900}\n" + f"Subject: {'=?utf-8?q?=C3=A9?= ' * 40}\n\nx",
        "too large": f"{_FROM}{_BASE64}\n\n" + base64.encodebytes(bytes(100_000)).decode(),
        "encoded words": f"From: =?utf-8?b?/////?= <x@=?x?=>\nTo: {ca}\n{_CMP}",
    }


def hostile_mails(count: int, ca: str) -> list[bytes]:
    """So many of them, each kind again and again."""
    kinds = itertools.cycle(kinds_of_mail(ca).values())
    return [mail.replace("\n", "\r\n").encode() for mail, _ in zip(kinds, range(count), strict=False)]
