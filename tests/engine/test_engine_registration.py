"""Controls and registration information: what is read, what is a wish, and what is refused."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from cryptography.x509 import ObjectIdentifier

from cmpkit import oids
from cmpkit.asn1 import (
    AttributeTypeAndValue,
    CertReqMsg,
    CertRequest,
    Null,
    PKIPublicationInfo,
    SinglePubInfo,
    directory_name,
    to_tlv,
)
from cmpkit.crypto.names import parse_name
from cmpkit.endpoints import controls
from cmpkit.engine.needs import CheckProof, Issue
from cmpkit.engine.template import read_request
from cmpkit.enums import BodyType, PKIFailureInfo
from cmpkit.errors import CMPError
from cmpkit.parts import Authenticated, CertificateRequest, Registration

from .scene import PUBLIC_KEY_INFO, Parts, answer, by_certificate, by_mac, cert_template, certificate, crmf, ir, message

RA = dataclasses.replace(by_certificate(), roles=frozenset({"ra"}))
BOB = parse_name("CN=bob")


def attribute(oid: ObjectIdentifier, value: Any) -> AttributeTypeAndValue:
    return AttributeTypeAndValue(type=oid, value=to_tlv(value))


def with_reg_info(*reg_info: AttributeTypeAndValue, cert_req_id: int = 0) -> CertReqMsg:
    return CertReqMsg.build(crmf(cert_req_id).request, reg_info=list(reg_info))


def replacement(cert_req_id: int = 0, **template: Any) -> AttributeTypeAndValue:
    key = crmf().request.cert_template.public_key
    wanted = cert_template(**{"subject": BOB, "public_key": key, **template})
    return controls.replacement(CertRequest(cert_req_id=cert_req_id, cert_template=wanted))


def read(asked: CertReqMsg, auth: Authenticated | None = None) -> CertificateRequest:
    return read_request(BodyType.CR, asked, auth or by_mac(), None)


def refused(asked: CertReqMsg, auth: Authenticated | None = None) -> CMPError:
    with pytest.raises(CMPError) as caught:
        read(asked, auth)
    return caught.value


def test_most_requests_say_nothing_besides() -> None:
    assert read(crmf()).registration is None
    assert read(crmf(controls=[controls.protocol_encryption_key(PUBLIC_KEY_INFO)])).registration is None


class TestPublication:
    @pytest.mark.parametrize("publish", [True, False])
    def test_wish_is_read(self, *, publish: bool) -> None:
        request = read(crmf(controls=[controls.publication(publish=publish)]))
        assert request.registration == Registration(publish=publish)

    def test_places_may_be_named(self) -> None:
        place = SinglePubInfo(pub_method=2, pub_location=directory_name(BOB))
        request = read(crmf(controls=[controls.publication(place, publish=True)]))
        assert request.registration == Registration(publish=True)

    @pytest.mark.parametrize(
        "info",
        [
            PKIPublicationInfo(action=2),
            PKIPublicationInfo(action=-1),
            PKIPublicationInfo(action=0, pub_infos=[SinglePubInfo(pub_method=0)]),
            Null(),
        ],
        ids=["unknown", "negative", "places for nothing", "another shape"],
    )
    def test_other_values_are_bad_data_format(self, info: object) -> None:
        error = refused(crmf(controls=[attribute(oids.PKI_PUBLICATION_INFO, info)]))
        assert error.fail_info is PKIFailureInfo.BAD_DATA_FORMAT


class TestArchiving:
    def options(self, value: bool | bytes) -> AttributeTypeAndValue:
        # The alternatives are implicitly tagged: 81 for OCTET STRING, 82 for BOOLEAN.
        der = b"\x82\x01" + (b"\xff" if value else b"\x00") if isinstance(value, bool) else b"\x81\x02" + value
        return AttributeTypeAndValue(type=oids.PKI_ARCHIVE_OPTIONS, value=to_tlv(der))

    @pytest.mark.parametrize("value", [True, b"pp"])
    def test_nothing_is_archived_here(self, value: bool | bytes) -> None:
        error = refused(crmf(controls=[self.options(value)]))
        assert error.fail_info is PKIFailureInfo.BAD_REQUEST
        assert "pkiArchiveOptions" in error.detail

    def test_who_wants_nothing_archived_gets_that(self) -> None:
        assert read(crmf(controls=[self.options(False)])).registration is None


class TestPairs:
    def test_they_are_read_with_what_is_escaped_in_them(self) -> None:
        pairs = (("corp_company", "100% Example"), ("jobTitle", "who?"), ("jobTitle", "again"))
        request = read(with_reg_info(controls.utf8_pairs(pairs)))
        assert request.registration == Registration(pairs=pairs)

    def test_they_can_be_given_in_parts(self) -> None:
        request = read(with_reg_info(controls.utf8_pairs([("a", "1")]), controls.utf8_pairs([("b", "2")])))
        assert request.registration == Registration(pairs=(("a", "1"), ("b", "2")))

    @pytest.mark.parametrize("value", ["no mark", "1x?y", Null()])
    def test_what_is_none_is_bad_data_format(self, value: object) -> None:
        assert refused(with_reg_info(attribute(oids.UTF8_PAIRS, value))).fail_info is PKIFailureInfo.BAD_DATA_FORMAT

    def test_other_reg_info_is_no_reason_to_refuse(self) -> None:
        assert read(with_reg_info(attribute(ObjectIdentifier("1.2.3"), Null()))).registration is None


class TestReplacement:
    """R-068: only a registration authority says what counts in place of the requester's template."""

    def test_that_of_a_registration_authority_counts(self) -> None:
        request = read(with_reg_info(replacement()), RA)
        assert (request.subject, request.public_key_info) == (BOB, PUBLIC_KEY_INFO)

    def test_the_proof_is_that_of_the_requester(self) -> None:
        parts, asked = Parts(), with_reg_info(replacement())
        answer(message(ir(asked, body_type=BodyType.CR)), RA, parts=parts)
        (proof,), (issue,) = parts.of(CheckProof), parts.of(Issue)
        assert proof.request.request.cert_template.subject.name == parse_name("CN=alice")
        assert issue.request.subject == BOB

    @pytest.mark.parametrize("auth", [by_mac(), by_certificate()], ids=["secret", "certificate"])
    def test_that_of_others_is_not_authorized(self, auth: Authenticated) -> None:
        error = refused(with_reg_info(replacement()), auth)
        assert error.fail_info is PKIFailureInfo.NOT_AUTHORIZED
        assert error.rule == "RFC 4211 section 7.2"

    def test_another_key_is_bad_cert_template(self) -> None:
        error = refused(with_reg_info(replacement(public_key=None)), RA)
        assert error.fail_info is PKIFailureInfo.BAD_CERT_TEMPLATE

    def test_another_number_is_bad_cert_template(self) -> None:
        assert refused(with_reg_info(replacement(5)), RA).fail_info is PKIFailureInfo.BAD_CERT_TEMPLATE

    def test_it_must_be_as_any_request(self) -> None:
        error = refused(with_reg_info(replacement(serial_number=5)), RA)
        assert "serial_number" in error.detail

    def test_there_is_one(self) -> None:
        error = refused(with_reg_info(replacement(), replacement()), RA)
        assert error.fail_info is PKIFailureInfo.BAD_REQUEST

    def test_another_shape_is_bad_data_format(self) -> None:
        error = refused(with_reg_info(attribute(oids.REG_INFO_CERT_REQ, Null())), RA)
        assert error.fail_info is PKIFailureInfo.BAD_DATA_FORMAT


def test_controls_of_the_client_are_what_the_server_reads() -> None:
    asked = [
        controls.old_certificate(certificate().der),
        controls.protocol_encryption_key(PUBLIC_KEY_INFO),
        controls.publication(publish=False),
    ]
    request = read_request(BodyType.KUR, crmf(controls=asked), by_certificate(), None)
    assert request.old_certificate == certificate()
    assert request.encryption_key == PUBLIC_KEY_INFO
    assert request.registration == Registration(publish=False)


@pytest.mark.parametrize("make", [controls.registration_token, controls.authenticator])
def test_secrets_in_controls_are_not_shown(make: Any) -> None:
    assert "hunter2" not in repr(make("hunter2"))
