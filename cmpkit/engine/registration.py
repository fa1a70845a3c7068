"""What a request says besides its template: controls, and information for registration (RFC 4211 sections 6 and 7)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cryptography.x509 import ObjectIdentifier

from cmpkit import oids
from cmpkit.asn1 import (
    AttributeTypeAndValue,
    CertId,
    CertReqMsg,
    CertRequest,
    PKIPublicationInfo,
    SubjectPublicKeyInfo,
    encode,
    parse_tlv,
    split_utf8_pairs,
)
from cmpkit.enums import BodyType, PKIFailureInfo
from cmpkit.errors import CMPError, fault_of
from cmpkit.parts import Authenticated, Registration

__all__ = ["control_faults", "find_attribute", "read_registration", "registration_faults", "replaced_request"]

_DONT_PUBLISH, _PLEASE_PUBLISH = 0, 1
# archiveRemGenPrivKey [2] FALSE, with which a requester asks for what is done anyway.
_ARCHIVE_NOTHING = bytes.fromhex("820100")
# What they ask for cannot be left undone in silence; others are wishes, or of no consequence here.
_REFUSED = {
    oids.REG_TOKEN: "regToken",
    oids.AUTHENTICATOR: "authenticator",
    oids.ALT_CERT_TEMPLATE: "altCertTemplate",
}


def find_attribute(
    attributes: Sequence[AttributeTypeAndValue] | None, kind: ObjectIdentifier
) -> AttributeTypeAndValue | None:
    """The first control or regInfo of a kind."""
    return next((item for item in attributes or () if item.type == kind), None)


def control_faults(body_type: BodyType, request: CertRequest) -> Iterator[CMPError]:
    """What a server refuses in the controls of a request (R-073, R-074, R-122)."""
    for control in request.controls or ():
        name = _REFUSED.get(control.type)
        if name is not None:
            yield _not_served(name)
        elif control.type == oids.PKI_ARCHIVE_OPTIONS:
            if encode(control.value) != _ARCHIVE_NOTHING:
                yield _not_served("pkiArchiveOptions")
        elif control.type == oids.PKI_PUBLICATION_INFO:
            yield from fault_of(_publication, control)
        elif control.type == oids.OLD_CERT_ID and body_type is BodyType.KUR:
            yield from fault_of(parse_tlv, control.value, CertId)
        elif control.type == oids.PROTOCOL_ENCR_KEY:
            yield from fault_of(parse_tlv, control.value, SubjectPublicKeyInfo)


def _not_served(name: str) -> CMPError:
    return CMPError(
        f"the request has the control {name}, which this server does not serve",
        rule="RFC 4211 section 6",
        hint=f"leave {name} out",
    )


def _publication(control: AttributeTypeAndValue) -> bool:
    """Whether publication is wished for."""
    info = parse_tlv(control.value, PKIPublicationInfo)
    odd = info.action not in (_DONT_PUBLISH, _PLEASE_PUBLISH)
    if odd or (info.action == _DONT_PUBLISH and info.pub_infos is not None):
        raise CMPError(
            "pkiPublicationInfo has an action that there is not, or places where nothing is to be published",
            PKIFailureInfo.BAD_DATA_FORMAT,
            rule="RFC 4211 section 6.3",
            hint="the action is dontPublish (0), without places, or pleasePublish (1)",
        )
    return bool(info.action == _PLEASE_PUBLISH)


def registration_faults(message: CertReqMsg) -> Iterator[CMPError]:
    """What a server refuses in the regInfo of a request, whoever sent it (RFC 4211 section 7)."""
    kinds = [item.type for item in message.reg_info or ()]
    if kinds.count(oids.REG_INFO_CERT_REQ) > 1:
        yield CMPError(
            "regInfo has more than one certReq", rule="RFC 4211 section 7.2", hint="replace the request once"
        )
    for item in message.reg_info or ():
        if item.type == oids.UTF8_PAIRS:
            yield from fault_of(_pairs, item)
        elif item.type == oids.REG_INFO_CERT_REQ:
            yield from fault_of(parse_tlv, item.value, CertRequest)


def _pairs(item: AttributeTypeAndValue) -> list[tuple[str, str]]:
    return split_utf8_pairs(parse_tlv(item.value, str))


def read_registration(message: CertReqMsg) -> Registration | None:
    """What controls and regInfo say to those who register; ``None`` for most requests, which say nothing.

    :param message: in which :func:`control_faults` and :func:`registration_faults` found nothing.
    """
    publication = find_attribute(message.request.controls, oids.PKI_PUBLICATION_INFO)
    pairs = [pair for item in message.reg_info or () if item.type == oids.UTF8_PAIRS for pair in _pairs(item)]
    if publication is None and not pairs:
        return None
    return Registration(
        publish=None if publication is None else _publication(publication),
        pairs=tuple(pairs),
    )


def replaced_request(message: CertReqMsg, auth: Authenticated) -> CertRequest:
    """The request that counts: that of regInfo, where a registration authority replaced the requester's (R-068).

    :raises CMPError: notAuthorized if anybody else did, badCertTemplate if it is for another key or another certReqId.
    """
    item = find_attribute(message.reg_info, oids.REG_INFO_CERT_REQ)
    if item is None:
        return message.request
    if "ra" not in auth.roles:
        raise CMPError(
            "regInfo replaces the request by another, and the sender is no registration authority",
            PKIFailureInfo.NOT_AUTHORIZED,
            rule="RFC 4211 section 7.2",
            hint="leave certReq out of regInfo",
        )
    other = parse_tlv(item.value, CertRequest)
    same_key = other.cert_template.public_key == message.request.cert_template.public_key
    if other.cert_req_id != message.request.cert_req_id or not same_key:
        raise CMPError(
            "the certReq of regInfo is for another certReqId or another public key",
            PKIFailureInfo.BAD_CERT_TEMPLATE,
            rule="RFC 4211 section 7.2",
            hint="change what is not proven by the requester",
        )
    return other
