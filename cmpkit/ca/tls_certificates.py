"""The TLS certificates of the server's own: issued by the CA that it serves, and renewed before they end.

The key stays the same, so that at any moment the two files fit together, also if several servers share them.
"""

from __future__ import annotations

import ipaddress
import logging
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

import anyio
import anyio.to_thread
from cryptography import x509
from cryptography.x509 import NameOID
from cryptography.x509.oid import ExtendedKeyUsageOID

from cmpkit import oids
from cmpkit.asn1 import Extension, decode_list
from cmpkit.ca.extensions import name_keys, read_alternative_names
from cmpkit.crypto.keys import (
    generate_key,
    key_to_pem,
    load_private_key,
    write_file_atomically,
    write_private_file,
)
from cmpkit.crypto.x509 import certificate_public_key_info, extension, load_certificates, outline, to_pem
from cmpkit.enums import BodyType, PKIFailureInfo
from cmpkit.errors import CMPError, ConfigurationError
from cmpkit.parts import (
    AuditEntry,
    Authenticated,
    CertificateProfile,
    CertificateRequest,
    CertificateState,
    Credential,
    Issued,
    Issuer,
    Pending,
    PrivateKey,
    ProtectionKind,
    Rejected,
    Store,
    UnitOfWork,
    WantedCertificate,
)
from cmpkit.plugins import Plugins

__all__ = ["TLSCertificate"]

_PARTS: Final = 3
"""It is renewed when one of so many parts of its validity is left."""
_LONGEST_PAUSE, _SHORTEST_PAUSE = timedelta(hours=1), timedelta(seconds=1)
_ACTOR: Final = "server"
_KEY_TYPE: Final = "p256"

_log = logging.getLogger("cmpkit.tls")


class TLSCertificate:
    """Keeps one TLS certificate of the server valid.

    A new one is issued when there is none, when a third of its validity is left, and when it is for another key or of
    another CA than it should be, or a name is missing in it. The road reads the file again by itself.

    :param wanted: what for, and where it is kept.
    :param profiles: those of the configuration.
    :raises ConfigurationError: if there is no such profile, or a name can be in no certificate.
    """

    def __init__(
        self,
        wanted: WantedCertificate,
        issuer: Issuer,
        store: Store,
        profiles: Mapping[str, CertificateProfile],
        plugins: Plugins,
    ) -> None:
        if wanted.profile not in profiles:
            raise ConfigurationError(f"there is no profile {wanted.profile!r}", hint="add it, with serverAuth")
        self._wanted, self._issuer, self._store, self._plugins = wanted, issuer, store, plugins
        self._profile = profiles[wanted.profile]
        self._subject, self._names = _names(wanted.names)
        self._name_keys = name_keys(read_alternative_names([self._names]) or ())
        credential = Credential(ProtectionKind.SIGNATURE, _ACTOR)
        self._server = Authenticated(wanted.names[0], credential, roles=frozenset({"ca"}))

    async def check(self, now: datetime) -> None:
        """Whether the profile gives such a certificate; nothing is written.

        :raises CMPError: if it does not, or the key in its file cannot be used.
        """
        key = await self._key() or generate_key(self._key_type, self._plugins)
        _, extensions, _, _, _ = self._profile.content(self._request(key), self._server, now=now)
        purposes = [item.extn_value for item in extensions if item.extn_id == oids.EXTENDED_KEY_USAGE]
        if not any(ExtendedKeyUsageOID.SERVER_AUTH in decode_list(x509.ObjectIdentifier, der) for der in purposes):
            raise ConfigurationError(
                f"profile {self._wanted.profile}: extended_key_usage has no serverAuth", hint="clients insist on it"
            )

    async def renew(self, now: datetime) -> bool:
        """See to it that there is a valid certificate; whether a new one was needed.

        :raises CMPError: if the issuer, the store or a file cannot be used now.
        """
        key = await self._key()
        if key is None:
            key = generate_key(self._key_type, self._plugins)
            text = key_to_pem(key, self._wanted.key_password)
            await anyio.to_thread.run_sync(write_private_file, self._wanted.key, text)
        why = await self._why_not(await self._certificate(), key, now)
        if not why:
            return False
        issued = await self._issue(key, now)
        record = replace(issued.certificate, state=CertificateState.VALID)
        details: dict[str, str | int] = {"serial": f"{record.serial_number:x}", "subject": record.subject}
        await self._store.commit(
            UnitOfWork(certificates=(record,), audit=(AuditEntry(now, "issued", _ACTOR, details=details),))
        )
        text = to_pem(record.der, *issued.chain)
        await anyio.to_thread.run_sync(write_file_atomically, self._wanted.certificate, text)
        _log.info("%s: %s; a new one is valid until %s", self._wanted.certificate, why, record.not_after)
        return True

    async def begin(self, now: datetime) -> None:
        """The same before anything is served: if none can be issued now, one that still fits does, too.

        :raises CMPError: if there is none.
        """
        try:
            await self.renew(now)
        except CMPError as error:
            key, der = await self._key(), await self._certificate()
            if key is None or der is None or not _is_usable(der, key, now):
                raise
            self._tell(error)

    async def keep_renewing(self, clock: Callable[[], datetime]) -> None:
        """See to it at intervals, until cancelled."""
        while True:
            await anyio.sleep((await self._pause()).total_seconds())
            try:
                await self.renew(clock())
            except CMPError as error:
                self._tell(error)

    def _tell(self, error: CMPError) -> None:
        _log.error("%s: the certificate cannot be renewed: %s", self._wanted.certificate, error)

    async def _pause(self) -> timedelta:
        der = await self._certificate()
        if der is None:
            return _SHORTEST_PAUSE
        begins, ends = outline(der).validity_period
        return max(_SHORTEST_PAUSE, min(_LONGEST_PAUSE, (ends - begins) / (4 * _PARTS)))

    @property
    def _key_type(self) -> str:
        key_types: tuple[str, ...] = getattr(self._profile, "key_types", ())
        return _KEY_TYPE if _KEY_TYPE in key_types or not key_types else key_types[0]

    async def _key(self) -> PrivateKey | None:
        """The key in its file, or ``None`` if there is no file."""
        data = await _read(anyio.Path(self._wanted.key))
        return None if data is None else load_private_key(data, self._wanted.key_password, self._plugins)

    async def _certificate(self) -> bytes | None:
        """DER of the one in the file, or ``None`` if there is none."""
        data = await _read(anyio.Path(self._wanted.certificate))
        try:
            return None if data is None else load_certificates(data)[0]
        except ConfigurationError as error:
            _log.warning("%s is written anew: %s", self._wanted.certificate, error)
            return None

    async def _why_not(self, der: bytes | None, key: PrivateKey, now: datetime) -> str:
        """Why a new certificate is needed; empty if none is."""
        if der is None:
            return "there was none"
        if certificate_public_key_info(der) != key.public_key_info:
            return "it was for another key"
        # The profile may have added some.
        if not self._name_keys <= name_keys(read_alternative_names(outline(der).extensions or ()) or ()):
            return "it was for other names"
        authority = (await self._issuer.ca_certificates())[0]
        if outline(der).issuer_der != outline(authority).subject_der:
            return "it was of another CA"
        begins, ends = outline(der).validity_period
        soon = now >= ends - (ends - begins) / _PARTS and outline(authority).validity_period[1] > ends
        return "it ends soon" if soon or now > ends else ""

    async def _issue(self, key: PrivateKey, now: datetime) -> Issued:
        request_key = f"tls:{secrets.token_hex(16)}"
        answer = await self._issuer.issue(self._request(key), self._server, idempotency_key=request_key, now=now)
        if isinstance(answer, Rejected):
            raise answer.error
        if isinstance(answer, Pending):
            raise CMPError(
                f"the issuer takes its time: {answer.reason}",
                PKIFailureInfo.SYSTEM_UNAVAIL,
                hint="TLS certificates of the server come from issuers that answer at once; write tls_cert yourself",
            )
        return answer

    def _request(self, key: PrivateKey) -> CertificateRequest:
        return CertificateRequest(
            body_type=BodyType.IR,
            cert_req_id=0,
            public_key_info=key.public_key_info,
            subject=self._subject,
            extensions=(self._names,),
            profile=self._wanted.profile,
        )


def _names(names: Sequence[str]) -> tuple[x509.Name, Extension]:
    """The subject and the subjectAltName to ask for.

    :raises ConfigurationError: naming one that can be in no certificate.
    """
    found: list[x509.GeneralName] = []
    for name in names:
        try:
            found.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            try:
                found.append(x509.DNSName(name))
            except ValueError as error:
                raise ConfigurationError(f"{name!r} can be in no certificate: {error}") from error
    try:
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    except ValueError as error:
        raise ConfigurationError(
            f"{names[0]!r} is too long for a commonName", hint="list a name of at most 64 characters first"
        ) from error
    return subject, extension(x509.SubjectAlternativeName(found))


def _is_usable(der: bytes, key: PrivateKey, now: datetime) -> bool:
    _, ends = outline(der).validity_period
    return now <= ends and certificate_public_key_info(der) == key.public_key_info


async def _read(path: anyio.Path) -> bytes | None:
    try:
        return await path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error
