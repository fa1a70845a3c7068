"""The responder: what a server does with an authenticated message. Sans I/O: values in, needs and a reply out.

:func:`respond` is a generator. It yields a :mod:`need <cmpkit.engine.needs>` wherever something must be signed, stored,
looked up or decided, is sent the result (or has the refusal thrown in), and returns the :class:`Reply`. Nothing has
happened before that reply was committed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from cmpkit import oids
from cmpkit.asn1 import PKIHeader, PKIMessage
from cmpkit.engine.challenging import take_answers
from cmpkit.engine.confirmation import confirm, confirm_again, end, expire
from cmpkit.engine.enrolment import enrol, enrol_again
from cmpkit.engine.header import first_message_faults, next_message_faults, used_nonce_faults
from cmpkit.engine.nesting import original_faults
from cmpkit.engine.polling import poll
from cmpkit.engine.recovery import recover, recover_again
from cmpkit.engine.replies import rejection, requests_in
from cmpkit.engine.revocation import revoke, revoke_again
from cmpkit.engine.states import CERTIFICATE_REQUESTS, CONTINUES, HEADER_FAULTS, OPENS
from cmpkit.engine.support import inform, inform_again, keep_passphrase
from cmpkit.engine.template import requested_profiles
from cmpkit.engine.work import ResponderSettings, Steps, Work
from cmpkit.enums import BodyType, PKIFailureInfo
from cmpkit.errors import CMPError, raise_first
from cmpkit.parts import Authenticated, Transaction, TransactionState
from cmpkit.tolerances import STRICT, Leniency

__all__ = [
    "ResponderSettings",
    "Steps",
    "check_opening",
    "expire",
    "find_transaction",
    "place_faults",
    "respond",
    "unknown_transaction",
]


def find_transaction(
    transactions: Sequence[Transaction], message: PKIMessage, auth: Authenticated
) -> Transaction | None:
    """The transaction that a message belongs to: same ID, same credential.

    :raises CMPError: wrongIntegrity or badMessageCheck for a certConf or pollReq under another credential than the
        request's (R-096: RFC 9483 section 4.1.1).
    """
    own = next((known for known in transactions if known.credential == auth.credential.id), None)
    if own is not None or not transactions or message.body.type in OPENS:
        return own
    prefix = auth.credential.id.partition(":")[0]
    same_kind = any(known.credential.partition(":")[0] == prefix for known in transactions)
    raise CMPError(
        f"{message.body.type.wire_name} of {auth.credential.id} for a transaction of another credential",
        PKIFailureInfo.BAD_MESSAGE_CHECK if same_kind else PKIFailureInfo.WRONG_INTEGRITY,
        rule="RFC 9483 section 4.1.1",
    )


def respond(
    message: PKIMessage,
    auth: Authenticated,
    transaction: Transaction | None,
    *,
    settings: ResponderSettings,
    now: datetime,
    profile: str | None = None,
    leniency: Leniency = STRICT,
) -> Steps:
    """Answer one message whose header was checked and whose protection verified.

    :param transaction: from :func:`find_transaction`.
    :param profile: the profile that the address names; certProfile in the header must not contradict it.
    :param leniency: what is let pass.
    :raises CMPError: for faults that are answered by ``error``; faults of a request's content become a rejection in the
        body that answers it (RFC 9483 section 3.6).
    """
    _check_place(message, transaction, now, leniency)
    if message.header.general_info:
        raise_first(original_faults(message))
        if message.body.type in CERTIFICATE_REQUESTS:
            requested_profiles(message, profile, requests_in(message.body))
    work = Work(message, auth, transaction, settings, now, profile, leniency)
    steps = _BRANCHES[message.body.type](work)
    if message.header.general_info and message.header.info(oids.REV_PASSPHRASE) is not None:
        steps = keep_passphrase(work, steps)
    try:
        reply = yield from steps
    except CMPError as error:
        if error.fail_info & HEADER_FAULTS or message.body.type not in OPENS - {BodyType.GENM}:
            raise
        return rejection(message.body, error)
    return reply


def _check_place(message: PKIMessage, transaction: Transaction | None, now: datetime, leniency: Leniency) -> None:
    """Whether this body and these nonces may come now (R-004, R-019, R-022, R-023)."""
    header, body_type = message.header, message.body.type
    raise_first(place_faults(body_type))
    raise_first(used_nonce_faults(header, transaction.peer_nonces if transaction else ()))
    if body_type in OPENS:
        check_opening(header, transaction, leniency)
    elif transaction is None:
        raise unknown_transaction(body_type)
    else:
        _check_continuing(header, body_type, transaction, now)


def place_faults(body_type: BodyType) -> Iterator[CMPError]:
    """What a server refuses wherever it comes (R-004)."""
    if body_type not in _BRANCHES:
        yield CMPError(
            f"{body_type.wire_name} is not served here",
            rule="RFC 9483 section 3.5",
            hint=f"this server takes {', '.join(served.wire_name for served in sorted(_BRANCHES))}",
        )


def unknown_transaction(body_type: BodyType) -> CMPError:
    """The error for a message that continues what nobody began (R-020, R-113)."""
    return CMPError(
        f"{body_type.wire_name} for no known transaction",
        rule="RFC 9483 section 3.5",
        hint="the request before it was refused, or never came",
    )


def check_opening(header: PKIHeader, transaction: Transaction | None, leniency: Leniency) -> None:
    """Whether a message may open a transaction (R-019, R-023).

    :param transaction: the one with its transactionID, if there is one.
    :raises CMPError: transactionIdInUse if that is open, badRecipientNonce.
    """
    if transaction is not None and transaction.state is not TransactionState.DONE:
        raise CMPError(
            "transactionID belongs to an open transaction of this client, and this is another message",
            PKIFailureInfo.TRANSACTION_ID_IN_USE,
            rule="RFC 9810 section 5.1.1",
            hint="the client should repeat the request with a new transactionID",
        )
    raise_first(first_message_faults(header), leniency)


def _check_continuing(header: PKIHeader, body_type: BodyType, transaction: Transaction, now: datetime) -> None:
    confirming = body_type in (BodyType.CERT_CONF, BodyType.PKICONF)
    # whoever was granted implicit confirmation may still confirm.
    granted = confirming and transaction.implicit_confirm
    if body_type not in CONTINUES[transaction.state] and not granted:
        late = confirming and transaction.state is TransactionState.DONE and transaction.certificates
        raise CMPError(
            f"{body_type.wire_name} for a transaction that is {transaction.state.value}",
            PKIFailureInfo.CERT_CONFIRMED if late else PKIFailureInfo.BAD_REQUEST,
            rule="RFC 9483 section 3.5",
        )
    if transaction.expires is not None and now > transaction.expires:
        raise CMPError(
            f"{body_type.wire_name} for a transaction that expired at {transaction.expires.isoformat()}",
            PKIFailureInfo.BAD_REQUEST,
            rule="RFC 9810 section 5.1.1.2",
            hint="the client should ask for another certificate, and confirm before confirmWaitTime",
        )
    raise_first(next_message_faults(header, transaction.sender_nonce))


_AGAIN = {
    **dict.fromkeys(CERTIFICATE_REQUESTS, enrol_again),
    BodyType.RR: revoke_again,
    BodyType.GENM: inform_again,
    BodyType.KRR: recover_again,
    BodyType.CERT_CONF: confirm_again,
    BodyType.PKICONF: confirm_again,
}
_BRANCHES: dict[BodyType, Callable[[Work], Steps]] = {
    **dict.fromkeys(CERTIFICATE_REQUESTS, enrol),
    BodyType.RR: revoke,
    BodyType.KRR: recover,
    BodyType.GENM: inform,
    BodyType.CERT_CONF: confirm,
    BodyType.PKICONF: confirm,
    BodyType.POPDECR: lambda work: take_answers(work, enrol_again),
    BodyType.POLL_REQ: lambda work: poll(work, _AGAIN),
    BodyType.ERROR: end,
}
