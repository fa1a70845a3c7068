"""What can be read of octets that are no message: the parts that are whole, each by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cmpkit.asn1 import (
    AlgorithmIdentifier,
    BitString,
    CertificateWire,
    GeneralizedTime,
    GeneralName,
    InfoTypeAndValue,
    PKIBody,
    PKIHeader,
    decode,
    read_element,
    to_tlv,
)
from cmpkit.enums import BodyType
from cmpkit.errors import CMPError
from cmpkit.inspection.describe import describe
from cmpkit.inspection.nodes import Form, Node
from cmpkit.inspection.outline import element_node
from cmpkit.inspection.tlv import Element, scan

__all__ = ["salvage"]

_FIRST_FIELDS: tuple[tuple[str, Any], ...] = (("pvno", int), ("sender", GeneralName), ("recipient", GeneralName))
_TAGGED_FIELDS: dict[str, tuple[str, Any]] = {
    "[0]": ("messageTime", GeneralizedTime),
    "[1]": ("protectionAlg", AlgorithmIdentifier),
    "[2]": ("senderKID", bytes),
    "[3]": ("recipKID", bytes),
    "[4]": ("transactionID", bytes),
    "[5]": ("senderNonce", bytes),
    "[6]": ("recipNonce", bytes),
    "[7]": ("freeText", list[str]),
    "[8]": ("generalInfo", list[InfoTypeAndValue]),
}
_BODY_TAGS = {f"[{kind.value}]": kind for kind in BodyType}


def salvage(octets: bytes) -> Node:
    """Header, body, protection and extraCerts, as far as each is there and can be read."""
    elements = scan(octets)
    if not elements or elements[0].tag != "SEQUENCE":
        return Node("", Form.FIELDS)
    parts = []
    for name, element in zip(("header", "body", "", ""), elements[0].children, strict=False):
        parts.append(_part(name or {"[0]": "protection", "[1]": "extraCerts"}.get(element.tag, ""), octets, element))
    return Node("", Form.FIELDS, parts=tuple(part for part in parts if part is not None))


def _part(name: str, octets: bytes, element: Element) -> Node | None:
    readers: dict[str, Callable[[bytes, Element], Node]] = {
        "header": _header,
        "body": _body,
        "protection": _protection,
        "extraCerts": _extra_certs,
    }
    return readers[name](octets, element) if name in readers else None


def _whole(octets: bytes, element: Element) -> bytes:
    return octets[element.offset : element.end]


def _header(octets: bytes, element: Element) -> Node:
    try:
        return describe(decode(PKIHeader, _whole(octets, element)), "header")
    except CMPError:
        pass
    fields, waiting = [], list(_FIRST_FIELDS)
    for child in element.children:
        name, kind = waiting.pop(0) if waiting else _TAGGED_FIELDS.get(child.tag, ("", None))
        explicit = child.tag in _TAGGED_FIELDS and name not in ("sender", "recipient")
        inner = child.children[0] if explicit and child.children else child
        fields.append(_value(name or child.tag, kind, octets, inner))
    return Node("header", Form.FIELDS, parts=tuple(fields))


def _value(name: str, kind: Any, octets: bytes, element: Element) -> Node:
    whole = _whole(octets, element)
    if kind is not None and not element.fault:
        try:
            return describe(read_element(to_tlv(whole), kind), name)
        except CMPError as error:
            return Node(name, Form.OCTETS, whole.hex(), fault=error.detail)
    return Node(name, Form.OCTETS, whole.hex(), fault=element.fault)


def _body(octets: bytes, element: Element) -> Node:
    kind = _BODY_TAGS.get(element.tag)
    name = kind.wire_name if kind is not None else element.tag
    whole = _whole(octets, element)
    try:
        body = describe(PKIBody.from_der(whole), "body")
    except CMPError as error:
        inner = element_node(name, whole)
        fault = element.fault or error.detail
        return Node("body", Form.CHOICE, parts=(Node(name, inner.form, inner.value, "", inner.parts, fault),))
    return Node("body", Form.CHOICE, parts=body.parts)


def _protection(octets: bytes, element: Element) -> Node:
    inner = element.children[0] if element.children else element
    return _value("protection", BitString, octets, inner)


def _extra_certs(octets: bytes, element: Element) -> Node:
    listed = element.children[0].children if element.children else ()
    certificates = [_value(str(number), CertificateWire, octets, child) for number, child in enumerate(listed)]
    return Node("extraCerts", Form.LIST, parts=tuple(certificates), fault=element.fault)
