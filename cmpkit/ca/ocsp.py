"""The OCSP responder: how certificates stand, from the store of the CA (RFC 6960, RFC 5019)."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import anyio

from cmpkit import oids
from cmpkit.asn1 import Extension, Null, encode
from cmpkit.asn1.ocsp import CertID
from cmpkit.crypto.ocsp import (
    IssuerHashes,
    OCSPResponseStatus,
    Standing,
    StatusInfo,
    build_ocsp_response,
    ocsp_error,
    ocsp_nonce,
    read_ocsp_request,
)
from cmpkit.crypto.x509 import certificate_public_key_info, issuer_key_id
from cmpkit.enums import CRLReason, PKIFailureInfo
from cmpkit.errors import CMPError
from cmpkit.parts import CertificateState, PrivateKey, Store

__all__ = ["OCSPAnswer", "OCSPResponder", "OCSPSigner"]

MAX_KEPT: Final = 8192
"""Signed answers in memory; those that were not asked for the longest time go first."""
_SERVED = 0.9
"""The part of its validity in which an answer is given again: who gets it then can still use it for a while."""
_NEVER_ISSUED = StatusInfo("revoked", datetime(1970, 1, 1, tzinfo=UTC), CRLReason.CERTIFICATE_HOLD)
"""How certificates that were never issued are called revoked (RFC 6960 section 2.2)."""
_EXTENDED_REVOKE = Extension(extn_id=oids.OCSP_EXTENDED_REVOKE, extn_value=encode(Null()))

log = logging.getLogger("cmpkit.ocsp")


class OCSPSigner:
    """Who signs answers about the certificates of one CA: the CA itself, or whom it authorised.

    :param key: its private key.
    :param authority: DER of the certificate of the CA.
    :param certificates: DER certificates for the answers: that of the signer, unless it is the CA.
    """

    def __init__(self, key: PrivateKey, authority: bytes, certificates: Sequence[bytes] = ()) -> None:
        self.key = key
        self.certificates = tuple(certificates)
        self.issuer_key = issuer_key_id(certificate_public_key_info(authority))
        self.hashes = IssuerHashes(authority)


@dataclass(frozen=True, slots=True)
class OCSPAnswer:
    """A response.

    :param this_update: when it was signed; ``None`` if it must not be kept: for errors, and for who sent a nonce.
    :param next_update: until when it holds.
    """

    der: bytes
    this_update: datetime | None = None
    next_update: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Kept:
    answer: OCSPAnswer
    statuses: tuple[StatusInfo, ...]
    until: datetime


class OCSPResponder:
    """Answers questions about certificates.

    Answers to questions without a nonce are signed once in their validity and given again from memory, as long as the
    store says the same of the certificates: it is asked each time, since other processes may revoke, too.

    :param signers: one for each key of the CA.
    :param validity: from thisUpdate to nextUpdate.
    :param never_issued: what is said of a serial number that is not in the store.
    :param nonces: whether the nonce of a question is in the answer; such answers are signed each time.
    :param max_certificates: how many certificates one question may be about.
    """

    def __init__(
        self,
        signers: Sequence[OCSPSigner],
        store: Store,
        *,
        validity: timedelta,
        never_issued: Standing = "unknown",
        nonces: bool = True,
        max_certificates: int = 16,
    ) -> None:
        self._signers = tuple(signers)
        self._store = store
        self._validity = validity
        self._never_issued = _NEVER_ISSUED if never_issued == "revoked" else StatusInfo(never_issued)
        self._nonces = nonces
        self._max_certificates = max_certificates
        self._kept: OrderedDict[tuple[bytes, ...], _Kept] = OrderedDict()
        self._lock = anyio.Lock()

    async def respond(self, der: bytes, *, now: datetime) -> OCSPAnswer:
        """The answer to a question; it never raises for bad input.

        :param der: what came.
        """
        try:
            request = read_ocsp_request(der, max_certificates=self._max_certificates).tbs_request
            nonce = ocsp_nonce(request.request_extensions)
        except CMPError as error:
            log.info("refused: %s", error.detail)
            return _error(OCSPResponseStatus.MALFORMED_REQUEST)
        asked = [item.req_cert for item in request.request_list]
        signer = self._signer(asked)
        if signer is None:
            return _error(OCSPResponseStatus.UNAUTHORIZED)
        try:
            return await self._answer(signer, asked, nonce if self._nonces else None, now)
        except CMPError as error:
            unavailable = PKIFailureInfo.SYSTEM_UNAVAIL in error.fail_info
            log.error("no answer: %s", error)
            return _error(OCSPResponseStatus.TRY_LATER if unavailable else OCSPResponseStatus.INTERNAL_ERROR)

    def _signer(self, asked: Sequence[CertID]) -> OCSPSigner | None:
        """Who may answer about at least one of them."""
        return next((signer for signer in self._signers if any(map(signer.hashes.match, asked))), None)

    async def _answer(
        self, signer: OCSPSigner, asked: Sequence[CertID], nonce: Extension | None, now: datetime
    ) -> OCSPAnswer:
        statuses = tuple([await self._status(signer, one) for one in asked])
        if nonce is not None:
            return OCSPAnswer(await self._sign(signer, asked, statuses, now, nonce))
        key = tuple(map(encode, asked))
        kept = self._find(key, statuses, now)
        if kept is not None:
            return kept
        async with self._lock:
            # Who waited for the lock finds what was signed meanwhile.
            return self._find(key, statuses, now) or await self._keep(signer, asked, key, statuses, now)

    def _find(self, key: tuple[bytes, ...], statuses: tuple[StatusInfo, ...], now: datetime) -> OCSPAnswer | None:
        kept = self._kept.get(key)
        if kept is None or kept.statuses != statuses or kept.answer.this_update is None:
            return None
        if not kept.answer.this_update <= now < kept.until:
            return None
        self._kept.move_to_end(key)
        return kept.answer

    async def _keep(
        self,
        signer: OCSPSigner,
        asked: Sequence[CertID],
        key: tuple[bytes, ...],
        statuses: tuple[StatusInfo, ...],
        now: datetime,
    ) -> OCSPAnswer:
        der = await self._sign(signer, asked, statuses, now)
        answer = OCSPAnswer(der, now, now + self._validity)
        self._kept[key] = _Kept(answer, statuses, now + self._validity * _SERVED)
        self._kept.move_to_end(key)
        if len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)
        return answer

    async def _sign(
        self,
        signer: OCSPSigner,
        asked: Sequence[CertID],
        statuses: Sequence[StatusInfo],
        now: datetime,
        nonce: Extension | None = None,
    ) -> bytes:
        extensions = [] if nonce is None else [nonce]
        if _NEVER_ISSUED in statuses:
            extensions.append(_EXTENDED_REVOKE)
        return await build_ocsp_response(
            list(zip(asked, statuses, strict=True)),
            key=signer.key,
            certificates=signer.certificates,
            this_update=now,
            next_update=now + self._validity,
            extensions=extensions,
        )

    async def _status(self, signer: OCSPSigner, asked: CertID) -> StatusInfo:
        if not signer.hashes.match(asked):
            return StatusInfo("unknown")
        record = await self._store.certificate(signer.issuer_key, asked.serial_number)
        if record is None:
            return self._never_issued
        if record.state in (CertificateState.REVOKED, CertificateState.ON_HOLD):
            return StatusInfo("revoked", record.revoked_at, record.reason)
        return StatusInfo("good")


def _error(status: OCSPResponseStatus) -> OCSPAnswer:
    return OCSPAnswer(ocsp_error(status))
