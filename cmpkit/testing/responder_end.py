"""A responder without roads, stores and keys: every message passes through the hands of a test.

Around the engine it does what :class:`cmpkit.endpoints.server.Server` does, but for what takes time: no protection is
computed or looked at, and certificates are toys.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from cmpkit import oids
from cmpkit.asn1 import (
    AlgorithmIdentifier,
    Challenge,
    InfoTypeAndValue,
    PKIBody,
    PKIHeader,
    PKIMessage,
    decode_message,
    directory_name,
    encode,
    encode_message,
)
from cmpkit.crypto.names import parse_name
from cmpkit.engine.header import check_request_header, response_header
from cmpkit.engine.needs import (
    Authorize,
    CheckProof,
    Confirm,
    FindCertificate,
    FindNamed,
    Inform,
    Issue,
    MakeChallenge,
    Need,
    Revoke,
)
from cmpkit.engine.replies import Reply, refusal
from cmpkit.engine.responder import ResponderSettings, expire, find_transaction, respond
from cmpkit.enums import CRLReason
from cmpkit.errors import CMPError
from cmpkit.parts import (
    Authenticated,
    CertificateChange,
    CertificateRecord,
    CertificateState,
    Credential,
    Grant,
    Issued,
    KeptValue,
    Pending,
    ProtectionKind,
    RevocationRequest,
    Revoked,
    SharedSecret,
    Told,
    Transaction,
    TransactionState,
)

__all__ = ["ALGORITHM", "SERVER", "START", "ResponderEnd", "known_sender", "on_the_road"]

START: Final = datetime(2026, 1, 1, tzinfo=UTC)
"""The time of both ends at first."""
ALGORITHM: Final = AlgorithmIdentifier(oids.PASSWORD_BASED_MAC)
"""The protectionAlg of every message; none is protected by it."""
SERVER: Final = parse_name("CN=server")
"""The name of the responder."""
_ISSUER = parse_name("CN=Toy CA")
_ISSUER_KEY = "1f" * 32
_FIRST_SERIAL = 0x2000
_FIRST_NUMBER = 1 << 100
_VALIDITY = timedelta(days=30)
_LATER = Pending(3, "an operator looks at it")


def known_sender(reference: str = "alice") -> Authenticated:
    """Somebody with a shared secret who may ask for CN=REFERENCE."""
    secret, subject = SharedSecret(reference, f"the secret of {reference}"), parse_name(f"CN={reference}")
    credential = Credential(ProtectionKind.MAC, f"mac:{secret.reference.hex()}", secret=secret)
    return Authenticated(reference, credential, subject, Grant(subject))


def on_the_road(header: PKIHeader, body: PKIBody) -> PKIMessage:
    """The message as it comes out of the wire, with octets in place of a protection."""
    return decode_message(encode_message(PKIMessage(header, body, b"not looked at")))


@functools.cache
def _toy_certificate(serial_number: int) -> CertificateRecord:
    key = ec.generate_private_key(ec.SECP256R1())
    made = (
        x509.CertificateBuilder()
        .subject_name(parse_name("CN=alice"))
        .issuer_name(_ISSUER)
        .public_key(key.public_key())
        .serial_number(serial_number)
        .not_valid_before(START)
        .not_valid_after(START + _VALIDITY)
        .sign(key, hashes.SHA256())
    )
    der = made.public_bytes(serialization.Encoding.DER)
    return CertificateRecord(
        issuer_key=_ISSUER_KEY,
        serial_number=serial_number,
        der=der,
        fingerprint=hashlib.sha256(der).digest(),
        subject="CN=alice",
        not_before=START,
        not_after=START + _VALIDITY,
        profile="toy",
        request_key="",
    )


@dataclass
class ResponderEnd:
    """A responder and what it has committed.

    :param settings: of the responder.
    :param waits: how often it needs more time to issue, to revoke or to answer a question.
    :param confirm_waits: how often it needs more time for what a certConf says.
    :param parts: what answers a need in place of the usual, by the class of the need: a function of it, which may raise
        a :class:`~cmpkit.errors.CMPError`.
    :param now: its time.
    :param answers: what it answered, by digest of the request and credential.
    :param certificates: what it issued; :attr:`states` has their states by serial number.
    :param revocations: of certificates that it did not issue.
    :param kept: what its information types keep.
    :param asked: the certificates that were asked for, as numbers, by their idempotency keys.
    :param challenged: how often it challenged a key; the numbers can be read in its challenges.
    """

    settings: ResponderSettings = field(default_factory=ResponderSettings)
    waits: int = 0
    confirm_waits: int = 0
    parts: Mapping[type[Any], Callable[[Any], Any]] = field(default_factory=dict)
    now: datetime = START
    transactions: dict[tuple[bytes, str], Transaction] = field(default_factory=dict)
    answers: dict[tuple[bytes, str], PKIMessage] = field(default_factory=dict)
    certificates: list[CertificateRecord] = field(default_factory=list)
    states: dict[int, CertificateState] = field(default_factory=dict)
    revocations: list[CertificateChange] = field(default_factory=list)
    kept: list[KeptValue] = field(default_factory=list)
    challenged: int = 0
    asked: dict[str, int] = field(default_factory=dict)

    def handle(self, message: PKIMessage, auth: Authenticated, *, killed: bool = False) -> PKIMessage | None:
        """The answer, once everything is committed.

        :param auth: who sent the message; its protection is not looked at.
        :param killed: the process ends before anything is committed; there is no answer.
        """
        key = (hashlib.sha256(message.raw).digest(), auth.credential.id)
        if key in self.answers:
            return self.answers[key]
        try:
            reply = self._judge(message, auth)
        except CMPError as error:
            reply = refusal(error)
        if killed or reply.body is None:
            return None
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
                reply = self._drive(expire(transaction, self.now, keep=self.settings.keep_unconfirmed))
                if reply.transaction is not None:
                    self._commit(reply.transaction, reply)

    def _judge(self, message: PKIMessage, auth: Authenticated) -> Reply:
        check_request_header(message)
        known = [value for (number, _), value in self.transactions.items() if number == message.header.transaction_id]
        transaction = find_transaction(known, message, auth)
        return self._drive(respond(message, auth, transaction, settings=self.settings, now=self.now))

    def _drive(self, steps: Generator[Need, Any, Reply]) -> Reply:
        """Answer every need, to the reply."""
        try:
            need = next(steps)
            while True:
                try:
                    result = self._answer(need)
                except CMPError as error:
                    need = steps.throw(error)
                else:
                    need = steps.send(result)
        except StopIteration as stop:
            reply: Reply = stop.value
            return reply

    def _answer(self, need: Need) -> Any:
        usual: dict[type[Any], Callable[[Any], Any]] = {
            Authorize: lambda need: None,
            CheckProof: lambda need: None,
            MakeChallenge: lambda need: self._challenge(),
            Issue: self._issue,
            FindCertificate: self._find,
            FindNamed: lambda need: self._find(need)[0],
            Confirm: self._confirm,
            Revoke: lambda need: self._revoke(need.request),
            Inform: self._inform,
        }
        return {**usual, **self.parts}[type(need)](need)

    def _challenge(self) -> Challenge:
        """A challenge with its number for everybody to read."""
        number = _FIRST_NUMBER + self.challenged
        self.challenged += 1
        witness = hashlib.sha256(encode(number)).digest()
        return Challenge(owf=AlgorithmIdentifier(oids.SHA256), witness=witness, challenge=encode(number))

    def _issue(self, need: Issue) -> Issued | Pending:
        if self.waits:
            self.waits -= 1
            return _LATER
        number = self.asked.setdefault(need.key, len(self.asked))
        record = _toy_certificate(_FIRST_SERIAL + number)
        return Issued(replace(record, request_key=need.key))

    def _find(self, need: FindCertificate | FindNamed) -> tuple[CertificateRecord, bytes]:
        (record,) = (record for record in self.certificates if record.serial_number == need.serial_number)
        return record, hashlib.sha256(record.der).digest()

    def _confirm(self, need: Confirm) -> CertificateChange | Pending:
        if self.confirm_waits:
            self.confirm_waits -= 1
            return _LATER
        state = CertificateState.VALID if need.accepted else CertificateState.REVOKED
        record = need.certificate
        return CertificateChange(record.issuer_key, record.serial_number, state, (CertificateState.ISSUED,), self.now)

    def _revoke(self, request: RevocationRequest) -> Revoked | Pending:
        if self.waits:
            self.waits -= 1
            return _LATER
        change = CertificateChange(
            _ISSUER_KEY,
            request.serial_number,
            CertificateState.REVOKED,
            (CertificateState.VALID,),
            self.now,
            CRLReason.UNSPECIFIED,
        )
        return Revoked(change)

    def _inform(self, need: Inform) -> tuple[InfoTypeAndValue | Told | Pending, ...]:
        if self.waits:
            self.waits -= 1
            return (_LATER,)
        return (Told(InfoTypeAndValue(oids.CA_CERTS), (KeptValue("question", need.key, need.key.encode(), b""),)),)

    def _commit(self, transaction: Transaction, reply: Reply) -> None:
        key = (transaction.transaction_id, transaction.credential)
        stored = self.transactions.get(key)
        assert transaction.version == (stored.version if stored else 0)
        self.transactions[key] = replace(transaction, version=transaction.version + 1)
        for value in reply.keep:
            assert value not in self.kept
            self.kept.append(value)
        for record in reply.certificates:
            self.certificates.append(record)
            self.states[record.serial_number] = CertificateState.ISSUED
        for change in reply.changes:
            if change.serial_number in self.states:
                assert self.states[change.serial_number] in change.expected
                self.states[change.serial_number] = change.state
            else:
                self.revocations.append(change)
