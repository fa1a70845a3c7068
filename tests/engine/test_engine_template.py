"""What a request asks for, read from the wire."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime

import pytest
from cryptography.x509 import ObjectIdentifier

from cmpkit import oids
from cmpkit.asn1 import (
    AlgorithmIdentifier,
    AttributeTypeAndValue,
    BitString,
    CertId,
    Extension,
    GeneralizedTime,
    InfoTypeAndValue,
    Null,
    OptionalValidity,
    SubjectPublicKeyInfo,
    UTCTime,
    directory_name,
    encode,
    to_tlv,
)
from cmpkit.crypto.names import parse_name
from cmpkit.engine.rev_details import read_rev_details, revocation_faults
from cmpkit.engine.template import key_generation_faults, read_p10, read_request, request_faults, requested_profiles
from cmpkit.enums import BodyType, CRLReason, PKIFailureInfo
from cmpkit.errors import CMPError, raise_first

from .scene import (
    ISSUER,
    PUBLIC_KEY,
    PUBLIC_KEY_INFO,
    by_certificate,
    by_mac,
    cert_profile,
    certificate,
    crmf,
    ir,
    message,
    p10,
    revocation,
)

LARGE = 1 << 50_000


def control(oid: ObjectIdentifier, value: object = None) -> AttributeTypeAndValue:
    return AttributeTypeAndValue(type=oid, value=to_tlv(Null() if value is None else value))


def old_cert_id(issuer=ISSUER, serial_number: int = 0x1001) -> AttributeTypeAndValue:
    return control(oids.OLD_CERT_ID, CertId(issuer=directory_name(issuer), serial_number=serial_number))


def refused(*requests, body_type: BodyType = BodyType.IR, auth=None) -> CMPError:
    def read() -> None:
        raise_first(request_faults(list(requests)))
        read_request(body_type, requests[0], auth or by_mac(), None)

    with pytest.raises(CMPError) as caught:
        read()
    return caught.value


class TestRequests:
    def test_what_is_asked_for_is_read(self) -> None:
        extension = Extension(extn_id=oids.KEY_USAGE, extn_value=b"\x03\x02\x07\x80")
        validity = OptionalValidity(
            not_before=UTCTime(datetime(2027, 1, 2, tzinfo=UTC)),
            not_after=GeneralizedTime(datetime(2051, 3, 4, tzinfo=UTC)),
        )
        asked = crmf(7, version=2, extensions=[extension], validity=validity, issuer=ISSUER)
        request = read_request(BodyType.CR, asked, by_mac(), "device")
        assert (request.body_type, request.cert_req_id, request.profile) == (BodyType.CR, 7, "device")
        assert request.public_key_info == PUBLIC_KEY_INFO
        assert request.subject == parse_name("CN=alice")
        assert request.extensions == (extension,)
        assert request.not_before == datetime(2027, 1, 2, tzinfo=UTC)
        assert request.not_after == datetime(2051, 3, 4, tzinfo=UTC)
        assert request.old_certificate is None

    def test_what_is_not_asked_for_is_absent(self) -> None:
        request = read_request(BodyType.IR, crmf(subject=None), by_mac(), None)
        assert (request.subject, request.extensions, request.profile) == (None, (), None)
        assert (request.not_before, request.not_after) == (None, None)

    def test_one_end_of_the_validity_may_be_left_open(self) -> None:
        validity = OptionalValidity(not_after=UTCTime(datetime(2027, 1, 2, tzinfo=UTC)))
        request = read_request(BodyType.IR, crmf(validity=validity), by_mac(), None)
        assert request.not_before is None
        assert request.not_after == datetime(2027, 1, 2, tzinfo=UTC)

    @pytest.mark.parametrize("count", [0, 2, 3])
    @pytest.mark.rule("R-060")
    def test_only_one_request_is_allowed(self, count: int) -> None:
        error = refused(*[crmf(number) for number in range(count)])
        assert error.fail_info is PKIFailureInfo.BAD_REQUEST
        assert error.rule == "RFC 9483 section 4.1.1"
        assert "transaction of its own" in error.hint

    @pytest.mark.parametrize("number", [-1, 1 << 63, LARGE, -LARGE], ids=["negative", "2^63", "large", "very negative"])
    @pytest.mark.rule("R-060")
    def test_cert_req_id_that_cannot_be_kept_is_refused(self, number: int) -> None:
        error = refused(crmf(number))
        assert error.fail_info is PKIFailureInfo.BAD_REQUEST
        assert error.rule == "RFC 9483 section 4.1.1"
        assert len(error.detail) < 80
        assert error.hint == "the client should use 0"

    @pytest.mark.parametrize("number", [0, 1, (1 << 63) - 1])
    @pytest.mark.rule("R-060")
    def test_any_other_cert_req_id_is_kept(self, number: int) -> None:
        assert read_request(BodyType.IR, crmf(number), by_mac(), None).cert_req_id == number

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("serial_number", 5),
            ("signing_alg", AlgorithmIdentifier(oids.ECDSA_SHA256)),
            ("issuer_uid", BitString(b"\x01", 0)),
            ("subject_uid", BitString(b"\x01", 0)),
        ],
    )
    @pytest.mark.rule("R-061")
    def test_fields_of_the_issuer_are_refused(self, name: str, value: object) -> None:
        error = refused(crmf(**{name: value}))
        assert error.fail_info is PKIFailureInfo.BAD_CERT_TEMPLATE
        assert error.rule == "RFC 4211 section 5"
        assert name in error.detail

    @pytest.mark.parametrize("version", [0, 1, 3, LARGE], ids=["v1", "v2", "v4", "large"])
    @pytest.mark.rule("R-061")
    def test_other_certificate_version_is_refused(self, version: int) -> None:
        error = refused(crmf(version=version))
        assert error.fail_info is PKIFailureInfo.BAD_CERT_TEMPLATE
        assert error.rule == "RFC 4211 section 5"
        assert len(error.detail) < 80

    @pytest.mark.parametrize(
        "key",
        [None, SubjectPublicKeyInfo(algorithm=PUBLIC_KEY.algorithm, subject_public_key=BitString(b"", 0))],
        ids=["absent", "empty"],
    )
    @pytest.mark.rule("R-170")
    def test_r_170_the_key_may_be_left_to_the_server(self, key: SubjectPublicKeyInfo | None) -> None:
        request = read_request(BodyType.IR, crmf(public_key=key), by_mac(), None)
        assert request.public_key_info == b""
        assert request.key_algorithm == (None if key is None else key.algorithm)
        assert request.under("device") == dataclasses.replace(request, profile="device")

    @pytest.mark.rule("R-170")
    def test_r_170_a_key_of_the_server_needs_pvno_3(self) -> None:
        (fault,) = key_generation_faults(2)
        assert fault.fail_info is PKIFailureInfo.BAD_CERT_TEMPLATE
        assert fault.tolerance == "openssl-central-keygen"
        assert not list(key_generation_faults(3))

    def test_the_key_to_encrypt_to_is_read(self) -> None:
        control = AttributeTypeAndValue(type=oids.PROTOCOL_ENCR_KEY, value=to_tlv(PUBLIC_KEY))
        request = read_request(BodyType.IR, crmf(0, [control], public_key=None), by_mac(), None)
        assert request.encryption_key == PUBLIC_KEY_INFO
        unreadable = AttributeTypeAndValue(type=oids.PROTOCOL_ENCR_KEY, value=to_tlv(Null()))
        assert refused(crmf(0, [unreadable])).fail_info is PKIFailureInfo.BAD_DATA_FORMAT

    @pytest.mark.parametrize(
        ("oid", "name"),
        [
            (oids.ALT_CERT_TEMPLATE, "altCertTemplate"),
        ],
    )
    @pytest.mark.rule("R-073")
    def test_control_that_would_be_left_undone_is_refused(self, oid: ObjectIdentifier, name: str) -> None:
        error = refused(crmf(controls=[control(ObjectIdentifier("1.2.3"), "x"), control(oid, "token")]))
        assert error.fail_info is PKIFailureInfo.BAD_REQUEST
        assert error.rule == "RFC 4211 section 6"
        assert error.hint == f"leave {name} out"

    @pytest.mark.rule("R-008")
    def test_other_controls_are_no_reason_to_refuse(self) -> None:
        asked = crmf(controls=[control(oids.OLD_CERT_ID), control(ObjectIdentifier("1.2.3"))])
        assert read_request(BodyType.IR, asked, by_mac(), None).public_key_info == PUBLIC_KEY_INFO


class TestUpdates:
    @pytest.mark.rule("R-121")
    def test_the_signer_is_what_is_updated(self) -> None:
        request = read_request(BodyType.KUR, crmf(), by_certificate(), None)
        assert request.old_certificate == certificate()

    @pytest.mark.rule("R-122")
    def test_old_cert_id_may_name_the_signer(self) -> None:
        asked = crmf(controls=[old_cert_id(parse_name("CN=issuing ca"))])
        assert read_request(BodyType.KUR, asked, by_certificate(), None).old_certificate == certificate()

    @pytest.mark.parametrize(
        "named", [old_cert_id(serial_number=0x1002), old_cert_id(parse_name("CN=Other CA"))], ids=["serial", "issuer"]
    )
    @pytest.mark.rule("R-122")
    def test_old_cert_id_of_another_certificate_is_bad_cert_id(self, named: AttributeTypeAndValue) -> None:
        error = refused(crmf(controls=[named]), body_type=BodyType.KUR, auth=by_certificate())
        assert error.fail_info is PKIFailureInfo.BAD_CERT_ID
        assert error.rule == "RFC 9483 section 4.1.3"
        assert "to be updated" in error.hint

    def test_old_cert_id_by_another_kind_of_name_is_bad_cert_id(self) -> None:
        uri = to_tlv(b"\x30\x0b\x86\x05urn:x\x02\x02\x10\x01")
        named = AttributeTypeAndValue(type=oids.OLD_CERT_ID, value=uri)
        error = refused(crmf(controls=[named]), body_type=BodyType.KUR, auth=by_certificate())
        assert error.fail_info is PKIFailureInfo.BAD_CERT_ID

    def test_old_cert_id_of_another_shape_is_bad_data_format(self) -> None:
        error = refused(crmf(controls=[control(oids.OLD_CERT_ID)]), body_type=BodyType.KUR, auth=by_certificate())
        assert error.fail_info is PKIFailureInfo.BAD_DATA_FORMAT

    def test_what_a_stranger_updates_is_left_to_the_policy(self) -> None:
        request = read_request(BodyType.KUR, crmf(controls=[old_cert_id()]), by_mac(), None)
        assert request.old_certificate is None

    def test_old_cert_id_means_nothing_outside_a_kur(self) -> None:
        asked = crmf(controls=[old_cert_id(serial_number=9)])
        assert read_request(BodyType.CR, asked, by_certificate(), None).old_certificate is None


class TestP10:
    def test_what_is_asked_for_is_read(self) -> None:
        request = read_p10(p10().content, "device")
        assert (request.body_type, request.cert_req_id, request.profile) == (BodyType.P10CR, -1, "device")
        assert request.public_key_info == PUBLIC_KEY_INFO
        assert request.subject == parse_name("CN=alice")

    @pytest.mark.parametrize("version", [1, 2])
    @pytest.mark.rule("R-130")
    def test_other_version_is_refused(self, version: int) -> None:
        with pytest.raises(CMPError, match=f"has version {version}") as caught:
            read_p10(p10(version).content, None)
        assert caught.value.fail_info is PKIFailureInfo.BAD_CERT_TEMPLATE
        assert caught.value.rule == "RFC 2986 section 4.1"


class TestRevocations:
    @pytest.mark.parametrize("reason", list(CRLReason))
    @pytest.mark.rule("R-141")
    def test_reason_is_read(self, reason: CRLReason) -> None:
        request = read_rev_details(revocation(reason=bytes([10, 1, reason])))
        assert (request.issuer, request.serial_number, request.reason) == (ISSUER, 0x1001, reason)

    @pytest.mark.rule("R-141")
    def test_no_reason_is_unspecified(self) -> None:
        assert read_rev_details(revocation()).reason is CRLReason.UNSPECIFIED

    @pytest.mark.parametrize("count", [0, 2])
    @pytest.mark.rule("R-141")
    def test_only_one_certificate_is_allowed(self, count: int) -> None:
        with pytest.raises(CMPError, match="one is allowed") as caught:
            raise_first(revocation_faults([revocation()] * count))
        assert caught.value.fail_info is PKIFailureInfo.BAD_REQUEST
        assert caught.value.rule == "RFC 9483 section 4.2"

    @pytest.mark.parametrize("missing", ["issuer", "serial_number"])
    @pytest.mark.rule("R-141")
    def test_issuer_and_serial_number_are_needed(self, missing: str) -> None:
        with pytest.raises(CMPError, match="are needed") as caught:
            read_rev_details(revocation(**{missing: None}))
        assert caught.value.fail_info is PKIFailureInfo.BAD_REQUEST
        assert caught.value.rule == "RFC 9483 section 4.2"

    def test_serial_number_of_any_length_is_bad_cert_id(self) -> None:
        assert read_rev_details(revocation(serial_number=(1 << 160) - 1))
        with pytest.raises(CMPError, match="serial number of") as caught:
            read_rev_details(revocation(serial_number=LARGE))
        assert caught.value.fail_info is PKIFailureInfo.BAD_CERT_ID
        assert len(str(caught.value)) < 200

    @pytest.mark.parametrize(
        "reason",
        [b"\x0a\x01\x07", b"\x0a\x01\x0b", b"\x0a\x01\xff", b"\x02\x01\x01", b"\x05\x00", b""],
        ids=["unused", "too high", "negative", "INTEGER", "NULL", "empty"],
    )
    def test_value_that_is_no_reason_is_bad_data_format(self, reason: bytes) -> None:
        with pytest.raises(CMPError) as caught:
            read_rev_details(revocation(reason=reason))
        assert caught.value.fail_info is PKIFailureInfo.BAD_DATA_FORMAT
        assert caught.value.rule == "RFC 5280 section 5.3.1"

    def test_reason_that_cannot_be_read_is_bad_data_format(self) -> None:
        with pytest.raises(CMPError) as caught:
            read_rev_details(revocation(reason=b"\x0a\x05\x01"))
        assert caught.value.fail_info is PKIFailureInfo.BAD_DATA_FORMAT

    def test_reason_of_any_length_is_refused(self) -> None:
        with pytest.raises(CMPError, match="is none") as caught:
            read_rev_details(revocation(reason=b"\x0a" + encode(LARGE)[1:]))
        assert len(str(caught.value)) < 200

    @pytest.mark.rule("R-141")
    def test_two_reasons_are_bad_data_format(self) -> None:
        details = revocation(reason=b"\x0a\x01\x01")
        twice = type(details)(
            cert_details=details.cert_details, crl_entry_details=list(details.crl_entry_details or ()) * 2
        )
        with pytest.raises(CMPError, match="more than one reasonCode") as caught:
            read_rev_details(twice)
        assert caught.value.fail_info is PKIFailureInfo.BAD_DATA_FORMAT
        assert caught.value.rule == "RFC 9483 section 4.2"

    @pytest.mark.rule("R-008")
    def test_other_entry_extensions_are_no_reason_to_refuse(self) -> None:
        other = Extension(extn_id=ObjectIdentifier("2.5.29.23"), extn_value=b"\x05\x00")
        details = revocation(reason=b"\x0a\x01\x04")
        more = type(details)(
            cert_details=details.cert_details, crl_entry_details=[other, *(details.crl_entry_details or ())]
        )
        assert read_rev_details(more).reason is CRLReason.SUPERSEDED


class TestProfiles:
    @pytest.mark.parametrize(
        ("named", "labelled", "profile"),
        [
            (None, None, None),
            (None, "device", "device"),
            ("device", None, "device"),
            ("device", "device", "device"),
            ("", None, None),
            ("", "device", "device"),
        ],
    )
    def test_header_or_address_names_it(self, named: str | None, labelled: str | None, profile: str | None) -> None:
        info = None if named is None else [cert_profile(named)]
        assert requested_profiles(message(ir(), general_info=info), labelled) == (profile,)

    @pytest.mark.rule("R-027")
    def test_header_must_not_contradict_the_address(self) -> None:
        with pytest.raises(CMPError, match="'server', the address says 'device'") as caught:
            requested_profiles(message(ir(), general_info=[cert_profile("server")]), "device")
        assert caught.value.fail_info is PKIFailureInfo.BAD_REQUEST
        assert caught.value.rule == "RFC 9483 section 3.1"

    @pytest.mark.parametrize("names", [(), ("a", "b"), ("", "")])
    @pytest.mark.rule("R-027")
    def test_only_one_name_is_allowed(self, names: tuple[str, ...]) -> None:
        with pytest.raises(CMPError, match="one is allowed") as caught:
            requested_profiles(message(ir(), general_info=[cert_profile(*names)]), None)
        assert caught.value.fail_info is PKIFailureInfo.BAD_REQUEST
        assert caught.value.rule == "RFC 9483 section 3.1"

    @pytest.mark.parametrize("info", [InfoTypeAndValue(oids.CERT_PROFILE), InfoTypeAndValue(oids.CERT_PROFILE, Null())])
    def test_value_of_another_type_is_bad_data_format(self, info: InfoTypeAndValue) -> None:
        with pytest.raises(CMPError) as caught:
            requested_profiles(message(ir(), general_info=[info]), None)
        assert caught.value.fail_info is PKIFailureInfo.BAD_DATA_FORMAT
