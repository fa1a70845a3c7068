"""A plugin with the policy of the measured server: devices of a known maker enrol under their own name."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from cmpkit.crypto.names import names_match
from cmpkit.enums import BodyType, PKIFailureInfo
from cmpkit.errors import CMPError
from cmpkit.hookspecs import hookimpl
from cmpkit.parts import (
    Authenticated,
    CertificateRecord,
    CertificateRequest,
    OpenContext,
    ProtectionKind,
    RequestTemplate,
    RevocationRequest,
)

__all__ = ["KIND", "DevicePolicy", "DevicePolicyFactory", "cmpkit_policies"]

KIND = "devices"
_PROFILE = "device"


class DevicePolicy:
    """Who signs with a maker's certificate may enrol under the name in it, and do nothing else."""

    name = KIND

    async def authorize(self, body_type: BodyType, auth: Authenticated, *, now: datetime) -> None:
        if auth.credential.kind is not ProtectionKind.SIGNATURE or body_type is not BodyType.IR:
            raise CMPError("devices may only enrol, by their certificate", PKIFailureInfo.NOT_AUTHORIZED)

    async def authorize_request(
        self, request: CertificateRequest, auth: Authenticated, *, now: datetime
    ) -> CertificateRequest:
        await self.authorize(request.body_type, auth, now=now)
        if request.subject is None or auth.subject is None or not names_match(request.subject, auth.subject):
            raise CMPError("a device may only have its own name", PKIFailureInfo.NOT_AUTHORIZED)
        return request.under(_PROFILE)

    async def authorize_revocation(
        self, request: RevocationRequest, record: CertificateRecord, auth: Authenticated, *, now: datetime
    ) -> None:
        await self.authorize(BodyType.RR, auth, now=now)

    async def request_template(self, profile: str | None, auth: Authenticated, *, now: datetime) -> RequestTemplate:
        await self.authorize(BodyType.GENM, auth, now=now)
        return RequestTemplate(auth.subject)


class DevicePolicyFactory:
    """Opens it."""

    kind = KIND

    async def open(self, settings: Mapping[str, Any], context: OpenContext) -> DevicePolicy:
        return DevicePolicy()


@hookimpl
def cmpkit_policies() -> list[DevicePolicyFactory]:
    return [DevicePolicyFactory()]
