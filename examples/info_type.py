"""Add an info type: a question that a client may ask (genm), with an answer of its own ASN.1 type.

Run it: python examples/info_type.py
"""

from __future__ import annotations

import tempfile

import anyio
from cryptography.x509 import ObjectIdentifier

from cmpkit import load_plugins
from cmpkit.asn1 import TLV, InfoTypeAndValue, parse_tlv, sequence
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError
from cmpkit.hookspecs import hookimpl
from cmpkit.parts import InfoContext
from cmpkit.testing import InProcessCA


@sequence
class Load:
    """Load ::= SEQUENCE { certificates INTEGER, note UTF8String }"""

    certificates: int
    note: str


class LoadInfo:
    """How busy is the CA? The question is how many certificates the client would like, the answer what it may get."""

    oid = ObjectIdentifier("2.999.7.1")
    name = "load"

    async def answer(self, value: TLV | None, context: InfoContext) -> InfoTypeAndValue:
        wanted = 1 if value is None else parse_tlv(value, int)
        if wanted < 1:
            raise CMPError(f"{wanted} certificates are wanted", PKIFailureInfo.BAD_REQUEST, hint="ask for 1 or more")
        answer = Load(certificates=min(wanted, 3), note=f"asked by {context.auth.identity}")
        return InfoTypeAndValue(self.oid, answer)


class LoadPlugin:
    """What brings the part; a module with the same function would do."""

    @hookimpl
    def cmpkit_info_types(self) -> list[LoadInfo]:
        return [LoadInfo()]


async def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        ca = await InProcessCA.make(directory, plugins=load_plugins([("load", LoadPlugin())]))
        async with ca.client(await ca.add_secret()) as client:
            for question in (InfoTypeAndValue(LoadInfo.oid), InfoTypeAndValue(LoadInfo.oid, 7)):
                (answer,) = await client.info(question)
                print(parse_tlv(answer.info_value, Load))


if __name__ == "__main__":
    anyio.run(main)
