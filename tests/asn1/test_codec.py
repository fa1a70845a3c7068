"""Single values through the codec: what is read, what is refused, and with which error."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import pytest
import x509_strategies
from cryptography import x509
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from cmpkit import oids
from cmpkit.asn1 import (
    TLV,
    AlgorithmIdentifier,
    BitString,
    CertTemplate,
    Extension,
    InfoTypeAndValue,
    Null,
    OpenSequence,
    PBMParameter,
    RSASSAPSSParams,
    codec,
    decode,
    decode_list,
    encode,
    encode_list,
    parse_tlv,
    to_tlv,
)
from cmpkit.asn1.codec import der_wrap, encode_integer, quietly
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError

SHA256 = AlgorithmIdentifier(oids.SHA256)
SHA256_WITH_NULL = AlgorithmIdentifier(oids.SHA256, Null())


def name_of(attribute: x509.ObjectIdentifier, value: bytes) -> bytes:
    """DER of a distinguished name with one attribute, a UTF8String, as a careless peer may write it."""
    return der_wrap(0x30, der_wrap(0x31, der_wrap(0x30, encode(attribute) + der_wrap(0x0C, value))))


class TestOpenSequence:
    def test_it_is_an_oid_with_an_optional_value(self) -> None:
        assert encode(SHA256) == bytes.fromhex("300b 0609608648016503040201")
        assert encode(SHA256_WITH_NULL) == bytes.fromhex("300d 0609608648016503040201 0500")
        assert SHA256.value is None
        assert encode(SHA256_WITH_NULL.value) == b"\x05\x00"

    @given(x509_strategies.algorithm_identifiers)
    def test_what_is_encoded_decodes_to_an_equal_value(self, algorithm: AlgorithmIdentifier) -> None:
        again = decode(AlgorithmIdentifier, encode(algorithm))
        assert again == algorithm
        assert hash(again) == hash(algorithm)
        assert (again != algorithm) is False
        assert again.algorithm == algorithm.algorithm

    @pytest.mark.parametrize(
        "octets", ["3000", "300501010005 00", "30070603290101 05000500", "3004 0203010203", "0500"]
    )
    def test_anything_else_is_refused(self, octets: str) -> None:
        with pytest.raises(CMPError, match="not a DER encoded AlgorithmIdentifier") as caught:
            decode(AlgorithmIdentifier, bytes.fromhex(octets))
        assert caught.value.fail_info == PKIFailureInfo.BAD_DATA_FORMAT

    @pytest.mark.rule("R-006")
    def test_three_elements_are_refused_by_number(self) -> None:
        with pytest.raises(CMPError, match="has 3 elements, expected an OID and at most one more"):
            decode(AlgorithmIdentifier, der_wrap(0x30, encode(oids.SHA256) + b"\x05\x00\x05\x00"))

    def test_it_cannot_be_changed(self) -> None:
        with pytest.raises(AttributeError, match="AlgorithmIdentifier is immutable: cannot set oid"):
            SHA256.oid = oids.SHA1
        for change in (
            lambda: SHA256.append(to_tlv(Null())),
            lambda: SHA256.__setitem__(0, to_tlv(Null())),
            SHA256.clear,
            SHA256.reverse,
            SHA256.pop,
        ):
            with pytest.raises(TypeError, match="a AlgorithmIdentifier is immutable; make a new one"):
                change()
        assert encode(SHA256) == bytes.fromhex("300b 0609608648016503040201")

    def test_classes_and_contents_make_the_difference(self) -> None:
        for other in (SHA256_WITH_NULL, AlgorithmIdentifier(oids.SHA384), InfoTypeAndValue(oids.SHA256), [*SHA256]):
            assert other != SHA256
        assert len({SHA256, AlgorithmIdentifier(oids.SHA256), SHA256_WITH_NULL}) == 2

    def test_copies_are_the_value_itself(self) -> None:
        assert copy.copy(SHA256) is SHA256
        assert copy.deepcopy(SHA256) is SHA256

    def test_it_shows_oid_and_value(self) -> None:
        assert repr(SHA256) == "AlgorithmIdentifier(2.16.840.1.101.3.4.2.1)"
        assert repr(SHA256_WITH_NULL) == "AlgorithmIdentifier(2.16.840.1.101.3.4.2.1, <0500>)"

    def test_null_and_absent_parameters_can_be_told_apart_and_taken_alike(self) -> None:
        assert SHA256.has_null_or_no_parameters
        assert SHA256_WITH_NULL.has_null_or_no_parameters
        assert not AlgorithmIdentifier(oids.SHA256, b"\x04\x00").has_null_or_no_parameters
        assert SHA256.parameters is None

    def test_its_value_is_read_as_a_declared_class(self) -> None:
        parameter = PBMParameter(salt=b"salt", owf=SHA256, iteration_count=500, mac=SHA256)
        assert AlgorithmIdentifier(oids.PASSWORD_BASED_MAC, parameter).parse(PBMParameter) == parameter

    @pytest.mark.parametrize("algorithm", [SHA256, SHA256_WITH_NULL, AlgorithmIdentifier(oids.SHA256, b"\x30\x00")])
    def test_a_value_that_is_absent_or_unfit_cannot_be_read(self, algorithm: AlgorithmIdentifier) -> None:
        with pytest.raises(CMPError) as caught:
            algorithm.parse(PBMParameter)
        assert caught.value.fail_info == PKIFailureInfo.BAD_DATA_FORMAT

    def test_its_value_is_read_as_a_list(self) -> None:
        info = InfoTypeAndValue(oids.CERT_PROFILE, encode_list(["a", "b"]))
        assert info.info_type == oids.CERT_PROFILE
        assert info.parse_list(str) == ["a", "b"]
        with pytest.raises(CMPError):
            InfoTypeAndValue(oids.CERT_PROFILE).parse_list(str)
        with pytest.raises(CMPError):
            InfoTypeAndValue(oids.CERT_PROFILE, b"\x0c\x00").parse_list(str)

    def test_an_oid_that_we_do_not_name_is_read_as_well(self) -> None:
        unknown = x509.ObjectIdentifier("1.2.3.4.5")
        assert decode(AlgorithmIdentifier, encode(AlgorithmIdentifier(unknown))).oid == unknown

    def test_octets_of_strangers_do_not_fill_memory(self) -> None:
        known = dict(codec._OIDS)
        for number in range(2 * codec._CACHED_OIDS):
            decode(AlgorithmIdentifier, encode(AlgorithmIdentifier(x509.ObjectIdentifier(f"1.2.3.{number}"))))
        assert known == codec._OIDS
        assert len(codec._OID_TLVS) == codec._CACHED_OIDS


class TestDecode:
    @pytest.mark.parametrize(
        ("kind", "octets"),
        [
            (int, "02020001"),
            (int, "0200"),
            (bool, "010101"),
            (bytes, "24030401ff"),
            (BitString, "030201ff"),
            (BitString, "0300"),
            (BitString, "2306030200ff030100"),
            (Null, "0500ff"),
            (Null, "050100"),
            (str, "0c01ff"),
            (Extension, "300a0603551d0f0101010400"),
            (Extension, "300a0603551d0f0101000400"),
            (x509.ObjectIdentifier, "0600"),
            (x509.ObjectIdentifier, "060180"),
            (x509.Name, "300530033001"),
            (x509.Certificate, "3000"),
            (x509.CertificateRevocationList, "3000"),
            (x509.CertificateSigningRequest, "3000"),
        ],
    )
    def test_what_is_not_der_is_refused(self, kind: type[Any], octets: str) -> None:
        with pytest.raises(CMPError, match=f"not a DER encoded {kind.__name__}") as caught:
            decode(kind, bytes.fromhex(octets))
        assert caught.value.fail_info == PKIFailureInfo.BAD_DATA_FORMAT
        assert caught.value.rule

    @given(st.binary(max_size=64), st.sampled_from([CertTemplate, AlgorithmIdentifier, x509.Name, int, TLV, Null]))
    def test_any_octets_decode_to_themselves_or_raise_cmp_error(self, octets: bytes, kind: type[Any]) -> None:
        try:
            value = decode(kind, octets)
        except CMPError:
            return
        assert encode(value) == octets

    def test_lists_are_read_element_by_element(self) -> None:
        assert decode_list(int, bytes.fromhex("3006 020101 020102")) == [1, 2]
        assert decode_list(AlgorithmIdentifier, encode_list([SHA256])) == [SHA256]
        assert decode_list(int, b"\x30\x00") == []

    @pytest.mark.parametrize("octets", ["", "30", "3003020101 00", "30030c0101", "020101"])
    def test_what_is_no_list_of_the_kind_is_refused(self, octets: str) -> None:
        with pytest.raises(CMPError) as caught:
            decode_list(int, bytes.fromhex(octets))
        assert caught.value.fail_info == PKIFailureInfo.BAD_DATA_FORMAT


class TestUnreadElements:
    @pytest.mark.parametrize("value", [5, "text", True, SHA256, CertTemplate(version=2)])
    def test_a_value_can_be_kept_unread_and_read_later(self, value: Any) -> None:
        assert parse_tlv(to_tlv(value), type(value)) == value

    def test_octets_are_taken_as_der(self) -> None:
        for octets in (b"\x05\x00", bytearray(b"\x05\x00"), memoryview(b"\x05\x00")):
            assert encode(to_tlv(octets)) == b"\x05\x00"

    def test_an_element_stays_itself(self) -> None:
        element = to_tlv(Null())
        assert to_tlv(element) is element

    @pytest.mark.parametrize("octets", [b"", b"\x05", b"\x05\x00\x00", b"\x30\x80\x00\x00"])
    def test_octets_that_are_not_one_element_are_refused(self, octets: bytes) -> None:
        with pytest.raises(CMPError):
            to_tlv(octets)

    @pytest.mark.parametrize("kind", [bytes, CertTemplate, AlgorithmIdentifier, x509.Name, x509.Certificate])
    def test_an_element_of_another_kind_is_refused(self, kind: type[Any]) -> None:
        with pytest.raises(CMPError, match=f"not a DER encoded {kind.__name__}"):
            parse_tlv(to_tlv(Null()), kind)


class TestEncode:
    @pytest.mark.parametrize(
        "value",
        [
            object(),
            1.5,
            None,
            RSASSAPSSParams(salt_length="20"),  # type: ignore[arg-type]
            CertTemplate(version=b""),  # type: ignore[arg-type]
            CertTemplate(subject="CN=x"),  # type: ignore[arg-type]
        ],
    )
    def test_a_value_that_its_type_does_not_allow_is_our_failure(self, value: Any) -> None:
        with pytest.raises(CMPError, match=f"cannot encode {type(value).__name__}") as caught:
            encode(value)
        assert caught.value.fail_info == PKIFailureInfo.SYSTEM_FAILURE

    def test_lists_take_values_and_octets(self) -> None:
        assert encode_list([1, b"\x05\x00", SHA256]) == der_wrap(0x30, b"\x02\x01\x01\x05\x00" + encode(SHA256))
        assert encode_list([]) == b"\x30\x00"

    @pytest.mark.parametrize(
        ("size", "header"),
        [
            (0, "0400"),
            (127, "047f"),
            (128, "048180"),
            (255, "0481ff"),
            (256, "04820100"),
            (65535, "0482ffff"),
            (65536, "0483010000"),
            (1 << 24, "048401000000"),
        ],
    )
    def test_lengths_have_their_shortest_form(self, size: int, header: str) -> None:
        content = bytes(size)
        assert der_wrap(0x04, content) == bytes.fromhex(header) + content
        assert decode(bytes, der_wrap(0x04, content)) == content


class TestQuietness:
    """cryptography warns of odd names: with warnings as errors, a peer could make us fail."""

    @pytest.mark.parametrize(
        ("attribute", "value"),
        [
            (NameOID.COUNTRY_NAME, b"Germany"),
            (NameOID.COUNTRY_NAME, b""),
            (NameOID.COMMON_NAME, b"x" * 65),
            (NameOID.COMMON_NAME, b""),
            (NameOID.JURISDICTION_COUNTRY_NAME, b"x"),
        ],
    )
    def test_odd_names_are_read_without_a_warning(self, attribute: x509.ObjectIdentifier, value: bytes) -> None:
        der = name_of(attribute, value)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            name = decode(x509.Name, der)
            assert parse_tlv(to_tlv(der), x509.Name) == name
            template = decode(CertTemplate, der_wrap(0x30, der_wrap(0xA5, der)))
            assert template.subject is not None
            assert template.subject.name == name
        assert [attribute.value for attribute in name] == [value.decode()]

    def test_warnings_are_as_before_afterwards(self) -> None:
        before = list(warnings.filters)
        quietly(lambda: warnings.warn("odd", UserWarning, stacklevel=1))
        assert list(warnings.filters) == before
        with pytest.warns(UserWarning, match="still heard"):
            warnings.warn("still heard", UserWarning, stacklevel=1)


def test_an_open_sequence_of_a_stranger_works_alike() -> None:
    class Control(OpenSequence):
        """Somebody's own."""

        __slots__ = ()

    control = Control(oids.OLD_CERT_ID, 5)
    assert decode(Control, encode(control)) == control
    assert control.parse(int) == 5
    assert repr(control) == "Control(1.3.6.1.5.5.7.5.1.5, <020105>)"


@given(st.integers(min_value=0) | st.sampled_from([0, 127, 128, 255, 256, (1 << 159) - 1]))
def test_an_integer_is_written_as_hazmat_writes_it(value: int) -> None:
    assert encode_integer(value) == encode(value)


def test_a_negative_integer_is_refused() -> None:
    with pytest.raises(CMPError, match="-1") as caught:
        encode_integer(-1)
    assert caught.value.fail_info is PKIFailureInfo.SYSTEM_FAILURE


def test_octets_that_look_like_those_of_an_oid_are_none() -> None:
    other = der_wrap(0x30, der_wrap(0x04, encode(oids.ECDSA_SHA256)[2:]))
    with pytest.raises(CMPError):
        decode(AlgorithmIdentifier, other)
