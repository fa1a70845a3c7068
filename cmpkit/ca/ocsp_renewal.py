"""The certificate of a signer of OCSP responses: it lives a short time, and is renewed before it ends.

It has ocsp-nocheck, so that nobody asks whether it is revoked; a short life takes the place of that (RFC 6960 section
4.2.2.2.1).
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final

import anyio

from cmpkit.ca.certificates import IssuerCertificate
from cmpkit.ca.hierarchy import OCSP_SIGNER_VALIDITY, make_ocsp_signer
from cmpkit.ca.ocsp import OCSPSigner
from cmpkit.crypto.x509 import outline
from cmpkit.errors import CMPError
from cmpkit.parts import PrivateKey, Store, UnitOfWork

__all__ = ["OCSPSignerRenewal"]

_PARTS: Final = 3
"""It is renewed when one of so many parts of its validity is left."""
_LONGEST_PAUSE: Final = timedelta(hours=1)

log = logging.getLogger("cmpkit.ocsp")


class OCSPSignerRenewal:
    """Gives a signer of OCSP responses a new certificate for the same key, before the old one ends.

    The same key, because it may lie where none can be made. Several processes may do so, each for itself.

    :param signer: gets the new certificate.
    :param authority: the CA that authorised it.
    :param authority_key: the key of that CA.
    :param store: gets the record of each certificate.
    :param keep: puts a certificate where the signer is found at the next start.
    :param validity: of new certificates, as long as the CA lives.
    """

    def __init__(
        self,
        signer: OCSPSigner,
        authority: IssuerCertificate,
        authority_key: PrivateKey,
        store: Store,
        keep: Callable[[bytes], Awaitable[None]],
        *,
        validity: timedelta = OCSP_SIGNER_VALIDITY,
    ) -> None:
        self._signer = signer
        self._authority = authority
        self._authority_key = authority_key
        self._store = store
        self._keep = keep
        self._validity = validity

    def is_due(self, now: datetime) -> bool:
        """Whether the certificate ends soon, or has ended, and a new one would live longer."""
        begins, ends = outline(self._signer.certificates[0]).validity_period
        new_end = min(now + self._validity, self._authority.not_after)
        return now >= ends - (ends - begins) / _PARTS and new_end > max(now, ends)

    async def renew(self, now: datetime) -> bool:
        """Renew the certificate if that is due; whether it was.

        :raises CMPError: if the key of the CA or the store cannot be used now.
        """
        if not self.is_due(now):
            return False
        record = await make_ocsp_signer(
            self._authority, self._authority_key, key=self._signer.key, now=now, validity=self._validity
        )
        await self._store.commit(UnitOfWork(certificates=(record,)))
        self._signer.certificates = (record.der,)
        log.info("the signer of OCSP responses has a new certificate, until %s", record.not_after)
        try:
            await self._keep(record.der)
        except CMPError as error:
            log.warning("the new certificate of the signer of OCSP responses is not kept: %s", error)
        return True

    async def keep_renewing(self, clock: Callable[[], datetime]) -> None:
        """See to it at intervals, until cancelled."""
        pause = min(_LONGEST_PAUSE, self._validity / (4 * _PARTS))
        while True:
            try:
                await self.renew(clock())
            except CMPError as error:
                log.error("the certificate of the signer of OCSP responses cannot be renewed: %s", error)
            await anyio.sleep(pause.total_seconds())
