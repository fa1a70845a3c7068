"""Changing what is asked for: templates as a policy decided, and the word of the registration authority for the keys.

RFC 9483 section 5.2.3.2, RFC 9810 sections 5.1.1.3 and 5.2.8.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from cmpkit import oids
from cmpkit.asn1 import (
    CertificationRequest,
    CertRepMessage,
    CertReqMsg,
    CertResponse,
    CertTemplate,
    InfoTypeAndValue,
    Null,
    OptionalValidity,
    PKIBody,
    PKIMessage,
    POPOSigningKey,
    ProofOfPossession,
    RDNSequence,
    SubjectPublicKeyInfo,
    Time,
    Variant,
    decode,
    encode_list,
)
from cmpkit.crypto.pop import leaves_key_to_server, verify_popo
from cmpkit.crypto.x509 import wished_validity
from cmpkit.engine.registration import replaced_request
from cmpkit.engine.states import CRMF_REQUESTS, P10_CERT_REQ_ID
from cmpkit.engine.template import read_p10, requested_profiles
from cmpkit.enums import BodyType, PKIFailureInfo, PKIStatus, ProofMethod
from cmpkit.errors import CMPError
from cmpkit.parts import Authenticated, CertificateRequest
from cmpkit.plugins import Plugins
from cmpkit.tolerances import Leniency

__all__ = ["change_body", "change_profiles", "with_modifications"]

_RULE = "RFC 9483 section 5.2.3"
_ABOUT_THE_KEY = (ProofMethod.ENCRYPTED_CERTIFICATE, ProofMethod.CHALLENGE_RESPONSE, ProofMethod.ENCRYPTED_KEY)
"""Proofs that no other template breaks: the CA sees to them."""

_VOUCHED: ProofOfPossession = Variant(Null(), "ra_verified")


async def change_body(
    message: PKIMessage,
    auth: Authenticated,
    changed: Sequence[CertificateRequest],
    *,
    plugins: Plugins,
    leniency: Leniency,
) -> PKIBody:
    """The body of a request for certificates as it is to go upstream under another sender; the same one if it may.

    Where a template is changed, and where a proof repeats the sender or needs the requester's secret, the proof is
    verified here, and raVerified takes its place.

    :param changed: what requests are to become, by their certReqId.
    :raises CMPError: badPOP if a proof fails that is verified, badCertTemplate if a change cannot be made.
    """
    wanted = {request.cert_req_id: request for request in changed}
    body = message.body
    if body.type is BodyType.P10CR:
        _check_p10(body.content, wanted.get(P10_CERT_REQ_ID))
        return body
    if body.type not in CRMF_REQUESTS:
        return body
    requests = [
        await _change_request(
            message, one, auth, wanted.get(one.request.cert_req_id), plugins=plugins, leniency=leniency
        )
        for one in body.content
    ]
    unchanged = all(new is old for new, old in zip(requests, body.content, strict=True))
    return body if unchanged else PKIBody(body.type, requests)


def change_profiles(message: PKIMessage, changed: Sequence[CertificateRequest]) -> tuple[InfoTypeAndValue, ...]:
    """The generalInfo of a request, with the profiles that its requests are to have (RFC 9810 section 5.1.1.4)."""
    items = tuple(message.header.general_info or ())
    wanted = {request.cert_req_id: request.profile for request in changed if request.profile}
    if not wanted:
        return items
    body = message.body
    ids = [P10_CERT_REQ_ID] if body.type is BodyType.P10CR else [one.request.cert_req_id for one in body.content]
    names = requested_profiles(message, None, len(ids))
    profiles = [wanted.get(cert_req_id, name) or "" for cert_req_id, name in zip(ids, names, strict=True)]
    others = tuple(item for item in items if item.info_type != oids.CERT_PROFILE)
    return (*others, InfoTypeAndValue(oids.CERT_PROFILE, encode_list(profiles)))


def with_modifications(answer: PKIMessage) -> PKIMessage:
    """An answer to a request that was changed: certificates that were granted were so with modifications.

    The CA granted what the authority asked for, and the requester had asked for something else (RFC 4211 section 5).
    It is the same message if it grants nothing.
    """
    body = answer.body
    if not isinstance(body.content, CertRepMessage):
        return answer
    responses = [_modified(response) for response in body.content.response]
    if all(new is old for new, old in zip(responses, body.content.response, strict=True)):
        return answer
    body = PKIBody(body.type, replace(body.content, response=responses))
    return PKIMessage(answer.header, body, extra_certs=answer.extra_certs)


def _modified(response: CertResponse) -> CertResponse:
    if response.status.status is not PKIStatus.ACCEPTED:
        return response
    return replace(response, status=replace(response.status, status=PKIStatus.GRANTED_WITH_MODS))


async def _change_request(
    message: PKIMessage,
    one: CertReqMsg,
    auth: Authenticated,
    wanted: CertificateRequest | None,
    *,
    plugins: Plugins,
    leniency: Leniency,
) -> CertReqMsg:
    """One request as it is to go upstream."""
    request = replaced_request(one, auth)
    template = request.cert_template if wanted is None else _change_template(request.cert_template, wanted)
    is_changed = template is not request.cert_template
    if not is_changed and not _names_requester(one.popo):
        return one
    await verify_popo(
        one,
        sender=message.header.sender,
        plugins=plugins,
        ra_verified="ra" in auth.roles,
        secret=auth.credential.secret,
        others=_ABOUT_THE_KEY,
        leniency=leniency,
    )
    if not is_changed:
        return replace(one, popo=_VOUCHED)
    popo = one.popo
    if isinstance(popo and popo.value, POPOSigningKey) or (popo is None and not leaves_key_to_server(template)):
        popo = _VOUCHED
    reg_info = [item for item in one.reg_info or () if item.type != oids.REG_INFO_CERT_REQ]
    return CertReqMsg.build(replace(request, cert_template=template), popo, reg_info=reg_info or None)


def _names_requester(popo: ProofOfPossession | None) -> bool:
    """Whether a proof repeats the sender, or holds a MAC by the requester's secret (RFC 4211 section 4.1)."""
    return popo is not None and isinstance(popo.value, POPOSigningKey) and popo.value.poposk_input is not None


def _change_template(template: CertTemplate, wanted: CertificateRequest) -> CertTemplate:
    """The template with what is wanted; the same one if that is what it says."""
    changes: dict[str, Any] = {}
    if wanted.subject != (template.subject.name if template.subject is not None else None):
        changes["subject"] = None if wanted.subject is None else RDNSequence.of(wanted.subject)
    if wanted.extensions != tuple(template.extensions or ()):
        changes["extensions"] = list(wanted.extensions) or None
    times = (wanted.not_before, wanted.not_after)
    validity = template.validity or OptionalValidity()
    if times != (_moment(validity.not_before), _moment(validity.not_after)):
        changes["validity"] = wished_validity(*times)
    if leaves_key_to_server(template):
        if wanted.public_key_info:
            changes["public_key"] = decode(SubjectPublicKeyInfo, wanted.public_key_info)
    elif template.public_key is None or wanted.public_key_info != template.public_key.der:
        raise _unchangeable("the public key of a request would have to be changed")
    return replace(template, **changes) if changes else template


def _moment(time: Time | None) -> datetime | None:
    return None if time is None else time.as_datetime()


def _check_p10(content: CertificationRequest, wanted: CertificateRequest | None) -> None:
    """A PKCS#10 request is signed as a whole by its requester: only its profile, which is outside, can be changed."""
    if wanted is None:
        return
    asked = read_p10(content, wanted.profile)
    for name in ("subject", "extensions", "not_before", "not_after", "public_key_info"):
        if getattr(asked, name) != getattr(wanted, name):
            raise _unchangeable(f"the {name} of a PKCS#10 request would have to be changed")


def _unchangeable(detail: str) -> CMPError:
    return CMPError(
        detail,
        PKIFailureInfo.BAD_CERT_TEMPLATE,
        rule=_RULE,
        hint="have the policy refuse such requests, or have the requester ask for what it may have",
    )
