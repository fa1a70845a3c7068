"""Send odd messages at a server and see what it says: every fault that has a name, one after the other.

At a server of its own, in this process:     python examples/odd_messages.py
At another one, with the secret in CMP_SECRET: python examples/odd_messages.py URL REFERENCE SUBJECT TRUST.pem
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable

import anyio

import cmpkit
from cmpkit.asn1 import CertRepMessage, ErrorMsgContent, PKIMessage
from cmpkit.parts import Event, Transform
from cmpkit.testing import InProcessCA, MutationPlace, mutate, mutations


class Listener:
    """An observer that keeps the last answer."""

    answer: PKIMessage | None = None

    def observe(self, event: Event) -> None:
        if event.name == "message-received":
            self.answer = event.details["message"]

    def verdict(self) -> str:
        """What the server says, whether the client may believe it or not."""
        content = self.answer.body.content if self.answer else None
        if isinstance(content, ErrorMsgContent):
            return f"error: {' '.join(content.pki_status_info.failures.wire_names)}"
        if isinstance(content, CertRepMessage):
            status = content.response[0].status
            return f"{status.status.wire_name} {' '.join(status.failures.wire_names)}".strip()
        return self.answer.body.type.wire_name if self.answer else "nothing"


async def try_everything(open_client: Callable[[Transform, Listener], cmpkit.Client], subject: str) -> None:
    for fault in mutations():
        if fault.place is MutationPlace.ROAD:
            continue
        listener, mutant = Listener(), mutate(fault.name, seed=1)
        async with open_client(mutant, listener) as client:
            try:
                await client.enroll(subject)
                end = "enrolled"
            except cmpkit.CMPError as error:
                end = type(error).__name__
        where = mutant.made[0][0] if mutant.made else "nowhere"
        print(f"{fault.name:24} {where:9} {listener.verdict():32} {end}")


async def main(arguments: list[str]) -> None:
    if arguments:
        url, reference, subject, trust = arguments
        secret = cmpkit.SharedSecret(reference, os.environ["CMP_SECRET"])
        options = cmpkit.ClientOptions(total_timeout=5)  # some servers say nothing at all
        await try_everything(
            lambda mutant, listener: cmpkit.Client(
                url, credentials=secret, trust=trust, options=options, transform=mutant, observers=[listener]
            ),
            subject,
        )
        return
    with tempfile.TemporaryDirectory() as directory:
        ca = await InProcessCA.make(directory)
        secret = await ca.add_secret()
        await try_everything(
            lambda mutant, listener: ca.client(secret, transform=mutant, observers=[listener]), "CN=dev-42"
        )


if __name__ == "__main__":
    anyio.run(main, sys.argv[1:])
