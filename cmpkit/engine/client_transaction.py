"""What a client knows of one operation: a value, of which every step makes a new one.

It is saved before the first octet is sent and after each answer, and goes on in another process a week later.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from cmpkit.engine.header import Correlation
from cmpkit.engine.sought import SoughtCertificate
from cmpkit.engine.states import WHOLE_MESSAGE, ClientState
from cmpkit.enums import PVNO, BodyType

__all__ = ["ClientTransaction"]


@dataclass(frozen=True, slots=True)
class ClientTransaction:
    """One operation of a client.

    :param operation: the body that opens it.
    :param implicit_confirm: whether implicit confirmation was asked for.
    :param sought: the certificates that it asks for; none for other operations.
    :param asked: how many certificates an rr names.
    :param poll_ids: the certReqIds to poll for.
    :param message: DER of the message that was sent last; it is what is sent again.
    :param is_sent: whether it is known to have left, to wait for its answer without sending it again.
    :param request_nonce: senderNonce of the message that opened it.
    :param sender_nonce: senderNonce of the message that was sent last.
    :param awaited_nonce: senderNonce of the message whose answer is being polled for (R-024).
    :param recip_nonce: senderNonce of the last answer.
    :param poll_at: when the next pollReq is due.
    :param chain: DER of the extraCerts that came.
    :param recovered: DER of the krp that came.
    :param ca_pubs: DER of the caPubs that came; they are no trust anchors by themselves (R-048).
    :param context: what the caller needs to go on in another process, as plain text: no secrets.
    """

    operation: BodyType
    transaction_id: bytes
    state: ClientState = ClientState.SENT
    pvno: int = PVNO.CMP2000
    implicit_confirm: bool = False
    sought: tuple[SoughtCertificate, ...] = ()
    asked: int = 1
    poll_ids: tuple[int, ...] = (WHOLE_MESSAGE,)
    message: bytes = b""
    is_sent: bool = False
    request_nonce: bytes = b""
    sender_nonce: bytes = b""
    awaited_nonce: bytes = b""
    recip_nonce: bytes = b""
    poll_at: datetime | None = None
    chain: tuple[bytes, ...] = ()
    ca_pubs: tuple[bytes, ...] = ()
    recovered: bytes = b""
    context: Mapping[str, str] = field(default_factory=dict)

    @property
    def certificate(self) -> bytes:
        """DER of the certificate that came, of the first one if there are several; empty before one did."""
        return next((one.certificate for one in self.sought if one.certificate), b"")

    @property
    def open_certificates(self) -> tuple[SoughtCertificate, ...]:
        """Those that came and are not confirmed yet."""
        return tuple(one for one in self.sought if one.is_open)

    @property
    def correlation(self) -> Correlation:
        """What the next answer must fit."""
        nonces = (self.sender_nonce, self.awaited_nonce) if self.awaited_nonce else (self.sender_nonce,)
        return Correlation(self.pvno, self.transaction_id, nonces)
