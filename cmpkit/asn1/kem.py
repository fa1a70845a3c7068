"""Key encapsulation for message protection (RFC 9810 sections 5.1.1.5 and 5.1.3.4)."""

from __future__ import annotations

from typing import Annotated

from cmpkit.asn1.algorithms import AlgorithmIdentifier
from cmpkit.asn1.codec import encode
from cmpkit.asn1.declare import sequence
from cmpkit.asn1.primitives import Explicit, Size

__all__ = ["KemBMParameter", "KemCiphertextInfo", "KemOtherInfo"]

_STATIC_STRING = "CMP-KEM"


@sequence
class KemBMParameter:
    """Parameters of id-KemBasedMac; ``len`` is the length of the derived key in octets (RFC 9810 section 5.1.3.4)."""

    kdf: AlgorithmIdentifier
    kem_context: Annotated[bytes | None, Explicit(0)] = None
    len: int
    mac: AlgorithmIdentifier


@sequence
class KemCiphertextInfo:
    """A ciphertext for the receiver's KEM key (RFC 9810 section 5.1.1.5)."""

    kem: AlgorithmIdentifier
    ct: bytes


@sequence
class KemOtherInfo:
    """What the derivation of the shared key binds; ``static_string`` is "CMP-KEM" (RFC 9810 section 5.1.3.4)."""

    static_string: Annotated[list[str], Size(1, None)]
    transaction_id: bytes
    kem_context: Annotated[bytes | None, Explicit(0)] = None

    @classmethod
    def context(cls, transaction_id: bytes, kem_context: bytes | None = None) -> bytes:
        """DER of the KemOtherInfo of a transaction, the context of the key derivation.

        :param transaction_id: that of the message that brought the ciphertext.
        :param kem_context: the kemContext of the protection's parameters.
        """
        return encode(cls(static_string=[_STATIC_STRING], transaction_id=transaction_id, kem_context=kem_context))
