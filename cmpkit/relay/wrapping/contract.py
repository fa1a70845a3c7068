"""What a wrapping does: it makes of a requester's message what goes upstream, and of the answer what goes down."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from cmpkit.asn1 import PKIMessage
from cmpkit.parts import Authenticated, CertificateRequest

__all__ = ["Manner", "Wrapping"]


class Manner(enum.Enum):
    """How the messages of one transaction go upstream, from the first to the last (RFC 9483 section 5.2).

    The CA ties a transaction to the credential that opened it, so that its certConf and pollReq must go as it did.
    """

    UNCHANGED = "unchanged"
    """As they came, alone or in a batch (sections 5.2.1 and 5.2.2.2)."""
    NESTED = "nested"
    """Each as it came, inside a message of the RA (section 5.2.2.1)."""
    REPROTECTED = "reprotected"
    """Under the protection of the RA instead of their own (section 5.2.3.1)."""
    CHANGED = "changed"
    """The same, and what is asked for is something else (section 5.2.3.2)."""


class Wrapping(Protocol):
    """How messages go to one upstream, and how its answers come down.

    :attr:`name` is ``unchanged``, ``nest``, ``batch`` or ``reprotect``.
    """

    @property
    def name(self) -> str:
        """Its name in the configuration."""

    def manner(
        self, message: PKIMessage, auth: Authenticated | None, *, changed: Sequence[CertificateRequest] = ()
    ) -> Manner:
        """How the transaction that this message opens goes upstream.

        :param message: as the requester sent it.
        :param auth: who sent it; ``None`` if that was not verified here.
        :param changed: what the requests in it are to become, by their certReqId, where a policy wants something else
            than they ask for; those that are not named stay as they are, and so does the profile that one asks for
            where its profile is ``None`` here.
        :raises CMPError: if it may not go as it would have to: badCertTemplate, notAuthorized.
        """

    async def wrap(
        self,
        message: PKIMessage,
        auth: Authenticated | None,
        manner: Manner,
        *,
        changed: Sequence[CertificateRequest] = (),
        now: datetime,
    ) -> PKIMessage:
        """What goes upstream for a message.

        :param manner: that of its transaction.
        :param changed: as for :meth:`manner`.
        :raises CMPError: if it may not go so; badPOP if what is changed was not proven.
        """

    async def unwrap(
        self, answer: PKIMessage, request: PKIMessage, auth: Authenticated | None, manner: Manner
    ) -> PKIMessage:
        """What the requester gets (RFC 9483 section 5.2): the answer as it came, or re-protected to be verified.

        :param answer: of the upstream, verified.
        :param request: as the requester sent it.
        :param auth: who sent the request.
        :param manner: that of its transaction.
        """
