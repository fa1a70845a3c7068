"""The expanded private key of a seed: ML-DSA.KeyGen_internal (FIPS 204 algorithm 6).

Only to compare: a file with a seed and an expanded key is refused unless they belong together (RFC 9881 section 8).
What signs is the library, which takes the seed and does not give the expanded key. The names of values are those of
FIPS 204.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeAlias

from cmpkit_mldsa.sizes import Size

__all__ = ["expand"]

_Polynomial: TypeAlias = list[int]

_Q: Final = 8380417
_N: Final = 256
_D: Final = 13
_ZETAS: Final = [pow(1753, int(f"{number:08b}"[::-1], 2), _Q) for number in range(_N)]
_SCALE: Final = 8347681
"""The inverse of 256."""


def expand(seed: bytes, size: Size) -> bytes:
    """The expanded private key.

    :param seed: 32 octets.
    """
    derived = hashlib.shake_256(seed + bytes((size.rows, size.columns))).digest(128)
    rho, rho_prime, key = derived[:32], derived[32:96], derived[96:]
    s = [_small(rho_prime + number.to_bytes(2, "little"), size.eta) for number in range(size.columns + size.rows)]
    s1, s2 = s[: size.columns], s[size.columns :]
    s1_hat = [_ntt(polynomial) for polynomial in s1]
    t0, public = [], rho
    for row in range(size.rows):
        low, high = _power2round(_add(_row_times(rho, row, s1_hat), s2[row]))
        t0.append(low)
        public += _pack(high, 23 - _D)
    tr = hashlib.shake_256(public).digest(64)
    bits = (2 * size.eta).bit_length()
    packed = [_pack([size.eta - value for value in polynomial], bits) for polynomial in s]
    packed += [_pack([(1 << (_D - 1)) - value for value in polynomial], _D) for polynomial in t0]
    return b"".join((rho, key, tr, *packed))


def _row_times(rho: bytes, row: int, vector: Sequence[_Polynomial]) -> _Polynomial:
    """A row of the matrix times a vector, both transformed (algorithms 32 and 48)."""
    total = [0] * _N
    for column, polynomial in enumerate(vector):
        entry = _uniform(rho + bytes((column, row)))
        total = [sofar + a * b for sofar, a, b in zip(total, entry, polynomial, strict=True)]
    return _inverse_ntt([value % _Q for value in total])


def _uniform(seed: bytes) -> _Polynomial:
    """RejNTTPoly (algorithm 30)."""

    def candidates(octets: bytes) -> Iterable[int]:
        for a, b, c in zip(octets[::3], octets[1::3], octets[2::3], strict=True):
            yield a | b << 8 | (c & 0x7F) << 16

    return _sample(hashlib.shake_128(seed).digest, candidates, lambda value: value if value < _Q else None)


def _small(seed: bytes, eta: int) -> _Polynomial:
    """RejBoundedPoly (algorithm 31)."""

    def candidates(octets: bytes) -> Iterable[int]:
        for octet in octets:
            yield octet & 15
            yield octet >> 4

    def coefficient(value: int) -> int | None:
        if eta == 2:
            return 2 - value % 5 if value < 15 else None
        return 4 - value if value < 9 else None

    return _sample(hashlib.shake_256(seed).digest, candidates, coefficient)


def _sample(
    digest: Callable[[int], bytes],
    candidates: Callable[[bytes], Iterable[int]],
    coefficient: Callable[[int], int | None],
) -> _Polynomial:
    """The first 256 coefficients that are accepted, from as many octets as that takes."""
    length, found = 840, list[int]()
    while len(found) < _N:
        found = [value for value in map(coefficient, candidates(digest(length))) if value is not None]
        length *= 2
    return found[:_N]


def _ntt(polynomial: _Polynomial) -> _Polynomial:
    """NTT (algorithm 41)."""
    w, m, length = list(polynomial), 0, _N // 2
    while length:
        for start in range(0, _N, 2 * length):
            m += 1
            for j in range(start, start + length):
                t = _ZETAS[m] * w[j + length] % _Q
                w[j], w[j + length] = (w[j] + t) % _Q, (w[j] - t) % _Q
        length //= 2
    return w


def _inverse_ntt(polynomial: _Polynomial) -> _Polynomial:
    """The inverse of the NTT (algorithm 42)."""
    w, m, length = list(polynomial), _N, 1
    while length < _N:
        for start in range(0, _N, 2 * length):
            m -= 1
            for j in range(start, start + length):
                t = w[j]
                w[j], w[j + length] = (t + w[j + length]) % _Q, _ZETAS[m] * (w[j + length] - t) % _Q
        length *= 2
    return [_SCALE * value % _Q for value in w]


def _add(a: _Polynomial, b: _Polynomial) -> _Polynomial:
    return [(x + y) % _Q for x, y in zip(a, b, strict=True)]


def _power2round(polynomial: _Polynomial) -> tuple[_Polynomial, _Polynomial]:
    """The low 13 bits, around zero, and the rest (algorithm 35)."""
    half = 1 << (_D - 1)
    high = [(value + half - 1) >> _D for value in polynomial]
    return [value - (part << _D) for value, part in zip(polynomial, high, strict=True)], high


def _pack(values: Sequence[int], bits: int) -> bytes:
    """Values of so many bits each, the first in the lowest bits (algorithms 16 and 17)."""
    number = 0
    for value in reversed(values):
        number = number << bits | value
    return number.to_bytes(_N * bits // 8, "little")
