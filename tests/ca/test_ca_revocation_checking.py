"""A client looks whether certificates are revoked: by CRLs and OCSP of this CA, from where it is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cmpkit.asn1 import decode, encode, parse_tlv
from cmpkit.asn1.ocsp import BasicOCSPResponse, OCSPResponse, ResponseData
from cmpkit.ca.hierarchy import make_ocsp_signer, make_root_crl, make_signer
from cmpkit.ca.ocsp import OCSPResponder, OCSPSigner
from cmpkit.crypto.crl_building import build_crl, crl_entries
from cmpkit.crypto.crl_checking import status_by_crls
from cmpkit.crypto.ocsp import OCSPResponseStatus, StatusInfo, build_ocsp_response, cert_id, ocsp_error
from cmpkit.crypto.ocsp_answers import build_ocsp_request, read_ocsp_response
from cmpkit.crypto.x509 import extension
from cmpkit.endpoints.revocation import RevocationChecker, RevocationSources
from cmpkit.enums import CRLReason
from cmpkit.errors import CMPError, ConfigurationError, TransportError, TrustError
from cmpkit.hookspecs import hookimpl
from cmpkit.parts import PrivateKey, Question, StatusAddresses, TransportOptions
from cmpkit.plugins import Plugins

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NONCE = b"a nonce of at least 16 octets"
GOOD = StatusInfo("good")


class Web:
    """A road on which there is what a test puts there."""

    schemes: tuple[str, ...] = ("web", "silent")

    def __init__(self) -> None:
        self.documents: dict[str, bytes] = {}
        self.responder: Callable[[bytes], Any] | None = None
        self.asked: list[str] = []

    async def fetch(self, url: str, options: TransportOptions, question: Question | None = None) -> bytes:
        self.asked.append(url)
        if question is None:
            return self.documents[url]
        assert (question.media_type, question.answered_by) == ("application/ocsp-request", "application/ocsp-response")
        assert self.responder is not None
        answer: bytes = await self.responder(question.content)
        return answer


@pytest.fixture
def web() -> Web:
    return Web()


@pytest.fixture
def checker(web: Web, plugins: Plugins) -> Callable[..., RevocationChecker]:
    class Roads:
        @staticmethod
        @hookimpl
        def cmpkit_client_transports() -> list[Any]:
            return [web]

    own = Plugins()
    for loaded in ("signature",):
        own.add(plugins._manager.get_plugin(loaded), loaded)
    own.add(Roads, "roads")
    return lambda **sources: RevocationChecker(RevocationSources(**sources), own)


@pytest.fixture
async def root_crl(ca: Any, root_key: PrivateKey) -> bytes:
    return await make_root_crl(ca.certificate.chain[0], root_key, now=ca.ask.now)


def path_of(ca: Any, record: Any) -> tuple[bytes, ...]:
    return (record.der, *ca.certificate.all)


async def check(checker: RevocationChecker, ca: Any, record: Any) -> tuple[StatusInfo, ...]:
    return await checker.check(path_of(ca, record), now=ca.ask.now)


def answering(ca: Any, web: Web, **settings: Any) -> None:
    """Put an OCSP responder of the CA on the road."""
    responder = OCSPResponder([OCSPSigner(ca.key, ca.certificate.der)], ca.store, validity=HOUR, **settings)

    async def respond(question: bytes) -> bytes:
        return (await responder.respond(question, now=ca.ask.now)).der

    web.responder = respond


# CRLs


async def test_a_path_is_good_by_the_crl_of_each_of_its_issuers(ca: Any, checker: Any, root_crl: bytes) -> None:
    record = await ca.issue()
    crl = await ca.issuer.crl(now=ca.ask.now)
    pem = x509.load_der_x509_crl(crl).public_bytes(Encoding.PEM)
    assert await check(checker(crls=(root_crl, pem)), ca, record) == (GOOD, GOOD)


async def test_crls_are_fetched_from_the_addresses_that_are_given_once(
    ca: Any, checker: Any, web: Web, root_crl: bytes
) -> None:
    record = await ca.issue()
    web.documents = {"web://ca": await ca.issuer.crl(now=ca.ask.now), "web://root": root_crl}
    made = checker(crl_urls=("web://ca", "web://root"))
    for _ in range(2):
        await check(made, ca, record)
    assert web.asked == ["web://ca", "web://root"]


@pytest.mark.parametrize("reason", [CRLReason.KEY_COMPROMISE, CRLReason.CERTIFICATE_HOLD, CRLReason.UNSPECIFIED])
async def test_a_certificate_on_a_crl_is_revoked(ca: Any, checker: Any, reason: CRLReason, root_crl: bytes) -> None:
    record = await ca.revoke(await ca.issue(), reason)
    crl = await ca.issuer.crl(now=ca.ask.now)
    with pytest.raises(TrustError, match="'CN=dev-42' is revoked since 2026-11-23 12:00:00 UTC") as caught:
        await check(checker(crls=(crl, root_crl)), ca, record)
    assert caught.value.detail.endswith(", says the CRL 1 of CN=Example CA,O=Example")
    assert (reason.wire_name in caught.value.detail) == (reason is not CRLReason.UNSPECIFIED)


async def test_a_ca_above_may_be_the_one_that_is_revoked(ca: Any, checker: Any, root_key: PrivateKey) -> None:
    record = await ca.issue()
    issuing = x509.load_der_x509_certificate(ca.certificate.der)
    root_crl = await crl_of(
        ca, root_key, ca.certificate.chain[0], entries=[(issuing.serial_number, ca.ask.now, CRLReason.CA_COMPROMISE)]
    )
    with pytest.raises(TrustError, match=r"'CN=Example CA,O=Example' is revoked .*cACompromise"):
        await check(checker(crls=(await ca.issuer.crl(now=ca.ask.now), root_crl)), ca, record)


async def test_a_delta_completes_an_older_crl(ca: Any, plugins: Plugins) -> None:
    issuer = ca.issuer = ca.reopened(delta_crl_validity=DAY, addresses=StatusAddresses())
    revoked, held = await ca.issue(), await ca.revoke(await ca.issue(), CRLReason.CERTIFICATE_HOLD)
    old = await issuer.crl(now=ca.ask.now)
    await ca.revoke(revoked)
    await ca.revoke(held, CRLReason.REMOVE_FROM_CRL)
    delta = await issuer.delta_crl(now=ca.ask.now)
    for crls, states in (
        ((old,), ("good", "revoked")),
        ((delta, old), ("revoked", "good")),
        ((delta,), ("unknown",) * 2),
    ):
        found = [
            status_by_crls(record.der, ca.certificate.der, crls, now=ca.ask.now, plugins=plugins)
            for record in (revoked, held)
        ]
        assert tuple(status.standing for status in found) == states
        assert all("of CN=Example CA,O=Example" in status.source for status in found)


async def crl_of(ca: Any, key: PrivateKey, issuer: bytes, **changes: Any) -> bytes:
    """A CRL in the name of an issuer."""
    values: dict[str, Any] = {
        "issuer": x509.load_der_x509_certificate(issuer).subject.public_bytes(),
        "issuer_key": key,
        "this_update": ca.ask.now,
        "next_update": ca.ask.now + DAY,
        "number": 1,
        "entries": [],
        "authority_key_identifier": b"key",
    }
    values |= changes
    values["entries"] = crl_entries((*entry, None)[:4] for entry in values["entries"])
    return await build_crl(**values)


async def test_a_crl_that_has_no_say_is_as_good_as_none(
    ca: Any, checker: Any, other_key: PrivateKey, root_crl: bytes
) -> None:
    record, own = await ca.issue(), ca.certificate.der
    partial = x509.IssuingDistributionPoint(
        full_name=None,
        relative_name=None,
        only_contains_user_certs=False,
        only_contains_ca_certs=True,
        only_some_reasons=None,
        indirect_crl=False,
        only_contains_attribute_certs=False,
    )
    useless = {
        "no CRL of its issuer is given": root_crl,
        "the CRL 1 of CN=Example CA,O=Example: the signature": await crl_of(ca, other_key, own),
        "to 2026-11-23 12:00:00 UTC": await crl_of(ca, ca.key, own, next_update=ca.ask.second),
        "holds from 2026-11-23 13:00:00 to": await crl_of(ca, ca.key, own, this_update=ca.ask.now + HOUR),
        "is about some certificates only": await crl_of(
            ca, ca.key, own, extensions=[extension(partial, critical=True)]
        ),
    }
    for why, crl in useless.items():
        with pytest.raises(TrustError, match="'CN=dev-42' is revoked is not known: ") as caught:
            await check(checker(crls=(crl, root_crl)), ca, record)
        assert why in caught.value.detail
        assert "--crl" in caught.value.hint


async def test_what_is_no_crl_is_told(ca: Any, checker: Any) -> None:
    with pytest.raises(ConfigurationError, match="no CRL"):
        await check(checker(crls=(b"something else",)), ca, await ca.issue())


async def test_a_fetched_crl_whose_time_is_over_is_fetched_anew(
    ca: Any, checker: Any, web: Web, root_crl: bytes
) -> None:
    record, made = await ca.issue(), checker(crl_urls=("web://ca",), crls=(root_crl,))
    web.documents = {"web://ca": await crl_of(ca, ca.key, ca.certificate.der, next_update=ca.ask.now + HOUR)}
    await check(made, ca, record)
    web.documents = {"web://ca": await crl_of(ca, ca.key, ca.certificate.der, number=2)}
    for now in (ca.ask.now + HOUR / 2, ca.ask.now + HOUR, ca.ask.now + 2 * HOUR):
        assert await made.check(path_of(ca, record), now=now) == (GOOD, GOOD)
    assert web.asked == ["web://ca", "web://ca"]


class TestDownload:
    """A CRL may be where the certificate says, if the operator lets it be fetched from there."""

    URLS = ("ldap://127.0.0.1/cn=ca", "http://gone.example/ca.crl", "http://here.example/ca.crl")

    @pytest.fixture
    def web(self) -> Web:
        class HTTP(Web):
            schemes = ("http",)

            async def fetch(self, url: str, options: TransportOptions, question: Question | None = None) -> bytes:
                try:
                    return await super().fetch(url, options, question)
                except KeyError:
                    raise TransportError(f"{url} is gone") from None

        return HTTP()

    @pytest.fixture
    async def record(self, ca: Any) -> Any:
        ca.issuer = ca.reopened(crl_urls=self.URLS)
        return await ca.issue()

    async def test_no_address_of_a_certificate_is_asked_unless_that_is_allowed(
        self, ca: Any, checker: Any, web: Web, record: Any, root_crl: bytes
    ) -> None:
        with pytest.raises(TrustError, match="no CRL of its issuer is given"):
            await check(checker(crls=(root_crl,)), ca, record)
        assert web.asked == []

    async def test_the_first_that_can_be_fetched_has_the_say(
        self, ca: Any, checker: Any, web: Web, record: Any, root_crl: bytes
    ) -> None:
        web.documents = {self.URLS[2]: await ca.issuer.crl(now=ca.ask.now)}
        assert await check(checker(crls=(root_crl,), crl_download=True), ca, record) == (GOOD, GOOD)
        assert web.asked == list(self.URLS[1:])
        await ca.revoke(record)
        web.documents = {self.URLS[2]: await ca.issuer.crl(now=ca.ask.now)}
        with pytest.raises(TrustError, match=r"'CN=dev-42' is revoked since .*, says the CRL 2 of CN=Example CA"):
            await check(checker(crls=(root_crl,), crl_download=True), ca, record)

    async def test_what_is_nowhere_or_no_crl_is_told(
        self, ca: Any, checker: Any, web: Web, record: Any, root_crl: bytes
    ) -> None:
        web.documents = {self.URLS[2]: b"<html>"}
        with pytest.raises(
            TrustError, match=r"http://gone\.example/ca\.crl is gone; http://here\.example/ca\.crl: no CRL"
        ):
            await check(checker(crls=(root_crl,), crl_download=True), ca, record)


# OCSP


async def test_a_certificate_is_good_or_revoked_as_the_responder_says(
    ca: Any, checker: Any, web: Web, root_crl: bytes
) -> None:
    answering(ca, web)
    record = await ca.issue()
    made = checker(ocsp_url="web://ocsp", crls=(root_crl,))
    assert await check(made, ca, record) == (GOOD, GOOD)
    await ca.revoke(record, CRLReason.SUPERSEDED)
    with pytest.raises(TrustError, match=r"'CN=dev-42' is revoked .*superseded"):
        await check(made, ca, record)


async def test_where_the_responder_has_no_say_crls_are_looked_at(ca: Any, checker: Any, web: Web) -> None:
    answering(ca, web)
    with pytest.raises(TrustError, match=r"'CN=Example CA,O=Example' is revoked is not known: .*unauthorized"):
        await check(checker(ocsp_url="web://ocsp"), ca, await ca.issue())


async def test_what_the_responder_does_not_know_is_not_good(ca: Any, checker: Any, web: Web) -> None:
    answering(ca, web)
    issued = await ca.issuer.issue(ca.ask.request(), ca.ask.by_secret(), idempotency_key="x", now=ca.ask.now)
    with pytest.raises(TrustError, match="is not known: the OCSP responder web://ocsp does not know it"):
        await check(checker(ocsp_url="web://ocsp"), ca, issued.certificate)


def test_nothing_can_be_fetched_on_a_road_for_messages_only() -> None:
    class Roads:
        @staticmethod
        @hookimpl
        def cmpkit_client_transports() -> list[Any]:
            return [type("Road", (), {"schemes": ("mail",)})()]

    own = Plugins()
    own.add(Roads, "roads")
    for sources in (RevocationSources(crl_urls=("mail://ca",)), RevocationSources(ocsp_url="mail://ca")):
        with pytest.raises(ConfigurationError, match="nothing can be fetched there"):
            RevocationChecker(sources, own)


class Answers:
    """Makes answers about one certificate, and reads them."""

    def __init__(self, ca: Any, serial: int, plugins: Plugins) -> None:
        self.ca, self.plugins = ca, plugins
        self.asked = cert_id(ca.certificate.der, serial)

    async def make(self, key: PrivateKey | None = None, *certificates: bytes, **times: Any) -> bytes:
        now = self.ca.ask.now
        times = {"this_update": now, "next_update": now + HOUR, **times}
        return await build_ocsp_response(
            [(self.asked, GOOD)], key=key or self.ca.key, certificates=certificates, **times
        )

    def read(self, der: bytes, nonce: bytes = NONCE) -> StatusInfo:
        return read_ocsp_response(
            der, self.asked, nonce, issuer=self.ca.certificate.der, now=self.ca.ask.now, plugins=self.plugins
        )


@pytest.fixture
async def answers(ca: Any, plugins: Plugins) -> Answers:
    return Answers(ca, (await ca.issue()).serial_number, plugins)


async def test_an_answer_is_believed_from_the_issuer_and_from_whom_it_authorised(
    answers: Answers, other_key: PrivateKey
) -> None:
    ca = answers.ca
    assert answers.read(await answers.make()) == GOOD
    signer = await make_ocsp_signer(ca.certificate, ca.key, key=other_key, now=ca.ask.now - HOUR)
    assert answers.read(await answers.make(other_key, ca.certificate.der, signer.der)) == GOOD


async def test_an_answer_of_anybody_else_is_not_believed(
    answers: Answers, other_key: PrivateKey, root_key: PrivateKey
) -> None:
    ca, now = answers.ca, answers.ca.ask.now
    for_messages = await make_signer(ca.certificate, ca.key, key=other_key, now=now - HOUR)
    not_yet = await make_ocsp_signer(ca.certificate, ca.key, key=other_key, now=now + HOUR)
    forged = replace(ca.certificate)
    by_another_key = await make_ocsp_signer(forged, root_key, key=other_key, now=now - HOUR)
    for certificates, why in (
        ((), "without the certificate of its signer"),
        ((for_messages.der,), "no extended key usage ocspSigning"),
        ((not_yet.der,), "is valid from"),
        ((by_another_key.der,), "signature"),
    ):
        with pytest.raises(CMPError, match=why):
            answers.read(await answers.make(other_key, *certificates))
    with pytest.raises(CMPError, match="from somebody else than the issuer"):
        answers.read(await answers.make(root_key, ca.certificate.chain[0]))


async def test_an_answer_that_was_changed_is_not_believed(answers: Answers) -> None:
    der = await answers.make()
    basic = decode(BasicOCSPResponse, decode(OCSPResponse, der).response_bytes.response)  # type: ignore[union-attr]
    signed = encode(basic.tbs_response_data)
    assert parse_tlv(basic.tbs_response_data, ResponseData).responses
    changed = signed.replace(b"20261123120000Z", b"20261123120001Z")
    with pytest.raises(CMPError, match="the signature does not fit"):
        answers.read(der.replace(signed, changed))


async def test_an_answer_from_another_time_is_not_believed(answers: Answers) -> None:
    now = answers.ca.ask.now
    for begins, ends in ((now - 2 * HOUR, now - HOUR), (now + HOUR, now + 2 * HOUR)):
        with pytest.raises(CMPError, match="it holds from"):
            answers.read(await answers.make(this_update=begins, next_update=ends))


async def test_an_answer_to_another_question_is_not_believed(ca: Any, answers: Answers, plugins: Plugins) -> None:
    responder = OCSPResponder([OCSPSigner(ca.key, ca.certificate.der)], ca.store, validity=HOUR)
    answer = await responder.respond(build_ocsp_request(answers.asked, NONCE), now=ca.ask.now)
    assert answers.read(answer.der) == GOOD
    with pytest.raises(CMPError, match="not that of the question"):
        answers.read(answer.der, b"another nonce")
    other = Answers(ca, 4711, plugins)
    with pytest.raises(CMPError, match="about another certificate"):
        other.read(answer.der)


@pytest.mark.parametrize("status", OCSPResponseStatus)
async def test_a_refusal_of_the_responder_is_told(answers: Answers, status: OCSPResponseStatus) -> None:
    with pytest.raises(CMPError, match=status.name.lower().replace("_", " ")):
        answers.read(ocsp_error(status))
