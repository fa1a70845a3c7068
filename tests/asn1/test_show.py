"""Values are shown short, and whole where that is short."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from cryptography import x509

from cmpkit import oids
from cmpkit.asn1 import (
    AlgorithmIdentifier,
    BitString,
    FrozenList,
    GeneralizedTime,
    IA5String,
    Null,
    PKIStatusInfo,
    PrintableString,
    SetOf,
    UTCTime,
    Variant,
    to_tlv,
)
from cmpkit.asn1.names import keep_general_name
from cmpkit.asn1.show import show
from cmpkit.enums import PKIFailureInfo, PKIStatus

MOMENT = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (b"", "<>"),
        (b"\x01\xff", "<01ff>"),
        (bytes(32), f"<{'00' * 32}>"),
        (bytes(33), "<33 octets 0000000000000000…>"),
        (to_tlv(b"\x05\x00"), "<0500>"),
        (to_tlv(bytes((4, 20)) + bytes(20)), "<22 octets 0414000000000000…>"),
        (5, "5"),
        (-1, "-1"),
        (2**127, str(2**127)),
        (2**128, "<integer of 129 bits>"),
        pytest.param(2**100_000, "<integer of 100001 bits>", id="huge"),
        (True, "True"),
        ("text", "'text'"),
        (None, "None"),
        (Null(), "Null()"),
        (PKIStatus.WAITING, "WAITING"),
        (BitString(b"\xa0", 5), "<3 bits>"),
        (GeneralizedTime(MOMENT), "2026-01-02T03:04:05+00:00"),
        (UTCTime(MOMENT), "2026-01-02T03:04:05+00:00"),
        (IA5String("a@b"), "'a@b'"),
        (PrintableString("DE"), "'DE'"),
        (oids.SHA256, "2.16.840.1.101.3.4.2.1"),
        (x509.Name.from_rfc4514_string("CN=x,O=y"), "'CN=x,O=y'"),
        (Variant(5, "number"), "number:5"),
        (keep_general_name(to_tlv(bytes.fromhex("a403300130"))), "directory_name:<unreadable>"),
        ([1, b"\x02"], "[1, <02>]"),
        (FrozenList([AlgorithmIdentifier(oids.SHA1)]), "[AlgorithmIdentifier(1.3.14.3.2.26)]"),
        (AlgorithmIdentifier(oids.SHA1), "AlgorithmIdentifier(1.3.14.3.2.26)"),
        (SetOf([1, 2]), "{1, 2}"),
        (
            PKIStatusInfo.of(PKIStatus.REJECTION, ["no"], PKIFailureInfo.BAD_POP),
            "PKIStatusInfo(status=REJECTION, status_string=['no'], fail_info=<10 bits>)",
        ),
    ],
)
def test_a_value_is_shown(value: Any, shown: str) -> None:
    assert show(value) == shown
