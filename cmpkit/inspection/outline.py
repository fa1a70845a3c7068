"""Elements whose meaning is not known as nodes: by their tags, with the universal types read."""

from __future__ import annotations

from typing import Any

from cryptography.x509 import ObjectIdentifier

from cmpkit.asn1 import GeneralizedTime, IA5String, PrintableString, UTCTime, decode
from cmpkit.errors import CMPError
from cmpkit.inspection.names import object_name
from cmpkit.inspection.nodes import Form, Node
from cmpkit.inspection.tlv import Element, scan

__all__ = ["element_node"]

_SHOWN_BITS = 64


def element_node(name: str, octets: bytes) -> Node:
    """One element as a node.

    :param octets: the element, and nothing else.
    """
    elements = scan(octets)
    if len(elements) != 1:
        return Node(name, Form.OCTETS, octets.hex())
    return _node(name, octets, elements[0])


def _node(name: str, octets: bytes, element: Element) -> Node:
    if element.children:
        parts = tuple(_node(f"{number} {child.tag}", octets, child) for number, child in enumerate(element.children))
        return Node(name, Form.FIELDS, parts=parts, fault=element.fault)
    content = octets[element.start : element.end]
    value, meaning = _primitive(element.tag, octets[element.offset : element.end])
    if value is None and element.tag != "NULL":
        return Node(name, Form.OCTETS, content.hex(), element.tag, fault=element.fault)
    return Node(name, Form.LEAF, value, meaning or ("NULL" if value is None else ""), fault=element.fault)


_KINDS: dict[str, Any] = {
    "BOOLEAN": bool,
    "INTEGER": int,
    "OBJECT IDENTIFIER": ObjectIdentifier,
    "UTF8String": str,
    "PrintableString": PrintableString,
    "IA5String": IA5String,
    "UTCTime": UTCTime,
    "GeneralizedTime": GeneralizedTime,
}


def _primitive(tag: str, der: bytes) -> tuple[Any, str]:
    """The value of a universal type, and its name; ``None`` if it is to be shown as octets."""
    if tag not in _KINDS:
        return None, ""
    try:
        value = decode(_KINDS[tag], der)
    except CMPError:
        return None, ""
    if isinstance(value, ObjectIdentifier):
        return value.dotted_string, object_name(value)
    return _scalar(value), ""


def _scalar(value: Any) -> Any:
    match value:
        case GeneralizedTime() | UTCTime():
            return value.as_datetime().isoformat().replace("+00:00", "Z")
        case PrintableString() | IA5String():
            return value.as_str()
        case int() if value.bit_length() > _SHOWN_BITS:
            return f"0x{value:x}"
    return value
