"""What credentials are good for at most, whatever a policy allows: a secret what it grants, a certificate its names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from cryptography import x509

from cmpkit.ca.own_names import same_names, same_subject
from cmpkit.crypto.names import format_name, names_match
from cmpkit.crypto.x509 import certificate_public_key_info
from cmpkit.enums import BodyType, PKIFailureInfo
from cmpkit.errors import CMPError
from cmpkit.parts import (
    Authenticated,
    CertificateProfile,
    CertificateRecord,
    CertificateRequest,
    CertificateState,
    Grant,
    ProtectionKind,
)

__all__ = [
    "Limits",
    "check_body_type",
    "check_credential",
    "check_secret",
    "check_usable",
    "is_same",
    "led_to",
    "line_of",
    "refuse_request",
]

_USABLE = (CertificateState.VALID, CertificateState.ISSUED)


def refuse_request(
    detail: str, rule: str = "", hint: str = "", *, fail_info: PKIFailureInfo = PKIFailureInfo.NOT_AUTHORIZED
) -> CMPError:
    """Why something is not allowed."""
    return CMPError(detail, fail_info, rule=rule, hint=hint)


@dataclass(frozen=True, slots=True)
class Limits:
    """What requests become under the credentials that they come with.

    :param default_profile: the profile of a request that names none.
    :param allow_key_reuse: whether the holder of a certificate may have another one for the same key.
    """

    profiles: Mapping[str, CertificateProfile]
    default_profile: str
    allow_key_reuse: bool = True

    def granted_profile(self, asked: str | None, auth: Authenticated, grant: Grant) -> CertificateProfile:
        """The profile that a shared secret may use, of those that are asked for.

        :param asked: the profile that is asked for, or ``None``.
        :raises CMPError: notAuthorized or badCertTemplate.
        """
        if grant.profile is not None and asked not in (None, grant.profile):
            raise refuse_request(
                f"the secret of {auth.identity!r} is for the profile {grant.profile}, not for {asked}",
                hint="make one with: cmpkit secret add --profile",
            )
        return self.find_profile(asked or grant.profile or self.default_profile)

    def own_profile(self, asked: str | None, auth: Authenticated, own: CertificateRecord) -> CertificateProfile:
        """The profile of the sender's certificate, if that is asked for, or none.

        :raises CMPError: notAuthorized or badCertTemplate.
        """
        if asked not in (None, own.profile):
            raise refuse_request(
                f"{auth.identity!r} has a certificate of profile {own.profile}, and asks for one of {asked}"
            )
        return self.find_profile(own.profile)

    def granted_request(
        self, request: CertificateRequest, auth: Authenticated, grant: Grant, now: datetime
    ) -> CertificateRequest:
        """A request with the profile and the subject that its secret grants.

        :raises CMPError: notAuthorized or badCertTemplate.
        """
        profile = self.granted_profile(request.profile, auth, grant)
        request = request.under(profile.name)
        return request if grant.subject is None else _with_subject(request, auth, grant.subject, profile, now)

    def own_request(
        self, request: CertificateRequest, auth: Authenticated, own: CertificateRecord
    ) -> CertificateRequest:
        """A request with the profile and the names of the sender's certificate (RFC 9483 section 4.1.3).

        :raises CMPError: notAuthorized, badCertTemplate or badCertId.
        """
        updating = request.body_type is BodyType.KUR
        if updating and not is_same(request.old_certificate or own, own):
            raise refuse_request(
                f"oldCertID names another certificate than {own.serial_number:x}, which signs the message",
                "RFC 9483 section 4.1.3",
                "sign with the certificate that is to be updated",
                fail_info=PKIFailureInfo.BAD_CERT_ID,
            )
        profile = self.own_profile(request.profile, auth, own)
        self.check_key(request, own)
        # RFC 9483 section 3.6.4 has badCertTemplate for what an update must not change.
        fail_info = PKIFailureInfo.BAD_CERT_TEMPLATE if updating else PKIFailureInfo.NOT_AUTHORIZED
        return replace(
            request,
            profile=profile.name,
            subject=same_subject(request, own, fail_info),
            extensions=same_names(request, own, fail_info),
            old_certificate=own if updating else None,
        )

    def check_key(self, request: CertificateRequest, own: CertificateRecord) -> None:
        """Whether the key may be certified, if it is that of the sender's certificate.

        :raises CMPError: badCertTemplate.
        """
        if not self.allow_key_reuse and request.public_key_info == certificate_public_key_info(own.der):
            raise refuse_request(
                "the key of the certificate is to be used again",
                "RFC 9483 section 3.6.4",
                "make a new key, or set allow_key_reuse of [policy]",
                fail_info=PKIFailureInfo.BAD_CERT_TEMPLATE,
            )

    def find_profile(self, name: str) -> CertificateProfile:
        """The profile of that name.

        :raises CMPError: badCertTemplate if there is none.
        """
        profile = self.profiles.get(name)
        if profile is None:
            raise refuse_request(
                f"there is no profile {name!r}",
                "RFC 9483 section 3.1",
                f"there are: {', '.join(sorted(self.profiles))}",
                fail_info=PKIFailureInfo.BAD_CERT_TEMPLATE,
            )
        return profile


def check_credential(body_type: BodyType, auth: Authenticated, now: datetime) -> None:
    """Whether a credential is good for anything now: a secret that is neither expired nor used up, a valid certificate.

    :raises CMPError: notAuthorized, certRevoked, or wrongIntegrity for a kur under a secret.
    """
    if auth.credential.kind is ProtectionKind.MAC:
        check_secret(body_type, auth, now)
    elif auth.record is not None:
        check_usable(auth.record, now)


def check_secret(
    body_type: BodyType, auth: Authenticated, now: datetime, allowed: frozenset[BodyType] | None = None
) -> None:
    """Whether a shared secret may open this kind of operation, as far as its grant says.

    :param allowed: for what secrets are good; ``None`` leaves that to others.
    :raises CMPError: notAuthorized, or wrongIntegrity for a kur (R-120).
    """
    if body_type is BodyType.KUR:
        raise refuse_request(
            "a kur is protected by a shared secret",
            "RFC 9483 section 4.1.3",
            "sign it with the certificate that is to be updated",
            fail_info=PKIFailureInfo.WRONG_INTEGRITY,
        )
    if allowed is not None:
        check_body_type(body_type, auth, allowed, "sign it with a certificate")
    grant = auth.grant
    if grant is None:
        raise refuse_request(f"the secret of {auth.identity!r} grants nothing")
    if grant.expires is not None and now >= grant.expires:
        raise refuse_request(
            f"the secret of {auth.identity!r} expired at {grant.expires}", hint="make another: cmpkit secret add"
        )
    # Uses are counted in certificates: who used them up may still ask for information, and revoke.
    if body_type not in (BodyType.GENM, BodyType.RR) and grant.uses is not None and grant.uses < 1:
        raise refuse_request(f"the secret of {auth.identity!r} is used up", hint="make another: cmpkit secret add")


def check_body_type(body_type: BodyType, auth: Authenticated, allowed: frozenset[BodyType], hint: str) -> None:
    """Whether this kind of operation is among those that a credential is for.

    :raises CMPError: notAuthorized.
    """
    if body_type not in allowed:
        raise refuse_request(
            f"{auth.identity!r} may not send {body_type.wire_name} with this {auth.credential.kind.value}", hint=hint
        )


def check_usable(record: CertificateRecord, now: datetime) -> None:
    """Whether a certificate of ours is good for anything (R-121, R-145).

    :raises CMPError: certRevoked.
    """
    if record.state not in _USABLE or now > record.not_after:
        state = record.state.value if record.state not in _USABLE else "expired"
        raise refuse_request(
            f"the certificate {record.serial_number:x} of {record.subject} is {state}",
            "RFC 9483 section 3.6.4",
            "enrol again",
            fail_info=PKIFailureInfo.CERT_REVOKED,
        )


def is_same(one: CertificateRecord, other: CertificateRecord | None) -> bool:
    """Whether two records are of the same certificate."""
    return other is not None and (one.issuer_key, one.serial_number) == (other.issuer_key, other.serial_number)


def line_of(request: CertificateRequest, auth: Authenticated) -> str:
    """What :attr:`~cmpkit.parts.CertificateRecord.enrolled_by` is to be; an RA begins a line of its own."""
    if request.old_certificate is not None:
        return request.old_certificate.enrolled_by
    if auth.record is None or "ra" in auth.roles:
        return auth.credential.id
    return auth.record.enrolled_by


def led_to(auth: Authenticated, record: CertificateRecord) -> bool:
    """Whether a certificate comes from an enrolment with this shared secret."""
    return auth.credential.kind is ProtectionKind.MAC and record.enrolled_by == auth.credential.id


def _with_subject(
    request: CertificateRequest,
    auth: Authenticated,
    granted: x509.Name,
    profile: CertificateProfile,
    now: datetime,
) -> CertificateRequest:
    """The request with the subject that is granted, or with what the profile makes of that one."""
    asked = request.subject
    if asked is not None and names_match(asked, granted):
        return request
    completed = profile.content(replace(request, subject=granted), auth, now=now)[0]
    if asked is None or not asked.rdns or names_match(asked, completed):
        return replace(request, subject=completed)
    raise refuse_request(
        f"the secret of {auth.identity!r} is for the subject {format_name(granted)}, not for {format_name(asked)}",
        "RFC 9483 section 4.1.1",
        "ask for that subject, or make a secret with: cmpkit secret add --subject",
    )
