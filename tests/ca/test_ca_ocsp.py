"""The OCSP responder, read by cryptography's own reader."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import ocsp
from cryptography.x509.ocsp import OCSPCertStatus, OCSPResponseStatus

from cmpkit import oids
from cmpkit.asn1 import AlgorithmIdentifier, Extension, Null, encode
from cmpkit.asn1.ocsp import OCSPRequest, Request, TBSRequest
from cmpkit.ca import ocsp as responding
from cmpkit.ca.hierarchy import make_ocsp_signer
from cmpkit.ca.ocsp import OCSPResponder, OCSPSigner
from cmpkit.crypto.ocsp import cert_id
from cmpkit.enums import CRLReason, PKIFailureInfo
from cmpkit.errors import CMPError
from cmpkit.parts import CertificateRecord, PrivateKey

HOUR = timedelta(hours=1)
Respond = Callable[..., Awaitable[ocsp.OCSPResponse]]


class CountingKey:
    """Counts what it signs."""

    def __init__(self, key: PrivateKey) -> None:
        self._key, self.signed = key, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._key, name)

    async def sign(self, data: bytes, algorithm: AlgorithmIdentifier | None = None) -> bytes:
        self.signed += 1
        await anyio.lowlevel.checkpoint()
        return await self._key.sign(data, algorithm)


def question(
    ca: Any, record: CertificateRecord, *, nonce: bytes | None = None, algorithm: hashes.HashAlgorithm | None = None
) -> bytes:
    """By cryptography's builder."""
    issuer = x509.load_der_x509_certificate(ca.certificate.der)
    builder = ocsp.OCSPRequestBuilder().add_certificate(
        x509.load_der_x509_certificate(record.der), issuer, algorithm or hashes.SHA1()
    )
    if nonce is not None:
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    return builder.build().public_bytes(serialization.Encoding.DER)


def questions(ca: Any, *serials: int, extensions: list[Extension] | None = None, version: int = 0) -> bytes:
    requests = [Request(req_cert=cert_id(ca.certificate.der, serial)) for serial in serials]
    tbs = TBSRequest(version=version, request_list=requests, request_extensions=extensions)
    return encode(OCSPRequest(tbs_request=tbs))


@pytest.fixture
def signing(ca: Any) -> CountingKey:
    return CountingKey(ca.key)


@pytest.fixture
def responder(ca: Any, signing: CountingKey) -> Callable[..., OCSPResponder]:
    """A responder that signs by the key of the CA."""

    def make(**settings: Any) -> OCSPResponder:
        signer = OCSPSigner(signing, ca.certificate.der)
        return OCSPResponder([signer], ca.store, **{"validity": HOUR, **settings})

    return make


async def ask(responder: OCSPResponder, der: bytes, now: datetime) -> ocsp.OCSPResponse:
    return ocsp.load_der_ocsp_response((await responder.respond(der, now=now)).der)


@pytest.mark.parametrize("algorithm", [hashes.SHA1(), hashes.SHA256(), hashes.SHA384(), hashes.SHA512()])
async def test_a_valid_certificate_is_good(ca: Any, responder: Any, algorithm: hashes.HashAlgorithm) -> None:
    record = await ca.issue()
    response = await ask(responder(), question(ca, record, algorithm=algorithm), ca.ask.now)
    assert response.response_status is OCSPResponseStatus.SUCCESSFUL
    assert (response.certificate_status, response.serial_number) == (OCSPCertStatus.GOOD, record.serial_number)
    assert (response.this_update_utc, response.next_update_utc) == (ca.ask.second, ca.ask.second + HOUR)
    assert response.produced_at_utc == ca.ask.second
    assert isinstance(response.hash_algorithm, type(algorithm))
    assert list(response.extensions) == []
    assert response.certificates == []
    key = x509.load_der_x509_certificate(ca.certificate.der).public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    key.verify(response.signature, response.tbs_response_bytes, ec.ECDSA(hashes.SHA256()))
    assert response.responder_key_hash == x509.SubjectKeyIdentifier.from_public_key(key).digest


async def test_a_certificate_that_is_not_confirmed_yet_is_good(ca: Any, responder: Any) -> None:
    record = await ca.issue(confirm=False)
    assert (await ask(responder(), question(ca, record), ca.ask.now)).certificate_status is OCSPCertStatus.GOOD


@pytest.mark.parametrize(
    ("reason", "shown"),
    [
        (CRLReason.KEY_COMPROMISE, x509.ReasonFlags.key_compromise),
        (CRLReason.CERTIFICATE_HOLD, x509.ReasonFlags.certificate_hold),
        (CRLReason.UNSPECIFIED, None),
    ],
)
async def test_a_revoked_certificate_has_the_time_and_the_reason(
    ca: Any, responder: Any, reason: CRLReason, shown: x509.ReasonFlags | None
) -> None:
    record = await ca.revoke(await ca.issue(), reason)
    response = await ask(responder(), question(ca, record), ca.ask.now + HOUR)
    assert response.certificate_status is OCSPCertStatus.REVOKED
    assert (response.revocation_time_utc, response.revocation_reason) == (ca.ask.second, shown)


@pytest.mark.parametrize(
    ("never_issued", "shown"),
    [("unknown", OCSPCertStatus.UNKNOWN), ("good", OCSPCertStatus.GOOD), ("revoked", OCSPCertStatus.REVOKED)],
)
async def test_what_was_never_issued_is_called_as_set(
    ca: Any, responder: Any, never_issued: str, shown: OCSPCertStatus
) -> None:
    response = await ask(responder(never_issued=never_issued), questions(ca, 4711), ca.ask.now)
    assert response.certificate_status is shown


async def test_what_was_never_issued_is_revoked_in_the_way_of_rfc_6960(ca: Any, responder: Any) -> None:
    response = await ask(responder(never_issued="revoked"), questions(ca, 4711), ca.ask.now)
    assert response.revocation_time_utc == datetime(1970, 1, 1, tzinfo=UTC)
    assert response.revocation_reason is x509.ReasonFlags.certificate_hold
    assert [extension.oid for extension in response.extensions] == [oids.OCSP_EXTENDED_REVOKE]


async def test_several_certificates_are_answered_in_their_order(ca: Any, responder: Any) -> None:
    good, revoked = await ca.issue(), await ca.revoke(await ca.issue())
    response = await ask(responder(), questions(ca, revoked.serial_number, 5, good.serial_number), ca.ask.now)
    assert [(one.serial_number, one.certificate_status) for one in response.responses] == [
        (revoked.serial_number, OCSPCertStatus.REVOKED),
        (5, OCSPCertStatus.UNKNOWN),
        (good.serial_number, OCSPCertStatus.GOOD),
    ]


async def test_a_certificate_of_another_issuer_among_ours_is_unknown(ca: Any, responder: Any) -> None:
    record = await ca.issue()
    stranger = cert_id(ca.certificate.chain[0], record.serial_number)
    requests = [Request(req_cert=stranger), Request(req_cert=cert_id(ca.certificate.der, record.serial_number))]
    der = encode(OCSPRequest(tbs_request=TBSRequest(request_list=requests)))
    response = await ask(responder(), der, ca.ask.now)
    assert [one.certificate_status for one in response.responses] == [OCSPCertStatus.UNKNOWN, OCSPCertStatus.GOOD]


async def test_who_asks_only_about_others_is_told_that_we_have_no_say(ca: Any, responder: Any) -> None:
    request = Request(req_cert=cert_id(ca.certificate.chain[0], 5))
    der = encode(OCSPRequest(tbs_request=TBSRequest(request_list=[request])))
    assert (await ask(responder(), der, ca.ask.now)).response_status is OCSPResponseStatus.UNAUTHORIZED


async def test_a_hash_that_nobody_knows_is_that_of_another_issuer(ca: Any, responder: Any) -> None:
    known = cert_id(ca.certificate.der, 5)
    asked = type(known)(
        hash_algorithm=AlgorithmIdentifier(x509.ObjectIdentifier("1.2.3")),
        issuer_name_hash=known.issuer_name_hash,
        issuer_key_hash=known.issuer_key_hash,
        serial_number=5,
    )
    der = encode(OCSPRequest(tbs_request=TBSRequest(request_list=[Request(req_cert=asked)])))
    assert (await ask(responder(), der, ca.ask.now)).response_status is OCSPResponseStatus.UNAUTHORIZED


def nonce(value: bytes, *, critical: bool = False) -> Extension:
    return Extension(extn_id=oids.OCSP_NONCE, critical=critical, extn_value=value)


@pytest.mark.parametrize("size", [1, 16, 32, 128])
async def test_a_nonce_is_echoed_and_its_answer_is_not_kept(
    ca: Any, responder: Any, signing: CountingKey, size: int
) -> None:
    record, answers = await ca.issue(), responder()
    asked = encode(bytes(range(size)))
    for _ in range(2):
        der = questions(ca, record.serial_number, extensions=[nonce(asked)])
        answer = await answers.respond(der, now=ca.ask.now)
        assert (answer.this_update, answer.next_update) == (None, None)
        (extension,) = ocsp.load_der_ocsp_response(answer.der).extensions
        assert extension.value.public_bytes() == asked
    assert signing.signed == 2


async def test_a_nonce_is_left_out_where_that_is_set(ca: Any, responder: Any, signing: CountingKey) -> None:
    record, answers = await ca.issue(), responder(nonces=False)
    for value in (b"first nonce 0123", b"other nonce 0123"):
        response = await ask(answers, question(ca, record, nonce=encode(value)), ca.ask.now)
        assert list(response.extensions) == []
    assert signing.signed == 1


def unknown(*, critical: bool) -> Extension:
    return Extension(extn_id=x509.ObjectIdentifier("1.2.3"), critical=critical, extn_value=encode(Null()))


MALFORMED: list[tuple[str, Callable[[Any], bytes]]] = [
    ("no DER", lambda ca: b"what is this"),
    ("nothing", lambda ca: b""),
    ("another version", lambda ca: questions(ca, 5, version=1)),
    ("no certificate", questions),
    ("too many certificates", lambda ca: questions(ca, *range(17))),
    ("an empty nonce", lambda ca: questions(ca, 5, extensions=[nonce(b"\x04\x00")])),
    ("a nonce of 129 octets", lambda ca: questions(ca, 5, extensions=[nonce(encode(bytes(129)))])),
    ("a nonce that is no OCTET STRING", lambda ca: questions(ca, 5, extensions=[nonce(b"\x05\x00")])),
    ("two nonces", lambda ca: questions(ca, 5, extensions=[nonce(encode(b"a")), nonce(encode(b"b"))])),
    (
        "an unknown critical extension",
        lambda ca: questions(
            ca,
            5,
            extensions=[Extension(extn_id=x509.ObjectIdentifier("1.2.3"), critical=True, extn_value=encode(Null()))],
        ),
    ),
]


@pytest.mark.parametrize("make", [pytest.param(make, id=name) for name, make in MALFORMED])
async def test_what_is_no_request_is_told_to_be_malformed(ca: Any, responder: Any, make: Any) -> None:
    response = await ask(responder(), make(ca), ca.ask.now)
    assert response.response_status is OCSPResponseStatus.MALFORMED_REQUEST


async def test_an_extension_that_is_not_critical_is_passed_over(ca: Any, responder: Any) -> None:
    record = await ca.issue()
    der = questions(ca, record.serial_number, extensions=[unknown(critical=False)])
    assert (await ask(responder(), der, ca.ask.now)).certificate_status is OCSPCertStatus.GOOD


async def test_an_answer_is_signed_once_in_its_validity(ca: Any, responder: Any, signing: CountingKey) -> None:
    record, answers = await ca.issue(), responder()
    der = question(ca, record)
    first = await answers.respond(der, now=ca.ask.now)
    assert await answers.respond(der, now=ca.ask.now + 0.89 * HOUR) is first
    assert signing.signed == 1
    later = await answers.respond(der, now=ca.ask.now + 0.9 * HOUR)
    assert later.this_update == ca.ask.now + 0.9 * HOUR
    assert signing.signed == 2


async def test_an_answer_from_the_future_is_not_given(ca: Any, responder: Any) -> None:
    record, answers = await ca.issue(), responder()
    await answers.respond(question(ca, record), now=ca.ask.now + HOUR)
    assert (await answers.respond(question(ca, record), now=ca.ask.now)).this_update == ca.ask.now


async def test_many_who_ask_at_once_get_one_signature(ca: Any, responder: Any, signing: CountingKey) -> None:
    record, answers = await ca.issue(), responder()
    async with anyio.create_task_group() as tasks:
        for _ in range(8):
            tasks.start_soon(ask, answers, question(ca, record), ca.ask.now)
    assert signing.signed == 1


async def test_a_revocation_by_another_process_is_answered_at_once(ca: Any, responder: Any) -> None:
    record, answers = await ca.issue(), responder()
    assert (await ask(answers, question(ca, record), ca.ask.now)).certificate_status is OCSPCertStatus.GOOD
    await ca.revoke(record, CRLReason.CERTIFICATE_HOLD)
    assert (await ask(answers, question(ca, record), ca.ask.now)).certificate_status is OCSPCertStatus.REVOKED
    await ca.revoke(record, CRLReason.REMOVE_FROM_CRL)
    assert (await ask(answers, question(ca, record), ca.ask.now)).certificate_status is OCSPCertStatus.GOOD


async def test_the_answers_that_are_kept_are_bounded(
    ca: Any, responder: Any, signing: CountingKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(responding, "MAX_KEPT", 2)
    answers = responder()
    for serial in (1, 2, 1, 3, 1, 2):
        await answers.respond(questions(ca, serial), now=ca.ask.now)
    # 1 was asked for again before 3 came, so that 2 had to go.
    assert signing.signed == 4


async def test_a_store_that_cannot_be_used_is_tried_later(ca: Any, responder: Any) -> None:
    for failure, shown in (
        (PKIFailureInfo.SYSTEM_UNAVAIL, OCSPResponseStatus.TRY_LATER),
        (PKIFailureInfo.SYSTEM_FAILURE, OCSPResponseStatus.INTERNAL_ERROR),
    ):

        class Broken:
            async def certificate(self, *_: Any, failure: PKIFailureInfo = failure) -> None:
                raise CMPError("it is broken", failure)

        answers = OCSPResponder([OCSPSigner(ca.key, ca.certificate.der)], Broken(), validity=HOUR)  # type: ignore[arg-type]
        assert (await ask(answers, questions(ca, 5), ca.ask.now)).response_status is shown


async def test_an_authorised_signer_sends_its_certificate(ca: Any, other_key: PrivateKey) -> None:
    record = await make_ocsp_signer(ca.certificate, ca.key, key=other_key, now=ca.ask.now)
    signer = OCSPSigner(other_key, ca.certificate.der, (record.der,))
    answers = OCSPResponder([signer], ca.store, validity=HOUR)
    response = await ask(answers, question(ca, await ca.issue()), ca.ask.now)
    certificate = x509.load_der_x509_certificate(record.der)
    assert response.certificates == [certificate]
    assert (
        x509.ExtendedKeyUsageOID.OCSP_SIGNING
        in certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    )
    assert certificate.extensions.get_extension_for_class(x509.OCSPNoCheck).critical is False
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert response.signature_hash_algorithm is not None
    key.verify(response.signature, response.tbs_response_bytes, ec.ECDSA(response.signature_hash_algorithm))


async def test_each_key_of_the_ca_has_its_own_signer(ca: Any, other_key: PrivateKey) -> None:
    """Of two keys, that one answers whose certificates are asked about."""
    root = ca.certificate.chain[0]
    signers = [OCSPSigner(other_key, root), OCSPSigner(ca.key, ca.certificate.der)]
    answers = OCSPResponder(signers, ca.store, validity=HOUR)
    response = await ask(answers, question(ca, await ca.issue()), ca.ask.now)
    key = x509.load_der_x509_certificate(ca.certificate.der).public_key()
    assert response.responder_key_hash == x509.SubjectKeyIdentifier.from_public_key(key).digest
