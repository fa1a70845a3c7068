"""What ``cmpkit init`` does: a directory with keys, certificates, store and configuration, whole or not at all."""

from __future__ import annotations

import base64
import functools
import secrets
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import anyio
import anyio.to_thread
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import NameOID

from cmpkit.ca.certificates import IssuerCertificate, is_self_issued
from cmpkit.ca.directory import build_directory, is_started
from cmpkit.ca.documents import configuration_text, root_note, tls_keys
from cmpkit.ca.existing import check_authority, load_authority, match_authority
from cmpkit.ca.hierarchy import issuing_request, make_hierarchy, make_ocsp_signer, make_root_crl, make_signer
from cmpkit.ca.sources import load_key, read_file, resolve_store_url
from cmpkit.crypto.keys import generate_key, key_to_pem, write_file_atomically
from cmpkit.crypto.names import format_name
from cmpkit.crypto.x509 import load_certificates, to_pem
from cmpkit.errors import ConfigurationError
from cmpkit.parts import CertificateRecord, ConfigurableServer, PrivateKey, UnitOfWork
from cmpkit.plugins import Plugins

__all__ = ["CONFIGURATION", "TRUST", "Initialised", "initialise", "install_ca_certificate"]

CONFIGURATION = "cmpkit.toml"
"""The configuration file in the directory of a server."""

TRUST = "trust.pem"
"""The file with the trust anchors for clients."""

_ISSUING, _ISSUING_KEY = "issuing.pem", "keys/issuing.key.pem"
_SIGNER, _SIGNER_KEY = "signer.pem", "keys/signer.key.pem"
_OCSP, _OCSP_KEY = "ocsp.pem", "keys/ocsp.key.pem"
_ROOT_CRL = "root.crl"
_STORE, _STORE_KEY = "sqlite:///cmpkit.db", "keys/store.key"


@dataclass(frozen=True, slots=True)
class Initialised:
    """What was made.

    :param config: the configuration file.
    :param trust: the trust anchor for clients; not there yet while the CA waits for its certificate.
    :param request: the PKCS#10 request of a subordinate CA, where it was written.
    :param notes: what the operator should know or do now, one sentence or two each.
    """

    directory: Path
    config: Path
    trust: Path
    request: Path | None = None
    notes: tuple[str, ...] = ()


async def initialise(
    directory: Path,
    *,
    listen: Sequence[str] = (),
    subject: x509.Name | None = None,
    key_type: str = "p256",
    path_length: int = 0,
    ca_certificate: Path | None = None,
    ca_key: Path | None = None,
    ca_key_password: bytes | None = None,
    csr_out: Path | None = None,
    plugins: Plugins,
    now: datetime,
) -> Initialised:
    """Make the directory of a server: with a root and an issuing CA of its own, with a CA that exists, or waiting.

    A directory that waits for the certificate of its CA gets it by ``ca_certificate`` alone.

    :param directory: must not exist, or be empty.
    :param listen: URLs to listen on.
    :param subject: of the issuing CA; without it, one that is made up.
    :param key_type: of all keys that are made.
    :param path_length: how many CAs may be below the issuing one; of one that exists, its certificate says that.
    :param ca_certificate: an existing CA: PEM, DER or PKCS#12, see :func:`cmpkit.ca.existing.load_authority`.
    :param ca_key: its key, if it is in a file of its own.
    :param csr_out: where to write the request of a CA that another CA shall certify.
    :raises ConfigurationError: if that cannot be done; then nothing was changed.
    """
    directory = Path(await anyio.Path(directory).resolve())
    if ca_certificate is not None and ca_key is None and await anyio.to_thread.run_sync(_waits, directory):
        data = await read_file(ca_certificate, Path())
        return await install_ca_certificate(directory, data, plugins=plugins, now=now)
    _check_options(subject, ca_certificate, ca_key, csr_out)
    if ca_certificate is not None and path_length:
        raise ConfigurationError(
            "how many CAs may be below a CA that exists is in its certificate", hint="leave out --path-length"
        )
    for url in listen:
        transport = plugins.server_transport(url)
        if isinstance(transport, ConfigurableServer):
            transport = transport.configured(tls_keys(url, listen), directory)
        transport.check(url)
    if await anyio.to_thread.run_sync(is_started, directory):
        raise ConfigurationError(
            f"{directory} is not empty, nothing is overwritten",
            hint="name a directory that does not exist yet; what an init that was killed left behind may be removed",
        )
    if ca_certificate is not None:
        files, authority, key, notes = await _take_over(ca_certificate, ca_key, ca_key_password, plugins, now)
    elif csr_out is not None:
        key = generate_key(key_type, plugins)
        return await _prepare_subordinate(
            directory, listen, subject or _made_up_subject(), key, csr_out, plugins=plugins, path_length=path_length
        )
    else:
        files, authority, key, notes = await _make_own(subject, key_type, path_length, plugins, now)
    more, records = await _server_files(authority, key, key_type, plugins, now)
    await _build(directory, listen, {**files, **more}, plugins, records)
    return Initialised(directory, directory / CONFIGURATION, directory / TRUST, notes=notes)


def _check_options(
    subject: x509.Name | None, ca_certificate: Path | None, ca_key: Path | None, csr_out: Path | None
) -> None:
    if ca_certificate is not None and (csr_out is not None or subject is not None):
        other = "subject" if subject is not None else "request"
        raise ConfigurationError(
            f"the CA exists already, it needs no {other}", hint="leave out --ca-cert, or --subject and --csr-out"
        )
    if ca_key is not None and ca_certificate is None:
        raise ConfigurationError("the key of a CA is given without its certificate", hint="add --ca-cert")
    if subject is not None and not subject.rdns:
        raise ConfigurationError("the subject of a CA cannot be empty", rule="RFC 5280 section 4.1.2.6")


def _waits(directory: Path) -> bool:
    """Whether the CA of that directory has a key and a configuration, but no certificate."""
    return (
        (directory / CONFIGURATION).exists()
        and (directory / _ISSUING_KEY).exists()
        and not (directory / _ISSUING).exists()
    )


def _made_up_subject() -> x509.Name:
    # Names of CAs must differ, or clients that know several look for the wrong one.
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"cmpkit CA {secrets.token_hex(4)}")])


async def _make_own(
    subject: x509.Name | None, key_type: str, path_length: int, plugins: Plugins, now: datetime
) -> tuple[dict[str, bytes], IssuerCertificate, PrivateKey, tuple[str, ...]]:
    root_key, issuing_key = generate_key(key_type, plugins), generate_key(key_type, plugins)
    name = subject or _made_up_subject()
    hierarchy = await make_hierarchy(name, root_key=root_key, issuing_key=issuing_key, now=now, path_length=path_length)
    crl = await make_root_crl(hierarchy.root, root_key, now=now)
    passphrase = secrets.token_urlsafe(32).encode()
    files = {
        "root/root.pem": to_pem(hierarchy.root),
        "root/root.key.pem": await anyio.to_thread.run_sync(key_to_pem, root_key, passphrase),
        "root/root.passphrase": passphrase + b"\n",
        "root/README.txt": root_note().encode(),
        _ISSUING_KEY: key_to_pem(issuing_key),
        _ROOT_CRL: x509.load_der_x509_crl(crl).public_bytes(Encoding.PEM),
    }
    note = "The root key is in root/, encrypted, with its passphrase beside it: carry both away (root/README.txt)."
    return files, hierarchy.issuing, issuing_key, (note,)


async def _take_over(
    certificate: Path, key_file: Path | None, password: bytes | None, plugins: Plugins, now: datetime
) -> tuple[dict[str, bytes], IssuerCertificate, PrivateKey, tuple[str, ...]]:
    authority, key = await load_authority(certificate, key_file, password, plugins)
    check_authority(authority, now, plugins)
    note = f"The key of the CA is in {_ISSUING_KEY}, readable by this user only."
    return {_ISSUING_KEY: key_to_pem(key)}, authority, key, (note, *_trust_notes(authority))


def _trust_notes(authority: IssuerCertificate) -> tuple[str, ...]:
    if is_self_issued(authority.all[-1]):
        return ()
    return (
        f"No root certificate was given: {TRUST} has the topmost one there is, which not every client takes as a "
        "trust anchor (OpenSSL needs -partial_chain).",
    )


async def _server_files(
    authority: IssuerCertificate, key: PrivateKey, key_type: str, plugins: Plugins, now: datetime
) -> tuple[dict[str, bytes], tuple[CertificateRecord, ...]]:
    """What every server has, and the records of the certificates of its signers.

    :param key_type: of the keys of the signers.
    """
    signer_key, ocsp_key = generate_key(key_type, plugins), generate_key(key_type, plugins)
    signer = await make_signer(authority, key, key=signer_key, now=now)
    ocsp = await make_ocsp_signer(authority, key, key=ocsp_key, now=now)
    files = {
        TRUST: to_pem(authority.all[-1]),
        _SIGNER: to_pem(signer.der, *authority.all),
        _SIGNER_KEY: key_to_pem(signer_key),
        _OCSP: to_pem(ocsp.der, *authority.all),
        _OCSP_KEY: key_to_pem(ocsp_key),
        _ISSUING: to_pem(*authority.all),
    }
    return files, (ocsp, signer)


async def _prepare_subordinate(
    directory: Path,
    listen: Sequence[str],
    subject: x509.Name,
    key: PrivateKey,
    csr_out: Path,
    *,
    plugins: Plugins,
    path_length: int,
) -> Initialised:
    csr_out = Path(await anyio.Path(csr_out).resolve())
    if csr_out.is_relative_to(directory) or await anyio.Path(csr_out).exists():
        raise ConfigurationError(
            f"the request cannot be written to {csr_out}",
            hint=f"name a file that does not exist, outside of {directory}",
        )
    request = x509.load_der_x509_csr(await issuing_request(subject, key, path_length=path_length))
    await anyio.to_thread.run_sync(write_file_atomically, csr_out, request.public_bytes(Encoding.PEM))
    try:
        await _build(directory, listen, {_ISSUING_KEY: key_to_pem(key)}, plugins)
    except BaseException:
        csr_out.unlink()
        raise
    note = (
        f"The request of the CA {format_name(subject)} is in {csr_out}. Have it signed, then run: "
        f"cmpkit init {directory} --ca-cert SIGNED.pem (with the certificates above it in the same file). "
        "The server does not start before."
    )
    return Initialised(directory, directory / CONFIGURATION, directory / TRUST, csr_out, (note,))


async def _build(
    directory: Path,
    listen: Sequence[str],
    files: Mapping[str, bytes],
    plugins: Plugins,
    records: tuple[CertificateRecord, ...] = (),
) -> None:
    sealing_key = secrets.token_bytes(32)
    everything = {
        **files,
        _STORE_KEY: base64.b64encode(sealing_key) + b"\n",
        CONFIGURATION: configuration_text(listen, crl_files=[_ROOT_CRL] if _ROOT_CRL in files else ()).encode(),
    }

    async def make_store(where: Path) -> None:
        url = resolve_store_url(_STORE, where)
        await plugins.store(url).create(url)
        if records:
            await _keep(records, url, sealing_key, plugins)

    await build_directory(directory, everything, make_store, last=CONFIGURATION)


async def _keep(records: tuple[CertificateRecord, ...], url: str, sealing_key: bytes, plugins: Plugins) -> None:
    store = plugins.store(url).open(url, sealing_key=sealing_key)
    try:
        await store.commit(UnitOfWork(certificates=records))
    finally:
        await store.aclose()


async def install_ca_certificate(directory: Path, data: bytes, *, plugins: Plugins, now: datetime) -> Initialised:
    """Give a CA that waits for it its certificate.

    :param directory: made by :func:`initialise` with ``csr_out``.
    :param data: PEM of the certificate and of those above it.
    :raises ConfigurationError: if it is not for the key of this CA, or cannot be used; then nothing was changed.
    """
    key = await load_key(f"file:{_ISSUING_KEY}", None, directory, plugins)
    authority = match_authority(load_certificates(data), key.public_key_info)
    check_authority(authority, now, plugins)
    files, records = await _server_files(authority, key, key.key_type, plugins, now)
    table = tomllib.loads((await read_file(CONFIGURATION, directory)).decode())["store"]
    sealing_key = base64.b64decode(await read_file(table["sealing_key_file"], directory))
    await _keep(records, resolve_store_url(table["url"], directory), sealing_key, plugins)
    # The certificate of the CA comes last: as long as it is missing, this can be done again.
    for name, content in sorted(files.items(), key=lambda item: item[0] == _ISSUING):
        mode = 0o600 if name.startswith("keys/") else 0o644
        write = functools.partial(write_file_atomically, directory / name, content, mode=mode)
        await anyio.to_thread.run_sync(write)
    return Initialised(directory, directory / CONFIGURATION, directory / TRUST, notes=_trust_notes(authority))
