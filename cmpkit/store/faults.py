"""What a database reports, in our terms."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy.exc

from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError, ConflictError

__all__ = ["database_errors"]

_LOST_RACES = frozenset({"40001", "40P01"})
"""SQLSTATE of serialization_failure and deadlock_detected."""


@contextmanager
def database_errors(database: str) -> Iterator[None]:
    """Turn errors of SQLAlchemy and its drivers into ours; statements and their parameters are in none of them.

    :param database: what to call it, without a password.
    :raises ConflictError: if something is stored already, or another transaction won.
    :raises CMPError: systemUnavail if the database cannot be used now.
    """
    try:
        yield
    except sqlalchemy.exc.IntegrityError as error:
        raise ConflictError(f"what the unit adds is stored already: {_first_line(error.orig)}") from error
    except sqlalchemy.exc.DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) in _LOST_RACES:
            raise ConflictError(f"another transaction of the database won: {_first_line(error.orig)}") from error
        raise _unavailable(database, _first_line(error.orig)) from error
    except sqlalchemy.exc.TimeoutError as error:
        raise _unavailable(database, "every connection is in use") from error
    except sqlalchemy.exc.StatementError as error:
        if isinstance(error.orig, CMPError):
            raise error.orig from None
        raise


def _first_line(error: BaseException | None) -> str:
    return str(error).partition("\n")[0]


def _unavailable(database: str, reason: str) -> CMPError:
    return CMPError(
        f"the database {database} cannot be used now, nothing was stored: {reason}",
        PKIFailureInfo.SYSTEM_UNAVAIL,
        hint="see whether it is running, locked by another program, or out of space",
    )
