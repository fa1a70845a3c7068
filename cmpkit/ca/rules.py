"""A rule of the policy: which requests it fits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.x509 import ObjectIdentifier

from cmpkit.asn1 import read_name
from cmpkit.ca.extensions import name_keys, read_alternative_names
from cmpkit.ca.facts import name_text
from cmpkit.ca.own_names import own_names, own_subject
from cmpkit.ca.patterns import AlternativeNamePattern, SubjectPattern, TextPattern
from cmpkit.ca.rule_changes import Change
from cmpkit.ca.rule_settings import FAILURES, RuleSettings
from cmpkit.crypto.names import attribute_type, format_name
from cmpkit.crypto.x509 import outline
from cmpkit.enums import BodyType
from cmpkit.errors import CMPError
from cmpkit.parts import Asked, Authenticated, CertificateRecord, ProtectionKind

__all__ = ["Rule"]

_CHANGEABLE = frozenset({BodyType.IR, BodyType.CR, BodyType.P10CR, BodyType.KUR})
_WITHOUT_CONTENT = frozenset({BodyType.GENM, BodyType.KRR})
_KINDS = {
    "secret": "a shared secret",
    "certificate": "a certificate of this CA",
    "trusted": "a certificate of another PKI",
    "ra": "that of an RA",
}


@dataclass(frozen=True, slots=True)
class Rule:
    """A table ``[[policy.rule]]``, read.

    :param name: for people.
    """

    name: str
    settings: RuleSettings
    bodies: frozenset[BodyType]
    references: tuple[TextPattern, ...]
    senders: tuple[SubjectPattern, ...]
    issuers: tuple[SubjectPattern, ...]
    identity: ObjectIdentifier | None
    subjects: tuple[SubjectPattern, ...] | None
    names: tuple[AlternativeNamePattern, ...] | None
    change: Change
    fill: Change

    @classmethod
    def of(cls, settings: RuleSettings, number: int) -> Rule:
        """What a table says.

        :param number: of the table, from 1.
        """
        subjects, names = settings.subjects, settings.names
        return cls(
            name=settings.name or f"rule {number}",
            settings=settings,
            bodies=frozenset(BodyType[name.upper()] for name in settings.body)
            or (_CHANGEABLE if settings.for_certificates else frozenset()),
            references=tuple(map(TextPattern.parse, settings.references)),
            senders=tuple(map(SubjectPattern.parse, settings.senders)),
            issuers=tuple(map(SubjectPattern.parse, settings.issuers)),
            identity=None if settings.identity is None else attribute_type(settings.identity),
            subjects=None if subjects is None else tuple(map(SubjectPattern.parse, subjects)),
            names=None if names is None else tuple(map(AlternativeNamePattern.parse, names)),
            change=Change.of(settings.change),
            fill=Change.of(settings.fill),
        )

    @property
    def looks_inside(self) -> bool:
        """Whether it depends on what is asked for, and not only on who asks for what kind of operation."""
        return self.settings.profile is not None or self.subjects is not None or self.names is not None

    def refusal(self) -> CMPError:
        """What it refuses with."""
        return CMPError(
            f"{self.name} of the policy refuses it",
            FAILURES[self.settings.fail_info],
            rule="[[policy.rule]]",
            status_text=self.settings.text,
        )

    def identity_of(self, auth: Authenticated) -> str | None:
        """What ``{identity}`` stands for; ``None`` if the sender has no such attribute."""
        if self.identity is None:
            return auth.identity
        found = [] if auth.subject is None else auth.subject.get_attributes_for_oid(self.identity)
        texts = [item.value for item in found if isinstance(item.value, str)]
        return texts[-1] if texts else None

    def sender_mismatch(self, body_type: BodyType, auth: Authenticated) -> str:
        """Why it does not fit who asks for what kind of operation, and where; empty if it does."""
        settings = self.settings
        if settings.path is not None and settings.path != auth.label:
            came = "no label" if auth.label is None else f"the label {auth.label}"
            return f"it is for the path {settings.path}, and the address has {came}"
        if self.bodies and body_type not in self.bodies:
            return f"it is not for {body_type.wire_name}"
        if body_type in _WITHOUT_CONTENT and self.looks_inside:
            return f"it goes by what is asked for, which {body_type.wire_name} does not show"
        return next(self._who_mismatches(auth), "")

    def _who_mismatches(self, auth: Authenticated) -> Iterator[str]:
        kinds = _kinds_of(auth)
        who = self.settings.who
        if who and "anyone" not in who and not kinds.intersection(who):
            yield f"it is for {' or '.join(_KINDS[kind] for kind in who)}"
        if self.references and not (
            "secret" in kinds and any(pattern.fits(auth.identity) for pattern in self.references)
        ):
            yield f"the reference of the secret is none of {', '.join(self.settings.references)}"
        if self.senders and not (
            auth.credential.certificate is not None
            and auth.subject is not None
            and _any_fits(self.senders, auth.subject, auth.identity)
        ):
            yield f"the subject of the sender's certificate is none of {', '.join(self.settings.senders)}"
        if self.issuers and not _issuer_fits(self.issuers, auth):
            yield f"the issuer of the sender's certificate is none of {', '.join(self.settings.issuers)}"
        if self.identity is not None and self.identity_of(auth) is None:
            yield f"the sender's subject has no {self.settings.identity}"

    def mismatch(self, asked: Asked, profile: str) -> str:
        """Why it does not fit a question; empty if it does.

        :param profile: the one that is asked for, or that stands for that.
        """
        reason = self.sender_mismatch(asked.body_type, asked.auth)
        if reason or asked.is_opening:
            return reason
        return next(self._content_mismatches(asked, profile), "")

    def _content_mismatches(self, asked: Asked, profile: str) -> Iterator[str]:
        if self.settings.profile is not None and self.settings.profile != profile:
            yield f"it is for the profile {self.settings.profile}, and {profile} is asked for"
        identity = self.identity_of(asked.auth) or ""
        if self.subjects is not None:
            subject = _subject_in_question(asked)
            if subject is None:
                yield "no subject is asked for"
            elif not _any_fits(self.subjects, subject, identity):
                yield f"the subject {format_name(subject)} is none of {', '.join(self.settings.subjects or ())}"
        if self.names is not None:
            for der in _names_in_question(asked):
                if not any(pattern.fits(der, identity) for pattern in self.names):
                    yield f"the name {name_text(der)} is none of {', '.join(self.settings.names or ())}"


def _kinds_of(auth: Authenticated) -> frozenset[str]:
    """By what words in ``who`` a sender is meant."""
    roles = auth.roles & {"ra"}
    if auth.credential.kind is ProtectionKind.MAC:
        return roles | {"secret"}
    if auth.record is not None:
        return roles | {"certificate"}
    return roles or frozenset({"trusted"})


def _any_fits(patterns: Sequence[SubjectPattern], name: x509.Name, identity: str) -> bool:
    return any(pattern.fits(name, identity) for pattern in patterns)


def _issuer_fits(patterns: Sequence[SubjectPattern], auth: Authenticated) -> bool:
    if auth.credential.certificate is None:
        return False
    try:
        issuer = read_name(outline(auth.credential.certificate).issuer_der)
    except CMPError:
        return False
    return _any_fits(patterns, issuer, auth.identity)


def _subject_in_question(asked: Asked) -> x509.Name | None:
    """The subject that is asked for, or of the certificate to be revoked; who names none means itself."""
    if asked.certificate is not None:
        return own_subject(asked.certificate)
    assert asked.request is not None
    subject = asked.request.subject
    if subject is not None and subject.rdns:
        return subject
    if asked.request.old_certificate is not None:
        return own_subject(asked.request.old_certificate)
    # An RA asks for others.
    return None if "ra" in asked.auth.roles else asked.auth.subject


def _names_in_question(asked: Asked) -> tuple[bytes, ...]:
    """DER of the subjectAltNames that are asked for, kept by an update, or in the certificate to be revoked."""
    if asked.certificate is not None:
        return _names_of(asked.certificate)
    assert asked.request is not None
    names = read_alternative_names(asked.request.extensions)
    if names is None:
        return () if asked.request.old_certificate is None else _names_of(asked.request.old_certificate)
    # Whoever asks for a name that cannot be read hears that, whatever rules there are.
    name_keys(names)
    return names


def _names_of(record: CertificateRecord) -> tuple[bytes, ...]:
    kept = own_names(record)
    return () if kept is None else read_alternative_names([kept]) or ()
