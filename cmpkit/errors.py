"""What may go wrong, in the peer's terms and in the operator's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from cmpkit.enums import PKIFailureInfo, PKIStatus
from cmpkit.tolerances import STRICT, Leniency, advice

__all__ = [
    "CMPError",
    "ConfigurationError",
    "ConflictError",
    "DeploymentError",
    "PeerRefusal",
    "StillWaiting",
    "TransportError",
    "TrustError",
    "fault_of",
    "raise_first",
]


class CMPError(Exception):
    """A fault in a message, or a refusal of it: what the peer may know, and what the operator needs.

    It is not a finished reply: how an error is protected depends on what was authenticated.

    :param detail: for the operator: what was wrong. Never a secret.
    :param fail_info: for the peer: which PKIFailureInfo bits the answer carries (RFC 9810 section 5.2.3).
    :param rule: the rule that was broken, as an RFC section, e.g. ``"RFC 9483 section 3.5"``.
    :param hint: for the operator: what to try.
    :param status_text: for the peer: the statusString; without it the peer gets one generic text per failInfo.
    :param tolerance: the name of the tolerance that allows it (:mod:`cmpkit.tolerances`); the hint says how.
    """

    status = PKIStatus.REJECTION

    def __init__(
        self,
        detail: str,
        fail_info: PKIFailureInfo = PKIFailureInfo.BAD_REQUEST,
        *,
        rule: str = "",
        hint: str = "",
        status_text: str = "",
        tolerance: str = "",
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.fail_info = fail_info
        self.rule = rule
        self.tolerance = tolerance
        self._hint = hint
        self._status_text = status_text

    @property
    def hint(self) -> str:
        """What to try, and how to allow it if a tolerance does."""
        allow = advice(self.tolerance) if self.tolerance else ""
        return self._hint if allow in self._hint else "; ".join(filter(None, (self._hint, allow)))

    @hint.setter
    def hint(self, hint: str) -> None:
        self._hint = hint

    @property
    def status_text(self) -> str:
        """The text for the peer: the one given, or the generic text of the first failInfo bit."""
        return self._status_text or generic_status_text(self.fail_info)

    def __str__(self) -> str:
        text = self.detail
        if self.rule:
            text += f" ({self.rule})"
        if self.hint:
            text += f"; {self.hint}"
        return text


class TransportError(CMPError):
    """No CMP answer came back: the road failed, or brought something else (HTTP status, media type, start of body)."""

    def __init__(self, detail: str, *, hint: str = "", tls: bool = False, retryable: bool = False) -> None:
        super().__init__(detail, PKIFailureInfo.SYSTEM_UNAVAIL, hint=hint)
        self.tls = tls
        self.retryable = retryable


class TrustError(CMPError):
    """An answer that must not be believed: its protection, its signer, its certificate or its correlation is wrong."""


class PeerRefusal(CMPError):
    """The peer refused, in an answer that is to be believed.

    :param status: the PKIStatus of the answer.
    :param texts: its statusString, as received.
    """

    def __init__(
        self,
        fail_info: PKIFailureInfo,
        *,
        status: PKIStatus = PKIStatus.REJECTION,
        texts: tuple[str, ...] = (),
        body: str = "error",
        hint: str = "",
    ) -> None:
        names = ", ".join(fail_info.wire_names) or "no failInfo"
        said = "; ".join(texts) or "no text"
        super().__init__(f"the peer answered {body}: {status.wire_name}, {names}: {said}", fail_info, hint=hint)
        self.status = status
        self.texts = texts
        self.body = body


class StillWaiting(CMPError):
    """The time is over and the operation is not: the server needs longer, or never answered.

    :param saved: the file of the transaction, or ``None`` if none was kept.
    :param waiting: whether the server said that it needs time; otherwise no answer came.
    :param apart: whether answers travel apart from messages, so that none may well come later.
    :param seconds: how long was waited; 0 if there was no use in that.
    """

    def __init__(self, saved: Path | None, *, waiting: bool, seconds: float, apart: bool = False) -> None:
        without = "the answer is not here yet" if apart else "no answer came"
        what = "the server still needs time" if waiting else without
        where = f"; the transaction is saved in {saved}" if saved else ""
        hint = f"go on with: cmpkit resume {saved}" if saved else "keep transactions with --state to resume them"
        after = f" after {seconds:g} s" if seconds else ""
        super().__init__(f"{what}{after}{where}", PKIFailureInfo.SYSTEM_UNAVAIL, hint=hint)
        self.saved = saved
        self.waiting = waiting or apart


class ConfigurationError(CMPError):
    """The configuration or the call is wrong: names the key, option or plugin."""


class DeploymentError(CMPError):
    """A new certificate is in use, and the deploy hook that tells others of it failed."""


class ConflictError(CMPError):
    """A unit of work met a newer version of what it changes; nothing of it was stored. Load again and repeat."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail, PKIFailureInfo.SYSTEM_UNAVAIL)


def raise_first(faults: Iterable[CMPError], leniency: Leniency = STRICT) -> None:
    """Refuse what has a fault. Checks are written as generators of faults, so that inspection can list them all.

    :param leniency: what is let pass.
    :raises CMPError: the first of them that is not.
    """
    for fault in faults:
        if not leniency.allows(fault.tolerance):
            raise fault


def fault_of(check: Callable[..., Any], *arguments: Any) -> Iterator[CMPError]:
    """The fault that a check raises, if it raises one: for checks that can only find one, such as reading a value."""
    try:
        check(*arguments)
    except CMPError as fault:
        yield fault


def generic_status_text(fail_info: PKIFailureInfo) -> str:
    """One text per failInfo, the same whatever the details, for peers that are not authenticated.

    :param fail_info: the bits of the answer; the lowest one chooses the text.
    """
    names = fail_info.wire_names
    return _GENERIC_TEXTS.get(names[0] if names else "", "the request was refused")


_GENERIC_TEXTS = {
    "badAlg": "an algorithm of the message is not supported or not accepted",
    "badMessageCheck": "the protection of the message could not be verified",
    "badRequest": "the message is not permitted in this place",
    "badTime": "messageTime is too far from the time of this server",
    "badCertId": "no such certificate",
    "badDataFormat": "the message could not be read",
    "badPOP": "the proof of possession failed",
    "certRevoked": "the certificate is revoked or expired",
    "certConfirmed": "the certificate was already confirmed or rejected",
    "wrongIntegrity": "the message needs another kind of protection",
    "badRecipientNonce": "recipNonce is missing or wrong",
    "badSenderNonce": "senderNonce is missing, too short or used before",
    "badCertTemplate": "the certificate template is not acceptable",
    "signerNotTrusted": "the signer of the message is not trusted",
    "transactionIdInUse": "the transactionID is in use",
    "unsupportedVersion": "the protocol version is not supported",
    "notAuthorized": "the request is not authorised",
    "systemUnavail": "the service is not available now, try later",
    "systemFailure": "the service failed, try later",
    "addInfoNotAvailable": "the requested information is not available",
}
