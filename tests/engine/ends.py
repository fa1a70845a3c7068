"""Both ends of a transaction, driven by hand: a server that keeps what it commits, a client, what it saves."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from cryptography import x509

from cmpkit import oids
from cmpkit.asn1 import (
    AlgorithmIdentifier,
    PKIBody,
    PKIHeader,
    PKIMessage,
    decode_message,
    directory_name,
    encode_message,
)
from cmpkit.crypto.names import parse_name
from cmpkit.engine.client import Decide, Finished, Send, Step, Wait, decide, poll, receive, sent
from cmpkit.engine.header import check_request_header, request_header, response_header
from cmpkit.engine.journal import dump_transaction, load_transaction
from cmpkit.engine.needs import Confirm, FindCertificate, Issue
from cmpkit.engine.replies import Reply, refusal
from cmpkit.engine.responder import ResponderSettings, expire, find_transaction, respond
from cmpkit.engine.states import CERTIFICATE_REQUESTS, ClientState
from cmpkit.errors import CMPError, PeerRefusal, TrustError
from cmpkit.parts import (
    Authenticated,
    CertificateChange,
    CertificateRecord,
    CertificateState,
    Issued,
    Pending,
    Transaction,
    TransactionState,
)

from .scene import IMPLICIT_CONFIRM, NOW, Parts, cert_hash, certificate

ALGORITHM = AlgorithmIdentifier(oids.PASSWORD_BASED_MAC)
SERVER = parse_name("CN=server")


def on_the_road(header: PKIHeader, body: PKIBody) -> PKIMessage:
    return decode_message(encode_message(PKIMessage(header, body, b"not looked at")))


@dataclass
class ServerEnd:
    """What :class:`cmpkit.endpoints.server.Server` does around the engine, without roads, parts and database.

    :param waits: how often the issuer needs more time.
    """

    settings: ResponderSettings = field(default_factory=ResponderSettings)
    waits: int = 0
    now: datetime = NOW
    transactions: dict[tuple[bytes, str], Transaction] = field(default_factory=dict)
    answers: dict[tuple[bytes, str], PKIMessage] = field(default_factory=dict)
    certificates: list[CertificateRecord] = field(default_factory=list)
    states: dict[int, CertificateState] = field(default_factory=dict)
    revocations: list[CertificateChange] = field(default_factory=list)

    def handle(self, message: PKIMessage, auth: Authenticated, *, killed: bool = False) -> PKIMessage | None:
        """The answer, once everything is committed; ``killed`` ends the process before that."""
        key = (hashlib.sha256(message.raw).digest(), auth.credential.id)
        if key in self.answers:
            return self.answers[key]
        try:
            reply = self._judge(message, auth)
        except CMPError as error:
            reply = refusal(error)
        if killed:
            return None
        assert reply.body is not None
        header = response_header(
            message.header,
            sender=directory_name(SERVER),
            sender_kid=None,
            protection_alg=ALGORITHM,
            recip_nonce=message.header.sender_nonce,
            now=self.now,
            general_info=reply.general_info,
        )
        answer = on_the_road(header, reply.body)
        if reply.transaction is not None:
            self._commit(replace(reply.transaction, sender_nonce=header.sender_nonce or b""), reply)
            self.answers[key] = answer
        return answer

    def expire(self) -> None:
        """End everything whose time is over."""
        for transaction in list(self.transactions.values()):
            over = transaction.expires is not None and transaction.expires < self.now
            if over and transaction.state is not TransactionState.DONE:
                reply = self._parts().run(expire(transaction, self.now))
                assert reply.transaction is not None
                self._commit(reply.transaction, reply)

    def _judge(self, message: PKIMessage, auth: Authenticated) -> Reply:
        check_request_header(message)
        known = [value for (number, _), value in self.transactions.items() if number == message.header.transaction_id]
        transaction = find_transaction(known, message, auth)
        return self._parts().run(respond(message, auth, transaction, settings=self.settings, now=self.now))

    def _parts(self) -> Parts:
        return Parts({Issue: self._issue, FindCertificate: self._find, Confirm: self._confirm})

    def _issue(self, need: Issue) -> Issued | Pending:
        if self.waits:
            self.waits -= 1
            return Pending(3, "an operator looks at it")
        return Issued(replace(certificate(0x2000 + len(self.certificates)), request_key=need.key))

    def _find(self, need: FindCertificate) -> tuple[CertificateRecord, bytes]:
        (record,) = (record for record in self.certificates if record.serial_number == need.serial_number)
        return record, cert_hash(record)

    def _confirm(self, need: Confirm) -> CertificateChange:
        state = CertificateState.VALID if need.accepted else CertificateState.REVOKED
        record = need.certificate
        return CertificateChange(record.issuer_key, record.serial_number, state, (CertificateState.ISSUED,), self.now)

    def _commit(self, transaction: Transaction, reply: Reply) -> None:
        key = (transaction.transaction_id, transaction.credential)
        stored = self.transactions.get(key)
        assert transaction.version == (stored.version if stored else 0)
        self.transactions[key] = replace(transaction, version=transaction.version + 1)
        for record in reply.certificates:
            self.certificates.append(record)
            self.states[record.serial_number] = CertificateState.ISSUED
        for change in reply.changes:
            if change.serial_number in self.states:
                assert self.states[change.serial_number] in change.expected
                self.states[change.serial_number] = change.state
            else:
                self.revocations.append(change)


@dataclass
class ClientEnd:
    """What :class:`cmpkit.endpoints.conversation.Conversation` does around the engine.

    :param step: what is to be done next; ``None`` while an answer is awaited.
    :param likes_it: whether the certificate is what was asked for.
    """

    auth: Authenticated
    step: Step | None
    likes_it: bool = True
    now: datetime = NOW
    saved: str = ""
    refusal: PeerRefusal | None = None

    @property
    def is_over(self) -> bool:
        return isinstance(self.step, Finished) or self.refusal is not None

    @property
    def transaction(self):
        return load_transaction(self.saved)

    def next_message(self) -> PKIMessage | None:
        """Go on to the next message, or give the last one once more."""
        while self.step is not None and not self.is_over:
            if isinstance(self.step, Wait):
                self.saved = dump_transaction(self.step.transaction)
                due = self.step.transaction.poll_at
                assert due is not None
                self.now = max(self.now, due)
                self.step = poll(self.step.transaction)
            elif isinstance(self.step, Decide):
                fault = None if self.likes_it else TrustError("not what was asked for")
                value = hashlib.sha256(self.step.transaction.certificate).digest()
                self.step = decide(self.step, cert_hash=value, fault=fault)
            else:
                assert isinstance(self.step, Send)
                self._send(self.step)
        return None if self.is_over else decode_message(self.transaction.message)

    def _send(self, step: Send) -> None:
        transaction = step.transaction
        asks = transaction.implicit_confirm and step.body.type in CERTIFICATE_REQUESTS
        header = request_header(
            pvno=transaction.pvno,
            sender=self.auth.subject or x509.Name([]),
            recipient=SERVER,
            sender_kid=None,
            protection_alg=ALGORITHM,
            transaction_id=transaction.transaction_id,
            recip_nonce=transaction.recip_nonce or None,
            now=self.now,
            general_info=[IMPLICIT_CONFIRM] if asks else [],
        )
        self.saved = dump_transaction(sent(transaction, on_the_road(header, step.body)))
        self.step = None

    def take(self, answer: PKIMessage) -> None:
        """Take an answer; one that is not for what was sent last changes nothing."""
        if self.step is not None or self.is_over:
            return
        try:
            self.step = receive(self.transaction, answer, authentic=True, now=self.now)
        except PeerRefusal as error:
            self.refusal = error
        except TrustError:
            return
        if isinstance(self.step, Finished):
            self.saved = dump_transaction(self.step.transaction)

    def restart(self) -> None:
        """The process dies, and another goes on with what was saved."""
        if not self.saved or self.is_over:
            return
        waiting = self.transaction.state is ClientState.POLL_WAIT
        self.step = Wait(self.transaction) if waiting else None

    def advance(self, duration: timedelta) -> None:
        self.now += duration
