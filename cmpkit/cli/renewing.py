"""What ``cmpkit renew`` tells: to people in lines, to machines as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from cmpkit.cli.exits import ExitStatus, exit_status, plain_error, report
from cmpkit.cli.results import describe_certificate
from cmpkit.cli.serverside import print_columns, print_json, shown_time
from cmpkit.errors import ConfigurationError
from cmpkit.renewal.place import Place
from cmpkit.renewal.renewer import Outcome
from cmpkit.renewal.standing import Standing
from cmpkit.renewal.state import Trouble

__all__ = ["outcome_line", "print_list", "print_outcomes", "status_of"]


def status_of(outcomes: Sequence[Outcome]) -> ExitStatus:
    """The exit status of the first error, by the order of the certificates."""
    errors = [error for outcome in outcomes for error in outcome.errors]
    return exit_status(errors[0]) if errors else ExitStatus.DONE


def print_outcomes(outcomes: Sequence[Outcome], *, as_json: bool) -> None:
    """Print what was done on standard output, and what failed on standard error too."""
    for outcome in outcomes:
        for error in outcome.errors:
            report(error, about=outcome.name)
    if as_json:
        plain = [_plain_outcome(outcome) for outcome in outcomes]
        print_json({"status": int(status_of(outcomes)), "certificates": plain})
        return
    for outcome in outcomes:
        print(f"{outcome.name}: {_said(outcome)}")


def outcome_line(outcome: Outcome) -> str:
    """An outcome as one line of JSON."""
    return json.dumps(_plain_outcome(outcome), ensure_ascii=False)


def _said(outcome: Outcome) -> str:
    done = [deed.value for deed in outcome.done] + (["failed"] if outcome.errors else [])
    lifetime = outcome.standing.lifetime if outcome.standing is not None else None
    ends = [] if lifetime is None else [f"valid until {shown_time(lifetime.not_after)}"]
    again = f"next step at {shown_time(outcome.next_step)}"
    return "; ".join([", ".join(done) or "nothing is due", *ends, again])


def _plain_outcome(outcome: Outcome) -> dict[str, Any]:
    return {
        "name": outcome.name,
        "done": [deed.value for deed in outcome.done],
        "errors": [plain_error(error) for error in outcome.errors],
        "next_step": shown_time(outcome.next_step),
        **({} if outcome.standing is None else _plain_files(outcome.standing)),
    }


def _plain_files(standing: Standing) -> dict[str, Any]:
    version = standing.version
    if version is None:
        return {"certificate": None}
    return {"certificate": describe_certificate(version.certificate), "directory": str(standing.place.current)}


def print_list(found: Sequence[tuple[Place, Standing | ConfigurationError]], now: datetime, *, as_json: bool) -> None:
    """Print how certificates stand, and what is wrong with those that cannot be read."""
    if as_json:
        print_json([_plain_entry(place, entry, now) for place, entry in found])
        return
    rows = [[place.name, *_row(entry, now)] for place, entry in found]
    print_columns(["NAME", "STATE", "VALID UNTIL", "NEXT STEP"], rows)
    for place, entry in found:
        for what, text in _troubles(entry):
            print(f"{place.name}: {what}: {text}")


def _row(entry: Standing | ConfigurationError, now: datetime) -> list[str]:
    if isinstance(entry, ConfigurationError):
        return ["broken", "-", "-"]
    ends = "-" if entry.lifetime is None else str(shown_time(entry.lifetime.not_after))
    step = entry.next_step(now)
    return [_state(entry, now), ends, "now" if step <= now else str(shown_time(step))]


def _state(standing: Standing, now: datetime) -> str:
    if standing.version is None:
        return "absent"
    if standing.expired(now):
        return "expired"
    if standing.state.renewal is not None:
        return "failing"
    if standing.due(now) <= now:
        return "due"
    return "valid" if standing.deployment_at(now) is None else "not deployed"


def _troubles(entry: Standing | ConfigurationError) -> list[tuple[str, str]]:
    if isinstance(entry, ConfigurationError):
        return [("broken", str(entry))]
    troubles = (("renewal", entry.state.renewal), ("deploy hook", entry.state.deployment))
    return [(f"{what}, attempt {trouble.attempts}", trouble.error) for what, trouble in troubles if trouble is not None]


def _plain_entry(place: Place, entry: Standing | ConfigurationError, now: datetime) -> dict[str, Any]:
    if isinstance(entry, ConfigurationError):
        return {"name": place.name, "state": "broken", "error": str(entry)}
    return {
        "name": place.name,
        "state": _state(entry, now),
        "url": entry.definition.url,
        "due": shown_time(entry.due(now)),
        "next_step": shown_time(entry.next_step(now)),
        "renewal": _plain_trouble(entry.state.renewal),
        "deployment": _plain_trouble(entry.state.deployment),
        "deployed": entry.definition.deploy_hook is not None and entry.deployment_at(now) is None,
        **_plain_files(entry),
    }


def _plain_trouble(trouble: Trouble | None) -> dict[str, Any] | None:
    if trouble is None:
        return None
    return {
        "attempts": trouble.attempts,
        "next_attempt": shown_time(trouble.next_attempt),
        "error": trouble.error,
    }
