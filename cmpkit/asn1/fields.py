"""What is in a value, under the names of the ASN.1: for who shows, compares or changes messages field by field."""

from __future__ import annotations

import dataclasses
import functools
import typing
from collections.abc import Iterator, Sequence
from typing import Annotated, Any

from cmpkit.asn1.algorithms import AlgorithmIdentifier
from cmpkit.asn1.body import PKIBody
from cmpkit.asn1.codec import OpenSequence, to_tlv
from cmpkit.asn1.content import InfoTypeAndValue
from cmpkit.asn1.crmf import AttributeTypeAndValue
from cmpkit.asn1.elements import is_choice, read_element
from cmpkit.asn1.kinds import OpenValue, kind_of_value
from cmpkit.asn1.message import PKIMessage
from cmpkit.asn1.names import RDNSequence, UnreadGeneralName
from cmpkit.asn1.primitives import TLV, Holds, Secret, SetOf, Variant
from cmpkit.asn1.recipients import OtherKeyAttribute
from cmpkit.asn1.x509 import CMPCertificate
from cmpkit.enums import BodyType
from cmpkit.errors import CMPError

__all__ = ["Field", "Member", "fields_of", "members_of", "wire_name"]

_IRREGULAR = {
    "ca_key_upd_ann_v2": "cAKeyUpdAnnV2",
    "ca_key_upd_ann_v3": "cAKeyUpdAnnV3",
    "crl_issuer": "cRLIssuer",
    "dh_mac": "dhMAC",
    "agree_mac": "agreeMAC",
    "dns_name": "dNSName",
    "extn_id": "extnID",
    "ip_address": "iPAddress",
    "issuer_uid": "issuerUID",
    "issuer_unique_id": "issuerUniqueID",
    "kmac_output_length": "kMACOutputLength",
    "key_attr_id": "keyAttrId",
    "name_relative_to_crl_issuer": "nameRelativeToCRLIssuer",
    "pki_status_info": "pKIStatusInfo",
    "public_key_mac": "publicKeyMAC",
    "recip_kid": "recipKID",
    "registered_id": "registeredID",
    "sender_kid": "senderKID",
    "subject_pk_info": "subjectPKInfo",
    "subject_uid": "subjectUID",
    "subject_unique_id": "subjectUniqueID",
    "transaction_id": "transactionID",
    "type_id": "type-id",
}
_OPEN_FIELDS = {
    AlgorithmIdentifier: ("algorithm", "parameters"),
    InfoTypeAndValue: ("info_type", "info_value"),
    OtherKeyAttribute: ("key_attr_id", "key_attr"),
}


def wire_name(attribute: str) -> str:
    """The ASN.1 name of an attribute, or of the tag of a Variant: ``senderKID`` for sender_kid."""
    if attribute in _IRREGULAR:
        return _IRREGULAR[attribute]
    first, *rest = attribute.rstrip("_").split("_")
    return first + "".join(word.capitalize() for word in rest)


@dataclasses.dataclass(frozen=True, slots=True)
class Field:
    """A field of a class of ours.

    :param name: its ASN.1 name.
    :param attribute: the name of the attribute that holds it.
    :param optional: whether it may be absent, or has a DEFAULT.
    :param secret: whether its value must not be shown.
    """

    name: str
    attribute: str
    optional: bool = False
    secret: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Member:
    """A part of a value.

    :param name: the ASN.1 name of the field or alternative, the number of the element in a list.
    :param value: the part; what was left unread is read, where we know what it is.
    :param secret: whether it must not be shown.
    :param fault: why something in it stays an unread element; ``None`` if nothing is wrong with it.
    """

    name: str
    value: Any
    secret: bool = False
    fault: CMPError | None = None


def fields_of(cls: type[Any]) -> tuple[Field, ...]:
    """The fields of a class of ours, in their order on the wire.

    :param cls: a declared class, :class:`PKIMessage`, or a class of :class:`OpenSequence`.
    """
    known = _FIELDS.get(cls)
    if known is None:
        known = _FIELDS[cls] = _find_fields(cls)
    return known


_FIELDS: dict[Any, tuple[Field, ...]] = {}


def _find_fields(cls: type[Any]) -> tuple[Field, ...]:
    if issubclass(cls, OpenSequence):
        first, second = _OPEN_FIELDS.get(cls, ("oid", "value"))
        return Field(wire_name(first), first), Field(wire_name(second), second, optional=True)
    return tuple(
        Field(wire_name(field.name), field.name, field.default is not dataclasses.MISSING, _is_secret(cls, field.name))
        for field in dataclasses.fields(cls)
    )


def members_of(value: Any) -> tuple[Member, ...]:
    """What is in a value, one level down: the fields of a class that are there, the alternative of a CHOICE, the
    elements of a list; nothing for what has no parts. Calling it again for each value walks through a whole message.

    :param value: a :class:`PKIMessage`, or anything in one.
    """
    if isinstance(value, PKIBody):
        return _body(value)
    if isinstance(value, Variant):
        return _alternative(value)
    if isinstance(value, (list, SetOf)) and not isinstance(value, OpenSequence):
        return _elements(value if isinstance(value, list) else value.as_list())
    is_sequence = isinstance(value, OpenSequence) or hasattr(type(value), "__dataclass_fields__")
    return _fields(value) if is_sequence else ()


def _body(body: PKIBody) -> tuple[Member, ...]:
    content, fault = body.content, None
    if body.type is BodyType.NESTED:
        content, fault = _opened(content, list[Annotated[TLV, Holds(PKIMessage)]])
    return (Member(body.type.wire_name, content, fault=fault),)


def _fields(value: Any) -> tuple[Member, ...]:
    cls = type(value)
    present = ((field, getattr(value, field.attribute)) for field in fields_of(cls))
    return tuple(_member(value, field, part) for field, part in present if part is not None and part != ())


def _member(holder: Any, field: Field, part: Any) -> Member:
    cls: Any = type(holder)
    hint, secret = _hint_of(cls, field.attribute), field.secret
    if isinstance(part, TLV) and isinstance(holder, OpenValue):
        hint = Annotated[TLV, Holds(kind_of_value(holder))]
        secret = isinstance(holder, AttributeTypeAndValue) and holder.is_secret
    elif field.attribute == "extra_certs":
        part, hint = [to_tlv(certificate) for certificate in part], list[Annotated[TLV, Holds(CMPCertificate)]]
    part, fault = _opened(part, hint)
    return Member(field.name, part, secret, fault)


def _elements(values: Sequence[Any]) -> tuple[Member, ...]:
    return tuple(Member(str(number), value) for number, value in enumerate(values))


def _alternative(value: Variant[Any, Any]) -> tuple[Member, ...]:
    name = wire_name(value.tag)
    if not isinstance(value, UnreadGeneralName):
        return (Member(name, value.value),)
    try:
        return (Member(name, value.value),)
    except CMPError as error:
        return (Member(name, value.element, fault=error),)


def _opened(value: Any, hint: Any) -> tuple[Any, CMPError | None]:
    """A value whose unread elements are read where its declaration says what they hold; and the first that failed."""
    if isinstance(value, TLV):
        return _read(value, hint)
    if isinstance(value, RDNSequence):
        return _named(value)
    if type(value) is Variant:
        part, fault = _opened(value.value, _alternative_of(hint, value.tag))
        return Variant(part, value.tag), fault
    if isinstance(value, (list, SetOf)) and not isinstance(value, OpenSequence):
        items = value if isinstance(value, list) else value.as_list()
        opened = [_opened(item, _item_of(hint)) for item in items]
        return [item for item, _ in opened], next((fault for _, fault in opened if fault is not None), None)
    return value, None


def _read(element: TLV, hint: Any) -> tuple[Any, CMPError | None]:
    marks = hint.__metadata__ if typing.get_origin(hint) is Annotated else ()
    kind = next((mark.kind for mark in marks if isinstance(mark, Holds)), None)
    if kind is None:
        return element, None
    try:
        return read_element(element, kind), None
    except CMPError as error:
        return element, error


def _named(value: RDNSequence) -> tuple[Any, CMPError | None]:
    try:
        return value.name, None
    except CMPError as error:
        return value, error


def _alternatives(hint: Any) -> Iterator[tuple[Any, Any]]:
    """The parts of a union, each without and with its marks; the declaration itself if it is none."""
    plain = _plain(hint)
    if is_choice(plain):
        for part in typing.get_args(plain):
            yield from _alternatives(part)
    else:
        yield plain, hint


def _alternative_of(hint: Any, tag: str) -> Any:
    variants = ((plain, marked) for plain, marked in _alternatives(hint) if typing.get_origin(plain) is Variant)
    return next((marked for plain, marked in variants if _tag_of(plain) == tag), None)


def _tag_of(variant: Any) -> str:
    (tag,) = typing.get_args(typing.get_args(variant)[1])
    return str(tag)


def _item_of(hint: Any) -> Any:
    plain = (plain for plain, _ in _alternatives(hint) if typing.get_origin(plain) in (list, SetOf))
    return next((typing.get_args(kind)[0] for kind in plain), None)


def _plain(hint: Any) -> Any:
    return typing.get_args(hint)[0] if typing.get_origin(hint) is Annotated else hint


@functools.cache
def _hint_of(cls: Any, attribute: str) -> Any:
    return None if issubclass(cls, OpenSequence) else typing.get_type_hints(cls, include_extras=True)[attribute]


def _is_secret(cls: Any, attribute: str) -> bool:
    hint = _hint_of(cls, attribute)
    return typing.get_origin(hint) is Annotated and Secret in hint.__metadata__
