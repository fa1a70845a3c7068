"""What came of ``cmpkit info``: answers as text for people, as values for machines, and in their files."""

from __future__ import annotations

import base64
import ipaddress
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ObjectIdentifier

from cmpkit import oids
from cmpkit.asn1 import (
    AlgorithmIdentifier,
    CertReqTemplateContent,
    Extension,
    GeneralName,
    IA5String,
    InfoTypeAndValue,
    decode_general_name,
    distinguished_name,
    encode,
    encode_list,
    to_tlv,
)
from cmpkit.ca.extensions import read_extensions
from cmpkit.cli.operations import Work
from cmpkit.cli.options import InfoOptions
from cmpkit.cli.results import Result, describe_certificate, summarise
from cmpkit.cli.wording import counted
from cmpkit.crypto.crls import load_crl
from cmpkit.crypto.key_specs import key_type_names
from cmpkit.crypto.keys import write_file_atomically
from cmpkit.crypto.names import format_name
from cmpkit.crypto.root_update import is_update_of
from cmpkit.crypto.x509 import to_pem
from cmpkit.endpoints.credentials import read_anchors
from cmpkit.endpoints.passphrases import check_passphrase_kept
from cmpkit.endpoints.support import (
    believe_root_update,
    check_newer_crl,
    read_ca_certificates,
    read_crls,
    read_request_template,
    read_root_update,
)
from cmpkit.errors import CMPError, ConfigurationError, TrustError
from cmpkit.inspection.names import object_name
from cmpkit.parts import RequestTemplate, RootKeyUpdate

__all__ = ["tell"]

_Told: TypeAlias = tuple[list[str], dict[str, Any]]
"""An answer as lines for people and as values for machines."""
_Files: TypeAlias = dict[str, bytes]
"""What goes into files, by the names of their options."""


def tell(came: Any, work: Work) -> Result:
    """Say what came, and write it into its files once all of it is believed.

    :param came: the answers, a sequence of InfoTypeAndValue.
    :raises TrustError: if one cannot be read, or a new root is not to be believed.
    :raises ConfigurationError: if a file cannot be written.
    """
    about = work.job.info or InfoOptions()
    if about.passref is not None:
        check_passphrase_kept(came)
    facts: list[tuple[str, str]] = []
    answers: list[dict[str, Any]] = []
    files: _Files = {}
    for item in came:
        name = _name(item.info_type, work)
        lines, values = _read(item, work, files)
        facts += [(name, line) for line in lines]
        answers.append({"type": name, "oid": item.info_type.dotted_string, **values})
    written = {option: path for option, path in about.outputs.items() if option in files}
    for option, path in written.items():
        write_file_atomically(path, files[option])
    facts += [(option, str(path)) for option, path in written.items()]
    values = {"command": "info", "answers": answers, **{option: str(path) for option, path in written.items()}}
    return Result(f"{counted(len(answers), 'answer')} from {work.job.url}", facts, values)


def _name(oid: ObjectIdentifier, work: Work) -> str:
    part = work.plugins.get("info type", oid)
    return part.name if part is not None else object_name(oid) or oid.dotted_string


def _read(item: InfoTypeAndValue, work: Work, files: _Files) -> _Told:
    if item.info_value is None:
        return ["kept" if item.info_type == oids.REV_PASSPHRASE else "nothing"], {"value": None}
    reader = _READERS.get(item.info_type)
    if reader is not None:
        return reader(item, work, files)
    encoded = base64.b64encode(encode(item.info_value)).decode()
    return [encoded], {"value": encoded}


def _ca_certificates(item: InfoTypeAndValue, _: Work, files: _Files) -> _Told:
    ders = read_ca_certificates(item)
    files["cacertsout"] = to_pem(*ders)
    return [summarise(der) for der in ders], {"certificates": [describe_certificate(der) for der in ders]}


def _current_crl(item: InfoTypeAndValue, _: Work, files: _Files) -> _Told:
    (crl,) = read_crls(item)
    files.setdefault("crlout", crl.public_bytes(Encoding.PEM))
    return [_crl_line(crl)], _crl_values(crl)


def _crls(item: InfoTypeAndValue, work: Work, files: _Files) -> _Told:
    crls = read_crls(item)
    about = work.job.info or InfoOptions()
    if about.oldcrl is not None:
        check_newer_crl(crls[0], _load_crl(about.oldcrl))
    # What was asked for by its name is what is wanted, also beside currentCRL.
    files["crlout"] = b"".join(crl.public_bytes(Encoding.PEM) for crl in crls)
    return [_crl_line(crl) for crl in crls], {"crls": [_crl_values(crl) for crl in crls]}


def _load_crl(path: Path) -> x509.CertificateRevocationList:
    try:
        return load_crl(path.read_bytes())
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error


def _crl_line(crl: x509.CertificateRevocationList) -> str:
    return f"{format_name(crl.issuer)}, {len(crl)} revoked, thisUpdate {crl.last_update_utc.isoformat()}"


def _crl_values(crl: x509.CertificateRevocationList) -> dict[str, Any]:
    ends = crl.next_update_utc
    return {
        "issuer": format_name(crl.issuer),
        "revoked": len(crl),
        "this_update": crl.last_update_utc.isoformat(),
        "next_update": None if ends is None else ends.isoformat(),
    }


def _root_update(item: InfoTypeAndValue, work: Work, files: _Files) -> _Told:
    about = work.job.info or InfoOptions()
    old_roots = work.anchors if about.oldwithold is None else read_anchors(about.oldwithold)[:1]
    update = believe_root_update(read_root_update(item), old_roots, plugins=work.plugins, now=datetime.now(UTC))
    ders = {
        "newwithnew": update.new_with_new,
        "newwithold": update.new_with_old,
        "oldwithnew": update.old_with_new,
    }
    given = {name: der for name, der in ders.items() if der is not None}
    files.update({name: to_pem(der) for name, der in given.items()})
    lines = [f"new root {summarise(update.new_with_new)}, which the old root vouches for"]
    if about.adopt is not None:
        trusted = _anchors_in(about.adopt, old_roots, update)
        files["adopt"] = to_pem(*dict.fromkeys((*trusted, update.new_with_new)))
        lines += [f"trusted from now on: {summarise(update.new_with_new)}"]
        lines += [f"trusted as before: {summarise(der)}" for der in trusted if der != update.new_with_new]
    return lines, {name: describe_certificate(der) for name, der in given.items()}


def _anchors_in(path: Path, old_roots: Sequence[bytes], update: RootKeyUpdate) -> tuple[bytes, ...]:
    """DER of the trust anchors in a file; of one that is not there yet, the old root is the first."""
    if path.exists():
        return read_anchors(path)
    return tuple(der for der in old_roots if is_update_of(update, der))


def _template(item: InfoTypeAndValue, work: Work, files: _Files) -> _Told:
    template, content = read_request_template(item), item.parse(CertReqTemplateContent)
    files["template"] = encode(content.cert_template)
    if content.key_spec:
        files["keyspec"] = encode_list(content.key_spec)
    subject = None if template.subject is None else format_name(template.subject)
    keys = key_type_names(template, work.plugins)
    extensions = [_extension_values(extension) for extension in template.extensions]
    lines = [
        f"subject: {'up to you' if subject is None else subject}",
        *_extension_lines(template.extensions),
        f"key: {', '.join(keys) or 'of any type'}",
    ]
    return lines, {"subject": subject, "extensions": extensions, "keys": list(keys)}


def _extension_values(extension: Extension) -> dict[str, Any]:
    return {
        "oid": extension.extn_id.dotted_string,
        "critical": extension.critical,
        "value": base64.b64encode(extension.extn_value).decode(),
    }


def _extension_lines(extensions: Sequence[Extension]) -> Iterator[str]:
    try:
        asked = read_extensions(extensions)
        names = [decode_general_name(to_tlv(der)) for der in asked.names or ()]
    except CMPError as error:
        raise TrustError(f"the extensions of the request template cannot be read: {error.detail}") from error
    known = {
        oids.KEY_USAGE: sorted(asked.key_usage or ()),
        oids.EXTENDED_KEY_USAGE: [object_name(oid) or oid.dotted_string for oid in asked.purposes or ()],
        oids.SUBJECT_ALTERNATIVE_NAME: [_general_name(name) for name in names],
    }
    for extension in extensions:
        values = known.get(extension.extn_id, [extension.extn_value.hex()])
        yield f"{object_name(extension.extn_id) or extension.extn_id.dotted_string}: {', '.join(values)}"


def _general_name(name: GeneralName) -> str:
    if isinstance(name.value, IA5String):
        return name.value.as_str()
    if isinstance(name.value, bytes) and len(name.value) in _IP_LENGTHS:
        return str(ipaddress.ip_address(name.value))
    known = distinguished_name(name)
    return name.tag if known is None else format_name(known)


def _unsupported(item: InfoTypeAndValue, _: Work, __: _Files) -> _Told:
    try:
        unknown = [oid.dotted_string for oid in item.parse_list(ObjectIdentifier)]
    except CMPError as error:
        raise TrustError(
            f"the answer to {item.info_type.dotted_string} cannot be read: {error}", rule="RFC 9810 section 5.3.19.7"
        ) from error
    return unknown, {"unsupported": unknown}


def _key_types(item: InfoTypeAndValue, work: Work, _: _Files) -> _Told:
    algorithms = _algorithms(item)
    names = key_type_names(RequestTemplate(key_algorithms=algorithms), work.plugins)
    shown = [name if name[:1].isalpha() else _shown(one) for name, one in zip(names, algorithms, strict=True)]
    return [", ".join(shown)], {"keys": shown}


def _algorithm(item: InfoTypeAndValue, _: Work, __: _Files) -> _Told:
    shown = _shown(*_algorithms(item))
    return [shown], {"algorithm": shown}


def _algorithms(item: InfoTypeAndValue) -> tuple[AlgorithmIdentifier, ...]:
    try:
        if item.info_type == oids.PREFERRED_SYMM_ALG:
            return (item.parse(AlgorithmIdentifier),)
        return tuple(item.parse_list(AlgorithmIdentifier))
    except CMPError as error:
        raise TrustError(
            f"the answer to {item.info_type.dotted_string} cannot be read: {error}", rule="RFC 9810 section 5.3.19"
        ) from error


def _shown(algorithm: AlgorithmIdentifier) -> str:
    return object_name(algorithm.algorithm) or algorithm.algorithm.dotted_string


_IP_LENGTHS = (4, 16)
_READERS: dict[ObjectIdentifier, Callable[[InfoTypeAndValue, Work, _Files], _Told]] = {
    oids.CA_CERTS: _ca_certificates,
    oids.CURRENT_CRL: _current_crl,
    oids.CRLS: _crls,
    oids.ROOT_CA_KEY_UPDATE: _root_update,
    oids.CERT_REQ_TEMPLATE: _template,
    oids.SIGN_KEY_PAIR_TYPES: _key_types,
    oids.ENC_KEY_PAIR_TYPES: _key_types,
    oids.PREFERRED_SYMM_ALG: _algorithm,
    oids.UNSUPPORTED_OIDS: _unsupported,
}
