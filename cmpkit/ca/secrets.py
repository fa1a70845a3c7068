"""Shared secrets that are in the store."""

from __future__ import annotations

from cmpkit.parts import SecretRecord, Store

__all__ = ["StoredSecrets"]


class StoredSecrets:
    """A :class:`~cmpkit.parts.SecretSource`: what ``cmpkit secret add`` put into the store."""

    name = "store"

    def __init__(self, store: Store) -> None:
        self._store = store

    async def find(self, reference: bytes) -> SecretRecord | None:
        """The secret with that reference, revoked, used up or expired ones too."""
        return await self._store.find_secret(reference)
