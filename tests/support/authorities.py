"""A CA that takes the word of a registration authority, and the authority's certificate."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from cryptography import x509

from cmpkit.ca.operator import OPERATOR
from cmpkit.ca.profiles import load_profile
from cmpkit.crypto.keys import generate_key
from cmpkit.crypto.names import parse_name
from cmpkit.endpoints.credentials import SigningCredentials
from cmpkit.endpoints.server import Server
from cmpkit.enums import BodyType
from cmpkit.parts import Authenticated, CertificateRequest, CertificateState, Issued, Policy, Store, UnitOfWork
from cmpkit.testing import InProcessCA


class TrustingPolicy:
    """Allows a registration authority whatever it asks for; others what another policy allows."""

    name = "trusting"

    def __init__(self, others: Any) -> None:
        self._others = others

    def __getattr__(self, name: str) -> Any:
        return getattr(self._others, name)

    async def authorize(self, body_type: BodyType, auth: Authenticated, *, now: datetime) -> None:
        if "ra" not in auth.roles:
            await self._others.authorize(body_type, auth, now=now)

    async def authorize_request(
        self, request: CertificateRequest, auth: Authenticated, *, now: datetime
    ) -> CertificateRequest:
        if "ra" not in auth.roles:
            return await self._others.authorize_request(request, auth, now=now)
        return request if request.profile else request.under("device")

    async def authorize_revocation(self, request: Any, record: Any, auth: Authenticated, *, now: datetime) -> None:
        if "ra" not in auth.roles:
            await self._others.authorize_revocation(request, record, auth, now=now)


class TrustingCA(InProcessCA):
    """A CA with that policy."""

    def server(self, store: Store) -> Server:
        server = super().server(store)
        policy: Policy = TrustingPolicy(server.workshop.policy)
        return replace(server, workshop=replace(server.workshop, policy=policy))

    async def authority(self, name: str = "CN=RA") -> SigningCredentials:
        """The certificate of a registration authority, with its key."""
        key, now = generate_key("p256", self.plugins), self.clock()
        profile = load_profile("ra", {"extended_key_usage": ["cmcRA"], "special": True}, self.plugins)
        subject: x509.Name = parse_name(name)
        request = CertificateRequest(BodyType.P10CR, -1, key.public_key_info, subject, profile="ra")
        async with self.store() as store:
            issuer = replace(self, profiles={**self.profiles, "ra": profile}).server(store).workshop.issuer
            issued = await issuer.issue(request, OPERATOR, idempotency_key=name, now=now)
            assert isinstance(issued, Issued)
            record = replace(issued.certificate, state=CertificateState.VALID)
            await store.commit(UnitOfWork(certificates=(record,)))
        return SigningCredentials(issued.certificate.der, key, self.issuing.all)
