"""Everything that a configuration names, opened: store, issuer, policy, secret sources, signer, certificates."""

from __future__ import annotations

import base64
import binascii
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio

from cmpkit.ca.certificates import check_registration_authority
from cmpkit.ca.cross_profiles import check_cross_profiles
from cmpkit.ca.key_generation import check_key_generation
from cmpkit.ca.ocsp import OCSPSigner
from cmpkit.ca.ocsp_renewal import OCSPSignerRenewal
from cmpkit.ca.settings import naming
from cmpkit.ca.sources import read_certificates, read_file, resolve_store_url
from cmpkit.ca.tls_certificates import TLSCertificate
from cmpkit.config.mistakes import Mistakes
from cmpkit.config.publishing import Published, build_resources, ocsp_renewal, ocsp_signers, read_crls
from cmpkit.config.reading import Configuration, Draft, PartTable, read_draft
from cmpkit.config.relaying import UpstreamParts, open_upstream
from cmpkit.config.signing import check_validity, open_signer
from cmpkit.config.tables import (
    EncryptionTable,
    FormerSignerTable,
    OCSPTable,
    RepositoryTable,
    ServerTable,
    SignerTable,
    StoreTable,
)
from cmpkit.crypto.enveloping import KeyRecipient, can_receive
from cmpkit.endpoints.announcements import AnnouncementVerifier
from cmpkit.endpoints.credentials import SigningCredentials
from cmpkit.endpoints.repository import Repository
from cmpkit.errors import ConfigurationError
from cmpkit.parts import (
    CertificateProfile,
    EncryptionCredentials,
    Issuer,
    OpenContext,
    Policy,
    SecretSource,
    Store,
    WantedCertificate,
    issuers_of,
)
from cmpkit.plugins import Plugins
from cmpkit.relay.no_issuer import NoIssuer
from cmpkit.relay.routes import Route

__all__ = ["ServerParts", "check_configuration", "open_issuer", "open_parts", "open_store", "utc_now"]


def utc_now() -> datetime:
    """The time of this machine."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class ServerParts:
    """What a server consists of.

    :param authority: DER certificates of the CA, the issuing one first.
    :param former: issuers with earlier keys of the CA, each with its certificates, likewise.
    :param trusted: DER trust anchors besides the CA's own.
    :param intermediates: DER certificates that lead to them.
    :param registration_authorities: DER certificates of those that other CAs issued.
    :param ca_pubs: DER certificates for caPubs.
    :param profiles: the certificate profiles that there are.
    :param published: what is to be published beside CMP; ``None`` if nothing is.
    :param repository: what takes announcements; ``None`` refuses them.
    :param encryption: what requesters encrypt to; ``None`` if there is no such key.
    :param tls: the certificates of the server's own that its CA issues.
    :param upstreams: the CMP servers that messages are passed on to.
    :param routes: which messages are.
    """

    store: Store
    issuer: Issuer
    authority: tuple[bytes, ...]
    former: tuple[tuple[Issuer, tuple[bytes, ...]], ...]
    policy: Policy
    secrets: tuple[SecretSource, ...]
    signer: SigningCredentials
    former_signers: tuple[SigningCredentials, ...]
    trusted: tuple[bytes, ...]
    intermediates: tuple[bytes, ...]
    ca_pubs: tuple[bytes, ...]
    registration_authorities: tuple[bytes, ...] = ()
    profiles: Mapping[str, CertificateProfile] = field(default_factory=dict)
    published: Published | None = None
    repository: Repository | None = None
    encryption: EncryptionCredentials | None = None
    tls: tuple[TLSCertificate, ...] = ()
    upstreams: tuple[UpstreamParts, ...] = ()
    routes: tuple[Route, ...] = ()


async def check_configuration(path: Path, plugins: Plugins, *, now: datetime) -> Configuration:
    """Read a configuration file and open everything that it names, but listen nowhere.

    :raises ConfigurationError: naming every mistake with its key.
    """
    mistakes = Mistakes(path)
    draft = read_draft(path, plugins, mistakes)
    async with _store_of(draft, plugins, mistakes) as store:
        await _Opening(draft, plugins, mistakes, now).everything(store)
    mistakes.check()
    return draft.finished()


@asynccontextmanager
async def open_parts(
    configuration: Configuration, plugins: Plugins, *, clock: Callable[[], datetime] = utc_now
) -> AsyncIterator[ServerParts]:
    """What the server of a configuration consists of.

    :raises ConfigurationError: naming everything that cannot be used, with its key.
    """
    mistakes = Mistakes(configuration.path)
    async with _store_of(configuration, plugins, mistakes) as store:
        parts = await _Opening(configuration, plugins, mistakes, clock()).everything(store)
        mistakes.check()
        assert parts is not None
        yield parts


@asynccontextmanager
async def open_store(configuration: Configuration, plugins: Plugins) -> AsyncIterator[Store]:
    """The store of a configuration.

    :raises ConfigurationError: if it cannot be used.
    """
    mistakes = Mistakes(configuration.path)
    async with _store_of(configuration, plugins, mistakes) as store:
        mistakes.check()
        assert store is not None
        yield store


@asynccontextmanager
async def open_issuer(configuration: Configuration, plugins: Plugins) -> AsyncIterator[tuple[Store, Issuer]]:
    """The store and the issuer of a configuration.

    :raises ConfigurationError: if they cannot be used.
    """
    async with open_store(configuration, plugins) as store:
        context = OpenContext(configuration.directory, store, plugins, configuration.profiles)
        if configuration.issuer is None:
            raise ConfigurationError("[issuer]: is missing: this server issues nothing itself")
        yield store, await _open_part("issuer", configuration.issuer, context)


@asynccontextmanager
async def _store_of(tables: Draft | Configuration, plugins: Plugins, mistakes: Mistakes) -> AsyncIterator[Store | None]:
    """The store, or ``None`` if it cannot be used; it is closed in the end."""
    store: Store | None = None
    if tables.store is not None:
        with mistakes:
            store = await _make_store(tables.store, tables.directory, plugins)
    try:
        if store is not None:
            with mistakes, naming("[store] url"):
                await store.check()
        yield store
    finally:
        if store is not None:
            with anyio.CancelScope(shield=True):
                await store.aclose()


async def _make_store(table: StoreTable, directory: Path, plugins: Plugins) -> Store:
    with naming("[store] sealing_key_file"):
        text = await read_file(table.sealing_key_file, directory)
        try:
            sealing_key = base64.b64decode(text.strip(), validate=True)
        except binascii.Error as error:
            raise ConfigurationError(f"{Path(directory, table.sealing_key_file)} is not Base64") from error
    with naming("[store]"):
        url = resolve_store_url(table.url, directory)
        return plugins.store(url).open(url, sealing_key=sealing_key)


async def _open_part(part: str, table: PartTable, context: OpenContext) -> Any:
    return await context.plugins.require(part, table.kind).open(table.settings, context)


class _Opening:
    """Opens one thing after the other; what is wrong goes to the mistakes."""

    def __init__(self, tables: Draft | Configuration, plugins: Plugins, mistakes: Mistakes, now: datetime) -> None:
        self._tables = tables
        self._plugins = plugins
        self._mistakes = mistakes
        self._now = now

    async def everything(self, store: Store | None) -> ServerParts | None:
        """All parts, or ``None`` if there were mistakes."""
        tables = self._tables
        signer = None if tables.signer is None else await self._signer("signer", tables.signer)
        former_signers = await self._former_signers(tables.signer)
        encryption = await self._encryption(tables.encryption)
        server = tables.server or ServerTable()
        trusted = await self._certificates("trusted", server.trusted)
        intermediates = await self._certificates("intermediates", server.intermediates)
        authorities = await self._registration_authorities(server.registration_authorities)
        ca_pubs = await self._certificates("ca_pubs", server.ca_pubs)
        if store is None:
            return None
        context = OpenContext(tables.directory, store, self._plugins, tables.profiles)
        only_relays = tables.issuer is None and bool(tables.upstreams)
        issuer = NoIssuer() if only_relays else await self._part("issuer", tables.issuer, context)
        policy = await self._part("policy", tables.policy, context)
        secrets = [await self._part("secret source", table, context) for table in tables.secrets]
        authority: tuple[bytes, ...] = () if issuer is None else await issuer.ca_certificates()
        succeeded = () if issuer is None else issuers_of(issuer)[1:]
        former = tuple([(earlier, await earlier.ca_certificates()) for earlier in succeeded])
        if issuer is not None and not authority and not only_relays:
            self._mistakes.add("[issuer] it has no certificate")
        chains = () if not authority else ((issuer, authority), *former)
        repository = await self._repository(tables.repository)
        published = await self._published(store, chains)
        tls = () if issuer is None else await self._tls(store, issuer)
        upstreams = await self._upstreams(signer)
        if signer is not None:
            with self._mistakes, naming("[signer] certificate"):
                check_key_generation(tables.profiles.values(), signer.certificate)
        with self._mistakes:
            check_cross_profiles(tables.profiles.values(), authority)
        if self._mistakes or signer is None:
            return None
        return ServerParts(
            store=store,
            issuer=issuer,
            authority=authority,
            former=former,
            policy=policy,
            secrets=tuple(secrets),
            signer=signer,
            former_signers=former_signers,
            trusted=trusted,
            intermediates=intermediates,
            ca_pubs=ca_pubs,
            registration_authorities=authorities,
            profiles=tables.profiles,
            published=published,
            repository=repository,
            encryption=encryption,
            tls=tls,
            upstreams=upstreams,
            routes=tables.routes,
        )

    async def _part(self, part: str, table: PartTable | None, context: OpenContext) -> Any:
        if table is not None:
            with self._mistakes:
                return await _open_part(part, table, context)
        return None

    async def _certificates(self, key: str, files: tuple[str, ...]) -> tuple[bytes, ...]:
        found: list[bytes] = []
        for file in files:
            with self._mistakes, naming(f"[server] {key}"):
                found.extend(await read_certificates(file, self._tables.directory))
        return tuple(found)

    async def _registration_authorities(self, files: tuple[str, ...]) -> tuple[bytes, ...]:
        found = await self._certificates("registration_authorities", files)
        for der in found:
            with self._mistakes, naming("[server] registration_authorities"):
                check_registration_authority(der)
        return found

    async def _former_signers(self, table: SignerTable | None) -> tuple[SigningCredentials, ...]:
        former = () if table is None else table.former
        # One that has expired is needed by nobody: what its issuer issued ended before.
        found = [await self._signer("signer.former", earlier, expired=True) for earlier in former]
        return tuple(signer for signer in found if signer is not None)

    async def _encryption(self, table: EncryptionTable | None) -> EncryptionCredentials | None:
        opened = None if table is None else await self._signer("encryption", table)
        if opened is None:
            return None
        with self._mistakes, naming("[encryption] certificate"):
            if not can_receive(KeyRecipient.of_certificate(opened.certificate), self._plugins):
                raise ConfigurationError(
                    "nothing can be encrypted to its key, or its keyUsage does not allow it",
                    hint="it needs keyAgreement for EC, X25519 and X448 keys, keyEncipherment for RSA keys",
                )
        return EncryptionCredentials(opened.certificate, opened.key)

    async def _repository(self, table: RepositoryTable | None) -> Repository | None:
        if table is None:
            return None
        anchors: list[bytes] = []
        for file in table.trusted:
            with self._mistakes, naming("[repository] trusted"):
                anchors.extend(await read_certificates(file, self._tables.directory))
        verifier = AnnouncementVerifier(self._plugins, tuple(anchors))
        return Repository(verifier, Path(self._tables.directory, table.directory))

    async def _tls(self, store: Store, issuer: Issuer) -> tuple[TLSCertificate, ...]:
        found: list[TLSCertificate] = []
        seen: list[WantedCertificate] = []
        for listening in self._tables.listen:
            wanted = listening.wanted_certificate
            if wanted is None or wanted in seen:
                continue
            with self._mistakes, naming(f"[[listen]] tls_profile of {listening.url}"):
                if isinstance(issuer, NoIssuer):
                    raise ConfigurationError("needs an [issuer]")
                if any(wanted.certificate == other.certificate for other in seen):
                    raise ConfigurationError(
                        f"another address writes another certificate to {wanted.certificate}",
                        hint="name another tls_cert, or the same tls_profile, tls_names and tls_key",
                    )
                seen.append(wanted)
                certificate = TLSCertificate(wanted, issuer, store, self._tables.profiles, self._plugins)
                await certificate.check(self._now)
                found.append(certificate)
        return tuple(found)

    async def _published(self, store: Store, issuers: Sequence[tuple[Issuer, tuple[bytes, ...]]]) -> Published | None:
        """What is published, or ``None`` if nothing is or there were mistakes."""
        table, ocsp = self._tables.publication, self._tables.ocsp
        if table is None or not issuers:
            return None
        signers, renewal = await self._ocsp(ocsp, store, issuers)
        with self._mistakes, naming("[publication]"):
            published = Published(store, issuers, signers, await read_crls(table, self._tables.directory), renewal)
            build_resources(published, ocsp, clock=lambda: self._now)
            return published
        return None

    async def _ocsp(
        self, table: OCSPTable | None, store: Store, issuers: Sequence[tuple[Issuer, tuple[bytes, ...]]]
    ) -> tuple[tuple[OCSPSigner, ...], OCSPSignerRenewal | None]:
        """Who signs OCSP responses, and what renews the certificate for that."""
        credentials = None if table is None else await self._signer("ocsp", table, expired=True)
        if table is None or credentials is None:
            return (), None
        with self._mistakes, naming("[ocsp] certificate"):
            signers = ocsp_signers(credentials, issuers, self._plugins)
            path = Path(self._tables.directory, table.certificate)
            renewal = ocsp_renewal(signers, store, issuers, validity=table.signer_validity, path=path)
            if renewal is None or not renewal.is_due(self._now):
                check_validity(credentials.certificate, self._now)
            return signers, renewal
        return (), None

    async def _signer(
        self, where: str, table: FormerSignerTable, *, expired: bool = False
    ) -> SigningCredentials | None:
        now = None if expired else self._now
        return await open_signer(where, table, self._plugins, self._mistakes, directory=self._tables.directory, now=now)

    async def _upstreams(self, signer: SigningCredentials | None) -> tuple[UpstreamParts, ...]:
        options: Any = {"directory": self._tables.directory, "now": self._now}
        found = [
            await open_upstream(table, signer, self._plugins, self._mistakes, **options)
            for table in self._tables.upstreams
        ]
        return tuple(upstream for upstream in found if upstream is not None)
