"""The state tables of the engine, all in this file: which body opens, continues and answers what.

RFC 9810 sections 5.3 and 6, RFC 9483 section 4. The client's and the server's own states are
:class:`ClientState` and :class:`cmpkit.parts.TransactionState`.
"""

from __future__ import annotations

import enum

from cmpkit.enums import BodyType, PKIFailureInfo
from cmpkit.parts import TransactionState

__all__ = [
    "ANSWERS",
    "CERTIFICATE_REQUESTS",
    "CONTINUES",
    "CRMF_REQUESTS",
    "DELAYED_BY",
    "HEADER_FAULTS",
    "OPENS",
    "P10_CERT_REQ_ID",
    "WHOLE_MESSAGE",
    "ClientState",
]

P10_CERT_REQ_ID = -1
"""The certReqId of the answer to a p10cr (RFC 9810 section 5.3.4)."""

WHOLE_MESSAGE = -1
"""The certReqId of a pollReq for a whole message (RFC 9810 section 5.3.22)."""

CRMF_REQUESTS = frozenset({BodyType.IR, BodyType.CR, BodyType.KUR, BodyType.CCR})
"""Requests for certificates that are CertReqMessages."""

CERTIFICATE_REQUESTS = CRMF_REQUESTS | {BodyType.P10CR}
"""Requests for certificates."""

ANSWERS = {
    BodyType.IR: BodyType.IP,
    BodyType.CR: BodyType.CP,
    BodyType.P10CR: BodyType.CP,
    BodyType.KUR: BodyType.KUP,
    BodyType.CCR: BodyType.CCP,
    BodyType.RR: BodyType.RP,
    BodyType.KRR: BodyType.KRP,
    BodyType.GENM: BodyType.GENP,
}
"""The body that answers a request (RFC 9810 section 5.3)."""

OPENS = frozenset(ANSWERS)
"""Bodies that open an operation at a server."""

DELAYED_BY = {
    **{request: ANSWERS[request] for request in (*CERTIFICATE_REQUESTS, BodyType.KRR)},
    **dict.fromkeys((BodyType.RR, BodyType.GENM, BodyType.CERT_CONF, BodyType.PKICONF), BodyType.ERROR),
}
"""The body in which a server says "waiting" to what it needs time for (RFC 9810 section 5.3.22, RFC 9483 section 4.4).

It is what a pollReq asks for: by the certReqId of a response, or for the whole message where ``error`` said so."""

CONTINUES = {
    TransactionState.PENDING: frozenset({BodyType.POLL_REQ, BodyType.ERROR}),
    TransactionState.ISSUED: frozenset({BodyType.CERT_CONF, BodyType.PKICONF, BodyType.ERROR}),
    # A pkiconf in place of certConf has no certHash, and so would prove nothing.
    TransactionState.ISSUED_ENCRYPTED: frozenset({BodyType.CERT_CONF, BodyType.ERROR}),
    TransactionState.CHALLENGED: frozenset({BodyType.POPDECR, BodyType.ERROR}),
    TransactionState.DONE: frozenset({BodyType.ERROR}),
    # What was passed on goes on where its upstream is; here it would be answered by who knows nothing of it.
    TransactionState.RELAYED: frozenset(),
}
"""Bodies that may continue a server's transaction in each state."""

HEADER_FAULTS = (
    PKIFailureInfo.BAD_MESSAGE_CHECK
    | PKIFailureInfo.BAD_TIME
    | PKIFailureInfo.BAD_DATA_FORMAT
    | PKIFailureInfo.WRONG_INTEGRITY
    | PKIFailureInfo.BAD_RECIPIENT_NONCE
    | PKIFailureInfo.BAD_SENDER_NONCE
    | PKIFailureInfo.SIGNER_NOT_TRUSTED
    | PKIFailureInfo.TRANSACTION_ID_IN_USE
    | PKIFailureInfo.UNSUPPORTED_VERSION
    | PKIFailureInfo.SYSTEM_UNAVAIL
    | PKIFailureInfo.SYSTEM_FAILURE
)
"""Faults of header, protection or syntax, and of the system: they are answered by ``error``, faults of the content of a
request by a rejection in the body that answers it (RFC 9483 section 3.6)."""


class ClientState(enum.Enum):
    """Where a client's transaction stands."""

    SENT = "sent"
    """The request is on its way, or was never answered."""
    POLL_WAIT = "waiting"
    """The server said that it needs time; the next pollReq is due at a known time."""
    POLLING = "polling"
    CONF_SENT = "confirming"
    DONE = "done"
