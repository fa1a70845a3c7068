"""Messages made again from the values that were read in them: nothing of the octets that came is kept."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from cryptography import x509

from cmpkit import asn1
from cmpkit.asn1 import FrozenList, OpenSequence, SetOf, Variant
from cmpkit.errors import CMPError


def rebuild(value: Any) -> Any:
    """A value of the same classes and content, down to names, numbers and unread elements."""
    for kinds, again in _WAYS:
        if isinstance(value, kinds):
            return again(value)
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


def _rebuild_pkcs10(value: asn1.CertificationRequest) -> asn1.CertificationRequest:
    try:
        info = asn1.to_tlv(rebuild(value.info))
    except CMPError:
        return value
    return asn1.CertificationRequest(
        certification_request_info=info,
        signature_algorithm=rebuild(value.signature_algorithm),
        signature=value.signature,
    )


_WAYS: tuple[tuple[Any, Callable[[Any], Any]], ...] = (
    (OpenSequence, lambda value: type(value)(value.oid, value.value)),
    (FrozenList, lambda value: [rebuild(item) for item in value]),
    (SetOf, lambda value: SetOf([rebuild(item) for item in value.as_list()])),
    (Variant, _rebuild_variant),
    (x509.Name, lambda value: x509.Name(list(value.rdns))),
    (asn1.CertReqMsg, _rebuild_request),
    (asn1.CertificationRequest, _rebuild_pkcs10),
)
