"""What a request says besides its template: controls, and information for registration (RFC 4211 sections 6 and 7)."""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Sequence

from cryptography.x509 import ObjectIdentifier

from cmpkit import oids
from cmpkit.asn1 import (
    AttributeTypeAndValue,
    CertId,
    CertReqMsg,
    CertRequest,
    EncryptedKey,
    EnvelopedData,
    PKIArchiveOptions,
    PKIPublicationInfo,
    SubjectPublicKeyInfo,
    parse_tlv,
    read_element,
    split_utf8_pairs,
)
from cmpkit.enums import BodyType, PKIFailureInfo
from cmpkit.errors import CMPError, fault_of
from cmpkit.parts import Authenticated, Grant, Registration

__all__ = [
    "check_registration",
    "control_faults",
    "find_attribute",
    "is_replaced",
    "read_archive_option",
    "read_registration",
    "registration_faults",
    "replaced_request",
]

_DONT_PUBLISH, _PLEASE_PUBLISH = 0, 1
# What they ask for cannot be left undone in silence; others are wishes, or of no consequence here.
_REFUSED = {oids.ALT_CERT_TEMPLATE: "altCertTemplate"}
_SECRETS = (oids.REG_TOKEN, oids.AUTHENTICATOR)


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
        elif control.type in _SECRETS:
            yield from fault_of(_text, control)
        elif control.type == oids.PKI_ARCHIVE_OPTIONS:
            yield from fault_of(_archive_option, control)
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


def _text(control: AttributeTypeAndValue) -> str:
    try:
        return parse_tlv(control.value, str)
    except CMPError as error:
        # The value itself is a secret: it is not repeated.
        raise CMPError(
            "a control that holds a secret is no UTF8String",
            PKIFailureInfo.BAD_DATA_FORMAT,
            rule="RFC 4211 section 6",
            hint="write regToken and authenticator as UTF8String",
        ) from error


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


def read_archive_option(request: CertRequest) -> EnvelopedData | bool | None:
    """What a request says of keeping the private key; see :attr:`cmpkit.parts.CertificateRequest.archive`.

    :param request: in which :func:`control_faults` found nothing.
    """
    control = find_attribute(request.controls, oids.PKI_ARCHIVE_OPTIONS)
    return None if control is None else _archive_option(control)


def _archive_option(control: AttributeTypeAndValue) -> EnvelopedData | bool:
    try:
        options = read_element(control.value, PKIArchiveOptions)
        key = read_element(options.value, EncryptedKey) if options.tag == "encrypted_priv_key" else None
    except CMPError as error:
        raise CMPError(
            f"pkiArchiveOptions cannot be read: {error.detail}",
            PKIFailureInfo.BAD_DATA_FORMAT,
            rule="RFC 4211 section 6.4",
            hint="hand over a private key by encryptedPrivKey, or say archiveRemGenPrivKey for one to generate",
        ) from error
    if options.tag == "key_gen_parameters":
        raise CMPError(
            "pkiArchiveOptions has keyGenParameters, of which no form is defined",
            rule="RFC 4211 section 6.4",
            hint="hand over the private key itself: encryptedPrivKey",
        )
    if key is None:
        return bool(options.value)
    if isinstance(key.value, EnvelopedData):
        return key.value
    raise CMPError(
        "the private key to archive is not in EnvelopedData",
        rule="RFC 9810 section 5.2.2",
        hint="EncryptedValue is out of use: send EnvelopedData, with pvno 3",
    )


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
    token, authenticator = (find_attribute(message.request.controls, kind) for kind in _SECRETS)
    if publication is None and token is None and authenticator is None and not pairs:
        return None
    return Registration(
        publish=None if publication is None else _publication(publication),
        pairs=tuple(pairs),
        token=None if token is None else _text(token),
        authenticator=None if authenticator is None else _text(authenticator),
    )


def check_registration(registration: Registration | None, grant: Grant | None) -> None:
    """Whether a request has the secrets that its grant wants, and no others (R-073).

    :raises CMPError: notAuthorized if one is missing or wrong or was used up, badRequest if none is wanted.
    """
    wanted = (None, None) if grant is None else (grant.reg_token, grant.authenticator)
    given = (None, None) if registration is None else (registration.token, registration.authenticator)
    for name, right, came in zip(("regToken", "authenticator"), wanted, given, strict=True):
        if right is None and came is not None:
            raise _not_served(name)
        if right is None:
            continue
        if not right:
            raise _unauthorized(f"the {name} was used before", "ask the operator for another secret")
        if came is None or not hmac.compare_digest(came.encode(), right.encode()):
            raise _unauthorized(
                f"the request has {'no' if came is None else 'another'} {name}",
                f"send the {name} that the operator gave",
            )


def _unauthorized(detail: str, hint: str) -> CMPError:
    return CMPError(detail, PKIFailureInfo.NOT_AUTHORIZED, rule="RFC 4211 section 6", hint=hint)


def is_replaced(message: CertReqMsg) -> bool:
    """Whether regInfo has another request in place of the requester's."""
    return find_attribute(message.reg_info, oids.REG_INFO_CERT_REQ) is not None


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
