"""When a client looks whether what it is about to trust is revoked, and what becomes of the certificate if it is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import pytest

from cmpkit.endpoints.client import Client
from cmpkit.endpoints.saving import TransactionFolder
from cmpkit.errors import CMPError, TransportError, TrustError
from cmpkit.parts import CertificateState, SharedSecret

from .conftest import World, subject_of

LEAF, CA = "CN=dev-42", "CN=Example CA,O=Example"


class Says:
    """In place of CRLs and responders: what is wrong with certificates, by their subjects."""

    def __init__(self, **faults: CMPError) -> None:
        self.wrong = {{"leaf": LEAF, "ca": CA}[name]: error for name, error in faults.items()}
        self.asked: list[str] = []

    async def check(self, path: Sequence[bytes], *, now: datetime) -> None:
        for der in path[:-1]:
            self.asked.append(subject_of(der))
            if subject_of(der) in self.wrong:
                raise self.wrong[subject_of(der)]


REVOKED = TrustError("it is revoked")
GONE = TransportError("nobody answers")


def client(world: World, secret: SharedSecret, says: Says, folder: Path) -> Client:
    made = world.client(secret, state=folder)
    made._revocation = says  # type: ignore[assignment]
    return made


async def state(world: World) -> CertificateState:
    (record,) = await world.certificates()
    return record.state


async def test_the_cas_are_looked_at_before_the_certificate_is_confirmed_and_itself_after(world, tmp_path):
    says, secret = Says(), await world.secret()
    async with client(world, secret, says, tmp_path) as asking:
        await asking.enroll(subject=LEAF)
    assert says.asked == [CA, LEAF]


async def test_a_certificate_of_a_ca_that_is_revoked_is_rejected(world, tmp_path):
    async with client(world, await world.secret(), Says(ca=REVOKED), tmp_path) as asking:
        with pytest.raises(TrustError, match="the certificate was rejected: it is revoked"):
            await asking.enroll(subject=LEAF)
    assert await state(world) is CertificateState.REVOKED


async def test_a_certificate_that_is_revoked_itself_is_not_taken(world, tmp_path):
    async with client(world, await world.secret(), Says(leaf=REVOKED), tmp_path) as asking:
        with pytest.raises(TrustError, match="it is revoked"):
            await asking.enroll(subject=LEAF)


@pytest.mark.parametrize(
    ("says", "meanwhile"), [(Says(ca=GONE), CertificateState.ISSUED), (Says(leaf=GONE), CertificateState.VALID)]
)
async def test_where_nobody_answers_the_operation_is_gone_on_with_later(world, tmp_path, says, meanwhile):
    secret = await world.secret()
    async with client(world, secret, says, tmp_path) as asking:
        with pytest.raises(TransportError, match="nobody answers"):
            await asking.enroll(subject=LEAF)
    assert await state(world) is meanwhile
    (transaction,) = TransactionFolder(tmp_path).all()
    async with client(world, secret, Says(), tmp_path) as asking:
        enrolled = await asking.resume(transaction)
    assert subject_of(enrolled.certificate) == LEAF
    assert await state(world) is CertificateState.VALID
