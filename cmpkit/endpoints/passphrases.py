"""Revocation passphrases at a client: encrypted for the server, and whether it kept them (RFC 9810 appendix B)."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import replace

from cmpkit import oids
from cmpkit.asn1 import (
    CMSAttribute,
    EncryptedKey,
    InfoTypeAndValue,
    PKIBody,
    SetOf,
    Variant,
    encode,
    make_element,
    to_tlv,
)
from cmpkit.ca.passphrases import MIN_PASSPHRASE
from cmpkit.crypto.enveloping import Recipient, envelop
from cmpkit.enums import BodyType
from cmpkit.errors import ConfigurationError, TrustError
from cmpkit.parts import RandomOctets, SharedSecret
from cmpkit.plugins import Plugins

__all__ = ["check_passphrase_kept", "has_passphrase", "passphrase_question"]


async def passphrase_question(
    passphrase: SharedSecret,
    recipient: Recipient,
    *,
    plugins: Plugins,
    random: RandomOctets = secrets.token_bytes,
) -> InfoTypeAndValue:
    """revPassphrase for a genm.

    :param passphrase: with the reference under which it is to be used.
    :param recipient: the server.
    :raises ConfigurationError: if the passphrase is too short.
    :raises CMPError: badAlg if nothing can be encrypted for the recipient.
    """
    if len(passphrase.value) < MIN_PASSPHRASE:
        raise ConfigurationError(
            f"the revocation passphrase has {len(passphrase.value)} octets, at least {MIN_PASSPHRASE} are needed",
            hint="make a long random one, and keep it where the key is not: openssl rand -base64 24",
        )
    made = await envelop(passphrase.value, recipient, plugins=plugins, random=random)
    named = CMSAttribute(attr_type=oids.LOCAL_KEY_ID, attr_values=SetOf([to_tlv(encode(passphrase.reference))]))
    # RFC 5652 section 6.1: unprotected attributes make it version 2; one by a password is version 3.
    enveloped = replace(made, version=max(2, made.version), unprotected_attrs=SetOf([named]))
    return InfoTypeAndValue(oids.REV_PASSPHRASE, make_element(Variant(enveloped, "enveloped_data"), EncryptedKey))


def has_passphrase(body: PKIBody) -> bool:
    """Whether a genm brings a passphrase, which needs pvno 3 (RFC 9810 section 5.2.2)."""
    return body.type is BodyType.GENM and any(item.info_type == oids.REV_PASSPHRASE for item in body.content)


def check_passphrase_kept(answers: Sequence[InfoTypeAndValue]) -> None:
    """Whether the server says that it kept the passphrase (R-187).

    :raises TrustError: if it does not.
    """
    if InfoTypeAndValue(oids.REV_PASSPHRASE) not in answers:
        raise TrustError(
            "the server does not say that it keeps the revocation passphrase",
            rule="RFC 9810 appendix B",
            hint="does it know revPassphrase?",
        )
