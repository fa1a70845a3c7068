"""The checks for profiles and policies find what breaks their contracts."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography import x509

from cmpkit.asn1 import Extension
from cmpkit.ca.issuer import LocalIssuer
from cmpkit.ca.policy import DefaultPolicy, load_policy
from cmpkit.ca.profiles import ConfiguredProfile
from cmpkit.crypto.names import parse_name
from cmpkit.enums import BodyType, PKIFailureInfo
from cmpkit.errors import CMPError
from cmpkit.parts import (
    Authenticated,
    CertificateProfile,
    CertificateRecord,
    CertificateRequest,
    CertificateState,
    Credential,
    Issued,
    ProtectionKind,
    RequestTemplate,
    RevocationRequest,
)
from cmpkit.testing import (
    VirtualClock,
    check_policy,
    check_profile,
)

OID = x509.ObjectIdentifier("2.999.1")


class Profile:
    """A profile that delegates to another, for tests to break."""

    name = "device"

    def __init__(self, profile: CertificateProfile) -> None:
        self.profile = profile

    def content(self, request: CertificateRequest, auth: Authenticated, *, now: datetime) -> Any:
        return self.change(*self.profile.content(request, auth, now=now))

    def template(self, auth: Authenticated) -> Any:
        return self.profile.template(auth)

    def change(self, *content: Any) -> Any:
        return content


class RefusesAll(Profile):
    def change(self, *content: Any) -> Any:
        raise CMPError("never")


class FourFields(Profile):
    def change(self, *content: Any) -> Any:
        return content[:4]


class TextSubject(Profile):
    def change(self, subject: Any, *rest: Any) -> Any:
        return (subject.rfc4514_string(), *rest)


class ExtensionTwice(Profile):
    def change(self, subject: Any, extensions: Any, *rest: Any) -> Any:
        return (subject, (*extensions, extensions[0]), *rest)


class ListOfExtensions(Profile):
    def change(self, subject: Any, extensions: Any, *rest: Any) -> Any:
        return (subject, list(extensions), *rest)


class NaiveTimes(Profile):
    def change(self, subject: Any, extensions: Any, start: Any, end: Any, modified: Any) -> Any:
        return subject, extensions, start.replace(tzinfo=None), end.replace(tzinfo=None), modified


class Backwards(Profile):
    def change(self, subject: Any, extensions: Any, start: Any, end: Any, modified: Any) -> Any:
        return subject, extensions, end, start, modified


class SilentAboutSubjects(Profile):
    def change(self, subject: Any, *rest: Any) -> Any:
        return (parse_name("CN=another"), *rest[:-1], False)


class SilentAboutTimes(Profile):
    def change(self, *content: Any) -> Any:
        subject, extensions, start, end, _ = content
        return subject, extensions, start, end - timedelta(days=1), False


class AlwaysModified(Profile):
    def change(self, *content: Any) -> Any:
        return (*content[:4], True)


class NumberForModified(Profile):
    def change(self, *content: Any) -> Any:
        return (*content[:4], 0)


class Drifts(Profile):
    days = 0

    def change(self, subject: Any, extensions: Any, start: Any, end: Any, modified: Any) -> Any:
        self.days += 1
        return subject, extensions, start, end + timedelta(days=self.days), True


class RefusesItself(Profile):
    def content(self, request: CertificateRequest, auth: Authenticated, *, now: datetime) -> Any:
        if request.extensions:
            raise CMPError("no extensions", PKIFailureInfo.BAD_CERT_TEMPLATE)
        return super().content(request, auth, now=now)


class Speechless(Profile):
    def template(self, auth: Authenticated) -> Any:
        return None


class MisleadsAboutExtensions(Profile):
    def template(self, auth: Authenticated) -> Any:
        return RequestTemplate(extensions=(Extension(extn_id=OID, extn_value=b"\x05\x00"),))


class MisleadsAboutSubjects(Profile):
    def template(self, auth: Authenticated) -> Any:
        return replace(self.profile.template(auth), subject=parse_name("CN=another"))

    def content(self, request: CertificateRequest, auth: Authenticated, *, now: datetime) -> Any:
        if request.subject != parse_name("CN=another"):
            return super().content(request, auth, now=now)
        subject, *rest, _ = super().content(replace(request, subject=None), auth, now=now)
        return (subject, *rest, True)


class NeedsSubject(Profile):
    def content(self, request: CertificateRequest, auth: Authenticated, *, now: datetime) -> Any:
        assert request.subject is not None
        return super().content(request, auth, now=now)


@pytest.mark.parametrize(
    ("broken", "breach"),
    [
        (RefusesAll, r"content\(\) must allow the request of the check, not raise"),
        (Speechless, r"what template\(\) returns"),
        (MisleadsAboutExtensions, r"content\(\) must give the extensions that template\(\) says"),
        (MisleadsAboutSubjects, r"content\(\) must give the subject that template\(\) says"),
        (FourFields, "must be subject, extensions, notBefore, notAfter, and whether"),
        (TextSubject, "the subject for the request must be Name, not str"),
        (ExtensionTwice, "must have each extension once"),
        (ListOfExtensions, "the extensions for the request must be tuple, not list"),
        (NaiveTimes, "notBefore for the request must have a time zone"),
        (Backwards, "must end after it begins"),
        (SilentAboutSubjects, "must say that it changed the subject from CN=dev-42,O=Example to CN=another"),
        (SilentAboutTimes, "must change nothing, and say so"),
        (AlwaysModified, "must change nothing, and say so"),
        (NumberForModified, "whether anything was changed for the request must be bool, not int"),
        (Drifts, r"content\(\) must give the same for the same request"),
        (RefusesItself, r"content\(\) must allow what it gave itself"),
        (NeedsSubject, "a request without a subject must be answered, or refused by a CMPError"),
    ],
)
def test_a_profile_that_breaks_the_contract_is_named(
    broken: type[Profile], breach: str, profile: ConfiguredProfile, asking: Any, clock: VirtualClock
) -> None:
    with pytest.raises(AssertionError, match=breach):
        check_profile(broken(profile), asking.request(), asking.auth, now=clock())


def test_a_profile_that_hides_what_it_changed_is_named(
    profile: ConfiguredProfile, asking: Any, clock: VirtualClock
) -> None:
    class Hides(Profile):
        def change(self, *content: Any) -> Any:
            return (*content[:4], False)

    unknown = Extension(extn_id=OID, extn_value=b"\x05\x00")
    request = replace(asking.request(), extensions=(unknown,), not_after=clock() + timedelta(days=9999))
    with pytest.raises(AssertionError, match=r"must say that it changed the extension 2\.999\.1, notAfter from"):
        check_profile(Hides(profile), request, asking.auth, now=clock())
    *_, modified = check_profile(profile, request, asking.auth, now=clock())
    assert modified


def test_a_profile_must_refuse_what_is_forbidden(profile: ConfiguredProfile, asking: Any, clock: VirtualClock) -> None:
    request = asking.request()
    other = replace(request, subject=parse_name("CN=another"))
    check_profile(profile, request, asking.auth, now=clock(), forbidden=[other])
    with pytest.raises(AssertionError, match="forbidden request 2 must be refused by a CMPError, but was not"):
        check_profile(profile, request, asking.auth, now=clock(), forbidden=[other, request])


class Policy:
    """A policy that delegates to another, for tests to break."""

    name = "broken"

    def __init__(self, policy: DefaultPolicy) -> None:
        self.policy = policy

    async def authorize(self, body_type: BodyType, auth: Authenticated, *, now: datetime) -> None:
        await self.policy.authorize(body_type, auth, now=now)

    async def authorize_request(self, request: CertificateRequest, auth: Authenticated, *, now: datetime) -> Any:
        return await self.policy.authorize_request(request, auth, now=now)

    async def authorize_revocation(
        self, request: RevocationRequest, record: CertificateRecord, auth: Authenticated, *, now: datetime
    ) -> None:
        await self.policy.authorize_revocation(request, record, auth, now=now)

    async def request_template(self, profile: str | None, auth: Authenticated, *, now: datetime) -> Any:
        return await self.policy.request_template(profile, auth, now=now)


class Forbids(Policy):
    async def authorize(self, body_type: BodyType, auth: Authenticated, *, now: datetime) -> None:
        raise CMPError("never")


class Undecided(Policy):
    async def authorize_request(self, request: CertificateRequest, auth: Authenticated, *, now: datetime) -> Any:
        return replace(await super().authorize_request(request, auth, now=now), profile=None)


class OtherKey(Policy):
    async def authorize_request(self, request: CertificateRequest, auth: Authenticated, *, now: datetime) -> Any:
        return replace(await super().authorize_request(request, auth, now=now), public_key_info=b"another")


class Taciturn(Policy):
    async def request_template(self, profile: str | None, auth: Authenticated, *, now: datetime) -> Any:
        return None


class Forgetful(Policy):
    async def authorize_request(self, request: CertificateRequest, auth: Authenticated, *, now: datetime) -> Any:
        await super().authorize_request(request, auth, now=now)


class OpenDoor(Policy):
    async def authorize(self, body_type: BodyType, auth: Authenticated, *, now: datetime) -> None:
        if body_type is not BodyType.RR:
            await super().authorize(body_type, auth, now=now)


class Generous(Policy):
    async def authorize_request(self, request: CertificateRequest, auth: Authenticated, *, now: datetime) -> Any:
        return replace(request, profile="device")


class Revoker(Policy):
    async def authorize_revocation(self, *arguments: Any, **options: Any) -> None:
        pass


class GivesKeysAway(Policy):
    async def authorize_recovery(self, request: Any, auth: Authenticated, *, now: Any) -> Any:
        return {"device": request.subject}


class Timeless(Policy):
    """Lets grants live for ever."""

    async def authorize(self, body_type: BodyType, auth: Authenticated, *, now: datetime) -> None:
        await super().authorize(body_type, self.patient(auth), now=now)

    async def authorize_request(self, request: CertificateRequest, auth: Authenticated, *, now: datetime) -> Any:
        return await super().authorize_request(request, self.patient(auth), now=now)

    def patient(self, auth: Authenticated) -> Authenticated:
        return replace(auth, grant=auth.grant and replace(auth.grant, expires=None))


class Countless(Timeless):
    def patient(self, auth: Authenticated) -> Authenticated:
        return replace(auth, grant=auth.grant and replace(auth.grant, uses=1))


class AnySubject(Timeless):
    def patient(self, auth: Authenticated) -> Authenticated:
        return replace(auth, grant=auth.grant and replace(auth.grant, subject=None))


class AnyProfile(Policy):
    async def authorize_request(self, request: CertificateRequest, auth: Authenticated, *, now: datetime) -> Any:
        if auth.grant is None or request.profile == "device":
            return await super().authorize_request(request, auth, now=now)
        return request


class Strict(Policy):
    """Fails on what it does not expect."""

    async def authorize_request(self, request: CertificateRequest, auth: Authenticated, *, now: datetime) -> Any:
        if auth.grant is not None:
            assert auth.grant.subject == request.subject
        return await super().authorize_request(request, auth, now=now)


@pytest.fixture
def policy(profile: ConfiguredProfile) -> DefaultPolicy:
    return load_policy({}, {"device": profile})


@pytest.fixture
async def certificate(issuer: LocalIssuer, asking: Any, clock: VirtualClock) -> CertificateRecord:
    issued = await issuer.issue(asking.request(), asking.auth, idempotency_key="1", now=clock())
    assert isinstance(issued, Issued)
    return replace(issued.certificate, state=CertificateState.VALID)


@pytest.mark.parametrize(
    ("broken", "breach"),
    [
        (Forbids, r"authorize\(\) must allow the sender of the check, not raise"),
        (Undecided, r"authorize_request\(\) must decide the profile"),
        (OtherKey, r"authorize_request\(\) must leave public_key_info as it was"),
        (Forgetful, "must be CertificateRequest, not NoneType"),
        (Taciturn, r"what request_template\(\) returns must be RequestTemplate"),
        (OpenDoor, "a rr by a signer with a certificate of another CA must be refused"),
        (Generous, "a request for a certificate by a signer with a certificate of another CA must be refused"),
        (GivesKeysAway, "the recovery of somebody's archived keys by a signer"),
        (Revoker, "the revocation of somebody's certificate by a signer"),
        (Timeless, "a ir with a grant that expired must be refused"),
        (Countless, "a ir with a grant that is used up must be refused"),
        (AnySubject, "a subject that the grant does not name must be refused"),
        (AnyProfile, "a profile that the grant does not name must be refused"),
        (Strict, "must be answered, or refused by a CMPError, not raise AssertionError"),
    ],
)
async def test_a_policy_that_breaks_the_contract_is_named(
    broken: type[Policy], breach: str, policy: DefaultPolicy, certificate: CertificateRecord, asking: Any
) -> None:
    with pytest.raises(AssertionError, match=breach):
        await check_policy(broken(policy), asking.request(), asking.auth, now=VirtualClock()(), certificate=certificate)


async def test_a_policy_may_open_operations_to_all(
    policy: DefaultPolicy, certificate: CertificateRecord, asking: Any, clock: VirtualClock
) -> None:
    await check_policy(
        OpenDoor(policy),
        asking.request(),
        asking.auth,
        now=clock(),
        certificate=certificate,
        open_to_all=frozenset({BodyType.RR}),
    )


@pytest.fixture
def owner(certificate: CertificateRecord) -> Authenticated:
    credential = Credential(ProtectionKind.SIGNATURE, "cert:00", certificate=certificate.der)
    return Authenticated("dev-42", credential, record=certificate)


async def test_the_default_policy_keeps_the_contract_for_owners_of_certificates(
    policy: DefaultPolicy, certificate: CertificateRecord, owner: Authenticated, asking: Any, clock: VirtualClock
) -> None:
    request = replace(asking.request(), body_type=BodyType.KUR)
    await check_policy(policy, request, owner, now=clock(), certificate=certificate)


async def test_a_policy_that_takes_revoked_certificates_is_named(
    policy: DefaultPolicy, certificate: CertificateRecord, owner: Authenticated, asking: Any, clock: VirtualClock
) -> None:
    class Lenient(Policy):
        async def authorize(self, body_type: BodyType, auth: Authenticated, *, now: datetime) -> None:
            await super().authorize(body_type, owner if auth.record else auth, now=now)

        async def authorize_request(self, request: CertificateRequest, auth: Authenticated, *, now: datetime) -> Any:
            return await super().authorize_request(request, owner if auth.record else auth, now=now)

    request = replace(asking.request(), body_type=BodyType.KUR)
    with pytest.raises(AssertionError, match="a kur with a certificate that is revoked must be refused"):
        await check_policy(Lenient(policy), request, owner, now=clock(), certificate=certificate)
