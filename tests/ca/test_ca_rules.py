"""The policy by rules: the first rule that fits decides, and nothing is allowed that no rule allows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import anyio
import pytest
from cryptography import x509
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cmpkit import oids
from cmpkit.ca.extensions import read_alternative_names, read_extensions
from cmpkit.ca.facts import name_text
from cmpkit.ca.rules_policy import RulesPolicy, load_rules_policy
from cmpkit.crypto.names import parse_name
from cmpkit.enums import BodyType, CRLReason, PKIFailureInfo
from cmpkit.errors import CMPError, ConfigurationError
from cmpkit.parts import (
    Asked,
    Authenticated,
    CertificateRecord,
    CertificateState,
    Credential,
    Grant,
    ProtectionKind,
    RecoveryRequest,
    RevocationRequest,
)
from cmpkit.testing import check_policy

Policies = Callable[..., RulesPolicy]
DEV_42 = Grant(parse_name("CN=dev-42"))
NOT_AUTHORIZED, BAD_CERT_TEMPLATE = PKIFailureInfo.NOT_AUTHORIZED, PKIFailureInfo.BAD_CERT_TEMPLATE
DEFAULT = {"action": "default"}
ANYONE = {"who": ["anyone"], "action": "accept"}


@pytest.fixture
def policies(profile: Callable[..., Any]) -> Policies:
    """A policy by its rules."""
    profiles = {name: profile(name, allow_requested_names=True) for name in ("device", "server")}

    def make(*rules: dict[str, Any], **table: Any) -> RulesPolicy:
        return load_rules_policy({**table, "rule": list(rules)}, profiles)

    return make


@pytest.fixture
async def record(ca: Any, ask: Any) -> CertificateRecord:
    """The certificate of dev-42."""
    issued: CertificateRecord = await ca.issue(ask.request("CN=dev-42"))
    return issued


def vendor(ca: Any, subject: str = "CN=SN-1,serialNumber=4711,O=Vendor", **changes: Any) -> Authenticated:
    """Who has a certificate of another PKI. Its issuer is that of our own CA certificate: any will do."""
    credential = Credential(ProtectionKind.SIGNATURE, "cert:cd", certificate=ca.certificate.der)
    name = parse_name(subject)
    return Authenticated("SN-1", credential, name, **changes)


def authority(record: CertificateRecord) -> Authenticated:
    """An RA with a certificate of ours."""
    credential = Credential(ProtectionKind.SIGNATURE, "cert:ab", certificate=record.der)
    return Authenticated("ra", credential, parse_name("CN=ra"), record=record, roles=frozenset({"ra"}))


def names_of(request: Any) -> list[str]:
    return [name_text(der) for der in read_alternative_names(request.extensions) or ()]


async def refused(policy: RulesPolicy, what: Any, auth: Any, now: Any) -> CMPError:
    ask = policy.authorize if isinstance(what, BodyType) else policy.authorize_request
    with pytest.raises(CMPError) as caught:
        await ask(what, auth, now=now)
    return caught.value


# first match, and nothing without one

_PATHS, _PROFILES, _SUBJECTS = ("factory", "office"), ("device", "server"), ("CN=a", "CN=b")
_WHO = st.sampled_from(["secret", "trusted", "anyone"])
_RULES = st.fixed_dictionaries(
    {
        "action": st.sampled_from(["accept", "refuse"]),
        "who": st.lists(_WHO, min_size=1, max_size=2),
    },
    optional={
        "path": st.sampled_from(_PATHS),
        "body": st.lists(st.sampled_from(["ir", "cr", "genm"]), min_size=1, max_size=2),
        "profile": st.sampled_from(_PROFILES),
        "subjects": st.lists(st.sampled_from(_SUBJECTS), max_size=2),
    },
)
_ASKED = st.tuples(
    st.sampled_from([BodyType.IR, BodyType.CR]),
    st.sampled_from((*_PATHS, None)),
    st.sampled_from(_PROFILES),
    st.sampled_from(_SUBJECTS),
)


def fits(rule: dict[str, Any], body: BodyType, path: str | None, profile: str, subject: str) -> bool:
    """The meaning of a rule for who has a shared secret, in other words."""
    return (
        rule.get("path", path) == path
        and body.wire_name in rule.get("body", [body.wire_name])
        and bool({"secret", "anyone"} & set(rule["who"]))
        and rule.get("profile", profile) == profile
        and subject in rule.get("subjects", [subject])
    )


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rules=st.lists(_RULES, min_size=1, max_size=5), asked=_ASKED)
def test_the_first_rule_that_fits_decides_and_without_one_nothing_is_allowed(
    policies: Policies, ask: Any, rules: list[dict[str, Any]], asked: Any
) -> None:
    body, path, profile, subject = asked
    expected = next((rule["action"] for rule in rules if fits(rule, *asked)), "refuse")
    request = ask.request(subject, body_type=body, profile=profile)
    auth = replace(ask.by_secret(), label=path)
    policy = policies(*rules)

    async def decide() -> str:
        try:
            await policy.authorize_request(request, auth, now=ask.now)
        except CMPError:
            return "refuse"
        # What may be had may be asked for.
        await policy.authorize(body, auth, now=ask.now)
        return "accept"

    assert anyio.run(decide) == expected
    *passed, last = policy.explain(Asked(body, auth, ask.now, request))
    assert all(finding.why_not for finding in passed)
    assert bool(last.why_not) is not any(fits(rule, *asked) for rule in rules)


@pytest.mark.parametrize("body_type", sorted(BodyType))
async def test_what_no_rule_is_for_is_refused(policies: Policies, ask: Any, ca: Any, body_type: BodyType) -> None:
    policy = policies({**ANYONE, "references": ["other-*"]})
    for auth in (ask.by_secret(), vendor(ca)):
        assert (await refused(policy, body_type, auth, ask.now)).fail_info is NOT_AUTHORIZED


async def test_the_default_policy_may_have_the_last_word(
    policies: Policies, ask: Any, ca: Any, record: CertificateRecord
) -> None:
    policy = policies({"who": ["trusted"], "body": ["ir"], "action": "accept"}, DEFAULT)
    decided = await policy.authorize_request(ask.request(None), ask.by_secret(grant=DEV_42), now=ask.now)
    assert (decided.subject, decided.profile) == (DEV_42.subject, "device")
    await policy.authorize(BodyType.KUR, ask.by_certificate(record), now=ask.now)
    await policy.authorize(BodyType.IR, vendor(ca), now=ask.now)
    await refused(policy, BodyType.CR, vendor(ca), ask.now)


# conformance


async def test_it_keeps_the_contract_of_policies(policies: Policies, ask: Any, record: CertificateRecord) -> None:
    policy = policies({"references": ["dev-*"], "action": "accept"}, {"who": ["certificate"], "action": "accept"})
    granted = replace(ask.by_secret(), grant=DEV_42, subject=DEV_42.subject)
    await check_policy(policy, ask.request(), granted, now=ask.now, certificate=record)
    update = ask.request(body_type=BodyType.KUR, profile=None, old_certificate=record)
    own = replace(ask.by_certificate(record), subject=DEV_42.subject)
    await check_policy(policy, update, own, now=ask.now, certificate=record)


# who


@pytest.mark.parametrize(
    ("conditions", "reason"),
    [
        ({"path": "factory"}, "the address has the label office"),
        ({"body": ["cr"]}, "not for ir"),
        ({"who": ["trusted"]}, "a certificate of another PKI"),
        ({"who": ["ra"]}, "that of an RA"),
        ({"references": ["other-*"]}, "none of other-*"),
        ({"senders": ["*"]}, "the subject of the sender's certificate"),
        ({"issuers": ["*"]}, "the issuer of the sender's certificate"),
        ({"identity": "serialNumber"}, "has no serialNumber"),
        ({"profile": "server"}, "and device is asked for"),
        ({"subjects": ["CN=other"]}, "the subject CN=dev-42 is none of CN=other"),
        ({"names": ["dns:*.example"]}, "the name dns:dev-42.test is none of"),
    ],
)
async def test_why_a_rule_does_not_fit_is_told(
    policies: Policies, ask: Any, conditions: dict[str, Any], reason: str
) -> None:
    rule = {"action": "accept", **conditions}
    if not {"who", "references", "senders", "issuers"} & set(rule):
        rule["who"] = ["anyone"]
    request = ask.request("CN=dev-42", ask.names(x509.DNSName("dev-42.test")))
    auth = replace(ask.by_secret(), label="office")
    (finding,) = policies(rule).explain(Asked(BodyType.IR, auth, ask.now, request))
    assert reason in finding.why_not


@pytest.mark.rule("R-063")
async def test_r_063_device_certificates_of_another_pki_are_known_by_their_issuer(
    policies: Policies, ask: Any, ca: Any
) -> None:
    issuer = x509.load_der_x509_certificate(ca.certificate.der).issuer.rfc4514_string()
    conditions = {"who": ["trusted"], "body": ["ir"], "issuers": [issuer], "senders": ["CN=*,serialNumber=*,O=Vendor"]}
    policy = policies({**conditions, "action": "accept"})
    decided = await policy.authorize_request(ask.request(None), vendor(ca), now=ask.now)
    assert decided.subject == vendor(ca).subject
    error = await refused(policy, ask.request("CN=admin"), vendor(ca), ask.now)
    assert "its own subject" in error.detail
    await refused(policy, BodyType.IR, vendor(ca, "CN=x,O=Other"), ask.now)
    await refused(
        policies({**conditions, "issuers": ["CN=Other"], "action": "accept"}), BodyType.IR, vendor(ca), ask.now
    )


@pytest.mark.rule("R-063")
async def test_r_063_a_rule_gives_them_names_of_our_own(policies: Policies, ask: Any, ca: Any) -> None:
    change = {
        "subject": "CN={identity},O=Example",
        "subject_alt_names": ["dns:{identity}.devices.example"],
        "profile": "server",
        "extended_key_usage": ["clientAuth"],
        "key_usage": ["digitalSignature"],
        "validity": "30d",
    }
    policy = policies(
        {"who": ["trusted"], "body": ["ir"], "identity": "serialNumber", "change": change, "action": "accept"}
    )
    request = ask.request("CN=whatever", ask.names(x509.DNSName("whatever.example")), ask.unknown())
    decided = await policy.authorize_request(request, vendor(ca), now=ask.now)
    assert decided.subject == parse_name("CN=4711,O=Example")
    assert names_of(decided) == ["dns:4711.devices.example"]
    assert (decided.profile, decided.not_after) == ("server", ask.second + timedelta(days=30))
    assert ask.unknown() in decided.extensions
    asked = read_extensions(decided.extensions)
    assert asked.key_usage == {"digitalSignature"}
    assert asked.purposes == (x509.ExtendedKeyUsageOID.CLIENT_AUTH,)
    template = await policies(
        {"who": ["trusted"], "identity": "serialNumber", "body": ["ir"], "change": change, "action": "accept"}, ANYONE
    ).request_template(None, vendor(ca), now=ask.now)
    assert template.subject == parse_name("CN=4711,O=Example")
    assert sum(item.extn_id == oids.SUBJECT_ALTERNATIVE_NAME for item in template.extensions) == 1


async def test_what_is_filled_in_leaves_alone_what_is_asked_for(policies: Policies, ask: Any) -> None:
    fill = {
        "subject": "CN={identity}",
        "subject_alt_names": ["dns:{identity}.example"],
        "profile": "server",
        "validity": "1d",
    }
    policy = policies({"who": ["secret"], "fill": fill, "action": "accept"})
    decided = await policy.authorize_request(ask.request(None, profile=None), ask.by_secret(), now=ask.now)
    assert (decided.subject, names_of(decided), decided.profile) == (
        parse_name("CN=dev-42"),
        ["dns:dev-42.example"],
        "server",
    )
    assert decided.not_after == ask.second + timedelta(days=1)
    end = ask.second + timedelta(days=2)
    full = ask.request("CN=x", ask.names(x509.DNSName("x.example")), not_after=end)
    decided = await policy.authorize_request(full, ask.by_secret(), now=ask.now)
    assert (decided.subject, names_of(decided), decided.profile) == (parse_name("CN=x"), ["dns:x.example"], "device")
    assert decided.not_after == end


# what credentials are good for stays so


async def test_a_grant_is_kept_to_whatever_a_rule_allows(policies: Policies, ask: Any) -> None:
    policy = policies({**ANYONE, "subjects": ["*"]})
    await refused(policy, ask.request("CN=admin"), ask.by_secret(grant=DEV_42), ask.now)
    for grant in (replace(DEV_42, uses=0), replace(DEV_42, expires=ask.now), replace(DEV_42, profile="server"), None):
        await refused(policy, ask.request(), ask.by_secret(grant=grant), ask.now)


@pytest.mark.rule("R-121", "R-123")
async def test_r_123_an_update_keeps_its_names_whatever_a_rule_allows(
    policies: Policies, ask: Any, record: CertificateRecord
) -> None:
    policy = policies({**ANYONE, "subjects": ["*"]})
    own = replace(ask.by_certificate(record), subject=DEV_42.subject)
    error = await refused(policy, ask.request("CN=admin", body_type=BodyType.KUR), own, ask.now)
    assert error.fail_info is BAD_CERT_TEMPLATE
    another = await policy.authorize_request(ask.request("CN=admin", body_type=BodyType.CR), own, now=ask.now)
    assert another.subject == parse_name("CN=admin")
    revoked = replace(own, record=replace(record, state=CertificateState.REVOKED))
    assert (await refused(policy, ask.request("CN=admin"), revoked, ask.now)).fail_info is PKIFailureInfo.CERT_REVOKED


@pytest.mark.rule("R-121")
async def test_r_121_a_certificate_of_another_pki_cannot_be_updated(policies: Policies, ask: Any, ca: Any) -> None:
    error = await refused(policies(ANYONE), ask.request(None, body_type=BodyType.KUR), vendor(ca), ask.now)
    assert error.fail_info is PKIFailureInfo.BAD_CERT_ID


@pytest.mark.rule("R-121")
async def test_r_121_an_update_that_is_passed_on_is_for_the_upstream_to_judge(
    policies: Policies, ask: Any, ca: Any
) -> None:
    policy, auth = policies(ANYONE), vendor(ca)
    asked = replace(ask.request(None, body_type=BodyType.KUR), passed_on=True)
    assert await policy.authorize_request(asked, auth, now=ask.now) == asked
    other = replace(asked, subject=parse_name("CN=SN-2"))
    assert (await refused(policy, other, auth, ask.now)).fail_info is PKIFailureInfo.NOT_AUTHORIZED


async def test_a_holder_of_a_certificate_may_only_have_its_own_names_unless_a_rule_names_others(
    policies: Policies, ask: Any, record: CertificateRecord
) -> None:
    own = replace(ask.by_certificate(record), subject=DEV_42.subject)
    for request in (ask.request("CN=admin"), ask.request(None, ask.names(x509.DNSName("x.example")))):
        await refused(policies(ANYONE), request, own, ask.now)
    request = ask.request("CN=a", ask.names(x509.DNSName("x.example")))
    await refused(policies({**ANYONE, "subjects": ["CN=a"]}), request, own, ask.now)
    allowing = policies({**ANYONE, "subjects": ["CN=a"], "names": ["dns:*.example"]})
    assert names_of(await allowing.authorize_request(request, own, now=ask.now)) == ["dns:x.example"]


async def test_a_key_is_not_used_again_if_that_is_forbidden(
    policies: Policies, ask: Any, record: CertificateRecord
) -> None:
    policy = policies({**ANYONE, "subjects": ["*"]}, allow_key_reuse=False)
    own = replace(ask.by_certificate(record), subject=DEV_42.subject)
    assert "used again" in (await refused(policy, ask.request("CN=a"), own, ask.now)).detail


# registration authorities


@pytest.mark.rule("R-161")
async def test_r_161_an_ra_enrols_others_as_its_rules_say(
    policies: Policies, ask: Any, record: CertificateRecord, profile: Callable[..., Any]
) -> None:
    rule = {
        "who": ["ra"],
        "body": ["ir", "cr", "p10cr"],
        "profile": "device",
        "subjects": ["CN=*,O=Example"],
        "names": ["dns:*.example"],
        "action": "accept",
    }
    policy, ra = policies(rule), authority(record)
    request = ask.request("CN=ee,O=Example", ask.names(x509.DNSName("ee.example")))
    decided = await policy.authorize_request(request, ra, now=ask.now)
    assert (decided.subject, decided.profile) == (request.subject, "device")
    # The profile makes no names of the RA's identity, whether this CA issued its certificate or another did.
    for who in (ra, replace(ra, record=None)):
        named = profile(subject="CN={identity},O=Example", subject_alt_names=["dns:{identity}.example"])
        subject, extensions, *_ = named.content(decided, who, now=ask.now)
        assert subject == request.subject
        assert names_of(replace(decided, extensions=extensions)) == ["dns:ee.example"]
    for other in (
        ask.request("CN=ee,O=Other"),
        ask.request("CN=ee,O=Example", ask.names(x509.DNSName("ee.test"))),
        ask.request("CN=ee,O=Example", profile="server"),
        ask.request(None),
    ):
        assert (await refused(policy, other, ra, ask.now)).fail_info is NOT_AUTHORIZED


@pytest.mark.rule("R-065")
async def test_r_065_names_that_a_rule_says_nothing_of_are_refused_to_an_ra(
    policies: Policies, ask: Any, record: CertificateRecord
) -> None:
    policy = policies({"who": ["ra"], "subjects": ["*"], "action": "accept"})
    request = ask.request("CN=ee", ask.names(x509.DNSName("bank.example")))
    assert "says nothing of them" in (await refused(policy, request, authority(record), ask.now)).detail
    # One that another CA certified has no names here that its own could be held against.
    listed = replace(authority(record), record=None)
    for rules in ({"who": ["ra"], "subjects": ["*"], "action": "accept"}, {"who": ["ra"], "action": "accept"}):
        own = ask.request("CN=ra", ask.names(x509.DNSName("bank.example")))
        assert "says nothing of them" in (await refused(policies(rules), own, listed, ask.now)).detail


@pytest.mark.rule("R-140", "R-161")
async def test_r_161_an_ra_revokes_for_others_as_its_rules_say(
    policies: Policies, ca: Any, ask: Any, record: CertificateRecord
) -> None:
    other = await ca.issue(ask.request("CN=ee,O=Example"))
    policy = policies({"who": ["ra"], "body": ["rr"], "subjects": ["CN=*,O=Example"], "action": "accept"})
    ra = authority(record)
    await policy.authorize_revocation(revocation(ca, other), other, ra, now=ask.now)
    with pytest.raises(CMPError, match="no rule"):
        await policy.authorize_revocation(revocation(ca, record), record, ra, now=ask.now)
    with pytest.raises(CMPError, match="refuses"):
        await policies({"action": "refuse"}).authorize_revocation(revocation(ca, other), other, ra, now=ask.now)
    await policies(DEFAULT).authorize_revocation(revocation(ca, record), record, ra, now=ask.now)


def revocation(ca: Any, record: CertificateRecord) -> RevocationRequest:
    return RevocationRequest(ca.certificate.name, record.serial_number, CRLReason.KEY_COMPROMISE)


@pytest.mark.rule("R-140")
async def test_r_140_without_subjects_a_rule_lets_revoke_what_is_ones_own(
    policies: Policies, ca: Any, ask: Any, record: CertificateRecord
) -> None:
    policy, other = policies(ANYONE), await ca.issue(ask.request("CN=ee"))
    own = ask.by_certificate(record)
    await policy.authorize_revocation(revocation(ca, record), record, own, now=ask.now)
    with pytest.raises(CMPError, match="only revoke what is its own"):
        await policy.authorize_revocation(revocation(ca, other), other, own, now=ask.now)
    # By a secret, what was enrolled with it.
    await policy.authorize_revocation(revocation(ca, other), other, ask.by_secret(), now=ask.now)


# what becomes of it


async def test_a_rule_refuses_with_its_own_words(policies: Policies, ask: Any) -> None:
    policy = policies(
        {"subjects": ["CN=admin"], "action": "refuse", "fail_info": "badCertTemplate", "text": "no admins here"}, ANYONE
    )
    error = await refused(policy, ask.request("CN=admin"), ask.by_secret(), ask.now)
    assert (error.fail_info, error.status_text) == (BAD_CERT_TEMPLATE, "no admins here")
    assert (await policy.authorize_request(ask.request(), ask.by_secret(), now=ask.now)).profile == "device"
    await refused(policies({"action": "refuse"}, ANYONE), BodyType.IR, ask.by_secret(), ask.now)


async def test_a_rule_holds_requests_for_a_person_and_nothing_else(policies: Policies, ask: Any) -> None:
    policy = policies({"who": ["secret"], "subjects": ["CN=admin"], "action": "hold"}, ANYONE)
    assert (await policy.authorize_request(ask.request("CN=admin"), ask.by_secret(), now=ask.now)).approval
    assert not (await policy.authorize_request(ask.request(), ask.by_secret(), now=ask.now)).approval
    await refused(policies({"who": ["secret"], "action": "hold"}), BodyType.GENM, ask.by_secret(), ask.now)


async def test_of_rules_that_look_inside_one_that_may_fit_lets_a_message_in(policies: Policies, ask: Any) -> None:
    inside = {**ANYONE, "subjects": ["CN=a"]}
    await policies(inside).authorize(BodyType.IR, ask.by_secret(), now=ask.now)
    error = await refused(policies(inside, DEFAULT), BodyType.KUR, ask.by_secret(), ask.now)
    assert error.fail_info is PKIFailureInfo.WRONG_INTEGRITY
    spent = ask.by_secret(grant=replace(DEV_42, uses=0))
    assert "used up" in (await refused(policies(inside), BodyType.IR, spent, ask.now)).detail
    (finding,) = policies(inside).explain(Asked(BodyType.IR, spent, ask.now))
    assert finding.why_not == "it depends on what is asked for, and lets nothing in here"
    # A genm shows neither subjects nor names.
    await refused(policies(inside), BodyType.GENM, ask.by_secret(), ask.now)


async def test_a_template_is_that_of_the_rule_that_its_requests_would_meet(
    policies: Policies, ask: Any, record: CertificateRecord
) -> None:
    policy = policies({"body": ["genm"], **ANYONE}, {"who": ["secret"], "action": "accept"}, {"action": "refuse"})
    template = await policy.request_template(None, ask.by_secret(grant=DEV_42), now=ask.now)
    assert template.subject == DEV_42.subject
    with pytest.raises(CMPError, match="refuses"):
        await policy.request_template(None, ask.by_certificate(record), now=ask.now)
    by_default = await policies(DEFAULT).request_template(None, ask.by_secret(grant=DEV_42), now=ask.now)
    assert by_default == template
    with pytest.raises(CMPError, match="no rule"):
        await policies({"body": ["genm"], **ANYONE}).request_template(None, ask.by_secret(), now=ask.now)
    naming = policies({"body": ["genm"], **ANYONE}, {**ANYONE, "subjects": ["CN=*"]})
    named = await naming.request_template("server", ask.by_secret(), now=ask.now)
    assert named.subject is None


# what stays with the default policy


async def test_cross_certification_recovery_and_passphrases_stay_with_the_default_policy(
    policies: Policies, ask: Any, record: CertificateRecord, ca: Any
) -> None:
    policy = policies(ANYONE, revocation_by_passphrase=True)
    assert "cross" in (await refused(policy, BodyType.CCR, vendor(ca), ask.now)).detail
    await refused(policy, ask.request(body_type=BodyType.CCR), vendor(ca), ask.now)
    with pytest.raises(CMPError, match="archived keys"):
        await policy.authorize_recovery(RecoveryRequest(b""), ask.by_secret(), now=ask.now)
    await policy.authorize_passphrase(ask.by_secret(), now=ask.now)
    passphrase = ask.by_secret(grant=replace(DEV_42, revokes="cert:ab"))
    await policy.authorize(BodyType.RR, passphrase, now=ask.now)
    await policy.authorize_revocation(revocation(ca, record), record, passphrase, now=ask.now)
    await refused(policy, BodyType.IR, passphrase, ask.now)
    await refused(policy, ask.request(), passphrase, ask.now)
    await refused(policies({"action": "refuse"}, revocation_by_passphrase=True), BodyType.KRR, ask.by_secret(), ask.now)


# mistakes


@pytest.mark.parametrize(
    ("rule", "mistake"),
    [
        ({"action": "accept"}, 'who: is missing; if anybody may, say: who = ["anyone"]'),
        ({"action": "hold"}, "who: is missing"),
        ({"who": ["anyone"]}, "action: is missing"),
        ({"action": "default", "change": {"profile": "device"}}, "change, fill: mean nothing with default"),
        ({**ANYONE, "text": "no"}, "fail_info, text: mean nothing with accept"),
        ({"action": "refuse", "fail_info": "systemFailure"}, "is none of"),
        ({"who": ["anyone"], "action": "hold", "body": ["rr"]}, "body: hold, change and fill are for"),
        ({**ANYONE, "change": {"subject": "CN=x"}}, "body: an update keeps its names"),
        ({**ANYONE, "references": ["a"], "senders": ["*"]}, "references: shared secrets have them"),
        ({"action": "accept", "who": ["secret"], "issuers": ["*"]}, "only secrets are meant"),
        ({"action": "accept", "who": ["ra"], "references": ["*"]}, "none is meant"),
        ({**ANYONE, "subjects": ["x"]}, "subjects: not a distinguished name"),
        ({**ANYONE, "names": ["x"]}, "names: 'x' begins with none of"),
        ({**ANYONE, "identity": "nothing"}, "identity: 'nothing' is not a known attribute type"),
        ({**ANYONE, "fill": {"key_usage": ["nothing"]}}, "key_usage: nothing: is none of"),
        ({**ANYONE, "fill": {"extended_key_usage": ["nothing"]}}, "extended_key_usage"),
        ({**ANYONE, "profile": "nobody"}, "rule.0.profile: there is no profile 'nobody'"),
        ({**ANYONE, "fill": {"profile": "nobody"}}, "rule.0.fill.profile: there is no profile"),
        ({**ANYONE, "nothing": 1}, "rule.0.nothing: there is no such key"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(policies: Policies, rule: dict[str, Any], mistake: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        policies(rule)
    assert mistake in caught.value.detail
    assert "[policy]" in caught.value.detail


def test_rules_are_needed_and_paths_are_told(policies: Policies) -> None:
    with pytest.raises(ConfigurationError, match="rule"):
        policies()
    with pytest.raises(ConfigurationError, match="default_profile"):
        policies(ANYONE, default_profile="nobody")
    with pytest.raises(ConfigurationError, match="names files"):
        policies(ANYONE, cross_certification=[{"authority": "x.pem", "profile": "device"}])
    assert policies({**ANYONE, "path": "factory"}, ANYONE).paths == {"factory"}
