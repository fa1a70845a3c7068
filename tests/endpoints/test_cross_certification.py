"""Cross-certification over HTTP, between two servers as ``cmpkit init`` makes them (RFC 9810 section 6.6)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from crossing import PARTNER, Sites, make_two
from cryptography import x509

from cmpkit import oids
from cmpkit.asn1 import AlgorithmIdentifier
from cmpkit.ca.approval import decide_request
from cmpkit.config import load_configuration, open_store, serve
from cmpkit.crypto.keys import generate_key
from cmpkit.crypto.names import parse_name
from cmpkit.crypto.x509 import CertificateContent, build_certificate
from cmpkit.endpoints.credentials import SigningCredentials
from cmpkit.endpoints.cross_certification import cross_wish
from cmpkit.endpoints.enrolled import Enrolled
from cmpkit.endpoints.requests import Wish
from cmpkit.enums import BodyType, PKIFailureInfo
from cmpkit.errors import ConfigurationError, PeerRefusal, StillWaiting, TrustError
from cmpkit.parts import (
    CertificateRecord,
    CertificateState,
    CrossCertification,
    Decision,
    Grant,
    PrivateKey,
    SecretRecord,
    SharedSecret,
)


@pytest.fixture(scope="session")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_two(tmp_path_factory.mktemp("two"))


@pytest.fixture
def sites(two: Path, tmp_path: Path) -> Sites:
    return Sites.copied(two, tmp_path)


@asynccontextmanager
async def served(sites: Sites) -> AsyncIterator[str]:
    """The address of the CA that certifies, as long as the block lasts."""
    shutdown = anyio.Event()
    configuration = load_configuration(sites.responder, sites.plugins)
    try:
        async with anyio.create_task_group() as tasks:
            (url,) = await tasks.start(partial(serve, configuration, sites.plugins, shutdown=shutdown))
            try:
                yield url
            finally:
                shutdown.set()
    except ExceptionGroup as group:
        # Only the block raises something; tests want it as it is.
        (error,) = group.exceptions
        raise error from None


async def issued(sites: Sites) -> list[CertificateRecord]:
    async with open_store(load_configuration(sites.responder, sites.plugins), sites.plugins) as store:
        return [record for record in await store.certificates() if record.profile == "partner"]


def extension(der: bytes, kind: type[Any]) -> Any:
    return x509.load_der_x509_certificate(der).extensions.get_extension_for_class(kind)


@pytest.mark.rule("R-190", "R-192", "R-193")
@pytest.mark.parametrize("implicit_confirm", [False, True])
async def test_a_ca_gets_a_cross_certificate(sites: Sites, implicit_confirm: bool) -> None:
    sites.allow()
    async with served(sites) as url, sites.client(url, implicit_confirm=implicit_confirm) as client:
        got = await client.cross_certify(**sites.asked)
    (record,) = await issued(sites)
    assert (record.der, record.state) == (got.certificate, CertificateState.VALID)
    certificate, authority = x509.load_der_x509_certificate(got.certificate), sites.authority[0]
    own = x509.load_der_x509_certificate(authority)
    assert certificate.subject == own.subject
    assert certificate.public_key() == own.public_key()
    assert certificate.not_valid_after_utc == sites.until
    assert extension(got.certificate, x509.BasicConstraints).value.path_length == 0
    assert extension(got.certificate, x509.KeyUsage).value.key_cert_sign
    identifier = extension(authority, x509.SubjectKeyIdentifier).value
    assert extension(got.certificate, x509.SubjectKeyIdentifier).value == identifier


async def run(sites: Sites, **changes: Any) -> Enrolled:
    async with served(sites) as url, sites.client(url) as client:
        return await client.cross_certify(**{**sites.asked, **changes})


async def refusal(sites: Sites, **changes: Any) -> PeerRefusal:
    with pytest.raises(PeerRefusal) as caught:
        await run(sites, **changes)
    assert await issued(sites) == []
    return caught.value


class TestWhoMayAsk:
    @pytest.mark.rule("R-063")
    async def test_a_ca_that_nobody_named_is_refused(self, sites: Sites) -> None:
        sites.allow(rule="")
        assert (await refusal(sites)).fail_info is PKIFailureInfo.NOT_AUTHORIZED

    @pytest.mark.rule("R-192")
    async def test_a_ca_below_no_trust_anchor_is_refused(self, sites: Sites) -> None:
        sites.allow(server="")
        assert (await refusal(sites)).fail_info is PKIFailureInfo.SIGNER_NOT_TRUSTED

    @pytest.mark.parametrize("what", ["key", "name"])
    async def test_another_key_or_name_than_that_of_the_named_ca_is_refused(self, sites: Sites, what: str) -> None:
        sites.allow()
        authority, key = sites.authority
        wish = await self.wish(sites)
        other = generate_key("p256", sites.plugins) if what == "key" else key
        subject = parse_name("CN=Other CA") if what == "name" else wish.subject
        async with served(sites) as url, sites.client(url) as client:
            with pytest.raises(PeerRefusal) as caught:
                await client.obtain(replace(wish, key=other, subject=subject), operation=BodyType.CCR)
        assert caught.value.fail_info is PKIFailureInfo.NOT_AUTHORIZED
        assert authority not in [record.der for record in await issued(sites)]

    @staticmethod
    async def wish(sites: Sites) -> Wish:
        authority, key = sites.authority
        responder = x509.load_der_x509_certificate(sites.asked["responder"])
        cross = CrossCertification(responder.subject, key.signature_algorithm)
        return cross_wish(authority, key, cross=cross, validity=(datetime.now(UTC), sites.until))

    async def test_a_device_of_the_partner_speaks_for_nobody(self, sites: Sites) -> None:
        sites.allow()
        certificate, *chain = sites.certificates("partner/ocsp.pem")
        device = SigningCredentials(certificate, sites.key("partner/keys/ocsp.key.pem"), tuple(chain))
        async with served(sites) as url, sites.client(url, device) as client:
            with pytest.raises(PeerRefusal) as caught:
                await client.cross_certify(**sites.asked)
        assert caught.value.fail_info is PKIFailureInfo.NOT_AUTHORIZED

    @pytest.mark.rule("R-192")
    async def test_an_authorisation_code_for_the_profile_takes_the_place_of_a_certificate(self, sites: Sites) -> None:
        sites.allow(rule="", server="")
        code = await secret(sites, Grant(parse_name(PARTNER), "partner"))
        async with served(sites) as url, sites.client(url, code) as client:
            got = await client.cross_certify(**sites.asked)
            with pytest.raises(PeerRefusal) as caught:
                await client.cross_certify(**sites.asked)
        assert caught.value.fail_info is PKIFailureInfo.NOT_AUTHORIZED  # it is used up
        assert [record.der for record in await issued(sites)] == [got.certificate]

    async def test_a_secret_of_a_device_gets_none(self, sites: Sites) -> None:
        sites.allow()
        code = await secret(sites, Grant(parse_name(PARTNER), "device"))
        async with served(sites) as url, sites.client(url, code) as client:
            with pytest.raises(PeerRefusal) as caught:
                await client.cross_certify(**sites.asked)
        assert caught.value.fail_info is PKIFailureInfo.NOT_AUTHORIZED

    @pytest.mark.rule("R-065")
    async def test_the_profile_gives_nothing_to_who_asks_by_ir(self, sites: Sites) -> None:
        sites.allow()
        code = await secret(sites, Grant(parse_name(PARTNER), "partner"))
        async with served(sites) as url, sites.client(url, code) as client:
            with pytest.raises(PeerRefusal) as caught:
                await client.enroll(PARTNER)
        assert caught.value.fail_info is PKIFailureInfo.NOT_AUTHORIZED
        assert await issued(sites) == []


async def secret(sites: Sites, grant: Grant) -> SharedSecret:
    made = SharedSecret("partner", "an authorisation code of the responder")
    async with open_store(load_configuration(sites.responder, sites.plugins), sites.plugins) as store:
        await store.add_secret(SecretRecord(made, grant))
    return made


class TestWhatIsGranted:
    @pytest.mark.rule("R-071", "R-193")
    async def test_what_goes_beyond_the_profile_is_cut_down(self, sites: Sites) -> None:
        sites.allow(profile='permitted_names = ["dns:partner.example", "ip:10.0.0.0/8"]\nvalidity = "30d"\n')
        got = await run(sites, path_length=3)
        certificate = x509.load_der_x509_certificate(got.certificate)
        lasts = certificate.not_valid_after_utc - certificate.not_valid_before_utc
        assert timedelta(days=30) <= lasts <= timedelta(days=30, minutes=5)
        assert extension(got.certificate, x509.BasicConstraints).value.path_length == 0
        constraints = extension(got.certificate, x509.NameConstraints)
        assert constraints.critical
        names = [str(subtree.value) for subtree in constraints.value.permitted_subtrees]
        assert names == ["partner.example", "10.0.0.0/8"]

    @pytest.mark.rule("R-190")
    async def test_another_issuer_is_refused(self, sites: Sites) -> None:
        sites.allow()
        error = await refusal(sites, responder=sites.certificates("partner/trust.pem")[0])
        assert error.fail_info is PKIFailureInfo.BAD_CERT_TEMPLATE

    @pytest.mark.rule("R-190")
    async def test_another_signature_algorithm_is_refused_with_the_name_of_the_right_one(self, sites: Sites) -> None:
        sites.allow()
        error = await refusal(sites, signing_algorithm=AlgorithmIdentifier(oids.ECDSA_SHA384))
        assert error.fail_info is PKIFailureInfo.BAD_ALG
        assert oids.ECDSA_SHA256.dotted_string in str(error)

    @pytest.mark.rule("R-110")
    async def test_a_person_may_have_to_agree(self, sites: Sites, tmp_path: Path) -> None:
        sites.allow(profile='approval = "manual"\n')
        async with served(sites) as url, sites.client(url, state=tmp_path, total_timeout=0.3) as client:
            with pytest.raises(StillWaiting) as caught:
                await client.cross_certify(**sites.asked)
            async with open_store(load_configuration(sites.responder, sites.plugins), sites.plugins) as store:
                now = datetime.now(UTC)
                (held,) = await store.held_requests(now=now)
                assert held.facts["authority"] == "a CA, with 0 CAs below it"
                await decide_request(store, held, Decision(held.key, True, by="alice", at=now))
            async with sites.client(url, state=tmp_path, sleep=no_time, total_timeout=None) as later:
                assert caught.value.saved is not None
                got = await later.resume(caught.value.saved, sites.authority[1])
        assert [record.der for record in await issued(sites)] == [got.certificate]

    async def test_the_partner_may_revoke_it(self, sites: Sites) -> None:
        sites.allow()
        answering = x509.load_der_x509_certificate(sites.certificates("responder/signer.pem")[0]).subject
        async with served(sites) as url, sites.client(url, expected_sender=answering) as client:
            got = await client.cross_certify(**sites.asked)
            await client.revoke(got.certificate)
            with pytest.raises(PeerRefusal):
                await client.revoke(sites.certificates("responder/ocsp.pem")[0])
        (record,) = await issued(sites)
        assert record.state is CertificateState.REVOKED


async def no_time(_: float) -> None:
    await anyio.lowlevel.checkpoint()


@pytest.mark.rule("R-193")
async def test_a_certificate_that_leads_to_no_trust_anchor_is_not_accepted(sites: Sites) -> None:
    sites.allow()
    signer = sites.certificates("responder/signer.pem")[0]
    trust = sites.certificates("partner/trust.pem")
    async with served(sites) as url, sites.client(url, trust=trust, pinned=signer) as client:
        with pytest.raises(TrustError):
            await client.cross_certify(**sites.asked)
    (record,) = await issued(sites)
    assert record.state is CertificateState.REVOKED


async def test_a_key_that_is_not_that_of_the_authority_is_refused_at_once(sites: Sites) -> None:
    async with sites.client("http://127.0.0.1:9/cmp") as client:
        with pytest.raises(ConfigurationError, match="not that of the certificate"):
            await client.cross_certify(**{**sites.asked, "key": generate_key("p256", sites.plugins)})


async def test_an_algorithm_that_cannot_be_known_must_be_named(sites: Sites) -> None:
    key = generate_key("ed25519", sites.plugins)
    async with sites.client("http://127.0.0.1:9/cmp") as client:
        odd = await certificate_of(key, sites)
        with pytest.raises(ConfigurationError, match="does not show by which algorithm"):
            await client.cross_certify(**{**sites.asked, "responder": odd})


async def certificate_of(key: PrivateKey, sites: Sites) -> bytes:
    """A CA with a key of another kind than the one above it."""
    now = datetime.now(UTC)
    name = parse_name("CN=Odd CA")
    content = CertificateContent(
        serial_number=1,
        issuer=name.public_bytes(),
        subject=name,
        not_before=now,
        not_after=now + timedelta(days=1),
        public_key_info=key.public_key_info,
    )
    return await build_certificate(content, sites.authority[1])
