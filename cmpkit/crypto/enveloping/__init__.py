"""Contents that are encrypted for one recipient: CMS EnvelopedData (RFC 5652 section 6, RFC 9810 section 5.2.2).

:func:`envelop` and :func:`open_envelope` do it for every technique alike. A technique is a :class:`RecipientKind`; a
new one is added to :data:`RECIPIENT_KINDS` and nowhere else. What a key can do is known by its key algorithm:
:class:`cmpkit.parts.KeyTransport`, :class:`cmpkit.parts.KeyAgreement`.
"""

from cmpkit.crypto.enveloping.envelope import RECIPIENT_KINDS, can_receive, envelop, open_envelope
from cmpkit.crypto.enveloping.failures import TOLERATE_RSA_PKCS1, TOLERATE_SHA1
from cmpkit.crypto.enveloping.recipients import (
    KeyRecipient,
    OpeningKey,
    PasswordRecipient,
    Recipient,
    RecipientKind,
)

__all__ = [
    "RECIPIENT_KINDS",
    "TOLERATE_RSA_PKCS1",
    "TOLERATE_SHA1",
    "KeyRecipient",
    "OpeningKey",
    "PasswordRecipient",
    "Recipient",
    "RecipientKind",
    "can_receive",
    "envelop",
    "open_envelope",
]
