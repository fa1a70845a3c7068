"""A message in a few words: what it asks, grants, refuses or confirms."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from cryptography import x509

from cmpkit.asn1 import (
    TLV,
    CertificateWire,
    CertificationRequest,
    CertRepMessage,
    CertReqMsg,
    CertStatus,
    ErrorMsgContent,
    InfoTypeAndValue,
    PKIMessage,
    PKIStatusInfo,
    PollRep,
    PollReq,
    RevDetails,
    RevRepContent,
    parse_tlv,
)
from cmpkit.crypto.names import format_name
from cmpkit.engine.wording import number_text
from cmpkit.enums import BodyType
from cmpkit.errors import CMPError
from cmpkit.inspection.names import object_name

__all__ = ["protection_of", "summarise"]

_MOST_INSIDE = 10


def summarise(message: PKIMessage) -> tuple[str, ...]:
    """What the body says, a line for each request, response or question; of a batch, for the first messages in it."""
    if message.body.type is BodyType.NESTED:
        return (*_inside(message.members[:_MOST_INSIDE]), *_rest(len(message.members) - _MOST_INSIDE))
    content = message.body.content
    items = content if isinstance(content, list) else [content]
    return tuple(line for item in items for line in _lines(item))


def _inside(members: Iterable[PKIMessage | CMPError]) -> Iterator[str]:
    for member in members:
        if isinstance(member, CMPError):
            yield f"cannot be read: {member.detail}"
            continue
        first, *more = summarise(member) or ("",)
        yield f"{member.body.type.wire_name}: {first}".removesuffix(": ")
        yield from more


def _rest(count: int) -> tuple[str, ...]:
    return (f"and {count} more",) if count > 0 else ()


def protection_of(message: PKIMessage) -> str:
    """What the message is protected by, as text."""
    algorithm = message.header.protection_alg
    if message.protection is None or algorithm is None:
        return "not protected"
    return object_name(algorithm.algorithm) or algorithm.algorithm.dotted_string


def _lines(item: object) -> Iterator[str]:
    for kind, lines in _WAYS:
        if isinstance(item, kind):
            try:
                yield from lines(item)
            except CMPError as error:
                yield f"cannot be read: {error.detail}"
            return


def _request(message: CertReqMsg) -> Iterator[str]:
    template = message.request.cert_template
    subject = "no subject" if template.subject is None else _name(template.subject.name)
    yield f"certReqId {number_text(message.request.cert_req_id)}: {subject}"


def _p10(request: CertificationRequest) -> Iterator[str]:
    yield _name(request.info.subject)


def _name(name: x509.Name) -> str:
    return format_name(name) or "the empty name"


def _responses(content: CertRepMessage) -> Iterator[str]:
    for response in content.response:
        yield f"certReqId {number_text(response.cert_req_id)}: {_status(response.status)}"
        pair = response.certified_key_pair
        if pair is not None:
            yield from _issued(pair.cert_or_enc_cert.tag, pair.cert_or_enc_cert.value)
    if content.ca_pubs:
        yield f"caPubs: {len(content.ca_pubs)}"


def _issued(tag: str, element: TLV) -> Iterator[str]:
    if tag != "certificate":
        yield "an encrypted certificate"
        return
    signed = parse_tlv(element, CertificateWire).tbs
    yield _name(parse_tlv(signed.subject, x509.Name))
    yield f"serial {signed.serial_number:x}"


def _status(status: PKIStatusInfo) -> str:
    names = ", ".join(status.failures.wire_names)
    texts = "; ".join(status.texts)
    return ": ".join(part for part in (status.status.wire_name, names, texts) if part)


def _confirmation(status: CertStatus) -> Iterator[str]:
    said = "accepted" if status.status_info is None else _status(status.status_info)
    yield f"certReqId {number_text(status.cert_req_id)}: {said}"


def _revocation(details: RevDetails) -> Iterator[str]:
    serial = details.cert_details.serial_number
    yield "no serial number" if serial is None else f"serial {serial:x}"


def _revocations(content: RevRepContent) -> Iterator[str]:
    yield from map(_status, content.status)


def _information(item: InfoTypeAndValue) -> Iterator[str]:
    name = object_name(item.info_type) or item.info_type.dotted_string
    yield name if item.info_value is None else f"{name}: {len(item.info_value.data)} octets"


def _error(content: ErrorMsgContent) -> Iterator[str]:
    yield _status(content.pki_status_info)
    if content.error_details:
        yield "; ".join(content.error_details)


def _poll_req(entry: PollReq) -> Iterator[str]:
    yield f"certReqId {number_text(entry.cert_req_id)}"


def _poll_rep(entry: PollRep) -> Iterator[str]:
    yield f"certReqId {number_text(entry.cert_req_id)}: again in {number_text(entry.check_after)} s"


_WAYS: tuple[tuple[type, Callable[..., Iterator[str]]], ...] = (
    (CertReqMsg, _request),
    (CertificationRequest, _p10),
    (CertRepMessage, _responses),
    (CertStatus, _confirmation),
    (RevDetails, _revocation),
    (RevRepContent, _revocations),
    (InfoTypeAndValue, _information),
    (ErrorMsgContent, _error),
    (PollReq, _poll_req),
    (PollRep, _poll_rep),
)
