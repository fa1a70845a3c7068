"""What a person is shown who has to agree to a certificate: what was asked for, by whom, and what would be issued."""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from cryptography import x509

from cmpkit import oids
from cmpkit.asn1 import KEY_USAGES, Extension, IA5String, decode_general_name, distinguished_name, to_tlv
from cmpkit.ca.extensions import ISSUER_EXTENSIONS, AskedExtensions, name_keys, read_extensions
from cmpkit.ca.purposes import purpose_name
from cmpkit.crypto.names import format_name, names_match
from cmpkit.enums import PKIFailureInfo, ProofMethod
from cmpkit.errors import CMPError
from cmpkit.parts import (
    Authenticated,
    CertificateProfile,
    CertificateRequest,
    HeldRequest,
    KeyGeneratingProfile,
    ProtectionKind,
)
from cmpkit.plugins import Plugins

__all__ = ["as_it_came", "check_profile_kept", "describe_request", "name_text"]


def describe_request(
    asked: CertificateRequest,
    allowed: CertificateRequest,
    auth: Authenticated,
    profile: CertificateProfile,
    *,
    plugins: Plugins,
    now: datetime,
) -> tuple[str, dict[str, str | list[str]]]:
    """The subject that the certificate would have, and the facts that help to decide, in words.

    :param asked: the request as it came.
    :param allowed: the request as the policy allows it.
    :raises CMPError: badCertTemplate, badAlg or notAuthorized if the profile does not allow it.
    """
    subject, extensions, not_before, not_after, _ = profile.content(allowed, auth, now=now)
    given = read_extensions(extensions)
    changes = [
        *_subject_changes(asked.subject, subject),
        *_extension_changes(asked.extensions, extensions, given),
        *_validity_changes(asked, not_before, not_after),
    ]
    facts: dict[str, str | list[str]] = {
        "body": asked.body_type.wire_name,
        "identity": auth.identity,
        "protected_by": _protection(auth),
        "subject_alt_names": [name_text(der) for der in given.names or ()],
        **_key_facts(allowed, profile, plugins),
        **_authority_facts(given),
        "key_usage": _usages(given.key_usage or ()),
        "extended_key_usage": [purpose_name(oid) for oid in given.purposes or ()],
        "validity": _validity(asked, not_before, not_after),
        "changes": changes,
    }
    if asked.profile is not None:
        facts["asked_profile"] = asked.profile
    if auth.label is not None:
        facts["path"] = auth.label
    if asked.subject is not None:
        facts["asked_subject"] = format_name(asked.subject)
    if asked.proof is ProofMethod.ENCRYPTED_CERTIFICATE:
        facts["proof_of_possession"] = "comes with certConf: only the holder of the key can read the certificate"
    if allowed.old_certificate is not None:
        facts["updates"] = f"{allowed.old_certificate.serial_number:x}"
    return format_name(subject), facts


def as_it_came(
    kept: HeldRequest, request: CertificateRequest, auth: Authenticated
) -> tuple[CertificateRequest, Authenticated]:
    """A request and its sender as they were when it was kept, whatever the address at which it is asked for again.

    :param request: as it comes again.
    """
    profile, path = kept.facts.get("asked_profile"), kept.facts.get("path")
    return (
        replace(request, profile=profile if isinstance(profile, str) else None),
        replace(auth, label=path if isinstance(path, str) else None),
    )


def check_profile_kept(kept: HeldRequest, request: CertificateRequest) -> None:
    """Whether the policy still allows what a person agreed to.

    :param request: as the policy allows it now.
    :raises CMPError: notAuthorized if it would have another profile.
    """
    if request.profile != kept.profile:
        raise CMPError(
            f"a person was asked about profile {kept.profile}, and the policy would now give {request.profile}",
            PKIFailureInfo.NOT_AUTHORIZED,
            hint="the policy was changed meanwhile; the requester may ask anew",
        )


def _authority_facts(given: AskedExtensions) -> dict[str, str]:
    """That it would be the certificate of a CA."""
    if not given.ca:
        return {}
    below = "any number of" if given.path_length is None else str(given.path_length)
    return {"authority": f"a CA, with {below} CAs below it"}


def _key_facts(request: CertificateRequest, profile: CertificateProfile, plugins: Plugins) -> dict[str, str]:
    key = request.public_key_info
    if key:
        key_type = plugins.key_algorithm_of(key).key_type(key)
        return {"key_type": key_type, "key_sha256": hashlib.sha256(key).hexdigest()}
    assert isinstance(profile, KeyGeneratingProfile)
    return {"key_type": f"{profile.generated_key_type(request)}, generated here"}


def _protection(auth: Authenticated) -> str:
    if auth.credential.kind is ProtectionKind.MAC:
        return f"the shared secret {auth.identity}"
    name = "" if auth.subject is None else f" of {format_name(auth.subject)}"
    return f"the certificate{name}, SHA-256 {auth.credential.id.partition(':')[2]}"


def _subject_changes(asked: x509.Name | None, given: x509.Name) -> Iterator[str]:
    if asked is None or not asked.rdns:
        yield f"no subject is asked for, it gets {format_name(given)}"
    elif not names_match(asked, given):
        yield f"the subject {format_name(asked)} is asked for, it gets {format_name(given)}"


def _extension_changes(
    asked: tuple[Extension, ...], given: tuple[Extension, ...], read: AskedExtensions
) -> Iterator[str]:
    wanted = read_extensions(asked)
    others = name_keys(wanted.names or ())
    added = [name_text(der) for der in read.names or () if not name_keys([der]) <= others]
    if added:
        yield f"it gets names that are not asked for: {', '.join(added)}"
    for what, mine, theirs in (
        ("keyUsage", _usages(wanted.key_usage or ()), _usages(read.key_usage or ())),
        ("extKeyUsage", _purposes(wanted), _purposes(read)),
    ):
        if mine and mine != theirs:
            yield f"{what} {', '.join(mine)} is asked for, it gets {', '.join(theirs) or 'none'}"
    kept = {item.extn_id for item in given} | ISSUER_EXTENSIONS | {oids.KEY_USAGE, oids.EXTENDED_KEY_USAGE}
    for item in asked:
        if item.extn_id not in kept:
            yield f"the extension {item.extn_id.dotted_string} is asked for, it is left out"


def _purposes(extensions: AskedExtensions) -> list[str]:
    return [purpose_name(oid) for oid in extensions.purposes or ()]


def _usages(usages: Iterable[str]) -> list[str]:
    """In the order of their bits."""
    return [name for name in KEY_USAGES if name in set(usages)]


def _validity(asked: CertificateRequest, not_before: datetime, not_after: datetime) -> str:
    if asked.not_before is None and asked.not_after is None:
        return f"{_length(not_after - not_before)} from when it is issued"
    return f"{not_before.isoformat()} to {not_after.isoformat()} if it is issued now"


def _validity_changes(asked: CertificateRequest, not_before: datetime, not_after: datetime) -> Iterator[str]:
    for name, wanted, given in (
        ("notBefore", asked.not_before, not_before),
        ("notAfter", asked.not_after, not_after),
    ):
        if wanted is not None and wanted.replace(microsecond=0) != given:
            yield f"{name} {wanted.isoformat()} is asked for, now it would be {given.isoformat()}"


def _length(length: timedelta) -> str:
    days, rest = divmod(length, timedelta(days=1))
    return str(length) if rest else f"{days} days" if days != 1 else "1 day"


def name_text(der: bytes) -> str:
    """A GeneralName as a profile writes it: ``dns:…``, ``ip:…``, ``email:…``, ``uri:…``; others in hexadecimal.

    :param der: of a name that can be read.
    """
    name = decode_general_name(to_tlv(der))
    kind = _KINDS.get(name.tag)
    if kind is not None and isinstance(name.value, IA5String):
        return f"{kind}:{name.value.as_str()}"
    if isinstance(name.value, bytes) and name.tag == "ip_address" and len(name.value) in _ADDRESS_SIZES:
        return f"ip:{ipaddress.ip_address(name.value)}"
    directory = distinguished_name(name)
    return f"{name.tag.replace('_', ' ')} {der.hex()}" if directory is None else f"dn:{format_name(directory)}"


_ADDRESS_SIZES = (4, 16)
_KINDS = {"dns_name": "dns", "rfc822_name": "email", "uniform_resource_identifier": "uri"}
