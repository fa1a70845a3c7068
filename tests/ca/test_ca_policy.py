from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography.x509 import DNSName

from cmpkit import oids
from cmpkit.ca.extensions import read_alternative_names
from cmpkit.ca.policy import DefaultPolicy, load_policy
from cmpkit.crypto.names import parse_name
from cmpkit.enums import BodyType, CRLReason, PKIFailureInfo
from cmpkit.errors import CMPError, ConfigurationError
from cmpkit.parts import CertificateRecord, CertificateState, Credential, Grant, PrivateKey, ProtectionKind

BY_SECRET = {BodyType.IR, BodyType.CR, BodyType.P10CR, BodyType.KRR, BodyType.GENM}
BY_CERTIFICATE = {BodyType.CR, BodyType.P10CR, BodyType.KUR, BodyType.KRR, BodyType.GENM, BodyType.RR}
DEV_42 = Grant(parse_name("CN=dev-42"))
NOT_AUTHORIZED, BAD_CERT_TEMPLATE = PKIFailureInfo.NOT_AUTHORIZED, PKIFailureInfo.BAD_CERT_TEMPLATE


@pytest.fixture
def policy(profile: Callable[..., Any]) -> DefaultPolicy:
    return load_policy({}, {"device": profile(), "server": profile("server")})


@pytest.fixture
async def record(ca: Any, ask: Any) -> CertificateRecord:
    """The certificate of dev-42, with a subjectAltName."""
    ca.profiles["device"] = ca.profiles["named"]
    issued: CertificateRecord = await ca.issue(ask.request("CN=dev-42", ask.names(DNSName("dev-42.example"))))
    return issued


@pytest.fixture
def ca(ca: Any, profile: Callable[..., Any]) -> Any:
    ca.profiles["named"] = profile(allow_requested_names=True)
    return ca


class Check:
    """Asks a policy, and expects a refusal."""

    def __init__(self, policy: DefaultPolicy, now: Any) -> None:
        self.policy, self.now = policy, now

    async def refused(self, what: Any, auth: Any, fail_info: PKIFailureInfo = NOT_AUTHORIZED) -> CMPError:
        ask = self.policy.authorize if isinstance(what, BodyType) else self.policy.authorize_request
        with pytest.raises(CMPError) as caught:
            await ask(what, auth, now=self.now)
        assert caught.value.fail_info is fail_info
        return caught.value


@pytest.fixture
def check(policy: DefaultPolicy, ask: Any) -> Check:
    return Check(policy, ask.now)


# who may open what


@pytest.mark.parametrize("body_type", sorted(BY_SECRET))
async def test_a_secret_may_enrol_and_ask(policy: DefaultPolicy, ask: Any, body_type: BodyType) -> None:
    await policy.authorize(body_type, ask.by_secret(), now=ask.now)


@pytest.mark.rule("R-120")
async def test_r_120_a_secret_may_not_update(check: Check, ask: Any) -> None:
    await check.refused(BodyType.KUR, ask.by_secret(), PKIFailureInfo.WRONG_INTEGRITY)


@pytest.mark.parametrize("body_type", sorted(set(BodyType) - BY_SECRET - {BodyType.KUR}))
async def test_a_secret_may_do_nothing_else(check: Check, ask: Any, body_type: BodyType) -> None:
    await check.refused(body_type, ask.by_secret())


async def test_a_secret_without_a_grant_may_do_nothing(check: Check, ask: Any) -> None:
    for body_type in BY_SECRET:
        await check.refused(body_type, ask.by_secret(grant=None))


async def test_an_expired_secret_may_do_nothing(policy: DefaultPolicy, check: Check, ask: Any) -> None:
    for body_type in BY_SECRET:
        auth = ask.by_secret(grant=replace(DEV_42, expires=ask.now))
        assert "expired" in (await check.refused(body_type, auth)).detail
    await policy.authorize(
        BodyType.IR, ask.by_secret(grant=replace(DEV_42, expires=ask.now + timedelta(seconds=1))), now=ask.now
    )


async def test_a_secret_that_is_used_up_may_only_ask(policy: DefaultPolicy, check: Check, ask: Any) -> None:
    auth = ask.by_secret(grant=replace(DEV_42, uses=0))
    for body_type in BY_SECRET - {BodyType.GENM}:
        assert "used up" in (await check.refused(body_type, auth)).detail
    await policy.authorize(BodyType.GENM, auth, now=ask.now)


@pytest.mark.parametrize("body_type", sorted(BY_CERTIFICATE))
@pytest.mark.parametrize("state", [CertificateState.VALID, CertificateState.ISSUED])
async def test_a_certificate_of_ours_may_update_and_revoke(
    policy: DefaultPolicy, ask: Any, record: CertificateRecord, body_type: BodyType, state: CertificateState
) -> None:
    await policy.authorize(body_type, ask.by_certificate(replace(record, state=state)), now=ask.now)


@pytest.mark.parametrize("body_type", sorted(set(BodyType) - BY_CERTIFICATE))
async def test_a_certificate_of_ours_may_do_nothing_else(
    check: Check, ask: Any, record: CertificateRecord, body_type: BodyType
) -> None:
    await check.refused(body_type, ask.by_certificate(record))


@pytest.mark.parametrize("state", [CertificateState.REVOKED, CertificateState.ON_HOLD])
@pytest.mark.rule("R-145")
async def test_r_145_a_certificate_that_is_revoked_may_do_nothing(
    check: Check, ask: Any, record: CertificateRecord, state: CertificateState
) -> None:
    auth = ask.by_certificate(replace(record, state=state))
    for body_type in BY_CERTIFICATE:
        error = await check.refused(body_type, auth, PKIFailureInfo.CERT_REVOKED)
        assert state.value in error.detail


@pytest.mark.rule("R-121")
async def test_r_121_a_certificate_that_expired_may_do_nothing(
    policy: DefaultPolicy, ask: Any, record: CertificateRecord
) -> None:
    after = Check(policy, record.not_after + timedelta(seconds=1))
    for body_type in BY_CERTIFICATE:
        error = await after.refused(body_type, ask.by_certificate(record), PKIFailureInfo.CERT_REVOKED)
        assert "expired" in error.detail
    await policy.authorize(BodyType.KUR, ask.by_certificate(record), now=record.not_after)


@pytest.mark.parametrize("body_type", sorted(BodyType))
@pytest.mark.rule("R-063")
async def test_r_063_a_certificate_of_another_pki_may_do_nothing(check: Check, ask: Any, body_type: BodyType) -> None:
    error = await check.refused(body_type, ask.by_certificate(None))
    assert ("[[policy.cross_certification]]" if body_type is BodyType.CCR else "cmpkit secret add") in error.hint


async def test_an_ra_may_revoke_and_ask_but_not_enrol(policy: DefaultPolicy, check: Check, ask: Any) -> None:
    auth = ask.by_certificate(None, "ra")
    for body_type in set(BodyType) - {BodyType.RR, BodyType.KRR, BodyType.GENM}:
        await check.refused(body_type, auth)
    await policy.authorize(BodyType.RR, auth, now=ask.now)
    await check.refused(ask.request(body_type=BodyType.GENM), auth)


async def test_protection_of_another_kind_may_do_nothing(check: Check, ask: Any) -> None:
    auth = replace(ask.by_secret(), credential=Credential(ProtectionKind.KEM, "kem:ab"))
    await check.refused(BodyType.IR, auth)


# what a secret may ask for


@pytest.mark.rule("R-063")
async def test_r_063_a_secret_gets_the_subject_that_it_was_made_for(policy: DefaultPolicy, ask: Any) -> None:
    request = await policy.authorize_request(ask.request("CN=DEV-42"), ask.by_secret(grant=DEV_42), now=ask.now)
    assert request.subject == parse_name("CN=DEV-42")


@pytest.mark.parametrize("subject", [None, ""])
async def test_a_secret_that_asks_for_no_subject_gets_the_one_it_was_made_for(
    policy: DefaultPolicy, ask: Any, subject: str | None
) -> None:
    request = await policy.authorize_request(ask.request(subject), ask.by_secret(grant=DEV_42), now=ask.now)
    assert request.subject == parse_name("CN=dev-42")


@pytest.mark.parametrize("subject", ["CN=admin", "CN=dev-42,O=Example", "CN=dev-42+CN=admin", "CN=dev-4"])
@pytest.mark.rule("R-063")
async def test_r_063_a_secret_does_not_get_another_subject(check: Check, ask: Any, subject: str) -> None:
    error = await check.refused(ask.request(subject), ask.by_secret(grant=DEV_42))
    assert "CN=dev-42" in error.detail
    assert "--subject" in error.hint


async def test_a_secret_may_ask_for_what_its_profile_makes_of_its_subject(
    profile: Callable[..., Any], ask: Any
) -> None:
    made = profile(subject="CN={identity}, O=Example")
    policy = load_policy({}, {"device": made})
    auth = ask.by_secret(grant=DEV_42)
    for subject in ("CN=dev-42,O=Example", None):
        request = await policy.authorize_request(ask.request(subject), auth, now=ask.now)
        assert request.subject == parse_name("CN=dev-42,O=Example")
        assert not made.content(request, auth, now=ask.now)[4]
    await Check(policy, ask.now).refused(ask.request("CN=dev-42,O=Other"), auth)


async def test_a_secret_for_any_subject_gets_the_one_it_asks_for(policy: DefaultPolicy, ask: Any) -> None:
    request = await policy.authorize_request(ask.request("CN=admin"), ask.by_secret(), now=ask.now)
    assert request.subject == parse_name("CN=admin")


async def test_a_request_without_a_profile_gets_the_default(profile: Callable[..., Any], ask: Any) -> None:
    policy = load_policy({"default_profile": "server"}, {"device": profile(), "server": profile("server")})
    bare = ask.request(profile=None)
    assert (await policy.authorize_request(bare, ask.by_secret(), now=ask.now)).profile == "server"


async def test_a_secret_for_one_profile_gets_no_other(policy: DefaultPolicy, check: Check, ask: Any) -> None:
    auth = ask.by_secret(grant=replace(DEV_42, profile="device"))
    for name in (None, "device"):
        assert (await policy.authorize_request(ask.request(profile=name), auth, now=ask.now)).profile == "device"
    assert "server" in (await check.refused(ask.request(profile="server"), auth)).detail


@pytest.mark.rule("R-027")
async def test_r_027_an_unknown_profile_is_refused(check: Check, ask: Any) -> None:
    error = await check.refused(ask.request(profile="nobody"), ask.by_secret(), BAD_CERT_TEMPLATE)
    assert "device, server" in error.hint


async def test_a_request_is_refused_as_its_body_is(check: Check, ask: Any, record: CertificateRecord) -> None:
    await check.refused(ask.request(), ask.by_secret(grant=replace(DEV_42, uses=0)))
    await check.refused(ask.request(body_type=BodyType.IR), ask.by_certificate(record))


# what a certificate of ours may ask for


@pytest.mark.parametrize("body_type", [BodyType.CR, BodyType.KUR, BodyType.P10CR])
@pytest.mark.parametrize("subject", ["CN=dev-42", "CN=DEV-42", "", None])
@pytest.mark.rule("R-123")
async def test_r_123_subject_and_names_are_those_of_the_certificate(
    policy: DefaultPolicy, ask: Any, record: CertificateRecord, body_type: BodyType, subject: str | None
) -> None:
    request = ask.request(subject, ask.usage("digitalSignature"), body_type=body_type, profile=None)
    request = await policy.authorize_request(request, ask.by_certificate(record), now=ask.now)
    assert request.subject == parse_name("CN=dev-42")
    assert read_alternative_names(request.extensions) == read_alternative_names([ask.names(DNSName("dev-42.example"))])
    assert ask.usage("digitalSignature") in request.extensions
    assert request.profile == "device"
    assert request.old_certificate == (record if body_type is BodyType.KUR else None)


@pytest.mark.parametrize(
    ("body_type", "fail_info"),
    [(BodyType.KUR, BAD_CERT_TEMPLATE), (BodyType.CR, NOT_AUTHORIZED), (BodyType.P10CR, NOT_AUTHORIZED)],
)
@pytest.mark.rule("R-123")
async def test_r_123_another_subject_or_name_is_refused(
    check: Check, ask: Any, record: CertificateRecord, body_type: BodyType, fail_info: PKIFailureInfo
) -> None:
    auth = ask.by_certificate(record)
    await check.refused(ask.request("CN=admin", body_type=body_type), auth, fail_info)
    for names in ([DNSName("admin.example")], [DNSName("dev-42.example"), DNSName("admin.example")]):
        await check.refused(ask.request("CN=dev-42", ask.names(*names), body_type=body_type), auth, fail_info)


@pytest.mark.rule("R-123")
async def test_r_123_the_names_of_the_certificate_may_be_repeated(
    policy: DefaultPolicy, ask: Any, record: CertificateRecord
) -> None:
    wanted = ask.names(DNSName("DEV-42.example"))
    request = ask.request("CN=dev-42", wanted, body_type=BodyType.KUR)
    request = await policy.authorize_request(request, ask.by_certificate(record), now=ask.now)
    assert request.extensions == (wanted,)


@pytest.mark.rule("R-123")
async def test_r_123_a_certificate_without_names_gets_none(
    policy: DefaultPolicy, check: Check, ask: Any, ca: Any
) -> None:
    auth = ask.by_certificate(await ca.issue())
    request = await policy.authorize_request(ask.request(body_type=BodyType.KUR), auth, now=ask.now)
    assert request.extensions == ()
    wanted = ask.request("CN=dev-42", ask.names(DNSName("a.example")), body_type=BodyType.KUR)
    await check.refused(wanted, auth, BAD_CERT_TEMPLATE)


async def test_names_that_cannot_be_read_are_refused(check: Check, ask: Any, record: CertificateRecord) -> None:
    wanted = ask.request("CN=dev-42", ask.malformed(oids.SUBJECT_ALTERNATIVE_NAME), body_type=BodyType.KUR)
    await check.refused(wanted, ask.by_certificate(record), BAD_CERT_TEMPLATE)


@pytest.mark.rule("R-122")
async def test_r_122_only_the_own_certificate_may_be_updated(
    policy: DefaultPolicy, check: Check, ask: Any, ca: Any, record: CertificateRecord
) -> None:
    other = await ca.issue()
    auth = ask.by_certificate(record)
    request = ask.request(body_type=BodyType.KUR, old_certificate=other)
    await check.refused(request, auth, PKIFailureInfo.BAD_CERT_ID)
    request = ask.request(body_type=BodyType.KUR, old_certificate=record)
    assert (await policy.authorize_request(request, auth, now=ask.now)).old_certificate == record


async def test_a_certificate_of_one_profile_gets_no_other(check: Check, ask: Any, record: CertificateRecord) -> None:
    request = ask.request(body_type=BodyType.CR, profile="server")
    await check.refused(request, ask.by_certificate(record))


async def test_a_certificate_whose_profile_is_gone_gets_nothing(
    check: Check, ask: Any, record: CertificateRecord
) -> None:
    auth = ask.by_certificate(replace(record, profile="cmp-signer"))
    await check.refused(ask.request(body_type=BodyType.KUR, profile=None), auth, BAD_CERT_TEMPLATE)


@pytest.mark.rule("R-064", "R-072")
async def test_r_064_a_key_is_used_again_only_where_that_is_allowed(
    policy: DefaultPolicy, profile: Callable[..., Any], ask: Any, record: CertificateRecord, other_key: PrivateKey
) -> None:
    auth = ask.by_certificate(record)
    strict = load_policy({"allow_key_reuse": False}, {"device": profile()})
    for body_type in (BodyType.KUR, BodyType.CR):
        same = ask.request(body_type=body_type)
        await policy.authorize_request(same, auth, now=ask.now)
        assert "allow_key_reuse" in (await Check(strict, ask.now).refused(same, auth, BAD_CERT_TEMPLATE)).hint
        new = replace(same, public_key_info=other_key.public_key_info)
        await strict.authorize_request(new, auth, now=ask.now)


# revocation


@pytest.mark.rule("R-140")
async def test_r_140_a_certificate_may_revoke_itself_and_no_other(
    policy: DefaultPolicy, ask: Any, ca: Any, record: CertificateRecord
) -> None:
    auth = ask.by_certificate(record)
    own = ca.revocation(record, CRLReason.KEY_COMPROMISE)
    await policy.authorize_revocation(own, record, auth, now=ask.now)
    other = await ca.issue()
    with pytest.raises(CMPError) as caught:
        await policy.authorize_revocation(ca.revocation(other, CRLReason.UNSPECIFIED), other, auth, now=ask.now)
    assert caught.value.fail_info is NOT_AUTHORIZED


@pytest.mark.rule("R-140")
async def test_r_140_a_secret_may_not_revoke(
    policy: DefaultPolicy, ask: Any, ca: Any, record: CertificateRecord
) -> None:
    with pytest.raises(CMPError) as caught:
        await policy.authorize_revocation(
            ca.revocation(record, CRLReason.UNSPECIFIED), record, ask.by_secret(), now=ask.now
        )
    assert caught.value.fail_info is NOT_AUTHORIZED


@pytest.mark.rule("R-140")
async def test_r_140_a_secret_may_revoke_what_it_enrolled_where_the_operator_allows_it(
    profile: Callable[..., Any], ask: Any, ca: Any, record: CertificateRecord
) -> None:
    policy = load_policy({"revocation_by_secret": True}, {"device": profile()})
    auth, wanted = ask.by_secret(), ca.revocation(record, CRLReason.UNSPECIFIED)
    await policy.authorize_revocation(wanted, replace(record, enrolled_by=auth.credential.id), auth, now=ask.now)
    used_up = replace(auth, grant=replace(auth.grant, uses=0))
    await policy.authorize_revocation(wanted, replace(record, enrolled_by=auth.credential.id), used_up, now=ask.now)
    for other in ("", "mac:00", f"cert:{record.fingerprint.hex()}"):
        with pytest.raises(CMPError) as caught:
            await policy.authorize_revocation(wanted, replace(record, enrolled_by=other), auth, now=ask.now)
        assert caught.value.fail_info is NOT_AUTHORIZED
    expired = replace(auth, grant=replace(auth.grant, expires=ask.now))
    with pytest.raises(CMPError, match="expired"):
        await policy.authorize_revocation(wanted, replace(record, enrolled_by=auth.credential.id), expired, now=ask.now)


@pytest.mark.rule("R-140")
async def test_r_140_an_ra_may_revoke_any(policy: DefaultPolicy, ask: Any, ca: Any, record: CertificateRecord) -> None:
    wanted = ca.revocation(record, CRLReason.UNSPECIFIED)
    await policy.authorize_revocation(wanted, record, ask.by_certificate(None, "ra"), now=ask.now)
    await policy.authorize_revocation(wanted, record, ask.by_certificate(await ca.issue(), "ra"), now=ask.now)


@pytest.mark.rule("R-145")
async def test_r_145_a_revoked_certificate_may_not_even_revoke_itself(
    policy: DefaultPolicy, ask: Any, ca: Any, record: CertificateRecord
) -> None:
    held = await ca.revoke(record, CRLReason.CERTIFICATE_HOLD)
    with pytest.raises(CMPError) as caught:
        await policy.authorize_revocation(
            ca.revocation(held, CRLReason.REMOVE_FROM_CRL), held, ask.by_certificate(held), now=ask.now
        )
    assert caught.value.fail_info is PKIFailureInfo.CERT_REVOKED


# the table


@pytest.mark.parametrize(
    ("table", "key"),
    [
        ({"default_profile": "nobody"}, "default_profile: there is no profile 'nobody'; there are: device"),
        ({"allow_key_reuse": "yes"}, "allow_key_reuse: "),
        ({"allow": []}, "allow: there is no such key"),
    ],
)
def test_a_mistake_in_the_policy_names_its_key(profile: Callable[..., Any], table: dict[str, Any], key: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_policy(table, {"device": profile()})
    assert caught.value.detail.startswith(f"[policy] {key}")
