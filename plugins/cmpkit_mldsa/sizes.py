"""The three sizes of ML-DSA (FIPS 204 section 4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

from cryptography.hazmat.primitives.asymmetric import mldsa
from cryptography.x509 import ObjectIdentifier

from cmpkit import oids

__all__ = ["SIZES", "PrivateKey", "PublicKey", "Size"]

PrivateKey: TypeAlias = mldsa.MLDSA44PrivateKey | mldsa.MLDSA65PrivateKey | mldsa.MLDSA87PrivateKey
PublicKey: TypeAlias = mldsa.MLDSA44PublicKey | mldsa.MLDSA65PublicKey | mldsa.MLDSA87PublicKey


@dataclass(frozen=True, slots=True)
class Size:
    """One parameter set.

    :param rows: of the matrix, ``k`` in FIPS 204.
    :param columns: of the matrix, ``l`` in FIPS 204.
    :param eta: the bound of the coefficients of the private key.
    :param expanded: octets of the expanded private key.
    """

    name: str
    key_type: str
    oid: ObjectIdentifier
    private_key: type[PrivateKey]
    public_key: type[PublicKey]
    rows: int
    columns: int
    eta: int
    expanded: int


SIZES: Final = (
    Size("ML-DSA-44", "mldsa44", oids.ML_DSA_44, mldsa.MLDSA44PrivateKey, mldsa.MLDSA44PublicKey, 4, 4, 2, 2560),
    Size("ML-DSA-65", "mldsa65", oids.ML_DSA_65, mldsa.MLDSA65PrivateKey, mldsa.MLDSA65PublicKey, 6, 5, 4, 4032),
    Size("ML-DSA-87", "mldsa87", oids.ML_DSA_87, mldsa.MLDSA87PrivateKey, mldsa.MLDSA87PublicKey, 8, 7, 2, 4896),
)
