"""What it costs to say who is revoked: CRLs and OCSP answers, from a durable store (docs/performance.md)."""

from __future__ import annotations

import argparse
import hashlib
import secrets
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio

from cmpkit.asn1 import encode
from cmpkit.asn1.ocsp import OCSPRequest, Request, TBSRequest
from cmpkit.ca.hierarchy import make_hierarchy, make_ocsp_signer
from cmpkit.ca.issuer import LocalIssuer
from cmpkit.ca.ocsp import OCSPResponder, OCSPSigner
from cmpkit.crypto.keys import generate_key
from cmpkit.crypto.names import parse_name
from cmpkit.crypto.ocsp import cert_id
from cmpkit.enums import CRLReason
from cmpkit.parts import CertificateRecord, CertificateState, Store, UnitOfWork
from cmpkit.plugins import load_plugins

NOW = datetime.now(UTC).replace(microsecond=0)
ROUNDS = 3
ANSWERS = 300
PER_UNIT = 10_000


def record(issuer_key: str, number: int) -> CertificateRecord:
    """A certificate of the usual size, revoked at a moment of its own."""
    der = number.to_bytes(4) + bytes(700)
    return CertificateRecord(
        issuer_key=issuer_key,
        serial_number=secrets.randbits(159),
        der=der,
        fingerprint=hashlib.sha256(der).digest(),
        subject=f"CN=device-{number}",
        not_before=NOW - timedelta(days=300),
        not_after=NOW + timedelta(days=65),
        profile="device",
        request_key=str(number),
        state=CertificateState.REVOKED,
        revoked_at=NOW - timedelta(seconds=7 * number),
        reason=CRLReason.KEY_COMPROMISE if number % 3 else None,
    )


async def cpu(work: Callable[[], Awaitable[object]], times: int = 1) -> float:
    """Seconds of CPU for each time, in all threads; the best of some rounds."""
    found = []
    for _ in range(ROUNDS):
        start = time.process_time()
        for _ in range(times):
            await work()
        found.append((time.process_time() - start) / times)
    return min(found)


async def fill(store: Store, issuer_key: str, entries: int) -> list[CertificateRecord]:
    """Store revoked certificates; the first of them."""
    first: list[CertificateRecord] = []
    for start in range(0, entries, PER_UNIT):
        records = tuple(record(issuer_key, number) for number in range(start, min(start + PER_UNIT, entries)))
        await store.commit(UnitOfWork(certificates=records))
        first = first or list(records)
    return first


async def measure(entries: int) -> None:
    """Print every figure."""
    plugins = load_plugins()
    keys = [generate_key("p256", plugins) for _ in range(3)]
    ca = (await make_hierarchy(parse_name("CN=Example CA"), root_key=keys[0], issuing_key=keys[1], now=NOW)).issuing
    signer = await make_ocsp_signer(ca, keys[1], key=keys[2], now=NOW)
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder, 'cmpkit.db')}"
        await plugins.store(url).create(url)
        store = plugins.store(url).open(url, sealing_key=bytes(32))
        first = await fill(store, ca.key_id, entries)

        async def crl() -> bytes:
            return await LocalIssuer(ca, keys[1], store, {}).crl(now=NOW)

        print(f"CRL of {entries} entries: {await cpu(crl):.2f} s of CPU, {len(await crl())} octets")
        running = LocalIssuer(ca, keys[1], store, {})
        await running.crl(now=NOW)
        more = iter(range(entries, entries + ROUNDS))

        async def next_crl() -> None:
            await store.commit(UnitOfWork(certificates=(record(ca.key_id, next(more)),)))
            await running.crl(now=NOW)

        print(f"CRL after one more revocation: {await cpu(next_crl) * 1e3:.0f} ms of CPU")
        responder = OCSPResponder([OCSPSigner(keys[2], ca.der, (signer.der,))], store, validity=timedelta(hours=1))
        requests = [Request(req_cert=cert_id(ca.der, one.serial_number)) for one in first[:ANSWERS]]
        questions = [encode(OCSPRequest(tbs_request=TBSRequest(request_list=[one]))) for one in requests]
        start = time.process_time()
        for question in questions:
            await responder.respond(question, now=NOW)
        print(f"OCSP, signed: {(time.process_time() - start) / len(questions) * 1e6:.0f} us of CPU")

        async def ask() -> None:
            await responder.respond(questions[0], now=NOW)

        print(f"OCSP, from memory: {await cpu(ask, ANSWERS) * 1e6:.0f} us of CPU")
        await store.aclose()


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=100_000, help="revoked certificates")
    anyio.run(measure, parser.parse_args().entries)


if __name__ == "__main__":
    main()
