"""Whether a policy keeps its contract: a check to be awaited in its author's tests."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from cryptography import x509

from cmpkit.crypto.names import names_match, parse_name
from cmpkit.enums import BodyType, CRLReason
from cmpkit.parts import (
    Authenticated,
    CertificateRecord,
    CertificateRequest,
    CertificateState,
    Credential,
    Policy,
    ProtectionKind,
    RecoveryPolicy,
    RecoveryRequest,
    RequestTemplate,
    RevocationRequest,
    SharedSecret,
)
from cmpkit.testing.contract import AnsweredOrRefused, refused, require, require_name, require_type, success

__all__ = ["check_policy"]

_OPENING = (
    BodyType.IR,
    BodyType.CR,
    BodyType.P10CR,
    BodyType.KUR,
    BodyType.KRR,
    BodyType.CCR,
    BodyType.RR,
    BodyType.GENM,
)
_ELSEWHERE = parse_name("CN=nobody of the checks,O=elsewhere")
_MOMENT = timedelta(seconds=1)


async def check_policy(
    policy: Policy,
    request: CertificateRequest,
    auth: Authenticated,
    *,
    now: datetime,
    certificate: CertificateRecord,
    open_to_all: frozenset[BodyType] = frozenset(),
) -> CertificateRequest:
    """Check a policy, with a request that it allows.

    The request comes back for the same key, with its profile decided. A sender that nobody knows may do nothing: not
    open an operation, not have a certificate or archived keys, not revoke one. If the sender has a grant, the policy
    keeps to it: one that expired, is used up, or is for another subject or profile, does not do. If it has a
    certificate of ours, one that is revoked, on hold or expired does not do.

    :param auth: whose request it is.
    :param certificate: a valid certificate of the CA, which strangers may not revoke.
    :param open_to_all: body types that even strangers may open, such as genm.
    :return: the request as the policy puts it to the issuer, for the test to look at.
    :raises AssertionError: naming what is wrong.
    """
    require_name(policy)
    with success("authorize() must allow the sender of the check"):
        await policy.authorize(request.body_type, auth, now=now)
    with success("authorize_request() must allow the request of the check"):
        decided = await policy.authorize_request(request, auth, now=now)
    _require_decided(decided, request)
    for what, stranger in _strangers():
        await _refuse_stranger(
            policy, what, stranger, request=request, certificate=certificate, open_to_all=open_to_all, now=now
        )
    for what, other in _lesser(auth, request, now):
        await _refuse_opening(policy, what, other, request, now)
    await _check_grant(policy, request, auth, now)
    with success("request_template() must say what the sender of the check should ask for"):
        template = await policy.request_template(decided.profile, auth, now=now)
    require_type(template, RequestTemplate, "what request_template() returns")
    return decided


def _require_decided(decided: CertificateRequest, request: CertificateRequest) -> None:
    require_type(decided, CertificateRequest, "what authorize_request() returns")
    require(bool(decided.profile), "authorize_request() must decide the profile")
    for attribute in ("body_type", "cert_req_id", "public_key_info"):
        require(
            getattr(decided, attribute) == getattr(request, attribute),
            f"authorize_request() must leave {attribute} as it was asked for",
        )


def _strangers() -> Iterator[tuple[str, Authenticated]]:
    """Senders whose protection is good, and whom nobody gave anything."""
    certificate = b"a certificate of another CA"
    signer = Credential(
        ProtectionKind.SIGNATURE, f"cert:{hashlib.sha256(certificate).hexdigest()}", certificate=certificate
    )
    yield "a signer with a certificate of another CA", Authenticated("stranger", signer, _ELSEWHERE)
    secret = SharedSecret("stranger", "the secret of a stranger")
    holder = Credential(ProtectionKind.MAC, f"mac:{secret.reference.hex()}", secret=secret)
    yield "the holder of a secret that grants nothing", Authenticated("stranger", holder)


async def _refuse_stranger(
    policy: Policy,
    what: str,
    stranger: Authenticated,
    *,
    request: CertificateRequest,
    certificate: CertificateRecord,
    open_to_all: frozenset[BodyType],
    now: datetime,
) -> None:
    for body_type in _OPENING:
        if body_type not in open_to_all:
            with refused(f"a {body_type.wire_name} by {what}"):
                await policy.authorize(body_type, stranger, now=now)
    if request.body_type not in open_to_all:
        with refused(f"a request for a certificate by {what}"):
            await policy.authorize_request(request, stranger, now=now)
    issuer = _issuer_of(certificate)
    revocation = RevocationRequest(issuer, certificate.serial_number, CRLReason.KEY_COMPROMISE)
    with refused(f"the revocation of somebody's certificate by {what}"):
        await policy.authorize_revocation(revocation, certificate, stranger, now=now)
    if isinstance(policy, RecoveryPolicy):
        subject = x509.load_der_x509_certificate(certificate.der).subject
        with refused(f"the recovery of somebody's archived keys by {what}"):
            await policy.authorize_recovery(RecoveryRequest(b"", subject), stranger, now=now)


def _issuer_of(certificate: CertificateRecord) -> x509.Name:
    return x509.load_der_x509_certificate(certificate.der).issuer


def _lesser(auth: Authenticated, request: CertificateRequest, now: datetime) -> Iterator[tuple[str, Authenticated]]:
    """The sender of the check, with less than it has."""
    grant, record = auth.grant, auth.record
    if grant is not None:
        yield "a grant that expired", replace(auth, grant=replace(grant, expires=now - _MOMENT))
        yield "a grant that is used up", replace(auth, grant=replace(grant, uses=0))
    if record is not None:
        for state in (CertificateState.REVOKED, CertificateState.ON_HOLD):
            yield f"a certificate that is {state.value}", replace(auth, record=replace(record, state=state))
        yield "a certificate that expired", replace(auth, record=replace(record, not_after=now - _MOMENT))


async def _refuse_opening(
    policy: Policy, what: str, auth: Authenticated, request: CertificateRequest, now: datetime
) -> None:
    with refused(f"a {request.body_type.wire_name} with {what}"):
        await policy.authorize(request.body_type, auth, now=now)
        # Who refuses only here has let a transaction begin, but gives nothing away.
        await policy.authorize_request(request, auth, now=now)


async def _check_grant(policy: Policy, request: CertificateRequest, auth: Authenticated, now: datetime) -> None:
    """A grant for another subject or profile: refused, or put right."""
    if auth.grant is None:
        return
    named = replace(request, subject=request.subject or parse_name("CN=what the checks ask for"))
    elsewhere = replace(auth, subject=_ELSEWHERE, grant=replace(auth.grant, subject=_ELSEWHERE))
    decided: CertificateRequest | None = None
    with AnsweredOrRefused("a request for a subject that the grant does not name"):
        decided = await policy.authorize_request(named, elsewhere, now=now)
    require(
        decided is None or (decided.subject is not None and names_match(decided.subject, _ELSEWHERE)),
        "a subject that the grant does not name must be refused, or replaced by the one that it names",
    )
    profile = "another profile than the grant has"
    other = replace(auth, grant=replace(auth.grant, profile="a profile of the checks"))
    decided = None
    with AnsweredOrRefused("a request for a profile that the grant does not name"):
        decided = await policy.authorize_request(replace(request, profile=profile), other, now=now)
    require(
        decided is None or decided.profile != profile,
        "a profile that the grant does not name must be refused or replaced",
    )
