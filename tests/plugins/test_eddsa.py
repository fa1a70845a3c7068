"""Ed25519 and Ed448 keys: signatures of others verify, ours verify elsewhere."""

from __future__ import annotations

import pytest
from cmpkit_signature import EdwardsCurveKeys
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, x25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from cmpkit import oids, testing
from cmpkit.asn1 import AlgorithmIdentifier, BitString, Null, SubjectPublicKeyInfo, decode, encode
from cmpkit.crypto.digests import digest
from cmpkit.crypto.pkcs8 import PrivateKeyInfo
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError

DATA = b"data"
PART = EdwardsCurveKeys()
ED25519, ED448 = AlgorithmIdentifier(oids.ED25519), AlgorithmIdentifier(oids.ED448)
KEYS = {"ed25519": ed25519.Ed25519PrivateKey.generate(), "ed448": ed448.Ed448PrivateKey.generate()}
ALGORITHMS = {"ed25519": ED25519, "ed448": ED448}

# RFC 8410 sections 10.1 and 10.3: a public key, its private key, and the private key with public key and attributes.
RFC8410_PUBLIC = bytes.fromhex(
    "302a300506032b657003210019bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1"
)
RFC8410_PRIVATE = bytes.fromhex(
    "302e020100300506032b657004220420d4ee72dbf913584ad5b6d8f1f769f8ad3afe7c28cbf1d4fbe097a88f44755842"
)
RFC8410_PRIVATE_V2 = bytes.fromhex(
    "3072020101300506032b657004220420d4ee72dbf913584ad5b6d8f1f769f8ad3afe7c28cbf1d4fbe097a88f44755842a01f301d060a2a"
    "864886f70d01090914310f0c0d437572646c652043686169727381210019bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c"
    "38ad703166e1"
)


def spki(key: ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


async def test_the_part_keeps_its_contract() -> None:
    await testing.check_key_algorithm(PART)


@pytest.mark.parametrize("key_type", PART.key_types)
async def test_both_directions_agree_with_others(key_type: str) -> None:
    key, algorithm = KEYS[key_type], ALGORITHMS[key_type]
    assert PART.verify(spki(key), algorithm, DATA, key.sign(DATA))
    assert not PART.verify(spki(key), algorithm, b"other", key.sign(DATA))
    ours = PART.load_private_key(key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))
    assert ours.public_key_info == spki(key)
    key.public_key().verify(await ours.sign(DATA), DATA)


@pytest.mark.parametrize("pkcs8", [RFC8410_PRIVATE, RFC8410_PRIVATE_V2], ids=["version 1", "version 2"])
def test_the_keys_of_rfc_8410_load(pkcs8: bytes) -> None:
    assert PART.load_private_key(pkcs8).public_key_info == RFC8410_PUBLIC


def test_rfc_9481_section_3_3_names_the_hashes() -> None:
    assert PART.cert_hash(ED25519) == "sha512"
    assert PART.cert_hash(ED448) == "shake_256"
    assert len(digest("shake_256", DATA)) == 64


@pytest.mark.parametrize(
    ("key_type", "algorithm"),
    [
        ("ed25519", ED448),
        ("ed448", ED25519),
        ("ed25519", AlgorithmIdentifier(oids.ED25519, Null())),
        ("ed448", AlgorithmIdentifier(oids.ED448, Null())),
        ("ed25519", AlgorithmIdentifier(oids.ECDSA_SHA256)),
    ],
)
async def test_other_algorithms_and_parameters_are_bad_alg(key_type: str, algorithm: AlgorithmIdentifier) -> None:
    key = PART.generate(key_type)
    with pytest.raises(CMPError, match=key_type.capitalize()) as caught:
        PART.verify(key.public_key_info, algorithm, DATA, await key.sign(DATA))
    assert caught.value.fail_info is PKIFailureInfo.BAD_ALG
    with pytest.raises(CMPError) as caught:
        await key.sign(DATA, algorithm)
    assert caught.value.fail_info is PKIFailureInfo.BAD_ALG


def test_other_keys_are_refused() -> None:
    other = ec.generate_private_key(ec.SECP256R1())
    with pytest.raises(CMPError, match="another kind") as caught:
        PART.verify(spki(other), ED25519, DATA, b"")
    assert caught.value.fail_info is PKIFailureInfo.BAD_ALG
    with pytest.raises(CMPError, match="not an EdDSA key"):
        PART.load_private_key(other.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))
    agreement = x25519.X25519PrivateKey.generate()
    with pytest.raises(CMPError, match="another kind"):
        PART.key_type(agreement.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


@pytest.mark.parametrize("key_type", PART.key_types)
def test_keys_of_another_length_are_refused(key_type: str) -> None:
    info = decode(SubjectPublicKeyInfo, spki(KEYS[key_type]))
    for octets in (b"", b"x", info.subject_public_key.as_bytes() + b"x"):
        broken = encode(SubjectPublicKeyInfo(algorithm=info.algorithm, subject_public_key=BitString(octets, 0)))
        with pytest.raises(CMPError, match="cannot be read") as caught:
            PART.key_type(broken)
        assert caught.value.fail_info is PKIFailureInfo.BAD_CERT_TEMPLATE
    private = encode(PrivateKeyInfo(version=0, algorithm=info.algorithm, private_key=b"\x04\x01x"))
    with pytest.raises(CMPError) as caught:
        PART.load_private_key(private)
    assert caught.value.fail_info is PKIFailureInfo.BAD_DATA_FORMAT


@pytest.mark.parametrize("key_type", PART.key_types)
@given(data=st.data())
def test_damaged_keys_and_signatures_raise_nothing_but_cmp_errors(key_type: str, data: st.DataObject) -> None:
    key = KEYS[key_type]
    whole = [bytearray(spki(key)), bytearray(key.sign(DATA))]
    octets = whole[data.draw(st.integers(0, 1))]
    octets[data.draw(st.integers(0, len(octets) - 1))] ^= data.draw(st.integers(1, 255))
    try:
        accepted = PART.verify(bytes(whole[0]), ALGORITHMS[key_type], DATA, bytes(whole[1]))
    except CMPError:
        accepted = False
    assert accepted is False


def test_what_we_write_others_read() -> None:
    for key_type in PART.key_types:
        key = PART.generate(key_type)
        for pkcs8, password in ((key.to_pkcs8(), None), (key.to_pkcs8(b"pw"), b"pw")):
            read = serialization.load_der_private_key(pkcs8, password)
            assert isinstance(read, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey)
            assert spki(read) == key.public_key_info
