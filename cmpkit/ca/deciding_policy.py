"""What policies that decide by rules or by a function have in common.

Whatever they allow, a credential is good for no more than it is made for: a secret for what it grants, until it expires
or is used up; a certificate for nothing once it is revoked or has expired; an update keeps its names (RFC 9483 section
4.1.3). Who may have cross certificates and archived keys, and what passphrases do, is for the default policy to say.
"""

from __future__ import annotations

import abc
from dataclasses import replace
from datetime import datetime
from typing import Final

from cryptography import x509

from cmpkit.ca.limits import check_credential, check_usable, is_same, led_to, refuse_request
from cmpkit.ca.policy import DefaultPolicy
from cmpkit.crypto.names import format_name, names_match
from cmpkit.enums import BodyType, PKIFailureInfo
from cmpkit.parts import (
    Asked,
    Authenticated,
    CertificateRecord,
    CertificateRequest,
    RecoveryRequest,
    RevocationRequest,
)

__all__ = ["DecidingPolicy"]

_OF_THE_DEFAULT: Final = frozenset({BodyType.CCR, BodyType.KRR})


class DecidingPolicy(abc.ABC):
    """The base of such a policy: a subclass says what is accepted.

    :param default: decides what is left to it.
    """

    def __init__(self, default: DefaultPolicy) -> None:
        self._default = default
        self._limits = default.limits

    @abc.abstractmethod
    async def _open(self, asked: Asked) -> None:
        """Whether this sender may open this kind of operation."""

    @abc.abstractmethod
    async def _decide(self, asked: Asked, request: CertificateRequest) -> CertificateRequest:
        """What may be issued."""

    @abc.abstractmethod
    async def _decide_revocation(self, asked: Asked, revocation: RevocationRequest, of: CertificateRecord) -> None:
        """Whether that may be revoked."""

    async def authorize(self, body_type: BodyType, auth: Authenticated, *, now: datetime) -> None:
        """Whether this sender may open this kind of operation; see :meth:`cmpkit.parts.Policy.authorize`."""
        if _is_passphrase(auth):
            await self._default.authorize(body_type, auth, now=now)
        else:
            await self._open(Asked(body_type, auth, now))

    async def authorize_request(
        self, request: CertificateRequest, auth: Authenticated, *, now: datetime
    ) -> CertificateRequest:
        """The request as it may be issued; see :meth:`cmpkit.parts.Policy.authorize_request`."""
        if _is_passphrase(auth):
            return await self._default.authorize_request(request, auth, now=now)
        return await self._decide(Asked(request.body_type, auth, now, request), request)

    async def authorize_revocation(
        self, request: RevocationRequest, record: CertificateRecord, auth: Authenticated, *, now: datetime
    ) -> None:
        """Whether that may be revoked; see :meth:`cmpkit.parts.Policy.authorize_revocation`."""
        if _is_passphrase(auth):
            await self._default.authorize_revocation(request, record, auth, now=now)
        else:
            asked = Asked(BodyType.RR, auth, now, revocation=request, certificate=record)
            await self._decide_revocation(asked, request, record)

    async def authorize_recovery(
        self, request: RecoveryRequest, auth: Authenticated, *, now: datetime
    ) -> dict[str, x509.Name]:
        """What ``recovery`` of the profiles allows; see :meth:`cmpkit.parts.RecoveryPolicy.authorize_recovery`."""
        await self.authorize(BodyType.KRR, auth, now=now)
        return await self._default.authorize_recovery(request, auth, now=now)

    async def authorize_passphrase(self, auth: Authenticated, *, now: datetime) -> None:
        """Who may ask may choose one; see :meth:`cmpkit.parts.PassphrasePolicy.authorize_passphrase`."""
        await self.authorize(BodyType.GENM, auth, now=now)
        await self._default.authorize_passphrase(auth, now=now)

    async def _check_opening(self, asked: Asked) -> None:
        """Whether a sender whom the policy lets open an operation can do so.

        :raises CMPError: if its credential is not good for that.
        """
        if asked.body_type in _OF_THE_DEFAULT:
            await self._default.authorize(asked.body_type, asked.auth, now=asked.now)
        else:
            check_credential(asked.body_type, asked.auth, asked.now)

    async def _accept(self, asked: Asked, request: CertificateRequest, *, own: bool) -> CertificateRequest:
        """The request with its profile and subject, as far as its sender's credential goes.

        :param own: whether only the names are allowed that the sender has itself.
        :raises CMPError: notAuthorized, badCertTemplate, badCertId ...
        """
        auth, now = asked.auth, asked.now
        await self._check_opening(asked)
        if request.body_type in _OF_THE_DEFAULT:
            return await self._default.authorize_request(request, auth, now=now)
        if auth.grant is not None:
            return self._limits.granted_request(request, auth, auth.grant, now)
        updating = request.body_type is BodyType.KUR
        if updating and not own and "ra" in auth.roles and request.old_certificate is not None:
            check_usable(request.old_certificate, now)
            return self._limits.own_request(request, auth, request.old_certificate)
        if auth.record is not None and (own or updating):
            return self._limits.own_request(request, auth, auth.record)
        if updating:
            return _update_elsewhere(request, auth)
        if auth.record is not None:
            self._limits.check_key(request, auth.record)
        profile = self._limits.find_profile(request.profile or self._limits.default_profile)
        return replace(request, profile=profile.name, subject=_subject(request, auth, own=own))

    def _check_own(self, auth: Authenticated, revocation: RevocationRequest, record: CertificateRecord) -> None:
        """Whether a certificate that is to be revoked is the sender's own, or comes from its secret.

        :raises CMPError: notAuthorized.
        """
        if not (is_same(record, auth.record) or led_to(auth, record)):
            raise refuse_request(
                f"{auth.identity!r} may only revoke what is its own, not {revocation.serial_number:x}",
                "RFC 9483 section 4.2",
                "sign with the certificate that is to be revoked, or name subjects in the rule",
            )


def _update_elsewhere(request: CertificateRequest, auth: Authenticated) -> CertificateRequest:
    """The update of a certificate that was not issued here: for whoever it is passed on to, which knows it."""
    if not request.passed_on:
        raise refuse_request(
            f"the certificate of {auth.identity!r} is to be updated, and this CA did not issue it",
            "RFC 9483 section 4.1.3",
            "it may ask for a first certificate by ir",
            fail_info=PKIFailureInfo.BAD_CERT_ID,
        )
    _subject(request, auth, own=True)
    return request


def _subject(request: CertificateRequest, auth: Authenticated, *, own: bool) -> x509.Name | None:
    """The subject that is asked for; the sender's own if it asks for none, and is not an RA, which asks for others."""
    asked, mine = request.subject, auth.subject
    if asked is None or not asked.rdns:
        return asked if "ra" in auth.roles else mine
    if own and (mine is None or not names_match(asked, mine)):
        raise refuse_request(
            f"{auth.identity!r} may have a certificate for its own subject, not for {format_name(asked)}",
            "RFC 9483 section 4.1.1",
            "name subjects in the rule, or change the subject by it",
        )
    return asked


def _is_passphrase(auth: Authenticated) -> bool:
    return auth.grant is not None and bool(auth.grant.revokes)
