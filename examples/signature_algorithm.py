"""A new signature algorithm in one file, under an OID of one's own: a whole PKI of it enrols a device.

Ed25519 over a BLAKE2b digest: one part serves certificates, CRLs, proofs of possession, messages and path validation.
"""

from __future__ import annotations

import hashlib
import tempfile

import anyio
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.x509 import ObjectIdentifier

from cmpkit import load_plugins
from cmpkit.asn1 import AlgorithmIdentifier, BitString, SubjectPublicKeyInfo, decode, encode
from cmpkit.hookspecs import hookimpl
from cmpkit.testing import InProcessCA

OID, NAME = ObjectIdentifier("2.999.7.2"), "ed25519-blake2b"
ALGORITHM = AlgorithmIdentifier(OID)


class BlakeKey:
    """A private key in memory; see cmpkit.parts.PrivateKey."""

    key_type = NAME
    signature_algorithm = ALGORITHM

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        bits = BitString(key.public_key().public_bytes_raw(), 0)
        self.public_key_info = encode(SubjectPublicKeyInfo(algorithm=ALGORITHM, subject_public_key=bits))

    async def sign(self, data: bytes, algorithm: AlgorithmIdentifier | None = None) -> bytes:
        return self._key.sign(hashlib.blake2b(data).digest())


class BlakeKeys:
    """The key algorithm; see cmpkit.parts.KeyAlgorithm. Files of such keys are not needed here."""

    name = "Ed25519 over BLAKE2b"
    key_oids = signature_oids = (OID,)
    key_types, key_usages = (NAME,), frozenset({"digitalSignature"})

    def generate(self, key_type: str) -> BlakeKey:
        return BlakeKey(Ed25519PrivateKey.generate())

    def key_type(self, public_key_info: bytes) -> str:
        return NAME

    def verify(self, public_key_info: bytes, algorithm: AlgorithmIdentifier, data: bytes, signature: bytes) -> bool:
        key = decode(SubjectPublicKeyInfo, public_key_info).subject_public_key.as_bytes()
        try:
            Ed25519PublicKey.from_public_bytes(key).verify(signature, hashlib.blake2b(data).digest())
        except InvalidSignature:
            return False
        return True

    def cert_hash(self, algorithm: AlgorithmIdentifier) -> str:
        return "blake2b"

    @hookimpl
    def cmpkit_key_algorithms(self) -> list[BlakeKeys]:
        return [self]


async def main() -> None:
    plugins = load_plugins([("blake", BlakeKeys())])
    with tempfile.TemporaryDirectory() as directory:
        ca = await InProcessCA.make(directory, plugins=plugins, key_type=NAME, profile={"key_types": [NAME]})
        async with ca.client(await ca.add_secret()) as client:
            renewed = await client.update(await client.enroll("CN=dev-42", BlakeKeys().generate(NAME)))
    print(x509.load_der_x509_certificate(renewed.certificate).signature_algorithm_oid.dotted_string)


if __name__ == "__main__":
    anyio.run(main)
