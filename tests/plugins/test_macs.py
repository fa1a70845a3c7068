"""AES-GMAC, KMAC and HMAC with SHA-3 under a derived key: published values, both sides, limits, nonces."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from typing import Any

import pytest
from cmpkit_mac import PBMAC1, PasswordBasedMac
from cmpkit_mac.macs import MAC_NAMES, new_mac, read_mac, with_fresh_nonce
from Cryptodome.Hash import KMAC128, KMAC256
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.x509 import ObjectIdentifier
from hypothesis import given
from hypothesis import strategies as st
from pyasn1.type import namedtype, univ

from cmpkit import oids
from cmpkit.asn1 import AlgorithmIdentifier, Null, PBMAC1Params, PBMParameter, decode, encode, to_tlv
from cmpkit.crypto.digests import digest
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError
from cmpkit.parts import SharedSecret
from cmpkit.testing import check_protection

from .test_mac import PART, SECRET, pbm, pbmac1, refusal

KEY_40_5F = bytes(range(0x40, 0x60))
SHORT, LONG = bytes(range(4)), bytes(range(200))
TAGGED = b"My Tagged Application"
# The samples of NIST for SP 800-185.
KMAC_SAMPLES = [
    (oids.KMAC_WITH_SHAKE128, SHORT, b"", "e5780b0d3ea6f7d3a429c5706aa43a00fadbd7d49628839e3187243f456ee14e"),
    (oids.KMAC_WITH_SHAKE128, SHORT, TAGGED, "3b1fba963cd8b0b59e8c1a6d71888b7143651af8ba0a7070c0979e2811324aa5"),
    (oids.KMAC_WITH_SHAKE128, LONG, TAGGED, "1f5b4e6cca02209e0dcb5ca635b89a15e271ecc760071dfd805faa38f9729230"),
    (
        oids.KMAC_WITH_SHAKE256,
        SHORT,
        TAGGED,
        "20c570c31346f703c9ac36c61c03cb64c3970d0cfc787e9b79599d273a68d2f7"
        "f69d4cc3de9d104a351689f27cf6f5951f0103f33f4f24871024d9c27773a8dd",
    ),
    (
        oids.KMAC_WITH_SHAKE256,
        LONG,
        b"",
        "75358cf39e41494e949707927cee0af20a3ff553904c86b08f21cc414bcfd691"
        "589d27cf5e15369cbbff8b9a4c2eb17800855d0235ff635da82533ec6b759b69",
    ),
    (
        oids.KMAC_WITH_SHAKE256,
        LONG,
        TAGGED,
        "b58618f71f92e1d56c1b8c55ddd7cd188b97b4ca4d99831eb2699a837da2e4d9"
        "70fbacfde50033aea585f1a2708510c32d07880801bd182898fe476876fc8965",
    ),
]
# Test cases 1, 7 and 13 of the specification of GCM; two of NIST's validation vectors without plaintext.
GMAC_SAMPLES = [
    (oids.AES128_GMAC, "00" * 16, "00" * 12, "", "58e2fccefa7e3061367f1d57a4e7455a"),
    (oids.AES192_GMAC, "00" * 24, "00" * 12, "", "cd33b28ac773f74ba00ed1f312572435"),
    (oids.AES256_GMAC, "00" * 32, "00" * 12, "", "530f8afbc74536b9a963b4f1c4cb738b"),
    (
        oids.AES128_GMAC,
        "77be63708971c4e240d1cb79e8d77feb",
        "e0e00f19fed7ba0136a797f3",
        "7a43ec1d9c0a5a78a0b16533a6213cab",
        "209fcc8d3675ed938e9c7166709dd946",
    ),
    (
        oids.AES256_GMAC,
        "78dc4e0aaf52d935c3c01eea57428f00ca1fd475f5da86a49c8dd73d68c8e223",
        "d79cf22d504cc793c3fb6c8a",
        "b96baa8c1c75a671bfb2d08d06be5f36",
        "3e5d486aa2e30b22e040b85723a06e76",
    ),
]
SOME_OF_PBMAC1 = ("pbmac1-hmac-sha3-256", "pbmac1-aes256-gmac", "pbmac1-kmac256")
EVERY_MAC = [(PasswordBasedMac, name) for name in PasswordBasedMac.macs] + [(PBMAC1, name) for name in SOME_OF_PBMAC1]
GMACS = [(make, name) for make, name in EVERY_MAC if "gmac" in name]


class GMACParameters(univ.Sequence):
    """RFC 9044 section 2, for pyasn1."""

    componentType = namedtype.NamedTypes(
        namedtype.NamedType("nonce", univ.OctetString()), namedtype.DefaultedNamedType("length", univ.Integer(12))
    )


def gmac(oid: ObjectIdentifier, nonce: bytes = bytes(12), length: int = 16) -> AlgorithmIdentifier:
    parameters = b"\x04" + bytes([len(nonce)]) + nonce + (b"" if length == 12 else encode(length))
    return AlgorithmIdentifier(oid, to_tlv(b"\x30" + bytes([len(parameters)]) + parameters))


def kmac(oid: ObjectIdentifier, bits: int | None = None, custom: bytes = b"") -> AlgorithmIdentifier:
    parameters = b"" if bits is None else encode(bits)
    parameters += b"\x04" + bytes([len(custom)]) + custom if custom else b""
    return AlgorithmIdentifier(oid, to_tlv(b"\x30" + bytes([len(parameters)]) + parameters))


def pbm_with(mac: AlgorithmIdentifier, owf: ObjectIdentifier = oids.SHA256) -> AlgorithmIdentifier:
    params = PBMParameter(salt=b"saltsalt", owf=AlgorithmIdentifier(owf), iteration_count=100, mac=mac)
    return AlgorithmIdentifier(oids.PASSWORD_BASED_MAC, params)


def pbmac1_with(mac: AlgorithmIdentifier, key_length: int | None) -> AlgorithmIdentifier:
    known = pbmac1(key_length=key_length).parse(PBMAC1Params)
    params = PBMAC1Params(key_derivation_func=known.key_derivation_func, message_auth_scheme=mac)
    return AlgorithmIdentifier(oids.PBMAC1, params)


@pytest.mark.parametrize(("oid", "data", "custom", "expected"), KMAC_SAMPLES)
def test_kmac_gives_the_values_of_nist(oid: ObjectIdentifier, data: bytes, custom: bytes, expected: str) -> None:
    assert read_mac(kmac(oid, custom=custom)).compute(KEY_40_5F, data).hex() == expected


@pytest.mark.parametrize(("oid", "key", "nonce", "data", "expected"), GMAC_SAMPLES)
def test_gmac_gives_the_values_of_nist(oid: ObjectIdentifier, key: str, nonce: str, data: str, expected: str) -> None:
    mac = read_mac(gmac(oid, bytes.fromhex(nonce)))
    assert mac.compute(bytes.fromhex(key), bytes.fromhex(data)).hex() == expected
    shorter = read_mac(gmac(oid, bytes.fromhex(nonce), length=12))
    assert shorter.compute(bytes.fromhex(key), bytes.fromhex(data)).hex() == expected[:24]


def test_hmac_with_sha3_gives_the_value_of_rfc_9688() -> None:
    """The numbers are those of HMAC-SHA3-256 for a key of 20 octets 0x0b and "Hi There", published by NIST."""
    mac = read_mac(AlgorithmIdentifier(oids.HMAC_SHA3_256))
    expected = "ba85192310dffa96e2a3a40e69774351140bb7185e1202cdcc917589f95e16bb"
    assert mac.compute(b"\x0b" * 20, b"Hi There").hex() == expected


@pytest.mark.parametrize(
    ("owf", "mac", "length"),
    [
        pytest.param(oids.SHA256, gmac(oids.AES128_GMAC), 16, id="the key is cut"),
        pytest.param(oids.SHA256, gmac(oids.AES256_GMAC), 32, id="the key fits"),
        pytest.param(oids.SHA224, gmac(oids.AES256_GMAC), 32, id="the key is lengthened"),
        pytest.param(oids.SHA3_256, gmac(oids.AES192_GMAC), 24, id="SHA-3"),
        pytest.param(oids.SHAKE256, gmac(oids.AES256_GMAC), 32, id="SHAKE"),
    ],
)
async def test_the_key_of_gmac_is_what_rfc_9810_says(
    owf: ObjectIdentifier, mac: AlgorithmIdentifier, length: int
) -> None:
    name = {
        oids.SHA224: "sha224",
        oids.SHA256: "sha256",
        oids.SHA3_256: "sha3_256",
        oids.SHAKE256: "shake_256",
    }[owf]
    base = SECRET.value + b"saltsalt"
    for _ in range(100):
        base = digest(name, base)
    key = (base + digest(name, b"1" + base))[:length]
    expected = AESGCM(key).encrypt(bytes(12), b"", PART)
    assert await PasswordBasedMac().protect(PART, pbm_with(mac, owf), SECRET) == expected
    assert await PasswordBasedMac().verify(PART, pbm_with(mac, owf), expected, SECRET) is None


@pytest.mark.parametrize(
    ("mac", "owf", "expected_key"),
    [
        pytest.param(oids.KMAC_WITH_SHAKE128, "sha256", 32, id="KMAC128 takes the whole digest"),
        pytest.param(oids.KMAC_WITH_SHAKE256, "sha512", 64, id="KMAC256 takes the whole digest"),
        pytest.param(oids.KMAC_WITH_SHAKE256, "sha224", 32, id="KMAC256 needs 32 octets"),
    ],
)
async def test_kmac_has_a_key_of_its_strength_or_more(mac: ObjectIdentifier, owf: str, expected_key: int) -> None:
    base = SECRET.value + b"saltsalt"
    for _ in range(100):
        base = hashlib.new(owf, base).digest()
    key = (base + hashlib.new(owf, b"1" + base).digest())[:expected_key]
    module, length = (KMAC128, 32) if mac == oids.KMAC_WITH_SHAKE128 else (KMAC256, 64)
    expected = module.new(key=key, data=PART, mac_len=length).digest()
    owf_oid = {"sha224": oids.SHA224, "sha256": oids.SHA256, "sha512": oids.SHA512}[owf]
    for parameters in (None, kmac(mac).parameters):
        algorithm = pbm_with(AlgorithmIdentifier(mac, parameters), owf_oid)
        assert await PasswordBasedMac().protect(PART, algorithm, SECRET) == expected


@pytest.mark.parametrize(
    ("mac", "key_length", "expected_key"),
    [
        (gmac(oids.AES128_GMAC), None, 16),
        (gmac(oids.AES128_GMAC), 16, 16),
        (gmac(oids.AES192_GMAC), 24, 24),
        (gmac(oids.AES256_GMAC), 32, 32),
        (kmac(oids.KMAC_WITH_SHAKE128), None, 32),
        (kmac(oids.KMAC_WITH_SHAKE128), 16, 16),
        (kmac(oids.KMAC_WITH_SHAKE256), None, 64),
        (kmac(oids.KMAC_WITH_SHAKE256), 32, 32),
    ],
)
async def test_pbkdf2_gives_the_key_that_the_mac_takes(
    mac: AlgorithmIdentifier, key_length: int | None, expected_key: int
) -> None:
    key = hashlib.pbkdf2_hmac("sha256", SECRET.value, b"saltsalt", 10, expected_key)
    expected = read_mac(mac).compute(key, PART)
    assert await PBMAC1().protect(PART, pbmac1_with(mac, key_length), SECRET) == expected


async def test_pbkdf2_may_run_on_sha3() -> None:
    key = hashlib.pbkdf2_hmac("sha3_256", SECRET.value, b"saltsalt", 10, 32)
    algorithm = pbmac1(prf=oids.HMAC_SHA3_256, mac=oids.HMAC_SHA3_512)
    assert await PBMAC1().protect(PART, algorithm, SECRET) == hmac.digest(key, PART, "sha3_512")


@pytest.mark.parametrize(
    ("mac", "key_length"),
    [
        (gmac(oids.AES128_GMAC), 32),
        (gmac(oids.AES256_GMAC), 16),
        (kmac(oids.KMAC_WITH_SHAKE256), 16),
        (kmac(oids.KMAC_WITH_SHAKE128), 1025),
        (kmac(oids.KMAC_WITH_SHAKE128), -1),
    ],
)
async def test_a_key_that_the_mac_cannot_take_is_bad_alg(mac: AlgorithmIdentifier, key_length: int) -> None:
    error = await refusal(PBMAC1(), pbmac1_with(mac, key_length))
    assert error.fail_info is PKIFailureInfo.BAD_ALG


@pytest.mark.parametrize("prf", [oids.AES128_GMAC, oids.KMAC_WITH_SHAKE128])
async def test_only_an_hmac_is_a_prf(prf: ObjectIdentifier) -> None:
    """RFC 9481 section 6.2.2: AES-GMAC must not be used as pseudorandom function of PBKDF2."""
    assert (await refusal(PBMAC1(), pbmac1(prf=prf))).fail_info is PKIFailureInfo.BAD_ALG


@pytest.mark.parametrize(
    "mac",
    [
        pytest.param(gmac(oids.AES128_GMAC, bytes(7)), id="short nonce"),
        pytest.param(gmac(oids.AES128_GMAC, b""), id="no nonce"),
        pytest.param(gmac(oids.AES128_GMAC, length=11), id="short MAC"),
        pytest.param(gmac(oids.AES128_GMAC, length=17), id="long MAC"),
        pytest.param(kmac(oids.KMAC_WITH_SHAKE128, 120), id="short KMAC"),
        pytest.param(kmac(oids.KMAC_WITH_SHAKE128, 255), id="odd bits"),
        pytest.param(kmac(oids.KMAC_WITH_SHAKE256, 1032), id="long KMAC"),
        pytest.param(kmac(oids.KMAC_WITH_SHAKE256, -256), id="negative KMAC"),
    ],
)
async def test_parameters_beyond_the_limits_are_bad_alg(mac: AlgorithmIdentifier) -> None:
    assert (await refusal(PasswordBasedMac(), pbm_with(mac))).fail_info is PKIFailureInfo.BAD_ALG
    assert (await refusal(PBMAC1(), pbmac1_with(mac, None))).fail_info is PKIFailureInfo.BAD_ALG


def test_a_long_customization_string_is_bad_alg() -> None:
    longest = AlgorithmIdentifier(oids.KMAC_WITH_SHAKE128, to_tlv(b"\x30\x81\x83\x04\x81\x80" + bytes(128)))
    assert (
        read_mac(longest).compute(bytes(16), b"") == KMAC128.new(key=bytes(16), mac_len=32, custom=bytes(128)).digest()
    )
    longer = AlgorithmIdentifier(oids.KMAC_WITH_SHAKE128, to_tlv(b"\x30\x81\x84\x04\x81\x81" + bytes(129)))
    with pytest.raises(CMPError) as caught:
        read_mac(longer)
    assert caught.value.fail_info is PKIFailureInfo.BAD_ALG


@pytest.mark.parametrize("oid", [oids.AES128_GMAC, oids.KMAC_WITH_SHAKE128, oids.KMAC_WITH_SHAKE256])
@pytest.mark.parametrize("parameters", [Null(), 5])
async def test_parameters_that_cannot_be_read_are_bad_data_format(oid: ObjectIdentifier, parameters: Any) -> None:
    error = await refusal(PasswordBasedMac(), pbm_with(AlgorithmIdentifier(oid, parameters)))
    assert error.fail_info is PKIFailureInfo.BAD_DATA_FORMAT


@pytest.mark.parametrize(("make", "name"), EVERY_MAC)
async def test_what_one_side_chooses_the_other_verifies_and_answers_in(make: Callable[[], Any], name: str) -> None:
    client, server = make(), make()
    secret = SharedSecret("ref", "a secret of some length")
    asked = client.new_algorithm(name, bytes)
    assert decode(AlgorithmIdentifier, encode(asked)) == asked
    octets = await client.protect(PART, asked, secret)
    assert await server.verify(PART, asked, octets, secret) is None
    answered = server.algorithm(secret, asked)
    mac = await server.protect(b"answer", answered, secret)
    assert await client.verify(b"answer", answered, mac, secret) is None
    with pytest.raises(CMPError):
        await client.verify(b"answe?", answered, mac, secret)


@pytest.mark.parametrize(("make", "name"), GMACS)
async def test_each_message_has_a_nonce_of_its_own_and_the_same_key(make: Callable[[], Any], name: str) -> None:
    """One nonce for two messages would give the authentication key away (NIST SP 800-38D appendix A)."""
    protection, derivations = make(), []
    real = protection.read

    def read(algorithm: AlgorithmIdentifier) -> Any:
        derivations.append(real(algorithm))
        return derivations[-1]

    protection.read = read
    algorithms = [protection.new_algorithm(name, random=bytes)]
    for number in range(3):
        algorithms.append(protection.algorithm(SECRET, algorithms[number]))
        await protection.protect(PART, algorithms[-1], SECRET)
    nonces = {encode(algorithm) for algorithm in algorithms}
    assert len(nonces) == 4
    assert len({derivation.label for derivation in derivations}) == 1
    assert len(protection._keys) == 1


@pytest.mark.parametrize("name", [name for name in PasswordBasedMac.macs if "gmac" not in name])
def test_other_macs_keep_their_parameters_through_a_transaction(name: str) -> None:
    protection = PasswordBasedMac()
    first = protection.new_algorithm(name, bytes)
    assert protection.algorithm(SECRET, first) == first


def test_a_gmac_keeps_the_length_that_the_peer_chose() -> None:
    assert (
        read_mac(with_fresh_nonce(gmac(oids.AES128_GMAC, length=13), bytes)).compute(bytes(16), b"")
        == AESGCM(bytes(16)).encrypt(bytes(12), b"", b"")[:13]
    )


def test_names_are_told_apart_by_protection() -> None:
    assert not set(PasswordBasedMac.macs) & set(PBMAC1.macs)
    assert PasswordBasedMac.macs[0] == "hmac-sha256"
    assert PBMAC1.macs[0] == "pbmac1-hmac-sha256"
    assert set(PasswordBasedMac.macs) == set(MAC_NAMES) == {name.removeprefix("pbmac1-") for name in PBMAC1.macs}


def test_our_gmac_parameters_are_read_by_pyasn1() -> None:
    from pyasn1.codec.der import decoder

    algorithm = new_mac("aes128-gmac", lambda size: b"n" * size)
    assert algorithm.parameters is not None
    read, rest = decoder.decode(encode(algorithm.parameters), asn1Spec=GMACParameters())
    assert (rest, bytes(read["nonce"]), int(read["length"])) == (b"", b"n" * 12, 16)


async def test_the_conformance_checks_hold_for_another_mac() -> None:
    class Chosen(PasswordBasedMac):
        macs = ("kmac128",)

    right, wrong = SharedSecret("ref", "right horse battery"), SharedSecret("ref", "wrong horse battery")
    await check_protection(Chosen(), right, wrong_credential=wrong)


@given(position=st.integers(4, 200), change=st.integers(1, 255))
async def test_damaged_parameters_raise_nothing_but_cmp_errors(position: int, change: int) -> None:
    octets = bytearray(encode(pbm_with(gmac(oids.AES128_GMAC))))
    octets[position % len(octets)] ^= change
    try:
        algorithm = decode(AlgorithmIdentifier, bytes(octets))
    except CMPError:
        return
    assert (await refusal(PasswordBasedMac(), algorithm)).fail_info


def test_a_pbm_with_sha3_is_read() -> None:
    assert PasswordBasedMac().read(pbm(owf=oids.SHA3_512)).hash_names == ("sha3_512", "sha256")
