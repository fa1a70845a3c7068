"""The certificate of the OCSP signer is renewed before it ends, without a restart."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography import x509

from cmpkit.asn1 import encode
from cmpkit.asn1.ocsp import OCSPRequest, Request, TBSRequest
from cmpkit.ca.hierarchy import make_ocsp_signer
from cmpkit.ca.ocsp import OCSPResponder, OCSPSigner
from cmpkit.ca.ocsp_renewal import OCSPSignerRenewal
from cmpkit.crypto.ocsp import cert_id
from cmpkit.crypto.ocsp_answers import read_ocsp_response
from cmpkit.errors import ConfigurationError
from cmpkit.parts import PrivateKey
from cmpkit.plugins import Plugins

DAY = timedelta(days=1)
VALIDITY = 90 * DAY


class Place:
    """Where certificates are kept, if that can be done."""

    def __init__(self) -> None:
        self.kept: list[bytes] = []
        self.fault: ConfigurationError | None = None

    async def keep(self, der: bytes) -> None:
        if self.fault is not None:
            raise self.fault
        self.kept.append(der)


@pytest.fixture
def place() -> Place:
    return Place()


@pytest.fixture
async def signer(ca: Any, other_key: PrivateKey) -> OCSPSigner:
    record = await make_ocsp_signer(ca.certificate, ca.key, key=other_key, now=ca.ask.now, validity=VALIDITY)
    return OCSPSigner(other_key, ca.certificate.der, (record.der,))


@pytest.fixture
def renewal(ca: Any, signer: OCSPSigner, place: Place) -> OCSPSignerRenewal:
    return OCSPSignerRenewal(signer, ca.certificate, ca.key, ca.store, place.keep, validity=VALIDITY)


@pytest.mark.parametrize(("days", "renewed"), [(0, False), (59, False), (61, True), (89, True), (300, True)])
async def test_it_is_renewed_when_a_third_of_its_validity_is_left(
    ca: Any, signer: OCSPSigner, renewal: OCSPSignerRenewal, place: Place, *, days: int, renewed: bool
) -> None:
    before, now = signer.certificates, ca.ask.now + days * DAY
    assert await renewal.renew(now) is renewed
    assert (signer.certificates != before) is renewed
    assert place.kept == list(signer.certificates) * renewed
    assert not await renewal.renew(now)
    if renewed:
        (der,) = signer.certificates
        (record,) = [one for one in await ca.store.certificates() if one.der == der]
        assert (record.not_before, record.not_after) == (ca.ask.second + days * DAY, ca.ask.second + (days + 90) * DAY)
        assert x509.load_der_x509_certificate(der).extensions.get_extension_for_class(x509.OCSPNoCheck)


async def test_answers_are_good_before_and_after(
    ca: Any, signer: OCSPSigner, renewal: OCSPSignerRenewal, plugins: Plugins
) -> None:
    record = await ca.issue()
    responder = OCSPResponder([signer], ca.store, validity=timedelta(hours=1))
    asked = cert_id(ca.certificate.der, record.serial_number)
    question = encode(OCSPRequest(tbs_request=TBSRequest(request_list=[Request(req_cert=asked)])))

    async def standing(now: datetime) -> str:
        answer = await responder.respond(question, now=now)
        read = read_ocsp_response(answer.der, asked, b"", issuer=ca.certificate.der, now=now, plugins=plugins)
        return read.standing

    for days in range(0, 300, 30):
        now = ca.ask.now + days * DAY
        await renewal.renew(now)
        assert await standing(now) == "good", days


async def test_it_does_not_outlive_the_ca(ca: Any, renewal: OCSPSignerRenewal, signer: OCSPSigner) -> None:
    end = ca.certificate.not_after
    assert await renewal.renew(end - 10 * DAY)
    assert x509.load_der_x509_certificate(signer.certificates[0]).not_valid_after_utc == end
    for later in (timedelta(), 9 * DAY, 11 * DAY):
        assert not await renewal.renew(end - 10 * DAY + later)


async def test_what_cannot_be_kept_is_used_all_the_same(
    ca: Any, renewal: OCSPSignerRenewal, signer: OCSPSigner, place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    place.fault = ConfigurationError("the disk is full")
    before = signer.certificates
    with caplog.at_level(logging.WARNING):
        assert await renewal.renew(ca.ask.now + 80 * DAY)
    assert signer.certificates != before
    assert "is not kept: the disk is full" in caplog.text
