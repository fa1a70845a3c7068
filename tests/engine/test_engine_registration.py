"""Controls and registration information: what is read, what is a wish, and what is refused."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from cryptography.x509 import ObjectIdentifier

from cmpkit import oids
from cmpkit.asn1 import (
    AttributeTypeAndValue,
    BitString,
    CertReqMsg,
    CertRequest,
    EncryptedKey,
    EncryptedValue,
    Null,
    PKIArchiveOptions,
    PKIPublicationInfo,
    SinglePubInfo,
    Variant,
    directory_name,
    make_element,
    to_tlv,
)
from cmpkit.crypto.names import parse_name
from cmpkit.endpoints import controls
from cmpkit.engine.needs import CheckProof, Issue
from cmpkit.engine.responder import ResponderSettings
from cmpkit.engine.template import read_request
from cmpkit.enums import BodyType, PKIFailureInfo, PKIStatus
from cmpkit.errors import CMPError
from cmpkit.parts import Authenticated, CertificateRequest, Registration

from .scene import (
    PUBLIC_KEY_INFO,
    Parts,
    answer,
    by_certificate,
    by_mac,
    cert_template,
    certificate,
    crmf,
    ir,
    message,
    p10,
)

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
    @pytest.mark.rule("R-073")
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

    @pytest.mark.rule("R-074")
    def test_key_generation_parameters_have_no_form_that_could_be_read(self) -> None:
        error = refused(crmf(controls=[self.options(b"pp")]))
        assert error.fail_info is PKIFailureInfo.BAD_REQUEST
        assert "keyGenParameters" in error.detail

    @pytest.mark.parametrize("wanted", [True, False])
    def test_whether_a_generated_key_is_to_be_archived_is_read(self, wanted: bool) -> None:
        request = read(crmf(controls=[self.options(wanted)]))
        assert request.archive is wanted
        assert request.registration is None

    def test_a_request_may_say_nothing_of_archiving(self) -> None:
        assert read(crmf()).archive is None

    @pytest.mark.rule("R-074")
    def test_a_key_in_the_form_that_is_out_of_use_is_refused(self) -> None:
        value = EncryptedValue(enc_value=BitString(b"x", 0))
        options = Variant(make_element(Variant(value, "encrypted_value"), EncryptedKey), "encrypted_priv_key")
        control = AttributeTypeAndValue(type=oids.PKI_ARCHIVE_OPTIONS, value=make_element(options, PKIArchiveOptions))
        error = refused(crmf(controls=[control]))
        assert error.fail_info is PKIFailureInfo.BAD_REQUEST
        assert "EnvelopedData" in error.detail

    def test_options_that_cannot_be_read_are_bad_data_format(self) -> None:
        error = refused(crmf(controls=[attribute(oids.PKI_ARCHIVE_OPTIONS, "everything")]))
        assert error.fail_info is PKIFailureInfo.BAD_DATA_FORMAT


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

    @pytest.mark.rule("R-068")
    def test_that_of_a_registration_authority_counts(self) -> None:
        request = read(with_reg_info(replacement()), RA)
        assert (request.subject, request.public_key_info) == (BOB, PUBLIC_KEY_INFO)

    def test_the_proof_is_that_of_the_requester(self) -> None:
        parts, asked = Parts(), with_reg_info(replacement())
        answer(message(ir(asked, body_type=BodyType.CR)), RA, parts=parts)
        (proof,), (issue,) = parts.of(CheckProof), parts.of(Issue)
        assert proof.request.request.cert_template.subject.name == parse_name("CN=alice")
        assert issue.request.subject == BOB

    def test_the_requester_is_told_that_it_gets_something_else(self) -> None:
        reply = answer(message(ir(with_reg_info(replacement()), body_type=BodyType.CR)), RA)
        assert reply.body is not None
        assert reply.body.content.response[0].status.status is PKIStatus.GRANTED_WITH_MODS

    @pytest.mark.rule("R-068")
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


def granted(uses: int | None = None, **wanted: str) -> Authenticated:
    """Somebody whose requests must have these secrets."""
    auth = by_mac(uses=uses)
    assert auth.grant is not None
    return dataclasses.replace(auth, grant=dataclasses.replace(auth.grant, **wanted))


class TestSecrets:
    """R-073: regToken and authenticator are those that the grant names."""

    def ask(self, auth: Authenticated, *given: AttributeTypeAndValue, parts: Parts | None = None):
        return answer(message(ir(crmf(controls=given))), auth, parts=parts)

    @pytest.mark.rule("R-073")
    @pytest.mark.parametrize(
        ("wanted", "given"),
        [
            ({}, []),
            ({"reg_token": "once"}, [controls.registration_token("once")]),
            ({"authenticator": "Müller"}, [controls.authenticator("Müller")]),
            (
                {"reg_token": "once", "authenticator": "Müller"},
                [controls.authenticator("Müller"), controls.registration_token("once")],
            ),
        ],
    )
    def test_what_is_wanted_is_granted(self, wanted: dict[str, str], given: list[AttributeTypeAndValue]) -> None:
        assert self.ask(granted(**wanted), *given).refused is None

    @pytest.mark.rule("R-073")
    @pytest.mark.parametrize("name", ["reg_token", "authenticator"])
    @pytest.mark.parametrize("value", [None, "", "Once", "once "])
    def test_what_is_missing_or_wrong_is_not_authorized(self, name: str, value: str | None) -> None:
        make = {"reg_token": controls.registration_token, "authenticator": controls.authenticator}[name]
        parts = Parts()
        reply = self.ask(granted(**{name: "once"}), *([] if value is None else [make(value)]), parts=parts)
        assert reply.refused is not None
        assert reply.refused.fail_info is PKIFailureInfo.NOT_AUTHORIZED
        assert "once" not in f"{reply.refused} {reply.refused.hint}"
        assert parts.of(CheckProof) == []
        assert parts.of(Issue) == []

    @pytest.mark.rule("R-073")
    def test_a_token_that_was_used_is_not_authorized(self) -> None:
        for given in ("", "once"):
            reply = self.ask(granted(reg_token=""), controls.registration_token(given))
            assert reply.refused is not None
            assert "used before" in reply.refused.detail

    @pytest.mark.rule("R-073")
    @pytest.mark.parametrize("auth", [by_mac(), by_certificate()], ids=["secret", "certificate"])
    @pytest.mark.parametrize("make", [controls.registration_token, controls.authenticator])
    def test_what_nobody_asked_for_is_refused_by_its_name(self, make: Any, auth: Authenticated) -> None:
        error = self.ask(auth, make("once")).refused
        assert error is not None
        assert error.fail_info is PKIFailureInfo.BAD_REQUEST
        assert error.hint in ("leave regToken out", "leave authenticator out")

    def test_a_token_is_used_up_with_the_first_certificate(self) -> None:
        token = controls.registration_token("once")
        assert self.ask(granted(reg_token="once"), token).spent == (b"alice",)
        assert self.ask(granted(authenticator="x"), controls.authenticator("x")).spent == ()
        request = message(ir(crmf(0, [token]), crmf(1, [token])))
        reply = answer(request, granted(reg_token="once"), settings=ResponderSettings(max_requests=2))
        assert (len(reply.certificates), reply.spent) == (1, (b"alice",))

    def test_a_p10cr_cannot_have_them(self) -> None:
        reply = answer(message(p10()), granted(authenticator="x"))
        assert reply.refused is not None
        assert reply.refused.fail_info is PKIFailureInfo.NOT_AUTHORIZED

    def test_they_are_not_shown(self) -> None:
        token = read(crmf(controls=[controls.registration_token("hunter2"), controls.authenticator("hunter3")]))
        assert "hunter" not in repr(token)
        assert "hunter" not in repr(granted(reg_token="hunter2", authenticator="hunter3"))

    @pytest.mark.parametrize("kind", [oids.REG_TOKEN, oids.AUTHENTICATOR])
    def test_what_is_no_text_is_bad_data_format(self, kind: ObjectIdentifier) -> None:
        assert refused(crmf(controls=[attribute(kind, Null())])).fail_info is PKIFailureInfo.BAD_DATA_FORMAT


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
