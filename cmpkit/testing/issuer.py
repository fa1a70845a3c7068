"""Whether an issuer keeps its contract: a check to be awaited in its author's tests."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TypeVar

import anyio
from cryptography import x509

from cmpkit.enums import CRLReason, PKIFailureInfo
from cmpkit.errors import CMPError
from cmpkit.parts import (
    Authenticated,
    CertificateChange,
    CertificateRecord,
    CertificateRequest,
    CertificateState,
    Issued,
    Issuer,
    Pending,
    Rejected,
    RevocationRequest,
    Revoked,
    RootKeyUpdate,
    StatusAddresses,
    StatusPublisher,
    UnitOfWork,
)
from cmpkit.plugins import Plugins
from cmpkit.testing.contract import require, require_name, require_type, success
from cmpkit.testing.issued import Authority, require_crl, require_issued

__all__ = ["check_issuer"]

R = TypeVar("R")
_MAX_POLLS = 20


async def check_issuer(
    issuer: Issuer,
    make_request: Callable[[], CertificateRequest],
    auth: Authenticated,
    *,
    plugins: Plugins,
    commit: Callable[[UnitOfWork], Awaitable[None]],
    clock: Callable[[], datetime],
    wait: Callable[[float], Awaitable[None]] = anyio.sleep,
) -> None:
    """Check an issuer, from its own certificates to its CRL.

    Certificates are what was asked for, signed by it, told apart by serial number, and described rightly by their
    record; one that is not local gives the same one for the same idempotency key. Confirmation, rejection, revocation
    and hold change the right certificate, once, and the CRL says so. What cannot be had is *rejected*, not raised.

    :param make_request: makes a request that the issuer grants, each time for a new key.
    :param auth: whose request it is, who may revoke what it got, too.
    :param plugins: verifies signatures: has the key algorithms of the issuer and of the requests.
    :param commit: does with results what the core does: :meth:`cmpkit.parts.Store.commit` of the store that the issuer
        knows; for one with books of its own, of any store, or nothing.
    :param clock: gives the time that the issuer is told.
    :param wait: called with the seconds after which a pending request may be asked about again.
    :raises AssertionError: naming what is wrong.
    """
    require_name(issuer)
    require_type(getattr(issuer, "local", None), bool, "local")
    require_type(getattr(issuer, "crl_urls", None), tuple, "crl_urls")
    with success("root_key_update() must say whether the root CA has a new key"):
        update = await issuer.root_key_update()
    require_type(update, (RootKeyUpdate, type(None)), "what root_key_update() returns")
    with success("ca_certificates() must give the certificates of the CA"):
        certificates = await issuer.ca_certificates()
    check = _Check(issuer, Authority.of(certificates, plugins), make_request, auth, commit, clock, wait)
    await check.issuing()
    await check.confirmation()
    await check.revocation()
    await check.hold()
    await check.deltas()
    await check.refusals()


@dataclass(slots=True)
class _Check:
    issuer: Issuer
    authority: Authority
    make_request: Callable[[], CertificateRequest]
    auth: Authenticated
    commit: Callable[[UnitOfWork], Awaitable[None]]
    clock: Callable[[], datetime]
    wait: Callable[[float], Awaitable[None]]
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    async def issuing(self) -> None:
        one, other = await self._issue(), await self._issue()
        require(one.serial_number != other.serial_number, "each certificate must have a serial number of its own")
        if not self.issuer.local:
            request, key = self.make_request(), self._new_key()
            first, again = await self._ask(request, key), await self._ask(request, key)
            require(
                isinstance(first, Issued) and isinstance(again, Issued) and first.certificate == again.certificate,
                "an issuer that is not local must give the same certificate for the same idempotency key",
            )

    async def confirmation(self) -> None:
        accepted, rejected = await self._issue(), await self._issue()
        for record, state in ((accepted, CertificateState.VALID), (rejected, CertificateState.REVOKED)):
            good = state is CertificateState.VALID
            change = await self._confirm(record, accepted=good)
            self._require_change(change, record, state, f"confirm(accepted={good})")
            require(
                CertificateState.ISSUED in change.expected,
                "confirm() must expect a certificate that was issued and not confirmed",
            )
            await self.commit(UnitOfWork(changes=(change,)))
        listed = await self._crl()
        require(rejected.serial_number in listed, "a certificate that was rejected must be on the CRL")
        require(accepted.serial_number not in listed, "a certificate that was accepted must not be on the CRL")

    async def revocation(self) -> None:
        record = await self._valid()
        reason = CRLReason.KEY_COMPROMISE
        result = await self._revoke(record, reason)
        require(isinstance(result, Revoked), f"a valid certificate must be revoked, not {result!r}")
        assert isinstance(result, Revoked)
        self._require_change(result.change, record, CertificateState.REVOKED, "a revocation")
        require(result.change.reason is reason, f"a revocation must keep its reason, not have {result.change.reason}")
        await self.commit(UnitOfWork(changes=(result.change,)))
        listed = await self._crl()
        require(listed.get(record.serial_number) is reason, "the CRL must list a revoked certificate with its reason")
        again = await self._revoke(record, reason)
        self._require_rejected(again, "the revocation of a revoked certificate", PKIFailureInfo.CERT_REVOKED)

    async def hold(self) -> None:
        """An issuer need not know holds; if it does, they are put and lifted."""
        record = await self._valid()
        result = await self._revoke(record, CRLReason.CERTIFICATE_HOLD)
        if isinstance(result, Rejected):
            require_type(result.error, CMPError, "the error of a Rejected")
            return
        assert isinstance(result, Revoked)
        self._require_change(result.change, record, CertificateState.ON_HOLD, "a hold")
        await self.commit(UnitOfWork(changes=(result.change,)))
        listed = await self._crl()
        require(listed.get(record.serial_number) is CRLReason.CERTIFICATE_HOLD, "the CRL must list a hold as such")
        lifted = await self._revoke(record, CRLReason.REMOVE_FROM_CRL)
        require(isinstance(lifted, Revoked), f"a hold must be lifted by removeFromCRL, not {lifted!r}")
        assert isinstance(lifted, Revoked)
        self._require_change(lifted.change, record, CertificateState.VALID, "the end of a hold")
        await self.commit(UnitOfWork(changes=(lifted.change,)))
        require(record.serial_number not in await self._crl(), "a hold that was lifted must not be on the CRL")

    async def deltas(self) -> None:
        """An issuer need not make delta CRLs; if it does, they say what changed since a complete one."""
        if not isinstance(self.issuer, StatusPublisher):
            return
        require_type(self.issuer.addresses, StatusAddresses, "addresses")
        await self._crl()
        record = await self._valid()
        result = await self._revoke(record, CRLReason.SUPERSEDED)
        assert isinstance(result, Revoked)
        await self.commit(UnitOfWork(changes=(result.change,)))
        now = self.clock()
        with success("delta_crl() must give a delta CRL, or None"):
            der = await self.issuer.delta_crl(now=now)
        if der is None:
            return
        listed = require_crl(der, self.authority, now)
        require(
            listed.get(record.serial_number) is CRLReason.SUPERSEDED,
            "a delta CRL must list what was revoked since its base",
        )
        indicators = [
            item for item in x509.load_der_x509_crl(der).extensions if isinstance(item.value, x509.DeltaCRLIndicator)
        ]
        require(
            bool(indicators) and indicators[0].critical,
            "a delta CRL must have a critical deltaCRLIndicator (RFC 5280 section 5.2.4)",
        )

    async def refusals(self) -> None:
        unreadable = replace(self.make_request(), public_key_info=b"no key")
        answer = await self._ask(unreadable, self._new_key())
        self._require_rejected(answer, "a request whose public key cannot be read")
        record = await self._valid()
        unknown = replace(record, serial_number=record.serial_number ^ 1)
        result = await self._revoke(unknown, CRLReason.KEY_COMPROMISE)
        self._require_rejected(result, "the revocation of an unknown certificate", PKIFailureInfo.BAD_CERT_ID)

    def _new_key(self) -> str:
        return f"a request of the checks, number {next(self._numbers)}"

    async def _ask(self, request: CertificateRequest, key: str) -> Issued | Rejected:
        return await self._settle(
            lambda: self.issuer.issue(request, self.auth, idempotency_key=key, now=self.clock()), "issue()", Issued
        )

    async def _issue(self) -> CertificateRecord:
        request, key = self.make_request(), self._new_key()
        result = await self._ask(request, key)
        if isinstance(result, Rejected):
            raise AssertionError(f"issue() must grant the request of the check, not reject it: {result.error}")
        require_issued(result, request.public_key_info, key, self.authority)
        await self.commit(UnitOfWork(certificates=(result.certificate,)))
        return result.certificate

    async def _valid(self) -> CertificateRecord:
        record = await self._issue()
        change = await self._confirm(record, accepted=True)
        await self.commit(UnitOfWork(changes=(change,)))
        return record

    async def _confirm(self, record: CertificateRecord, *, accepted: bool) -> CertificateChange:
        result = await self._settle(
            lambda: self.issuer.confirm(record, accepted=accepted, now=self.clock()), "confirm()", CertificateChange
        )
        assert not isinstance(result, Rejected)
        return result

    async def _revoke(self, record: CertificateRecord, reason: CRLReason) -> Revoked | Rejected:
        request = RevocationRequest(self.authority.name, record.serial_number, reason)
        return await self._settle(
            lambda: self.issuer.revoke(request, self.auth, now=self.clock()), f"revoke() with {reason.name}", Revoked
        )

    async def _settle(
        self, ask: Callable[[], Awaitable[R | Pending | Rejected]], what: str, wanted: type[R]
    ) -> R | Rejected:
        for _ in range(_MAX_POLLS):
            with success(f"{what} must return a result"):
                result = await ask()
            require_type(result, (wanted, Pending, Rejected), f"what {what} returns")
            if not isinstance(result, Pending):
                return result
            require(result.check_after >= 0, f"check_after must be seconds from now, not {result.check_after}")
            await self.wait(result.check_after)
        raise AssertionError(f"{what} must come to an end, but was pending {_MAX_POLLS} times")

    async def _crl(self) -> dict[int, CRLReason | None]:
        now = self.clock()
        with success("crl() must give the CRL"):
            der = await self.issuer.crl(now=now)
        return require_crl(der, self.authority, now)

    def _require_change(
        self, change: CertificateChange, record: CertificateRecord, state: CertificateState, what: str
    ) -> None:
        require_type(change, CertificateChange, f"the change of {what}")
        require(
            (change.issuer_key, change.serial_number) == (record.issuer_key, record.serial_number),
            f"{what} must change the certificate it is about",
        )
        require(change.state is state, f"{what} must end in the state {state.value!r}, not in {change.state.value!r}")
        require(bool(change.expected), f"{what} must say in which states it expects the certificate")
        require(change.at.tzinfo is not None, f"the time of {what} must have a time zone")

    @staticmethod
    def _require_rejected(result: object, what: str, fail_info: PKIFailureInfo | None = None) -> None:
        require(isinstance(result, Rejected), f"{what} must be Rejected, not {type(result).__name__}")
        assert isinstance(result, Rejected)
        require_type(result.error, CMPError, "the error of a Rejected")
        require(
            fail_info is None or fail_info in result.error.fail_info,
            f"{what} must be rejected with {fail_info and ' '.join(fail_info.wire_names)}, not with {result.error}",
        )
