"""Private keys: loaded from files of any common form, generated, written."""

from __future__ import annotations

import base64
import binascii
import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509 import ObjectIdentifier

from cmpkit.asn1 import decode
from cmpkit.crypto.pkcs8 import EncryptedPrivateKeyInfo, PrivateKeyInfo, decrypt_pkcs8
from cmpkit.errors import CMPError, ConfigurationError
from cmpkit.parts import KeyAlgorithm, PrivateKey
from cmpkit.plugins import Plugins

__all__ = [
    "generate_key",
    "key_to_pem",
    "load_pkcs12",
    "load_private_key",
    "private_key_from",
    "sync_directory",
    "write_file_atomically",
    "write_private_file",
]

_PEM = re.compile(rb"-----BEGIN ([A-Z0-9 ]*PRIVATE KEY)-----.*?-----END \1-----", re.DOTALL)
_NEEDS_PASSWORD = "the private key is encrypted and no password was given"  # noqa: S105 - a message, not a password


def load_private_key(data: bytes, password: bytes | None, plugins: Plugins) -> PrivateKey:
    """A private key from PEM or DER: PKCS#8, plain or encrypted, or the older forms of RSA and EC keys.

    :param data: the octets of the file; PEM may hold other things beside the key.
    :param password: ignored if the key is not encrypted.
    :raises ConfigurationError: saying what is wrong: the form, the password, the algorithm or the key.
    """
    return private_key_from(data, password, plugins.key_algorithm)


def private_key_from(
    data: bytes, password: bytes | None, find: Callable[[ObjectIdentifier], KeyAlgorithm]
) -> PrivateKey:
    """As :func:`load_private_key`, with a function that finds the key algorithm by the OID of the key.

    :raises ConfigurationError: saying what is wrong.
    """
    pem = _PEM.search(data)
    try:
        pkcs8 = _pkcs8_from_pem(pem.group(0), password) if pem else _pkcs8_from_der(data, password)
        return find(decode(PrivateKeyInfo, pkcs8).algorithm.algorithm).load_private_key(pkcs8)
    except ConfigurationError:
        raise
    except CMPError as error:
        raise ConfigurationError(f"the private key cannot be used: {error.detail}", hint=error.hint) from error


def _pkcs8_from_pem(pem: bytes, password: bytes | None) -> bytes:
    if b"BEGIN PRIVATE KEY-" in pem or b"BEGIN ENCRYPTED PRIVATE KEY-" in pem:
        return _pkcs8_from_der(_pem_body(pem), password)
    return _by_library(serialization.load_pem_private_key, pem, password)


def _pem_body(pem: bytes) -> bytes:
    try:
        return base64.b64decode(b"".join(pem.split(b"-----")[2].split()), validate=True)
    except binascii.Error as error:
        raise ConfigurationError(f"the PEM private key is not Base64: {error}") from error


def _pkcs8_from_der(der: bytes, password: bytes | None) -> bytes:
    try:
        decode(PrivateKeyInfo, der)
    except CMPError:
        pass
    else:
        return der
    try:
        encrypted = decode(EncryptedPrivateKeyInfo, der)
    except CMPError:
        return _by_library(serialization.load_der_private_key, der, password)
    if password is None:
        raise ConfigurationError(_NEEDS_PASSWORD)
    return decrypt_pkcs8(encrypted, password) or _by_library(serialization.load_der_private_key, der, password)


def _by_library(load: Callable[[bytes, bytes | None], PrivateKeyTypes], data: bytes, password: bytes | None) -> bytes:
    """PKCS#8 from one of the other forms, by cryptography."""
    try:
        key = load(data, password)
    except TypeError as error:
        if password is None:
            raise ConfigurationError(_NEEDS_PASSWORD) from error
        return _by_library(load, data, None)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ConfigurationError(
            "no private key can be read from the file, or its password is wrong",
            hint="give PEM or DER; PKCS#8 is understood best",
        ) from error
    return _plain_pkcs8(key)


def _plain_pkcs8(key: PrivateKeyTypes) -> bytes:
    return key.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def load_pkcs12(data: bytes, password: bytes | None, plugins: Plugins) -> tuple[PrivateKey, tuple[bytes, ...]]:
    """The private key of a PKCS#12 file, and its certificates as DER, that of the key first.

    :raises ConfigurationError: if it cannot be read, the password is wrong, or it has no key.
    """
    try:
        content = pkcs12.load_pkcs12(data, password)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigurationError(
            "the PKCS#12 file cannot be read, or its password is wrong",
            hint="give the password of the file; an ML-DSA key must be in a file of its own, in PEM",
        ) from error
    if content.key is None:
        raise ConfigurationError("the PKCS#12 file has no private key")
    entries = [*filter(None, [content.cert]), *content.additional_certs]
    certificates = tuple(entry.certificate.public_bytes(serialization.Encoding.DER) for entry in entries)
    return private_key_from(_plain_pkcs8(content.key), None, plugins.key_algorithm), certificates


def key_to_pem(key: PrivateKey, password: bytes | None = None) -> bytes:
    """PEM of PKCS#8, encrypted if there is a password.

    :raises CMPError: if the key cannot leave the place where it is.
    """
    label = b"PRIVATE KEY" if password is None else b"ENCRYPTED PRIVATE KEY"
    body = base64.b64encode(key.to_pkcs8(password))
    lines = [body[start : start + 64] for start in range(0, len(body), 64)]
    return b"\n".join((b"-----BEGIN " + label + b"-----", *lines, b"-----END " + label + b"-----", b""))


def generate_key(key_type: str, plugins: Plugins) -> PrivateKey:
    """A new private key.

    :param key_type: e.g. ``p256``, ``rsa3072``.
    :raises ConfigurationError: naming the types that there are, if this is none.
    """
    algorithm: KeyAlgorithm | None = plugins.get("key algorithm", key_type)
    if algorithm is None:
        known = ", ".join(sorted(plugins.key_types)) or "none"
        raise ConfigurationError(f"no key type {key_type!r}; there are: {known}")
    return algorithm.generate(key_type)


def write_private_file(path: Path, data: bytes) -> None:
    """Write a file that only its owner may read, from its first moment on, durably.

    :raises ConfigurationError: if there is such a file already, or it cannot be written.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise ConfigurationError(f"{path} exists already and is not overwritten") from error
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from error
    try:
        _write_durably(descriptor, data)
    except OSError as error:
        path.unlink()
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from error
    sync_directory(path.parent)


def write_file_atomically(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Replace a file, or make it, so that at any time the old or the new content is there, whole.

    :param mode: the permissions of the new file.
    :raises ConfigurationError: if it cannot be written.
    """
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from error
    try:
        os.fchmod(descriptor, mode)
        _write_durably(descriptor, data)
        os.replace(name, path)
    except OSError as error:
        os.unlink(name)
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from error
    sync_directory(path.parent)


def _write_durably(descriptor: int, data: bytes) -> None:
    with open(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync_directory(directory: Path) -> None:
    """Make durable which files a directory has, and under which names.

    :raises OSError: if the system cannot.
    """
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
