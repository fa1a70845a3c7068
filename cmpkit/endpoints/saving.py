"""Where a client keeps its transactions: one file each, written before the first octet is sent, or elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cmpkit.crypto.keys import write_file_atomically
from cmpkit.engine.client_transaction import ClientTransaction
from cmpkit.engine.journal import dump_transaction, load_transaction
from cmpkit.errors import ConfigurationError

__all__ = ["FolderKeeper", "TransactionFolder", "TransactionKeeper"]


class TransactionKeeper(Protocol):
    """Keeps one transaction while it is under way."""

    async def save(self, transaction: ClientTransaction) -> None:
        """Keep it in place of what it was; it survives ``kill -9`` when this returns."""

    async def remove(self, transaction: ClientTransaction) -> None:
        """Forget it."""


class TransactionFolder:
    """Unfinished transactions as files ``<transactionID>.json``, readable by their owner only.

    :param directory: made when the first transaction is saved.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def path(self, transaction: ClientTransaction) -> Path:
        """The file of a transaction."""
        return self.directory / f"{transaction.transaction_id.hex()}.json"

    def save(self, transaction: ClientTransaction) -> None:
        """Write the transaction; it is on the disk when this returns.

        :raises ConfigurationError: if it cannot be written.
        """
        try:
            self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_file_atomically(self.path(transaction), dump_transaction(transaction).encode(), mode=0o600)
        except OSError as error:
            raise ConfigurationError(
                f"the transaction cannot be saved in {self.directory}: {error}", hint="name another folder with --state"
            ) from error

    def load(self, path: Path) -> ClientTransaction:
        """The transaction of a file.

        :raises ConfigurationError: if it cannot be read.
        """
        try:
            return load_transaction(path.read_text())
        except OSError as error:
            raise ConfigurationError(f"the saved transaction {path} cannot be read: {error}") from error

    def all(self) -> tuple[ClientTransaction, ...]:
        """Every transaction that is not finished; damaged files are left alone."""
        found = []
        for path in sorted(self.directory.glob("*.json")):
            try:
                found.append(self.load(path))
            except ConfigurationError:
                continue
        return tuple(found)

    def remove(self, transaction: ClientTransaction) -> None:
        """Forget a transaction that is finished."""
        self.path(transaction).unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class FolderKeeper:
    """A :class:`TransactionKeeper` with a folder."""

    directory: Path

    async def save(self, transaction: ClientTransaction) -> None:
        """Write its file; see :meth:`TransactionFolder.save`."""
        TransactionFolder(self.directory).save(transaction)

    async def remove(self, transaction: ClientTransaction) -> None:
        """Remove its file."""
        TransactionFolder(self.directory).remove(transaction)
