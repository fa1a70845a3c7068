"""Messages made again from the values that were read in them: nothing of the octets that came is kept."""

from __future__ import annotations

import dataclasses
from typing import Any

from cryptography import x509

from cmpkit import asn1
from cmpkit.asn1 import FrozenList, OpenSequence, PKIBody, PKIMessage, SetOf, Variant
from cmpkit.errors import CMPError


def rebuild(value: Any) -> Any:
    """A value of the same classes and content, down to names, numbers and unread elements."""
    if isinstance(value, (PKIMessage, PKIBody)):
        return type(value)(*(rebuild(getattr(value, field.name)) for field in dataclasses.fields(value)))
    if isinstance(value, OpenSequence):
        return type(value)(value.oid, value.value)
    if isinstance(value, FrozenList):
        return [rebuild(item) for item in value]
    if isinstance(value, SetOf):
        return SetOf([rebuild(item) for item in value.as_list()])
    if isinstance(value, Variant):
        return _rebuild_variant(value)
    if isinstance(value, x509.Name):
        return x509.Name(list(value.rdns))
    if isinstance(value, asn1.CertReqMsg):
        return _rebuild_request(value)
    if dataclasses.is_dataclass(value):
        return type(value)(**{field.name: rebuild(getattr(value, field.name)) for field in dataclasses.fields(value)})
    return value


def _rebuild_variant(value: Variant[Any, Any]) -> Variant[Any, Any]:
    try:
        return Variant(rebuild(value.value), value.tag)
    except CMPError:  # a name in the header that nobody can read stays as it is
        return value


def _rebuild_request(message: asn1.CertReqMsg) -> asn1.CertReqMsg:
    try:
        request = rebuild(message.request)
    except CMPError:  # so does a request
        return message
    return asn1.CertReqMsg.build(request, rebuild(message.popo), reg_info=rebuild(message.reg_info))
