"""What a program is given: a request for a certificate, or a certificate, as values, as files and as arguments."""

from __future__ import annotations

import base64
import json
import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from cryptography import x509

from cmpkit.asn1 import decode
from cmpkit.crypto.names import format_name
from cmpkit.crypto.x509 import to_pem
from cmpkit.enums import CRLReason
from cmpkit.errors import ConfigurationError
from cmpkit.issuers.authority import Order
from cmpkit.parts import Authenticated, CertificateRecord, CertificateRequest

__all__ = [
    "OUT",
    "PLACEHOLDERS",
    "Task",
    "check_arguments",
    "fill",
    "issue_facts",
    "issue_task",
    "order_of",
    "record_task",
]

OUT: Final = "out"
"""The placeholder for the file that a program may write its result to, in place of standard output."""
_REQUEST: Final = frozenset({"request", "extensions", "subject", "profile", "days", "not_after", "key", OUT})
PLACEHOLDERS: Final[Mapping[str, frozenset[str]]] = {
    "issue": _REQUEST | {"public_key"},
    "issue_p10": _REQUEST | {"csr"},
    "confirm": frozenset({"request", "certificate", "serial", "key", "status"}),
    "revoke": frozenset({"request", "certificate", "serial", "key", "reason"}),
    "crl": frozenset({OUT}),
}
"""What may stand in braces in the arguments of each command."""
_PLACEHOLDER: Final = re.compile(r"\{(\w+)\}")
_SPECIAL: Final = re.compile(r"([/+\\])")
_KEY_IDENTIFIERS: Final = "subjectKeyIdentifier = hash\nauthorityKeyIdentifier = keyid\n"


@dataclass(frozen=True, slots=True)
class Task:
    """One call of a program.

    :param facts: plain values, which it gets as JSON; those that are text are in its environment, too: ``CMPKIT_KEY``.
    :param words: text for placeholders.
    :param files: what is in the files that placeholders stand for.
    """

    facts: Mapping[str, Any] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """Its variables."""
        return {f"CMPKIT_{name.upper()}": fact for name, fact in self.facts.items() if isinstance(fact, str)}

    @property
    def document(self) -> bytes:
        """The facts as JSON: its standard input, and the file ``{request}``."""
        return json.dumps(dict(self.facts), indent=1, sort_keys=True).encode() + b"\n"


def check_arguments(command: str, arguments: Sequence[str]) -> None:
    """Whether a program gets nothing that there is not.

    :param command: ``issue``, ``revoke`` ...
    :raises ConfigurationError: naming what there is not.
    """
    named = {name for argument in arguments for name in _PLACEHOLDER.findall(argument)}
    unknown = sorted(named - PLACEHOLDERS[command])
    if unknown:
        known = ", ".join(f"{{{name}}}" for name in sorted(PLACEHOLDERS[command]))
        raise ConfigurationError(f"[issuer] {command}: there is no {{{unknown[0]}}}; there are: {known}")


def fill(arguments: Sequence[str], task: Task, directory: Path) -> list[str]:
    """The arguments with what the placeholders in them stand for.

    :param directory: where the files of the task are.
    """
    paths = {name: str(directory / name) for name in ("request", OUT, *task.files)}
    values = {**task.words, **paths}
    return [_PLACEHOLDER.sub(lambda match: values.get(match[1], ""), argument) for argument in arguments]


def issue_facts(order: Order, request: CertificateRequest, auth: Authenticated) -> dict[str, Any]:
    """What is known of a request for a certificate.

    :param request: as the profile allows it.
    """
    assert request.not_after is not None
    extensions = [
        {"oid": item.extn_id.dotted_string, "critical": item.critical, "value": item.extn_value.hex()}
        for item in request.extensions
    ]
    return {
        "operation": "issue",
        "key": order.key,
        "body": request.body_type.wire_name,
        "identity": auth.identity,
        "enrolled_by": order.enrolled_by,
        "profile": order.profile,
        "subject": format_name(order.subject),
        "subject_der": base64.b64encode(order.subject.public_bytes()).decode(),
        "public_key": _pem("PUBLIC KEY", order.public_key_info),
        "csr": _pem("CERTIFICATE REQUEST", request.p10) if request.p10 else None,
        "not_before": None if request.not_before is None else request.not_before.isoformat(),
        "not_after": request.not_after.isoformat(),
        "extensions": extensions,
        "publish": order.publish,
        "modified": order.modified,
    }


def order_of(facts: Mapping[str, Any]) -> Order:
    """The order that :func:`issue_facts` wrote down."""
    return Order(
        key=facts["key"],
        public_key_info=_octets(facts["public_key"]),
        subject=decode(x509.Name, base64.b64decode(facts["subject_der"])),
        profile=facts["profile"],
        enrolled_by=facts["enrolled_by"],
        publish=facts["publish"],
        modified=facts["modified"],
    )


def issue_task(facts: Mapping[str, Any], now: datetime) -> Task:
    """That a certificate is asked for.

    :param facts: from :func:`issue_facts`.
    """
    not_after = datetime.fromisoformat(facts["not_after"])
    lines = [
        f"{item['oid']} = {'critical,' if item['critical'] else ''}DER:{item['value']}\n"
        for item in facts["extensions"]
    ]
    files = {"public_key": facts["public_key"].encode(), "extensions": ("".join(lines) + _KEY_IDENTIFIERS).encode()}
    if facts["csr"] is not None:
        files["csr"] = facts["csr"].encode()
    words = {
        "key": facts["key"],
        "subject": _slashed(decode(x509.Name, base64.b64decode(facts["subject_der"]))),
        "profile": facts["profile"],
        "days": str(max(1, (not_after - now + timedelta(minutes=1)) // timedelta(days=1))),
        "not_after": f"{not_after:%Y%m%d%H%M%SZ}",
    }
    return Task(facts, words, files)


def record_task(
    operation: str, record: CertificateRecord, *, reason: CRLReason | None = None, accepted: bool = False
) -> Task:
    """That something became of a certificate.

    :param operation: ``confirm`` or ``revoke``.
    """
    words = {"key": record.request_key, "serial": f"{record.serial_number:X}"}
    if operation == "revoke":
        words["reason"] = "unspecified" if reason is None else reason.wire_name
    else:
        words["status"] = "accepted" if accepted else "rejected"
    facts = {"operation": operation, "subject": record.subject, "profile": record.profile, **words}
    return Task(facts, words, {"certificate": to_pem(record.der)})


def _pem(label: str, der: bytes) -> str:
    lines = textwrap.fill(base64.b64encode(der).decode(), 64)
    return f"-----BEGIN {label}-----\n{lines}\n-----END {label}-----\n"


def _octets(pem: str) -> bytes:
    return base64.b64decode("".join(pem.splitlines()[1:-1]))


def _slashed(name: x509.Name) -> str:
    """A name as OpenSSL reads it: /O=Example/CN=device."""
    return "".join(f"/{'+'.join(map(_attribute, rdn))}" for rdn in name.rdns)


def _attribute(attribute: x509.NameAttribute[str | bytes]) -> str:
    value = attribute.value if isinstance(attribute.value, str) else attribute.value.hex()
    escaped = _SPECIAL.sub(r"\\\1", value)
    return f"{attribute.rfc4514_attribute_name}={escaped}"
