"""Profiles of cross certificates: what another CA may have certified, and within what bounds (RFC 9810 section 6.6)."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, Literal

from cryptography import x509
from pydantic import Field, StrictInt, field_validator

from cmpkit import oids
from cmpkit.asn1 import Extension
from cmpkit.ca.certificates import room_below
from cmpkit.ca.extensions import (
    ISSUER_EXTENSIONS,
    AskedExtensions,
    check_name_constraints,
    key_usage_extension,
    read_extensions,
)
from cmpkit.ca.settings import Duration, Settings, check_key_types, read_settings
from cmpkit.crypto.key_specs import key_specifications
from cmpkit.crypto.names import parse_name
from cmpkit.crypto.x509 import extension
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError, ConfigurationError
from cmpkit.parts import Authenticated, CertificateProfile, CertificateRequest, RequestTemplate
from cmpkit.plugins import Plugins

__all__ = ["CrossProfile", "CrossProfileSettings", "check_cross_profiles", "load_cross_profile"]

_RULE: Final = "RFC 9810 section 6.6 and appendix D.6"
_SKEW: Final = timedelta(minutes=5)
_USAGES: Final = frozenset({"keyCertSign", "cRLSign"})
_POSSIBLE_USAGES: Final = _USAGES | {"digitalSignature"}


class CrossProfileSettings(Settings):
    """A table ``[profiles.NAME]`` of the kind ``cross-certificate``.

    :param key_types: which keys may be certified; absent, every one that a key algorithm accepts.
    :param path_length: how many CAs may be below the one that is certified, at most.
    :param permitted_names: the names that it and those below it may certify, of the kinds that are named: ``dns:``,
        ``email:`` and ``ip:`` subtrees, ``dn:`` (RFC 5280 section 4.2.1.10).
    :param excluded_names: names that they may not certify.
    :param validity: how long the certificate is valid, at most.
    :param approval: ``manual``: a person has to agree before a certificate is issued; ``none``: nobody has to.
    """

    key_types: tuple[str, ...] | None = Field(default=None, min_length=1)
    path_length: Annotated[StrictInt, Field(ge=0)] = 0
    permitted_names: tuple[str, ...] = ()
    excluded_names: tuple[str, ...] = ()
    validity: Duration = timedelta(days=730)
    approval: Literal["none", "manual"] = "none"

    @field_validator("permitted_names", "excluded_names")
    @classmethod
    def _check_names(cls, texts: tuple[str, ...]) -> tuple[str, ...]:
        for text in texts:
            _subtree(text)
        return texts


def load_cross_profile(name: str, table: Mapping[str, Any], plugins: Plugins) -> CrossProfile:
    """The profile of a table ``[profiles.NAME]`` of the kind ``cross-certificate``.

    :param table: without its kind.
    :raises ConfigurationError: naming every key that is wrong.
    """
    settings = read_settings(CrossProfileSettings, table, f"profiles.{name}")
    check_key_types(f"profiles.{name}", settings.key_types or (), plugins)
    return CrossProfile(name, settings, plugins)


class CrossProfile:
    """A :class:`~cmpkit.parts.CertificateProfile` for the key of another CA; it issues nothing else."""

    def __init__(self, name: str, settings: CrossProfileSettings, plugins: Plugins) -> None:
        self.name = name
        self.approval = settings.approval
        self.path_length = settings.path_length
        self._settings = settings
        self._plugins = plugins
        self._constraints = _name_constraints(settings.permitted_names, settings.excluded_names)

    def __repr__(self) -> str:
        return f"CrossProfile({self.name!r})"

    def content(
        self, request: CertificateRequest, auth: Authenticated, *, now: datetime
    ) -> tuple[x509.Name, tuple[Extension, ...], datetime, datetime, bool]:
        """What the certificate gets; see :meth:`cmpkit.parts.CertificateProfile.content`."""
        if request.cross is None:
            raise self._refuse(
                f"it is for cross certificates, {request.body_type.wire_name} asks for another one",
                PKIFailureInfo.NOT_AUTHORIZED,
                "ask by ccr, or for another profile",
            )
        subject = request.subject
        if subject is None or not subject.rdns:
            raise self._refuse("no subject is asked for", hint="put the name of the CA into the template")
        self._check_key(request)
        asked = read_extensions(request.extensions)
        given = self._extensions(request, asked)
        not_before, not_after = self._validity(request, now)
        modified = (
            any(item not in given for item in request.extensions if item.extn_id not in ISSUER_EXTENSIONS)
            or request.not_before != not_before
            or request.not_after != not_after
        )
        return subject, given, not_before, not_after, modified

    def template(self, auth: Authenticated) -> RequestTemplate:
        """Extensions and keys; see :meth:`cmpkit.parts.CertificateProfile.template`."""
        given = (_basic_constraints(self.path_length), key_usage_extension(_USAGES), self._constraints)
        algorithms, rsa_lengths = key_specifications(self._settings.key_types or (), self._plugins)
        return RequestTemplate(
            extensions=tuple(item for item in given if item is not None),
            key_algorithms=algorithms,
            rsa_key_lengths=rsa_lengths,
        )

    def _refuse(
        self, detail: str, fail_info: PKIFailureInfo = PKIFailureInfo.BAD_CERT_TEMPLATE, hint: str = ""
    ) -> CMPError:
        return CMPError(f"profile {self.name}: {detail}", fail_info, rule=_RULE, hint=hint)

    def _check_key(self, request: CertificateRequest) -> None:
        part = self._plugins.key_algorithm_of(request.public_key_info)
        key_type = part.key_type(request.public_key_info)
        allowed = self._settings.key_types
        if "keyCertSign" not in part.key_usages or (allowed is not None and key_type not in allowed):
            raise self._refuse(
                f"a {key_type} key is asked for, allowed are {', '.join(allowed or ('keys that sign certificates',))}",
                PKIFailureInfo.BAD_ALG,
                "certify another key, or widen key_types of the profile",
            )

    def _extensions(self, request: CertificateRequest, asked: AskedExtensions) -> tuple[Extension, ...]:
        if not asked.ca:
            raise self._refuse(
                "the template does not ask for basicConstraints with cA=TRUE", hint="a cross certificate is for a CA"
            )
        usages = _USAGES if asked.key_usage is None else asked.key_usage & _POSSIBLE_USAGES
        if "keyCertSign" not in usages:
            raise self._refuse("keyUsage without keyCertSign is asked for", hint="a CA signs certificates")
        limit = self.path_length if asked.path_length is None else min(asked.path_length, self.path_length)
        given = (_basic_constraints(limit), key_usage_extension(usages), self._chosen_constraints(request))
        return tuple(item for item in given if item is not None)

    def _chosen_constraints(self, request: CertificateRequest) -> Extension | None:
        """Ours, else those that the other CA puts upon itself."""
        if self._constraints is not None:
            return self._constraints
        asked = next((item for item in request.extensions if item.extn_id == oids.NAME_CONSTRAINTS), None)
        if asked is None:
            return None
        check_name_constraints(asked.extn_value)
        return Extension(extn_id=oids.NAME_CONSTRAINTS, critical=True, extn_value=asked.extn_value)

    def _validity(self, request: CertificateRequest, now: datetime) -> tuple[datetime, datetime]:
        """As asked for, within bounds; the template names both ends, so that the beginning is past when it comes."""
        assert request.not_before is not None
        assert request.not_after is not None
        now = now.replace(microsecond=0)
        not_before = max(request.not_before, now - _SKEW)
        not_after = min(request.not_after, now + self._settings.validity)
        if not_before >= not_after:
            raise self._refuse(
                f"no validity is left between {not_before} and {not_after}", hint="ask for another validity"
            )
        return not_before, not_after


def check_cross_profiles(profiles: Iterable[CertificateProfile], authority: Sequence[bytes]) -> None:
    """Whether the certificates of a CA leave room for the CAs that its profiles let be below it.

    :param authority: DER of its certificate and of those above it.
    :raises ConfigurationError: naming the first profile for which there is none.
    """
    room = room_below(authority) if authority else None
    for profile in profiles:
        if isinstance(profile, CrossProfile) and room is not None and profile.path_length + 1 > room:
            raise ConfigurationError(
                f"[profiles.{profile.name}] path_length: {profile.path_length} needs {profile.path_length + 1} CAs "
                f"below this one, and its certificate or one above it allows {max(0, room)} (pathLenConstraint)",
                rule="RFC 5280 section 4.2.1.9",
                hint="cmpkit init --path-length makes a CA that may have others below it",
            )


def _basic_constraints(limit: int) -> Extension:
    return extension(x509.BasicConstraints(ca=True, path_length=limit), critical=True)


def _name_constraints(permitted: Sequence[str], excluded: Sequence[str]) -> Extension | None:
    if not permitted and not excluded:
        return None
    subtrees = [[_subtree(text) for text in texts] or None for texts in (permitted, excluded)]
    return extension(x509.NameConstraints(*subtrees), critical=True)


def _subtree(text: str) -> x509.GeneralName:
    """The base of a subtree.

    :raises ValueError: if it is none.
    """
    kind, _, rest = text.partition(":")
    try:
        if kind == "ip":
            return x509.IPAddress(ipaddress.ip_network(rest))
        if kind == "dn":
            return x509.DirectoryName(parse_name(rest))
        if kind == "dns" and rest:
            return x509.DNSName(rest)
        if kind == "email" and rest:
            return x509.RFC822Name(rest)
    except CMPError as error:
        raise ValueError(f"{text!r}: {error.detail}") from error
    raise ValueError(f"{text!r} begins with none of dns:, email:, ip:, dn:, or names nothing")
