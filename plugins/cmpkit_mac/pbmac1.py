"""PBMAC1 with PBKDF2 (RFC 9810 section 5.1.3.1, RFC 9481 section 6.1.2, RFC 8018 section 7.1)."""

from __future__ import annotations

import hashlib
from functools import partial

from cryptography.x509 import ObjectIdentifier

from cmpkit import oids
from cmpkit.asn1 import AlgorithmIdentifier, Null, PBKDF2Params, PBMAC1Params, Variant, encode
from cmpkit.parts import RandomOctets
from cmpkit_mac.algorithms import bad_alg, hmac_name
from cmpkit_mac.derived import Derivation, DerivedKeyMac, check_salt
from cmpkit_mac.macs import MAC_NAMES, Mac, new_mac, read_mac, with_fresh_nonce

__all__ = ["PBMAC1"]

MAX_ITERATIONS = 300_000
# RFC 9579 section 9 refuses keys of less than 20 octets: they would make an HMAC weaker than it looks.
MIN_KEY_LENGTH = 20
MAX_KEY_LENGTH = 1024
_OWN_ITERATIONS = 100_000
_OWN_SALT = 16
_PREFIX = "pbmac1-"
_USUAL_MAC = _PREFIX + "hmac-sha256"


class PBMAC1(DerivedKeyMac):
    """id-PBMAC1: PBKDF2 gives the key of a MAC."""

    oids: tuple[ObjectIdentifier, ...] = (oids.PBMAC1,)
    macs: tuple[str, ...] = (_USUAL_MAC, *(_PREFIX + name for name in MAC_NAMES if _PREFIX + name != _USUAL_MAC))

    def read(self, algorithm: AlgorithmIdentifier) -> Derivation:
        """What a PBMAC1-params asks for."""
        params = algorithm.parse(PBMAC1Params)
        if params.key_derivation_func.algorithm != oids.PBKDF2:
            raise bad_alg(f"PBMAC1 with {params.key_derivation_func.algorithm.dotted_string}", "use PBKDF2")
        kdf = params.key_derivation_func.parse(PBKDF2Params)
        salt = kdf.salt.value
        if not isinstance(salt, bytes):
            raise bad_alg("PBKDF2 with a salt from another source than its parameters")
        check_salt(salt)
        mac = read_mac(params.message_auth_scheme)
        prf = "sha1" if kdf.prf is None else hmac_name(kdf.prf)
        # RFC 9579 section 5 wants keyLength there; where it is absent, the key is as long as is usual for the MAC.
        length = mac.usual_key if kdf.key_length is None else kdf.key_length
        return Derivation(
            derive=partial(_derive, hash_name=prf, salt=salt, iterations=kdf.iteration_count, key_length=length),
            label=b"PBMAC1 %d %b" % (length, encode(params.key_derivation_func)),
            steps=_checked_steps(prf, kdf.iteration_count, length, mac),
            mac=mac,
            hash_names=(prf, mac.hash_name),
        )

    def new_algorithm(self, mac: str, random: RandomOctets) -> AlgorithmIdentifier:
        """PBKDF2 with HMAC-SHA256 and 100,000 iterations."""
        scheme = new_mac(mac.removeprefix(_PREFIX), random)
        kdf = PBKDF2Params(
            salt=Variant(random(_OWN_SALT), "specified"),
            iteration_count=_OWN_ITERATIONS,
            key_length=read_mac(scheme).usual_key,
            prf=AlgorithmIdentifier(oids.HMAC_SHA256, Null()),
        )
        params = PBMAC1Params(key_derivation_func=AlgorithmIdentifier(oids.PBKDF2, kdf), message_auth_scheme=scheme)
        return AlgorithmIdentifier(oids.PBMAC1, params)

    def renewed(self, algorithm: AlgorithmIdentifier, random: RandomOctets) -> AlgorithmIdentifier:
        """The same, with another nonce in the parameters of AES-GMAC."""
        params = algorithm.parse(PBMAC1Params)
        mac = with_fresh_nonce(params.message_auth_scheme, random)
        if mac is params.message_auth_scheme:
            return algorithm
        renewed = PBMAC1Params(key_derivation_func=params.key_derivation_func, message_auth_scheme=mac)
        return AlgorithmIdentifier(oids.PBMAC1, renewed)


def _checked_steps(prf: str, iterations: int, key_length: int, mac: Mac) -> int:
    """Iterations for all blocks of the key, at most as many as the ceiling allows for one."""
    if mac.fit_key(key_length) != key_length:
        raise bad_alg(
            f"PBKDF2 with a key of {key_length} octets for a MAC that cannot take it",
            f"{mac.fit_key(key_length)} octets are needed",
        )
    if (mac.hash_name and key_length < MIN_KEY_LENGTH) or key_length > MAX_KEY_LENGTH:
        raise bad_alg(f"PBKDF2 with a key of {key_length} octets", f"{MIN_KEY_LENGTH} to {MAX_KEY_LENGTH} are accepted")
    steps = iterations * -(-key_length // hashlib.new(prf).digest_size)
    if iterations < 1 or steps > MAX_ITERATIONS:
        raise bad_alg(
            f"PBKDF2 with {iterations} iterations for a key of {key_length} octets",
            f"1 to {MAX_ITERATIONS} iterations are accepted, counted for each block of the key",
        )
    return steps


def _derive(secret: bytes, *, hash_name: str, salt: bytes, iterations: int, key_length: int) -> bytes:
    return hashlib.pbkdf2_hmac(hash_name, secret, salt, iterations, key_length)
