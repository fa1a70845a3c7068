"""How values lie in columns, the same on every database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from cryptography import x509
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

from cmpkit.asn1 import decode
from cmpkit.enums import CRLReason
from cmpkit.errors import CMPError, ConfigurationError

__all__ = ["Moment", "Reason", "SerialNumber", "SubjectName", "moment"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_SERIAL_BITS = 160


def moment(microseconds: int) -> datetime:
    """The time so long after the beginning of 1970, in UTC."""
    return _EPOCH + timedelta(microseconds=microseconds)


class Moment(TypeDecorator[datetime]):
    """A time as whole microseconds since 1970 in UTC: exact, ordered, and free of what a database does with zones."""

    impl = sa.BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """Microseconds since 1970.

        :raises ConfigurationError: for a time without a zone.
        """
        if value is None:
            return None
        if value.tzinfo is None:
            raise ConfigurationError(f"the time {value.isoformat()} has no zone", hint="store aware times")
        return (value - _EPOCH) // _MICROSECOND

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        """The time, in UTC."""
        return None if value is None else moment(value)


class SerialNumber(TypeDecorator[int]):
    """A serial number of up to 160 bits as 40 hexadecimal digits (RFC 5280 section 4.1.2.2).

    A number that no certificate may have is longer or begins with a sign, and so is never found.
    """

    impl = sa.String(_SERIAL_BITS // 4)
    cache_ok = True

    def process_bind_param(self, value: int | None, dialect: Dialect) -> str | None:
        """The digits."""
        return None if value is None else f"{value:0{_SERIAL_BITS // 4}x}"

    def process_result_value(self, value: Any | None, dialect: Dialect) -> int | None:
        """The number."""
        return None if value is None else int(value, 16)


class SubjectName(TypeDecorator[x509.Name]):
    """A distinguished name as DER."""

    impl = sa.LargeBinary
    cache_ok = True

    def process_bind_param(self, value: x509.Name | None, dialect: Dialect) -> bytes | None:
        """DER of the Name.

        :raises ConfigurationError: for a name that nobody could read, such as one with ``*`` in a PrintableString.
        """
        if value is None:
            return None
        der = value.public_bytes()
        try:
            decode(x509.Name, der)
        except CMPError as error:
            raise ConfigurationError(
                f"the name {value.rfc4514_string()} is not valid X.509: {error.detail}",
                rule="RFC 5280 section 4.1.2.4",
                hint="leave out the characters that such an attribute cannot have",
            ) from error
        return der

    def process_result_value(self, value: Any | None, dialect: Dialect) -> x509.Name | None:
        """The name."""
        return None if value is None else decode(x509.Name, bytes(value))


class Reason(TypeDecorator[CRLReason]):
    """The reason of a revocation as its number (RFC 5280 section 5.3.1)."""

    impl = sa.SmallInteger
    cache_ok = True

    def process_bind_param(self, value: CRLReason | None, dialect: Dialect) -> int | None:
        """The number."""
        return None if value is None else int(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> CRLReason | None:
        """The reason."""
        return None if value is None else CRLReason(value)
