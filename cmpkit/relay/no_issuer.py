"""The issuer of an endpoint that issues nothing itself: a registration authority whose routes all lead elsewhere."""

from __future__ import annotations

from datetime import datetime

from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError
from cmpkit.parts import (
    Authenticated,
    CertificateChange,
    CertificateRecord,
    CertificateRequest,
    Issued,
    Pending,
    Rejected,
    RevocationRequest,
    Revoked,
    RootKeyUpdate,
)

__all__ = ["NoIssuer", "no_route"]


class NoIssuer:
    """Refuses what no route took."""

    name = "none"
    local = True
    crl_urls: tuple[str, ...] = ()

    async def issue(
        self, request: CertificateRequest, auth: Authenticated, *, idempotency_key: str, now: datetime
    ) -> Issued | Pending | Rejected:
        """Refuse it."""
        return Rejected(no_route())

    async def confirm(
        self, certificate: CertificateRecord, *, accepted: bool, now: datetime
    ) -> CertificateChange | Pending:
        """There are no certificates.

        :raises CMPError: always.
        """
        raise no_route()

    async def revoke(
        self, request: RevocationRequest, auth: Authenticated, *, now: datetime
    ) -> Revoked | Pending | Rejected:
        """Refuse it."""
        return Rejected(no_route())

    async def ca_certificates(self) -> tuple[bytes, ...]:
        """None."""
        return ()

    async def crl(self, *, now: datetime) -> bytes:
        """There is no CRL.

        :raises CMPError: always.
        """
        raise no_route()

    async def root_key_update(self) -> RootKeyUpdate | None:
        """None."""
        return None


def no_route() -> CMPError:
    """Why a message is refused that fits no route, where nothing is issued."""
    return CMPError(
        "no [[route]] takes this message, and there is no [issuer]",
        PKIFailureInfo.WRONG_AUTHORITY,
        hint="add a [[route]] that it fits, or one without conditions",
        status_text="nobody here answers for that",
    )
