"""Whether key algorithms, private keys and key providers keep their contracts: checks to be awaited in tests."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from cryptography.x509 import ObjectIdentifier

from cmpkit.asn1 import KEY_USAGES, AlgorithmIdentifier, BitString, SubjectPublicKeyInfo, decode, encode
from cmpkit.crypto.keys import private_key_from
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError, ConfigurationError
from cmpkit.parts import KeyAlgorithm, KeyProvider, PrivateKey
from cmpkit.testing.contract import (
    refused,
    require,
    require_name,
    require_oids,
    require_schemes,
    require_type,
    success,
)
from cmpkit.testing.key_uses import check_agreement, check_no_signatures, check_transport

__all__ = ["check_key_algorithm", "check_key_provider", "check_private_key"]

_DATA = b"what is signed"
_PASSWORD = b"a password of the checks"
_FOREIGN = AlgorithmIdentifier(ObjectIdentifier("2.999.1"))


async def check_key_algorithm(algorithm: KeyAlgorithm, *, key_types: Sequence[str] | None = None) -> None:
    """Check a key algorithm, with two new keys of each type.

    Beside what :func:`check_private_key` checks of each key: keys are of the type that was asked for and named alike by
    private and public key, no two are the same, one does not verify what another signed, they survive PKCS#8 (with and
    without a password), octets that are no key are refused, and the key usages are names that there are. Keys that
    encrypt or agree on secrets (:class:`cmpkit.parts.KeyTransport`, :class:`cmpkit.parts.KeyAgreement`) do so, and an
    algorithm without ``signature_oids`` says by badAlg that its keys do not sign.

    :param key_types: only these, where some take long to make.
    :raises AssertionError: naming what is wrong.
    """
    require_name(algorithm)
    require_oids(algorithm, "key_oids")
    require_oids(algorithm, "signature_oids", some=False)
    require_type(algorithm.key_types, tuple, "key_types")
    _check_key_usages(algorithm)
    for key_type in algorithm.key_types if key_types is None else key_types:
        with success(f"generate({key_type!r}) must make a key"):
            key, other = algorithm.generate(key_type), algorithm.generate(key_type)
        await check_private_key(key, algorithm)
        require(key.key_type == key_type, f"a key made by generate({key_type!r}) must be of it, not {key.key_type!r}")
        require(key.public_key_info != other.public_key_info, f"generate({key_type!r}) must make a new key each time")
        if algorithm.signature_oids:
            signature = await key.sign(_DATA)
            require(
                not algorithm.verify(other.public_key_info, key.signature_algorithm, _DATA, signature),
                f"a signature must not fit another {key_type} key",
            )
        await check_transport(algorithm, key, other)
        await check_agreement(algorithm, key, other)
        _check_pkcs8(algorithm, key)
        _check_unreadable_key(algorithm, key)
    with refused("octets that are no private key", PKIFailureInfo.BAD_DATA_FORMAT):
        algorithm.load_private_key(b"no key")


async def check_private_key(key: PrivateKey, algorithm: KeyAlgorithm) -> None:
    """Check a private key, with the key algorithm that verifies what it signs.

    Its public key is of the algorithm and the name of its type is the same for both, its signatures fit what was
    signed and nothing else, a signature that is none does not fit (and raises nothing), other algorithms are refused.

    :raises AssertionError: naming what is wrong.
    """
    public = key.public_key_info
    with success("public_key_info must be a SubjectPublicKeyInfo"):
        oid = decode(SubjectPublicKeyInfo, public).algorithm.algorithm
    require(oid in algorithm.key_oids, f"the OID of the public key must be in key_oids: {oid.dotted_string}")
    with success("key_type() must name the type of the public key"):
        name = algorithm.key_type(public)
    require(name == key.key_type, f"private and public key must name their type alike, not {key.key_type} and {name}")
    if not algorithm.signature_oids:
        await check_no_signatures(algorithm, key)
        return
    signed_by = key.signature_algorithm
    require(
        signed_by.algorithm in algorithm.signature_oids,
        f"signature_algorithm must be one of signature_oids, not {signed_by.algorithm.dotted_string}",
    )
    for named in (None, signed_by):
        with success("sign() must sign by signature_algorithm, named or not"):
            signature = await key.sign(_DATA, named)
        _require_fit(algorithm, public, signed_by, _DATA, signature, fits=True)
    _require_fit(algorithm, public, signed_by, b"what is not signed", signature, fits=False)
    last = bytes((signature[-1] ^ 1,))
    for other in (signature[:-1] + last, signature[:-1], signature + b"\x00", b"", b"no signature"):
        _require_fit(algorithm, public, signed_by, _DATA, other, fits=False)
    with refused("a signature by a foreign algorithm", PKIFailureInfo.BAD_ALG):
        await key.sign(_DATA, _FOREIGN)
    with refused("the verification of a foreign algorithm", PKIFailureInfo.BAD_ALG):
        algorithm.verify(public, _FOREIGN, _DATA, signature)
    _check_cert_hash(algorithm, signed_by)


def _check_key_usages(algorithm: KeyAlgorithm) -> None:
    usages = getattr(algorithm, "key_usages", None)
    require(
        isinstance(usages, frozenset) and bool(usages) and usages.issubset(KEY_USAGES),
        f"key_usages must be a frozenset of names out of {', '.join(KEY_USAGES)}, not {usages!r}",
    )


def _require_fit(
    algorithm: KeyAlgorithm, public: bytes, signed_by: AlgorithmIdentifier, data: bytes, signature: bytes, *, fits: bool
) -> None:
    what = (
        f"verify() must return {fits} for a signature of {len(signature)} octets that {'fits' if fits else 'does not'}"
    )
    with success(what):
        result = algorithm.verify(public, signed_by, data, signature)
    require(result is fits, f"{what}, not {result!r}")


def _check_cert_hash(algorithm: KeyAlgorithm, signed_by: AlgorithmIdentifier) -> None:
    with success("cert_hash() must name the hash for the key's own signature algorithm, or None"):
        name = algorithm.cert_hash(signed_by)
    require(
        name is None or name in hashlib.algorithms_available,
        f"cert_hash() must be None or a name that hashlib knows, not {name!r}",
    )


def _check_pkcs8(algorithm: KeyAlgorithm, key: PrivateKey) -> None:
    """A key that does not leave its place has no PKCS#8."""
    try:
        plain, encrypted = key.to_pkcs8(), key.to_pkcs8(_PASSWORD)
    except CMPError:
        return
    with success("load_private_key() must read what to_pkcs8() made"):
        loaded = algorithm.load_private_key(plain)
    require(
        loaded.public_key_info == key.public_key_info and loaded.key_type == key.key_type,
        "a key must be the same after PKCS#8",
    )
    with success("to_pkcs8(password) must be an EncryptedPrivateKeyInfo with that password"):
        decrypted = private_key_from(encrypted, _PASSWORD, lambda _: algorithm)
    require(decrypted.public_key_info == key.public_key_info, "a key must be the same after encrypted PKCS#8")
    with refused("to_pkcs8(password), read with another password,", by=ConfigurationError):
        private_key_from(encrypted, b"another", lambda _: algorithm)


def _check_unreadable_key(algorithm: KeyAlgorithm, key: PrivateKey) -> None:
    info = decode(SubjectPublicKeyInfo, key.public_key_info)
    broken = encode(SubjectPublicKeyInfo(algorithm=info.algorithm, subject_public_key=BitString(b"\x00", 0)))
    what = f"a {key.key_type} public key of one octet"
    with refused(what, PKIFailureInfo.BAD_CERT_TEMPLATE, PKIFailureInfo.BAD_ALG):
        algorithm.key_type(broken)


async def check_key_provider(
    provider: KeyProvider,
    uri: str,
    algorithms: Sequence[KeyAlgorithm],
    *,
    missing: str,
    password: bytes | None = None,
) -> None:
    """Check a key provider, with a key that it has.

    The key is one that :func:`check_private_key` accepts and the same each time; a missing key, and a password that is
    wrong or not given, is a ConfigurationError without the password in its text.

    :param uri: of the key.
    :param algorithms: the key algorithms that there are; one of them is the key's.
    :param missing: a URI with one of the provider's schemes under which no key is.
    :param password: of the key; ``None`` if it needs none.
    :raises AssertionError: naming what is wrong.
    """
    require_schemes(provider)
    for address in (uri, missing):
        scheme = address.partition(":")[0]
        require(scheme in provider.schemes, f"the check needs a URI of {provider.schemes}, not of {scheme!r}")
    with success("load() must find the key"):
        key = await provider.load(uri, password, algorithms)
        again = await provider.load(uri, password, algorithms)
    require(key.public_key_info == again.public_key_info, "load() must find the same key each time")
    oid = decode(SubjectPublicKeyInfo, key.public_key_info).algorithm.algorithm
    found = next((algorithm for algorithm in algorithms if oid in algorithm.key_oids), None)
    if found is None:
        raise AssertionError(f"load() must give a key of one of the algorithms, not one of {oid.dotted_string}")
    await check_private_key(key, found)
    with refused("a key that is not there", by=ConfigurationError):
        await provider.load(missing, password, algorithms)
    if password is not None:
        for wrong in (None, b"not " + password):
            with refused("a key with a wrong password", by=ConfigurationError) as caught:
                await provider.load(uri, wrong, algorithms)
            require(password not in str(caught[0]).encode(), "no password may be in the text of an error")
