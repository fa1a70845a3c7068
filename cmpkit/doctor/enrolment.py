"""A whole enrolment, if it is asked for: the one thing in a diagnosis that leaves a trace at the server."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TypeVar

from cryptography import x509

from cmpkit.crypto.names import format_name
from cmpkit.doctor.probing import Report
from cmpkit.endpoints.client import Client
from cmpkit.endpoints.enrolled import Enrolled
from cmpkit.enums import CRLReason
from cmpkit.errors import CMPError, ConfigurationError, PeerRefusal, StillWaiting, TransportError
from cmpkit.parts import Check, Event, Layer, PrivateKey, Verdict

__all__ = ["Enrolment", "Talk", "examine_enrolment"]

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What to enrol for.

    :param subject: the subject to ask for, ``/CN=x`` or RFC 4514; ``None`` leaves it to the server.
    :param key: the key to certify; ``None`` makes one that is forgotten, like the certificate, when the check is over.
    :param revoke: whether to revoke the certificate at once.
    """

    subject: x509.Name | str | None = None
    key: PrivateKey | None = None
    revoke: bool = False


class Talk:
    """What is said, by the names of the bodies."""

    def __init__(self) -> None:
        self._said: list[str] = []

    def observe(self, event: Event) -> None:
        """Take note."""
        if event.name in ("message-sent", "message-received"):
            self._said.append(event.details["message"].body.type.wire_name)

    def __str__(self) -> str:
        return ", ".join(self._said) or "nothing was said"


async def examine_enrolment(client: Client, enrolment: Enrolment, talk: Talk, report: Report) -> None:
    """Enrol and, if that is wanted, revoke.

    :param talk: among the observers of the client.
    :raises ConfigurationError: if the client lacks what it needs, trust anchors for instance.
    """
    enrolled = await _try("enrolment", client.enroll(enrolment.subject, enrolment.key), talk, report)
    if enrolled is None:
        return
    report(Check("enrolment", Layer.OPERATION, Verdict.GOOD, f"{talk}: {_describe(enrolled)}"))
    if enrolment.revoke and await _try("revocation", _revoke(client, enrolled), talk, report):
        report(Check("revocation", Layer.OPERATION, Verdict.GOOD, "rr, rp: the certificate is revoked again"))


async def _revoke(client: Client, enrolled: Enrolled) -> bool:
    await client.revoke(enrolled, CRLReason.CESSATION_OF_OPERATION)
    return True


async def _try(name: str, work: Awaitable[_Result], talk: Talk, report: Report) -> _Result | None:
    try:
        return await work
    except ConfigurationError:
        raise
    except StillWaiting as waiting:
        verdict = Verdict.NOTE if waiting.waiting else Verdict.BAD
        layer = Layer.OPERATION if waiting.waiting else Layer.ROAD
        report(Check(name, layer, verdict, f"{talk}: {waiting.detail}", "a person may have to approve the request"))
    except CMPError as error:
        report(Check(name, _layer(error), Verdict.BAD, f"{talk}: {error.detail}", error.hint))
    return None


def _layer(error: CMPError) -> Layer:
    if isinstance(error, TransportError):
        return Layer.TLS if error.tls else Layer.ROAD
    return Layer.OPERATION if isinstance(error, PeerRefusal) else Layer.TRUST


def _describe(enrolled: Enrolled) -> str:
    certificate = x509.load_der_x509_certificate(enrolled.certificate)
    return (
        f"certificate {certificate.serial_number:x} for {format_name(certificate.subject)}, "
        f"until {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
    )
