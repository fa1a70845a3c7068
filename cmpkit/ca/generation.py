"""The directory of a new generation of a CA's keys: it comes into being whole, and is read again from there."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.to_thread
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cmpkit.ca.certificates import IssuerCertificate, read_issuer_certificate
from cmpkit.ca.documents import root_note
from cmpkit.ca.hierarchy import SIGNER_PROFILE
from cmpkit.ca.sources import load_key, read_certificates
from cmpkit.ca.succession import Successor, SuccessorKeys
from cmpkit.crypto.keys import key_to_pem, sync_directory, write_file_atomically, write_private_file
from cmpkit.crypto.names import format_name
from cmpkit.crypto.x509 import fingerprint, to_pem
from cmpkit.errors import ConfigurationError
from cmpkit.parts import CertificateRecord, CertificateState, PrivateKey, RootKeyUpdate
from cmpkit.plugins import Plugins

__all__ = ["Generation", "build_generation", "find_root", "read_generation"]

_BUILDING = ".rollover"
_ROOT, _ROOT_KEY, _PASSPHRASE = "root.pem", "root.key.pem", "root.passphrase"
_NEW_WITH_NEW, _NEW_WITH_OLD, _OLD_WITH_NEW = "new-with-new.pem", "new-with-old.pem", "old-with-new.pem"
_ISSUING, _ISSUING_KEY = "issuing.pem", "keys/issuing.key.pem"
_SIGNER, _SIGNER_KEY = "signer.pem", "keys/signer.key.pem"
_OCSP, _OCSP_KEY = "ocsp.pem", "keys/ocsp.key.pem"


@dataclass(frozen=True, slots=True)
class Generation:
    """What is in the directory of a generation.

    :param directory: relative to that of the configuration file.
    :param update: the new root certificate, and the links between it and the old one.
    :param signer: the record of the certificate that signs CMP messages.
    :param ocsp: that of the one that signs OCSP responses.
    """

    directory: Path
    update: RootKeyUpdate
    issuing: IssuerCertificate
    signer: CertificateRecord
    ocsp: CertificateRecord

    @property
    def update_settings(self) -> dict[str, str]:
        """The keys of ``[issuer]`` that make the server tell of the new root."""
        files = {"new_with_new": _NEW_WITH_NEW, "new_with_old": _NEW_WITH_OLD, "old_with_new": _OLD_WITH_NEW}
        return {key: str(self.directory / file) for key, file in files.items()}

    @property
    def issuer_settings(self) -> dict[str, str]:
        """The keys of ``[issuer]`` for the new issuing CA."""
        return self._settings(_ISSUING, _ISSUING_KEY)

    @property
    def signer_settings(self) -> dict[str, str]:
        """The keys of ``[signer]`` for the new signer."""
        return self._settings(_SIGNER, _SIGNER_KEY)

    @property
    def ocsp_settings(self) -> dict[str, str]:
        """The keys of ``[ocsp]`` for the new signer of OCSP responses."""
        return self._settings(_OCSP, _OCSP_KEY)

    @property
    def root_crl(self) -> str:
        """The file with the CRL of the new root."""
        return str(self.directory / _root_crl(self.directory))

    def _settings(self, certificate: str, key: str) -> dict[str, str]:
        return {"certificate": str(self.directory / certificate), "key": f"file:{self.directory / key}"}


def _root_crl(directory: Path) -> str:
    # It is published under its name, beside those of other generations.
    return f"root-{directory.name.removeprefix('ca-')}.crl"


async def build_generation(
    directory: Path, successor: Successor, keys: SuccessorKeys, *, links: Sequence[bytes] = ()
) -> None:
    """Write the directory of a generation, durably. It is there whole or not at all.

    The root key is encrypted, with its passphrase beside it, as ``cmpkit init`` does it.

    :param directory: does not exist yet.
    :param links: DER certificates by which those who trust a root before the old one get to the old one.
    :raises ConfigurationError: if it cannot be written.
    """
    passphrase = secrets.token_urlsafe(32).encode()
    update, issuing = successor.update, successor.issuing
    assert update.new_with_old is not None
    assert update.old_with_new is not None
    files = {
        f"root/{_ROOT}": to_pem(update.new_with_new),
        f"root/{_ROOT_KEY}": await anyio.to_thread.run_sync(key_to_pem, keys.root, passphrase),
        f"root/{_PASSPHRASE}": passphrase + b"\n",
        "root/README.txt": root_note().encode(),
        _NEW_WITH_NEW: to_pem(update.new_with_new),
        _NEW_WITH_OLD: to_pem(update.new_with_old),
        _OLD_WITH_NEW: to_pem(update.old_with_new),
        _ISSUING: to_pem(*issuing.all),
        _ISSUING_KEY: key_to_pem(keys.issuing),
        # Whoever trusts the old root only gets to the signer by newWithOld.
        _SIGNER: to_pem(successor.signer.der, issuing.der, update.new_with_old, *links, update.new_with_new),
        _SIGNER_KEY: key_to_pem(keys.signer),
        _OCSP: to_pem(successor.ocsp.der, *issuing.all),
        _OCSP_KEY: key_to_pem(keys.ocsp),
        _root_crl(directory): x509.load_der_x509_crl(successor.root_crl).public_bytes(Encoding.PEM),
    }
    await anyio.to_thread.run_sync(_build, directory, files)


def _build(directory: Path, files: Mapping[str, bytes]) -> None:
    building = directory.parent / _BUILDING
    try:
        if building.exists():
            shutil.rmtree(building)  # of a run that was killed: nothing names it
        folders = {building, *((building / name).parent for name in files)}
        for folder in sorted(folders):
            folder.mkdir(mode=0o700)
        for name, content in files.items():
            private = (building / name).parent != building
            write = write_private_file if private else write_file_atomically
            write(building / name, content)
        for folder in folders:
            sync_directory(folder)
        os.rename(building, directory)
        sync_directory(directory.parent)
    except OSError as error:
        raise ConfigurationError(f"{directory} cannot be made: {error.strerror}") from error


async def read_generation(directory: Path, base: Path) -> Generation:
    """What :func:`build_generation` wrote.

    :param directory: relative to ``base``.
    :raises ConfigurationError: naming the file that is missing or cannot be read.
    """
    first = {name: (await _read(directory / name, base))[0] for name in (_NEW_WITH_NEW, _NEW_WITH_OLD, _OLD_WITH_NEW)}
    issuing = read_issuer_certificate(await _read(directory / _ISSUING, base))
    signer, ocsp = [(await _read(directory / name, base))[0] for name in (_SIGNER, _OCSP)]
    update = RootKeyUpdate(first[_NEW_WITH_NEW], first[_NEW_WITH_OLD], first[_OLD_WITH_NEW])
    return Generation(directory, update, issuing, _signer_record(signer, issuing), _signer_record(ocsp, issuing))


async def _read(path: Path, base: Path) -> tuple[bytes, ...]:
    return await read_certificates(str(path), base)


def _signer_record(der: bytes, issuing: IssuerCertificate) -> CertificateRecord:
    certificate = x509.load_der_x509_certificate(der)
    return CertificateRecord(
        issuer_key=issuing.key_id,
        serial_number=certificate.serial_number,
        der=der,
        fingerprint=fingerprint(der),
        subject=format_name(certificate.subject),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        profile=SIGNER_PROFILE,
        request_key=f"{SIGNER_PROFILE}:{certificate.serial_number:x}",
        state=CertificateState.VALID,
    )


async def find_root(certificate: bytes, base: Path, given: Path | None, plugins: Plugins) -> PrivateKey:
    """The key of a root, from the directory where ``cmpkit init`` or a rollover put it.

    :param certificate: DER of the root certificate.
    :param base: where the configuration file is; the directory is looked for there.
    :param given: the directory, if it was carried away.
    :raises ConfigurationError: if it is not there, or cannot be read.
    """
    places = [given] if given is not None else await anyio.to_thread.run_sync(_places, base)
    for place in places:
        if (await read_certificates(_ROOT, place))[0] == certificate:
            return await load_key(f"file:{_ROOT_KEY}", f"file:{_PASSPHRASE}", place, plugins)
    name = format_name(x509.load_der_x509_certificate(certificate).subject)
    raise ConfigurationError(
        f"the key of the root {name} is not in {given or base}",
        hint="bring back the directory with root.pem, root.key.pem and root.passphrase, and name it with --root; "
        "if the root is not yours, whoever has it makes the new one: see the how-to guide about rolling over the root",
    )


def _places(base: Path) -> list[Path]:
    return sorted(path.parent for pattern in (f"root/{_ROOT}", f"ca-*/root/{_ROOT}") for path in base.glob(pattern))
