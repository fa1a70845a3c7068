"""How commands end: the exit status of each kind of error, and what is printed about it."""

from __future__ import annotations

import enum
import json
import shlex
import sys
from pathlib import Path
from typing import Any

from cmpkit.errors import CMPError, DeploymentError, PeerRefusal, StillWaiting, TransportError, TrustError

__all__ = ["ExitStatus", "Interrupted", "UnfinishedError", "exit_status", "plain_error", "report", "resume_command"]


class ExitStatus(enum.IntEnum):
    """The exit statuses of ``cmpkit``."""

    DONE = 0
    USAGE = 2
    TRANSPORT = 3
    TLS = 4
    NOT_TRUSTED = 5
    REFUSED = 6
    WAITING = 7
    TIMED_OUT = 8
    NOT_DEPLOYED = 9
    INTERRUPTED = 130


class Interrupted(CMPError):
    """The user interrupted the command (SIGINT)."""

    def __init__(self) -> None:
        super().__init__("interrupted")


class UnfinishedError(Exception):
    """An operation stopped and its transaction is saved.

    :param error: why.
    :param saved: the file of the transaction.
    """

    def __init__(self, error: CMPError, saved: Path) -> None:
        super().__init__(str(error))
        self.error = error
        self.saved = saved


def exit_status(error: CMPError) -> ExitStatus:
    """The exit status for an error."""
    if isinstance(error, TransportError):
        return ExitStatus.TLS if error.tls else ExitStatus.TRANSPORT
    if isinstance(error, StillWaiting):
        return ExitStatus.WAITING if error.waiting else ExitStatus.TIMED_OUT
    for kind, status in _STATUSES.items():
        if isinstance(error, kind):
            return status
    return ExitStatus.USAGE


_STATUSES: dict[type[CMPError], ExitStatus] = {
    TrustError: ExitStatus.NOT_TRUSTED,
    PeerRefusal: ExitStatus.REFUSED,
    DeploymentError: ExitStatus.NOT_DEPLOYED,
    Interrupted: ExitStatus.INTERRUPTED,
}


def report(
    error: CMPError, *, as_json: bool = False, saved: Path | None = None, about: str | None = None
) -> ExitStatus:
    """Print an error on standard error and, for machines, as a JSON object on standard output.

    :param as_json: whether ``--json`` was given.
    :param saved: the file of the transaction, if it can be resumed.
    :param about: which of several things it is about.
    :returns: the exit status.
    """
    status = exit_status(error)
    for line in _lines(error, saved, "cmpkit" if about is None else f"cmpkit: {about}"):
        print(line, file=sys.stderr)
    if as_json:
        print(json.dumps(plain_error(error, saved), indent=2))
    return status


def _lines(error: CMPError, saved: Path | None, start: str) -> list[str]:
    lines = [f"{start}: {error.detail}"]
    if error.rule:
        lines.append(f"  rule: {error.rule}")
    if error.hint:
        lines.append(f"  hint: {error.hint}")
    if saved is not None and not isinstance(error, StillWaiting):
        lines.append(f"  the transaction is saved in {saved}")
        lines.append(f"  go on with: {resume_command(saved)}; or remove the file to begin anew")
    return lines


def plain_error(error: CMPError, saved: Path | None = None) -> dict[str, Any]:
    """An error as machines read it.

    :param saved: as for :func:`report`.
    """
    status = exit_status(error)
    shown: dict[str, Any] = {
        "status": int(status),
        "kind": status.name.lower().replace("_", " "),
        "error": error.detail,
        "rule": error.rule,
        "hint": error.hint,
    }
    if isinstance(error, PeerRefusal | TrustError):
        shown["fail_info"] = list(error.fail_info.wire_names)
    if isinstance(error, PeerRefusal):
        shown |= {"pki_status": error.status.wire_name, "texts": list(error.texts), "body": error.body}
    if saved is not None:
        shown |= {"saved": str(saved), "resume": resume_command(saved)}
    return shown


def resume_command(saved: Path) -> str:
    """What to type to go on with a saved transaction."""
    return f"cmpkit resume {shlex.quote(str(saved))}"
