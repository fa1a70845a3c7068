"""Nested messages as OpenSSL sees them, which makes and takes none itself."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cmpkit.asn1 import PKIMessage, decode_message
from cmpkit.engine.nesting import nest

from .conftest import OpenSSL

MESSAGES = Path(__file__).parent.parent / "asn1" / "messages" / "openssl-3.6"
_LINE = re.compile(r"^ *(?P<offset>\d+):d=(?P<depth>\d+) +hl=(?P<head>\d+) +l= *(?P<length>\d+) +(?P<what>.*)$")


@pytest.mark.rule("R-151", "R-152")
def test_openssl_finds_each_message_in_a_nested_one_as_it_was_made(openssl: OpenSSL, tmp_path: Path) -> None:
    members = [decode_message((MESSAGES / f"{name}.der").read_bytes()) for name in ("ir", "cr", "genm")]
    nested = PKIMessage(members[0].header, nest(members), members[0].protection, members[0].extra_certs)
    file = tmp_path / "nested.der"
    file.write_bytes(nested.raw)
    lines = [_LINE.match(line) for line in openssl.run("asn1parse", "-inform", "DER", "-in", file).stdout.splitlines()]
    found = [line for line in lines if line is not None]
    body = next(number for number, line in enumerate(found) if line["depth"] == "1" and "cont [ 20 ]" in line["what"])
    end = next(number for number, line in enumerate(found) if number > body and line["depth"] == "1")
    inside = [line for line in found[body:end] if line["depth"] == "3"]
    seen = [
        nested.raw[int(line["offset"]) : int(line["offset"]) + int(line["head"]) + int(line["length"])]
        for line in inside
    ]
    assert seen == [member.raw for member in members]
