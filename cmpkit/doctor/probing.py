"""Questions to a server, and what came back: one genm each, protected or not, in either version."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from cryptography import x509

from cmpkit import oids
from cmpkit.asn1 import (
    AlgorithmIdentifier,
    InfoTypeAndValue,
    PKIBody,
    PKIHeader,
    PKIMessage,
    PKIStatusInfo,
    decode_message,
    distinguished_name,
)
from cmpkit.endpoints.credentials import Credentials, SigningCredentials, secret_sender
from cmpkit.endpoints.options import ClientOptions
from cmpkit.endpoints.protector import protection_for, seal
from cmpkit.engine.header import NONCE_SIZE, request_header
from cmpkit.enums import PVNO, BodyType
from cmpkit.errors import CMPError, TransportError
from cmpkit.parts import Check, ClientTransport, Event, Observer
from cmpkit.plugins import Plugins

__all__ = ["CA_CERTS", "Exchange", "Prober", "Report", "question"]

CA_CERTS = InfoTypeAndValue(oids.CA_CERTS)
"""The question that a server most probably knows."""
Report: TypeAlias = Callable[[Check], None]
"""Takes what is found, as soon as it is found."""
_NOBODY = x509.Name([])


@dataclass(frozen=True, slots=True)
class Exchange:
    """A question and its answer.

    :param answer: ``None`` if no CMP message came back.
    :param error: why none did.
    :param usual: whether clients ask like this; otherwise it was tried what the server makes of it.
    """

    request: PKIMessage
    answer: PKIMessage | None = None
    error: TransportError | None = None
    usual: bool = True

    @property
    def refusal(self) -> PKIStatusInfo | None:
        """What an error says, ``None`` for any other answer."""
        if self.answer is None or self.answer.body.type is not BodyType.ERROR:
            return None
        status: PKIStatusInfo = self.answer.body.content.pki_status_info
        return status

    @property
    def items(self) -> tuple[InfoTypeAndValue, ...] | None:
        """What a genp tells, ``None`` for any other answer."""
        if self.answer is None or self.answer.body.type is not BodyType.GENP:
            return None
        return tuple(self.answer.body.content)

    @property
    def told(self) -> str:
        """The answer in a few words."""
        if self.answer is None:
            return self.error.detail if self.error is not None else "nothing"
        if self.refusal is None:
            return self.answer.body.type.wire_name
        names = ", ".join(self.refusal.failures.wire_names) or self.refusal.status.wire_name
        return f"error {names}: {'; '.join(self.refusal.texts) or 'no text'}"


@dataclass
class Prober:
    """Asks one server; every exchange is remembered.

    :param credentials: what questions are protected with, if they are.
    """

    plugins: Plugins
    transport: ClientTransport
    credentials: Credentials | None
    options: ClientOptions
    observers: Sequence[Observer] = ()
    exchanges: list[Exchange] = field(default_factory=list)

    async def ask(
        self,
        *items: InfoTypeAndValue,
        pvno: int = PVNO.CMP2000,
        protect: bool = True,
        like: AlgorithmIdentifier | None = None,
    ) -> Exchange:
        """Ask for information.

        :param items: none asks for everything.
        :param protect: whether to use the credentials, if there are any.
        :param like: the MAC to use, in place of our own.
        :raises TransportError: if the server answered before and answers nothing more at all.
        """
        if protect and self.credentials is not None:
            request = await self._protected(self.credentials, items, pvno, like)
        else:
            request = question(items, self.options, pvno=pvno)
        usual = pvno == PVNO.CMP2000 and like is None
        self._tell("message-sent", request)
        try:
            answer = _read(await self.transport.exchange(request.raw))
        except TransportError as error:
            await self._make_sure(error)
            exchange = Exchange(request, error=error, usual=usual)
        else:
            self._tell("message-received", answer)
            exchange = Exchange(request, answer, usual=usual)
        self.exchanges.append(exchange)
        return exchange

    async def _make_sure(self, error: TransportError) -> None:
        """Whether it was only this question that the server, which answered before, did not answer."""
        if all(exchange.answer is None for exchange in self.exchanges):
            return
        try:
            await self.transport.exchange(question((CA_CERTS,), self.options).raw)
        except TransportError as again:
            detail = f"the server stopped answering: {error.detail}"
            raise TransportError(detail, hint="see its log: did it end?", tls=error.tls) from again

    async def _protected(
        self,
        credentials: Credentials,
        items: Sequence[InfoTypeAndValue],
        pvno: int,
        like: AlgorithmIdentifier | None,
    ) -> PKIMessage:
        protection, algorithm, key = protection_for(credentials, self.plugins, like, mac=self.options.mac)
        if isinstance(credentials, SigningCredentials):
            sender, issuer, kid = credentials.subject, credentials.issuer, credentials.key_identifier
            chain = credentials.extra_certs
        else:
            sender, issuer, kid, chain = secret_sender(credentials), _NOBODY, credentials.reference, ()
        header = _header(self.options, pvno, sender, issuer, kid=kid, algorithm=algorithm)
        body = PKIBody(BodyType.GENM, list(items))
        return await seal(header, body, protection, key, (*chain, *self.options.extra_certs))

    @property
    def server_name(self) -> x509.Name | None:
        """The name that the server gives itself in its answers."""
        for exchange in self.exchanges:
            name = None if exchange.answer is None else distinguished_name(exchange.answer.header.sender)
            if name is not None and list(name):
                return name
        return None

    def _tell(self, name: str, message: PKIMessage) -> None:
        for observer in self.observers:
            observer.observe(Event(name, message.header.transaction_id, {"message": message}))


def question(items: Sequence[InfoTypeAndValue], options: ClientOptions, *, pvno: int = PVNO.CMP2000) -> PKIMessage:
    """An unprotected genm, a new one each time."""
    return PKIMessage(_header(options, pvno, _NOBODY, _NOBODY), PKIBody(BodyType.GENM, list(items)))


def _header(
    options: ClientOptions,
    pvno: int,
    sender: x509.Name,
    recipient: x509.Name,
    *,
    kid: bytes | None = None,
    algorithm: AlgorithmIdentifier | None = None,
) -> PKIHeader:
    return request_header(
        pvno=pvno,
        sender=sender,
        recipient=options.recipient or recipient,
        sender_kid=kid,
        protection_alg=algorithm,
        transaction_id=secrets.token_bytes(NONCE_SIZE),
        recip_nonce=None,
        now=options.clock(),
    )


def _read(der: bytes) -> PKIMessage:
    try:
        return decode_message(der)
    except CMPError as error:
        detail = f"the answer is no CMP message: {error.detail}; it begins {der[:32].hex()}"
        raise TransportError(detail, hint=error.hint or "is this a CMP server?") from error
