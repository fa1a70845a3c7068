"""Certificate profiles of the configuration file: what may be asked for, and what a certificate gets.

What depends on the issuer (key identifiers, where its CRL is, the end of its own validity) is added by the issuer.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Literal

from cryptography import x509
from pydantic import Field, StrictBool, field_validator, model_validator

from cmpkit.asn1 import KEY_USAGES, TLV, Extension, decode_list, encode
from cmpkit.ca.extensions import (
    ISSUER_EXTENSIONS,
    AskedExtensions,
    alternative_names_extension,
    key_usage_extension,
    name_keys,
    purposes_extension,
    read_extensions,
)
from cmpkit.ca.own_names import named_by_policy
from cmpkit.ca.purposes import PURPOSES, read_purpose
from cmpkit.ca.settings import Duration, Settings, check_key_types, read_settings
from cmpkit.ca.templates import AlternativeNameTemplate, SubjectTemplate
from cmpkit.crypto.key_specs import key_specifications, key_type_of
from cmpkit.crypto.names import format_name, names_match
from cmpkit.crypto.x509 import extension
from cmpkit.enums import PKIFailureInfo, ProofMethod
from cmpkit.errors import CMPError
from cmpkit.parts import Authenticated, CertificateRequest, RequestTemplate
from cmpkit.plugins import Plugins

__all__ = ["ConfiguredProfile", "ProfileSettings", "load_profile"]

_SPECIAL_PURPOSES = frozenset(
    PURPOSES[name] for name in ("cmcCA", "cmcRA", "cmKGA", "anyExtendedKeyUsage", "ocspSigning")
)
_CA_USAGES = frozenset({"keyCertSign", "cRLSign"})
_SPECIAL_RULE = "RFC 9810 section 8.10"
_GENERATED = "p256"
"""The type of key that is generated if neither profile nor request name one."""


class ProfileSettings(Settings):
    """A table ``[profiles.NAME]``.

    :param key_types: which keys may be certified; absent, every one that a key algorithm accepts.
    :param subject: the name that the identity may have; absent, the one asked for, as far as the policy allows it.
    :param subject_alt_names: names that every certificate gets.
    :param allow_requested_names: whether other subjectAltNames may be asked for.
    :param validity: how long a certificate is valid, at most.
    :param approval: ``manual``: a person has to agree before a certificate is issued; ``none``: nobody has to.
    :param publish: whether repositories are told of its certificates (``[[announce]]``), unless a requester wishes that
        they are not (pkiPublicationInfo, RFC 4211 section 6.3).
    :param key_generation: ``central``: keys are generated here for those who ask for that (RFC 9483 section 4.1.6), the
        first of ``key_types``, or P-256, unless another of them is asked for; ``requester``: nobody's are.
    :param archive: whether private keys are kept, encrypted, so that their holders can have them back: ``never``; where
        it is ``requested``, by the control pkiArchiveOptions (RFC 4211 section 6.4); or ``always``.
    :param recovery: who may have archived keys back (RFC 9810 section 5.3.7): the holder of a ``certificate`` of ours
        those of its own subject, that of a shared ``secret`` those of the subject that it grants, and an ``ra`` all.
    :param proofs: by what requesters may show that they have the key (RFC 9810 section 5.2.8): ``signature``; or
        for keys that do not sign ``encrCert``, where the certificate comes encrypted to its key, ``challengeResp``,
        where a number does, or ``agreeMAC`` and ``DHBasedMac``, a MAC under a secret that the key agrees on with one of
        the server's, which pvno 3 and every version know; or ``encryptedKey``, the key itself, where it is archived.
    :param special: whether extended key usages may be given that make their holder an authority for others
        (RFC 9810 section 8.10, RFC 6960 section 4.2.2.2).
    """

    key_types: tuple[str, ...] | None = Field(default=None, min_length=1)
    subject: str | None = None
    subject_alt_names: tuple[str, ...] = ()
    allow_requested_names: StrictBool = False
    key_usage: tuple[str, ...] = ("digitalSignature",)
    extended_key_usage: tuple[str, ...] = ()
    validity: Duration = timedelta(days=365)
    approval: Literal["none", "manual"] = "none"
    publish: StrictBool = False
    key_generation: Literal["requester", "central"] = "requester"
    archive: Literal["never", "requested", "always"] = "never"
    recovery: tuple[Literal["certificate", "secret", "ra"], ...] = ()
    proofs: tuple[Literal["signature", "encrCert", "challengeResp", "agreeMAC", "DHBasedMac", "encryptedKey"], ...] = (
        Field(default=("signature",), min_length=1)
    )
    special: StrictBool = False

    @field_validator("subject")
    @classmethod
    def _check_subject(cls, text: str | None) -> str | None:
        if text is not None:
            SubjectTemplate.parse(text)
        return text

    @field_validator("subject_alt_names")
    @classmethod
    def _check_names(cls, texts: tuple[str, ...]) -> tuple[str, ...]:
        for text in texts:
            AlternativeNameTemplate.parse(text)
        return texts

    @field_validator("key_usage")
    @classmethod
    def _check_key_usage(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        allowed = [name for name in KEY_USAGES if name not in _CA_USAGES]
        unknown = [name for name in names if name not in allowed]
        if unknown:
            raise ValueError(f"{', '.join(unknown)}: is none of {', '.join(allowed)}")
        if names:
            key_usage_extension(names)
        return names

    @model_validator(mode="after")
    def _check_recovery(self) -> ProfileSettings:
        if self.recovery and self.archive == "never":
            raise ValueError('recovery: no keys are kept; if they are to be, set archive to "requested" or "always"')
        return self

    @model_validator(mode="after")
    def _check_purposes(self) -> ProfileSettings:
        for name in self.extended_key_usage:
            if read_purpose(name) in _SPECIAL_PURPOSES and not self.special:
                raise ValueError(
                    f"extended_key_usage: {name} makes its holder an authority for others ({_SPECIAL_RULE}); "
                    "if that is wanted, add: special = true"
                )
        return self


def load_profile(name: str, table: Mapping[str, Any], plugins: Plugins) -> ConfiguredProfile:
    """The profile of a table ``[profiles.NAME]``.

    :raises ConfigurationError: naming every key that is wrong.
    """
    settings = read_settings(ProfileSettings, table, f"profiles.{name}")
    check_key_types(f"profiles.{name}", settings.key_types or (), plugins)
    return ConfiguredProfile(name, settings, plugins)


class ConfiguredProfile:
    """A :class:`~cmpkit.parts.CertificateProfile` as a table of the configuration file describes it.

    For a sender with a certificate of ours, names are those of the request: the policy has seen to it that they are
    those of that certificate (RFC 9483 section 4.1.3), or what an RA may ask for.
    """

    def __init__(self, name: str, settings: ProfileSettings, plugins: Plugins) -> None:
        self.name = name
        self.approval = settings.approval
        self.key_types = settings.key_types or ()
        self.publish = settings.publish
        self.key_generation = settings.key_generation
        self.archive = settings.archive
        self.recovery = settings.recovery
        self._settings = settings
        self._plugins = plugins
        self._subject = None if settings.subject is None else SubjectTemplate.parse(settings.subject)
        self._names = tuple(AlternativeNameTemplate.parse(text) for text in settings.subject_alt_names)
        self._purposes = tuple(read_purpose(purpose) for purpose in settings.extended_key_usage)
        self._proofs = frozenset(ProofMethod(proof) for proof in settings.proofs)
        # Most requests ask for no extensions: what they get is made once.
        self._basic_constraints = extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        self._key_usage = key_usage_extension(settings.key_usage) if settings.key_usage else None
        self._extended_key_usage = purposes_extension(self._purposes) if self._purposes else None

    def __repr__(self) -> str:
        return f"ConfiguredProfile({self.name!r})"

    def content(
        self, request: CertificateRequest, auth: Authenticated, *, now: datetime
    ) -> tuple[x509.Name, tuple[Extension, ...], datetime, datetime, bool]:
        """What the certificate gets (RFC 4211 section 5); see :meth:`cmpkit.parts.CertificateProfile.content`."""
        if request.cross is not None:
            raise self._refuse(
                "it is for end entities, and a cross certificate is asked for",
                PKIFailureInfo.NOT_AUTHORIZED,
                "RFC 9810 section 6.6",
                "ask for a profile of the kind cross-certificate",
            )
        self._check_proof(request)
        possible = self._check_key(request)
        asked = read_extensions(request.extensions)
        self._check_authority(asked)
        subject = self._choose_subject(request, auth)
        usage, purposes = self._choose_key_usage(asked, possible), self._choose_purposes(asked)
        chosen = (self._basic_constraints, usage, purposes, self._choose_names(asked, auth))
        given = tuple([item for item in chosen if item is not None])
        not_before, not_after = self._choose_validity(request, now)
        modified = (
            _differs(request.subject, subject)
            or any(item not in given for item in request.extensions if item.extn_id not in ISSUER_EXTENSIONS)
            or (request.not_before is not None and request.not_before.replace(microsecond=0) != not_before)
            or (request.not_after is not None and request.not_after.replace(microsecond=0) != not_after)
        )
        return subject, given, not_before, not_after, modified

    def template(self, auth: Authenticated) -> RequestTemplate:
        """Names, usages and keys; see :meth:`cmpkit.parts.CertificateProfile.template`."""
        known = not named_by_policy(auth)
        names = [_name_der(name.render(auth.identity)) for name in self._names] if known else []
        given = (self._key_usage, self._extended_key_usage, alternative_names_extension(names) if names else None)
        algorithms, rsa_lengths = key_specifications(self._settings.key_types or (), self._plugins)
        return RequestTemplate(
            subject=self._subject.render(auth.identity) if known and self._subject is not None else None,
            extensions=tuple(item for item in given if item is not None),
            key_algorithms=algorithms,
            rsa_key_lengths=rsa_lengths,
        )

    def _refuse(self, detail: str, fail_info: PKIFailureInfo, rule: str = "", hint: str = "") -> CMPError:
        return CMPError(f"profile {self.name}: {detail}", fail_info, rule=rule, hint=hint)

    def generated_key_type(self, request: CertificateRequest) -> str:
        """What is asked for, of what may be; see :meth:`cmpkit.parts.KeyGeneratingProfile.generated_key_type`."""
        if self.key_generation != "central":
            raise self._refuse(
                "the template has no public key, and keys are not generated here",
                PKIFailureInfo.BAD_CERT_TEMPLATE,
                "RFC 9483 section 4.1.6",
                'put a public key into the template, or set key_generation = "central" of the profile',
            )
        key_types = self._settings.key_types or (_GENERATED, *self._plugins.key_types)
        if request.key_algorithm is None:
            return key_types[0]
        key_type = key_type_of(request.key_algorithm, key_types, self._plugins)
        if key_type is None:
            raise self._refuse(
                f"a key of the algorithm {request.key_algorithm.algorithm.dotted_string} is asked for",
                PKIFailureInfo.BAD_ALG,
                "RFC 9483 section 4.1.6",
                f"ask for one of {', '.join(dict.fromkeys(key_types))}, or for any",
            )
        return key_type

    def _check_proof(self, request: CertificateRequest) -> None:
        """Whether the key may be proven so (R-069); raVerified is for the policy to allow (R-068)."""
        proof = request.proof
        if proof is None or proof is ProofMethod.RA_VERIFIED or proof in self._proofs:
            return
        raise self._refuse(
            f"the key is to be proven by {proof.value}, allowed is {', '.join(self._settings.proofs)}",
            PKIFailureInfo.BAD_POP,
            "RFC 9810 section 5.2.8",
            "prove it in another way, or widen proofs of the profile",
        )

    def _check_key(self, request: CertificateRequest) -> frozenset[str]:
        """The keyUsages that the key is good for."""
        if request.public_key_info:
            part = self._plugins.key_algorithm_of(request.public_key_info)
            key_type = part.key_type(request.public_key_info)
        else:
            key_type = self.generated_key_type(request)
            part = self._plugins.key_algorithm(key_type)
        if self._settings.key_types is not None and key_type not in self._settings.key_types:
            raise self._refuse(
                f"a {key_type} key is asked for, allowed are {', '.join(self._settings.key_types)}",
                PKIFailureInfo.BAD_ALG,
                "RFC 9483 section 3.6.4",
                "make another key, or widen key_types of the profile",
            )
        if self._settings.key_usage and part.key_usages.isdisjoint(self._settings.key_usage):
            raise self._refuse(
                f"a {key_type} key cannot be used for {', '.join(self._settings.key_usage)}",
                PKIFailureInfo.BAD_ALG,
                "RFC 5280 section 4.2.1.3",
                "make another key, or change key_usage of the profile",
            )
        return part.key_usages

    def _check_authority(self, asked: AskedExtensions) -> None:
        """No authority over others without special approval."""
        special = _SPECIAL_PURPOSES.intersection(asked.purposes or ()).difference(self._purposes)
        wanted = [name for name, oid in PURPOSES.items() if oid in special] if special else []
        wanted += sorted(_CA_USAGES.intersection(asked.key_usage or ()))
        if asked.ca:
            wanted.append("basicConstraints with CA=TRUE")
        if wanted:
            raise self._refuse(
                f"{', '.join(wanted)} is asked for", PKIFailureInfo.NOT_AUTHORIZED, _SPECIAL_RULE, "do not ask for it"
            )

    def _choose_subject(self, request: CertificateRequest, auth: Authenticated) -> x509.Name:
        asked = request.subject if request.subject is not None and request.subject.rdns else None
        if self._subject is None or named_by_policy(auth):
            if asked is None:
                raise self._refuse(
                    "no subject is asked for", PKIFailureInfo.BAD_CERT_TEMPLATE, "RFC 9483 section 4.1.1"
                )
            return asked
        granted = self._subject.render(auth.identity)
        if asked is None or not _differs(asked, granted):
            return asked or granted
        if not _covers(granted, asked):
            raise self._refuse(
                f"the subject {format_name(asked)} is asked for, {auth.identity!r} may have {format_name(granted)}",
                PKIFailureInfo.BAD_CERT_TEMPLATE,
                "RFC 9483 section 3.6.4",
                "ask for that one, or change the subject of the profile",
            )
        return granted

    def _choose_key_usage(self, asked: AskedExtensions, possible: frozenset[str]) -> Extension | None:
        """What is asked for of what the profile allows, or all of that; in either case what the key is good for."""
        allowed = possible.intersection(self._settings.key_usage)
        chosen = _coherent(allowed.intersection(asked.key_usage or ())) or allowed
        return self._key_usage if len(chosen) == len(self._settings.key_usage) else key_usage_extension(chosen)

    def _choose_purposes(self, asked: AskedExtensions) -> Extension | None:
        # In the order of the request, so that what is as it was asked for is the same to the octet.
        chosen = [oid for oid in asked.purposes or () if oid in self._purposes]
        return purposes_extension(chosen) if chosen else self._extended_key_usage

    def _choose_names(self, asked: AskedExtensions, auth: Authenticated) -> Extension | None:
        wanted = asked.names or ()
        if not wanted and not self._names:
            return None
        if named_by_policy(auth):
            return alternative_names_extension(wanted) if wanted else None
        granted = tuple(_name_der(template.render(auth.identity)) for template in self._names)
        allowed, have = name_keys(granted), name_keys(wanted)
        others = have - allowed
        if others and not self._settings.allow_requested_names:
            raise self._refuse(
                f"{len(others)} subjectAltNames are asked for that {auth.identity!r} may not have",
                PKIFailureInfo.BAD_CERT_TEMPLATE,
                "RFC 9483 section 3.6.4",
                "ask for none, or set subject_alt_names or allow_requested_names of the profile",
            )
        names = (*wanted, *(name for name in granted if not name_keys([name]) <= have))
        return alternative_names_extension(names) if names else None

    def _choose_validity(self, request: CertificateRequest, now: datetime) -> tuple[datetime, datetime]:
        now = now.replace(microsecond=0)
        latest = now + self._settings.validity
        not_before = now if request.not_before is None else max(now, request.not_before.replace(microsecond=0))
        not_after = latest if request.not_after is None else min(latest, request.not_after.replace(microsecond=0))
        if not_before >= not_after:
            raise self._refuse(
                f"no validity is left between {not_before} and {not_after}",
                PKIFailureInfo.BAD_CERT_TEMPLATE,
                "RFC 5280 section 4.1.2.5",
                "ask for another validity, or for none",
            )
        return not_before, not_after


def _coherent(usages: frozenset[str]) -> frozenset[str]:
    """Without encipherOnly and decipherOnly where there is no keyAgreement (RFC 5280 section 4.2.1.3)."""
    return usages if "keyAgreement" in usages else usages - {"encipherOnly", "decipherOnly"}


def _differs(asked: x509.Name | None, given: x509.Name) -> bool:
    return asked is not None and bool(asked.rdns) and not names_match(asked, given)


def _covers(granted: x509.Name, asked: x509.Name) -> bool:
    """Whether everything in ``asked`` is in ``granted``, too."""
    return all(
        any(names_match(x509.Name([wanted]), x509.Name([allowed])) for allowed in granted.rdns) for wanted in asked.rdns
    )


def _name_der(name: x509.GeneralName) -> bytes:
    (element,) = decode_list(TLV, x509.SubjectAlternativeName([name]).public_bytes())
    return encode(element)
