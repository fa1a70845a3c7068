"""Profiles of cross certificates, and the policy that says whose they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from cmpkit import oids
from cmpkit.asn1 import AlgorithmIdentifier, Extension
from cmpkit.ca.certificates import room_below
from cmpkit.ca.cross_profiles import CrossProfile, check_cross_profiles, load_cross_profile
from cmpkit.ca.extensions import check_name_constraints, key_usage_extension, read_extensions
from cmpkit.ca.hierarchy import Hierarchy, make_hierarchy
from cmpkit.ca.policy import load_policy, open_policy
from cmpkit.crypto.keys import generate_key
from cmpkit.crypto.names import parse_name
from cmpkit.crypto.x509 import extension, to_pem
from cmpkit.enums import BodyType, PKIFailureInfo
from cmpkit.errors import CMPError, ConfigurationError
from cmpkit.parts import CertificateRequest, CrossCertification, OpenContext, Store
from cmpkit.plugins import Plugins

NAME = "CN=Partner CA"
RSA = AlgorithmIdentifier(oids.SHA256_WITH_RSA)
BAD_CERT_TEMPLATE, NOT_AUTHORIZED = PKIFailureInfo.BAD_CERT_TEMPLATE, PKIFailureInfo.NOT_AUTHORIZED


def constraints(path_length: int | None = 0, *, ca: bool = True) -> Extension:
    return extension(x509.BasicConstraints(ca=ca, path_length=path_length), critical=True)


def only(*names: x509.GeneralName) -> Extension:
    return extension(x509.NameConstraints(permitted_subtrees=list(names), excluded_subtrees=None), critical=True)


@pytest.fixture
def load(plugins: Plugins) -> Callable[..., CrossProfile]:
    return lambda **table: load_cross_profile("partner", table, plugins)


@pytest.fixture
def asked(ask: Any) -> Callable[..., CertificateRequest]:
    """A complete request, with other extensions or fields."""

    def make(*wanted: Extension, **changes: Any) -> CertificateRequest:
        request = ask.request(NAME, *(wanted or (constraints(),)))
        return replace(
            request,
            **{
                "body_type": BodyType.CCR,
                "not_before": ask.now.replace(microsecond=0),
                "not_after": ask.now.replace(microsecond=0) + timedelta(days=30),
                "profile": "partner",
                "cross": CrossCertification(parse_name("CN=Example CA,O=Example"), RSA),
                **changes,
            },
        )

    return make


def given(profile: CrossProfile, request: CertificateRequest, ask: Any) -> tuple[Any, bool, Any]:
    subject, extensions, not_before, not_after, modified = profile.content(request, ask.by_secret(), now=ask.now)
    assert subject == parse_name(NAME)
    return read_extensions(extensions), modified, (extensions, not_before, not_after)


@pytest.mark.rule("R-190")
def test_a_request_within_the_bounds_is_granted_as_it_is(load: Any, asked: Any, ask: Any) -> None:
    usages = key_usage_extension({"keyCertSign", "cRLSign", "digitalSignature"})
    found, modified, _ = given(load(path_length=2), asked(constraints(1), usages), ask)
    assert not modified
    assert (found.ca, found.path_length) == (True, 1)
    assert found.key_usage == {"keyCertSign", "cRLSign", "digitalSignature"}


@pytest.mark.rule("R-071")
@pytest.mark.parametrize("wish", [None, 5])
def test_more_cas_below_than_the_profile_allows_are_cut_down(load: Any, asked: Any, ask: Any, wish: Any) -> None:
    found, modified, _ = given(load(path_length=1), asked(constraints(wish)), ask)
    assert (found.path_length, modified) == (1, True)


@pytest.mark.rule("R-071")
def test_validity_is_cut_down_and_a_beginning_that_just_passed_is_kept(load: Any, asked: Any, ask: Any) -> None:
    begins = ask.now.replace(microsecond=0) - timedelta(minutes=1)
    _, modified, (_, not_before, not_after) = given(load(validity="10d"), asked(not_before=begins), ask)
    assert modified
    assert not_before == begins
    assert not_after == ask.now.replace(microsecond=0) + timedelta(days=10)
    long_ago = asked(not_before=ask.now - timedelta(days=9))
    _, modified, (_, not_before, _) = given(load(), long_ago, ask)
    assert modified
    assert not_before > ask.now - timedelta(minutes=6)


def test_names_of_the_profile_take_the_place_of_those_that_are_asked_for(load: Any, asked: Any, ask: Any) -> None:
    mine = only(x509.DNSName("partner.example"))
    request = asked(constraints(), mine)
    _, modified, (extensions, *_) = given(load(permitted_names=["dns:partner.example"]), request, ask)
    assert mine in extensions
    assert not modified
    _, modified, (extensions, *_) = given(load(excluded_names=["ip:10.0.0.0/8", "dn:O=Example"]), request, ask)
    assert mine not in extensions
    assert modified


def test_a_ca_may_constrain_itself_where_the_profile_does_not(load: Any, asked: Any, ask: Any) -> None:
    mine = only(x509.RFC822Name("partner.example"))
    _, modified, (extensions, *_) = given(load(), asked(constraints(), mine), ask)
    assert mine in extensions
    assert not modified


@pytest.mark.parametrize("der", [b"\x30\x00", b"\x30\x02\xa0\x00", b"junk"])
def test_name_constraints_that_say_nothing_are_refused(der: bytes) -> None:
    with pytest.raises(CMPError) as caught:
        check_name_constraints(der)
    assert caught.value.fail_info is BAD_CERT_TEMPLATE


@pytest.mark.rule("R-190")
@pytest.mark.parametrize(
    ("wanted", "changes"),
    [
        ((constraints(None, ca=False),), {}),
        ((key_usage_extension({"keyCertSign"}),), {}),
        ((constraints(), key_usage_extension({"digitalSignature"})), {}),
        ((), {"subject": None}),
        ((), {"subject": x509.Name([])}),
    ],
    ids=["end entity", "no basicConstraints", "no keyCertSign", "no subject", "empty subject"],
)
def test_what_makes_no_ca_is_refused(
    load: Any, asked: Any, ask: Any, wanted: tuple[Extension, ...], changes: dict[str, Any]
) -> None:
    with pytest.raises(CMPError) as caught:
        load().content(asked(*wanted, **changes), ask.by_secret(), now=ask.now)
    assert caught.value.fail_info is BAD_CERT_TEMPLATE


def test_an_end_before_the_beginning_is_refused(load: Any, asked: Any, ask: Any) -> None:
    with pytest.raises(CMPError, match="no validity is left"):
        load().content(asked(not_after=ask.now - timedelta(days=1)), ask.by_secret(), now=ask.now)


@pytest.mark.rule("R-064")
def test_keys_that_do_not_sign_or_are_not_allowed_are_refused(
    load: Any, asked: Any, ask: Any, plugins: Plugins
) -> None:
    with pytest.raises(CMPError) as caught:
        load(key_types=["p384"]).content(asked(), ask.by_secret(), now=ask.now)
    assert caught.value.fail_info is PKIFailureInfo.BAD_ALG
    agrees = asked(public_key_info=generate_key("x25519", plugins).public_key_info)
    with pytest.raises(CMPError) as caught:
        load().content(agrees, ask.by_secret(), now=ask.now)
    assert caught.value.fail_info is PKIFailureInfo.BAD_ALG


@pytest.mark.rule("R-065")
def test_each_kind_of_profile_refuses_the_requests_of_the_other(
    load: Any, asked: Any, ask: Any, profile: Callable[..., Any]
) -> None:
    for made, request in ((load(), ask.request()), (profile(), asked())):
        with pytest.raises(CMPError) as caught:
            made.content(request, ask.by_secret(), now=ask.now)
        assert caught.value.fail_info is NOT_AUTHORIZED


def test_the_template_of_the_profile_is_that_of_a_ca(load: Any, ask: Any) -> None:
    template = load(permitted_names=["dns:partner.example"], key_types=["p256"]).template(ask.by_secret())
    assert read_extensions(template.extensions).ca
    assert len(template.key_algorithms) == 1


@pytest.mark.parametrize(
    "table",
    [
        {"permitted_names": ["partner.example"]},
        {"permitted_names": ["dns:"]},
        {"excluded_names": ["ip:10.0.0.1/8"]},
        {"excluded_names": ["dn:no name"]},
        {"path_length": -1},
        {"key_types": ["rot13"]},
        {"subject": "CN=x"},
    ],
)
def test_mistakes_in_the_table_are_named(load: Any, table: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=f"profiles.partner\\] {next(iter(table))}"):
        load(**table)


async def made(plugins: Plugins, ask: Any, path_length: int | None) -> Hierarchy:
    keys = {name: generate_key("p256", plugins) for name in ("root_key", "issuing_key")}
    return await make_hierarchy(parse_name("CN=Partner CA"), **keys, now=ask.now, path_length=path_length)


async def test_a_ca_that_allows_none_below_it_has_no_such_profiles(load: Any, plugins: Plugins, ask: Any) -> None:
    for path_length, room in ((0, 0), (2, 2), (None, None)):
        chain = (await made(plugins, ask, path_length)).issuing.all
        assert room_below(chain) == room
        check_cross_profiles([] if room == 0 else [load(path_length=1)], chain)
    with pytest.raises(ConfigurationError, match="0 needs 1 CAs below this one"):
        check_cross_profiles([load()], (await made(plugins, ask, 0)).issuing.all)


Open = Callable[..., Any]


class TestRules:
    @pytest.fixture
    def opened(self, tmp_path: Path, plugins: Plugins, store: Store, load: Any, profile: Any) -> Open:
        """A policy with rules, and with a profile of each kind."""
        context = OpenContext(tmp_path, store, plugins, {"device": profile(), "partner": load()})
        return lambda *rules: open_policy({"cross_certification": list(rules)}, context)

    async def test_the_named_ca_and_its_key_and_no_others(
        self, tmp_path: Path, plugins: Plugins, opened: Open, asked: Any, ask: Any
    ) -> None:
        partner = await made(plugins, ask, 0)
        (tmp_path / "partner.pem").write_bytes(to_pem(partner.issuing.der))
        policy = await opened({"authority": "partner.pem", "profile": "partner"})
        itself = ask.by_certificate(None)
        itself = replace(itself, credential=replace(itself.credential, certificate=partner.issuing.der))
        wanted = asked(public_key_info=partner.issuing.public_key_info, profile=None)
        assert (await policy.authorize_request(wanted, itself, now=ask.now)).profile == "partner"
        root = replace(itself, credential=replace(itself.credential, certificate=partner.root))
        for request, auth in (
            (asked(), itself),
            (replace(wanted, subject=parse_name("CN=Other")), itself),
            (replace(wanted, profile="device"), itself),
            (wanted, root),
        ):
            with pytest.raises(CMPError) as caught:
                await policy.authorize_request(request, auth, now=ask.now)
            assert caught.value.fail_info is NOT_AUTHORIZED

    async def test_a_profile_of_another_kind_is_a_mistake(self, opened: Open) -> None:
        with pytest.raises(ConfigurationError, match="no profile of the kind cross-certificate"):
            await opened({"authority": "partner.pem", "profile": "device"})

    async def test_a_file_that_is_not_there_is_a_mistake(self, opened: Open) -> None:
        with pytest.raises(ConfigurationError, match=r"cross_certification\]\] authority: .*partner.pem"):
            await opened({"authority": "partner.pem", "profile": "partner"})

    def test_files_are_for_servers(self, profile: Any) -> None:
        rule = {"authority": "partner.pem", "profile": "partner"}
        with pytest.raises(ConfigurationError, match="names files"):
            load_policy({"cross_certification": [rule]}, {"device": profile()})
