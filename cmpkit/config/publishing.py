"""What a server publishes beside CMP, and under which paths: those of the addresses that are in its certificates."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import anyio.to_thread
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from cmpkit.ca.certificates import read_issuer_certificate
from cmpkit.ca.ocsp import OCSPResponder, OCSPSigner
from cmpkit.ca.ocsp_renewal import OCSPSignerRenewal
from cmpkit.ca.publication import CertificateDocument, CRLDocument, OCSPService
from cmpkit.ca.sources import read_file
from cmpkit.config.tables import OCSPTable, PublicationTable
from cmpkit.crypto.crls import load_crl
from cmpkit.crypto.keys import write_file_atomically
from cmpkit.crypto.names import format_name
from cmpkit.crypto.stand_ins import check_signature
from cmpkit.crypto.x509 import outline, to_pem
from cmpkit.endpoints.credentials import SigningCredentials
from cmpkit.errors import CMPError, ConfigurationError
from cmpkit.parts import Issuer, Resource, StatusAddresses, StatusPublisher, Store, cross_certificates_of
from cmpkit.plugins import Plugins

__all__ = ["Published", "build_resources", "ocsp_renewal", "ocsp_signers", "read_crls"]

log = logging.getLogger("cmpkit.ocsp")

_CRL_PATH, _DELTA_CRL_PATH, _CERTIFICATE_PATH = "/crl/ca.crl", "/crl/ca-delta.crl", "/ca/ca.cer"
_OCSP_PATH = "/ocsp"
_CRL_FOLDER, _CERTIFICATE_FOLDER = "/crl/", "/ca/"


@dataclass(frozen=True, slots=True)
class Published:
    """What there is to publish.

    :param issuers: with the certificates of each, its own first; the present issuer first, then those of former keys.
    :param signers: who signs OCSP responses; there are none if no OCSP is answered.
    :param renewal: renews the certificate of one of them; ``None`` if the key of the CA is not here for that.
    :param crls: DER CRLs of other CAs by the names that they are served under.
    """

    store: Store
    issuers: Sequence[tuple[Issuer, tuple[bytes, ...]]]
    signers: Sequence[OCSPSigner] = ()
    crls: Mapping[str, bytes] = field(default_factory=dict)
    renewal: OCSPSignerRenewal | None = None


def ocsp_signers(
    credentials: SigningCredentials, issuers: Iterable[tuple[Issuer, tuple[bytes, ...]]], plugins: Plugins
) -> tuple[OCSPSigner, ...]:
    """Who signs OCSP responses: whom a key of the CA authorised, else that key itself (RFC 6960 section 4.2.2.2).

    :param credentials: those that the configuration names.
    :param issuers: as for :class:`Published`.
    :raises ConfigurationError: if the certificate may not sign OCSP responses, or fits no key and none is here.
    """
    der = credentials.certificate
    name = format_name(credentials.subject)
    signers: list[OCSPSigner] = []
    for issuer, (authority, *_) in issuers:
        if der == authority:
            signers.append(OCSPSigner(credentials.key, authority))
        elif _issued(authority, der, plugins):
            _check_purpose(x509.load_der_x509_certificate(der))
            signers.append(OCSPSigner(credentials.key, authority, (der,)))
        elif isinstance(issuer, StatusPublisher) and issuer.ocsp_key is not None:
            log.warning("[ocsp] %s is not for a key of the CA, which signs OCSP responses itself", name)
            signers.append(OCSPSigner(issuer.ocsp_key, authority))
    if not signers:
        raise ConfigurationError(
            f"{name} is neither the CA nor has a certificate that this CA issued", rule="RFC 6960 section 4.2.2.2"
        )
    return tuple(signers)


def ocsp_renewal(
    signers: Sequence[OCSPSigner],
    store: Store,
    issuers: Iterable[tuple[Issuer, tuple[bytes, ...]]],
    *,
    validity: timedelta,
    path: Path,
) -> OCSPSignerRenewal | None:
    """What renews the certificate of the signer whom the CA authorised; ``None`` if the key of the CA is not here.

    :param signers: from :func:`ocsp_signers`.
    :param issuers: as for :class:`Published`.
    :param validity: of new certificates.
    :param path: the file with the certificate.
    """
    for issuer, certificates in issuers:
        authority = read_issuer_certificate(certificates)
        signer = next((one for one in signers if one.certificates and one.issuer_key == authority.key_id), None)
        key = issuer.ocsp_key if issuer.local and isinstance(issuer, StatusPublisher) else None
        if signer is not None and key is not None:
            keep = partial(_keep, path, above=authority.all)
            return OCSPSignerRenewal(signer, authority, key, store, keep, validity=validity)
    return None


async def _keep(path: Path, der: bytes, *, above: tuple[bytes, ...]) -> None:
    await anyio.to_thread.run_sync(write_file_atomically, path, to_pem(der, *above))


def _issued(authority: bytes, der: bytes, plugins: Plugins) -> bool:
    if outline(der).issuer_der != outline(authority).subject_der:
        return False
    try:
        check_signature(der, authority, plugins)
    except CMPError:
        return False
    return True


def _check_purpose(certificate: x509.Certificate) -> None:
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        usage = x509.ExtendedKeyUsage([])
    if ExtendedKeyUsageOID.OCSP_SIGNING not in usage:
        raise ConfigurationError(
            f"the certificate of {format_name(certificate.subject)} has no extended key usage ocspSigning",
            rule="RFC 6960 section 4.2.2.2",
            hint="issue one that has it, or name the certificate and the key of the CA itself",
        )


async def read_crls(table: PublicationTable, directory: Path) -> dict[str, bytes]:
    """The CRLs of other CAs as DER, by the names of their files.

    :raises ConfigurationError: naming the file that is none.
    """
    found: dict[str, bytes] = {}
    for file in table.crl_files:
        try:
            crl = load_crl(await read_file(file, directory))
        except ConfigurationError as error:
            raise ConfigurationError(f"{Path(directory, file)}: {error.detail}", hint=error.hint) from error
        found[f"{Path(file).stem}.crl"] = crl.public_bytes(Encoding.DER)
    return found


def build_resources(
    published: Published, ocsp: OCSPTable | None, *, clock: Callable[[], datetime]
) -> dict[str, Resource]:
    """What is published, by paths.

    :param clock: gives the time, in UTC.
    :raises ConfigurationError: if two things would have one path.
    """
    resources: dict[str, Resource] = {}
    for number, (issuer, certificates) in enumerate(published.issuers):
        _add(resources, _of_issuer(issuer, certificates[0], present=number == 0, clock=clock))
    for name, der in published.crls.items():
        _add(resources, [(f"{_CRL_FOLDER}{name}", CRLDocument(_constant(der), clock=clock))])
    if ocsp is not None and published.signers:
        responder = OCSPResponder(
            published.signers,
            published.store,
            validity=ocsp.validity,
            never_issued=ocsp.never_issued,
            nonces=ocsp.nonces,
            max_certificates=ocsp.max_certificates,
        )
        paths = _paths(_addresses(published.issuers[0][0]).ocsp) or [_OCSP_PATH]
        service = OCSPService(responder, clock=clock)
        _add(resources, [(f"{path.rstrip('/')}/", service) for path in paths])
    return resources


def _of_issuer(
    issuer: Issuer, certificate: bytes, *, present: bool, clock: Callable[[], datetime]
) -> Iterable[tuple[str, Resource]]:
    """At the paths of its addresses; the present one has paths without any, too."""
    addresses = _addresses(issuer)

    async def complete(now: datetime) -> bytes | None:
        return await issuer.crl(now=now)

    for path in _paths(issuer.crl_urls) or ([_CRL_PATH] if present else []):
        yield path, CRLDocument(complete, clock=clock)
    if isinstance(issuer, StatusPublisher):

        async def delta(now: datetime) -> bytes | None:
            return await issuer.delta_crl(now=now)

        for path in _paths(addresses.delta_crl) or ([_DELTA_CRL_PATH] if present else []):
            yield path, CRLDocument(delta, clock=clock)
    for path in _paths(addresses.ca_issuers) or ([_CERTIFICATE_PATH] if present else []):
        yield path, CertificateDocument(certificate, clock=clock)
    for name, der in cross_certificates_of(issuer).items():
        yield f"{_CERTIFICATE_FOLDER}{name}.cer", CertificateDocument(der, clock=clock)


def _addresses(issuer: Issuer) -> StatusAddresses:
    return issuer.addresses if isinstance(issuer, StatusPublisher) else StatusAddresses()


def _constant(der: bytes) -> Callable[[datetime], Awaitable[bytes | None]]:
    async def fetch(_: datetime) -> bytes:
        return der

    return fetch


def _paths(urls: Iterable[str]) -> list[str]:
    """The paths of those that are http addresses."""
    return [urlsplit(url).path or "/" for url in urls if urlsplit(url).scheme in ("http", "https")]


def _add(resources: dict[str, Resource], more: Iterable[tuple[str, Resource]]) -> None:
    for path, resource in more:
        if path in resources:
            raise ConfigurationError(
                f"two things would be published at {path}", hint="give them addresses with paths of their own"
            )
        resources[path] = resource
