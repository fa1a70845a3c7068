"""How a certificate gets under renewal: by a definition, and by files that are there already or a shared secret."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import anyio.to_thread

from cmpkit.ca.sources import load_key, read_certificates
from cmpkit.crypto.keys import key_to_pem, write_file_atomically
from cmpkit.crypto.x509 import certificate_public_key_info
from cmpkit.errors import ConfigurationError
from cmpkit.plugins import Plugins
from cmpkit.renewal.definition import Definition, dump_definition
from cmpkit.renewal.materials import Materials, Surroundings
from cmpkit.renewal.place import Place, Version
from cmpkit.renewal.requesting import forget_what_was_begun
from cmpkit.renewal.state import load_state, save_state

__all__ = ["add_certificate", "import_pair"]


async def add_certificate(
    place: Place, definition: Definition, plugins: Plugins, *, pair: tuple[Path, str] | None
) -> Version | None:
    """Put a certificate under renewal; nothing is sent.

    :param pair: the file of a certificate that there is, and the URI of its key. Without it the definition has a
        shared secret, which gets the first certificate in the next run.
    :returns: what is in use now.
    :raises ConfigurationError: if there is one of that name, or something that is named cannot be used.
    """
    if place.definition.exists():
        raise ConfigurationError(
            f"{place.name} is under renewal already", hint=f"edit {place.definition}, or choose another name"
        )
    if pair is None and definition.ref is None:
        raise ConfigurationError(
            "nothing to renew, and no shared secret to get a certificate",
            hint="give --cert and --key, or --ref and --secret, or both",
        )
    text = dump_definition(definition)
    await Materials(place, definition, Surroundings(plugins)).check(None)
    version = None
    with place.locked():
        if pair is not None:
            version = await _import(place, definition, plugins, pair, definition.keypass)
        await anyio.to_thread.run_sync(lambda: write_file_atomically(place.definition, text.encode(), mode=0o600))
    return version


async def import_pair(
    place: Place, definition: Definition, plugins: Plugins, *, pair: tuple[Path, str], keypass: str | None
) -> Version:
    """Take a certificate into use that was got in another way, and forget failures of before.

    :param pair: the file of the certificate, and the URI of its key.
    :param keypass: where the password of that key is.
    :raises ConfigurationError: if they cannot be used, or do not belong together.
    """
    with place.locked():
        version = await _import(place, definition, plugins, pair, keypass)
        state = await anyio.to_thread.run_sync(load_state, place.state)
        await anyio.to_thread.run_sync(save_state, place.state, replace(state, renewal=None, deployment=None))
    return version


async def _import(
    place: Place, definition: Definition, plugins: Plugins, pair: tuple[Path, str], keypass: str | None
) -> Version:
    file, uri = pair
    certificate, *chain = await read_certificates(str(file), Path())
    key = await load_key(uri, keypass, Path(), plugins)
    if certificate_public_key_info(certificate) != key.public_key_info:
        raise ConfigurationError(
            f"the key in {uri} is not that of the certificate in {file}", hint="give those that belong together"
        )
    pem = None
    if definition.key is None:
        password = await Materials(place, definition, Surroundings(plugins)).password()
        pem = await anyio.to_thread.run_sync(key_to_pem, key, password)
    version = await anyio.to_thread.run_sync(place.write_version, certificate, tuple(chain), pem)
    await anyio.to_thread.run_sync(place.switch_to, version)
    await anyio.to_thread.run_sync(forget_what_was_begun, place)
    return version
