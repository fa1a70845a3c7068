"""What a CA announces to repositories (RFC 9810 sections 5.3.13 to 5.3.16).

Its CRLs and its new root are states, of which the present one is sent. Certificates and revocations are sequences: the
store numbers them, and knows up to which number each repository was told.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import anyio
from cryptography import x509

from cmpkit.asn1 import (
    CertId,
    CertificateList,
    CertificateWire,
    GeneralizedTime,
    PKIBody,
    PKIMessage,
    RevAnnContent,
    RootCaKeyUpdateContent,
    Variant,
    decode,
    directory_name,
    read_name,
)
from cmpkit.crypto.crl_building import crl_entry_extensions
from cmpkit.crypto.x509 import certificate_public_key_info, issuer_key_id, outline
from cmpkit.endpoints.credentials import SigningCredentials, is_self_signed
from cmpkit.endpoints.protector import protection_for, seal
from cmpkit.engine.header import NONCE_SIZE, request_header
from cmpkit.enums import PVNO, BodyType, CRLReason, PKIStatus
from cmpkit.errors import CMPError, ConfigurationError, TransportError
from cmpkit.parts import (
    AnnouncementTransport,
    CertificateRecord,
    Disposition,
    Issuer,
    RandomOctets,
    RootKeyUpdate,
    Store,
    TransportOptions,
    root_key_updates,
)
from cmpkit.plugins import Plugins

__all__ = ["Announcer", "Subscriber", "open_road"]

_log = logging.getLogger("cmpkit.announcing")
_LONGEST_PAUSE = timedelta(hours=1)
_LARGEST_POWER = 16


@dataclass(frozen=True, slots=True)
class Subscriber:
    """A repository that is told.

    :param url: its address.
    :param what: of what: ``CRLANN``, ``CKUANN``, ``CANN`` and ``RANN``.
    :param options: of the road there.
    """

    url: str
    what: frozenset[BodyType] = frozenset({BodyType.CRLANN, BodyType.CKUANN})
    options: TransportOptions = field(default_factory=TransportOptions, hash=False)


@dataclass(frozen=True, slots=True)
class _News:
    """Something that repositories should have.

    :param topic: what it is the latest of, or the next of.
    :param digest: tells it from what was announced of that topic before.
    :param certificates: DER of what it may take to believe it.
    :param number: its number in a sequence; 0 for a state.
    :param signer: who has to sign it, if not everything is signed by the same.
    """

    topic: str
    digest: bytes
    body: PKIBody
    certificates: tuple[bytes, ...] = ()
    number: int = 0
    signer: SigningCredentials | None = None


@dataclass
class _Standing:
    """What a subscriber has, and when it is tried again after a failure.

    :param told: up to which numbers of sequences it was told.
    """

    has: dict[str, bytes] = field(default_factory=dict)
    told: dict[str, int] = field(default_factory=dict)
    failures: int = 0
    not_before: datetime | None = None


@dataclass(frozen=True)
class Announcer:
    """Sees to it that every subscriber has the current CRLs and the new root, and knows of certificates.

    What there is to announce is asked of the issuers and the store each time, so nothing can be lost, whatever ends the
    process: what is not known to have arrived is sent, after a restart every state once, and repositories take twice
    what they have.

    :param signer: signs the announcements.
    :param issuers: with the certificates of each; those of former keys have CRLs and revocations, too.
    :param clock: gives the time, in UTC.
    :param former: signers under former keys: they alone are believed about what these keys issued.
    """

    plugins: Plugins
    signer: SigningCredentials
    store: Store
    issuers: Sequence[tuple[Issuer, tuple[bytes, ...]]]
    subscribers: Sequence[Subscriber]
    clock: Callable[[], datetime]
    interval: timedelta = timedelta(seconds=30)
    random: RandomOctets = secrets.token_bytes
    former: tuple[SigningCredentials, ...] = ()
    _standings: dict[Subscriber, _Standing] = field(default_factory=dict, repr=False)

    async def keep_announcing(self) -> None:
        """Run :meth:`announce` at intervals, until cancelled."""
        while True:
            await self.announce()
            await anyio.sleep(self.interval.total_seconds())

    async def warn(self, record: CertificateRecord, reason: CRLReason, *, at: datetime) -> dict[str, CMPError | None]:
        """Tell whoever is told of revocations of one that is to come (RFC 9810 section 5.3.15).

        :param at: when the certificate will be revoked.
        :returns: by the addresses of repositories, why it was not kept there; ``None`` if it was.
        """
        chains = [certificates for _, certificates in self.issuers]
        chain = next(chain for chain in chains if _issuer_key(chain) == record.issuer_key)
        body = _revocation(replace(record, revoked_at=at, invalidity_date=None, reason=reason), coming=True)
        item = _News("warning", b"", body, _above(chain), signer=self._signer_below(chain[0]))
        told = [subscriber for subscriber in self.subscribers if BodyType.RANN in subscriber.what]
        return {subscriber.url: await self._send(subscriber, item) for subscriber in told}

    async def _send(self, subscriber: Subscriber, item: _News) -> CMPError | None:
        """Send one announcement; what became of it."""
        try:
            if not await self._deliver(subscriber, [item], _Standing()):
                return TransportError(f"{subscriber.url} is to be told again later")
        except CMPError as error:
            return error
        return None

    async def announce(self) -> None:
        """Send every subscriber what it has not got yet. What cannot be delivered is tried again, ever more rarely."""
        now = self.clock()
        try:
            news = [*await self._crls(now), *await self._roots()]
        except CMPError as error:
            _log.error("nothing is announced: %s", error)
            return
        async with anyio.create_task_group() as tasks:
            for subscriber in self.subscribers:
                tasks.start_soon(self._tell, subscriber, news, now)

    async def _crls(self, now: datetime) -> list[_News]:
        found = []
        for issuer, certificates in self.issuers:
            crl = await issuer.crl(now=now)
            body = PKIBody(BodyType.CRLANN, [decode(CertificateList, crl)])
            topic = f"CRL of {hashlib.sha256(certificates[0]).hexdigest()}"
            found.append(_News(topic, hashlib.sha256(crl).digest(), body, _above(certificates)))
        return found

    async def _roots(self) -> list[_News]:
        """The keys of the root, the oldest first: each is believed by who believes the one before."""
        found = []
        for update in reversed(await root_key_updates(self.issuers[0][0])):
            digest = hashlib.sha256(update.new_with_new).digest()
            body = PKIBody(BodyType.CKUANN, Variant(_content(update), "ca_key_upd_ann_v3"))
            found.append(_News(f"new root {digest.hex()}", digest, body))
        return found

    async def _sequences(self, subscriber: Subscriber, standing: _Standing, now: datetime) -> list[_News]:
        """The next certificates and revocations that a subscriber is to be told of."""
        found: list[_News] = []
        queries = {BodyType.CANN: self.store.publications, BodyType.RANN: self.store.revocations}
        for kind in (kind for kind in queries if kind in subscriber.what):
            for _, certificates in self.issuers:
                key = _issuer_key(certificates)
                topic = f"{kind.wire_name} {key}"
                if topic not in standing.told:
                    standing.told[topic] = await self.store.announced(subscriber.url, topic)
                records = await queries[kind](key, since=standing.told[topic], now=now)
                above, signer = _above(certificates), self._signer_below(certificates[0])
                found += [_News(topic, b"", _BODIES[kind](record), above, number, signer) for number, record in records]
        return found

    def _signer_below(self, authority: bytes) -> SigningCredentials:
        """Who signs for the key of a CA: only it, and those above it, announce its revocations."""
        subject = outline(authority).subject_der
        signers = (self.signer, *self.former)
        return next((one for one in signers if outline(one.certificate).issuer_der == subject), self.signer)

    async def _tell(self, subscriber: Subscriber, news: Sequence[_News], now: datetime) -> None:
        standing = self._standings.setdefault(subscriber, _Standing())
        if standing.not_before is not None and now < standing.not_before:
            return
        try:
            while due := [
                *(item for item in _wanted(subscriber, news) if standing.has.get(item.topic) != item.digest),
                *await self._sequences(subscriber, standing, now),
            ]:
                # A root that a repository does not believe must not keep the rest from it.
                due.sort(key=lambda item: item.body.type is BodyType.CKUANN)
                if not await self._deliver(subscriber, due, standing):
                    break
        except CMPError as error:
            self._note_failure(subscriber, standing, str(error), now)
        else:
            standing.failures, standing.not_before = 0, None

    async def _deliver(self, subscriber: Subscriber, due: Sequence[_News], standing: _Standing) -> bool:
        """Send what is due; whether all of it was stored."""
        road = open_road(subscriber.url, subscriber.options, self.plugins)
        told: dict[str, int] = {}
        stuck: set[str] = set()
        try:
            for item in (item for item in due if item.topic not in stuck):
                message = await self._message(item)
                if await road.announce(message.raw) is not Disposition.STORED:
                    stuck.add(item.topic)
                elif item.number:
                    told[item.topic] = item.number
                else:
                    standing.has[item.topic] = item.digest
        finally:
            with anyio.CancelScope(shield=True):
                await road.aclose()
                for topic, number in told.items():
                    await self.store.note_announced(subscriber.url, topic, number)
                standing.told |= told
        return not stuck

    def _note_failure(self, subscriber: Subscriber, standing: _Standing, fault: str, now: datetime) -> None:
        pause = min(self.interval * 2 ** min(standing.failures, _LARGEST_POWER), _LONGEST_PAUSE)
        standing.failures, standing.not_before = standing.failures + 1, now + pause
        _log.warning("%s was not told, again in %d s: %s", subscriber.url, pause.total_seconds(), fault)

    async def _message(self, item: _News) -> PKIMessage:
        signer = item.signer or self.signer
        protection, algorithm, key = protection_for(signer, self.plugins)
        new_syntax = item.body.type is BodyType.CKUANN  # RFC 9810 section 5.3.13
        header = request_header(
            pvno=PVNO.CMP2021 if new_syntax else PVNO.CMP2000,
            sender=signer.subject,
            recipient=x509.Name([]),
            sender_kid=signer.key_identifier,
            protection_alg=algorithm,
            transaction_id=self.random(NONCE_SIZE),
            recip_nonce=None,
            now=self.clock(),
            random=self.random,
        )
        return await seal(header, item.body, protection, key, (*signer.extra_certs, *item.certificates))


def open_road(url: str, options: TransportOptions, plugins: Plugins) -> AnnouncementTransport:
    """A road that carries announcements; no octet is sent yet.

    :raises ConfigurationError: if there is none to that address.
    """
    road = plugins.client_transport(url).open(url, options)
    if not isinstance(road, AnnouncementTransport):
        raise ConfigurationError(f"the road to {url} carries no announcements", hint="give an http address")
    return road


def _above(certificates: Sequence[bytes]) -> tuple[bytes, ...]:
    """The certificates of a CA that lead to its root."""
    return tuple(der for der in certificates if not is_self_signed(der))


def _issuer_key(certificates: Sequence[bytes]) -> str:
    return issuer_key_id(certificate_public_key_info(certificates[0]))


def _wanted(subscriber: Subscriber, news: Sequence[_News]) -> Iterator[_News]:
    return (item for item in news if item.body.type in subscriber.what)


def _content(update: RootKeyUpdate) -> RootCaKeyUpdateContent:
    links = (update.new_with_old, update.old_with_new)
    new_with_old, old_with_new = (None if link is None else decode(CertificateWire, link) for link in links)
    return RootCaKeyUpdateContent(
        new_with_new=decode(CertificateWire, update.new_with_new), new_with_old=new_with_old, old_with_new=old_with_new
    )


def _certificate(record: CertificateRecord) -> PKIBody:
    return PKIBody(BodyType.CANN, decode(CertificateWire, record.der))


def _revocation(record: CertificateRecord, *, coming: bool = False) -> PKIBody:
    """That a certificate was or will be revoked, with its entry on the CRL (RFC 9810 section 5.3.15)."""
    assert record.revoked_at is not None
    at, since = record.revoked_at.replace(microsecond=0), (record.invalidity_date or record.revoked_at)
    issuer = read_name(outline(record.der).issuer_der)
    content = RevAnnContent(
        status=PKIStatus.REVOCATION_WARNING if coming else PKIStatus.REVOCATION_NOTIFICATION,
        cert_id=CertId(issuer=directory_name(issuer), serial_number=record.serial_number),
        will_be_revoked_at=GeneralizedTime(at),
        bad_since_date=GeneralizedTime(since.replace(microsecond=0)),
        crl_details=crl_entry_extensions(record.reason, record.invalidity_date) or None,
    )
    return PKIBody(BodyType.RANN, content)


_BODIES: Mapping[BodyType, Callable[[CertificateRecord], PKIBody]] = {
    BodyType.CANN: _certificate,
    BodyType.RANN: _revocation,
}
