"""The numbers of the protocol are those of the RFCs, and so are their names."""

from __future__ import annotations

import pytest

from cmpkit.enums import PVNO, BodyType, CRLReason, PKIFailureInfo, PKIStatus

# RFC 9810 section 5.1.2, in the order of the tags.
BODIES = [
    "ir",
    "ip",
    "cr",
    "cp",
    "p10cr",
    "popdecc",
    "popdecr",
    "kur",
    "kup",
    "krr",
    "krp",
    "rr",
    "rp",
    "ccr",
    "ccp",
    "ckuann",
    "cann",
    "rann",
    "crlann",
    "pkiconf",
    "nested",
    "genm",
    "genp",
    "error",
    "certConf",
    "pollReq",
    "pollRep",
]
# RFC 9810 section 5.2.3, in the order of the bits.
FAILURES = [
    "badAlg",
    "badMessageCheck",
    "badRequest",
    "badTime",
    "badCertId",
    "badDataFormat",
    "wrongAuthority",
    "incorrectData",
    "missingTimeStamp",
    "badPOP",
    "certRevoked",
    "certConfirmed",
    "wrongIntegrity",
    "badRecipientNonce",
    "timeNotAvailable",
    "unacceptedPolicy",
    "unacceptedExtension",
    "addInfoNotAvailable",
    "badSenderNonce",
    "badCertTemplate",
    "signerNotTrusted",
    "transactionIdInUse",
    "unsupportedVersion",
    "notAuthorized",
    "systemUnavail",
    "systemFailure",
    "duplicateCertReq",
]
# RFC 9810 section 5.2.3, in the order of the values.
STATUSES = [
    "accepted",
    "grantedWithMods",
    "rejection",
    "waiting",
    "revocationWarning",
    "revocationNotification",
    "keyUpdateWarning",
]
# RFC 5280 section 5.3.1.
REASONS = {
    "unspecified": 0,
    "keyCompromise": 1,
    "cACompromise": 2,
    "affiliationChanged": 3,
    "superseded": 4,
    "cessationOfOperation": 5,
    "certificateHold": 6,
    "removeFromCRL": 8,
    "privilegeWithdrawn": 9,
    "aACompromise": 10,
}


def test_body_types_have_the_tags_and_names_of_the_rfc() -> None:
    assert [kind.wire_name for kind in BodyType] == BODIES
    assert [int(kind) for kind in BodyType] == list(range(27))


def test_statuses_have_the_values_and_names_of_the_rfc() -> None:
    assert [status.wire_name for status in PKIStatus] == STATUSES
    assert [int(status) for status in PKIStatus] == list(range(7))


def test_failures_have_the_bits_and_names_of_the_rfc() -> None:
    assert [failure.wire_names for failure in PKIFailureInfo] == [(name,) for name in FAILURES]
    assert [failure.bit_length() - 1 for failure in PKIFailureInfo] == list(range(27))


@pytest.mark.parametrize(
    ("failures", "names"),
    [
        (PKIFailureInfo(0), ()),
        (PKIFailureInfo.BAD_POP | PKIFailureInfo.BAD_ALG, ("badAlg", "badPOP")),
        (PKIFailureInfo.SYSTEM_FAILURE | PKIFailureInfo.SYSTEM_UNAVAIL, ("systemUnavail", "systemFailure")),
    ],
)
def test_several_failures_are_named_lowest_bit_first(failures: PKIFailureInfo, names: tuple[str, ...]) -> None:
    assert failures.wire_names == names


def test_revocation_reasons_have_the_values_and_names_of_the_rfc() -> None:
    assert {reason.wire_name: int(reason) for reason in CRLReason} == REASONS


def test_versions_are_those_of_the_rfcs() -> None:
    assert [(version.name, int(version)) for version in PVNO] == [("CMP1999", 1), ("CMP2000", 2), ("CMP2021", 3)]
