"""RSA and EC keys, with every hash: signatures of others verify, ours verify elsewhere, weak ones are refused."""

from __future__ import annotations

from typing import Any

import cmpkit_signature
import pytest
from cmpkit_signature import EllipticCurveKeys, RSAKeys
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from pyasn1.codec.der import decoder
from pyasn1_modules import rfc4055

from cmpkit import oids
from cmpkit.asn1 import (
    AlgorithmIdentifier,
    BitString,
    CertificationRequest,
    Null,
    RSASSAPSSParams,
    SubjectPublicKeyInfo,
    decode,
    decode_message,
    encode,
    encode_list,
)
from cmpkit.crypto.digests import digest
from cmpkit.crypto.pkcs8 import PrivateKeyInfo
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError
from cmpkit.plugins import Plugins

DATA = b"data"
RSA, EC = RSAKeys(), EllipticCurveKeys()
RSA_KEY = rsa.generate_private_key(65537, 2048)
OTHER_RSA_KEY = rsa.generate_private_key(65537, 2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())
PKCS1 = {
    "sha224": oids.SHA224_WITH_RSA,
    "sha256": oids.SHA256_WITH_RSA,
    "sha384": oids.SHA384_WITH_RSA,
    "sha512": oids.SHA512_WITH_RSA,
    "sha3_224": oids.SHA3_224_WITH_RSA,
    "sha3_256": oids.SHA3_256_WITH_RSA,
    "sha3_384": oids.SHA3_384_WITH_RSA,
    "sha3_512": oids.SHA3_512_WITH_RSA,
}
ECDSA = {
    "sha224": oids.ECDSA_SHA224,
    "sha256": oids.ECDSA_SHA256,
    "sha384": oids.ECDSA_SHA384,
    "sha512": oids.ECDSA_SHA512,
    "sha3_224": oids.ECDSA_SHA3_224,
    "sha3_256": oids.ECDSA_SHA3_256,
    "sha3_384": oids.ECDSA_SHA3_384,
    "sha3_512": oids.ECDSA_SHA3_512,
    "shake_128": oids.ECDSA_SHAKE128,
    "shake_256": oids.ECDSA_SHAKE256,
}
HASH_OIDS = {"sha224": oids.SHA224, "sha256": oids.SHA256, "sha512": oids.SHA512, "sha3_384": oids.SHA3_384}
HASHES: dict[str, hashes.HashAlgorithm] = {
    "sha1": hashes.SHA1(),
    "sha224": hashes.SHA224(),
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
    "sha3_224": hashes.SHA3_224(),
    "sha3_256": hashes.SHA3_256(),
    "sha3_384": hashes.SHA3_384(),
    "sha3_512": hashes.SHA3_512(),
    "shake_128": hashes.SHAKE128(32),
    "shake_256": hashes.SHAKE256(64),
}
CURVES = (
    *(ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()),
    *(ec.BrainpoolP256R1(), ec.BrainpoolP384R1(), ec.BrainpoolP512R1()),
)

# cr by OpenSSL 3.6.5, signed with P-256: openssl cmp -cmd cr -cert c.pem -key k.pem -newkey k.pem -reqout_only FILE
# and a PKCS#10 request by the same key: openssl req -new -key k.pem
OPENSSL_CR = bytes.fromhex(
    "308201c730818a020102a4133011310f300d06035504030c067369676e6572a40f300d310b300906035504030c024341a011180f3230"
    "3236313132333130313234395aa10c300a06082a8648ce3d040302a21604148efd7b40265d5917f343b30bb11459e242b850e3a41204"
    "100d79e714aa6d919fbaa7bc1e412270a5a5120410b6863623d3a0a507bc88852372e6f128a281ec3081e93081e630818b0201003081"
    "85a3133011310f300d06035504030c067369676e6572a5133011310f300d06035504030c066465762d3432a659301306072a8648ce3d"
    "020106082a8648ce3d0301070342000450e8bcf93b4dc67e59193bca756c0a7b4c639dd3259a31f54c68957684b5c4bb39eac24014fc"
    "eed41374c545ae13f9135f12be078fde25842f8eb7f4cd199198a156300a06082a8648ce3d040302034800304502207240e646d0b979"
    "9e31fcf8985be1aff9d5f8985ef2b5c97f86bd8814364957f2022100d79a8e5b5ad3662a23348106a5beede9381a5b8fad659b85cfb0"
    "f9d0a9e2745ea049034700304402205290d61670721a7c2d169534ad813c900e0e3e00809fd3d8b21f6e5d4175c10202205f869cd6cc"
    "23b9d7bcf60aa8c034208f007d1665b01ba38495ce275e11ac5d6e"
)
OPENSSL_P10 = bytes.fromhex(
    "3081f230819a0201003011310f300d06035504030c066465762d34323059301306072a8648ce3d020106082a8648ce3d030107034200"
    "0450e8bcf93b4dc67e59193bca756c0a7b4c639dd3259a31f54c68957684b5c4bb39eac24014fceed41374c545ae13f9135f12be078f"
    "de25842f8eb7f4cd199198a027302506092a864886f70d01090e3118301630140603551d11040d300b8209612e6578616d706c65300a"
    "06082a8648ce3d0403020347003044022077e672096f9181963f09df76a2aff6ea2a42c776fc4c46999a405f5e20ed47f802201161a0"
    "73af59470bd7421ae039ec24bd7f77d5226a11634fa68355f1ed7bdaaa"
)


def spki(key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def pss_spki(key: rsa.RSAPublicKey, parameters: object = None) -> bytes:
    bits = decode(SubjectPublicKeyInfo, spki(key)).subject_public_key
    algorithm = AlgorithmIdentifier(oids.RSASSA_PSS, parameters)
    return encode(SubjectPublicKeyInfo(algorithm=algorithm, subject_public_key=bits))


def pss(name: str, salt_length: int) -> AlgorithmIdentifier:
    return AlgorithmIdentifier(oids.RSASSA_PSS, RSASSAPSSParams.for_hash(HASH_OIDS[name], salt_length))


def pss_padding(name: str, salt_length: int) -> padding.PSS:
    return padding.PSS(padding.MGF1(HASHES[name]), salt_length)


def refused(part: Any, public_key_info: bytes, algorithm: AlgorithmIdentifier, signature: bytes = b"x") -> CMPError:
    with pytest.raises(CMPError) as caught:
        part.verify(public_key_info, algorithm, DATA, signature)
    return caught.value


def test_the_plugin_brings_each_key_algorithm() -> None:
    plugins = Plugins()
    plugins.add(cmpkit_signature, "signature")
    brainpool = ("brainpoolp256r1", "brainpoolp384r1", "brainpoolp512r1")
    assert plugins.key_types == (
        *("rsa2048", "rsa3072", "rsa4096", "p256", "p384", "p521"),
        *(*brainpool, "ed25519", "ed448", "x25519", "x448"),
    )
    for oid in (*RSA.key_oids, *RSA.signature_oids, *EC.key_oids, *EC.signature_oids):
        assert oid in (*plugins.key_algorithm(oid).key_oids, *plugins.key_algorithm(oid).signature_oids)


@pytest.mark.parametrize("key_type", [*RSA.key_types, *EC.key_types])
async def test_a_generated_key_signs_what_others_verify(key_type: str) -> None:
    part: Any = RSA if key_type.startswith("rsa") else EC
    key = part.generate(key_type)
    assert key.key_type == part.key_type(key.public_key_info) == key_type
    public = serialization.load_der_public_key(key.public_key_info)
    signature = await key.sign(DATA)
    hash_algorithm = HASHES[part.cert_hash(key.signature_algorithm)]
    if isinstance(public, rsa.RSAPublicKey):
        assert f"rsa{public.key_size}" == key_type
        public.verify(signature, DATA, padding.PKCS1v15(), hash_algorithm)
    else:
        assert isinstance(public, ec.EllipticCurvePublicKey)
        public.verify(signature, DATA, ec.ECDSA(hash_algorithm))
    assert part.verify(key.public_key_info, key.signature_algorithm, DATA, signature)
    loaded = part.load_private_key(key.to_pkcs8())
    assert loaded.public_key_info == key.public_key_info
    assert loaded.signature_algorithm == key.signature_algorithm


@pytest.mark.parametrize("parameters", [Null(), None])
@pytest.mark.parametrize("name", PKCS1)
async def test_pkcs1_signatures_of_others_verify(name: str, parameters: object) -> None:
    algorithm = AlgorithmIdentifier(PKCS1[name], parameters)
    signature = RSA_KEY.sign(DATA, padding.PKCS1v15(), HASHES[name])
    public_key_info = spki(RSA_KEY.public_key())
    assert RSA.verify(public_key_info, algorithm, DATA, signature)
    assert not RSA.verify(public_key_info, algorithm, b"other", signature)
    assert not RSA.verify(public_key_info, algorithm, DATA, b"")
    assert not RSA.verify(spki(OTHER_RSA_KEY.public_key()), algorithm, DATA, signature)
    assert RSA.cert_hash(algorithm) == name


@pytest.mark.parametrize("name", ECDSA)
@pytest.mark.parametrize("curve", CURVES, ids=lambda curve: curve.name)
async def test_ecdsa_signatures_of_others_verify(name: str, curve: ec.EllipticCurve) -> None:
    key, algorithm = ec.generate_private_key(curve), AlgorithmIdentifier(ECDSA[name])
    signature = key.sign(digest(name, DATA), ec.ECDSA(Prehashed(HASHES[name])))
    assert EC.verify(spki(key.public_key()), algorithm, DATA, signature)
    assert not EC.verify(spki(key.public_key()), algorithm, b"other", signature)
    assert not EC.verify(spki(EC_KEY.public_key()), algorithm, DATA, signature)
    assert EC.cert_hash(algorithm) == name
    loaded = EC.load_private_key(key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))
    assert EC.verify(spki(key.public_key()), algorithm, DATA, await loaded.sign(DATA, algorithm))


@pytest.mark.parametrize("salt_length", [0, 20, 32, 150])
@pytest.mark.parametrize("name", HASH_OIDS)
async def test_pss_signatures_of_others_verify(name: str, salt_length: int) -> None:
    algorithm = pss(name, salt_length)
    signature = RSA_KEY.sign(DATA, pss_padding(name, salt_length), HASHES[name])
    for public_key_info in (spki(RSA_KEY.public_key()), pss_spki(RSA_KEY.public_key())):
        assert RSA.verify(public_key_info, algorithm, DATA, signature)
        assert not RSA.verify(public_key_info, algorithm, b"other", signature)
        assert RSA.key_type(public_key_info) == "rsa2048"
    assert not RSA.verify(spki(RSA_KEY.public_key()), pss(name, salt_length + 1), DATA, signature)
    assert RSA.cert_hash(algorithm) == name
    key = RSA.load_private_key(RSA_KEY.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))
    RSA_KEY.public_key().verify(await key.sign(DATA, algorithm), DATA, pss_padding(name, salt_length), HASHES[name])


def pss_pkcs8(parameters: object = None) -> bytes:
    plain = decode(PrivateKeyInfo, RSA_KEY.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))
    algorithm = AlgorithmIdentifier(oids.RSASSA_PSS, parameters)
    return encode(PrivateKeyInfo(version=0, algorithm=algorithm, private_key=plain.private_key))


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [(None, pss("sha256", 32)), (RSASSAPSSParams.for_hash(oids.SHA3_384, 40), pss("sha3_384", 40))],
)
async def test_a_key_marked_for_pss_keeps_its_mark_and_signs_by_pss(
    parameters: object, expected: AlgorithmIdentifier
) -> None:
    key = RSA.load_private_key(pss_pkcs8(parameters))
    assert key.signature_algorithm == expected
    assert key.public_key_info == pss_spki(RSA_KEY.public_key(), parameters)
    assert RSA.verify(key.public_key_info, expected, DATA, await key.sign(DATA))
    assert key.to_pkcs8() == pss_pkcs8(parameters)
    assert isinstance(serialization.load_der_private_key(key.to_pkcs8(b"pw"), b"pw"), rsa.RSAPrivateKey)
    with pytest.raises(CMPError) as caught:
        await key.sign(DATA, AlgorithmIdentifier(oids.SHA256_WITH_RSA, Null()))
    assert caught.value.fail_info is PKIFailureInfo.BAD_ALG


def test_a_key_restricted_to_pss_parameters_verifies_by_no_others() -> None:
    restricted = pss_spki(RSA_KEY.public_key(), RSASSAPSSParams.for_hash(oids.SHA256, 32))

    def signature(name: str, salt_length: int) -> bytes:
        return RSA_KEY.sign(DATA, pss_padding(name, salt_length), HASHES[name])

    for salt_length in (32, 64):
        assert RSA.verify(restricted, pss("sha256", salt_length), DATA, signature("sha256", salt_length))
    for name, salt_length in (("sha256", 31), ("sha512", 48)):
        error = refused(RSA, restricted, pss(name, salt_length), signature(name, salt_length))
        assert error.fail_info is PKIFailureInfo.BAD_ALG
        assert "restricted" in error.detail
    assert refused(RSA, restricted, AlgorithmIdentifier(oids.SHA256_WITH_RSA, Null())).fail_info


SHA256 = AlgorithmIdentifier(oids.SHA256, Null())
SHA512 = AlgorithmIdentifier(oids.SHA512, Null())
MGF_SHA256 = AlgorithmIdentifier(oids.MGF1, SHA256)


@pytest.mark.parametrize(
    "parameters",
    [
        pytest.param(None, id="absent"),
        pytest.param(RSASSAPSSParams(hash_algorithm=SHA256), id="default MGF1 with SHA-1"),
        pytest.param(RSASSAPSSParams(hash_algorithm=SHA512, mask_gen_algorithm=MGF_SHA256), id="other hash in MGF1"),
        pytest.param(RSASSAPSSParams(mask_gen_algorithm=MGF_SHA256), id="default hash SHA-1"),
        pytest.param(RSASSAPSSParams(), id="all defaults, SHA-1"),
        pytest.param(RSASSAPSSParams(hash_algorithm=SHA256, mask_gen_algorithm=SHA256), id="no MGF1"),
        pytest.param(
            RSASSAPSSParams(hash_algorithm=SHA256, mask_gen_algorithm=AlgorithmIdentifier(oids.MGF1)),
            id="MGF1 without hash",
        ),
        pytest.param(
            RSASSAPSSParams(hash_algorithm=AlgorithmIdentifier(oids.PBKDF2), mask_gen_algorithm=MGF_SHA256),
            id="unknown hash",
        ),
        pytest.param(
            RSASSAPSSParams(hash_algorithm=AlgorithmIdentifier(oids.SHAKE128), mask_gen_algorithm=MGF_SHA256),
            id="SHAKE, which has no MGF1",
        ),
        pytest.param(
            RSASSAPSSParams(hash_algorithm=SHA256, mask_gen_algorithm=MGF_SHA256, trailer_field=2), id="other trailer"
        ),
        pytest.param(
            RSASSAPSSParams(hash_algorithm=SHA256, mask_gen_algorithm=MGF_SHA256, salt_length=-1), id="negative salt"
        ),
        pytest.param(RSASSAPSSParams.for_hash(oids.SHA256, 223), id="salt that does not fit"),
        pytest.param(RSASSAPSSParams.for_hash(oids.SHA256, 1 << 70), id="endless salt"),
    ],
)
async def test_pss_parameters_that_are_not_accepted_are_bad_alg(parameters: object) -> None:
    algorithm = AlgorithmIdentifier(oids.RSASSA_PSS, parameters)
    assert refused(RSA, spki(RSA_KEY.public_key()), algorithm).fail_info is PKIFailureInfo.BAD_ALG
    key = RSA.load_private_key(RSA_KEY.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(CMPError) as caught:
        await key.sign(DATA, algorithm)
    assert caught.value.fail_info is PKIFailureInfo.BAD_ALG


@pytest.mark.parametrize(
    ("oid", "hash_name"), [(oids.RSASSA_PSS_SHAKE128, "shake_128"), (oids.RSASSA_PSS_SHAKE256, "shake_256")]
)
async def test_pss_with_shake_is_said_to_be_unavailable_and_names_its_hash(oid: Any, hash_name: str) -> None:
    algorithm = AlgorithmIdentifier(oid)
    error = refused(RSA, spki(RSA_KEY.public_key()), algorithm)
    assert error.fail_info is PKIFailureInfo.BAD_ALG
    assert "SHAKE is not available" in error.detail
    assert RSA.cert_hash(algorithm) == hash_name


def test_the_longest_salt_that_fits_is_accepted() -> None:
    signature = RSA_KEY.sign(DATA, pss_padding("sha256", 222), hashes.SHA256())
    assert RSA.verify(spki(RSA_KEY.public_key()), pss("sha256", 222), DATA, signature)


def test_our_pss_parameters_are_read_by_pyasn1() -> None:
    algorithm = RSA.load_private_key(pss_pkcs8()).signature_algorithm
    assert algorithm.parameters is not None
    read, _ = decoder.decode(encode(algorithm.parameters), asn1Spec=rfc4055.RSASSA_PSS_params())
    assert str(read["hashAlgorithm"]["algorithm"]) == oids.SHA256.dotted_string
    assert str(read["maskGenAlgorithm"]["algorithm"]) == oids.MGF1.dotted_string
    assert read["saltLength"] == 32


@pytest.mark.parametrize(
    ("part", "key", "algorithm"),
    [
        (RSA, RSA_KEY, AlgorithmIdentifier(oids.SHA1_WITH_RSA, Null())),
        (EC, EC_KEY, AlgorithmIdentifier(oids.ECDSA_SHA1)),
    ],
)
async def test_sha1_signatures_are_refused_with_a_hint(part: Any, key: Any, algorithm: AlgorithmIdentifier) -> None:
    scheme = (padding.PKCS1v15(), hashes.SHA1()) if part is RSA else (ec.ECDSA(hashes.SHA1()),)
    error = refused(part, spki(key.public_key()), algorithm, key.sign(DATA, *scheme))
    assert error.fail_info is PKIFailureInfo.BAD_ALG
    assert "SHA-1" in error.detail
    assert "SHA-256" in error.hint
    assert part.cert_hash(algorithm) == "sha1"


@pytest.mark.parametrize(
    ("part", "key", "algorithm"),
    [
        (EC, EC_KEY, AlgorithmIdentifier(oids.ECDSA_SHA256, Null())),
        (EC, EC_KEY, AlgorithmIdentifier(oids.SHA256_WITH_RSA, Null())),
        (RSA, RSA_KEY, AlgorithmIdentifier(oids.SHA256_WITH_RSA, 5)),
        (RSA, RSA_KEY, AlgorithmIdentifier(oids.ECDSA_SHA256)),
        (EC, RSA_KEY, AlgorithmIdentifier(oids.ECDSA_SHA256)),
        (RSA, EC_KEY, AlgorithmIdentifier(oids.SHA256_WITH_RSA, Null())),
    ],
)
async def test_algorithms_that_do_not_fit_key_or_parameters_are_bad_alg(
    part: Any, key: Any, algorithm: AlgorithmIdentifier
) -> None:
    assert refused(part, spki(key.public_key()), algorithm).fail_info is PKIFailureInfo.BAD_ALG


def test_ec_keys_on_other_curves_are_bad_alg() -> None:
    for curve in (ec.SECP224R1(), ec.SECP256K1()):
        key = ec.generate_private_key(curve)
        with pytest.raises(CMPError, match=curve.name) as caught:
            EC.key_type(spki(key.public_key()))
        assert caught.value.fail_info is PKIFailureInfo.BAD_ALG
        assert "p256" in caught.value.hint
        with pytest.raises(CMPError):
            EC.load_private_key(key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption()))


def rsa_info(modulus: int, exponent: int = 65537) -> bytes:
    """DER of a SubjectPublicKeyInfo, also with numbers that cryptography would not write."""
    key = encode_list([modulus, exponent])
    algorithm = AlgorithmIdentifier(oids.RSA_ENCRYPTION, Null())
    return encode(SubjectPublicKeyInfo(algorithm=algorithm, subject_public_key=BitString(key, 0)))


@pytest.mark.parametrize("bits", [1024, 2047, 16385])
def test_rsa_sizes_beyond_the_limits_are_bad_alg(bits: int) -> None:
    with pytest.raises(CMPError, match=f"{bits} bits") as caught:
        RSA.key_type(rsa_info((1 << bits) - 1))
    assert caught.value.fail_info is PKIFailureInfo.BAD_ALG
    assert "2048 to 16384" in caught.value.hint


@pytest.mark.parametrize("bits", [2048, 2560, 16384])
def test_rsa_sizes_within_the_limits_are_named(bits: int) -> None:
    assert RSA.key_type(rsa_info((1 << bits) - 1)) == f"rsa{bits}"


@pytest.mark.parametrize("exponent", [(1 << 32) + 1, (1 << 64) + 1])
def test_unusual_exponents_are_refused(exponent: int) -> None:
    with pytest.raises(CMPError) as caught:
        RSA.key_type(rsa_info((1 << 2048) - 1, exponent))
    assert caught.value.fail_info is PKIFailureInfo.BAD_ALG
    assert "65537" in caught.value.hint


@pytest.mark.parametrize("exponent", [-1, 0, 1, 2, 4, 1 << 32])
def test_impossible_exponents_are_refused(exponent: int) -> None:
    with pytest.raises(CMPError) as caught:
        RSA.key_type(rsa_info((1 << 2048) - 1, exponent))
    assert caught.value.fail_info is PKIFailureInfo.BAD_CERT_TEMPLATE


def test_small_exponents_are_accepted() -> None:
    assert RSA.key_type(rsa_info((1 << 2048) - 1, 3)) == "rsa2048"
    assert RSA.key_type(rsa_info((1 << 2048) - 1, (1 << 32) - 1)) == "rsa2048"


@pytest.mark.parametrize(("part", "key"), [(RSA, RSA_KEY), (EC, EC_KEY)])
def test_a_key_that_cannot_be_read_is_bad_cert_template(part: Any, key: Any) -> None:
    algorithm = decode(SubjectPublicKeyInfo, spki(key.public_key())).algorithm
    for octets in (b"", b"\x04" + bytes(64), b"\x30\x00"):
        broken = encode(SubjectPublicKeyInfo(algorithm=algorithm, subject_public_key=BitString(octets, 0)))
        with pytest.raises(CMPError, match="cannot be read") as caught:
            part.key_type(broken)
        assert caught.value.fail_info is PKIFailureInfo.BAD_CERT_TEMPLATE


@pytest.mark.parametrize(("part", "other"), [(RSA, EC_KEY), (EC, RSA_KEY)])
def test_private_keys_that_cannot_be_read_are_bad_data_format(part: Any, other: Any) -> None:
    wrong_kind = other.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    info = decode(PrivateKeyInfo, wrong_kind)
    broken = encode(PrivateKeyInfo(version=0, algorithm=info.algorithm, private_key=b"x"))
    for pkcs8 in (wrong_kind, broken):
        with pytest.raises(CMPError) as caught:
            part.load_private_key(pkcs8)
        assert caught.value.fail_info is PKIFailureInfo.BAD_DATA_FORMAT


@pytest.mark.parametrize(("part", "key"), [(RSA, RSA_KEY), (EC, EC_KEY)])
@given(data=st.data())
def test_damaged_keys_raise_nothing_but_cmp_errors(part: Any, key: Any, data: st.DataObject) -> None:
    octets = bytearray(spki(key.public_key()))
    octets[data.draw(st.integers(0, len(octets) - 1))] ^= data.draw(st.integers(1, 255))
    algorithm = (
        AlgorithmIdentifier(oids.SHA256_WITH_RSA, Null()) if part is RSA else AlgorithmIdentifier(oids.ECDSA_SHA256)
    )
    try:
        accepted = part.verify(bytes(octets), algorithm, DATA, bytes(256))
    except CMPError:
        accepted = False
    assert accepted is False


def test_a_message_and_a_request_of_openssl_verify() -> None:
    message = decode_message(OPENSSL_CR)
    [wanted] = message.body.content
    public_key_info = encode(wanted.request.cert_template.public_key)
    assert message.protection is not None
    assert message.header.protection_alg is not None
    assert EC.verify(public_key_info, message.header.protection_alg, message.protected_part, message.protection)
    proof = wanted.popo.value
    assert EC.verify(public_key_info, proof.algorithm_identifier, encode(wanted.cert_req), proof.signature.as_bytes())
    request = decode(CertificationRequest, OPENSSL_P10)
    signed = encode(request.certification_request_info)
    assert EC.verify(public_key_info, request.signature_algorithm, signed, request.signature.as_bytes())
