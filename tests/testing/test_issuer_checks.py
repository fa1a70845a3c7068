"""The check for issuers finds what breaks their contract."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from cmpkit.asn1 import BitString, CertificateList, CertificateWire, decode, encode
from cmpkit.ca.hierarchy import Hierarchy
from cmpkit.ca.issuer import LocalIssuer
from cmpkit.crypto.x509 import fingerprint
from cmpkit.enums import CRLReason, PKIFailureInfo
from cmpkit.errors import CMPError
from cmpkit.parts import (
    CertificateChange,
    CertificateRecord,
    CertificateState,
    Issued,
    Pending,
    Rejected,
    Revoked,
    StatusAddresses,
    Store,
    UnitOfWork,
)
from cmpkit.plugins import Plugins
from cmpkit.testing import VirtualClock, check_issuer


class Issuer:
    """An issuer that delegates to another, for tests to break."""

    name = "broken"
    local: Any = True
    crl_urls: Any = ()

    def __init__(self, issuer: LocalIssuer, hierarchy: Hierarchy) -> None:
        self.issuer, self.hierarchy = issuer, hierarchy

    async def issue(self, *arguments: Any, **options: Any) -> Any:
        result = await self.issuer.issue(*arguments, **options)
        return self.change(result) if isinstance(result, Issued) else result

    def change(self, result: Issued) -> Any:
        return replace(result, certificate=self.change_record(result.certificate))

    def change_record(self, record: CertificateRecord) -> CertificateRecord:
        return record

    async def confirm(self, certificate: CertificateRecord, *, accepted: bool, now: datetime) -> Any:
        return await self.issuer.confirm(certificate, accepted=accepted, now=now)

    async def revoke(self, *arguments: Any, **options: Any) -> Any:
        return await self.issuer.revoke(*arguments, **options)

    async def ca_certificates(self) -> tuple[bytes, ...]:
        return await self.issuer.ca_certificates()

    async def crl(self, *, now: datetime) -> bytes:
        return await self.issuer.crl(now=now)

    async def root_key_update(self) -> Any:
        return await self.issuer.root_key_update()


class Stranger(Issuer):
    """Shows certificates of a CA that has nothing to do with it."""

    async def ca_certificates(self) -> tuple[bytes, ...]:
        return (await super().ca_certificates())[1:]


class NoLocal(Issuer):
    local = None


class NoAddresses(Issuer):
    crl_urls = None


class NoUpdate(Issuer):
    async def root_key_update(self) -> Any:
        return b"a certificate"


class NoCertificates(Issuer):
    async def ca_certificates(self) -> tuple[bytes, ...]:
        return ()


class NoRoot(Issuer):
    async def ca_certificates(self) -> tuple[bytes, ...]:
        return (await super().ca_certificates())[:1]


class RootFirst(Issuer):
    async def ca_certificates(self) -> tuple[bytes, ...]:
        return (await super().ca_certificates())[::-1]


class OtherSigner(Issuer):
    """Shows, instead of its own root, one of the same name."""

    async def ca_certificates(self) -> tuple[bytes, ...]:
        issuing, root = await super().ca_certificates()
        return issuing, broken_signature(root)


def broken_signature(der: bytes) -> bytes:
    wire = decode(CertificateWire, der)
    octets = wire.signature_value.as_bytes()
    signature = BitString(octets[:-1] + bytes((octets[-1] ^ 1,)), 0)
    return encode(
        CertificateWire(
            tbs_certificate=wire.tbs_certificate,
            signature_algorithm=wire.signature_algorithm,
            signature_value=signature,
        )
    )


class Text(Issuer):
    async def ca_certificates(self) -> tuple[bytes, ...]:
        return (b"a certificate",)


class Raises(Issuer):
    async def issue(self, *arguments: Any, **options: Any) -> Any:
        raise CMPError("never")


class Rejects(Issuer):
    def change(self, result: Issued) -> Any:
        return Rejected(CMPError("never"))


class Nothing(Issuer):
    def change(self, result: Issued) -> Any:
        return None


class Waits(Issuer):
    def change(self, result: Issued) -> Any:
        return Pending(60)


class WaitsBackwards(Issuer):
    def change(self, result: Issued) -> Any:
        return Pending(-1)


class ForgedCertificate(Issuer):
    def change_record(self, record: CertificateRecord) -> CertificateRecord:
        der = broken_signature(record.der)
        return replace(record, der=der, fingerprint=fingerprint(der))


class OtherKey(Issuer):
    async def issue(self, request: Any, *arguments: Any, **options: Any) -> Any:
        return await super().issue(
            replace(request, public_key_info=self.hierarchy.issuing.public_key_info), *arguments, **options
        )


class WrongSerial(Issuer):
    def change_record(self, record: CertificateRecord) -> CertificateRecord:
        return replace(record, serial_number=1)


class WrongTimes(Issuer):
    def change_record(self, record: CertificateRecord) -> CertificateRecord:
        return replace(record, not_after=record.not_after + timedelta(days=1))


class WrongKey(Issuer):
    def change_record(self, record: CertificateRecord) -> CertificateRecord:
        return replace(record, request_key="another")


class Confirmed(Issuer):
    def change_record(self, record: CertificateRecord) -> CertificateRecord:
        return replace(record, state=CertificateState.VALID)


class WithRoot(Issuer):
    def change(self, result: Issued) -> Any:
        return replace(result, chain=self.hierarchy.issuing.all)


class NewEachTime(Issuer):
    local = False


class Accepts(Issuer):
    async def confirm(self, certificate: CertificateRecord, *, accepted: bool, now: datetime) -> Any:
        return await super().confirm(certificate, accepted=True, now=now)


class ConfirmsAnother(Issuer):
    async def confirm(self, certificate: CertificateRecord, *, accepted: bool, now: datetime) -> Any:
        return replace(await super().confirm(certificate, accepted=accepted, now=now), serial_number=1)


class ConfirmsAgain(Issuer):
    async def confirm(self, certificate: CertificateRecord, *, accepted: bool, now: datetime) -> Any:
        change = await super().confirm(certificate, accepted=accepted, now=now)
        return replace(change, expected=(CertificateState.VALID,))


class ExpectsNothing(Issuer):
    async def confirm(self, certificate: CertificateRecord, *, accepted: bool, now: datetime) -> Any:
        return replace(await super().confirm(certificate, accepted=accepted, now=now), expected=())


class ConfirmsNothing(Issuer):
    async def confirm(self, *arguments: Any, **options: Any) -> Any:
        return None


class EmptyCRL(Issuer):
    first = b""

    async def crl(self, *, now: datetime) -> bytes:
        self.first = self.first or await super().crl(now=now)
        return self.first

    async def ca_certificates(self) -> tuple[bytes, ...]:
        await self.crl(now=VirtualClock()())
        return await super().ca_certificates()


class ForgedCRL(Issuer):
    async def crl(self, *, now: datetime) -> bytes:
        wire = decode(CertificateList, await super().crl(now=now))
        octets = wire.signature_value.as_bytes()
        return encode(
            CertificateList(
                tbs_cert_list=wire.tbs_cert_list,
                signature_algorithm=wire.signature_algorithm,
                signature_value=BitString(octets[:-1] + bytes((octets[-1] ^ 1,)), 0),
            )
        )


class OldCRL(Issuer):
    async def crl(self, *, now: datetime) -> bytes:
        return await super().crl(now=now - timedelta(days=30))


class NoCRL(Issuer):
    async def crl(self, *, now: datetime) -> bytes:
        return b"no CRL"


class OtherReason(Issuer):
    async def revoke(self, request: Any, *arguments: Any, **options: Any) -> Any:
        result = await super().revoke(request, *arguments, **options)
        if isinstance(result, Revoked):
            return Revoked(replace(result.change, reason=CRLReason.SUPERSEDED))
        return result


class NeverRevokes(Issuer):
    async def revoke(self, *arguments: Any, **options: Any) -> Any:
        return Rejected(CMPError("never"))


class RevokesTwice(Issuer):
    last: Any = None

    async def revoke(self, *arguments: Any, **options: Any) -> Any:
        result = await super().revoke(*arguments, **options)
        if isinstance(result, Revoked):
            self.last = result
        return self.last


class OtherRefusal(Issuer):
    async def revoke(self, *arguments: Any, **options: Any) -> Any:
        result = await super().revoke(*arguments, **options)
        if isinstance(result, Rejected):
            return Rejected(CMPError("no", PKIFailureInfo.BAD_REQUEST))
        return result


class HoldsForEver(Issuer):
    async def revoke(self, request: Any, *arguments: Any, **options: Any) -> Any:
        if request.reason is CRLReason.REMOVE_FROM_CRL:
            return Rejected(CMPError("no", PKIFailureInfo.BAD_REQUEST))
        return await super().revoke(request, *arguments, **options)


class RevokesUnknown(Issuer):
    async def revoke(self, request: Any, *arguments: Any, **options: Any) -> Any:
        result = await super().revoke(request, *arguments, **options)
        if isinstance(result, Rejected) and PKIFailureInfo.BAD_CERT_ID in result.error.fail_info:
            key, now = self.hierarchy.issuing.key_id, options["now"]
            expected = (CertificateState.VALID,)
            return Revoked(
                CertificateChange(key, request.serial_number, CertificateState.REVOKED, expected, now, request.reason)
            )
        return result


class TakesAnyKey(Issuer):
    async def issue(self, request: Any, *arguments: Any, **options: Any) -> Any:
        if request.public_key_info == b"no key":
            return await super().issue(
                replace(request, public_key_info=self.hierarchy.issuing.public_key_info), *arguments, **options
            )
        return await super().issue(request, *arguments, **options)


@pytest.mark.parametrize(
    ("broken", "breach"),
    [
        (NoLocal, "local must be bool, not NoneType"),
        (NoAddresses, "crl_urls must be tuple, not NoneType"),
        (NoUpdate, r"what root_key_update\(\) returns must be"),
        (NoCertificates, r"ca_certificates\(\) must have the issuing certificate at least"),
        (NoRoot, "must go from the issuing one up to the root"),
        (RootFirst, "must go from the issuing one up to the root"),
        (OtherSigner, "must go from the issuing one up to the root, each signed with the key of"),
        (Stranger, "a certificate must be issued by CN=.*, not by CN="),
        (Text, r"each of ca_certificates\(\) must be a DER certificate"),
        (Raises, r"issue\(\) must return a result, not raise CMPError"),
        (Rejects, "must grant the request of the check, not reject it: never"),
        (Nothing, r"what issue\(\) returns must be Issued or Pending or Rejected, not NoneType"),
        (Waits, "must come to an end, but was pending 20 times"),
        (WaitsBackwards, "check_after must be seconds from now, not -1"),
        (ForgedCertificate, "a certificate must be signed with the key of"),
        (OtherKey, "a certificate must be for the key asked for"),
        (WrongSerial, "the serial_number of a record must be"),
        (WrongTimes, "the not_after of a record must be"),
        (WrongKey, "the request_key of a record must be 'a request of the checks, number 1'"),
        (Confirmed, "the state of a record must be <CertificateState.ISSUED"),
        (WithRoot, "without the trust anchor"),
        (NewEachTime, "must give the same certificate for the same idempotency key"),
        (Accepts, r"confirm\(accepted=False\) must end in the state 'revoked', not in 'valid'"),
        (ConfirmsAnother, r"confirm\(accepted=True\) must change the certificate it is about"),
        (ConfirmsAgain, "must expect a certificate that was issued and not confirmed"),
        (ExpectsNothing, "must say in which states it expects the certificate"),
        (ConfirmsNothing, r"what confirm\(\) returns must be CertificateChange"),
        (EmptyCRL, "a certificate that was rejected must be on the CRL"),
        (ForgedCRL, "the CRL must be signed with the key of the CA"),
        (OldCRL, "the CRL must be current at"),
        (NoCRL, r"crl\(\) must be a DER certificate list"),
        (OtherReason, "a revocation must keep its reason"),
        (NeverRevokes, "a valid certificate must be revoked, not Rejected"),
        (RevokesTwice, "the revocation of a revoked certificate must be Rejected, not Revoked"),
        (OtherRefusal, "must be rejected with certRevoked, not with no"),
        (HoldsForEver, "a hold must be lifted by removeFromCRL, not Rejected"),
        (RevokesUnknown, "the revocation of an unknown certificate must be Rejected, not Revoked"),
        (TakesAnyKey, "a request whose public key cannot be read must be Rejected, not Issued"),
    ],
)
async def test_an_issuer_that_breaks_the_contract_is_named(broken: type[Issuer], breach: str, check: Any) -> None:
    with pytest.raises(AssertionError, match=breach):
        await check(broken)


@pytest.fixture
def check(issuer: LocalIssuer, asking: Any, plugins: Plugins, store: Store, hierarchy: Hierarchy) -> Any:
    """Checks what a class makes of the local issuer, with a clock of its own."""

    async def run(made: type[Issuer]) -> Issuer:
        clock = VirtualClock()

        async def wait(seconds: float) -> None:
            clock.advance(seconds)

        async def commit(unit: UnitOfWork) -> None:
            # What a broken issuer wants to be stored may not be possible; the check must say why, not the store.
            with contextlib.suppress(CMPError):
                await store.commit(unit)

        made_of = made(issuer, hierarchy)
        await check_issuer(made_of, asking.request, asking.auth, plugins=plugins, commit=commit, clock=clock, wait=wait)
        return made_of

    return run


class Publisher(Issuer):
    """Makes delta CRLs."""

    addresses: Any = StatusAddresses()
    ocsp_key = None

    def __init__(self, issuer: LocalIssuer, hierarchy: Hierarchy) -> None:
        super().__init__(issuer, hierarchy)
        settings = {"delta_crl_validity": timedelta(hours=1)}
        self.publisher = LocalIssuer(hierarchy.issuing, issuer._key, issuer._store, {}, **settings)  # type: ignore[arg-type]

    async def crl(self, *, now: datetime) -> bytes:
        return await self.publisher.crl(now=now)

    async def delta_crl(self, *, now: datetime) -> Any:
        return await self.publisher.delta_crl(now=now)


class NoStatusAddresses(Publisher):
    addresses = ("http://pki.example",)


class CompleteDelta(Publisher):
    async def delta_crl(self, *, now: datetime) -> Any:
        return await self.publisher.crl(now=now)


class OldDelta(Publisher):
    """Does not look at the books again."""

    async def crl(self, *, now: datetime) -> bytes:
        self.made = await self.publisher.delta_crl(now=now)
        return await super().crl(now=now)

    async def delta_crl(self, *, now: datetime) -> Any:
        return self.made


class NeverDelta(Publisher):
    async def delta_crl(self, *, now: datetime) -> Any:
        return None


@pytest.mark.parametrize("made", [Publisher, NeverDelta])
async def test_an_issuer_may_make_delta_crls(made: type[Issuer], check: Any) -> None:
    await check(made)


@pytest.mark.parametrize(
    ("broken", "breach"),
    [
        (NoStatusAddresses, "addresses must be"),
        (CompleteDelta, "must have a critical deltaCRLIndicator"),
        (OldDelta, "must list what was revoked since its base"),
    ],
)
async def test_delta_crls_that_break_the_contract_are_named(broken: type[Issuer], breach: str, check: Any) -> None:
    with pytest.raises(AssertionError, match=breach):
        await check(broken)


class Elsewhere(Issuer):
    """Keeps the contract, in the ways that the local one does not need: slowly, with books, without holds."""

    local = False

    def __init__(self, issuer: LocalIssuer, hierarchy: Hierarchy) -> None:
        super().__init__(issuer, hierarchy)
        self.books: dict[str, Any] = {}
        self.asked: set[Any] = set()

    async def issue(self, request: Any, auth: Any, *, idempotency_key: str, now: datetime) -> Any:
        if idempotency_key not in self.asked:
            self.asked.add(idempotency_key)
            return Pending(30, "it takes a while")
        if idempotency_key not in self.books:
            self.books[idempotency_key] = await super().issue(request, auth, idempotency_key=idempotency_key, now=now)
        return self.books[idempotency_key]

    async def revoke(self, request: Any, *arguments: Any, **options: Any) -> Any:
        if request.reason is CRLReason.CERTIFICATE_HOLD:
            return Rejected(CMPError("there are no holds here", PKIFailureInfo.BAD_REQUEST))
        if request not in self.asked:
            self.asked.add(request)
            return Pending(0)
        return await super().revoke(request, *arguments, **options)


async def test_an_issuer_elsewhere_that_keeps_the_contract_passes(check: Any) -> None:
    issuer = await check(Elsewhere)
    assert len(issuer.books) > 5
