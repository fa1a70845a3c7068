"""PasswordBasedMac (RFC 9810 section 5.1.3.1, RFC 4211 section 4.4, RFC 9045)."""

from __future__ import annotations

from functools import partial

from cryptography.x509 import ObjectIdentifier

from cmpkit import oids
from cmpkit.asn1 import AlgorithmIdentifier, PBMParameter, encode
from cmpkit.parts import RandomOctets
from cmpkit_mac.algorithms import bad_alg, hash_name, hash_repeatedly
from cmpkit_mac.derived import Derivation, DerivedKeyMac, check_salt, expand
from cmpkit_mac.macs import MAC_NAMES, new_mac, read_mac, with_fresh_nonce

__all__ = ["PasswordBasedMac"]

MIN_ITERATIONS = 100
MAX_ITERATIONS = 100_000
_OWN_ITERATIONS = 10_000
_OWN_SALT = 16
_USUAL_MAC = "hmac-sha256"


class PasswordBasedMac(DerivedKeyMac):
    """id-PasswordBasedMac: a hash of secret and salt, repeated, is the key of a MAC."""

    oids: tuple[ObjectIdentifier, ...] = (oids.PASSWORD_BASED_MAC,)
    macs: tuple[str, ...] = (_USUAL_MAC, *(name for name in MAC_NAMES if name != _USUAL_MAC))

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
        owf, mac = hash_name(params.owf), read_mac(params.mac)
        length = mac.fit_key(len(hash_repeatedly(owf, b"", 1)))
        return Derivation(
            derive=partial(_derive, owf=owf, salt=params.salt, iterations=params.iteration_count, length=length),
            label=b"PasswordBasedMac %d %d %b %b" % (params.iteration_count, length, encode(params.owf), params.salt),
            steps=params.iteration_count,
            mac=mac,
            hash_names=(owf, mac.hash_name),
        )

    def new_algorithm(self, mac: str, random: RandomOctets) -> AlgorithmIdentifier:
        """SHA-256 and 10,000 iterations (RFC 9045 section 4)."""
        params = PBMParameter(
            salt=random(_OWN_SALT),
            owf=AlgorithmIdentifier(oids.SHA256),
            iteration_count=_OWN_ITERATIONS,
            mac=new_mac(mac, random),
        )
        return AlgorithmIdentifier(oids.PASSWORD_BASED_MAC, params)

    def renewed(self, algorithm: AlgorithmIdentifier, random: RandomOctets) -> AlgorithmIdentifier:
        """The same, with another nonce in the parameters of AES-GMAC."""
        params = algorithm.parse(PBMParameter)
        mac = with_fresh_nonce(params.mac, random)
        if mac is params.mac:
            return algorithm
        renewed = PBMParameter(salt=params.salt, owf=params.owf, iteration_count=params.iteration_count, mac=mac)
        return AlgorithmIdentifier(oids.PASSWORD_BASED_MAC, renewed)


def _derive(secret: bytes, *, owf: str, salt: bytes, iterations: int, length: int) -> bytes:
    """The key (RFC 9810 section 5.1.3.1)."""
    return expand(hash_repeatedly(owf, secret + salt, iterations), owf, length)
