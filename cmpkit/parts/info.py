"""Information types and observers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from cryptography.x509 import ObjectIdentifier

from cmpkit.asn1 import TLV, InfoTypeAndValue
from cmpkit.parts.identity import Authenticated
from cmpkit.parts.issuing import Issuer, Pending, Policy
from cmpkit.parts.keeping import KeptValue
from cmpkit.parts.keys import KeyAlgorithm, PrivateKey
from cmpkit.parts.store import Store

__all__ = [
    "EncryptionCredentials",
    "Event",
    "InfoContext",
    "InfoType",
    "Observer",
    "Told",
]


@dataclass(frozen=True, slots=True)
class EncryptionCredentials:
    """What requesters encrypt to, and what opens it (caProtEncCert, RFC 9810 section 5.3.19.1).

    :param certificate: DER.
    :param key: its private key.
    """

    certificate: bytes
    key: PrivateKey


@dataclass(frozen=True, slots=True)
class InfoContext:
    """What an info type may ask to find its answer.

    :param profile: the certificate profile that the question is about (certProfile, or the label of the address).
    :param policy: says what the sender may have; ``None`` where nobody does.
    :param store: to look things up; what is to change is said by :class:`Told`. ``None`` where there is none.
    :param encryption: what requesters encrypt to; ``None`` if there is no such key.
    :param key: names the message: the same one has the same key, however often it is put.
    :param again: whether it was answered by *pending* before.
    :param key_algorithms: the families of keys that are known here.
    """

    issuer: Issuer
    auth: Authenticated
    now: datetime
    profile: str | None = None
    policy: Policy | None = None
    store: Store | None = None
    encryption: EncryptionCredentials | None = None
    key: str = ""
    again: bool = False
    key_algorithms: Sequence[KeyAlgorithm] = ()


@dataclass(frozen=True, slots=True)
class Told:
    """An answer that leaves something behind: it is stored before the answer leaves, or both are not.

    :param answer: as an :class:`InfoType` gives it.
    :param keep: what is to be kept. Where the answer is another part's *pending*, it is stored later: the question is
        put again then.
    """

    answer: InfoTypeAndValue | Pending
    keep: tuple[KeptValue, ...] = ()


class InfoType(Protocol):
    """Answers one id-it of a genm (RFC 9810 section 5.3.19)."""

    oid: ObjectIdentifier
    name: str

    async def answer(self, value: TLV | None, context: InfoContext) -> InfoTypeAndValue | Told | Pending:
        """What the genp says to it; an absent value means "nothing to give".

        *Pending* lets the client ask again later (RFC 9810 section 5.3.22): the question is put once more then, to
        another process, perhaps.

        :raises CMPError: if the request cannot be answered.
        """


@dataclass(frozen=True, slots=True)
class Event:
    """Something that observers are told.

    :param name: ``message-received``, ``message-sent``, ``refused``, ``issued``, ``revoked`` ..., or ``checkpoint``;
        ``octets-sent`` where a :class:`~cmpkit.parts.Transform` made something of a message that is none.
    :param details: plain values; ``point`` names a checkpoint.
    """

    name: str
    transaction_id: bytes | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


class Observer(Protocol):
    """Is told of every message, decision and certificate: audit, metrics, traces.

    It must not block, and decides nothing.
    """

    def observe(self, event: Event) -> None:
        """Take note."""
