"""Commands that change a CA: what it is, one at a time, and the configuration file as a whole, without mistakes."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import anyio
import anyio.to_thread

from cmpkit.ca.certificates import IssuerCertificate, read_issuer_certificate
from cmpkit.ca.opening import IssuerSettings
from cmpkit.ca.settings import naming, read_settings
from cmpkit.ca.sources import read_certificates
from cmpkit.config.opening import check_configuration
from cmpkit.config.reading import Configuration, load_configuration
from cmpkit.crypto.keys import write_file_atomically
from cmpkit.endpoints.checkpoints import Checkpoint, reach
from cmpkit.errors import ConfigurationError
from cmpkit.plugins import Plugins

__all__ = ["alone", "read_own_ca", "replace_configuration"]


@contextmanager
def alone(directory: Path) -> Iterator[None]:
    """Keep other commands from changing the same CA.

    :param directory: of its configuration file.
    :raises ConfigurationError: if one is about to.
    """
    try:
        descriptor = os.open(directory, os.O_RDONLY)
    except OSError as error:
        raise ConfigurationError(f"{directory} cannot be used: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise ConfigurationError("another command is changing this CA") from error
    finally:
        os.close(descriptor)


async def replace_configuration(path: Path, text: str, plugins: Plugins, *, now: datetime) -> None:
    """Put another configuration file in the place of one, once it was found to be without mistakes.

    :raises ConfigurationError: naming every mistake; the file is as it was then.
    """
    mode = (await anyio.Path(path).stat()).st_mode & 0o777
    candidate = path.with_name(f".{path.name}.changed")
    await anyio.to_thread.run_sync(lambda: write_file_atomically(candidate, text.encode(), mode=mode))
    try:
        await check_configuration(candidate, plugins, now=now)
    finally:
        await anyio.Path(candidate).unlink()
    reach(plugins, Checkpoint.BEFORE_CONFIGURATION, None)
    await anyio.to_thread.run_sync(lambda: write_file_atomically(path, text.encode(), mode=mode))


async def read_own_ca(path: Path, plugins: Plugins) -> tuple[Configuration, IssuerSettings, IssuerCertificate]:
    """The CA of a configuration file, without its key, and what the file says of it.

    :raises ConfigurationError: if its key is not here, or the file or the certificate cannot be used.
    """
    configuration = load_configuration(path, plugins)
    if configuration.issuer is None:
        raise ConfigurationError("[issuer]: is missing: this server issues nothing itself")
    if configuration.issuer.kind != "local":
        raise ConfigurationError(
            f"[issuer] kind: the keys of an issuer of kind {configuration.issuer.kind} are not here",
            hint="do that where they are",
        )
    settings = read_settings(IssuerSettings, configuration.issuer.settings, "issuer")
    with naming("[issuer] certificate"):
        certificate = read_issuer_certificate(await read_certificates(settings.certificate, configuration.directory))
    return configuration, settings, certificate
