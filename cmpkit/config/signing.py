"""The tables that name a certificate and its key, opened."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from cryptography import x509

from cmpkit.ca.settings import naming
from cmpkit.ca.sources import load_key, read_certificates
from cmpkit.config.mistakes import Mistakes
from cmpkit.config.tables import FormerSignerTable
from cmpkit.crypto.names import format_name
from cmpkit.crypto.x509 import certificate_public_key_info
from cmpkit.endpoints.credentials import SigningCredentials
from cmpkit.errors import ConfigurationError
from cmpkit.plugins import Plugins

__all__ = ["check_validity", "open_signer"]


async def open_signer(
    where: str,
    table: FormerSignerTable,
    plugins: Plugins,
    mistakes: Mistakes,
    *,
    directory: Path,
    now: datetime | None,
) -> SigningCredentials | None:
    """The certificate of a table with its key; ``None`` if there were mistakes.

    :param where: the name of the table: ``signer``.
    :param mistakes: gets what is wrong.
    :param directory: where relative paths start.
    :param now: when the certificate must be valid; ``None`` does not look.
    """
    certificates: tuple[bytes, ...] = ()
    key = None
    with mistakes, naming(f"[{where}] certificate"):
        certificates = await read_certificates(table.certificate, directory)
        if now is not None:
            check_validity(certificates[0], now)
    with mistakes, naming(f"[{where}] key"):
        key = await load_key(table.key, table.key_password, directory, plugins)
        if certificates and key.public_key_info != certificate_public_key_info(certificates[0]):
            raise ConfigurationError(f"it is not the key of the certificate in {table.certificate}")
    if key is None or not certificates:
        return None
    return SigningCredentials(certificates[0], key, certificates[1:])


def check_validity(der: bytes, now: datetime) -> None:
    """Whether a certificate is valid at a time.

    :raises ConfigurationError: saying when it is.
    """
    certificate = x509.load_der_x509_certificate(der)
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise ConfigurationError(
            f"the certificate of {format_name(certificate.subject)} is valid from "
            f"{certificate.not_valid_before_utc} to {certificate.not_valid_after_utc} only"
        )
