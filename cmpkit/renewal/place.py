"""Where a certificate lives: its versions, the one that is current, and what is under way.

.. code-block:: text

    DIR/NAME.toml                what is renewed and how
    DIR/NAME/current             a symbolic link to the version that is in use, replaced as a whole
    DIR/NAME/versions/0002/      cert.pem, chain.pem, fullchain.pem, key.pem: they belong together
    DIR/NAME/new.key             the key of the request that is under way
    DIR/NAME/transactions/       that request
    DIR/NAME/state.json          failures, and when to try again
    DIR/NAME/lock                held while somebody works on it
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cmpkit.crypto.keys import sync_directory, write_file_atomically
from cmpkit.crypto.x509 import load_certificates, to_pem
from cmpkit.endpoints.credentials import is_self_signed
from cmpkit.errors import ConfigurationError

__all__ = ["Busy", "Place", "Version", "find_places"]

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@+-]{0,99}")
_KEPT = 2
"""How many versions are kept: the current one and the one before."""


class Busy(ConfigurationError):
    """Another process works on the certificate."""


@dataclass(frozen=True, slots=True)
class Version:
    """One version of the files of a certificate.

    :param directory: where they are; what uses them names them by :attr:`Place.current`.
    :param certificate: DER.
    :param chain: DER of those above it, without a self-signed one.
    """

    directory: Path
    certificate: bytes
    chain: tuple[bytes, ...]

    @property
    def name(self) -> str:
        """Its number."""
        return self.directory.name


@dataclass(frozen=True, slots=True)
class Place:
    """The files of one certificate.

    :param folder: ``DIR``.
    :param name: a file name.
    """

    folder: Path
    name: str

    @classmethod
    def named(cls, folder: Path, name: str) -> Place:
        """A place under a name that somebody chose.

        :param name: letters, digits and ``_.@+-``.
        :raises ConfigurationError: if it is none.
        """
        if not _NAME.fullmatch(name):
            raise ConfigurationError(f"{name!r} is no name for a certificate", hint="use letters, digits and _.@+-")
        return cls(folder, name)

    @property
    def definition(self) -> Path:
        """The file that says what is renewed."""
        return self.folder / f"{self.name}.toml"

    @property
    def directory(self) -> Path:
        """Everything else."""
        return self.folder / self.name

    @property
    def current(self) -> Path:
        """The directory that always has the files in use."""
        return self.directory / "current"

    @property
    def new_key(self) -> Path:
        """The key of the request that is under way."""
        return self.directory / "new.key"

    @property
    def transactions(self) -> Path:
        """The request that is under way."""
        return self.directory / "transactions"

    @property
    def state(self) -> Path:
        """Failures, and when to try again."""
        return self.directory / "state.json"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes away while the block runs.

        :raises Busy: if one is there already.
        :raises ConfigurationError: if the directory cannot be used.
        """
        try:
            for directory in (self.folder, self.directory, self.transactions):
                if not directory.is_dir():
                    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
                    sync_directory(directory.parent)
            descriptor = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise ConfigurationError(f"{self.directory} cannot be used: {error.strerror}") from error
        try:
            self._lock(descriptor)
            yield
        finally:
            os.close(descriptor)

    def _lock(self, descriptor: int) -> None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Busy(f"another process works on {self.name}") from error

    def version(self) -> Version | None:
        """The version in use, or ``None`` if there is none yet.

        :raises ConfigurationError: if it cannot be read.
        """
        try:
            directory = self.current.resolve(strict=True)
            certificate, *chain = load_certificates((directory / "fullchain.pem").read_bytes())
        except FileNotFoundError:
            if self.current.is_symlink():
                raise ConfigurationError(f"{self.current} leads nowhere", hint="import the certificate anew") from None
            return None
        except OSError as error:
            raise ConfigurationError(f"{self.current} cannot be read: {error.strerror}") from error
        if not directory.name.isdecimal():
            raise ConfigurationError(f"{self.current} leads to {directory}, which is none of the versions")
        return Version(directory, certificate, tuple(chain))

    def write_version(self, certificate: bytes, chain: tuple[bytes, ...], key: bytes | None) -> Version:
        """Write a further version, which is not in use yet; it is on the disk when this returns.

        :param certificate: DER.
        :param chain: DER of those above it; a self-signed one is left out (RFC 8446 section 4.4.2).
        :param key: PEM; ``None`` if it is in no file.
        :raises ConfigurationError: if it cannot be written.
        """
        current = self.version()
        directory = self.directory / "versions" / f"{int(current.name) + 1 if current is not None else 1:04}"
        above = tuple(der for der in chain if not is_self_signed(der))
        files = {"cert.pem": to_pem(certificate), "chain.pem": to_pem(*above)}
        try:
            # One that was not finished.
            shutil.rmtree(directory, ignore_errors=True)
            directory.parent.mkdir(mode=0o700, exist_ok=True)
            directory.mkdir(mode=0o700)
            if key is not None:
                write_file_atomically(directory / "key.pem", key, mode=0o600)
            for name, content in {**files, "fullchain.pem": b"".join(files.values())}.items():
                write_file_atomically(directory / name, content)
            sync_directory(directory.parent)
        except OSError as error:
            raise ConfigurationError(f"{directory} cannot be written: {error.strerror}") from error
        return Version(directory, certificate, above)

    def switch_to(self, version: Version) -> None:
        """Take a version into use: its certificate, chain and key at once. Older ones but the last are removed.

        :raises ConfigurationError: if it cannot be done.
        """
        link = self.directory / ".current"
        try:
            link.unlink(missing_ok=True)
            link.symlink_to(Path("versions", version.name))
            os.replace(link, self.current)
            sync_directory(self.directory)
        except OSError as error:
            raise ConfigurationError(f"{self.current} cannot be replaced: {error.strerror}") from error
        for old in (self.directory / "versions").iterdir():
            if old.name.isdecimal() and int(old.name) <= int(version.name) - _KEPT:
                shutil.rmtree(old, ignore_errors=True)

    def environment(self, key: str | None) -> Mapping[str, str]:
        """What a deploy hook finds in its environment.

        :param key: the URI of a key that is in no file.
        """
        return {
            "CMPKIT_NAME": self.name,
            "CMPKIT_DIRECTORY": str(self.current),
            "CMPKIT_CERTIFICATE": str(self.current / "cert.pem"),
            "CMPKIT_CHAIN": str(self.current / "chain.pem"),
            "CMPKIT_FULLCHAIN": str(self.current / "fullchain.pem"),
            "CMPKIT_KEY": key or str(self.current / "key.pem"),
        }


def find_places(folder: Path) -> tuple[Place, ...]:
    """Every certificate that has a definition in the folder, by name.

    :raises ConfigurationError: if there is no such folder.
    """
    if not folder.is_dir():
        raise ConfigurationError(f"there is no folder {folder}", hint="begin with: cmpkit renew add --help")
    # An editor keeps hidden files beside the one that it has open.
    return tuple(Place(folder, path.stem) for path in sorted(folder.glob("[!.]*.toml")))
