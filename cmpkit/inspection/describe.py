"""From messages to nodes: every field, with names for numbers and identifiers, certificates and keys in short."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key
from cryptography.x509 import ObjectIdentifier

from cmpkit import oids
from cmpkit.asn1 import (
    TLV,
    AlgorithmIdentifier,
    Attribute,
    AttributeTypeAndValue,
    BitString,
    CertificateList,
    CertificateWire,
    Extension,
    GeneralizedTime,
    IA5String,
    InfoTypeAndValue,
    Null,
    PKIMessage,
    PKIStatusInfo,
    PrintableString,
    SetOf,
    SubjectPublicKeyInfo,
    TBSCertList,
    UTCTime,
    Variant,
    encode,
    members_of,
    parse_tlv,
    read_element,
)
from cmpkit.crypto.names import format_name
from cmpkit.crypto.x509 import fingerprint
from cmpkit.enums import PVNO
from cmpkit.errors import CMPError
from cmpkit.inspection.extensions import BITS, read_extension
from cmpkit.inspection.names import object_name
from cmpkit.inspection.nodes import Form, Node
from cmpkit.inspection.outline import element_node

__all__ = ["describe"]

_SHOWN_BITS = 64
_DEEPEST = 64
_SECRET = "(a secret, not shown)"  # noqa: S105 - what stands in the place of one


def describe(message: Any, name: str = "", *, secrets: bool = False) -> Node:
    """A message, or anything in one, as a node.

    :param name: what the node is called.
    :param secrets: whether the values of controls that are secrets are shown.
    """
    return _Describer(secrets).node(name, message)


class _Describer:
    def __init__(self, secrets: bool) -> None:
        self._secrets = secrets
        self._depth = 0

    def node(self, name: str, value: Any, fault: CMPError | None = None) -> Node:
        """A value as a node; messages within messages are looked into so deep and no deeper."""
        if self._depth >= _DEEPEST:
            return Node(name, Form.LEAF, "…", fault=f"more than {_DEEPEST} levels")
        self._depth += 1
        try:
            return self._node(name, value, fault)
        finally:
            self._depth -= 1

    def _node(self, name: str, value: Any, fault: CMPError | None) -> Node:
        for kinds, way in _WAYS:
            if isinstance(value, kinds):
                made: Node = way(self, name, value)
                return made if fault is None else _with_fault(made, fault)
        return Node(name, Form.LEAF, str(value))

    def parts(self, value: Any) -> tuple[Node, ...]:
        """What is in a value, part by part."""
        found = []
        for member in members_of(value):
            if member.secret and not self._secrets:
                found.append(Node(member.name, Form.LEAF, _SECRET))
            else:
                found.append(self.node(member.name, member.value, member.fault))
        return tuple(found)

    def fields(self, name: str, value: Any) -> Node:
        return Node(name, Form.FIELDS, parts=self.parts(value))

    def typed(self, name: str, value: Any) -> Node:
        return Node(name, Form.TYPED, parts=self.parts(value))

    def listed(self, name: str, value: Any) -> Node:
        return Node(name, Form.LIST, parts=self.parts(value))

    def choice(self, name: str, value: Any) -> Node:
        return Node(name, Form.CHOICE, parts=self.parts(value))

    def message(self, name: str, value: PKIMessage) -> Node:
        """A message, without what is not there."""
        parts = [
            Node("body", Form.CHOICE, parts=part.parts) if part.name == "body" else part for part in self.parts(value)
        ]
        there = tuple(part for part in parts if part.name != "extraCerts" or part.parts)
        return Node(name, Form.FIELDS, parts=there)

    def integer(self, name: str, value: int) -> Node:
        """An INTEGER; a long one, which is a serial number or a part of a key, in hexadecimal."""
        if value.bit_length() > _SHOWN_BITS or name in ("serialNumber", "userCertificate"):
            return Node(name, Form.LEAF, f"0x{value:x}")
        meaning = _VERSIONS.get(value, "") if name == "pvno" else getattr(value, "wire_name", "")
        return Node(name, Form.LEAF, int(value), meaning)

    def status(self, name: str, value: PKIStatusInfo) -> Node:
        parts = tuple(
            Node("failInfo", Form.LEAF, part.value, ", ".join(value.failures.wire_names))
            if part.name == "failInfo"
            else part
            for part in self.parts(value)
        )
        return Node(name, Form.FIELDS, parts=parts)

    def extension(self, name: str, value: Extension) -> Node:
        """An extension, with its value read."""
        oid = self.node("extnID", value.extn_id)
        critical = Node("critical", Form.LEAF, value.critical)
        try:
            read = read_extension(value)
        except CMPError as error:
            inner = Node("extnValue", Form.OCTETS, value.extn_value.hex(), fault=error.detail)
        else:
            inner = self.node("extnValue", read)
            if isinstance(read, BitString) and oid.meaning in BITS:
                inner = Node("extnValue", Form.LEAF, inner.value, ", ".join(_named_bits(read, BITS[oid.meaning])))
        return Node(name, Form.TYPED, parts=(oid, critical, inner))

    def public_key(self, name: str, value: SubjectPublicKeyInfo) -> Node:
        """A public key, with its size if it can be read."""
        algorithm, *rest = self.parts(value)
        size = _key_size(value)
        bits = () if size is None else (Node("bits", Form.LEAF, size),)
        details = tuple(replace(part, detail=True) for part in rest)
        return Node(name, Form.FIELDS, parts=(algorithm, *bits, *details))

    def certificate(self, name: str, value: CertificateWire) -> Node:
        """A certificate in short: the signed fields that people ask for, its digest, and the whole of it as detail."""
        der = encode(value)
        whole = Node("der", Form.LEAF, base64.b64encode(der).decode(), detail=True)
        digest = Node("sha256", Form.OCTETS, fingerprint(der).hex())
        try:
            signed = {part.name: part for part in self.parts(value.tbs)}
        except CMPError as error:
            return Node(name, Form.FIELDS, parts=(digest, whole), fault=error.detail)
        shown = [signed[field] for field in _CERTIFICATE_FIELDS if field in signed]
        algorithm = self.node("signatureAlgorithm", value.signature_algorithm)
        return Node(name, Form.FIELDS, parts=(*shown, algorithm, digest, whole))

    def revocation_list(self, name: str, value: CertificateList) -> Node:
        """A certificate list in short: how many are revoked, and each of them as detail."""
        der = encode(value)
        whole = Node("der", Form.LEAF, base64.b64encode(der).decode(), detail=True)
        digest = Node("sha256", Form.OCTETS, fingerprint(der).hex())
        try:
            content = parse_tlv(value.tbs_cert_list, TBSCertList)
        except CMPError as error:
            return Node(name, Form.FIELDS, parts=(digest, whole), fault=error.detail)
        count = Node("revoked", Form.LEAF, len(content.revoked_certificates or ()))
        signed = [
            replace(part, detail=True) if part.name == "revokedCertificates" else part for part in self.parts(content)
        ]
        return Node(name, Form.FIELDS, parts=(*signed, count, digest, whole))

    def attribute(self, name: str, value: Attribute) -> Node:
        """An attribute of a PKCS#10 request; the extensions that it asks for are read."""
        values = value.values.as_list()
        if value.type != oids.EXTENSION_REQUEST:
            return self.typed(name, value)
        asked: list[Any] = []
        for element in values:
            try:
                asked.append(read_element(element, list[Extension]))
            except CMPError:
                asked.append(element)
        return Node(name, Form.TYPED, parts=(self.node("type", value.type), self.node("values", asked)))

    def octets(self, name: str, value: bytes) -> Node:
        """Octets; a key identifier may be the reference of a secret, which is text."""
        readable = name in ("senderKID", "recipKID") and value.isascii() and value.decode("ascii").isprintable()
        return Node(name, Form.OCTETS, value.hex(), f'"{value.decode()}"' if readable and value else "")

    def bits(self, name: str, value: BitString) -> Node:
        unused = value.padding_bits()
        return Node(name, Form.OCTETS, value.as_bytes().hex(), f"{unused} unused bits" if unused else "")

    def object_identifier(self, name: str, value: ObjectIdentifier) -> Node:
        return Node(name, Form.LEAF, value.dotted_string, object_name(value))

    def text(self, name: str, value: Any) -> Node:
        return Node(name, Form.LEAF, value if isinstance(value, str | bool) else value.as_str())

    def time(self, name: str, value: GeneralizedTime | UTCTime) -> Node:
        return Node(name, Form.LEAF, value.as_datetime().isoformat().replace("+00:00", "Z"))

    def distinguished_name(self, name: str, value: x509.Name) -> Node:
        text = format_name(value)
        return Node(name, Form.LEAF, text, "" if text else "the empty name")

    def null(self, name: str, _: Null) -> Node:
        return Node(name, Form.LEAF, None, "NULL")

    def element(self, name: str, value: TLV) -> Node:
        return element_node(name, encode(value))


_VERSIONS = {int(version): version.name.lower() for version in PVNO}
_CERTIFICATE_FIELDS = (
    "serialNumber",
    "issuer",
    "validity",
    "subject",
    "subjectPublicKeyInfo",
    "issuerUniqueID",
    "subjectUniqueID",
    "extensions",
)
_WAYS: tuple[tuple[Any, Callable[[_Describer, str, Any], Node]], ...] = (
    (PKIMessage, _Describer.message),
    (str | bool | IA5String | PrintableString, _Describer.text),
    (int, _Describer.integer),
    (bytes, _Describer.octets),
    (TLV, _Describer.element),
    (BitString, _Describer.bits),
    (ObjectIdentifier, _Describer.object_identifier),
    (GeneralizedTime | UTCTime, _Describer.time),
    (x509.Name, _Describer.distinguished_name),
    (Null, _Describer.null),
    (PKIStatusInfo, _Describer.status),
    (Extension, _Describer.extension),
    (SubjectPublicKeyInfo, _Describer.public_key),
    (CertificateWire, _Describer.certificate),
    (CertificateList, _Describer.revocation_list),
    (Attribute, _Describer.attribute),
    (AlgorithmIdentifier | InfoTypeAndValue | AttributeTypeAndValue, _Describer.typed),
    (Variant, _Describer.choice),
    (SetOf | list | tuple, _Describer.listed),
    (object, _Describer.fields),
)


def _with_fault(node: Node, fault: CMPError) -> Node:
    return replace(node, fault=fault.detail)


def _named_bits(bits: BitString, names: tuple[str, ...]) -> list[str]:
    octets = bits.as_bytes()
    set_bits = [bit for bit in range(len(octets) * 8) if octets[bit // 8] & 0x80 >> bit % 8]
    return [names[bit] if bit < len(names) else f"bit {bit}" for bit in set_bits]


def _key_size(key: SubjectPublicKeyInfo) -> int | None:
    """Bits, of those kinds of keys of which people ask it."""
    try:
        loaded = load_der_public_key(key.der)
    except Exception:  # whatever is wrong with the key, its octets are shown
        return None
    return loaded.key_size if isinstance(loaded, rsa.RSAPublicKey | ec.EllipticCurvePublicKey) else None
