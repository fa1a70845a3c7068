"""PasswordBasedMac (RFC 9810 section 5.1.3.1, RFC 4211 section 4.4, RFC 9045)."""

from __future__ import annotations

import hashlib
from functools import partial

from cryptography.x509 import ObjectIdentifier

from cmpkit import oids
from cmpkit.asn1 import AlgorithmIdentifier, Null, PBMParameter
from cmpkit.parts import RandomOctets
from cmpkit_mac.algorithms import bad_alg, hash_name, hmac_name
from cmpkit_mac.derived import Derivation, DerivedKeyMac, check_salt

__all__ = ["PasswordBasedMac"]

MIN_ITERATIONS = 100
MAX_ITERATIONS = 100_000
_OWN_ITERATIONS = 10_000
_OWN_SALT = 16


class PasswordBasedMac(DerivedKeyMac):
    """id-PasswordBasedMac: a hash of secret and salt, repeated, is the key of an HMAC."""

    oids: tuple[ObjectIdentifier, ...] = (oids.PASSWORD_BASED_MAC,)

    def read(self, algorithm: AlgorithmIdentifier) -> Derivation:
        """What a PBMParameter asks for."""
        params = algorithm.parse(PBMParameter)
        check_salt(params.salt)
        # RFC 4211 section 4.4: at least 100 iterations.
        if not MIN_ITERATIONS <= params.iteration_count <= MAX_ITERATIONS:
            raise bad_alg(
                f"PasswordBasedMac with {params.iteration_count} iterations",
                f"{MIN_ITERATIONS} to {MAX_ITERATIONS} are accepted",
            )
        owf, mac = hash_name(params.owf), hmac_name(params.mac)
        derive = partial(_derive, hash_name=owf, salt=params.salt, iterations=params.iteration_count)
        return Derivation(derive=derive, steps=params.iteration_count, mac_name=mac, hash_names=(owf, mac))

    def new_algorithm(self, random: RandomOctets) -> AlgorithmIdentifier:
        """SHA-256, HMAC-SHA256 and 10,000 iterations (RFC 9045 section 4)."""
        params = PBMParameter(
            salt=random(_OWN_SALT),
            owf=AlgorithmIdentifier(oids.SHA256),
            iteration_count=_OWN_ITERATIONS,
            mac=AlgorithmIdentifier(oids.HMAC_SHA256, Null()),
        )
        return AlgorithmIdentifier(oids.PASSWORD_BASED_MAC, params)


def _derive(secret: bytes, *, hash_name: str, salt: bytes, iterations: int) -> bytes:
    # An HMAC takes a key of any length, so the whole BASEKEY is it (RFC 9045 section 4.2).
    new, key = getattr(hashlib, hash_name), secret + salt
    for _ in range(iterations):
        key = new(key).digest()
    return bytes(key)
