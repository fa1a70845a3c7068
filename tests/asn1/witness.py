"""Messages compared with what pyasn1, an independent reader and writer, makes of the same octets."""

from __future__ import annotations

import re
from typing import Any

from cryptography import x509
from pyasn1.codec.der import decoder, encoder
from pyasn1.type import base, char, univ

from cmpkit import asn1
from cmpkit.asn1 import (
    TLV,
    BitString,
    GeneralizedTime,
    IA5String,
    Null,
    OpenSequence,
    PrintableString,
    SetOf,
    UTCTime,
    Variant,
)


def read(der: bytes, spec: Any) -> Any:
    """What pyasn1 reads, strictly all of it."""
    value, rest = decoder.decode(der, asn1Spec=spec)
    assert rest == b""
    return value


def write(value: Any) -> bytes:
    """What pyasn1 writes. It adds to the value what its optional fields could hold: compare first, then write."""
    return bytes(encoder.encode(value))


_OTHER_NAMES = {
    (asn1.CertReqMsg, "certReq"): "request",
    (asn1.CertificateWire, "signature"): "signature_value",
    (asn1.CertificateList, "signature"): "signature_value",
}
_DEFAULTS = {(asn1.PBKDF2Params, "prf")}
"""Fields whose DEFAULT is an absent value with us."""
_IRREGULAR = {
    "cAKeyUpdAnnV2": "ca_key_upd_ann_v2",
    "cAKeyUpdAnnV3": "ca_key_upd_ann_v3",
    "cRLIssuer": "crl_issuer",
    "dNSName": "dns_name",
    "iPAddress": "ip_address",
    "int": "int_",
    "kMACOutputLength": "kmac_output_length",
    "pKIStatusInfo": "pki_status_info",
    "subjectPKInfo": "subject_pk_info",
}


def attribute_name(name: str) -> str:
    """Our name of a field: ``sender_kid`` for senderKID."""
    if name in _IRREGULAR:
        return _IRREGULAR[name]
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name.replace("-", "_")).lower()


def assert_same(ours: Any, theirs: Any, path: str = "") -> None:
    """Fail unless a value of ours says what pyasn1's says, field by field.

    :param path: where in the message this is, for the failure.
    """
    if isinstance(ours, asn1.DistributionPointName):
        name = theirs.getName()
        assert_same(getattr(ours, attribute_name(name)), theirs.getComponent(), f"{path}.{name}")
    elif isinstance(theirs, univ.Choice) and not isinstance(ours, (TLV, x509.Name)):
        if isinstance(ours, Variant):
            assert ours.tag == attribute_name(theirs.getName()), path
            ours = ours.value
        assert_same(ours, theirs.getComponent(), f"{path}.{theirs.getName()}")
    elif isinstance(ours, (TLV, x509.Name)):
        octets = asn1.encode(ours)
        assert write(theirs)[-len(octets) :] == octets, path
    elif isinstance(ours, (list, SetOf)) and not isinstance(ours, OpenSequence):
        items = ours if isinstance(ours, list) else ours.as_list()
        assert len(items) == len(theirs), path
        for number, (one, other) in enumerate(zip(items, theirs, strict=True)):
            assert_same(one, other, f"{path}[{number}]")
    elif isinstance(theirs, univ.Sequence):
        for name in theirs:
            assert_same_field(ours, theirs, name, path)
    else:
        assert _plain(ours) == _plain_of_theirs(theirs), path


def assert_same_field(ours: Any, theirs: Any, name: str, path: str) -> None:
    """Fail unless a field is absent in both, or the same in both."""
    mine = getattr(ours, _OTHER_NAMES.get((type(ours), name)) or attribute_name(name))
    if _is_absent(theirs, name) or (mine is None and (type(ours), name) in _DEFAULTS):
        assert mine is None, f"{path}.{name}"
    else:
        assert mine is not None, f"{path}.{name}"
        assert_same(mine, theirs[name], f"{path}.{name}")


def _is_absent(theirs: Any, name: str) -> bool:
    """Whether an optional field was not there: ``theirs[name]`` would make an empty one, even a valid one."""
    field = theirs.getComponentByName(name, instantiate=False)
    return isinstance(field, base.NoValue) and theirs.componentType[name].isOptional


def _plain(value: Any) -> Any:
    if isinstance(value, BitString):
        return value.as_bytes(), len(value.as_bytes()) * 8 - value.padding_bits()
    if isinstance(value, UTCTime):
        return f"{value.as_datetime():%y%m%d%H%M%SZ}"
    if isinstance(value, GeneralizedTime):
        moment = value.as_datetime()
        fraction = f".{moment.microsecond:06}".rstrip("0") if moment.microsecond else ""
        return f"{moment.year:04}{moment:%m%d%H%M%S}{fraction}Z"
    if isinstance(value, (IA5String, PrintableString)):
        return value.as_str()
    if isinstance(value, x509.ObjectIdentifier):
        return value.dotted_string
    return None if isinstance(value, Null) else value


def _plain_of_theirs(value: Any) -> Any:
    for kind, plain in _PLAIN:
        if isinstance(value, kind):
            return plain(value)
    raise TypeError(type(value).__name__)


_PLAIN: tuple[tuple[Any, Any], ...] = (
    (univ.BitString, lambda value: (_left_aligned(value), len(value))),
    (char.AbstractCharacterString, str),
    (univ.Null, lambda value: None),  # an OctetString to pyasn1
    (univ.OctetString, bytes),
    (univ.ObjectIdentifier, str),
    (univ.Boolean, bool),
    (univ.Integer, int),
)


def _left_aligned(bits: Any) -> bytes:
    octets = (len(bits) + 7) // 8
    return (int(bits) << (octets * 8 - len(bits))).to_bytes(octets, "big") if octets else b""


def assert_same_message(ours: asn1.PKIMessage, theirs: Any) -> None:
    """Fail unless a message of ours says what pyasn1's says."""
    assert_same(ours.header, theirs["header"], "header")
    assert theirs["body"].getName() == ours.body.type.wire_name
    assert_same(ours.body.content, theirs["body"].getComponent(), ours.body.type.wire_name)
    protection = theirs["protection"]
    assert ours.protection == (_left_aligned(protection) if protection.isValue else None)
    certificates = theirs["extraCerts"]
    assert len(ours.extra_certs) == (len(certificates) if certificates.isValue else 0)
    for one, other in zip(ours.extra_certs, certificates if certificates.isValue else (), strict=True):
        assert one == write(other)
