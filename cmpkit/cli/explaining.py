"""``cmpkit serve --explain``: what would become of a message, for people and for machines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from cmpkit.cli.serverside import print_facts, print_json

if TYPE_CHECKING:
    from cmpkit.config.explaining import Explanation
    from cmpkit.endpoints.rehearsal import Case

__all__ = ["print_explanations"]


def print_explanations(explanations: Sequence[Explanation], *, as_json: bool) -> None:
    """Print them."""
    if as_json:
        print_json([_object(one) for one in explanations])
        return
    for number, one in enumerate(explanations):
        if number:
            print()
        print_facts(_facts(one))


def _facts(one: Explanation) -> Iterator[tuple[str, str]]:
    yield "message", f"{one.body}, transaction {one.transaction_id or 'without ID'}" if one.body else "cannot be read"
    yield "address", one.address + (f", label {one.label}" if one.label else "")
    for name, text in _road(one).items():
        yield "", f"{name} {text}"
    if one.route:
        yield "route", one.route
    if one.sender:
        yield "sender", one.sender
    if one.unverified:
        yield "protection", f"cannot be verified: {one.unverified}"
    if one.cases:
        yield "policy", one.policy
    for case in one.cases:
        yield from _case_facts(case)
    for remark in one.remarks:
        yield "note", remark
    if one.tolerated:
        yield "tolerated", ", ".join(one.tolerated)


def _case_facts(case: Case) -> Iterator[tuple[str, str]]:
    if case.what:
        yield "asks for", case.what
    for rule in case.rules:
        yield "rule", f"{rule.rule}: {'no, ' + rule.why_not if rule.why_not else 'matches'}"
    if case.profile:
        yield "profile", case.profile
    if case.subject:
        yield "subject", case.subject
    for change in case.changes:
        yield "change", change
    error = case.error
    if error is None:
        yield "outcome", case.outcome.value
        return
    yield "outcome", f"{case.outcome.value}: {' '.join(error.fail_info.wire_names)}: {error}"
    yield "text", error.status_text


def _road(one: Explanation) -> dict[str, str]:
    """How the server behaves at the address, in words."""
    settings, responder = one.settings, one.settings.responder
    window = settings.message_time_window
    return {
        "message_time_window": "off" if window is None else f"{window.total_seconds():g}s",
        "confirm_wait_time": f"{responder.confirm_wait_time.total_seconds():g}s",
        "check_after": f"{responder.least_check_after}s",
    }


def _object(one: Explanation) -> dict[str, Any]:
    return {
        "body": one.body or None,
        "transaction_id": one.transaction_id or None,
        "address": one.address,
        "label": one.label,
        "road": _road(one),
        "route": one.route or None,
        "sender": one.sender or None,
        "unverified": one.unverified or None,
        "policy": one.policy,
        "cases": [_case_object(case) for case in one.cases],
        "notes": one.remarks,
        "tolerated": list(one.tolerated),
    }


def _case_object(case: Case) -> dict[str, Any]:
    error = case.error
    return {
        "what": case.what or None,
        "outcome": case.outcome.name.lower(),
        "rules": [{"rule": rule.rule, "matches": not rule.why_not, "why_not": rule.why_not} for rule in case.rules],
        "profile": case.profile or None,
        "subject": case.subject or None,
        "changes": list(case.changes),
        "fail_info": [] if error is None else list(error.fail_info.wire_names),
        "detail": None if error is None else str(error),
        "text": None if error is None else error.status_text,
    }
