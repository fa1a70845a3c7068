"""Whether the certificates of a path are revoked, by what an operator names: CRLs, and an OCSP responder.

Nothing is fetched from an address that stands in a certificate: its holder would choose whom we ask.
"""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from cryptography.hazmat.primitives.serialization import Encoding

from cmpkit.crypto.crl_checking import status_by_crls
from cmpkit.crypto.crls import load_crl
from cmpkit.crypto.ocsp import StatusInfo, cert_id
from cmpkit.crypto.ocsp_answers import build_ocsp_request, read_ocsp_response
from cmpkit.crypto.x509 import outline
from cmpkit.enums import CRLReason, PKIFailureInfo
from cmpkit.errors import CMPError, ConfigurationError, TrustError
from cmpkit.parts import Question, RandomOctets, ResourceClient, TransportOptions
from cmpkit.plugins import Plugins

__all__ = ["RevocationChecker", "RevocationSources"]

MAX_CRL_SIZE: Final = 64 << 20
"""Octets of a CRL that is fetched."""
_NONCE_OCTETS: Final = 32


@dataclass(frozen=True, slots=True)
class RevocationSources:
    """Who says what is revoked.

    :param crls: CRLs, PEM or DER, complete ones and deltas of whatever issuers.
    :param crl_urls: where more are fetched, when they are needed first.
    :param ocsp_url: an OCSP responder; where it has no say, CRLs are looked at.
    """

    crls: tuple[bytes, ...] = ()
    crl_urls: tuple[str, ...] = ()
    ocsp_url: str | None = None


@dataclass
class RevocationChecker:
    """Checks paths. CRLs are fetched once.

    :param transport: options for what is fetched.
    :param random: where nonces come from.
    """

    sources: RevocationSources
    plugins: Plugins
    transport: TransportOptions = field(default_factory=TransportOptions)
    random: RandomOctets = secrets.token_bytes
    _crls: tuple[bytes, ...] | None = field(default=None, init=False)

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
        complaint = ""
        if self.sources.ocsp_url is not None:
            try:
                status = await self._ask(self.sources.ocsp_url, certificate, issuer, now)
                if status.standing != "unknown":
                    return status
                complaint = "the OCSP responder does not know it"
            except TrustError as error:
                complaint = error.detail
        crls = await self._known_crls()
        by_crls = status_by_crls(certificate, issuer, crls, now=now, plugins=self.plugins)
        if by_crls is not None:
            return by_crls
        raise TrustError(
            f"whether the certificate {outline(certificate).title} is revoked is not known: "
            f"{complaint or 'no current CRL of its issuer is given'}",
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
            return read_ocsp_response(answer, asked, nonce, issuer=issuer, now=now, plugins=self.plugins)
        except CMPError as error:
            raise TrustError(f"{url}: {error.detail}", error.fail_info, rule=error.rule, hint=error.hint) from error

    async def _known_crls(self) -> tuple[bytes, ...]:
        if self._crls is None:
            options = replace(self.transport, max_response_size=MAX_CRL_SIZE)
            fetched = [await self._client(url).fetch(url, options) for url in self.sources.crl_urls]
            self._crls = tuple(_to_der(crl) for crl in (*self.sources.crls, *fetched))
        return self._crls

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
        f"the certificate {outline(certificate).title} is {status.standing}{since}{reason}",
        PKIFailureInfo.CERT_REVOKED,
        rule="RFC 5280 section 6.3",
    )
