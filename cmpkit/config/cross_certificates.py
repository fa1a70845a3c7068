"""The cross certificates of a CA, which its server hands out beside its own (RFC 9810 section 6.6)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import anyio.to_thread

from cmpkit.ca.certificates import IssuerCertificate
from cmpkit.ca.opening import IssuerSettings
from cmpkit.ca.settings import naming
from cmpkit.ca.sources import load_key, read_file
from cmpkit.config.changing import alone, read_own_ca, replace_configuration
from cmpkit.config.editing import edit_table
from cmpkit.config.reading import Configuration
from cmpkit.crypto.keys import write_file_atomically
from cmpkit.crypto.x509 import certificate_public_key_info, to_pem
from cmpkit.errors import ConfigurationError
from cmpkit.parts import PrivateKey
from cmpkit.plugins import Plugins

__all__ = ["CROSS_DIRECTORY", "OwnCA", "install_cross_certificate", "open_own_ca"]

CROSS_DIRECTORY = "cross"
"""Where cross certificates are kept, in the directory of the configuration file."""


@dataclass(frozen=True, slots=True)
class OwnCA:
    """The CA of a configuration file, with its key."""

    configuration: Configuration
    settings: IssuerSettings
    certificate: IssuerCertificate
    key: PrivateKey


async def open_own_ca(path: Path, plugins: Plugins) -> OwnCA:
    """The CA of a configuration file.

    :raises ConfigurationError: if its key is not here, or cannot be used.
    """
    configuration, settings, certificate = await read_own_ca(path, plugins)
    with naming("[issuer] key"):
        key = await load_key(settings.key, settings.key_password, configuration.directory, plugins)
    return OwnCA(configuration, settings, certificate, key)


async def install_cross_certificate(
    path: Path, name: str, certificate: bytes, plugins: Plugins, *, now: datetime
) -> Path:
    """Keep a cross certificate, and have the server hand it out from its next start on.

    :param path: the configuration file.
    :param name: under which it is kept and published; one of that name is replaced.
    :param certificate: DER.
    :returns: its file.
    :raises ConfigurationError: if it is not for the key of this CA; then nothing was changed.
    """
    with alone(path.parent):
        ca = await open_own_ca(path, plugins)
        if certificate_public_key_info(certificate) != ca.certificate.public_key_info:
            raise ConfigurationError("the certificate is not for the key of this CA")
        file = Path(CROSS_DIRECTORY, f"{name}.pem")
        target = path.parent / file
        await anyio.to_thread.run_sync(_write, target, to_pem(certificate))
        if str(file) not in ca.settings.cross_certificates:
            text = (await read_file(path, Path())).decode()
            named = (*ca.settings.cross_certificates, str(file))
            await replace_configuration(
                path, edit_table(text, "issuer", {"cross_certificates": named}), plugins, now=now
            )
        return target


def _write(path: Path, pem: bytes) -> None:
    try:
        path.parent.mkdir(exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"{path.parent} cannot be made: {error.strerror}") from error
    write_file_atomically(path, pem)
