"""Replacing protection: a message goes upstream as one of the registration authority (RFC 9483 section 5.2.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from cmpkit import oids
from cmpkit.asn1 import InfoTypeAndValue, PKIMessage, encode_list
from cmpkit.engine.header import whole_seconds
from cmpkit.parts import Authenticated, CertificateRequest
from cmpkit.relay.wrapping.changing import change_body, change_profiles
from cmpkit.relay.wrapping.own import OwnProtection
from cmpkit.tolerances import Leniency

__all__ = ["replace_protection"]


async def replace_protection(
    message: PKIMessage,
    auth: Authenticated,
    own: OwnProtection,
    *,
    changed: Sequence[CertificateRequest],
    now: datetime,
    include_original: bool,
    leniency: Leniency,
) -> PKIMessage:
    """The message under the protection of the registration authority, changed where that is wanted.

    transactionID and nonces stay, generalInfo and body too where nothing is changed; the certificates that came with it
    come after the authority's own.

    :param changed: what requests in it are to become.
    :param include_original: whether a message that is changed brings the one that came (origPKIMessage).
    :raises CMPError: badPOP if a proof of possession has to be verified and fails, badCertTemplate if a change cannot
        be made.
    """
    header = message.header
    body = await change_body(message, auth, changed, plugins=own.plugins, leniency=leniency)
    general_info = change_profiles(message, changed)
    if include_original and changed and header.info(oids.ORIG_PKI_MESSAGE) is None:
        general_info += (InfoTypeAndValue(oids.ORIG_PKI_MESSAGE, encode_list([message.raw])),)
    header = replace(
        header,
        sender=own.sender,
        sender_kid=own.sender_kid,
        message_time=whole_seconds(now),
        protection_alg=own.algorithm(header.transaction_id or b""),
        general_info=list(general_info) or None,
    )
    bare = message.with_header(header) if body is message.body else PKIMessage(header, body)
    return await own.protect(bare, message.extra_certs)
