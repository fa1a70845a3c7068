"""Proof of possession on the wire (RFC 4211 section 4, RFC 9810 section 5.2.8)."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from cmpkit.asn1.algorithms import AlgorithmIdentifier, SubjectPublicKeyInfo
from cmpkit.asn1.cms import EnvelopedData
from cmpkit.asn1.declare import sequence
from cmpkit.asn1.elements import name_choice
from cmpkit.asn1.names import GeneralName
from cmpkit.asn1.primitives import TLV, BitString, Explicit, Holds, Implicit, Null, Variant
from cmpkit.enums import SubsequentMessage

__all__ = [
    "Challenge",
    "PKMACValue",
    "POPOPrivKey",
    "POPOSigningKey",
    "POPOSigningKeyInput",
    "ProofOfPossession",
    "Rand",
]


@sequence
class PKMACValue:
    """A MAC over the public key, or over the request (RFC 4211 section 4.1, RFC 9810 section 5.2.8.3.2)."""

    alg_id: AlgorithmIdentifier
    value: BitString


@sequence
class POPOSigningKeyInput:
    """What is signed where the template lacks subject or public key (RFC 4211 section 4.1).

    ``auth_info`` is ``sender``, a GeneralName as unread element (:func:`cmpkit.asn1.decode_general_name`), or a
    PKMACValue.
    """

    auth_info: (
        Annotated[Variant[TLV, Literal["sender"]], Explicit(0), Holds(GeneralName)]
        | Variant[PKMACValue, Literal["public_key_mac"]]
    )
    public_key: SubjectPublicKeyInfo


@sequence
class POPOSigningKey:
    """Proof of possession by signature (RFC 4211 section 4.1)."""

    poposk_input: Annotated[POPOSigningKeyInput | None, Implicit(0)] = None
    algorithm_identifier: AlgorithmIdentifier
    signature: BitString


POPOPrivKey: TypeAlias = (
    Annotated[Variant[BitString, Literal["this_message"]], Implicit(0)]
    | Annotated[Variant[SubsequentMessage, Literal["subsequent_message"]], Implicit(1)]
    | Annotated[Variant[BitString, Literal["dh_mac"]], Implicit(2)]
    | Annotated[Variant[PKMACValue, Literal["agree_mac"]], Implicit(3)]
    | Annotated[Variant[EnvelopedData, Literal["encrypted_key"]], Implicit(4)]
)
"""Proof of possession for a key that does not sign (RFC 4211 section 4.2); thisMessage and dhMAC are deprecated."""
name_choice(POPOPrivKey, "POPOPrivKey")

ProofOfPossession: TypeAlias = (
    Annotated[Variant[Null, Literal["ra_verified"]], Implicit(0)]
    | Annotated[Variant[POPOSigningKey, Literal["signature"]], Implicit(1)]
    | Annotated[Variant[TLV, Literal["key_encipherment"]], Explicit(2), Holds(POPOPrivKey)]
    | Annotated[Variant[TLV, Literal["key_agreement"]], Explicit(3), Holds(POPOPrivKey)]
)
"""How the requester shows that it has the private key (RFC 4211 section 4).

The last two hold a :data:`POPOPrivKey` as unread element: ``read_element(proof.value, POPOPrivKey)``.
"""
name_choice(ProofOfPossession, "ProofOfPossession")


@sequence
class Challenge:
    """A number that only the holder of the private key can read (RFC 9810 section 5.2.8.3.3).

    ``witness`` is its digest under ``owf``, or under that of the challenge before. ``challenge`` is a :class:`Rand`,
    encrypted to the key; under pvno 3 it is empty and ``encrypted_rand`` takes its place.
    """

    owf: AlgorithmIdentifier | None = None
    witness: bytes
    challenge: bytes
    encrypted_rand: Annotated[EnvelopedData | None, Explicit(0)] = None


@sequence
class Rand:
    """What a :class:`Challenge` encrypts: the number, and the sender of the message (RFC 9810 section 5.2.8.3.3)."""

    int_: int
    sender: GeneralName
