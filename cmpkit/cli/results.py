"""What a client command tells when it is done: to people as lines, to machines as one JSON object."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from cryptography import x509

from cmpkit.crypto.names import format_name
from cmpkit.crypto.x509 import fingerprint

__all__ = ["Result", "describe_certificate", "print_result", "summarise"]


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a command.

    :param headline: one line for people.
    :param facts: more for people: a label and a text each.
    :param values: for machines.
    """

    headline: str
    facts: Sequence[tuple[str, str]] = ()
    values: dict[str, Any] = field(default_factory=dict)


def print_result(result: Result, *, as_json: bool) -> None:
    """Print it on standard output; what others chose in it cannot make the screen show something else."""
    from cmpkit.inspection.text import printable

    if as_json:
        print(json.dumps({"status": 0, **result.values}, indent=2))
        return
    print(printable(result.headline))
    width = max((len(label) for label, _ in result.facts), default=0)
    for label, text in result.facts:
        print(f"  {label.ljust(width)}  {printable(text)}")


def describe_certificate(der: bytes) -> dict[str, str]:
    """Subject, serial number, issuer, validity and SHA-256 of a certificate."""
    certificate = x509.load_der_x509_certificate(der)
    return {
        "subject": format_name(certificate.subject),
        "issuer": format_name(certificate.issuer),
        "serial_number": f"{certificate.serial_number:x}",
        "not_before": certificate.not_valid_before_utc.isoformat(),
        "not_after": certificate.not_valid_after_utc.isoformat(),
        "sha256": fingerprint(der).hex(),
    }


def summarise(der: bytes) -> str:
    """A certificate in one line: its subject and its fingerprint."""
    described = describe_certificate(der)
    return f"{described['subject']}, SHA-256 {described['sha256']}"
