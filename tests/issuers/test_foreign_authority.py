"""What a CA elsewhere gives is looked at before anybody gets it, and who is gone does not stop the others."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from cmpkit.ca.hierarchy import make_root_crl
from cmpkit.crypto.keys import generate_key
from cmpkit.crypto.x509 import CertificateContent, build_certificate, outline
from cmpkit.endpoints.abandoning import end_abandoned
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError, ConflictError
from cmpkit.issuers.authority import Order
from cmpkit.parts import Abandoned, Intent, UnitOfWork

from .conftest import DEVICE, NOW, Landscape


async def certificate(landscape: Landscape, key: Any, **changes: Any) -> bytes:
    """One that the CA, or who has its name, issued for a key."""
    signer = changes.pop("signer", landscape.ca.issuing_key)
    values = {
        "serial_number": 7,
        "issuer": landscape.ca.issuing.subject,
        "subject": landscape.request().subject,
        "not_before": NOW,
        "not_after": NOW + timedelta(days=1),
        "public_key_info": key.public_key_info,
        "extensions": (),
        **changes,
    }
    return await build_certificate(CertificateContent(**values), signer)


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({"issuer": "root"}, "was issued by"),
        ({"signer": "other"}, "that it did not sign"),
        ({"serial_number": 1 << 160}, "with the serial number"),
        ({"public_key_info": "other"}, "for another key"),
        ({"not_after": NOW - timedelta(seconds=1), "not_before": NOW - timedelta(days=1)}, "that ended at"),
    ],
)
async def test_a_wrong_certificate_is_not_passed_on(landscape: Landscape, changes: Any, detail: str) -> None:
    key, other = (generate_key("p256", landscape.plugins) for _ in range(2))
    strange = {
        "root": outline(landscape.ca.issuing.all[-1]).subject_der,
        "other": other.public_key_info if "public_key_info" in changes else other,
    }
    changes = {name: strange.get(value, value) if isinstance(value, str) else value for name, value in changes.items()}
    order = Order("key", key.public_key_info, landscape.request().subject, "device", "")
    with pytest.raises(CMPError, match=detail) as caught:
        await landscape.authority.issued(await certificate(landscape, key, **changes), order, NOW)
    assert caught.value.fail_info is PKIFailureInfo.SYSTEM_FAILURE
    good = await landscape.authority.issued(await certificate(landscape, key), order, NOW)
    assert good.certificate.serial_number == 7


async def test_octets_that_are_no_certificate_are_refused(landscape: Landscape) -> None:
    order = Order("key", b"", landscape.request().subject, "device", "")
    with pytest.raises(CMPError, match="cannot be read"):
        await landscape.authority.issued(b"no certificate", order, NOW)


async def test_a_crl_of_somebody_else_is_refused(landscape: Landscape) -> None:

    crl = await make_root_crl(landscape.ca.issuing.all[-1], landscape.ca.issuing_key, now=NOW)
    with pytest.raises(CMPError, match="in place of its own"):
        landscape.authority.checked_crl(crl)


async def test_there_must_be_a_profile(landscape: Landscape) -> None:
    with pytest.raises(CMPError, match="there is no profile 'nothing'") as caught:
        landscape.authority.order(replace(landscape.request(), profile="nothing"), DEVICE, "key", NOW)
    assert caught.value.fail_info is PKIFailureInfo.BAD_CERT_TEMPLATE


class Failing:
    """An issuer that cannot end some requests."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def abandon(self, idempotency_key: str, *, now: Any) -> Abandoned:
        self.asked.append(idempotency_key)
        if idempotency_key == "one":
            raise CMPError("not now")
        if idempotency_key == "two":
            raise ConflictError("somebody else did")
        return Abandoned()


async def test_one_that_cannot_be_ended_does_not_stop_the_others(
    landscape: Landscape, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    keys = ("one", "two", "three")
    intents = tuple(
        Intent(key, b"unknown", "mac:00", "issue", NOW + timedelta(seconds=at)) for at, key in enumerate(keys)
    )
    await landscape.store.commit(UnitOfWork(intents=intents))
    issuer: Any = Failing()
    later = NOW + timedelta(hours=1)
    await end_abandoned(issuer, landscape.store, landscape.plugins, now=later, before=later)
    assert issuer.asked == ["one", "two", "three"]
    left = await landscape.store.abandoned_intents(before=later)
    assert [intent.idempotency_key for intent in left] == ["one", "two"]
    assert "abandoned one cannot be ended: not now" in caplog.text


async def test_what_an_issuer_knows_nothing_of_is_forgotten(landscape: Landscape) -> None:
    await landscape.store.commit(UnitOfWork(intents=(Intent("one", b"unknown", "mac:00", "issue", NOW),)))
    issuer: Any = object()
    later = NOW + timedelta(hours=1)
    await end_abandoned(issuer, landscape.store, landscape.plugins, now=later, before=later)
    assert await landscape.store.abandoned_intents(before=later) == ()
