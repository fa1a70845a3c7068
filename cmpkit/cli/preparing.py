"""From the options of a client command to credentials, keys and the options of the client."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
from cryptography import x509

from cmpkit.ca.sources import read_certificates, read_file
from cmpkit.cli.jobs import Job, key_uri
from cmpkit.cli.options import RoadOptions, TrustOptions
from cmpkit.cli.sources import read_secret
from cmpkit.crypto.agreed_proof import AgreedProof
from cmpkit.crypto.keys import generate_key, key_to_pem, load_private_key, write_file_atomically
from cmpkit.crypto.names import parse_name
from cmpkit.crypto.x509 import certificate_public_key_info
from cmpkit.endpoints.credentials import Credentials, SigningCredentials
from cmpkit.endpoints.options import ClientOptions
from cmpkit.endpoints.protector import mac_names
from cmpkit.endpoints.revocation import revocation_sources
from cmpkit.endpoints.tolerating import wanted_tolerances
from cmpkit.enums import ProofMethod
from cmpkit.errors import ConfigurationError
from cmpkit.parts import PrivateKey, SharedSecret, TransportOptions
from cmpkit.tolerances import Side
from cmpkit.transports.own_options import named_options

if TYPE_CHECKING:
    from cmpkit.plugins import Plugins

__all__ = [
    "CertifiedKey",
    "check_outputs",
    "client_options",
    "credentials",
    "new_key",
    "no_key",
    "proof",
    "read_all",
    "transport_options",
]

DEFAULT_KEY_TYPE = "p256"
_PROOFS = tuple(ProofMethod)


async def read_all(paths: Sequence[Path] | None) -> tuple[bytes, ...]:
    """The DER certificates of some files, in their order.

    :raises ConfigurationError: naming the file that cannot be read.
    """
    return tuple([der for path in paths or () for der in await read_certificates(str(path), Path())])


async def credentials(job: Job, plugins: Plugins) -> Credentials:
    """What the requests are protected with.

    :raises ConfigurationError: naming the options that are missing or contradict each other.
    """
    given = job.credentials
    if job.request.adopt_ca_pubs and given.ref is None:
        raise ConfigurationError(
            "--adopt-ca-pubs needs --ref and --secret: only under a shared secret are caPubs to be believed",
            rule="RFC 9483 section 4.1.1",
        )
    if given.ref is not None and given.cert is not None:
        raise ConfigurationError(
            "--ref and --cert exclude each other", hint="give --ref and --secret, or --cert and --key"
        )
    if given.ref is not None:
        if given.secret is None:
            raise ConfigurationError("--ref needs --secret", hint="write --secret file:PATH, env:NAME or fd:N")
        return SharedSecret(given.ref, await read_secret(given.secret, "--secret"))
    if given.secret is not None:
        raise ConfigurationError("--secret needs --ref", hint="the reference says which secret it is")
    if given.cert is None or given.key is None:
        missing = "--key" if given.cert is not None else "--cert" if given.key is not None else "credentials"
        raise ConfigurationError(f"{missing} missing", hint="give --ref and --secret, or --cert and --key")
    certificate, *chain = await read_certificates(str(given.cert), Path())
    key = await _existing_key(job, plugins)
    if certificate_public_key_info(certificate) != key.public_key_info:
        raise ConfigurationError(
            f"the key of --key is not that of the certificate in {given.cert}", hint="give those that belong together"
        )
    return SigningCredentials(certificate, key, tuple(chain))


async def _existing_key(job: Job, plugins: Plugins) -> PrivateKey:
    assert job.credentials.key is not None
    uri, source = key_uri(job.credentials.key), job.credentials.keypass
    password = None if source is None else await read_secret(source, "--keypass")
    provider = plugins.require("key provider", uri.partition(":")[0])
    key: PrivateKey = await provider.load(uri, password, plugins.all("key algorithm"))
    return key


@dataclass(frozen=True, slots=True)
class CertifiedKey:
    """The key to certify.

    :param private: ``None`` for that of a PKCS#10 request.
    :param path: its file, ``None`` for that of a PKCS#10 request and for the key of the credentials.
    :param made: whether it was made just now.
    """

    public_key_info: bytes
    private: PrivateKey | None
    path: Path | None = None
    made: bool = False


async def no_key(job: Job, plugins: Plugins, own: Credentials) -> None:
    """For commands that have no key certified."""


async def new_key(job: Job, plugins: Plugins, own: Credentials, default_type: str = DEFAULT_KEY_TYPE) -> CertifiedKey:
    """The key in the file of ``--newkey``, which is made if it is absent; it is on the disk when this returns.

    :param default_type: of a key that is made, if ``--newkey-type`` says none.
    :raises ConfigurationError: if it cannot be read, made or written.
    """
    path, wanted = job.wanted.newkey, job.wanted.newkey_type
    assert path is not None
    source = job.wanted.newkeypass
    password = None if source is None else await read_secret(source, "--newkeypass")
    if await anyio.Path(path).exists():
        data = await read_file(path, Path())
        key = await anyio.to_thread.run_sync(load_private_key, data, password, plugins)
        if wanted is not None and key.key_type != wanted:
            raise ConfigurationError(
                f"{path} has a key of type {key.key_type}, --newkey-type says {wanted}",
                hint="leave --newkey-type out, or name a file that does not exist yet",
            )
        return CertifiedKey(key.public_key_info, key, path)
    key = await anyio.to_thread.run_sync(generate_key, wanted or default_type, plugins)
    pem = await anyio.to_thread.run_sync(key_to_pem, key, password)
    await anyio.to_thread.run_sync(lambda: write_file_atomically(path, pem, mode=0o600))
    return CertifiedKey(key.public_key_info, key, path, made=True)


async def proof(job: Job) -> ProofMethod | AgreedProof | None:
    """The proof of possession that ``--popo`` names, by the numbers of OpenSSL and some more.

    :raises ConfigurationError: if ``--agree-with`` is missing, of no use, or cannot be read.
    """
    method, file = None if job.wanted.popo is None else _PROOFS[job.wanted.popo], job.wanted.agree_with
    if method not in (ProofMethod.AGREED_MAC, ProofMethod.DH_BASED_MAC):
        if file is not None:
            raise ConfigurationError("--agree-with is for --popo 4 and 5", hint="give one of these, or leave it out")
        return method
    if file is None:
        raise ConfigurationError(
            f"--popo {job.wanted.popo} needs --agree-with",
            hint="the server tells its certificate for that: cmpkit info caProtEncCert",
        )
    certificate = (await read_certificates(str(file), Path()))[0]
    return AgreedProof(certificate, as_signature=method is ProofMethod.DH_BASED_MAC)


async def client_options(job: Job, plugins: Plugins) -> ClientOptions:
    """The options of the client.

    :raises ConfigurationError: naming what cannot be used.
    """
    trust, transfer = job.trust, job.transfer
    pinned = (await read_certificates(str(trust.srvcert), Path()))[0] if trust.srvcert is not None else None
    return ClientOptions(
        implicit_confirm=job.request.implicit_confirm,
        total_timeout=transfer.total_timeout or None,
        recipient=_name(transfer.recipient),
        profile=job.request.profile,
        untrusted=await read_all(trust.untrusted),
        extra_certs=await read_all(job.credentials.extracerts),
        pinned=pinned,
        expected_sender=_name(trust.expect_sender),
        mac=_mac(job, plugins),
        tolerances=_tolerances(trust, plugins),
        revocation=await revocation_sources(
            trust.crl or (), trust.ocsp, crl_download=trust.crl_download, directory=Path()
        ),
        adopt_ca_pubs=job.request.adopt_ca_pubs,
        state=job.state,
        transport=transport_options(transfer, job.directory),
    )


def transport_options(road: RoadOptions, directory: Path) -> TransportOptions:
    """The options of the road.

    :param directory: where relative paths in its own options start.
    :raises ConfigurationError: if an own option cannot be read.
    """
    return TransportOptions(
        timeout=road.msg_timeout,
        tls_trusted=_text(road.tls_trusted),
        tls_cert=_text(road.tls_cert),
        tls_key=_text(road.tls_key),
        tls_keypass=road.tls_keypass,
        tls_host=road.tls_host,
        proxy=road.proxy,
        no_proxy=road.no_proxy,
        own=named_options(road.road_option or (), "--road-option"),
        directory=directory,
    )


def _mac(job: Job, plugins: Plugins) -> str | None:
    mac = job.credentials.mac
    if mac is None:
        return None
    if job.credentials.secret is None:
        raise ConfigurationError("--mac is for messages under a shared secret", hint="give --ref and --secret, too")
    known = mac_names(plugins)
    if mac not in known:
        raise ConfigurationError(f"--mac: there is no {mac}", hint=f"there are: {', '.join(known) or 'none'}")
    return mac


def _tolerances(trust: TrustOptions, plugins: Plugins) -> frozenset[str]:
    names = [*(trust.tolerate or ()), *(["unprotected-errors"] if trust.unprotected_errors else ())]
    return wanted_tolerances(Side.CLIENT, plugins, names=names, peer=trust.peer, keys=("--tolerate", "--peer"))


def _name(text: str | None) -> x509.Name | None:
    return None if text is None else parse_name(text)


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def check_outputs(job: Job) -> None:
    """Whether the files of a job can be written, before anything is asked for.

    :raises ConfigurationError: naming the first that cannot be.
    """
    outputs = job.outputs
    certificates = (outputs.certout, outputs.chainout, outputs.cacertsout) if outputs is not None else ()
    told = job.info.outputs.values() if job.info is not None else ()
    for path in (*certificates, job.wanted.newkey, job.wanted.newkeyout, *told):
        if path is not None and path.is_dir():
            raise ConfigurationError(f"{path} cannot be written: it is a directory")
        if path is not None:
            _check_folder(path, path.parent)
    folder = job.wanted.keysout
    if folder is not None:
        _check_folder(folder, folder if folder.exists() else folder.parent)


def _check_folder(path: Path, folder: Path) -> None:
    """Whether something can be made in a folder."""
    if not folder.is_dir():
        raise ConfigurationError(f"{path} cannot be written: {folder} is no directory", hint="make it first")
    if not os.access(folder, os.W_OK):
        raise ConfigurationError(f"{path} cannot be written: no permission for {folder}")
