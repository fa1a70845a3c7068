"""What inspection finds names the tolerance that lets it pass, from the same fault as the server's refusal."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from writing_ber import indefinite

from cmpkit.asn1 import PKIMessage, decode_message
from cmpkit.inspection import inspecting
from cmpkit.inspection.findings import Finding, Severity, find_faults
from cmpkit.inspection.report import inspection_object
from cmpkit.inspection.sources import Source

OCTETS = (Path(__file__).parent.parent / "asn1" / "messages" / "openssl-3.6" / "ir.der").read_bytes()


def changed(**header: Any) -> PKIMessage:
    message = decode_message(OCTETS)
    return PKIMessage(dataclasses.replace(message.header, **header), message.body, message.protection)


def faults(found: tuple[Finding, ...]) -> list[Finding]:
    return [finding for finding in found if finding.severity is Severity.FAULT]


@pytest.mark.parametrize(
    ("header", "tolerance"),
    [
        ({"sender_nonce": b"8 octets"}, "short-nonces"),
        ({"recip_nonce": bytes(16)}, "recip-nonce-in-first"),
        ({"sender_nonce": b"7octets"}, ""),
    ],
)
def test_a_finding_has_the_name_and_says_how(header: dict[str, bytes], tolerance: str) -> None:
    (finding,) = faults(find_faults(changed(**header)))
    assert finding.tolerance == tolerance
    assert (f'tolerances = ["{tolerance}"]' in finding.change) is bool(tolerance)


@pytest.mark.parametrize(("octets", "tolerance"), [(OCTETS + b"\n", "trailing-octets"), (indefinite(OCTETS), "ber")])
def test_octets_that_are_no_message_have_it_too(octets: bytes, tolerance: str) -> None:
    (inspection,) = inspecting.inspect([Source("file", octets)])
    (finding,) = faults(inspection.findings)
    assert finding.tolerance == tolerance
    assert f'tolerances = ["{tolerance}"]' in finding.change
    assert "allow it" not in finding.detail
    assert [shown["tolerance"] for shown in inspection_object(inspection)["findings"] if shown["fail_info"]] == [
        tolerance
    ]
