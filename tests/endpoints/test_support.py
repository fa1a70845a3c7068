"""What a client asks a server about itself, and which answers it believes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from rollover import DAY, Rollover, name

from cmpkit import oids
from cmpkit.asn1 import InfoTypeAndValue, Null, encode_list, to_tlv
from cmpkit.crypto.key_specs import key_type_names
from cmpkit.crypto.names import parse_name
from cmpkit.endpoints.support import (
    SupportMessages,
    read_ca_certificates,
    read_crls,
    read_request_template,
    read_root_update,
)
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import ConfigurationError, PeerRefusal, TrustError
from cmpkit.parts import SharedSecret
from cmpkit.plugins import load_plugins

from .conftest import World
from .forge import NOW


@pytest.fixture
async def secret(world: World) -> SharedSecret:
    return await world.secret()


@pytest.fixture(scope="module")
def rolled() -> Rollover:
    return Rollover(NOW)


class TestCertificatesAndCRLs:
    @pytest.mark.rule("R-186")
    async def test_the_certificates_of_the_ca_can_be_had(self, world, secret):
        async with world.client(secret) as client:
            assert await client.ca_certificates() == await world.issuer.ca_certificates()

    async def test_the_current_crl_can_be_had(self, world, secret):
        async with world.client(secret) as client:
            assert await client.current_crl() == await world.issuer.crl(now=world.clock())

    @pytest.mark.rule("R-185")
    async def test_a_crl_comes_only_if_it_is_newer(self, world, secret):
        async with world.client(secret) as client:
            enrolled = await client.enroll(subject="CN=dev-42")
            first = await client.crl_update(certificate=enrolled.certificate)
            assert first is not None
            assert await client.crl_update(certificate=enrolled.certificate, crl=first) is None
            assert await client.crl_update(crl=first) is None
            world.clock.advance(5)
            async with world.client(enrolled.credentials) as own:
                await own.revoke(enrolled)
            second = await client.crl_update(crl=first)
        assert second is not None
        assert len(list(x509.load_der_x509_crl(second))) == 1

    async def test_the_crl_of_another_ca_is_not_here(self, world, secret, rolled):
        async with world.client(secret) as client:
            assert await client.crl_update(certificate=rolled.make(rolled.new_key, rolled.old_key)) is None

    async def test_which_crl_must_be_said(self, world, secret):
        async with world.client(secret) as client:
            with pytest.raises(ConfigurationError, match="neither a certificate nor a CRL"):
                await client.crl_update()


class TestRootUpdate:
    @pytest.fixture
    def world(self, world: World, rolled: Rollover, monkeypatch: pytest.MonkeyPatch) -> World:
        monkeypatch.setattr(world.issuer, "_root_update", rolled.update)
        return world

    @pytest.mark.rule("R-183")
    async def test_a_new_root_is_believed_if_a_trust_anchor_vouches_for_it(self, world, secret, rolled):
        trusting = world.with_(trust=(*world.trust, rolled.old_root))
        async with trusting.client(secret) as client:
            assert await client.root_update() == rolled.update

    async def test_each_anchor_of_that_name_is_tried(self, world, secret, rolled, monkeypatch):
        """One of the two is an older root, whose key the link does not verify by."""
        monkeypatch.setattr(world.issuer, "_root_update", replace(rolled.update, old_with_new=None))
        older = Rollover(NOW).old_root
        for anchors in ((older, rolled.old_root), (rolled.old_root, older)):
            async with world.with_(trust=(*world.trust, *anchors)).client(secret) as client:
                assert await client.root_update() is not None

    async def test_the_old_root_may_be_named(self, world, secret, rolled):
        async with world.client(secret) as client:
            assert await client.root_update(rolled.old_root) == rolled.update

    @pytest.mark.rule("R-183")
    async def test_a_new_root_that_nothing_trusted_vouches_for_is_not_believed(self, world, secret):
        async with world.client(secret) as client:
            client.trust = (*client.trust, Rollover(NOW, subject=name("Another")).old_root)
            with pytest.raises(TrustError, match="not linked to one that is trusted") as caught:
                await client.root_update()
        assert "--oldwithold" in caught.value.hint

    @pytest.mark.rule("R-183")
    async def test_a_link_that_is_not_by_the_old_key_is_not_believed(self, world, secret, rolled, monkeypatch):
        forged = Rollover(NOW)
        update = replace(rolled.update, new_with_old=forged.make(rolled.new_key, forged.old_key), old_with_new=None)
        monkeypatch.setattr(world.issuer, "_root_update", update)
        async with world.client(secret) as client:
            with pytest.raises(TrustError, match="does not fit the key of the old root") as caught:
                await client.root_update(rolled.old_root)
        assert caught.value.fail_info is PKIFailureInfo.SIGNER_NOT_TRUSTED

    async def test_a_link_that_is_over_is_not_believed(self, world, secret, rolled, monkeypatch):
        late = rolled.make(rolled.new_key, rolled.old_key, begins=-2 * DAY, ends=-DAY)
        monkeypatch.setattr(world.issuer, "_root_update", replace(rolled.update, new_with_old=late))
        async with world.client(secret) as client:
            with pytest.raises(TrustError, match="newWithOld is valid from"):
                await client.root_update(rolled.old_root)

    @pytest.mark.rule("R-181")
    async def test_there_may_be_no_newer_root(self, world, secret, rolled):
        async with world.client(secret) as client:
            assert await client.root_update() is None
            assert await client.root_update(rolled.new_with_new) is None


class TestTemplate:
    @pytest.mark.rule("R-184")
    async def test_a_request_template_says_names_and_keys(self, world, secret):
        async with world.client(secret, profile="device") as client:
            template = await client.request_template()
        assert template is not None
        assert template.subject == parse_name("CN=dev-42")
        assert oids.KEY_USAGE in {item.extn_id for item in template.extensions}
        assert key_type_names(template, world.plugins) == ()

    async def test_a_profile_that_there_is_not_is_refused(self, world, secret):
        async with world.client(secret, profile="nothing") as client:
            with pytest.raises(PeerRefusal, match="badCertTemplate"):
                await client.request_template()


@pytest.mark.rule("R-180")
async def test_several_questions_go_in_one_message_and_are_answered_in_their_order(world, secret):
    unknown = x509.ObjectIdentifier("1.2.3.4.5")
    async with world.client(secret) as client:
        answers = await client.info(
            oids.ROOT_CA_CERT, unknown, oids.CERT_REQ_TEMPLATE, oids.CURRENT_CRL, oids.CA_CERTS, oids.CA_CERTS
        )
    assert [answer.info_type for answer in answers] == [
        oids.ROOT_CA_KEY_UPDATE,
        oids.CERT_REQ_TEMPLATE,
        oids.CURRENT_CRL,
        oids.CA_CERTS,
        oids.CA_CERTS,
        oids.UNSUPPORTED_OIDS,
    ]
    assert answers[-1].parse_list(x509.ObjectIdentifier) == [unknown]


class Canned(SupportMessages):
    """A client whose server answers what it is told to."""

    def __init__(self, *answers: InfoTypeAndValue) -> None:
        self.answers = answers
        self.options: Any = SimpleNamespace(clock=lambda: NOW)
        self.plugins = load_plugins()
        self.trust = ()

    async def info(self, *questions: Any) -> tuple[InfoTypeAndValue, ...]:
        return self.answers


def crl(issuer: str, made: datetime) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    builder = x509.CertificateRevocationListBuilder(name(issuer), made, made + timedelta(days=1))
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


@pytest.mark.parametrize(
    ("answered", "said"),
    [(crl("CA", NOW - DAY), "is not newer"), (crl("CA", NOW), "is not newer"), (crl("Other", NOW + DAY), "CN=Other")],
)
async def test_a_crl_that_is_no_successor_is_not_believed(answered: bytes, said: str) -> None:
    client = Canned(InfoTypeAndValue(oids.CRLS, to_tlv(encode_list([answered]))))
    with pytest.raises(TrustError, match=said):
        await client.crl_update(crl=crl("CA", NOW))


@pytest.mark.rule("R-181")
async def test_what_a_server_does_not_know_is_nothing() -> None:
    client = Canned(InfoTypeAndValue(oids.UNSUPPORTED_OIDS, to_tlv(encode_list([oids.CA_CERTS]))))
    assert await client.ca_certificates() == ()
    assert await client.current_crl() is None
    assert await client.crl_update(crl=crl("CA", datetime.now(UTC))) is None
    assert await client.root_update() is None
    assert await client.request_template() is None


@pytest.mark.parametrize(
    ("read", "oid"),
    [
        (read_ca_certificates, oids.CA_CERTS),
        (read_crls, oids.CURRENT_CRL),
        (read_crls, oids.CRLS),
        (read_root_update, oids.ROOT_CA_KEY_UPDATE),
        (read_request_template, oids.CERT_REQ_TEMPLATE),
    ],
)
@pytest.mark.parametrize("value", [Null(), b"\x30\x02\x30\x00", b"\x30\x02\x05\x00"])
def test_an_unreadable_answer_is_not_believed(read: Any, oid: x509.ObjectIdentifier, value: Any) -> None:
    answer = InfoTypeAndValue(oid, to_tlv(value))
    if read is read_request_template and value == b"\x30\x02\x30\x00":
        assert read(answer).subject is None
        return
    with pytest.raises(TrustError, match=oid.dotted_string.replace(".", r"\.")):
        read(answer)


def test_an_empty_list_of_crls_is_not_believed() -> None:
    with pytest.raises(TrustError, match="an empty list"):
        read_crls(InfoTypeAndValue(oids.CRLS, to_tlv(b"\x30\x00")))
