"""A new certificate for one that is under renewal: asked for, or gone on with if that was interrupted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import anyio
import anyio.to_thread

from cmpkit.endpoints.checkpoints import Checkpoint, reach
from cmpkit.endpoints.client import Client
from cmpkit.endpoints.credentials import Credentials, as_name
from cmpkit.endpoints.enrolled import Enrolled
from cmpkit.endpoints.resuming import is_own_transaction, resume_or_begin
from cmpkit.endpoints.saving import TransactionFolder
from cmpkit.engine.client_transaction import ClientTransaction
from cmpkit.engine.states import ClientState
from cmpkit.enums import BodyType
from cmpkit.errors import StillWaiting
from cmpkit.parts import PrivateKey
from cmpkit.renewal.materials import Materials
from cmpkit.renewal.place import Place, Version
from cmpkit.renewal.schedule import lifetime_of

__all__ = ["Requester", "forget_what_led_to", "forget_what_was_begun", "under_way"]


def under_way(place: Place) -> tuple[ClientTransaction, ...]:
    """The requests of a certificate that were begun and are not over."""
    return TransactionFolder(place.transactions).all()


def forget_what_led_to(place: Place) -> None:
    """Remove the request and the key of the version in use; a process may have been killed before it did that."""
    version, folder = place.version(), TransactionFolder(place.transactions)
    for transaction in folder.all():
        if version is not None and transaction.certificate == version.certificate:
            place.new_key.unlink(missing_ok=True)
            folder.remove(transaction)


def forget_what_was_begun(place: Place) -> None:
    """Remove every request that is under way, and its key."""
    folder = TransactionFolder(place.transactions)
    for transaction in folder.all():
        folder.remove(transaction)
    place.new_key.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class Requester:
    """Gets certificates for one place; whoever calls it holds the place's lock."""

    materials: Materials

    @property
    def place(self) -> Place:
        """Where the certificate lives."""
        return self.materials.place

    async def update(self, version: Version) -> Version:
        """A new version by a kur that the certificate in use signs, written and not yet in use.

        :raises CMPError: if there is none.
        """
        materials = self.materials
        credentials = await materials.own_credentials(version)
        key = credentials.key
        if not materials.definition.reuse_key:
            key = await materials.new_key(key.key_type)

        async def begin(client: Client, context: dict[str, str]) -> Enrolled:
            return await client.update(key=key, context=context)

        return await self._obtain(credentials, key, begin)

    async def enroll(self, version: Version | None) -> Version:
        """A new version by an ir under the shared secret, written and not yet in use.

        :param version: the one that is expired, if there is one: the new certificate has the same subject, unless
            the definition has another.
        :raises CMPError: if there is none.
        """
        materials, definition = self.materials, self.materials.definition
        credentials = await materials.secret()
        before = None if version is None else await materials.own_credentials(version)
        wanted = None if before is None else before.subject
        if definition.subject is not None:
            wanted = as_name(definition.subject)
        extensions = materials.extensions()
        if definition.key is not None:
            key = await materials.key_elsewhere()
        elif before is not None and definition.reuse_key:
            key = before.key
        else:
            key = await materials.new_key("p256" if before is None else before.key.key_type)

        async def begin(client: Client, context: dict[str, str]) -> Enrolled:
            return await client.enroll(wanted, key, extensions=extensions, context=context)

        return await self._obtain(credentials, key, begin)

    async def finish(self, version: Version | None) -> tuple[Version, BodyType] | None:
        """A new version from a request that is over: killed before its certificate was written. No server is asked.

        It may be that the certificate in use expired in the meantime, and the new one did not.

        :returns: it, and the operation that brought it; ``None`` if there is none.
        :raises CMPError: if the certificate is not acceptable.
        """
        materials, folder = self.materials, TransactionFolder(self.place.transactions)
        for transaction in under_way(self.place):
            if transaction.state is not ClientState.DONE:
                continue
            key = await self._key_of(transaction, version)
            if key is None or lifetime_of(transaction.certificate).is_over(materials.around.clock()):
                folder.remove(transaction)
                continue
            credentials = await (materials.secret() if version is None else materials.own_credentials(version))
            async with await materials.client(credentials) as client:
                return await self._write(await client.resume(transaction, key)), transaction.operation
        return None

    async def _key_of(self, transaction: ClientTransaction, version: Version | None) -> PrivateKey | None:
        """The key that a transaction had certified, if it is there still."""
        materials = self.materials
        keys = [await materials.saved_key()]
        if materials.definition.key is not None:
            keys.append(await materials.key_elsewhere())
        elif version is not None:
            keys.append((await materials.own_credentials(version)).key)
        asked = {one.public_key_info for one in transaction.sought}
        found = [key for key in keys if key is not None and key.public_key_info in asked]
        return found[0] if found else None

    async def _obtain(
        self, credentials: Credentials, key: PrivateKey, begin: Callable[[Client, dict[str, str]], Any]
    ) -> Version:
        transaction = await self._begun(credentials, key)
        async with await self.materials.client(credentials) as client:
            try:
                enrolled: Enrolled = await resume_or_begin(
                    client, transaction, key, begin=partial(begin, client, {"renewal": self.place.name})
                )
            except StillWaiting as error:
                error.hint = "the next run goes on with it"
                raise
        return await self._write(enrolled)

    async def _write(self, enrolled: Enrolled) -> Version:
        """What brought it stays until it is in use: see :func:`forget_what_led_to`."""
        assert enrolled.key is not None
        pem = await self.materials.pem(enrolled.key)
        write = self.place.write_version
        version = await anyio.to_thread.run_sync(write, enrolled.certificate, enrolled.chain, pem)
        reach(self.materials.around.plugins, Checkpoint.VERSION_WRITTEN, None)
        return version

    async def _begun(self, credentials: Credentials, key: PrivateKey) -> ClientTransaction | None:
        """The transaction to go on with. Those that cannot lead to anything any more are removed."""
        folder, found, plugins = TransactionFolder(self.place.transactions), None, self.materials.around.plugins
        for transaction in under_way(self.place):
            if await is_own_transaction(transaction, credentials, plugins, public_key_info=key.public_key_info):
                found = transaction
            else:
                folder.remove(transaction)
        return found
