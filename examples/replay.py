"""Record a transaction, and play it again octet by octet: without the server, without the private key, years later.

Run it: python examples/replay.py [DIRECTORY]; the directory then has every message as a file, for cmpkit inspect.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import anyio

import cmpkit
from cmpkit.crypto.keys import generate_key
from cmpkit.parts import ClientTransport, PrivateKey
from cmpkit.testing import InProcessCA, Tape, record, replay


async def enrol(
    tape: Tape,
    secret: cmpkit.SharedSecret,
    trust: tuple[bytes, ...],
    road: ClientTransport | None = None,
    key: PrivateKey | None = None,
) -> bytes:
    """What is recorded and played again: everything that the client draws, signs and exchanges goes over the tape."""
    async with cmpkit.Client(
        "memory:",
        credentials=tape.credentials(secret),
        trust=trust,
        options=tape.options(),
        transport=tape.road(road),
    ) as client:
        return (await client.enroll("CN=dev-42", tape.key(key))).certificate


async def main(directory: Path) -> None:
    with tempfile.TemporaryDirectory() as home:
        ca = await InProcessCA.make(home)
        secret, trust = await ca.add_secret(), ca.trust
        with record(directory) as tape:
            certificate = await enrol(tape, secret, trust, ca.road(), generate_key("p256", ca.plugins))
    # The CA and the key are gone; only the shared secret and the trust anchor were kept.
    with replay(directory) as tape:
        assert await enrol(tape, secret, trust) == certificate


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as kept:
        directory = Path(sys.argv[1] if sys.argv[1:] else kept)
        anyio.run(main, directory)
        for message in sorted(directory.glob("*.der")):
            print(message.name, message.stat().st_size, "octets")
