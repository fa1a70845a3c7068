"""The key provider for ``file:``, brought like any plugin's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

import anyio
import anyio.to_thread
from cryptography.x509 import ObjectIdentifier

from cmpkit.crypto.keys import private_key_from
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError, ConfigurationError
from cmpkit.hookspecs import hookimpl
from cmpkit.parts import KeyAlgorithm, KeyProvider, PrivateKey

__all__ = ["FileKeys", "cmpkit_key_providers"]


class FileKeys:
    """Private keys in files: ``file:key.pem``, ``file:///etc/cmp/key.pem``; see :class:`cmpkit.parts.KeyProvider`."""

    schemes: tuple[str, ...] = ("file",)

    async def load(self, uri: str, password: bytes | None, algorithms: Sequence[KeyAlgorithm]) -> PrivateKey:
        """The key in the file."""
        path = _path(uri)
        try:
            data = await anyio.Path(path).read_bytes()
        except OSError as error:
            raise ConfigurationError(f"the key file {path} cannot be read: {error.strerror}") from error

        def find(oid: ObjectIdentifier) -> KeyAlgorithm:
            for algorithm in algorithms:
                if oid in algorithm.key_oids:
                    return algorithm
            raise CMPError(f"no key algorithm for {oid.dotted_string}", PKIFailureInfo.BAD_ALG)

        try:
            # Deriving a key from a password takes a tenth of a second and more.
            return await anyio.to_thread.run_sync(private_key_from, data, password, find)
        except ConfigurationError as error:
            raise ConfigurationError(f"key file {path}: {error.detail}", hint=error.hint) from error


def _path(uri: str) -> Path:
    parts = urlsplit(uri)
    if parts.netloc not in ("", "localhost") or parts.query or parts.fragment or not parts.path:
        raise ConfigurationError(f"{uri!r} does not name a file on this host", hint="write file:PATH or file:///PATH")
    return Path(unquote(parts.path))


@hookimpl
def cmpkit_key_providers() -> Iterable[KeyProvider]:
    """The provider for ``file:``."""
    return (FileKeys(),)
