"""DHBasedMac: a MAC under a secret that two keys agree on (RFC 9810 section 5.1.3.2).

It proves possession of keys that agree, and protects no message: neither Lightweight CMP nor the profiles of RFC 9810
say whose such key may speak for whom.
"""

from __future__ import annotations

import secrets
from functools import partial

from cryptography.x509 import ObjectIdentifier

from cmpkit import oids
from cmpkit.asn1 import AlgorithmIdentifier, DHBMParameter, encode
from cmpkit.parts import ProtectionKind, RandomOctets, SharedSecret
from cmpkit_mac.algorithms import hash_name, hash_repeatedly
from cmpkit_mac.derived import Derivation, DerivedKeyMac, expand
from cmpkit_mac.macs import new_mac, read_mac, with_fresh_nonce

__all__ = ["DHBasedMac"]

_USUAL_MAC = "hmac-sha256"


class DHBasedMac(DerivedKeyMac):
    """id-DHBasedMac: the hash of an agreed secret is the key of a MAC.

    The credential is a :class:`cmpkit.parts.SharedSecret` whose value is the agreed secret.
    """

    kind = ProtectionKind.AGREEMENT
    oids: tuple[ObjectIdentifier, ...] = (oids.DH_BASED_MAC,)
    macs: tuple[str, ...] = ()

    def read(self, algorithm: AlgorithmIdentifier) -> Derivation:
        """What a DHBMParameter asks for."""
        params = algorithm.parse(DHBMParameter)
        owf, mac = hash_name(params.owf), read_mac(params.mac)
        length = mac.fit_key(len(hash_repeatedly(owf, b"", 1)))
        return Derivation(
            derive=partial(_derive, owf=owf, length=length),
            label=b"DHBasedMac %d %b" % (length, encode(params.owf)),
            steps=1,
            mac=mac,
            hash_names=(owf, mac.hash_name),
        )

    def algorithm(
        self,
        credential: SharedSecret,
        like: AlgorithmIdentifier | None = None,
        *,
        random: RandomOctets = secrets.token_bytes,
    ) -> AlgorithmIdentifier:
        """The same parameters as the peer's, or SHA-256 and HMAC-SHA256."""
        if like is not None and like.algorithm in self.oids:
            return self.renewed(like, random)
        return self.new_algorithm(_USUAL_MAC, random)

    def new_algorithm(self, mac: str, random: RandomOctets) -> AlgorithmIdentifier:
        """SHA-256, and that MAC."""
        params = DHBMParameter(owf=AlgorithmIdentifier(oids.SHA256), mac=new_mac(mac, random))
        return AlgorithmIdentifier(oids.DH_BASED_MAC, params)

    def renewed(self, algorithm: AlgorithmIdentifier, random: RandomOctets) -> AlgorithmIdentifier:
        """The same, with another nonce in the parameters of AES-GMAC."""
        params = algorithm.parse(DHBMParameter)
        mac = with_fresh_nonce(params.mac, random)
        if mac is params.mac:
            return algorithm
        return AlgorithmIdentifier(oids.DH_BASED_MAC, DHBMParameter(owf=params.owf, mac=mac))


def _derive(secret: bytes, *, owf: str, length: int) -> bytes:
    return expand(hash_repeatedly(owf, secret, 1), owf, length)
