"""cmpkit's client against OpenSSL's mock server, in each version of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from cmpkit import oids
from cmpkit.crypto.pop import build_p10
from cmpkit.endpoints.client import Client
from cmpkit.endpoints.credentials import Credentials
from cmpkit.endpoints.enrolled import Enrolled
from cmpkit.endpoints.options import ClientOptions
from cmpkit.enums import BodyType, CRLReason, PKIFailureInfo
from cmpkit.errors import PeerRefusal, StillWaiting, TrustError
from cmpkit.parts import Event, SharedSecret
from cmpkit.plugins import Plugins, load_plugins

from .conftest import OpenSSL
from .mock_server import SECRET, MockPKI, make_pki, mock_server

SUBJECT = "/O=Mock/CN=given"


@pytest.fixture(scope="session")
def plugins() -> Plugins:
    return load_plugins()


@pytest.fixture(scope="session")
def made(any_openssl: OpenSSL, tmp_path_factory: pytest.TempPathFactory) -> dict[str, MockPKI]:
    """Certificates for devices with each type of key."""
    return {
        key_type: make_pki(any_openssl, tmp_path_factory.mktemp(f"mock-{key_type}"), key_type)
        for key_type in ("p256", "rsa2048")
    }


@pytest.fixture
def pki(made: dict[str, MockPKI]) -> MockPKI:
    return made["p256"]


class Talk:
    """What was said, by body type."""

    def __init__(self) -> None:
        self.bodies: list[BodyType] = []

    def observe(self, event: Event) -> None:
        if event.name in ("message-sent", "message-received"):
            self.bodies.append(event.details["message"].body.type)


class Device:
    """A client for one server."""

    def __init__(self, pki: MockPKI, plugins: Plugins, by: str) -> None:
        self.pki, self.plugins, self.talk = pki, plugins, Talk()
        self.key = pki.key("given", plugins)
        # OpenSSL's server has no option for its MAC: it is HMAC-SHA1 whatever the client uses.
        self.tolerances = frozenset({"hmac-sha1"} if by == "secret" else ())
        self.credentials: Credentials = SharedSecret("mock", SECRET)
        if by == "certificate":
            self.credentials = pki.credentials("device", plugins)

    def client(self, url: str, **options: Any) -> Client:
        return Client(
            url,
            credentials=self.credentials,
            trust=[self.pki.certificate("ca")],
            options=ClientOptions(**{"total_timeout": 20.0, "tolerances": self.tolerances, **options}),
            plugins=self.plugins,
            observers=[self.talk],
        )

    def is_enrolled(self, enrolled: Enrolled) -> bool:
        return enrolled.certificate == self.pki.certificate("given") and enrolled.chain == (self.pki.certificate("ca"),)


@pytest.fixture(params=["secret", "certificate"])
def by(request: pytest.FixtureRequest) -> str:
    """What both sides protect their messages with."""
    kind: str = request.param
    return kind


@pytest.fixture
def device(pki: MockPKI, plugins: Plugins, by: str) -> Device:
    return Device(pki, plugins, by)


class TestOperations:
    @pytest.fixture(params=["p256", "rsa2048"])
    def pki(self, request: pytest.FixtureRequest, made: dict[str, MockPKI]) -> MockPKI:
        return made[request.param]

    @pytest.fixture
    def url(self, openssl: OpenSSL, pki: MockPKI, by: str) -> Iterator[str]:
        with mock_server(openssl, pki, by=by) as url:
            yield url

    async def test_ir_and_cr_enrol(self, device, url):
        async with device.client(url) as client:
            assert device.is_enrolled(await client.enroll(SUBJECT, device.key))
            assert device.is_enrolled(await client.certify(SUBJECT, device.key))
        assert device.talk.bodies == [
            *(BodyType.IR, BodyType.IP, BodyType.CERT_CONF, BodyType.PKICONF),
            *(BodyType.CR, BodyType.CP, BodyType.CERT_CONF, BodyType.PKICONF),
        ]

    async def test_p10cr_enrols(self, device, url):
        csr = await build_p10(x509.Name.from_rfc4514_string("CN=given,O=Mock"), device.key, ())
        async with device.client(url) as client:
            assert device.is_enrolled(await client.request_p10(csr))

    async def test_kur_updates(self, openssl, pki, plugins):
        """The server wants oldCertId to be the certificate that it gives out."""
        device = Device(pki, plugins, "certificate")
        old = pki.credentials("given", plugins)
        with mock_server(openssl, pki, by="certificate") as url:
            async with device.client(url) as client:
                assert device.is_enrolled(await client.update(old, old.key))
        assert device.talk.bodies == [BodyType.KUR, BodyType.KUP, BodyType.CERT_CONF, BodyType.PKICONF]

    async def test_rr_revokes(self, device, url):
        async with device.client(url) as client:
            await client.revoke(device.pki.certificate("given"), CRLReason.KEY_COMPROMISE)
        assert device.talk.bodies == [BodyType.RR, BodyType.RP]

    async def test_genm_is_answered(self, device, url):
        async with device.client(url) as client:
            answers = await client.info(oids.CA_CERTS)
        assert device.talk.bodies == [BodyType.GENM, BodyType.GENP]
        assert all(answer.info_type == oids.CA_CERTS for answer in answers)

    async def test_a_wrong_secret_or_an_unknown_certificate_is_refused(self, device, url, by):
        if by == "secret":
            device.credentials = SharedSecret("mock", "wrong")
        else:
            lone = device.pki.credentials("ca", device.plugins)
            device.credentials = replace(lone, certificate=device.pki.certificate("server"))
        async with device.client(url, tolerances=frozenset({"unprotected-errors"})) as client:
            with pytest.raises((PeerRefusal, TrustError)):
                await client.enroll(SUBJECT, device.key)


async def test_an_answer_under_hmac_sha1_is_refused_and_the_option_named(openssl, pki, plugins):
    device = Device(pki, plugins, "secret")
    with mock_server(openssl, pki) as url:
        async with device.client(url, tolerances=frozenset()) as client:
            with pytest.raises(TrustError, match="--tolerate hmac-sha1") as caught:
                await client.enroll(SUBJECT, device.key)
    assert caught.value.fail_info is PKIFailureInfo.BAD_ALG


async def test_the_client_polls(openssl, pki, device, by):
    with mock_server(openssl, pki, "-poll_count", 2, "-check_after", 1, by=by) as url:
        async with device.client(url) as client:
            assert device.is_enrolled(await client.enroll(SUBJECT, device.key))
    # From 3.5 on, the pkiconf has to be polled for as well (RFC 9483 section 4.4).
    polls = 2 if openssl.version.startswith("3.0.") else 4
    assert device.talk.bodies.count(BodyType.POLL_REQ) == polls
    assert device.talk.bodies[-1] is BodyType.PKICONF


async def test_the_client_gives_up_in_time_and_goes_on_later(openssl, pki, device, by, tmp_path):
    with mock_server(openssl, pki, "-poll_count", 2, "-check_after", 1, by=by) as url:
        async with device.client(url, total_timeout=0.5, state=tmp_path) as client:
            with pytest.raises(StillWaiting) as caught:
                await client.enroll(SUBJECT, device.key)
        assert caught.value.saved is not None
        async with device.client(url, state=tmp_path) as client:
            assert device.is_enrolled(await client.resume(caught.value.saved, device.key))


async def test_implicit_confirmation_spares_cert_conf(openssl, pki, device, by):
    with mock_server(openssl, pki, "-grant_implicitconf", by=by) as url:
        async with device.client(url, implicit_confirm=True) as client:
            assert device.is_enrolled(await client.enroll(SUBJECT, device.key))
    assert device.talk.bodies == [BodyType.IR, BodyType.IP]


async def test_without_the_grant_cert_conf_is_sent(openssl, pki, device, by):
    with mock_server(openssl, pki, by=by) as url:
        async with device.client(url, implicit_confirm=True) as client:
            await client.enroll(SUBJECT, device.key)
    assert device.talk.bodies[-1] is BodyType.PKICONF


async def test_an_error_is_a_refusal(openssl, pki, device, by):
    with mock_server(openssl, pki, "-send_error", "-statusstring", "not today", by=by) as url:
        async with device.client(url) as client:
            with pytest.raises(PeerRefusal):
                await client.enroll(SUBJECT, device.key)


@pytest.mark.parametrize(
    "failure", [PKIFailureInfo.BAD_CERT_TEMPLATE, PKIFailureInfo.NOT_AUTHORIZED], ids=lambda bits: bits.wire_names[0]
)
async def test_a_rejection_tells_its_failure(openssl, pki, device, by, failure):
    options = ("-pkistatus", 2, "-failure", failure.bit_length() - 1, "-statusstring", "not today")
    with mock_server(openssl, pki, *options, by=by) as url:
        async with device.client(url) as client:
            with pytest.raises(PeerRefusal, match="not today") as caught:
                await client.enroll(SUBJECT, device.key)
    assert caught.value.fail_info is failure


class TestUnprotectedErrors:
    OPTIONS = ("-send_error", "-send_unprot_err", "-statusstring", "not today")

    async def test_they_are_not_believed(self, openssl, pki, device, by):
        with mock_server(openssl, pki, *self.OPTIONS, by=by) as url:
            async with device.client(url) as client:
                with pytest.raises(TrustError, match="--unprotected-errors"):
                    await client.enroll(SUBJECT, device.key)

    async def test_they_are_taken_where_that_is_allowed(self, openssl, pki, device, by):
        with mock_server(openssl, pki, *self.OPTIONS, by=by) as url:
            async with device.client(url, tolerances=frozenset({"unprotected-errors"})) as client:
                with pytest.raises(PeerRefusal):
                    await client.enroll(SUBJECT, device.key)

    async def test_a_server_that_accepts_them_is_served_all_the_same(self, openssl, pki, device, by):
        with mock_server(openssl, pki, "-accept_unprot_err", by=by) as url:
            async with device.client(url) as client:
                assert device.is_enrolled(await client.enroll(SUBJECT, device.key))


async def test_a_certificate_that_was_not_asked_for_is_rejected(openssl, pki, device, by, tmp_path: Path):
    with mock_server(openssl, pki, by=by) as url:
        async with device.client(url) as client:
            with pytest.raises(TrustError, match="public key"):
                await client.enroll(SUBJECT)
    assert device.talk.bodies[2] is BodyType.CERT_CONF
