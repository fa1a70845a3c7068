"""The policy of a server without one of its own: nothing is allowed but what is said here.

A shared secret may enrol what its grant names, and revoke that where the operator allows it. A certificate that this CA
issued may update and revoke itself and get others of the same name. A registration authority may revoke. A CA that the
operator names may get and revoke its cross certificate. Nobody else may do anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from cryptography import x509
from pydantic import StrictBool

from cmpkit.ca.cross_policy import CrossCertificationSettings, CrossRules, read_cross_rules
from cmpkit.ca.cross_profiles import CrossProfile
from cmpkit.ca.limits import Limits, check_body_type, check_secret, check_usable, is_same, led_to, refuse_request
from cmpkit.ca.own_names import own_names, own_subject
from cmpkit.ca.settings import Settings, read_settings
from cmpkit.crypto.names import names_match
from cmpkit.enums import BodyType
from cmpkit.errors import ConfigurationError
from cmpkit.parts import (
    Authenticated,
    CertificateProfile,
    CertificateRecord,
    CertificateRequest,
    OpenContext,
    ProtectionKind,
    RecoveryRequest,
    RequestTemplate,
    RevocationRequest,
)

__all__ = ["DefaultPolicy", "PolicySettings", "check_default_profile", "load_policy", "open_policy"]

_FOR_SECRETS = frozenset({BodyType.IR, BodyType.CR, BodyType.P10CR, BodyType.KRR, BodyType.GENM})
_FOR_CROSS_SECRETS = frozenset({BodyType.CCR})
_FOR_CERTIFICATES = frozenset({BodyType.CR, BodyType.P10CR, BodyType.KUR, BodyType.KRR, BodyType.GENM, BodyType.RR})
_FOR_AUTHORITIES = frozenset({BodyType.GENM, BodyType.KRR, BodyType.RR})
_FOR_PASSPHRASES = frozenset({BodyType.RR})
_NO_CROSS_RULES = CrossRules()


class PolicySettings(Settings):
    """The table ``[policy]`` of kind ``default``.

    :param default_profile: the profile of a request that names none.
    :param allow_key_reuse: whether a certificate may be updated, or another one be had with it, for the same key.
    :param revocation_by_secret: whether a shared secret may revoke what was enrolled with it and what took its place,
        for those who lost their keys. A secret that was made for one use is used again then (RFC 9810 section 8.7).
    :param revocation_by_passphrase: whether requesters may choose passphrases, which revoke their certificates and do
        nothing else (revPassphrase, RFC 9810 appendix B).
    :param cross_certification: which CAs may have cross certificates.
    """

    default_profile: str = "device"
    allow_key_reuse: StrictBool = True
    revocation_by_secret: StrictBool = False
    revocation_by_passphrase: StrictBool = False
    cross_certification: tuple[CrossCertificationSettings, ...] = ()


def load_policy(table: Mapping[str, Any], profiles: Mapping[str, CertificateProfile]) -> DefaultPolicy:
    """The policy of a table ``[policy]`` that names no files.

    :raises ConfigurationError: naming every key that is wrong.
    """
    settings = _read_policy(table, profiles)
    if settings.cross_certification:
        raise ConfigurationError("[policy] cross_certification: names files, which only a server opens")
    return DefaultPolicy(settings, profiles)


async def open_policy(table: Mapping[str, Any], context: OpenContext) -> DefaultPolicy:
    """The policy of a table ``[policy]``, with the certificates that it names.

    :raises ConfigurationError: naming every key that is wrong, or the file that cannot be used.
    """
    settings = _read_policy(table, context.profiles)
    cross_rules = await read_cross_rules(settings.cross_certification, context)
    return DefaultPolicy(settings, context.profiles, cross_rules)


def _read_policy(table: Mapping[str, Any], profiles: Mapping[str, CertificateProfile]) -> PolicySettings:
    settings = read_settings(PolicySettings, table, "policy")
    check_default_profile(settings, profiles)
    return settings


def check_default_profile(settings: PolicySettings, profiles: Mapping[str, CertificateProfile]) -> None:
    """Whether there is a profile of that name.

    :raises ConfigurationError: if there is none.
    """
    if settings.default_profile not in profiles:
        raise ConfigurationError(
            f"[policy] default_profile: there is no profile {settings.default_profile!r}; "
            f"there are: {', '.join(sorted(profiles)) or 'none'}",
            hint=f"add a table [profiles.{settings.default_profile}], or name another one",
        )


class DefaultPolicy:
    """A :class:`~cmpkit.parts.Policy`: deny unless a rule of this module allows.

    :param cross_rules: which CAs may have cross certificates.
    :ivar limits: what credentials are good for at most.
    """

    name = "default"

    def __init__(
        self,
        settings: PolicySettings,
        profiles: Mapping[str, CertificateProfile],
        cross_rules: CrossRules = _NO_CROSS_RULES,
    ) -> None:
        self._settings = settings
        self._profiles = profiles
        self._cross_rules = cross_rules
        self.limits = Limits(profiles, settings.default_profile, settings.allow_key_reuse)

    async def authorize(self, body_type: BodyType, auth: Authenticated, *, now: datetime) -> None:
        """Whether this sender may open this kind of operation; see :meth:`cmpkit.parts.Policy.authorize`."""
        if auth.grant is not None and auth.grant.revokes:
            self._check_passphrases()
            check_body_type(body_type, auth, _FOR_PASSPHRASES, "a revocation passphrase revokes")
        elif body_type is BodyType.CCR:
            self._authorize_cross_certification(auth, now)
        elif auth.credential.kind is ProtectionKind.MAC:
            allowed = _FOR_SECRETS | {BodyType.RR} if self._settings.revocation_by_secret else _FOR_SECRETS
            check_secret(body_type, auth, now, allowed)
        elif auth.record is not None:
            check_usable(auth.record, now)
            check_body_type(body_type, auth, _FOR_CERTIFICATES, "use cr for another certificate, kur to update one")
        elif "ra" in auth.roles:
            check_body_type(body_type, auth, _FOR_AUTHORITIES, "an RA may revoke, recover keys, ask for information")
        elif body_type is not BodyType.RR or not self._cross_rules.of_sender(auth):
            raise refuse_request(
                f"{auth.identity!r} has neither a shared secret nor a certificate of this CA",
                "RFC 9483 section 5.1.1",
                "enrol with a shared secret: cmpkit secret add",
            )

    def _authorize_cross_certification(self, auth: Authenticated, now: datetime) -> None:
        """By a CA that the operator named, or by a secret for a profile of that kind (RFC 9810 section 6.6)."""
        if auth.credential.kind is ProtectionKind.MAC:
            profile = None if auth.grant is None else self._profiles.get(auth.grant.profile or "")
            for_authorities = isinstance(profile, CrossProfile)
            check_secret(BodyType.CCR, auth, now, _FOR_CROSS_SECRETS if for_authorities else _FOR_SECRETS)
            return
        if auth.record is not None:
            check_usable(auth.record, now)
        self._cross_rules.check_sender(auth)

    async def authorize_request(
        self, request: CertificateRequest, auth: Authenticated, *, now: datetime
    ) -> CertificateRequest:
        """The request with its profile and subject; see :meth:`cmpkit.parts.Policy.authorize_request`."""
        await self.authorize(request.body_type, auth, now=now)
        if request.body_type is BodyType.CCR and auth.grant is None:
            return self._cross_rules.decide(request, auth)
        if auth.record is not None:
            return self.limits.own_request(request, auth, auth.record)
        if auth.grant is not None:
            return self.limits.granted_request(request, auth, auth.grant, now)
        raise refuse_request(f"{auth.identity!r} may not have certificates", "RFC 9483 section 5.1.1")

    async def authorize_revocation(
        self, request: RevocationRequest, record: CertificateRecord, auth: Authenticated, *, now: datetime
    ) -> None:
        """By itself, an RA, the secret or the CA that got it; see :meth:`cmpkit.parts.Policy.authorize_revocation`."""
        await self.authorize(BodyType.RR, auth, now=now)
        # Which certificates a passphrase is for is checked before.
        passphrase = auth.grant is not None and auth.grant.revokes
        own = is_same(record, auth.record) or led_to(auth, record) or self._cross_rules.covers(auth, record)
        if own or passphrase or "ra" in auth.roles:
            return
        raise refuse_request(
            f"{auth.identity!r} may not revoke the certificate {request.serial_number:x}",
            "RFC 9483 section 4.2",
            "sign with the certificate that is to be revoked, or let an RA or the operator revoke it",
        )

    async def authorize_recovery(
        self, request: RecoveryRequest, auth: Authenticated, *, now: datetime
    ) -> dict[str, x509.Name]:
        """What ``recovery`` of the profiles allows; see :meth:`cmpkit.parts.RecoveryPolicy.authorize_recovery`."""
        await self.authorize(BodyType.KRR, auth, now=now)
        found: dict[str, x509.Name] = {}
        for name, profile in self._profiles.items():
            subject = None if request.profile not in (None, name) else _recoverable(profile, request, auth)
            if subject is not None and (request.subject is None or names_match(subject, request.subject)):
                found[name] = subject
        if not found:
            raise refuse_request(
                f"{auth.identity!r} may not have the archived keys that it asks for",
                "RFC 9810 section 5.3.7",
                "name the subject, or widen recovery of the profile",
            )
        return found

    async def authorize_passphrase(self, auth: Authenticated, *, now: datetime) -> None:
        """Who may ask may choose one; see :meth:`cmpkit.parts.PassphrasePolicy.authorize_passphrase`."""
        self._check_passphrases()
        await self.authorize(BodyType.GENM, auth, now=now)

    def _check_passphrases(self) -> None:
        if not self._settings.revocation_by_passphrase:
            raise refuse_request(
                "revocation passphrases are not taken here",
                "RFC 9810 appendix B",
                "set revocation_by_passphrase of [policy] if they are wanted",
            )

    async def request_template(self, profile: str | None, auth: Authenticated, *, now: datetime) -> RequestTemplate:
        """Names that are granted, and what the profile says; see :meth:`cmpkit.parts.Policy.request_template`."""
        await self.authorize(BodyType.GENM, auth, now=now)
        return self.template_for(profile, auth)

    def template_for(self, profile: str | None, auth: Authenticated) -> RequestTemplate:
        """The same, for a sender that may ask.

        :raises CMPError: notAuthorized, badCertTemplate ... if it may not have certificates of that profile.
        """
        if auth.record is not None:
            template = self.limits.own_profile(profile, auth, auth.record).template(auth)
            names = own_names(auth.record)
            extensions = template.extensions if names is None else (*template.extensions, names)
            return replace(template, subject=own_subject(auth.record), extensions=extensions)
        if auth.grant is None:
            return self.limits.find_profile(profile or self._settings.default_profile).template(auth)
        template = self.limits.granted_profile(profile, auth, auth.grant).template(auth)
        return template if template.subject is not None else replace(template, subject=auth.grant.subject)


def _recoverable(profile: CertificateProfile, request: RecoveryRequest, auth: Authenticated) -> x509.Name | None:
    """Of which subject this sender may have keys under a profile; ``None`` if of none."""
    rules = getattr(profile, "recovery", ())
    if "ra" in rules and "ra" in auth.roles:
        return request.subject
    if "certificate" in rules and auth.record is not None:
        return own_subject(auth.record)
    grant = auth.grant
    if "secret" in rules and grant is not None and grant.profile in (None, profile.name):
        return profile.template(auth).subject or grant.subject
    return None
