"""An endpoint without an issuer issues nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography import x509

from cmpkit.enums import BodyType, CRLReason, PKIFailureInfo
from cmpkit.errors import CMPError
from cmpkit.parts import (
    Authenticated,
    CertificateRequest,
    Credential,
    ProtectionKind,
    Rejected,
    RevocationRequest,
)
from cmpkit.relay.no_issuer import NoIssuer

NOW = datetime(2026, 11, 23, tzinfo=UTC)
ANYBODY = Authenticated("", Credential(ProtectionKind.MAC, "mac:00"))


async def test_requests_and_revocations_are_rejected() -> None:
    issuer, request = NoIssuer(), CertificateRequest(BodyType.IR, 0, b"")
    revocation = RevocationRequest(x509.Name([]), 1, CRLReason.UNSPECIFIED)
    for answer in (
        await issuer.issue(request, ANYBODY, idempotency_key="", now=NOW),
        await issuer.revoke(revocation, ANYBODY, now=NOW),
    ):
        assert isinstance(answer, Rejected)
        assert answer.error.fail_info is PKIFailureInfo.WRONG_AUTHORITY


async def test_there_are_no_certificates_and_no_crl() -> None:
    issuer, nothing = NoIssuer(), None
    certificate: Any = nothing
    assert await issuer.ca_certificates() == ()
    assert await issuer.root_key_update() is None
    with pytest.raises(CMPError):
        await issuer.crl(now=NOW)
    with pytest.raises(CMPError):
        await issuer.confirm(certificate, accepted=True, now=NOW)
