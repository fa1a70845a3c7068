"""ML-DSA keys: every form of private key, signatures both ways with others, certHash that needs hashAlg."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import cmpkit_mldsa
import cmpkit_signature
import pytest
from cmpkit_mldsa import MLDSAKeys
from cmpkit_mldsa.expanding import expand
from cmpkit_mldsa.sizes import SIZES, Size
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, mldsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from cmpkit import oids, testing
from cmpkit.asn1 import AlgorithmIdentifier, BitString, Null, SubjectPublicKeyInfo, decode, encode, encode_list
from cmpkit.crypto.keys import load_private_key
from cmpkit.crypto.pkcs8 import PrivateKeyInfo
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError, ConfigurationError
from cmpkit.plugins import Plugins

DATA = b"data"
PART = MLDSAKeys()
SEED = bytes(range(32))
FILES = Path(__file__).parent / "mldsa_keys"
KEYS = {
    "mldsa44": mldsa.MLDSA44PrivateKey.from_seed_bytes(SEED),
    "mldsa65": mldsa.MLDSA65PrivateKey.from_seed_bytes(SEED),
    "mldsa87": mldsa.MLDSA87PrivateKey.from_seed_bytes(SEED),
}
ALGORITHMS = {
    "mldsa44": AlgorithmIdentifier(oids.ML_DSA_44),
    "mldsa65": AlgorithmIdentifier(oids.ML_DSA_65),
    "mldsa87": AlgorithmIdentifier(oids.ML_DSA_87),
}


@pytest.fixture(scope="module")
def plugins() -> Plugins:
    loaded = Plugins()
    loaded.add(cmpkit_mldsa, "mldsa")
    loaded.add(cmpkit_signature, "signature")
    return loaded


def spki(key_type: str) -> bytes:
    return KEYS[key_type].public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def pkcs8(private_key: bytes, algorithm: AlgorithmIdentifier = ALGORITHMS["mldsa44"]) -> bytes:
    return encode(PrivateKeyInfo(version=0, algorithm=algorithm, private_key=private_key))


def expanded(plugins: Plugins) -> bytes:
    """The expanded key of the seed, as OpenSSL wrote it."""
    pem = (FILES / "mldsa44-expanded.pem").read_bytes()
    with pytest.raises(ConfigurationError):
        load_private_key(pem, None, plugins)
    info = decode(PrivateKeyInfo, body(pem))
    return decode(bytes, info.private_key)


def both(*parts: bytes) -> bytes:
    return encode_list(encode(part) for part in parts)


def body(pem: bytes) -> bytes:
    return base64.b64decode(b"".join(pem.splitlines()[1:-1]))


async def test_the_part_keeps_its_contract() -> None:
    await testing.check_key_algorithm(PART, key_types=["mldsa65"])


@pytest.mark.parametrize("key_type", PART.key_types)
async def test_both_directions_agree_with_others(key_type: str) -> None:
    key, algorithm = KEYS[key_type], ALGORITHMS[key_type]
    assert PART.verify(spki(key_type), algorithm, DATA, key.sign(DATA))
    assert not PART.verify(spki(key_type), algorithm, b"other", key.sign(DATA))
    ours = PART.load_private_key(key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))
    assert ours.public_key_info == spki(key_type)
    key.public_key().verify(await ours.sign(DATA), DATA)


def test_a_signature_with_a_context_does_not_fit() -> None:
    """RFC 9881 section 2: the context is empty."""
    assert not PART.verify(spki("mldsa44"), ALGORITHMS["mldsa44"], DATA, KEYS["mldsa44"].sign(DATA, b"context"))


@pytest.mark.parametrize("key_type", PART.key_types)
def test_the_files_of_openssl_with_seed_and_expanded_key_load(plugins: Plugins, key_type: str) -> None:
    key = load_private_key((FILES / f"{key_type}-both.pem").read_bytes(), None, plugins)
    assert key.key_type == key_type
    assert key.public_key_info == spki(key_type)


def test_the_files_of_openssl_with_the_seed_or_encrypted_load(plugins: Plugins) -> None:
    seed = load_private_key((FILES / "mldsa44-seed.pem").read_bytes(), None, plugins)
    encrypted = (FILES / "mldsa44-encrypted.pem").read_bytes()
    assert seed.public_key_info == load_private_key(encrypted, b"pw", plugins).public_key_info == spki("mldsa44")
    with pytest.raises(ConfigurationError, match="password"):
        load_private_key(encrypted, b"wrong", plugins)


def test_a_file_with_only_the_expanded_key_is_refused_saying_what_to_do(plugins: Plugins) -> None:
    with pytest.raises(ConfigurationError, match="only the expanded key") as caught:
        load_private_key((FILES / "mldsa44-expanded.pem").read_bytes(), None, plugins)
    assert "use the file with the seed" in caught.value.hint
    assert "openssl genpkey -algorithm ML-DSA-44" in caught.value.hint


@pytest.mark.parametrize("position", [0, 32, 127, 128, 1000, -1])
def test_seed_and_expanded_key_of_different_keys_are_refused(plugins: Plugins, position: int) -> None:
    """RFC 9881 section 8."""
    right = expanded(plugins)
    assert PART.load_private_key(pkcs8(both(SEED, right))).public_key_info == spki("mldsa44")
    wrong = bytearray(right)
    wrong[position] ^= 1
    for content in (both(SEED, bytes(wrong)), both(bytes(32), right)):
        with pytest.raises(CMPError, match="not of one key") as caught:
            PART.load_private_key(pkcs8(content))
        assert caught.value.fail_info is PKIFailureInfo.BAD_DATA_FORMAT


@settings(max_examples=10)
@given(st.binary(min_size=32, max_size=32), st.sampled_from(SIZES))
def test_expanded_keys_are_for_the_public_key_that_others_make_of_the_seed(seed: bytes, size: Size) -> None:
    public = size.private_key.from_seed_bytes(seed).public_key().public_bytes_raw()
    expanded_key = expand(seed, size)
    assert len(expanded_key) == size.expanded
    assert expanded_key[:32] == public[:32]
    assert expanded_key[64:128] == hashlib.shake_256(public).digest(64)


def test_forms_that_are_none_are_refused(plugins: Plugins) -> None:
    right = expanded(plugins)
    ec_key = ec.generate_private_key(ec.SECP256R1())
    for unusable in (
        pkcs8(b""),
        pkcs8(SEED),
        pkcs8(b"\x80\x1f" + SEED[1:]),
        pkcs8(b"\x80\x20" + SEED + b"x"),
        pkcs8(both(SEED, right[1:])),
        pkcs8(both(SEED[1:], right)),
        pkcs8(both(SEED)),
        pkcs8(encode(right[1:])),
        pkcs8(right),
        pkcs8(b"\x80\x20" + SEED, AlgorithmIdentifier(oids.ML_DSA_44, Null())),
        ec_key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()),
        b"no key",
    ):
        with pytest.raises(CMPError) as caught:
            PART.load_private_key(unusable)
        assert caught.value.fail_info is PKIFailureInfo.BAD_DATA_FORMAT
        assert SEED.hex() not in str(caught.value)


def test_what_we_write_is_the_seed_and_others_read_it(plugins: Plugins) -> None:
    for key_type in PART.key_types:
        key = PART.generate(key_type)
        assert decode(PrivateKeyInfo, key.to_pkcs8()).private_key[:2] == b"\x80\x20"
        read = serialization.load_der_private_key(key.to_pkcs8(), None)
        assert isinstance(read, type(KEYS[key_type]))
        assert read.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo) == key.public_key_info
    assert load_private_key(key.to_pkcs8(b"pw"), b"pw", plugins).public_key_info == key.public_key_info


@pytest.mark.parametrize(
    "algorithm",
    [ALGORITHMS["mldsa65"], AlgorithmIdentifier(oids.ML_DSA_44, Null()), AlgorithmIdentifier(oids.ECDSA_SHA256)],
)
async def test_other_algorithms_and_parameters_are_bad_alg(algorithm: AlgorithmIdentifier) -> None:
    with pytest.raises(CMPError, match="ML-DSA-44") as caught:
        PART.verify(spki("mldsa44"), algorithm, DATA, KEYS["mldsa44"].sign(DATA))
    assert caught.value.fail_info is PKIFailureInfo.BAD_ALG
    with pytest.raises(CMPError) as caught:
        await PART.generate("mldsa44").sign(DATA, algorithm)
    assert caught.value.fail_info is PKIFailureInfo.BAD_ALG


def test_public_keys_with_another_length_parameters_or_algorithm_are_refused() -> None:
    info = decode(SubjectPublicKeyInfo, spki("mldsa44"))
    bits = info.subject_public_key
    with_null = AlgorithmIdentifier(oids.ML_DSA_44, Null())
    for algorithm, key in (
        (info.algorithm, BitString(b"", 0)),
        (info.algorithm, BitString(bits.as_bytes()[:-1], 0)),
        (info.algorithm, BitString(bits.as_bytes()[:-1] + b"\x00", 1)),
        (ALGORITHMS["mldsa65"], bits),
        (with_null, bits),
    ):
        broken = encode(SubjectPublicKeyInfo(algorithm=algorithm, subject_public_key=key))
        with pytest.raises(CMPError, match="cannot be read") as caught:
            PART.key_type(broken)
        assert caught.value.fail_info is PKIFailureInfo.BAD_CERT_TEMPLATE
    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    with pytest.raises(CMPError, match="another kind") as caught:
        PART.key_type(other.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    assert caught.value.fail_info is PKIFailureInfo.BAD_ALG


def test_ml_dsa_names_no_hash_for_cert_hash() -> None:
    """RFC 9810 section 5.3.18."""
    assert [PART.cert_hash(algorithm) for algorithm in ALGORITHMS.values()] == [None, None, None]


@given(data=st.data())
def test_damaged_keys_and_signatures_raise_nothing_but_cmp_errors(data: st.DataObject) -> None:
    whole = [bytearray(spki("mldsa44")), bytearray(KEYS["mldsa44"].sign(DATA))]
    octets = whole[data.draw(st.integers(0, 1))]
    octets[data.draw(st.integers(0, len(octets) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        accepted = PART.verify(bytes(whole[0]), ALGORITHMS["mldsa44"], DATA, bytes(whole[1]))
    except CMPError:
        accepted = False
    assert accepted is False
