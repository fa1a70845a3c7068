"""A client engine without roads, files and keys: every message passes through the hands of a test.

Around the engine it does what :class:`cmpkit.endpoints.conversation.Conversation` does, but for what takes time.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509

from cmpkit import oids
from cmpkit.asn1 import InfoTypeAndValue, Null, PKIBody, PKIMessage, decode, decode_message
from cmpkit.crypto.later_proof import proof_method
from cmpkit.engine.client import Decide, Finished, Send, Step, Wait, begin, decide, poll, receive, sent
from cmpkit.engine.client_transaction import ClientTransaction
from cmpkit.engine.header import request_header
from cmpkit.engine.journal import dump_transaction, load_transaction
from cmpkit.engine.judging import Judgement
from cmpkit.engine.solving import Solve
from cmpkit.engine.sought import SoughtCertificate
from cmpkit.engine.states import CERTIFICATE_REQUESTS, CRMF_REQUESTS, ClientState
from cmpkit.enums import BodyType, ProofMethod
from cmpkit.errors import PeerRefusal, TrustError
from cmpkit.parts import Authenticated
from cmpkit.testing.responder_end import ALGORITHM, SERVER, START, ResponderEnd, known_sender, on_the_road

__all__ = ["ClientEnd", "run_to_the_end"]

_IMPLICIT_CONFIRM = InfoTypeAndValue(oids.IMPLICIT_CONFIRM, Null())


@dataclass
class ClientEnd:
    """A client engine and what it has saved.

    :param auth: who it is.
    :param step: what is to be done next; ``None`` while an answer is awaited.
    :param likes_it: whether the certificates that come are what was asked for.
    :param proves: whether it has the keys that are challenged.
    :param now: its time.
    :param saved: the transaction as it was saved last.
    :param refusal: what the peer refused with.
    """

    auth: Authenticated
    step: Step | None
    likes_it: bool = True
    proves: bool = True
    now: datetime = START
    saved: str = ""
    refusal: PeerRefusal | None = None

    @classmethod
    def of(
        cls,
        body: PKIBody,
        auth: Authenticated | None = None,
        *,
        implicit_confirm: bool = False,
        public_key_info: bytes = b"",
        likes_it: bool = True,
    ) -> ClientEnd:
        """A client that is about to send a body.

        :param public_key_info: DER of the key that the certificates must hold, for bodies that ask for some.
        """
        has_requests = body.type in CRMF_REQUESTS or body.type is BodyType.KRR
        ids = [item.request.cert_req_id for item in body.content] if has_requests else [0]
        proofs = [proof_method(item) for item in body.content] if has_requests else [None]
        sought = [
            SoughtCertificate(number, public_key_info, is_challenged=proof is ProofMethod.CHALLENGE_RESPONSE)
            for number, proof in zip(ids, proofs, strict=True)
        ]
        transaction = begin(
            body.type,
            sought=sought if has_requests or body.type is BodyType.P10CR else (),
            asked=len(body.content) if body.type is BodyType.RR else 1,
            enveloped=body.type is BodyType.KRR,
            implicit_confirm=implicit_confirm,
        )
        return cls(auth or known_sender(), Send(transaction, body), likes_it)

    @property
    def is_over(self) -> bool:
        """Whether there is nothing more to do."""
        return isinstance(self.step, Finished) or self.refusal is not None

    @property
    def transaction(self) -> ClientTransaction:
        """What was saved, read again."""
        return load_transaction(self.saved)

    def next_message(self) -> PKIMessage | None:
        """Go on to the next message, or give the last one once more; ``None`` if it is over. Waiting takes no time."""
        while self.step is not None and not self.is_over:
            if isinstance(self.step, Wait):
                self.saved = dump_transaction(self.step.transaction)
                self.now = max(self.now, self.step.transaction.poll_at or self.now)
                self.step = poll(self.step.transaction)
            elif isinstance(self.step, Decide):
                fault = None if self.likes_it else TrustError("not what was asked for")
                judgements = [
                    Judgement(hashlib.sha256(one.certificate).digest(), fault=fault)
                    for one in self.step.transaction.open_certificates
                ]
                self.step = decide(self.step, *judgements)
            elif isinstance(self.step, Solve):
                wrong = 0 if self.proves else 1
                numbers = [decode(int, one.challenge) + wrong for one in self.step.challenges]
                self.step = Send(self.step.transaction, PKIBody(BodyType.POPDECR, numbers))
            elif isinstance(self.step, Send):
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
            general_info=[_IMPLICIT_CONFIRM] if asks else [],
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
        """Let time pass at the client."""
        self.now += duration


def run_to_the_end(client: ClientEnd, responder: ResponderEnd, *, limit: int = 40) -> tuple[PKIMessage, ...]:
    """Let every message through until the client is done; the time of the responder follows the client's.

    :param limit: of requests.
    :return: the messages, requests and answers in turn.
    :raises AssertionError: if the client is not done by then, or gets no answer.
    """
    passed: list[PKIMessage] = []
    for _ in range(limit):
        message = client.next_message()
        if message is None:
            return tuple(passed)
        responder.now = max(responder.now, client.now)
        answer = responder.handle(message, client.auth)
        assert answer is not None, f"there is no answer to {message.body.type.wire_name}"
        client.take(answer)
        passed += (message, answer)
    raise AssertionError(f"the client is not done after {limit} requests")
