"""Whether the certificates of a path are revoked, by what an operator names: CRLs, and an OCSP responder.

Nothing is fetched from an address that stands in a certificate, unless the operator allows it: then from those where
its issuer says that the CRL is. Only paths that were validated are looked at, so the address is that of a CA.
"""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.serialization import Encoding

from cmpkit.ca.sources import read_file
from cmpkit.crypto.crl_checking import status_by_crls
from cmpkit.crypto.crls import crl_addresses, load_crl
from cmpkit.crypto.ocsp import StatusInfo, cert_id
from cmpkit.crypto.ocsp_answers import build_ocsp_request, read_ocsp_response
from cmpkit.crypto.x509 import outline
from cmpkit.enums import CRLReason, PKIFailureInfo
from cmpkit.errors import CMPError, ConfigurationError, TransportError, TrustError
from cmpkit.parts import Question, RandomOctets, ResourceClient, TransportOptions
from cmpkit.plugins import Plugins

__all__ = ["RevocationChecker", "RevocationSources", "revocation_sources"]

MAX_CRL_SIZE: Final = 64 << 20
"""Octets of a CRL that is fetched."""
_NONCE_OCTETS: Final = 32
_MAX_ADDRESSES: Final = 4
"""Addresses in one certificate that are tried."""


@dataclass(frozen=True, slots=True)
class RevocationSources:
    """Who says what is revoked.

    :param crls: CRLs, PEM or DER, complete ones and deltas of whatever issuers.
    :param crl_urls: where more are fetched, when they are needed first.
    :param ocsp_url: an OCSP responder; where it has no say, CRLs are looked at.
    :param crl_download: whether a CRL is fetched from where the certificate itself says that it is
        (cRLDistributionPoints), if none of the others has a say.
    """

    crls: tuple[bytes, ...] = ()
    crl_urls: tuple[str, ...] = ()
    ocsp_url: str | None = None
    crl_download: bool = False


async def revocation_sources(
    crls: Sequence[str], ocsp_url: str | None, *, crl_download: bool, directory: Path
) -> RevocationSources | None:
    """What an operator names, with the files read.

    :param crls: files and URLs of CRLs.
    :param crl_download: see :class:`RevocationSources`.
    :param directory: where relative paths start.
    :returns: ``None`` if nothing is named.
    :raises ConfigurationError: naming the file that is no CRL, or cannot be read.
    """
    if not crls and ocsp_url is None and not crl_download:
        return None
    urls = tuple(source for source in crls if "://" in source)
    files = [await _read_crl(source, directory) for source in crls if "://" not in source]
    return RevocationSources(tuple(files), urls, ocsp_url, crl_download)


async def _read_crl(path: str, directory: Path) -> bytes:
    try:
        return _to_der(await read_file(path, directory))
    except ConfigurationError as error:
        detail = error.detail if path in error.detail else f"{path}: {error.detail}"
        raise ConfigurationError(detail, hint=error.hint) from error


@dataclass
class RevocationChecker:
    """Checks paths. CRLs are fetched once, and again when their time is over.

    :param transport: options for what is fetched.
    :param random: where nonces come from.
    """

    sources: RevocationSources
    plugins: Plugins
    transport: TransportOptions = field(default_factory=TransportOptions)
    random: RandomOctets = secrets.token_bytes
    _fetched: dict[str, tuple[datetime | None, bytes]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        """Whether there is a road to each address that is named.

        :raises ConfigurationError: naming one to which there is none.
        """
        for url in (*self.sources.crl_urls, *filter(None, (self.sources.ocsp_url,))):
            self._client(url)

    async def check(self, path: Sequence[bytes], *, now: datetime) -> tuple[StatusInfo, ...]:
        """That no certificate of a path is revoked.

        :param path: DER certificates that were validated, each before its issuer; the last one is a trust anchor, whose
            owner decides about it in another way.
        :returns: how each of them stands, without the trust anchor: all are good.
        :raises TrustError: naming the first that is revoked, or of which nothing is known.
        :raises TransportError: if something that is needed cannot be fetched.
        """
        found = []
        for certificate, issuer in itertools.pairwise(path):
            status = await self._status(certificate, issuer, now)
            _require_good(certificate, status)
            found.append(status)
        return tuple(found)

    async def _status(self, certificate: bytes, issuer: bytes, now: datetime) -> StatusInfo:
        complaints = []
        if self.sources.ocsp_url is not None:
            try:
                return await self._ask(self.sources.ocsp_url, certificate, issuer, now)
            except TrustError as error:
                complaints.append(error.detail)
        crls = [*self._given, *[await self._fetch(url, now) for url in self.sources.crl_urls]]
        if self.sources.crl_download:
            crls += await self._download(certificate, now, complaints)
        status = status_by_crls(certificate, issuer, crls, now=now, plugins=self.plugins)
        if status.standing != "unknown":
            return status
        if crls or not complaints:
            complaints.append(status.source)
        raise TrustError(
            f"whether the certificate {outline(certificate).title} is revoked is not known: {'; '.join(complaints)}",
            PKIFailureInfo.SIGNER_NOT_TRUSTED,
            rule="RFC 5280 section 6.3",
            hint="give a current CRL of each CA of the path (--crl), or an OCSP responder that knows them (--ocsp)",
        )

    async def _ask(self, url: str, certificate: bytes, issuer: bytes, now: datetime) -> StatusInfo:
        nonce = self.random(_NONCE_OCTETS)
        asked = cert_id(issuer, outline(certificate).serial_number)
        question = Question(build_ocsp_request(asked, nonce), "application/ocsp-request", "application/ocsp-response")
        answer = await self._client(url).fetch(url, self.transport, question)
        try:
            status = read_ocsp_response(answer, asked, nonce, issuer=issuer, now=now, plugins=self.plugins)
        except CMPError as error:
            raise TrustError(f"{url}: {error.detail}", error.fail_info, rule=error.rule, hint=error.hint) from error
        if status.standing == "unknown":
            raise TrustError(f"the OCSP responder {url} does not know it", PKIFailureInfo.SIGNER_NOT_TRUSTED)
        return replace(status, source=f"the OCSP responder {url}")

    async def _download(self, certificate: bytes, now: datetime, complaints: list[str]) -> list[bytes]:
        """The first CRL that is found where the certificate says.

        :param complaints: gets what is wrong with the others.
        """
        for url in crl_addresses(certificate)[:_MAX_ADDRESSES]:
            try:
                return [await self._fetch(url, now)]
            except (TransportError, TrustError) as error:
                complaints.append(error.detail)
        return []

    @cached_property
    def _given(self) -> tuple[bytes, ...]:
        return tuple(map(_to_der, self.sources.crls))

    async def _fetch(self, url: str, now: datetime) -> bytes:
        ends, der = self._fetched.get(url, (None, b""))
        if ends is None or ends <= now:
            crl = await self._client(url).fetch(url, replace(self.transport, max_response_size=MAX_CRL_SIZE))
            try:
                read = load_crl(crl)
            except ConfigurationError as error:
                raise TrustError(f"{url}: {error.detail}", PKIFailureInfo.SIGNER_NOT_TRUSTED) from error
            ends, der = read.next_update_utc, read.public_bytes(Encoding.DER)
            self._fetched[url] = ends, der
        return der

    def _client(self, url: str) -> ResourceClient:
        road = self.plugins.client_transport(url)
        if not isinstance(road, ResourceClient):
            raise ConfigurationError(f"{url}: nothing can be fetched there", hint="give an http address")
        return road


def _to_der(crl: bytes) -> bytes:
    return load_crl(crl).public_bytes(Encoding.DER)


def _require_good(certificate: bytes, status: StatusInfo) -> None:
    if status.standing == "good":
        return
    since = "" if status.revoked_at is None else f" since {status.revoked_at:%Y-%m-%d %H:%M:%S} UTC"
    reason = "" if status.reason in (None, CRLReason.UNSPECIFIED) else f" ({status.reason.wire_name})"
    raise TrustError(
        f"the certificate {outline(certificate).title} is {status.standing}{since}{reason}, says {status.source}",
        PKIFailureInfo.CERT_REVOKED,
        rule="RFC 5280 section 6.3",
    )
