"""The context of a key derivation is what RFC 9810 prints."""

from __future__ import annotations

from cmpkit.asn1 import KemOtherInfo, decode


def test_the_context_of_a_transaction_begins_with_cmp_kem() -> None:
    octets = KemOtherInfo.context(b"id")
    assert octets == bytes.fromhex("300f 3009 0c07 434d502d4b454d 0402 6964")
    assert decode(KemOtherInfo, octets).kem_context is None


def test_the_context_of_the_parameters_is_in_it() -> None:
    info = decode(KemOtherInfo, KemOtherInfo.context(b"id", b"more"))
    assert (info.static_string, info.transaction_id, info.kem_context) == (["CMP-KEM"], b"id", b"more")
