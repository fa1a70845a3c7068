"""``--centralkeygen``: the server generates the key, which is in its file before the certificate is confirmed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
from cryptography import x509

from cmpkit import oids
from cmpkit.ca.sources import read_file
from cmpkit.cli.jobs import Job
from cmpkit.cli.preparing import CertifiedKey, new_key
from cmpkit.cli.sources import read_secret
from cmpkit.crypto.keys import key_to_pem, load_private_key, write_private_file
from cmpkit.endpoints.central_keys import CentralKey
from cmpkit.endpoints.controls import archived_key, generated_key_archival
from cmpkit.endpoints.credentials import Credentials
from cmpkit.endpoints.support import read_encryption_certificate
from cmpkit.errors import ConfigurationError
from cmpkit.parts import PrivateKey, SharedSecret

if TYPE_CHECKING:
    from cmpkit.asn1 import AttributeTypeAndValue
    from cmpkit.cli.operations import Work
    from cmpkit.endpoints.client import Client
    from cmpkit.plugins import Plugins

__all__ = ["archiving", "asked_key", "key_keeper", "wanted_key"]


async def wanted_key(job: Job, plugins: Plugins, own: Credentials) -> CertifiedKey:
    """The key of ``--newkey``, or the place of ``--newkeyout`` for one that the server generates.

    :raises ConfigurationError: if options are missing or exclude each other, or a file cannot be used.
    """
    wanted = job.wanted
    if not wanted.centralkeygen:
        if wanted.newkeyout is not None:
            raise ConfigurationError(
                "--newkeyout needs --centralkeygen", hint="a key that is made here goes to --newkey"
            )
        if wanted.newkey is None:
            raise ConfigurationError(
                "--newkey missing", hint="or have the server generate the key: --centralkeygen --newkeyout FILE"
            )
        return await new_key(job, plugins, own)
    if wanted.newkey is not None or wanted.newkeyout is None:
        raise ConfigurationError(
            "--centralkeygen needs --newkeyout, and no --newkey",
            hint="--newkeyout names the file for the key that comes",
        )
    return CertifiedKey(b"", None, wanted.newkeyout, made=True)


async def asked_key(job: Job, key: CertifiedKey, plugins: Plugins) -> PrivateKey | CentralKey:
    """What to ask a certificate for.

    :raises ConfigurationError: if there is a file already where a key that the server generates would go.
    """
    if key.private is not None:
        return key.private
    assert key.path is not None
    if await anyio.Path(key.path).exists():
        raise ConfigurationError(f"{key.path} exists already and is not overwritten", hint="name another --newkeyout")
    kind = job.wanted.newkey_type
    return CentralKey() if kind is None else CentralKey.of_type(kind, plugins)


async def archiving(
    client: Client, key: PrivateKey | CentralKey, subject: x509.Name | None, work: Work
) -> tuple[AttributeTypeAndValue, ...]:
    """The control for ``--archive``: the key itself, encrypted for the server, or that one it generates is to be kept.

    :raises ConfigurationError: if nothing can be encrypted for the server.
    """
    if isinstance(key, CentralKey):
        return (generated_key_archival(True),)
    server = work.credentials if isinstance(work.credentials, SharedSecret) else await _encryption_certificate(client)
    return (await archived_key(key, server, subject or x509.Name([]), plugins=work.plugins),)


async def _encryption_certificate(client: Client) -> bytes:
    (answer,) = await client.info(oids.CA_PROT_ENC_CERT)
    if answer.info_value is None or answer.info_type != oids.CA_PROT_ENC_CERT:
        raise ConfigurationError(
            "the server names no certificate to encrypt a key to",
            hint="set [encryption] there, or ask under a shared secret",
        )
    return read_encryption_certificate(answer)


def key_keeper(job: Job, plugins: Plugins) -> Callable[[PrivateKey], Awaitable[None]] | None:
    """What writes a key that the server generated into its file, readable by its owner only.

    Who goes on with a transaction may find it there.
    """
    path, source = job.wanted.newkeyout, job.wanted.newkeypass
    if path is None:
        return None

    async def keep(key: PrivateKey) -> None:
        password = None if source is None else await read_secret(source, "--newkeypass")
        if await anyio.Path(path).exists():
            await _check_same(path, password, key, plugins)
            return
        pem = await anyio.to_thread.run_sync(key_to_pem, key, password)
        await anyio.to_thread.run_sync(write_private_file, path, pem)

    return keep


async def _check_same(path: Path, password: bytes | None, key: PrivateKey, plugins: Plugins) -> None:
    there = await anyio.to_thread.run_sync(load_private_key, await read_file(path, Path()), password, plugins)
    if there.public_key_info != key.public_key_info:
        raise ConfigurationError(
            f"{path} has another key than the one that came", hint="move it away, and go on with: cmpkit resume"
        )
