"""EncryptedKey: a private key, certificate or passphrase, encrypted (RFC 4211 section 2.1, RFC 9810 section 5.2.2)."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from cmpkit.asn1.algorithms import AlgorithmIdentifier
from cmpkit.asn1.cms import EnvelopedData
from cmpkit.asn1.declare import sequence
from cmpkit.asn1.elements import name_choice
from cmpkit.asn1.primitives import BitString, Implicit, Variant

__all__ = ["EncryptedKey", "EncryptedValue"]


@sequence
class EncryptedValue:
    """A value encrypted for the holder of a key (RFC 4211 section 2.1); deprecated in favour of EnvelopedData."""

    intended_alg: Annotated[AlgorithmIdentifier | None, Implicit(0)] = None
    symm_alg: Annotated[AlgorithmIdentifier | None, Implicit(1)] = None
    enc_symm_key: Annotated[BitString | None, Implicit(2)] = None
    key_alg: Annotated[AlgorithmIdentifier | None, Implicit(3)] = None
    value_hint: Annotated[bytes | None, Implicit(4)] = None
    enc_value: BitString


EncryptedKey: TypeAlias = (
    Variant[EncryptedValue, Literal["encrypted_value"]]
    | Annotated[Variant[EnvelopedData, Literal["enveloped_data"]], Implicit(0)]
)
"""EnvelopedData, or the deprecated EncryptedValue (RFC 4211 section 2.1)."""
name_choice(EncryptedKey, "EncryptedKey")
