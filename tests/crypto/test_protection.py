"""Protection by signature, and how the protection for a message is found."""

from __future__ import annotations

import pytest

from cmpkit import oids
from cmpkit.asn1 import AlgorithmIdentifier, Null
from cmpkit.crypto.keys import generate_key
from cmpkit.crypto.protection import SignatureProtection, find_protection, mac_protection, verify_protection
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError
from cmpkit.parts import NeedsExchange, ProtectionKind
from cmpkit.plugins import Plugins

PART = b"\x30\x03\x02\x01\x05"


@pytest.mark.parametrize("key_type", ["p256", "p384", "p521", "rsa2048"])
@pytest.mark.rule("R-034")
async def test_a_signature_protects_and_verifies(plugins: Plugins, key_type: str) -> None:
    key = generate_key(key_type, plugins)
    protection = find_protection(plugins, key.signature_algorithm.algorithm)
    assert protection.kind is ProtectionKind.SIGNATURE
    algorithm = protection.algorithm(key, like=AlgorithmIdentifier(oids.SHA512_WITH_RSA, Null()))
    assert algorithm == key.signature_algorithm
    octets = await protection.protect(PART, algorithm, key)
    assert await protection.verify(PART, algorithm, octets, key.public_key_info) is None
    other = generate_key(key_type, plugins)
    for part, credential in ((PART + b"x", key), (PART, other)):
        with pytest.raises(CMPError) as caught:
            await protection.verify(part, algorithm, octets, credential.public_key_info)
        assert caught.value.fail_info is PKIFailureInfo.BAD_MESSAGE_CHECK
        assert caught.value.rule


@pytest.mark.rule("R-033")
async def test_a_key_of_another_kind_is_bad_alg(plugins: Plugins) -> None:
    rsa, p256 = generate_key("rsa2048", plugins), generate_key("p256", plugins)
    protection = find_protection(plugins, oids.SHA256_WITH_RSA)
    with pytest.raises(CMPError) as caught:
        await protection.verify(PART, rsa.signature_algorithm, b"", p256.public_key_info)
    assert caught.value.fail_info is PKIFailureInfo.BAD_ALG
    with pytest.raises(CMPError) as caught:
        await protection.protect(PART, rsa.signature_algorithm, p256)
    assert caught.value.fail_info is PKIFailureInfo.BAD_ALG


def test_signatures_come_from_key_algorithms_and_macs_from_plugins(plugins: Plugins) -> None:
    assert isinstance(find_protection(plugins, oids.ECDSA_SHA256), SignatureProtection)
    for oid in (oids.PASSWORD_BASED_MAC, oids.PBMAC1):
        assert find_protection(plugins, oid) is mac_protection(plugins, oid)
    assert mac_protection(plugins) is find_protection(plugins, oids.PASSWORD_BASED_MAC)


@pytest.mark.parametrize("oid", [oids.EC_PUBLIC_KEY, oids.HMAC_SHA256, oids.RSA_ENCRYPTION])
@pytest.mark.rule("R-033")
def test_what_protects_nothing_is_bad_alg(plugins: Plugins, oid: object) -> None:
    with pytest.raises(CMPError, match="no protection for protectionAlg") as caught:
        find_protection(plugins, oid)  # type: ignore[arg-type]
    assert caught.value.fail_info is PKIFailureInfo.BAD_ALG
    assert "cmpkit plugins" in caught.value.hint


def test_a_signature_is_no_mac(plugins: Plugins) -> None:
    with pytest.raises(CMPError, match="not a protection by shared secret") as caught:
        mac_protection(plugins, oids.ECDSA_SHA256)
    assert caught.value.fail_info is PKIFailureInfo.BAD_ALG


async def test_what_needs_an_exchange_first_is_not_verified(plugins: Plugins) -> None:
    class Encapsulating(SignatureProtection):
        async def verify(self, *_: object, **__: object) -> NeedsExchange:
            return NeedsExchange("a KEM ciphertext is missing")

    protection = Encapsulating(plugins.key_algorithm("p256"))
    with pytest.raises(CMPError, match="a KEM ciphertext is missing") as caught:
        await verify_protection(protection, PART, AlgorithmIdentifier(oids.SHA256_WITH_RSA, Null()), b"", b"")
    assert caught.value.fail_info is PKIFailureInfo.WRONG_INTEGRITY


async def test_what_is_verified_returns(plugins: Plugins) -> None:
    key = generate_key("p256", plugins)
    protection = find_protection(plugins, key.signature_algorithm.algorithm)
    octets = await protection.protect(PART, key.signature_algorithm, key)
    await verify_protection(protection, PART, key.signature_algorithm, octets, key.public_key_info)
    with pytest.raises(CMPError):
        await verify_protection(protection, PART + b"x", key.signature_algorithm, octets, key.public_key_info)
