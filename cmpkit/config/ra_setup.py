"""What ``cmpkit init-ra`` does: the directory of a registration authority, whole or not at all."""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import anyio
import anyio.to_thread
from cryptography import x509

from cmpkit import oids
from cmpkit.asn1 import decode_list
from cmpkit.ca.directory import build_directory, is_started
from cmpkit.ca.documents import DEFAULT_LISTEN
from cmpkit.ca.settings import naming
from cmpkit.ca.setup import CONFIGURATION, TRUST, Initialised
from cmpkit.ca.sources import read_certificates, read_file, resolve_store_url
from cmpkit.crypto.keys import key_to_pem, load_private_key
from cmpkit.crypto.paths import validate_path
from cmpkit.crypto.x509 import certificate_public_key_info, outline, to_pem
from cmpkit.errors import CMPError, ConfigurationError
from cmpkit.parts import PrivateKey, TransportOptions
from cmpkit.plugins import Plugins
from cmpkit.transports import configure_server

__all__ = ["initialise_ra"]

_SIGNER, _KEY, _STORE, _STORE_KEY = "ra.pem", "keys/ra.key.pem", "sqlite:///cmpkit.db", "keys/store.key"

_TEXT = """\
# The configuration of a cmpkit registration authority. Relative paths start in the directory of this file.
# A key that does not exist is an error, which names it. Start the server with: cmpkit serve --config FILE

[store]
url = "{store}"
# Shared secrets are encrypted in the store with this key. Keep a copy, apart from the backups of the store.
sealing_key_file = "{store_key}"

# Signs what goes upstream, and the answers to requests that are not protected by a shared secret.
[signer]
certificate = "{signer}"
key = "file:{key}"

{listen}
# The CA, or the registration authority before it.
[[upstream]]
name = "ca"
url = {upstream}
trusted = ["{trust}"]                # who may sign its answers; TLS has trust anchors of its own: tls_trusted
forward = "{forward}"              # or "unchanged", "nest", "batch", "reprotect"
# timeout = "20s"                      # how long a requester waits here before he is told to come again
# check_after = "10s"                  # how soon he may come again
# deadline = "7d"                      # how long an answer may take
# late = "revoke"                      # or "keep": certificates that come when nobody waits for them any more

# Which messages go there; without a table everything does.
# [[route]]
# to = "ca"
# body = ["ir", "cr", "p10cr", "kur", "rr"]

[server]
trusted = ["{trust}"]                # who signs with a certificate below it is known here
intermediates = ["{signer}"]             # certificates of CAs that lead there: requests may leave them out

# Who may have messages passed on; what comes of them is for the CA to say.
[policy]
kind = "rules"

[[policy.rule]]
name = "what the CA certified"
who = ["trusted"]
body = ["cr", "p10cr", "kur", "rr", "genm"]
action = "accept"

[[policy.rule]]
name = "shared secrets, for what they were made for (see: cmpkit secret add)"
who = ["secret"]
action = "default"

# The names of profiles that secrets are for. The CA has profiles of its own: it knows only those that requests name.
[profiles.device]
"""


async def initialise_ra(
    directory: Path,
    *,
    upstream: str,
    trusted: Path,
    certificate: Path,
    key: Path,
    chain: Path | None = None,
    key_password: bytes | None = None,
    forward: str = "reprotect",
    listen: Sequence[str] = (),
    plugins: Plugins,
    now: datetime,
) -> Initialised:
    """Make the directory of a registration authority before one upstream.

    :param directory: must not exist, or be empty.
    :param upstream: the URL of the CA.
    :param trusted: file with the trust anchors for its answers.
    :param certificate: file with the certificate of the registration authority, then those above it.
    :param key: file with its private key.
    :param chain: file with the certificates above it, if they are in another one.
    :param key_password: of that key.
    :param forward: how messages go there: one of :data:`cmpkit.relay.wrapping.FORWARD`.
    :param listen: URLs to listen on; none means the usual one.
    :raises ConfigurationError: if that cannot be done; then nothing was changed.
    """
    directory = Path(await anyio.Path(directory).resolve())
    for url in listen:
        configure_server(plugins.server_transport(url), {}, directory).check(url)
    plugins.client_transport(upstream).open(upstream, TransportOptions())
    if await anyio.to_thread.run_sync(is_started, directory):
        raise ConfigurationError(
            f"{directory} is not empty, nothing is overwritten", hint="name a directory that does not exist yet"
        )
    anchors = await read_certificates(str(trusted), Path())
    certificates = await read_certificates(str(certificate), Path())
    above = () if chain is None else await read_certificates(str(chain), Path())
    with naming(str(key)):
        own = load_private_key(await read_file(key, Path()), key_password, plugins)
    path = _check((*certificates, *above), own, anchors, plugins, now)
    files = {
        TRUST: to_pem(*anchors),
        _SIGNER: to_pem(*path),
        _KEY: key_to_pem(own),
        _STORE_KEY: base64.b64encode(secrets.token_bytes(32)) + b"\n",
        CONFIGURATION: _text(listen or (DEFAULT_LISTEN,), upstream, forward).encode(),
    }

    async def make_store(where: Path) -> None:
        url = resolve_store_url(_STORE, where)
        await plugins.store(url).create(url)

    await build_directory(directory, files, make_store, last=CONFIGURATION)
    return Initialised(directory, directory / CONFIGURATION, directory / TRUST, notes=_notes(path[0]))


def _check(
    certificates: Sequence[bytes], key: PrivateKey, anchors: Sequence[bytes], plugins: Plugins, now: datetime
) -> tuple[bytes, ...]:
    """The certificate and those above it, up to a trust anchor."""
    if certificate_public_key_info(certificates[0]) != key.public_key_info:
        raise ConfigurationError(
            "the certificate is not for the private key", hint="give the key and the certificate that belong together"
        )
    try:
        return validate_path(certificates[0], candidates=certificates[1:], anchors=anchors, now=now, plugins=plugins)
    except CMPError as error:
        raise ConfigurationError(
            f"requesters could not verify the certificate: {error.detail}",
            hint="give the certificates above it, too: cmpkit enroll writes them with --chainout",
        ) from error


def _notes(certificate: bytes) -> tuple[str, ...]:
    usage = outline(certificate).extension(oids.EXTENDED_KEY_USAGE)
    if usage is not None and oids.KP_CMC_RA in decode_list(x509.ObjectIdentifier, usage):
        return ()
    return (
        "The certificate does not have the extended key usage cmcRA: the CA must know it as that of a registration "
        "authority in another way.",
    )


def _text(listen: Sequence[str], upstream: str, forward: str) -> str:
    # A JSON string is a TOML basic string.
    quoted = [json.dumps(url, ensure_ascii=False) for url in (*listen, upstream)]
    return _TEXT.format(
        store=_STORE,
        store_key=_STORE_KEY,
        signer=_SIGNER,
        key=_KEY,
        trust=TRUST,
        listen="\n".join(f"[[listen]]\nurl = {url}\n" for url in quoted[:-1]),
        upstream=quoted[-1],
        forward=forward,
    )
