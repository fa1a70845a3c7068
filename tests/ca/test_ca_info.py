"""Support messages at a CA: root CA updates, request templates, CRLs that are newer (RFC 9483 section 4.3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from rollover import Rollover, name

from cmpkit import oids
from cmpkit.asn1 import (
    AlgorithmIdentifier,
    CertReqTemplateContent,
    CertTemplate,
    CRLStatus,
    DistributionPointName,
    GeneralizedTime,
    GeneralNames,
    IA5String,
    InfoTypeAndValue,
    RDNSequence,
    RootCaKeyUpdateContent,
    UTCTime,
    Variant,
    decode,
    directory_name,
    encode,
    encode_list,
    make_element,
    parse_tlv,
    to_tlv,
)
from cmpkit.ca.policy import DefaultPolicy, load_policy
from cmpkit.crypto.names import format_name, parse_name
from cmpkit.crypto.x509 import to_pem
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError, ConfigurationError
from cmpkit.parts import Grant, InfoContext, OpenContext
from cmpkit.plugins import Plugins
from cmpkit.testing import check_info_type

URL = "http://crl.example/ca.crl"


@pytest.fixture
def policy(profile: Callable[..., Any]) -> DefaultPolicy:
    device = profile(
        key_types=["p256", "rsa3072"],
        subject="CN={identity}, O=Example",
        subject_alt_names=["dns:{identity}.example"],
        extended_key_usage=["clientAuth"],
    )
    return load_policy({}, {"device": device, "server": profile("server", extended_key_usage=["serverAuth"])})


@pytest.fixture
def context(ca: Any, ask: Any, policy: DefaultPolicy) -> InfoContext:
    ca.issuer = ca.reopened(crl_urls=[URL])
    return InfoContext(ca.issuer, ask.by_secret(), ask.now, policy=policy)


async def answer(
    plugins: Plugins, context: InfoContext, oid: x509.ObjectIdentifier, value: Any = None
) -> InfoTypeAndValue:
    given: InfoTypeAndValue = await plugins.require("info type", oid).answer(
        None if value is None else to_tlv(value), context
    )
    return given


@pytest.fixture(scope="module")
def made() -> Rollover:
    return Rollover()


class TestRootUpdate:
    @pytest.fixture
    def context(self, ca: Any, ask: Any, made: Rollover) -> InfoContext:
        return InfoContext(ca.reopened(root_update=made.update), ask.by_secret(), ask.now)

    async def test_the_contract_is_kept(self, plugins: Plugins, context: InfoContext, made: Rollover) -> None:
        await check_info_type(
            plugins.require("info type", oids.ROOT_CA_CERT),
            context,
            question=to_tlv(made.old_root),
            answer_oid=oids.ROOT_CA_KEY_UPDATE,
        )

    @pytest.mark.parametrize("asked", [False, True])
    async def test_who_has_the_old_root_or_names_none_gets_the_new_one(
        self, plugins: Plugins, context: InfoContext, made: Rollover, asked: bool
    ) -> None:
        given = await answer(plugins, context, oids.ROOT_CA_CERT, made.old_root if asked else None)
        assert given.info_type == oids.ROOT_CA_KEY_UPDATE
        content = given.parse(RootCaKeyUpdateContent)
        found = [content.new_with_new, content.new_with_old, content.old_with_new]
        assert [encode(item) for item in found] == [made.new_with_new, made.new_with_old, made.old_with_new]

    async def test_a_link_that_is_not_there_is_left_out(
        self, plugins: Plugins, context: InfoContext, ca: Any, made: Rollover
    ) -> None:
        issuer = ca.reopened(root_update=replace(made.update, old_with_new=None))
        given = await answer(plugins, replace(context, issuer=issuer), oids.ROOT_CA_CERT)
        content = given.parse(RootCaKeyUpdateContent)
        assert (content.new_with_old is None, content.old_with_new) == (False, None)

    async def test_other_roots_have_no_update_here(
        self, plugins: Plugins, context: InfoContext, made: Rollover
    ) -> None:
        for root in (made.new_with_new, Rollover().old_root):
            given = await answer(plugins, context, oids.ROOT_CA_CERT, root)
            assert given == InfoTypeAndValue(oids.ROOT_CA_KEY_UPDATE)

    @pytest.mark.rule("R-181")
    async def test_r_181_without_an_update_the_value_is_absent(
        self, plugins: Plugins, context: InfoContext, ca: Any
    ) -> None:
        given = await answer(plugins, replace(context, issuer=ca.reopened()), oids.ROOT_CA_CERT)
        assert given == InfoTypeAndValue(oids.ROOT_CA_KEY_UPDATE)


class TestRootUpdateOfTheConfiguration:
    @pytest.fixture
    def files(self, tmp_path: Path, ca: Any) -> tuple[OpenContext, Rollover]:
        (tmp_path / "issuing.pem").write_bytes(to_pem(*ca.certificate.all))
        (tmp_path / "issuing.key").write_bytes(ca.key.to_pkcs8())
        root = x509.load_der_x509_certificate(ca.certificate.all[-1])
        made = Rollover(subject=root.subject)
        made.write(tmp_path)
        return OpenContext(tmp_path, ca.store, ca.plugins, ca.profiles), made

    async def open(self, context: OpenContext, **changes: str) -> Any:
        table = {"certificate": "issuing.pem", "key": "file:issuing.key", **changes}
        return await context.plugins.require("issuer", "local").open(table, context)

    async def test_it_is_read_from_its_files(self, files: tuple[OpenContext, Rollover]) -> None:
        context, made = files
        keys = {"new_with_new": "new-with-new.pem", "new_with_old": "new-with-old.pem"}
        issuer = await self.open(context, **keys, old_with_new="old-with-new.pem")
        assert await issuer.root_key_update() == made.update
        assert await (await self.open(context)).root_key_update() is None

    @pytest.mark.parametrize(
        ("keys", "said"),
        [
            ({"new_with_new": "new-with-new.pem"}, "new_with_new and new_with_old belong together"),
            ({"new_with_old": "new-with-old.pem"}, "new_with_new and new_with_old belong together"),
            ({"old_with_new": "old-with-new.pem"}, "new_with_new and new_with_old belong together"),
            (
                {"new_with_new": "new-with-new.pem", "new_with_old": "nothing.pem"},
                "[issuer] new_with_old: ",
            ),
            (
                {"new_with_new": "old-root.pem", "new_with_old": "new-with-old.pem"},
                "[issuer] new_with_new: newWithOld has another key than newWithNew",
            ),
            (
                {"new_with_new": "new-with-new.pem", "new_with_old": "new-with-old.pem"},
                "[issuer] new_with_new: the signature of newWithOld does not fit the key of the old root",
            ),
        ],
    )
    async def test_what_does_not_hold_together_is_named(
        self, files: tuple[OpenContext, Rollover], keys: dict[str, str], said: str
    ) -> None:
        """The last one: the CA is under a root of that name, which did not sign the link."""
        with pytest.raises(ConfigurationError) as caught:
            await self.open(files[0], **keys)
        assert said in caught.value.detail


class TestTemplate:
    async def template(self, plugins: Plugins, context: InfoContext) -> CertReqTemplateContent:
        given = await answer(plugins, context, oids.CERT_REQ_TEMPLATE)
        assert given.info_type == oids.CERT_REQ_TEMPLATE
        return given.parse(CertReqTemplateContent)

    async def test_the_contract_is_kept(self, plugins: Plugins, context: InfoContext) -> None:
        await check_info_type(plugins.require("info type", oids.CERT_REQ_TEMPLATE), context)

    @pytest.mark.rule("R-184")
    async def test_r_184_it_has_what_the_profile_gives_and_no_key(self, plugins: Plugins, context: InfoContext) -> None:
        content = await self.template(plugins, context)
        template = content.cert_template
        assert template.subject is not None
        assert format_name(template.subject.name) == "CN=dev-42,O=Example"
        assert template == CertTemplate(subject=template.subject, extensions=template.extensions)
        wanted = {oids.KEY_USAGE, oids.EXTENDED_KEY_USAGE, oids.SUBJECT_ALTERNATIVE_NAME}
        assert {item.extn_id for item in template.extensions or ()} == wanted

    async def test_each_kind_of_key_has_its_control(self, plugins: Plugins, context: InfoContext) -> None:
        content = await self.template(plugins, context)
        assert content.key_spec is not None
        curve, size = content.key_spec
        assert (curve.type, size.type) == (oids.ALG_ID, oids.RSA_KEY_LEN)
        expected = AlgorithmIdentifier(oids.EC_PUBLIC_KEY, oids.SECP256R1)
        assert parse_tlv(curve.value, AlgorithmIdentifier) == expected
        assert parse_tlv(size.value, int) == 3072

    async def test_any_key_will_do_where_the_profile_names_none(self, plugins: Plugins, context: InfoContext) -> None:
        content = await self.template(plugins, replace(context, profile="server"))
        assert content.key_spec is None
        assert content.cert_template.subject is None

    async def test_asking_for_what_it_says_gives_just_that(
        self, policy: DefaultPolicy, ask: Any, context: InfoContext
    ) -> None:
        template = await policy.request_template("device", context.auth, now=ask.now)
        request = replace(ask.request(None), subject=template.subject, extensions=template.extensions)
        given = policy._profiles["device"].content(request, context.auth, now=ask.now)
        assert not given[-1]
        assert set(template.extensions) < set(given[1])

    async def test_the_subject_that_a_secret_grants_is_in_it(
        self, plugins: Plugins, context: InfoContext, ask: Any
    ) -> None:
        auth = ask.by_secret(grant=Grant(parse_name("CN=granted"), profile="server"))
        content = await self.template(plugins, replace(context, auth=auth))
        assert content.cert_template.subject == RDNSequence.of(parse_name("CN=granted"))

    async def test_who_has_a_certificate_gets_its_names(
        self, plugins: Plugins, context: InfoContext, ca: Any, ask: Any, profile: Callable[..., Any]
    ) -> None:
        ca.profiles["device"] = profile(allow_requested_names=True)
        names = ask.names(x509.DNSName("other.example"))
        record = await ca.issue(ask.request("CN=dev-42", names))
        content = await self.template(plugins, replace(context, auth=ask.by_certificate(record)))
        assert content.cert_template.subject == RDNSequence.of(parse_name("CN=dev-42"))
        assert names in (content.cert_template.extensions or ())

    async def test_who_has_a_certificate_without_other_names_gets_none(
        self, plugins: Plugins, context: InfoContext, ca: Any, ask: Any
    ) -> None:
        record = await ca.issue(ask.request("CN=dev-42"))
        content = await self.template(plugins, replace(context, auth=ask.by_certificate(record)))
        identifiers = {item.extn_id for item in content.cert_template.extensions or ()}
        assert oids.SUBJECT_ALTERNATIVE_NAME not in identifiers

    async def test_an_ra_gets_no_names(self, plugins: Plugins, context: InfoContext, ask: Any) -> None:
        content = await self.template(plugins, replace(context, auth=ask.by_certificate(None, "ra", identity="RA")))
        assert content.cert_template.subject is None

    @pytest.mark.parametrize(
        ("profile_name", "fail_info"),
        [("nothing", PKIFailureInfo.BAD_CERT_TEMPLATE), ("server", PKIFailureInfo.NOT_AUTHORIZED)],
    )
    async def test_a_profile_that_the_sender_may_not_have_is_refused(
        self, plugins: Plugins, context: InfoContext, ask: Any, profile_name: str, fail_info: PKIFailureInfo
    ) -> None:
        only = ask.by_secret(grant=Grant(None, profile="device")) if profile_name == "server" else context.auth
        with pytest.raises(CMPError) as caught:
            await answer(plugins, replace(context, auth=only, profile=profile_name), oids.CERT_REQ_TEMPLATE)
        assert caught.value.fail_info is fail_info

    async def test_a_certificate_of_another_profile_is_refused(
        self, plugins: Plugins, context: InfoContext, ca: Any, ask: Any
    ) -> None:
        auth = ask.by_certificate(await ca.issue())
        with pytest.raises(CMPError, match="asks for one of server"):
            await answer(plugins, replace(context, auth=auth, profile="server"), oids.CERT_REQ_TEMPLATE)

    @pytest.mark.rule("R-181")
    async def test_r_181_where_nobody_knows_the_value_is_absent(self, plugins: Plugins, context: InfoContext) -> None:
        given = await answer(plugins, replace(context, policy=None), oids.CERT_REQ_TEMPLATE)
        assert given == InfoTypeAndValue(oids.CERT_REQ_TEMPLATE)

    async def test_a_value_in_the_question_is_refused(self, plugins: Plugins, context: InfoContext) -> None:
        with pytest.raises(CMPError) as caught:
            await answer(plugins, context, oids.CERT_REQ_TEMPLATE, b"\x05\x00")
        assert caught.value.fail_info is PKIFailureInfo.BAD_DATA_FORMAT


def of_issuer(*names: x509.Name, this_update: Any = None) -> CRLStatus:
    source = make_element([directory_name(item) for item in names], GeneralNames)
    return CRLStatus(source=Variant(source, "issuer"), this_update=this_update)


def of_url(*urls: str, this_update: Any = None) -> CRLStatus:
    names = [Variant(IA5String(url), "uniform_resource_identifier") for url in urls]
    return CRLStatus(source=Variant(DistributionPointName(full_name=names), "dpn"), this_update=this_update)


class TestCRLs:
    async def crl(self, plugins: Plugins, context: InfoContext, *statuses: CRLStatus) -> bytes | None:
        given = await answer(plugins, context, oids.CRL_STATUS_LIST, encode_list(statuses))
        assert given.info_type == oids.CRLS
        if given.info_value is None:
            return None
        (only,) = given.parse_list(x509.CertificateRevocationList)
        return only.public_bytes(Encoding.DER)

    @pytest.fixture
    def ours(self, ca: Any) -> CRLStatus:
        return of_issuer(ca.certificate.name)

    async def test_the_contract_is_kept(self, plugins: Plugins, context: InfoContext, ours: CRLStatus) -> None:
        await check_info_type(
            plugins.require("info type", oids.CRL_STATUS_LIST),
            context,
            question=to_tlv(encode_list([ours])),
            answer_oid=oids.CRLS,
        )

    async def test_who_has_none_gets_it_by_issuer_or_address(
        self, plugins: Plugins, context: InfoContext, ours: CRLStatus
    ) -> None:
        expected = await context.issuer.crl(now=context.now)
        for status in (ours, of_url(URL), of_url("ldap://other", URL)):
            assert await self.crl(plugins, context, status) == expected

    @pytest.mark.parametrize(("age", "newer"), [(-1, False), (0, False), (1, True), (86_400, True)])
    @pytest.mark.rule("R-185")
    async def test_r_185_only_a_newer_one_is_given(
        self, plugins: Plugins, context: InfoContext, ca: Any, age: int, newer: bool
    ) -> None:
        made = x509.load_der_x509_crl(await context.issuer.crl(now=context.now)).last_update_utc
        have = UTCTime(made - timedelta(seconds=age))
        for status in (of_issuer(ca.certificate.name, this_update=have), of_url(URL, this_update=have)):
            assert (await self.crl(plugins, context, status) is not None) is newer

    async def test_a_time_in_the_far_future_is_understood(
        self, plugins: Plugins, context: InfoContext, ca: Any
    ) -> None:
        far = GeneralizedTime(datetime.fromisoformat("2060-01-01T00:00:00+00:00"))
        assert await self.crl(plugins, context, of_issuer(ca.certificate.name, this_update=far)) is None

    async def test_crls_of_others_are_not_looked_for(self, plugins: Plugins, context: InfoContext) -> None:
        for status in (of_issuer(name("Other CA")), of_url("http://other.example/ca.crl"), of_url(URL.upper())):
            assert await self.crl(plugins, context, status) is None

    async def test_one_of_several_is_enough_and_the_crl_comes_once(
        self, plugins: Plugins, context: InfoContext, ours: CRLStatus
    ) -> None:
        assert await self.crl(plugins, context, of_issuer(name("Other CA")), ours, of_url(URL)) is not None

    async def test_a_name_relative_to_the_issuer_is_of_no_use(self, plugins: Plugins, context: InfoContext) -> None:
        status = decode(CRLStatus, bytes.fromhex("3011a00fa10d300b06035504030c046e616d65"))
        assert await self.crl(plugins, context, status) is None

    @pytest.mark.parametrize("value", [None, b"\x30\x00", b"\x05\x00", b"\x30\x02\x05\x00"])
    async def test_a_question_without_a_source_is_refused(
        self, plugins: Plugins, context: InfoContext, value: bytes | None
    ) -> None:
        with pytest.raises(CMPError) as caught:
            await answer(plugins, context, oids.CRL_STATUS_LIST, value)
        assert caught.value.fail_info is PKIFailureInfo.BAD_DATA_FORMAT

    async def test_many_sources_are_too_many(self, plugins: Plugins, context: InfoContext, ours: CRLStatus) -> None:
        assert await self.crl(plugins, context, *[ours] * 16) is not None
        with pytest.raises(CMPError, match="17 CRLs are asked for"):
            await self.crl(plugins, context, *[ours] * 17)
