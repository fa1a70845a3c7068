"""Where a client goes on with a saved transaction: its last message once more, as it was or made anew."""

from __future__ import annotations

from dataclasses import dataclass

from cmpkit.asn1 import decode_message
from cmpkit.engine.client import Send, Wait
from cmpkit.engine.client_transaction import ClientTransaction
from cmpkit.engine.states import ClientState
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import ConfigurationError, PeerRefusal

__all__ = ["Repeat", "make_anew", "resumed"]


@dataclass(frozen=True, slots=True)
class Repeat:
    """Send the last message once more, as it was: a server that had it gives the same answer again."""

    transaction: ClientTransaction


def make_anew(transaction: ClientTransaction, refusal: PeerRefusal) -> Send:
    """The last message with a new time and nonce, if the server refused it as too old: then it never had it.

    A message that opens a transaction is not made anew here: its operation is begun again, with a new transactionID.

    :param refusal: of the message as it was.
    :raises PeerRefusal: the refusal, if it is for another reason.
    """
    if PKIFailureInfo.BAD_TIME not in refusal.fail_info or transaction.state is ClientState.SENT:
        raise refusal
    return Send(transaction, decode_message(transaction.message, max_size=len(transaction.message)).body)


def resumed(transaction: ClientTransaction) -> Repeat | Wait:
    """How to go on with a transaction that is not over, where it stopped: wait, or send its last message again.

    :raises ConfigurationError: if it has sent nothing yet.
    """
    if transaction.state is ClientState.POLL_WAIT:
        return Wait(transaction)
    if not transaction.message:
        raise ConfigurationError("the saved transaction has sent nothing", hint="begin the operation anew")
    return Repeat(transaction)
