"""What a rule of the policy makes of a request: some of it replaced, or filled in where nothing was asked for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.x509 import ObjectIdentifier

from cmpkit import oids
from cmpkit.asn1 import Extension
from cmpkit.ca.extensions import key_usage_extension, purposes_extension
from cmpkit.ca.purposes import read_purpose
from cmpkit.ca.rule_settings import ChangeSettings
from cmpkit.ca.templates import AlternativeNameTemplate, SubjectTemplate
from cmpkit.crypto.x509 import extension
from cmpkit.parts import CertificateRequest, RequestTemplate

__all__ = ["Change"]


@dataclass(frozen=True, slots=True)
class Change:
    """The keys ``change`` and ``fill`` of a rule.

    :param profile: the profile.
    :param subject: the subject.
    :param names: the subjectAltNames; ``None`` for none in particular.
    :param extensions: others, which are the same for everybody.
    :param validity: how long the certificate is to be valid from now on.
    """

    profile: str | None = None
    subject: SubjectTemplate | None = None
    names: tuple[AlternativeNameTemplate, ...] | None = None
    extensions: tuple[Extension, ...] = ()
    validity: timedelta | None = None

    @classmethod
    def of(cls, settings: ChangeSettings) -> Change:
        """What a table says."""
        usage, purposes, names = settings.key_usage, settings.extended_key_usage, settings.subject_alt_names
        extensions = (
            None if usage is None else key_usage_extension(usage),
            None if purposes is None else purposes_extension([read_purpose(text) for text in purposes]),
        )
        return cls(
            settings.profile,
            None if settings.subject is None else SubjectTemplate.parse(settings.subject),
            None if names is None else tuple(AlternativeNameTemplate.parse(text) for text in names),
            tuple(item for item in extensions if item is not None),
            settings.validity,
        )

    def replaced(self, request: CertificateRequest, identity: str, now: datetime) -> CertificateRequest:
        """A request with this in place of what is asked for.

        :param identity: of the requester.
        :raises CMPError: badCertTemplate if the identity makes no such name.
        """
        given = self._given(identity)
        replaced_oids = self._oids_of(given)
        kept = tuple(item for item in request.extensions if item.extn_id not in replaced_oids)
        return replace(
            request,
            profile=self.profile or request.profile,
            subject=request.subject if self.subject is None else self.subject.render(identity),
            extensions=(*kept, *given),
            not_after=request.not_after if self.validity is None else self._end(now),
        )

    def filled(self, request: CertificateRequest, identity: str, now: datetime) -> CertificateRequest:
        """A request with this where nothing is asked for; ``profile`` is not looked at.

        :param identity: of the requester.
        :raises CMPError: badCertTemplate if the identity makes no such name.
        """
        asked = {item.extn_id for item in request.extensions}
        subject, not_after = request.subject, request.not_after
        if self.subject is not None and (subject is None or not subject.rdns):
            subject = self.subject.render(identity)
        if self.validity is not None and not_after is None:
            not_after = self._end(now)
        missing = tuple(item for item in self._given(identity) if item.extn_id not in asked)
        return replace(request, subject=subject, extensions=(*request.extensions, *missing), not_after=not_after)

    def in_template(self, template: RequestTemplate, identity: str) -> RequestTemplate:
        """What a requester should ask for, to get just that.

        :param identity: of the requester.
        :raises CMPError: badCertTemplate if the identity makes no such name.
        """
        given = self._given(identity)
        replaced_oids = self._oids_of(given)
        kept = tuple(item for item in template.extensions if item.extn_id not in replaced_oids)
        subject = template.subject if self.subject is None else self.subject.render(identity)
        return replace(template, subject=subject, extensions=(*kept, *given))

    def _oids_of(self, given: Iterable[Extension]) -> set[ObjectIdentifier]:
        """The extensions that are replaced."""
        names = set() if self.names is None else {oids.SUBJECT_ALTERNATIVE_NAME}
        return names | {item.extn_id for item in given}

    def _given(self, identity: str) -> tuple[Extension, ...]:
        if not self.names:
            return self.extensions
        names = x509.SubjectAlternativeName([name.render(identity) for name in self.names])
        return (*self.extensions, extension(names))

    def _end(self, now: datetime) -> datetime:
        assert self.validity is not None
        return now.replace(microsecond=0) + self.validity
