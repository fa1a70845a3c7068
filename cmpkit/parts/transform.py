"""What may change a client's messages on their way out."""

from __future__ import annotations

from typing import Protocol

from cmpkit.asn1 import PKIMessage

__all__ = ["Transform"]


class Transform(Protocol):
    """Sees each message that a client sends and may send another in its place, for experiments and tests.

    Each message is seen once. What is sent again, because the road failed or by another process that resumes the
    transaction, are the octets that were sent before. An answer must fit what was sent, as far as that is a message.
    """

    async def before_protection(self, message: PKIMessage) -> PKIMessage:
        """The message that is protected and sent.

        Without protectionAlg it goes out unprotected; if it comes back with a protection, it goes out with that one.
        Its extraCerts are those that are sent.

        :param message: without protection; its header names the protectionAlg.
        """

    async def after_protection(self, octets: bytes) -> bytes:
        """The octets that are sent.

        :param octets: DER of the protected message.
        """
