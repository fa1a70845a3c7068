"""Whether a certificate profile keeps its contract: a check to be called in its author's tests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from cryptography import x509

from cmpkit import oids
from cmpkit.asn1 import Extension
from cmpkit.crypto.names import format_name, names_match
from cmpkit.enums import PKIFailureInfo
from cmpkit.parts import Authenticated, CertificateProfile, CertificateRequest, RequestTemplate
from cmpkit.testing.contract import AnsweredOrRefused, refused, require, require_name, require_type, success

__all__ = ["check_profile"]

_Content = tuple[x509.Name, tuple[Extension, ...], datetime, datetime, bool]
# The issuer adds these, whatever a profile says.
_OF_THE_ISSUER = (oids.SUBJECT_KEY_IDENTIFIER, oids.AUTHORITY_KEY_IDENTIFIER, oids.CRL_DISTRIBUTION_POINTS)
_REFUSALS = (PKIFailureInfo.BAD_CERT_TEMPLATE, PKIFailureInfo.BAD_ALG, PKIFailureInfo.NOT_AUTHORIZED)


def check_profile(
    profile: CertificateProfile,
    request: CertificateRequest,
    auth: Authenticated,
    *,
    now: datetime,
    forbidden: Sequence[CertificateRequest] = (),
) -> _Content:
    """Check a certificate profile, with a request that it allows.

    What it gives is well-formed and the same each time, it is honest about what it changed, and asking for just what
    it gave changes nothing; so does its template. Odd requests get something well-formed, or are refused by a CMPError.

    :param auth: whose request it is.
    :param forbidden: requests that it must refuse, for instance for a CA certificate.
    :return: what it gives, for the test to look at.
    :raises AssertionError: naming what is wrong.
    """
    require_name(profile)
    what = "content() must allow the request of the check"
    with success(what):
        content, again = profile.content(request, auth, now=now), profile.content(request, auth, now=now)
    _require_content(content, request, "the request")
    require(content == again, "content() must give the same for the same request")
    subject, extensions, not_before, not_after, _ = content
    exact = replace(request, subject=subject, extensions=extensions, not_before=not_before, not_after=not_after)
    with success("content() must allow what it gave itself"):
        given = profile.content(exact, auth, now=now)
    require(
        given == (subject, extensions, not_before, not_after, False),
        "content() must change nothing, and say so, when just what it gave is asked for",
    )
    for name, odd in _odd_requests(request, now):
        content_or_none: _Content | None = None
        with AnsweredOrRefused(name):
            content_or_none = profile.content(odd, auth, now=now)
        if content_or_none is not None:
            _require_content(content_or_none, odd, name)
    _check_template(profile, request, auth, now)
    for number, one in enumerate(forbidden, 1):
        with refused(f"forbidden request {number}", *_REFUSALS):
            profile.content(one, auth, now=now)
    return content


def _check_template(
    profile: CertificateProfile, request: CertificateRequest, auth: Authenticated, now: datetime
) -> None:
    """Who asks for what the template says gets it."""
    with success("template() must say what to ask for"):
        template = profile.template(auth)
    require_type(template, RequestTemplate, "what template() returns")
    asked = replace(request, subject=template.subject or request.subject, extensions=template.extensions)
    with success("content() must allow what template() says"):
        subject, extensions, *_ = profile.content(asked, auth, now=now)
    require(
        template.subject is None or names_match(template.subject, subject),
        "content() must give the subject that template() says",
    )
    require(
        all(extension in extensions for extension in template.extensions),
        "content() must give the extensions that template() says",
    )


def _odd_requests(request: CertificateRequest, now: datetime) -> Iterator[tuple[str, CertificateRequest]]:
    malformed = Extension(extn_id=oids.KEY_USAGE, extn_value=b"\x30\x00")
    yield "a request without a subject", replace(request, subject=None)
    yield "a request with an empty subject", replace(request, subject=x509.Name([]))
    yield "a request without extensions", replace(request, extensions=())
    yield "a request with a malformed extension", replace(request, extensions=(malformed,))
    yield "a request with one extension twice", replace(request, extensions=(malformed, malformed))
    yield "a request whose public key cannot be read", replace(request, public_key_info=b"no key")
    yield "a request that ends before it begins", replace(request, not_before=now, not_after=now - timedelta(days=1))
    yield "a request for the past", replace(request, not_before=now - timedelta(days=9999), not_after=None)
    yield "a request for ever", replace(request, not_after=datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC))


def _require_content(content: _Content, request: CertificateRequest, what: str) -> None:
    with success("content() must be subject, extensions, notBefore, notAfter, and whether anything was changed"):
        subject, extensions, not_before, not_after, modified = content
    require_type(subject, x509.Name, f"the subject for {what}")
    require_type(extensions, tuple, f"the extensions for {what}")
    for extension in extensions:
        require_type(extension, Extension, f"each extension for {what}")
    identifiers = [extension.extn_id for extension in extensions]
    require(
        len(set(identifiers)) == len(identifiers),
        f"content() for {what} must have each extension once (RFC 5280 section 4.2)",
    )
    for name, moment in (("notBefore", not_before), ("notAfter", not_after)):
        require_type(moment, datetime, f"{name} for {what}")
        require(moment.tzinfo is not None, f"{name} for {what} must have a time zone")
    require(not_before < not_after, f"content() for {what} must end after it begins, not {not_before} to {not_after}")
    require_type(modified, bool, f"whether anything was changed for {what}")
    changes = list(_changes(content, request))
    require(modified or not changes, f"content() for {what} must say that it changed {', '.join(changes)}")


def _changes(content: _Content, request: CertificateRequest) -> Iterator[str]:
    """What differs from what was asked for."""
    subject, extensions, not_before, not_after, _ = content
    asked = request.subject
    if asked is not None and asked.rdns and not names_match(asked, subject):
        yield f"the subject from {format_name(asked)} to {format_name(subject)}"
    for extension in request.extensions:
        if extension.extn_id not in _OF_THE_ISSUER and extension not in extensions:
            yield f"the extension {extension.extn_id.dotted_string}"
    for name, wanted, given in (
        ("notBefore", request.not_before, not_before),
        ("notAfter", request.not_after, not_after),
    ):
        # Certificates have no fractions of a second.
        if wanted is not None and wanted.replace(microsecond=0) != given.replace(microsecond=0):
            yield f"{name} from {wanted} to {given}"
