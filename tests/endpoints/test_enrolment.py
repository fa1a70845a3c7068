"""A client and a server, from the first certificate to its revocation."""

from __future__ import annotations

from cmpkit.enums import CRLReason
from cmpkit.parts import CertificateState


async def test_a_client_enrols_updates_and_revokes(world):
    secret = await world.secret()
    async with world.client(secret) as client:
        enrolled = await client.enroll(subject="CN=dev-42")
        (record,) = await world.certificates()
        assert record.state is CertificateState.VALID
        assert record.der == enrolled.certificate
        renewed = await client.update(enrolled)
        assert renewed.certificate != enrolled.certificate
        await client.revoke(renewed, reason=CRLReason.KEY_COMPROMISE)
    records = await world.certificates()
    assert [record.state for record in records] == [CertificateState.REVOKED, CertificateState.VALID]
