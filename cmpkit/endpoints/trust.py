"""Whether a client may believe an answer: its protection, its signer, the signer's authority (R-039, R-040, R-042)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from cryptography import x509

from cmpkit import oids
from cmpkit.asn1 import PKIMessage
from cmpkit.crypto.names import format_name, names_match
from cmpkit.crypto.paths import validate_path
from cmpkit.crypto.protection import find_protection, verify_message
from cmpkit.crypto.stand_ins import check_signature
from cmpkit.crypto.x509 import fingerprint, outline
from cmpkit.endpoints.credentials import Credentials
from cmpkit.endpoints.revocation import RevocationChecker
from cmpkit.endpoints.signer import find_signer, validate_signer, verify_signature
from cmpkit.engine.answers import answer_statuses, is_refusal
from cmpkit.engine.header import foreign_mac_faults, mixed_protection_faults, unprotected_answer_faults
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError, TrustError, raise_first
from cmpkit.parts import ProtectionKind, SharedSecret
from cmpkit.plugins import Plugins
from cmpkit.tolerances import STRICT, Leniency

__all__ = ["AnswerVerifier", "FirstUse", "hearsay"]

_log = logging.getLogger("cmpkit.client")
_Extension = TypeVar("_Extension", bound=x509.ExtensionType)
_RULE = "RFC 9810 sections 4.5 and 5.1.3"
_FIRST_USE = "self-issued-in-ip"


@dataclass(frozen=True, slots=True)
class FirstUse:
    """What an ip brings that may be trusted from then on where the operator wants that (3GPP TS 33.310).

    :param roots: DER of self-issued certificates.
    :param certificates: DER of the new certificates, which must lead to the same root as the signer of the ip.
    """

    roots: tuple[bytes, ...] = ()
    certificates: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class AnswerVerifier:
    """Judges the protection of answers.

    :param credentials: what the requests are protected with; ``None`` if they are not.
    :param anchors: DER trust anchors.
    :param pinned: DER of the one certificate that signs answers, if that is known; it may be expired.
    :param expected_sender: the name that signs answers, if that is known.
    :param revocation: looks whether the signer or a CA above it is revoked; ``None`` does not look.
    """

    plugins: Plugins
    credentials: Credentials | None
    anchors: tuple[bytes, ...] = ()
    pinned: bytes | None = None
    expected_sender: x509.Name | None = None
    revocation: RevocationChecker | None = None

    async def verify(
        self,
        message: PKIMessage,
        *,
        known: Sequence[bytes],
        issuers: Sequence[bytes],
        now: datetime,
        leniency: Leniency = STRICT,
        first_use: FirstUse | None = None,
    ) -> bool:
        """Whether the answer is authentic; ``False`` for a refusal that is taken although it is not.

        :param known: DER certificates of earlier answers.
        :param issuers: DER certificates that this operation got or renews: who issued one may sign for itself.
        :param leniency: what is let pass.
        :param first_use: what came with the ip of this operation.
        :raises TrustError: naming what cannot be believed, the rule, and the option.
        """
        try:
            raise_first(unprotected_answer_faults(message))
            given = first_use or FirstUse()
            await self._verify_protected(message, known, issuers, now=now, leniency=leniency, first_use=given)
        except CMPError as error:
            if is_refusal(message) and leniency.allows("unprotected-errors"):
                return False
            raise _with_hearsay(error, message) from error
        return True

    async def _verify_protected(
        self,
        message: PKIMessage,
        known: Sequence[bytes],
        issuers: Sequence[bytes],
        *,
        now: datetime,
        leniency: Leniency,
        first_use: FirstUse,
    ) -> None:
        assert message.header.protection_alg is not None
        protection = find_protection(self.plugins, message.header.protection_alg.algorithm)
        asked_by_mac = isinstance(self.credentials, SharedSecret)
        if protection.kind is ProtectionKind.MAC:
            raise_first(foreign_mac_faults(by_mac=True, asked_by_mac=asked_by_mac))
            await verify_message(protection, message, self.credentials, leniency=leniency)
            return
        raise_first(mixed_protection_faults(message, asked_by_mac=asked_by_mac), leniency)
        if self.pinned is not None:
            await self._verify_pinned(message, self.pinned, leniency)
            return
        signer = find_signer(message, (*known, *self.anchors), leniency)
        await verify_signature(message, signer, self.plugins)
        path = self._find_path(message, signer, known, now=now, leniency=leniency, first_use=first_use)
        self._check_authority(message, path, issuers)
        if self.revocation is not None:
            await self.revocation.check(path, now=now)

    def _find_path(
        self,
        message: PKIMessage,
        signer: bytes,
        known: Sequence[bytes],
        *,
        now: datetime,
        leniency: Leniency,
        first_use: FirstUse,
    ) -> tuple[bytes, ...]:
        """The path from the signer to a trust anchor, or to what becomes one."""
        options: Any = {"known": known, "now": now, "plugins": self.plugins, "leniency": leniency}
        try:
            if not self.anchors:
                raise TrustError(
                    "the answer is signed, and there is no trust anchor to check it with",
                    PKIFailureInfo.SIGNER_NOT_TRUSTED,
                    rule="RFC 9483 section 3.2",
                    hint="give trust anchors with --trusted",
                )
            return validate_signer(message, signer, anchors=self.anchors, **options)
        except CMPError as error:
            if error.tolerance or not first_use.roots or not first_use.certificates:
                raise
            try:
                path = validate_signer(message, signer, anchors=first_use.roots, **options)
                for der in first_use.certificates:
                    validate_path(der, candidates=known, anchors=path[-1:], now=now, plugins=self.plugins)
            except CMPError:
                raise error from None
            error.tolerance = _FIRST_USE
            if not leniency.allows(_FIRST_USE):
                raise
        root = outline(path[-1])
        _log.warning("the root %s is trusted, on first use: SHA-256 %s", root.title, fingerprint(path[-1]).hex())
        return path

    async def _verify_pinned(self, message: PKIMessage, pinned: bytes, leniency: Leniency) -> None:
        try:
            find_signer(PKIMessage(message.header, message.body), (pinned,), leniency)
        except CMPError as error:
            raise TrustError(
                f"the answer is not signed by the pinned certificate (SHA-256 {fingerprint(pinned).hex()}): "
                f"{error.detail}",
                PKIFailureInfo.SIGNER_NOT_TRUSTED,
                rule=_RULE,
                hint="correct --srvcert",
                tolerance=error.tolerance,
            ) from error
        await verify_signature(message, pinned, self.plugins)

    def _check_authority(self, message: PKIMessage, path: Sequence[bytes], issuers: Sequence[bytes]) -> None:
        """Being trusted is not enough: the signer must be a CA or RA for this (R-040)."""
        signer, certificate = path[0], x509.load_der_x509_certificate(path[0])
        if self.expected_sender is not None:
            if names_match(certificate.subject, self.expected_sender):
                return
            raise TrustError(
                f"the answer is signed by {format_name(certificate.subject)}, "
                f"{format_name(self.expected_sender)} is expected",
                PKIFailureInfo.SIGNER_NOT_TRUSTED,
                rule=_RULE,
                hint="correct --expect-sender",
            )
        if self._issued_any(signer, issuers) or (signer in self.anchors and _is_ca(certificate)):
            return
        if _has_cmc_usage(certificate):
            # Whoever refuses gives nothing away: any CA that is trusted may have authorised it.
            if not issuers or is_refusal(message) or self._issued_any(_issuer_in(path), issuers):
                return
            why = "its cmcCA or cmcRA is from another CA than the one that issues the certificate"
        else:
            why = "it is neither the CA nor has it the extended key usage cmcCA or cmcRA"
        raise TrustError(
            f"the signer {format_name(certificate.subject)} is trusted but not authorised: {why} "
            f"(SHA-256 {fingerprint(signer).hex()}, path of {len(path)} certificates)",
            PKIFailureInfo.SIGNER_NOT_TRUSTED,
            rule=_RULE,
            hint="name it with --expect-sender or pin it with --srvcert if it is the right one",
        )

    def _issued_any(self, signer: bytes, certificates: Sequence[bytes]) -> bool:
        """Whether the signer is the CA that issued one of them."""
        return _is_ca(x509.load_der_x509_certificate(signer)) and any(
            self._issued(signer, certificate) for certificate in certificates
        )

    def _issued(self, issuer: bytes, certificate: bytes) -> bool:
        try:
            if outline(certificate).issuer_der != outline(issuer).subject_der:
                return False
            check_signature(certificate, issuer, self.plugins)
        except CMPError:
            return False
        return True


def _issuer_in(path: Sequence[bytes]) -> bytes:
    """The issuer of the first certificate of a path; an anchor is its own."""
    return path[1] if len(path) > 1 else path[0]


def _has_cmc_usage(certificate: x509.Certificate) -> bool:
    usage = _extension(certificate, x509.ExtendedKeyUsage)
    return usage is not None and (oids.KP_CMC_CA in usage or oids.KP_CMC_RA in usage)


def _is_ca(certificate: x509.Certificate) -> bool:
    constraints = _extension(certificate, x509.BasicConstraints)
    return constraints is not None and constraints.ca


def _extension(certificate: x509.Certificate, kind: type[_Extension]) -> _Extension | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except (x509.ExtensionNotFound, ValueError):
        return None


def hearsay(message: PKIMessage) -> str:
    """What an answer that is not authentic says, as a hint for people; empty if it refuses nothing."""
    if not is_refusal(message):
        return ""
    status = answer_statuses(message)[0]
    names = ", ".join(status.failures.wire_names) or "no failInfo"
    return f"the peer says, not authenticated: {names}: {'; '.join(status.texts) or 'no text'}"


def _with_hearsay(error: CMPError, message: PKIMessage) -> TrustError:
    said = hearsay(message)
    hint = "; ".join(part for part in (error.hint, said) if part)
    tolerance = error.tolerance or ("unprotected-errors" if is_refusal(message) else "")
    return TrustError(error.detail, error.fail_info, rule=error.rule, hint=hint, tolerance=tolerance)
