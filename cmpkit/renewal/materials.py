"""What a definition names, as values: credentials, keys, certificates, and a client that uses them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import anyio
import anyio.to_thread

from cmpkit.asn1 import Extension
from cmpkit.ca.sources import load_key, read_certificates
from cmpkit.crypto.keys import generate_key, key_to_pem, load_private_key, write_file_atomically
from cmpkit.crypto.x509 import certificate_public_key_info
from cmpkit.endpoints.checkpoints import Checkpoint, reach
from cmpkit.endpoints.client import Client
from cmpkit.endpoints.credentials import Credentials, SigningCredentials, as_name
from cmpkit.endpoints.options import ClientOptions
from cmpkit.endpoints.protector import mac_names
from cmpkit.endpoints.requests import subject_alternative_names
from cmpkit.endpoints.revocation import revocation_sources
from cmpkit.endpoints.tolerating import wanted_tolerances
from cmpkit.errors import CMPError, ConfigurationError
from cmpkit.parts import Observer, PrivateKey, SharedSecret, TransportOptions
from cmpkit.passwords import read_password
from cmpkit.plugins import Plugins
from cmpkit.renewal.definition import Definition
from cmpkit.renewal.place import Place, Version
from cmpkit.tolerances import Side
from cmpkit.transports.own_options import named_options

__all__ = ["Materials", "Surroundings", "utc_now"]


def utc_now() -> datetime:
    """The time by the clock of this machine."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What renewal takes from the process that it is in.

    :param plugins: the parts to use.
    :param clock: gives the time, in UTC.
    :param sleep: waits for some seconds; a virtual clock has its own.
    :param observers: told of every message.
    """

    plugins: Plugins
    clock: Callable[[], datetime] = utc_now
    sleep: Callable[[float], Awaitable[None]] = anyio.sleep
    observers: Sequence[Observer] = ()


@dataclass(frozen=True, slots=True)
class Materials:
    """What is needed to ask for one certificate."""

    place: Place
    definition: Definition
    around: Surroundings

    async def own_credentials(self, version: Version) -> SigningCredentials:
        """The certificate in use, with its key.

        :raises ConfigurationError: if the key cannot be had, or does not fit.
        """
        uri = self.definition.key or (version.directory / "key.pem").absolute().as_uri()
        key = await load_key(uri, self.definition.keypass, self.place.folder, self.around.plugins)
        if certificate_public_key_info(version.certificate) != key.public_key_info:
            raise ConfigurationError(f"the key in {uri} is not that of the certificate in {version.directory}")
        return SigningCredentials(version.certificate, key, version.chain)

    async def secret(self) -> SharedSecret:
        """The shared secret of the definition, which has one.

        :raises ConfigurationError: if it cannot be read.
        """
        assert self.definition.ref is not None
        assert self.definition.secret is not None
        value = await read_password(self.definition.secret, self.place.folder)
        if not value:
            raise ConfigurationError(f"secret: {self.definition.secret} is empty")
        return SharedSecret(self.definition.ref, value)

    async def client(self, credentials: Credentials) -> Client:
        """A client for the definition; nothing is sent.

        :raises ConfigurationError: naming what cannot be used.
        """
        return Client(
            self.definition.url,
            credentials=credentials,
            trust=await self._certificates(self.definition.trusted),
            options=await self._options(),
            plugins=self.around.plugins,
            observers=self.around.observers,
        )

    async def check(self, version: Version | None) -> None:
        """Whether everything that the definition names can be used, without asking the server.

        :raises ConfigurationError: naming what cannot be.
        """
        self.extensions()
        if self.definition.key is not None:
            await self.key_elsewhere()
        if version is not None:
            async with await self.client(await self.own_credentials(version)):
                pass
        if self.definition.ref is not None:
            async with await self.client(await self.secret()):
                pass

    async def new_key(self, default_type: str) -> PrivateKey:
        """The key of the request that is under way, or a new one; it is on the disk when this returns.

        :param default_type: unless the definition has one.
        """
        key_type, path = self.definition.newkey_type or default_type, self.place.new_key
        found = await self.saved_key()
        if found is not None and found.key_type == key_type:
            return found
        key = await anyio.to_thread.run_sync(generate_key, key_type, self.around.plugins)
        pem = await self.pem(key)
        assert pem is not None
        await anyio.to_thread.run_sync(lambda: write_file_atomically(path, pem, mode=0o600))
        reach(self.around.plugins, Checkpoint.KEY_WRITTEN, None)
        return key

    async def saved_key(self) -> PrivateKey | None:
        """The key of the request that is under way, if there is one that can be read."""
        try:
            data = await anyio.Path(self.place.new_key).read_bytes()
            password = await self.password()
            return await anyio.to_thread.run_sync(load_private_key, data, password, self.around.plugins)
        except FileNotFoundError:
            return None
        except CMPError:
            # Written under a password that was changed since: what it was for cannot be gone on with.
            return None

    async def key_elsewhere(self) -> PrivateKey:
        """The key of the definition that is in no file; it has one.

        :raises ConfigurationError: if it cannot be had.
        """
        assert self.definition.key is not None
        return await load_key(self.definition.key, self.definition.keypass, self.place.folder, self.around.plugins)

    async def pem(self, key: PrivateKey) -> bytes | None:
        """What is written of a key; ``None`` if it is in no file."""
        if self.definition.key is not None:
            return None
        return await anyio.to_thread.run_sync(key_to_pem, key, await self.password())

    async def password(self) -> bytes | None:
        """The password of the private keys, if they have one.

        :raises ConfigurationError: if it cannot be read.
        """
        source = self.definition.keypass
        return None if source is None else await read_password(source, self.place.folder)

    def extensions(self) -> tuple[Extension, ...]:
        """What a first certificate is asked for with.

        :raises ConfigurationError: if the definition has names that are none.
        """
        return subject_alternative_names(self.definition.sans)

    async def _certificates(self, paths: Sequence[Path]) -> tuple[bytes, ...]:
        return tuple([der for path in paths for der in await read_certificates(str(path), self.place.folder)])

    def _tolerances(self) -> frozenset[str]:
        wanted = self.definition
        names = [*wanted.tolerate, *(["unprotected-errors"] if wanted.unprotected_errors else ())]
        keys = ("tolerate", "peer")
        return wanted_tolerances(Side.CLIENT, self.around.plugins, names=names, peer=wanted.peer, keys=keys)

    async def _options(self) -> ClientOptions:
        wanted = self.definition
        macs = mac_names(self.around.plugins)
        if wanted.mac is not None and wanted.mac not in macs:
            raise ConfigurationError(f"mac: there is no {wanted.mac}", hint=f"there are: {', '.join(macs) or 'none'}")
        tls = [wanted.tls_trusted, wanted.tls_cert, wanted.tls_key]
        trusted, certificate, key = (None if path is None else str(path) for path in tls)
        return ClientOptions(
            implicit_confirm=wanted.implicit_confirm,
            total_timeout=wanted.total_timeout,
            recipient=None if wanted.recipient is None else as_name(wanted.recipient),
            profile=wanted.profile,
            untrusted=await self._certificates(wanted.untrusted),
            extra_certs=await self._certificates(wanted.extracerts),
            pinned=None if wanted.srvcert is None else (await self._certificates([wanted.srvcert]))[0],
            expected_sender=None if wanted.expect_sender is None else as_name(wanted.expect_sender),
            tolerances=self._tolerances(),
            revocation=await revocation_sources(
                wanted.crl, wanted.ocsp, crl_download=wanted.crl_download, directory=self.place.folder
            ),
            mac=wanted.mac,
            state=self.place.transactions,
            transport=TransportOptions(
                timeout=wanted.msg_timeout,
                tls_trusted=trusted,
                tls_cert=certificate,
                tls_key=key,
                tls_keypass=wanted.tls_keypass,
                tls_host=wanted.tls_host,
                proxy=wanted.proxy,
                no_proxy=wanted.no_proxy,
                own=named_options(wanted.road_option, "road_option"),
                directory=self.place.folder,
            ),
            clock=self.around.clock,
            sleep=self.around.sleep,
        )
