"""cryptography's path validator, and the rules that it is given beyond its own (RFC 5280 section 6)."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.x509.verification import (
    ClientVerifier,
    Criticality,
    ExtensionPolicy,
    Policy,
    PolicyBuilder,
    Store,
    VerificationError,
    VerifiedClient,
)

from cmpkit.asn1.codec import quietly

__all__ = ["UNUSABLE_CERTIFICATE", "reason", "trusting", "trusting_proven", "verify"]

UNUSABLE_CERTIFICATE: Final = (
    VerificationError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
    ValueError,
    TypeError,
    OverflowError,
)
"""What the validator raises where a path is not valid, or a certificate cannot be read."""


def _require_key_cert_sign(_: Policy, certificate: x509.Certificate, usage: x509.KeyUsage | None) -> None:
    if usage is not None and not usage.key_cert_sign:
        raise ValueError("the keyUsage of a CA certificate has no keyCertSign")


def _require_known_constraints(
    _: Policy, certificate: x509.Certificate, constraints: x509.NameConstraints | None
) -> None:
    # The library applies these kinds, and refuses others only if they are critical or meet a subjectAltName.
    known = (x509.DNSName, x509.IPAddress, x509.RFC822Name)
    if constraints is None:
        return
    for subtree in (*(constraints.permitted_subtrees or ()), *(constraints.excluded_subtrees or ())):
        if not isinstance(subtree, known):
            raise ValueError(f"name constraints of the kind {type(subtree).__name__} are not supported")


# The library itself wants basicConstraints with cA wherever the extension is required.
_CA = (
    ExtensionPolicy.permit_all()
    .require_present(x509.BasicConstraints, Criticality.AGNOSTIC, None)
    .may_be_present(x509.KeyUsage, Criticality.AGNOSTIC, _require_key_cert_sign)
    .may_be_present(x509.NameConstraints, Criticality.AGNOSTIC, _require_known_constraints)
)
_END_ENTITY = ExtensionPolicy.permit_all()
# The octets of a proven issuer are those that _CA was applied to.
_PROVEN_CA = ExtensionPolicy.permit_all().require_present(x509.BasicConstraints, Criticality.AGNOSTIC, None)


def trusting(certificate: x509.Certificate) -> PolicyBuilder:
    """All that a validation needs but the time, with that certificate as the trust anchor."""
    return _policy(certificate, _CA)


def trusting_proven(certificate: x509.Certificate) -> PolicyBuilder:
    """The same for a CA that was validated before: its rules need not be applied again."""
    return _policy(certificate, _PROVEN_CA)


def _policy(certificate: x509.Certificate, ca_policy: ExtensionPolicy) -> PolicyBuilder:
    return PolicyBuilder().store(Store([certificate])).extension_policies(ca_policy=ca_policy, ee_policy=_END_ENTITY)


def verify(
    policy: PolicyBuilder, leaf: bytes, issuers: list[x509.Certificate], now: datetime, *, may_warn: bool
) -> VerifiedClient:
    """What the validator finds, with a chain from the certificate to one that is trusted.

    :param policy: made by :func:`trusting` or :func:`trusting_proven`.
    :param leaf: DER of the certificate.
    :param issuers: certificates that may lie between, in any order.
    :param may_warn: whether the validator may warn, of odd serial numbers and names: then it is silenced, which other
        threads have to wait for.
    """
    verifier = _verifier(policy, now.replace(microsecond=0))

    def run() -> VerifiedClient:
        return verifier.verify(x509.load_der_x509_certificate(leaf), issuers)

    return quietly(run) if may_warn else run()


@lru_cache(maxsize=16)
def _verifier(policy: PolicyBuilder, second: datetime) -> ClientVerifier:
    """Kept, because the times of certificates have no fractions of a second."""
    return policy.time(second).build_client_verifier()


def reason(error: Exception) -> str:
    """Why a path is not valid, in the words of the validator."""
    text = quietly(lambda: str(error))
    for prefix in ("validation failed: ", "candidates exhausted: ", "fatal error: "):
        text = text.removeprefix(prefix)
    return text.removeprefix("Python extension validator failed: ValueError: ").partition(" (encountered")[0]
