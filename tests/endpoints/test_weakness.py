"""A certificate for a key that is stronger than what protected the request is issued, and the operator is told."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest

from cmpkit.crypto.keys import generate_key
from cmpkit.parts import AuditEntry, SharedSecret
from cmpkit.parts import SecretRecord as Record

from .conftest import World


async def told(world: World) -> list[AuditEntry]:
    return [entry for entry in await world.store.audit_entries() if entry.event == "weak protection"]


async def secret_of(world: World, octets: int, reference: str) -> SharedSecret:
    made = await world.secret(f"not {reference}", subject=None)
    known = await world.store.find_secret(made.reference)
    assert known is not None
    secret = SharedSecret(reference, b"x" * octets)
    await world.store.add_secret(Record(secret, replace(known.grant, uses=None)))
    return secret


@pytest.mark.rule("R-176")
@pytest.mark.parametrize(
    ("octets", "key_type", "bits"),
    [(16, "p256", None), (16, "p384", (128, 192)), (12, "p256", (96, 128)), (32, "p521", None)],
)
async def test_a_secret_that_is_weaker_than_the_key_is_told_of(
    world: World, caplog: pytest.LogCaptureFixture, octets: int, key_type: str, bits: tuple[int, int] | None
) -> None:
    secret = await secret_of(world, octets, "dev-42")
    with caplog.at_level(logging.WARNING):
        async with world.client(secret) as client:
            await client.enroll(subject="CN=dev-42", key=generate_key(key_type, world.plugins))
    entries = await told(world)
    assert [(entry.details["bits"], entry.details["key_bits"]) for entry in entries] == ([] if bits is None else [bits])
    (record,) = await world.certificates()
    assert ("bits of security" in caplog.text) is (bits is not None)
    assert [entry.details["serial"] for entry in entries] == [f"{record.serial_number:x}"] * len(entries)


@pytest.mark.rule("R-176")
async def test_a_certificate_with_a_weaker_key_than_the_new_one_is_told_of(world: World) -> None:
    async with world.client(await world.secret()) as client:
        first = await client.enroll(subject="CN=dev-42", key=generate_key("p256", world.plugins))
    for key_type, count in (("p256", 0), ("ed25519", 0), ("p384", 1), ("p256", 1)):
        async with world.client(first.credentials) as client:
            first = await client.update(key=generate_key(key_type, world.plugins))
        assert len(await told(world)) == count
