"""An issuer of one's own: certificates are ordered, and come when somebody else's CA likes. Clients poll."""

import tempfile
from dataclasses import replace

import anyio

from cmpkit.parts import Pending
from cmpkit.testing import InProcessCA


class Ordering:
    def __init__(self, inner, ordered):
        self.inner, self.ordered = inner, ordered

    async def issue(self, request, auth, *, idempotency_key, now):
        if idempotency_key not in self.ordered:
            self.ordered.add(idempotency_key)
            return Pending(check_after=1, reason="ordered")
        return await self.inner.issue(request, auth, idempotency_key=idempotency_key, now=now)

    def __getattr__(self, name):  # confirm, revoke, crl ... are as they were
        return getattr(self.inner, name)


class OrderingCA(InProcessCA):
    def server(self, store, ordered=set()):  # noqa: B006 - there is one server for each message, and one set
        made = super().server(store)
        return replace(made, workshop=replace(made.workshop, issuer=Ordering(made.workshop.issuer, ordered)))


async def main():
    with tempfile.TemporaryDirectory() as home:
        ca = await OrderingCA.make(home)
        async with ca.client(await ca.add_secret("dev-42")) as client:
            print(f"it came: {len((await client.enroll('CN=dev-42')).certificate)} octets")


anyio.run(main)
