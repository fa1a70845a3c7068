"""Signers of an upstream: whoever was found to be one is not examined again with each answer."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from cmpkit.asn1 import PKIMessage
from cmpkit.endpoints.reading import certificates_in
from cmpkit.endpoints.signer import MAX_EXTRA_CERTS, find_signer
from cmpkit.endpoints.trust import AnswerVerifier
from cmpkit.parts import SharedSecret
from cmpkit.tolerances import Leniency

__all__ = ["Signers"]

_REMEMBERED: Final = timedelta(seconds=60)


class Signers:
    """Verifies answers; path and authority of a signer hold for a minute, its signature is verified each time.

    So it is only where nobody looks whether signers are revoked, and none is pinned.
    """

    def __init__(self) -> None:
        self._known: dict[bytes, None] = {}
        self._pinned: AnswerVerifier | None = None
        self._until = datetime.min.replace(tzinfo=UTC)

    async def verify(self, answer: PKIMessage, verifier: AnswerVerifier, *, now: datetime, leniency: Leniency) -> None:
        """Whether an answer is authentic.

        :param verifier: judges it, if it has to be judged anew.
        :raises TrustError: naming what cannot be believed.
        """
        signed = not isinstance(verifier.credentials, SharedSecret)
        if signed and self._pinned is not None and now < self._until and self._pinned.pinned in answer.extra_certs:
            await self._pinned.verify(answer, known=(), issuers=(), now=now, leniency=leniency)
            return
        known = (*answer.extra_certs, *self._known)
        await verifier.verify(answer, known=known, issuers=certificates_in(answer), now=now, leniency=leniency)
        # Answers may leave out what earlier ones brought.
        self._known = dict.fromkeys((*answer.extra_certs, *self._known)[:MAX_EXTRA_CERTS])
        if signed and answer.protection is not None and verifier.pinned is None and verifier.revocation is None:
            self._pinned = replace(verifier, pinned=find_signer(answer, known, leniency))
            self._until = now + _REMEMBERED
