"""What a CA tells about algorithms, and the language of its texts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from cryptography import x509
from rollover import Rollover

from cmpkit import oids
from cmpkit.asn1 import AlgorithmIdentifier, CAKeyUpdAnnContent, InfoTypeAndValue, Null, encode, encode_list, to_tlv
from cmpkit.ca.policy import load_policy
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError
from cmpkit.parts import InfoContext
from cmpkit.plugins import Plugins
from cmpkit.testing import check_info_type

P256 = AlgorithmIdentifier(oids.EC_PUBLIC_KEY, oids.SECP256R1)
RSA = AlgorithmIdentifier(oids.RSA_ENCRYPTION, Null())
X25519 = AlgorithmIdentifier(oids.X25519)


@pytest.fixture
def context(ca: Any, ask: Any, plugins: Plugins, profile: Callable[..., Any]) -> InfoContext:
    profiles = {"device": profile(key_types=["p256", "rsa3072", "x25519"]), "any": profile("any")}
    policy = load_policy({}, profiles)
    known = tuple(plugins.all("key algorithm"))
    return InfoContext(ca.issuer, ask.by_secret(), ask.now, policy=policy, key_algorithms=known)


async def told(plugins: Plugins, context: InfoContext, oid: x509.ObjectIdentifier, value: Any = None) -> Any:
    part = plugins.require("info type", oid)
    return await part.answer(None if value is None else to_tlv(value), context)


@pytest.mark.parametrize(
    ("oid", "question", "answered"),
    [
        (oids.SIGN_KEY_PAIR_TYPES, None, None),
        (oids.ENC_KEY_PAIR_TYPES, None, None),
        (oids.PREFERRED_SYMM_ALG, None, None),
        (oids.CA_KEY_UPDATE_INFO, None, None),
        (oids.KEY_PAIR_PARAM_REQ, oids.EC_PUBLIC_KEY, oids.KEY_PAIR_PARAM_REP),
        (oids.SUPP_LANG_TAGS, encode_list(["de", "en-GB"]), None),
    ],
)
async def test_the_contract_is_kept(
    plugins: Plugins, context: InfoContext, oid: x509.ObjectIdentifier, question: Any, answered: Any
) -> None:
    value = None if question is None else to_tlv(question)
    await check_info_type(plugins.require("info type", oid), context, question=value, answer_oid=answered)


async def test_kinds_of_keys_are_those_of_the_profile_by_what_they_are_good_for(
    plugins: Plugins, context: InfoContext
) -> None:
    for oid, expected in ((oids.SIGN_KEY_PAIR_TYPES, {RSA, P256}), (oids.ENC_KEY_PAIR_TYPES, {RSA, P256, X25519})):
        given = (await told(plugins, context, oid)).parse_list(AlgorithmIdentifier)
        assert set(given) == expected
        assert len(given) == len(expected)


async def test_a_profile_that_takes_every_key_tells_every_curve_by_itself(
    plugins: Plugins, context: InfoContext
) -> None:
    for changed in (replace(context, profile="any"), replace(context, policy=None)):
        given = (await told(plugins, changed, oids.SIGN_KEY_PAIR_TYPES)).parse_list(AlgorithmIdentifier)
        curves = [item for item in given if item.algorithm == oids.EC_PUBLIC_KEY]
        assert P256 in curves
        assert len(curves) == len(set(curves)) > 3
        assert X25519 not in given
    assert await told(plugins, replace(context, key_algorithms=()), oids.SIGN_KEY_PAIR_TYPES) == InfoTypeAndValue(
        oids.SIGN_KEY_PAIR_TYPES
    )


@pytest.mark.rule("R-181", "R-182")
async def test_parameters_are_those_of_keys_that_the_sender_may_have(plugins: Plugins, context: InfoContext) -> None:
    for asked, expected in ((oids.EC_PUBLIC_KEY, P256), (oids.RSA_ENCRYPTION, RSA), (oids.ED25519, None)):
        given = await told(plugins, context, oids.KEY_PAIR_PARAM_REQ, asked)
        assert given == InfoTypeAndValue(oids.KEY_PAIR_PARAM_REP, expected)
    with pytest.raises(CMPError, match="names no algorithm"):
        await told(plugins, context, oids.KEY_PAIR_PARAM_REQ)


@pytest.mark.rule("R-188")
@pytest.mark.parametrize(("offered", "taken"), [(["de", "en-GB", "en"], "en-GB"), (["EN"], "EN"), (["en"], "en")])
async def test_the_first_tag_for_english_is_taken(
    plugins: Plugins, context: InfoContext, offered: list[str], taken: str
) -> None:
    given = await told(plugins, context, oids.SUPP_LANG_TAGS, encode_list(offered))
    assert given.parse_list(str) == [taken]


@pytest.mark.rule("R-188")
@pytest.mark.parametrize("offered", [["de", "enm"], [], None])
async def test_without_english_among_the_tags_there_is_an_error(
    plugins: Plugins, context: InfoContext, offered: list[str] | None
) -> None:
    value = None if offered is None else encode_list(offered)
    with pytest.raises(CMPError, match="texts are in en") as caught:
        await told(plugins, context, oids.SUPP_LANG_TAGS, value)
    assert caught.value.fail_info is PKIFailureInfo.ADD_INFO_NOT_AVAILABLE


async def test_a_new_root_is_told_in_the_old_way_if_all_three_certificates_are_here(
    plugins: Plugins, context: InfoContext, ca: Any
) -> None:
    made = Rollover()
    whole = replace(context, issuer=ca.reopened(root_update=made.update))
    content = (await told(plugins, whole, oids.CA_KEY_UPDATE_INFO)).parse(CAKeyUpdAnnContent)
    found = (content.old_with_new, content.new_with_old, content.new_with_new)
    assert tuple(map(encode, found)) == (made.old_with_new, made.new_with_old, made.new_with_new)
    partial = ca.reopened(root_update=replace(made.update, old_with_new=None))
    for issuer in (partial, ca.issuer):
        given = await told(plugins, replace(context, issuer=issuer), oids.CA_KEY_UPDATE_INFO)
        assert given == InfoTypeAndValue(oids.CA_KEY_UPDATE_INFO)
