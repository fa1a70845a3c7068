"""What is remembered about a certificate from run to run, as versioned JSON that is replaced as a whole."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from cmpkit.crypto.keys import write_file_atomically
from cmpkit.errors import ConfigurationError

__all__ = ["FORMAT", "RenewalState", "Trouble", "load_state", "save_state"]

FORMAT = 1
"""The version that is written; others are refused."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """What failed, and when it is tried again.

    :param attempts: how many failed in a row, from 1.
    :param next_attempt: not before then.
    :param error: what the last one met.
    """

    attempts: int
    next_attempt: datetime
    error: str


@dataclass(frozen=True, slots=True)
class RenewalState:
    """How far a certificate has come; the certificate itself is in its files.

    :param renewal: of getting a certificate; ``None`` if the last attempt succeeded.
    :param deployment: of the deploy hook, likewise.
    :param deployed: the version that the deploy hook succeeded for last.
    """

    renewal: Trouble | None = None
    deployment: Trouble | None = None
    deployed: str = ""


def save_state(path: Path, state: RenewalState) -> None:
    """Write the state; it is on the disk when this returns.

    :raises ConfigurationError: if it cannot be written.
    """
    plain = {
        "format": FORMAT,
        "renewal": _plain(state.renewal),
        "deployment": _plain(state.deployment),
        "deployed": state.deployed,
    }
    write_file_atomically(path, json.dumps(plain, indent=1).encode(), mode=0o600)


def load_state(path: Path) -> RenewalState:
    """The state that :func:`save_state` wrote; where there is none, that of a certificate that nothing happened to.

    :raises ConfigurationError: if it is damaged or of another format.
    """
    try:
        plain = json.loads(path.read_text())
        if plain["format"] != FORMAT:
            raise ConfigurationError(f"{path} has format {plain['format']!r:.20}, {FORMAT} is read")
        return RenewalState(_trouble(plain["renewal"]), _trouble(plain["deployment"]), str(plain["deployed"]))
    except FileNotFoundError:
        return RenewalState()
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ConfigurationError(
            f"{path} is damaged ({type(error).__name__})", hint="remove it: only waiting times are lost"
        ) from error


def _plain(trouble: Trouble | None) -> dict[str, Any] | None:
    if trouble is None:
        return None
    return {
        "attempts": trouble.attempts,
        "next_attempt": trouble.next_attempt.isoformat(),
        "error": trouble.error,
    }


def _trouble(plain: Any) -> Trouble | None:
    if plain is None:
        return None
    next_attempt = datetime.fromisoformat(plain["next_attempt"])
    if next_attempt.tzinfo is None:
        raise ValueError("a time without offset")
    return Trouble(int(plain["attempts"]), next_attempt, str(plain["error"]))
