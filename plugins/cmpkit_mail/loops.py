"""Mails that nobody waits for an answer to: what programs send by themselves (RFC 3834)."""

from __future__ import annotations

from email.message import Message

__all__ = ["why_not_answered"]

_BULK = ("bulk", "junk", "list")
_OF_LISTS = ("List-Id", "List-Unsubscribe", "List-Post")
_OF_RESPONDERS = ("X-Autoreply", "X-Autorespond", "X-Autoresponder", "X-Failed-Recipients")
_OF_SYSTEMS = ("mailer-daemon", "postmaster")


def why_not_answered(mail: Message, *, sender: str, reply_to: str, own: str) -> str | None:
    """Why a mail must not be answered, if so: an answer might be answered in its turn, for ever.

    :param sender: of the mail, and where an answer would go.
    :param own: the address at which this endpoint is served.
    """
    if own.lower() in (sender.lower(), reply_to.lower()):
        return "it comes from the address of this endpoint, or its answer would go there"
    return why_automatic(mail) or (
        "it comes from a mail system" if sender.lower().partition("@")[0] in _OF_SYSTEMS else None
    )


def why_automatic(mail: Message) -> str | None:
    """Why a mail is taken for one that a program sent by itself, if so."""
    submitted = _first(mail, "Auto-Submitted").partition(";")[0].strip()
    if submitted not in ("", "no"):
        return f"it was sent automatically ({submitted[:40]!r})"
    if _first(mail, "Return-Path").replace(" ", "") == "<>" or mail.get_content_type() == "multipart/report":
        return "it is a bounce or another report of a mail system"
    if any(_first(mail, "Precedence").startswith(word) for word in _BULK):
        return "it is bulk mail"
    for headers, what in ((_OF_LISTS, "a mailing list"), (_OF_RESPONDERS, "an autoresponder")):
        if any(header in mail for header in headers):
            return f"it comes from {what}"
    return None


def _first(mail: Message, header: str) -> str:
    return str(mail.get(header, "")).strip().lower()
