"""What becomes of a certificate that a client refuses although the server took it for confirmed (R-084)."""

from __future__ import annotations

from dataclasses import replace

from cmpkit.crypto.x509 import certificate_public_key_info
from cmpkit.endpoints.conversation import Conversation
from cmpkit.endpoints.credentials import SigningCredentials
from cmpkit.endpoints.reading import own_message
from cmpkit.endpoints.requests import certificate_id, revocation_request
from cmpkit.engine.client import Send, begin
from cmpkit.engine.client_transaction import ClientTransaction
from cmpkit.engine.sought import SoughtCertificate
from cmpkit.enums import BodyType, CRLReason
from cmpkit.errors import CMPError

__all__ = ["discard"]


async def discard(one: SoughtCertificate, transaction: ClientTransaction, conversation: Conversation) -> str:
    """Revoke a certificate with its own key, unless certConf rejected it already.

    :param one: the certificate, refused by us.
    :returns: for people: what was done, and what is left to do; empty if certConf did it.
    """
    last = own_message(transaction.message)
    if last is None or last.body.type is BodyType.CERT_CONF:
        return ""
    try:
        key = conversation.keys.get(one.public_key_info)
        if key is None or certificate_public_key_info(one.certificate) != key.public_key_info:
            return "the server takes it for confirmed: have it revoked"
        own = SigningCredentials(one.certificate, key, transaction.chain)
        verifier = replace(conversation.verifier, credentials=own)
        revoking = replace(conversation, credentials=own, sender=own.subject, verifier=verifier, profiles=())
        body = revocation_request([certificate_id(one.certificate)], CRLReason.UNSPECIFIED)
        await revoking.run(Send(begin(body.type, random=conversation.options.random), body))
    except CMPError as error:
        return f"the server takes it for confirmed, and whether it revoked it is not known ({error.detail})"
    return "the server took it for confirmed, and revoked it when asked to"
