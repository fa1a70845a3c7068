"""A repository takes announcements and keeps what is believed as files (RFC 9810 section 6, RFC 9811 section 3.5)."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import anyio
import anyio.to_thread
from cryptography import x509

from cmpkit.asn1 import PKIMessage, read_name
from cmpkit.crypto.keys import write_file_atomically
from cmpkit.crypto.names import common_name, format_name
from cmpkit.crypto.x509 import certificate_public_key_info, fingerprint, issuer_key_id, outline, to_pem
from cmpkit.endpoints.announcements import (
    Announced,
    AnnouncedCertificate,
    AnnouncedCRLs,
    AnnouncedRevocation,
    AnnouncedRoot,
    AnnouncementVerifier,
)
from cmpkit.endpoints.reporting import origin
from cmpkit.engine.header import check_message_time
from cmpkit.errors import CMPError, ConfigurationError
from cmpkit.parts import Answer, Disposition, Event, Peer

__all__ = ["Repository"]

_log = logging.getLogger("cmpkit.repository")
_SHOWN = 8


@dataclass(frozen=True)
class Repository:
    """Keeps what CAs announce in a directory.

    - a CRL as ``NAME-KEY.crl`` (DER), where KEY is the start of the issuer's key ID; an older one replaces no newer;
    - a new root as ``NAME-SHA256.new-with-new.pem``, ``….new-with-old.pem`` and ``….old-with-new.pem``;
    - a certificate as ``certificate-SHA256.pem``, a revocation as ``revocation-SERIAL.json``.
    """

    verifier: AnnouncementVerifier
    directory: Path

    async def take(
        self, message: PKIMessage, peer: Peer, *, now: datetime, time_window: timedelta | None = timedelta(seconds=300)
    ) -> Answer:
        """Keep what a message announces, if it is believed. Never raises for what a peer sent.

        :param time_window: how far messageTime may be off; ``None`` does not check.
        """
        body = message.body.type.wire_name
        try:
            check_message_time(message, now, time_window)
            announced = await self.verifier.verify(message, now=now)
        except CMPError as error:
            _log.warning("refused %s from %s: %s", body, origin(peer), error)
            return Answer(None, Disposition.REFUSED)
        try:
            await anyio.to_thread.run_sync(self._keep, announced)
        except ConfigurationError as error:
            _log.error("%s from %s cannot be kept: %s", body, origin(peer), error)
            return Answer(None, Disposition.UNAVAILABLE)
        details = {"body": body, "announced": announced, "peer": peer.address}
        self.verifier.plugins.observe(Event("announced", message.header.transaction_id, details))
        return Answer(None, Disposition.STORED)

    def _keep(self, announced: Announced) -> None:
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(f"{self.directory} cannot be made: {error.strerror}") from error
        for name, content in _files(announced).items():
            path = self.directory / name
            if path.suffix == ".crl" and not _is_newer(content, path):
                continue
            write_file_atomically(path, content)
            _log.info("kept %s", path)


def _files(announced: Announced) -> Mapping[str, bytes]:
    if isinstance(announced, AnnouncedCRLs):
        return {f"{_base(issuer)}-{_key(issuer)}.crl": crl for crl, issuer in announced.crls}
    if isinstance(announced, AnnouncedCertificate):
        return {f"certificate-{fingerprint(announced.der).hex()}.pem": to_pem(announced.der)}
    if isinstance(announced, AnnouncedRevocation):
        return {f"revocation-{announced.serial_number:x}.json": _as_json(announced)}
    return _root_files(announced)


def _root_files(announced: AnnouncedRoot) -> Mapping[str, bytes]:
    update = announced.update
    base = f"{_base(update.new_with_new)}-{fingerprint(update.new_with_new).hex()[:_SHOWN]}"
    named = {
        "new-with-new": update.new_with_new,
        "new-with-old": update.new_with_old,
        "old-with-new": update.old_with_new,
    }
    return {f"{base}.{name}.pem": to_pem(der) for name, der in named.items() if der is not None}


def _base(certificate: bytes) -> str:
    """The commonName of a CA as the start of a file name: letters, digits, and dashes for all else."""
    name = common_name(read_name(outline(certificate).subject_der)) or "CA"
    return re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")[:64] or "CA"


def _key(certificate: bytes) -> str:
    return issuer_key_id(certificate_public_key_info(certificate))[:_SHOWN]


def _as_json(announced: AnnouncedRevocation) -> bytes:
    content = announced.content
    values = {
        "issuer": format_name(announced.issuer),
        "serial_number": f"{announced.serial_number:x}",
        "status": content.status.wire_name,
        "will_be_revoked_at": content.will_be_revoked_at.as_datetime().isoformat(),
        "bad_since": content.bad_since_date.as_datetime().isoformat(),
    }
    return json.dumps(values, indent=2).encode() + b"\n"


def _is_newer(crl: bytes, path: Path) -> bool:
    try:
        kept = x509.load_der_x509_crl(path.read_bytes())
    except (OSError, ValueError):
        return True
    return _age(x509.load_der_x509_crl(crl)) > _age(kept)


def _age(crl: x509.CertificateRevocationList) -> tuple[datetime, int]:
    """What orders the CRLs of one issuer; several may be made within a second (RFC 5280 section 5.2.3)."""
    try:
        number = crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        number = 0
    return crl.last_update_utc, number
