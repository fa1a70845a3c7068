"""What a registration authority passes on, and what comes back, through both kinds of protection."""

from __future__ import annotations

import pytest
from relaying import Authority, new_secret

from cmpkit.crypto.keys import generate_key
from cmpkit.endpoints.credentials import SigningCredentials
from cmpkit.parts import SharedSecret


async def enrolled(ra: Authority, secret: SharedSecret | None = None, **options: object) -> SigningCredentials:
    secret = secret or await new_secret(ra)
    key = generate_key("p256", ra.ca.plugins)
    subject = f"CN={secret.reference.decode()}"
    return (await ra.client(secret, **options).enroll(subject=subject, key=key)).credentials


@pytest.mark.rule("R-150")
async def test_a_device_enrols_through_the_authority_with_every_octet_unchanged(ra: Authority) -> None:
    async with ra.running():
        await enrolled(ra)
        assert len(ra.line.sent) == 2
        assert await ra.store.relayed_messages(upstream="ca") == ()
        (entry,) = await ra.audit("relayed")
        assert entry.details["answer"] == "ip accepted"


@pytest.mark.parametrize("forward", ["unchanged", "nest", "reprotect"])
@pytest.mark.rule("R-162")
async def test_certificates_are_updated_and_revoked_through_the_authority(ra: Authority, forward: str) -> None:
    ra.forward = forward
    async with ra.running():
        device = await enrolled(ra)
        updated = await ra.client(device).update(device)
        await ra.client(updated.credentials).revoke(updated.credentials)
        assert await ra.store.relayed_messages(upstream="ca") == ()
