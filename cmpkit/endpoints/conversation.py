"""One operation of a client, from its first message to its last: protect, save, send, verify, decide, wait."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import anyio
from cryptography import x509

from cmpkit import oids
from cmpkit.asn1 import (
    AlgorithmIdentifier,
    InfoTypeAndValue,
    Null,
    PKIMessage,
    decode,
    encode_list,
)
from cmpkit.endpoints.carrying import Carrier, carrier_for
from cmpkit.endpoints.checkpoints import Checkpoint, reach
from cmpkit.endpoints.credentials import Credentials, SigningCredentials
from cmpkit.endpoints.encrypted_certificates import open_certificates
from cmpkit.endpoints.examine import Examiner, judgement
from cmpkit.endpoints.first_use import first_use, offered_roots, trusts_on_first_use
from cmpkit.endpoints.options import ClientOptions
from cmpkit.endpoints.protector import protection_for, seal
from cmpkit.endpoints.reading import certificates_in, own_message, read_answer, seen_so_far
from cmpkit.endpoints.saving import FolderKeeper, TransactionFolder, TransactionKeeper
from cmpkit.endpoints.solving import solve
from cmpkit.endpoints.tolerating import counts_as_confirmed, leaves_unconfirmed
from cmpkit.endpoints.transforming import seal_transformed
from cmpkit.endpoints.trust import AnswerVerifier
from cmpkit.engine.client import Decide, Finished, Send, Step, Wait, confirmed, decide, poll, receive, sent
from cmpkit.engine.client_transaction import ClientTransaction
from cmpkit.engine.header import request_header
from cmpkit.engine.judging import Judgement
from cmpkit.engine.repeating import Repeat, make_anew, resumed
from cmpkit.engine.solving import Solve
from cmpkit.engine.sought import SoughtCertificate
from cmpkit.engine.states import CERTIFICATE_REQUESTS, ClientState
from cmpkit.enums import BodyType
from cmpkit.errors import CMPError, PeerRefusal, StillWaiting, TransportError, TrustError
from cmpkit.parts import (
    ClientTransport,
    Event,
    Observer,
    PrivateKey,
    SharedSecret,
    Transform,
)
from cmpkit.plugins import Plugins
from cmpkit.tolerances import Leniency

__all__ = ["Conversation"]

_log = logging.getLogger("cmpkit.client")


@dataclass
class Conversation:
    """Drives one :class:`~cmpkit.engine.client_transaction.ClientTransaction` over a road.

    :param transport: a road with answers, or a :class:`~cmpkit.transports.Postbox` before one without.
    :param profiles: the names for certProfile in its first message.
    :param keys: private keys to be certified, by DER of their SubjectPublicKeyInfo, to open what comes encrypted.
    :param keeper: where the transaction is kept until it is over; ``None`` takes the folder of the options, if they
        name one.
    """

    plugins: Plugins
    transport: ClientTransport
    credentials: Credentials
    sender: x509.Name
    verifier: AnswerVerifier
    options: ClientOptions
    observers: Sequence[Observer] = ()
    transform: Transform | None = None
    profiles: tuple[str, ...] = ()
    keys: Mapping[bytes, PrivateKey] = field(default_factory=dict)
    keeper: TransactionKeeper | None = None
    _until: datetime | None = field(default=None, init=False)
    _current: ClientTransaction = field(init=False)
    _carrier: Carrier = field(init=False)

    def __post_init__(self) -> None:
        """Look at what kind of road there is, and where the transaction is kept."""
        self._carrier = carrier_for(self.transport, self.options)
        if self.keeper is None and self.options.state is not None:
            self.keeper = FolderKeeper(self.options.state)

    def load(self, path: Path) -> ClientTransaction:
        """The transaction that was saved in a file."""
        return TransactionFolder(path.parent).load(path)

    async def run(self, step: Step | Repeat) -> Finished:
        """Go on until the operation is over.

        :raises PeerRefusal: if the peer refuses.
        :raises TrustError: if an answer, or the certificate in it, is not acceptable.
        :raises TransportError: if no answer comes.
        :raises StillWaiting: if the time is over before the server is ready.
        """
        self._current = step.transaction
        if self.options.total_timeout is not None:
            self._until = self.options.clock() + timedelta(seconds=self.options.total_timeout)
        try:
            with anyio.fail_after(self.options.total_timeout):
                while not isinstance(step, Finished):
                    step = await self.advance(step)
                    self._current = step.transaction
        except TimeoutError:
            raise self._out_of_time(self._current) from None
        except PeerRefusal:
            await self._forget(self._current)
            await self._carrier.settle()
            raise
        return await self.conclude(step)

    async def conclude(self, finished: Finished) -> Finished:
        """What is over is forgotten, but for certificates and keys: until they are in a safe place, they are here."""
        transaction = finished.transaction
        if transaction.recovered or any(one.certificate and not one.rejection for one in transaction.sought):
            await self._save(transaction)
        else:
            await self._forget(transaction)
        await self._carrier.settle()
        reach(self.plugins, Checkpoint.CONFIRMED, transaction.transaction_id)
        return finished

    async def resume(self, transaction: ClientTransaction) -> Finished:
        """Go on with a transaction where it stopped: wait, or send its last message again."""
        if transaction.state is ClientState.DONE:
            return await self.conclude(Finished(transaction))
        return await self.run(resumed(transaction))

    async def advance(self, step: Send | Solve | Wait | Decide | Repeat) -> Step:
        """One step: until there is an answer, a wait is over, or certificates are judged.

        :raises CMPError: as :meth:`run`, but that it waits for an answer as long as the road does.
        """
        if isinstance(step, Repeat):
            try:
                return await self._exchange(step.transaction)
            except PeerRefusal as refusal:
                return make_anew(step.transaction, refusal)
        if isinstance(step, Send):
            transaction = await self._sent(step)
            await self._save(transaction)
            if transaction.transaction_id != step.transaction.transaction_id:
                await self._forget(step.transaction)
            await self._carrier.settle()
            confirming = step.body.type is BodyType.CERT_CONF
            saved = Checkpoint.CERTIFICATE_SAVED if confirming else Checkpoint.REQUEST_SAVED
            reach(self.plugins, saved, transaction.transaction_id)
            return await self._exchange(transaction)
        if isinstance(step, Solve):
            return await solve(step, self.keys, self.options.tolerances)
        if isinstance(step, Wait):
            await self._save(step.transaction)
            await self._carrier.settle()
            await self._pause(step)
            return poll(step.transaction)
        step, sealed = await open_certificates(step, self.keys, self.options.tolerances)
        judgements = [
            sealed.get(one.cert_req_id) or await self.judge(step.transaction, one)
            for one in step.transaction.open_certificates
        ]
        if not step.confirmed and leaves_unconfirmed(self.options.tolerances, step.transaction, judgements):
            _log.warning("transaction %s: tolerated no-confirmation", step.transaction.transaction_id.hex())
            step = replace(step, confirmed=True)
        return decide(step, *judgements)

    async def _sent(self, step: Send) -> ClientTransaction:
        """The transaction with its next message: with the octets that leave, and what the answer must fit."""
        message, octets = await self._compose(step)
        if octets != message.raw:
            message = own_message(octets) or message
        transaction_id = message.header.transaction_id or step.transaction.transaction_id
        self._current = replace(sent(step.transaction, message), message=octets, transaction_id=transaction_id)
        return self._current

    async def _compose(self, step: Send) -> tuple[PKIMessage, bytes]:
        """The protected message, and the octets to send, which are its own unless they are transformed."""
        transaction = step.transaction
        protection, algorithm, key = protection_for(
            self.credentials,
            self.plugins,
            self._earlier_mac(transaction),
            mac=self.options.mac,
            random=self.options.random,
        )
        if isinstance(self.credentials, SigningCredentials):
            kid, extra_certs = self.credentials.key_identifier, self.credentials.extra_certs
        else:
            kid, extra_certs = self.credentials.reference, ()
        header = request_header(
            pvno=transaction.pvno,
            sender=self.sender,
            recipient=self._recipient(transaction),
            sender_kid=kid,
            protection_alg=algorithm,
            transaction_id=transaction.transaction_id,
            recip_nonce=transaction.recip_nonce or None,
            now=self.options.clock(),
            general_info=self._general_info(step),
            random=self.options.random,
        )
        extra_certs = (*extra_certs, *self.options.extra_certs)
        if self.transform is None:
            message = await seal(header, step.body, protection, key, extra_certs)
            return message, message.raw
        bare = PKIMessage(header, step.body, None, tuple(dict.fromkeys(extra_certs)))
        return await seal_transformed(bare, self.transform, self.plugins, key)

    def _recipient(self, transaction: ClientTransaction) -> x509.Name:
        """The name of the server: the one it is given, of the CA that a ccr asks, of our own CA, or none."""
        if self.options.recipient is not None:
            return self.options.recipient
        if transaction.operation is BodyType.CCR:
            return decode(x509.Name, transaction.sought[0].issuer)
        return self.credentials.issuer if isinstance(self.credentials, SigningCredentials) else x509.Name([])

    def _earlier_mac(self, transaction: ClientTransaction) -> AlgorithmIdentifier | None:
        """The protectionAlg of our last message: MAC parameters stay constant through a transaction (RFC 9810)."""
        if not transaction.message or not isinstance(self.credentials, SharedSecret):
            return None
        earlier = own_message(transaction.message)
        return None if earlier is None else earlier.header.protection_alg

    def _general_info(self, step: Send) -> tuple[InfoTypeAndValue, ...]:
        if step.transaction.message:
            return ()
        info = []
        if step.transaction.implicit_confirm and step.body.type in CERTIFICATE_REQUESTS:
            info.append(InfoTypeAndValue(oids.IMPLICIT_CONFIRM, Null()))
        if self.profiles:
            info.append(InfoTypeAndValue(oids.CERT_PROFILE, encode_list(self.profiles)))
        return tuple(info)

    async def _exchange(self, transaction: ClientTransaction) -> Step:
        self._tell_sent(transaction)
        leniency = Leniency(self.options.tolerances)
        try:
            return await self._receive(transaction, leniency)
        except (TransportError, TrustError) as error:
            if not counts_as_confirmed(error, transaction, leniency):
                raise
            _log.warning("certConf was not answered as it should be: %s", error)
            return confirmed(transaction)
        finally:
            if leniency.used:
                _log.warning("transaction %s: tolerated %s", transaction.transaction_id.hex(), ", ".join(leniency.used))

    async def _receive(self, transaction: ClientTransaction, leniency: Leniency) -> Step:
        """What the answer to the last message means, or the first of several that is to be believed."""
        self._current = await self._carrier.deliver(transaction)
        if self._current != transaction:
            await self._save(self._current)
        while True:
            octets = await self._carrier.answer(self._current)
            try:
                return await self._understand(self._current, octets, leniency)
            except TrustError as error:
                self._carrier.doubt(octets, error)

    async def _understand(self, transaction: ClientTransaction, octets: bytes, leniency: Leniency) -> Step:
        """What an answer means."""
        answer = await read_answer(octets, leniency)
        self._tell("message-received", answer)
        reach(self.plugins, Checkpoint.ANSWER_RECEIVED, transaction.transaction_id)
        authentic = await self.verifier.verify(
            answer,
            known=(*answer.extra_certs, *transaction.chain, *self.options.untrusted),
            issuers=self._own_certificates(transaction, answer),
            now=self.options.clock(),
            leniency=leniency,
            first_use=first_use(transaction, answer),
        )
        step = receive(transaction, answer, authentic=authentic, now=self.options.clock(), leniency=leniency)
        return replace(step, transaction=replace(step.transaction, chain=seen_so_far(step.transaction, answer)))

    def _own_certificates(self, transaction: ClientTransaction, answer: PKIMessage) -> tuple[bytes, ...]:
        """Certificates whose issuer may sign answers: the one that came, and the one that signs the requests.

        A CA that asks another one for a cross certificate signs with one of its own.
        """
        own = (self.credentials.certificate,) if isinstance(self.credentials, SigningCredentials) else ()
        came = tuple(one.certificate for one in transaction.sought if one.certificate)
        given = came or certificates_in(answer)
        return given if transaction.operation is BodyType.CCR else (*given, *own)

    async def _pause(self, step: Wait) -> None:
        due = step.transaction.poll_at
        self._observe(Event("waiting", step.transaction.transaction_id, {"until": due, "reason": step.reason}))
        if due is None:
            return
        too_late = self._until is not None and due > self._until
        until = self._until if self._until is not None and too_late else due
        await self.options.sleep(max(0.0, (until - self.options.clock()).total_seconds()))
        if too_late:
            raise TimeoutError

    async def judge(self, transaction: ClientTransaction, one: SoughtCertificate) -> Judgement:
        """Whether a certificate that came is acceptable."""
        fault = key = None
        try:
            path, key = await self.examine(transaction, one, granted_with_mods=one.granted_with_mods)
            await self.check_standing(path[1:])
        except TransportError:
            raise
        except CMPError as error:
            fault = error
        if key is not None and self.options.keep_key is not None:
            await self.options.keep_key(key)
        return judgement(one.certificate, fault, self.plugins)

    async def examine(
        self, transaction: ClientTransaction, one: SoughtCertificate, *, granted_with_mods: bool
    ) -> tuple[tuple[bytes, ...], PrivateKey | None]:
        """The path of a certificate that came, to a trust anchor, and its key if the server generated it.

        :param one: of those that the transaction is about.
        :raises TrustError: if it is not what was asked for, or leads to no trust anchor.
        """
        anchors = self.verifier.anchors
        if self.options.adopt_ca_pubs and isinstance(self.credentials, SharedSecret):
            anchors = (*anchors, *transaction.ca_pubs)
        if trusts_on_first_use(self.options.tolerances, transaction, self.credentials):
            anchors = (*anchors, *offered_roots(transaction))
        examiner = Examiner(
            self.plugins,
            self.credentials,
            anchors=anchors,
            candidates=(*transaction.chain, *transaction.ca_pubs, *self.options.untrusted),
            now=self.options.clock(),
            tolerances=self.options.tolerances,
        )
        return await examiner.examine(one, granted_with_mods=granted_with_mods)

    async def check_standing(self, path: Sequence[bytes]) -> None:
        """Whether nothing on a path that was validated is revoked, if the options say who would know.

        :raises TrustError: if something is, or that is not known.
        :raises TransportError: if nobody can be asked; the operation can be gone on with.
        """
        if self.verifier.revocation is not None:
            await self.verifier.revocation.check(path, now=self.options.clock())

    def saved_as(self, transaction: ClientTransaction) -> Path | None:
        """The file that keeps a transaction, or ``None`` if none is kept."""
        return TransactionFolder(self.options.state).path(transaction) if self.options.state is not None else None

    async def _save(self, transaction: ClientTransaction) -> None:
        if self.keeper is not None:
            await self.keeper.save(transaction)

    async def _forget(self, transaction: ClientTransaction) -> None:
        if self.keeper is not None:
            await self.keeper.remove(transaction)

    def _out_of_time(self, transaction: ClientTransaction) -> CMPError:
        if self._carrier.doubts:
            return self._carrier.doubts[-1]
        saved, seconds = self.saved_as(transaction), self.options.total_timeout or 0.0
        waiting = transaction.state in (ClientState.POLL_WAIT, ClientState.POLLING)
        return StillWaiting(saved, waiting=waiting, apart=self._carrier.apart, seconds=seconds)

    def _tell_sent(self, transaction: ClientTransaction) -> None:
        message = own_message(transaction.message)
        if message is None:
            self._observe(Event("octets-sent", transaction.transaction_id, {"octets": transaction.message}))
        else:
            self._tell("message-sent", message)

    def _tell(self, name: str, message: PKIMessage) -> None:
        self._observe(Event(name, message.header.transaction_id, {"message": message}))

    def _observe(self, event: Event) -> None:
        self.plugins.observe(event)
        for observer in self.observers:
            observer.observe(event)
