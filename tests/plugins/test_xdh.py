"""X25519 and X448: keys that agree and do not sign, and what RSA and EC keys do besides signing."""

from __future__ import annotations

from typing import Any

import pytest
from cmpkit_signature import EllipticCurveKeys, MontgomeryCurveKeys, RSAKeys
from cryptography.hazmat.primitives.asymmetric import rsa, x448, x25519
from cryptography.hazmat.primitives.serialization import load_der_private_key, load_der_public_key

from cmpkit import oids
from cmpkit.asn1 import AlgorithmIdentifier, BitString, Null, SubjectPublicKeyInfo, decode, encode
from cmpkit.crypto.oaep import OAEPParameters
from cmpkit.crypto.pkcs8 import PrivateKeyInfo
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError
from cmpkit.parts import AgreementKey, KeyAgreement, KeyTransport, TransportKey

XDH, EC, RSA = MontgomeryCurveKeys(), EllipticCurveKeys(), RSAKeys()
AGREEING: list[Any] = [(XDH, "x25519"), (XDH, "x448"), (EC, "p256"), (EC, "brainpoolp384r1")]
OAEP = OAEPParameters().to_algorithm()


@pytest.mark.parametrize(("part", "key_type"), AGREEING)
async def test_both_sides_get_the_same_secret(part: Any, key_type: str) -> None:
    key = part.generate(key_type)
    assert isinstance(part, KeyAgreement)
    assert isinstance(key, AgreementKey)
    ours, secret = part.agree(key.public_key_info)
    assert part.key_type(ours) == key_type
    assert await key.agree(ours) == secret
    assert await part.generate(key_type).agree(ours) != secret


@pytest.mark.parametrize("key_type", XDH.key_types)
async def test_a_key_is_the_same_after_pkcs8(key_type: str) -> None:
    key = XDH.generate(key_type)
    loaded = XDH.load_private_key(key.to_pkcs8())
    assert (loaded.key_type, loaded.public_key_info) == (key_type, key.public_key_info)
    kind = x25519.X25519PrivateKey if key_type == "x25519" else x448.X448PrivateKey
    assert isinstance(load_der_private_key(key.to_pkcs8(b"password"), b"password"), kind)


async def test_keys_of_these_curves_do_not_sign() -> None:
    key = XDH.generate("x25519")
    with pytest.raises(CMPError, match="do not sign") as caught:
        await key.sign(b"data")
    assert caught.value.fail_info is PKIFailureInfo.BAD_ALG
    with pytest.raises(CMPError, match="do not sign"):
        XDH.verify(key.public_key_info, AlgorithmIdentifier(oids.X25519), b"data", b"")
    with pytest.raises(CMPError, match="do not sign"):
        _ = key.signature_algorithm
    assert XDH.cert_hash(AlgorithmIdentifier(oids.X25519)) is None
    assert not XDH.signature_oids


@pytest.mark.parametrize(("part", "key_type"), AGREEING)
async def test_no_secret_is_agreed_on_with_a_key_of_another_curve(part: Any, key_type: str) -> None:
    key = part.generate(key_type)
    for other in ("x25519", "x448", "p384", "ed25519"):
        other_part: Any = XDH if other.startswith("x") else EC
        if other in (key_type, "ed25519"):
            continue
        with pytest.raises(CMPError):
            await key.agree(other_part.generate(other).public_key_info)


async def test_a_key_of_small_order_gives_no_secret() -> None:
    key = XDH.generate("x25519")
    info = decode(SubjectPublicKeyInfo, key.public_key_info)
    zero = encode(SubjectPublicKeyInfo(algorithm=info.algorithm, subject_public_key=BitString(bytes(32), 0)))
    with pytest.raises(CMPError, match="no secret can be agreed on"):
        await key.agree(zero)
    with pytest.raises(CMPError, match="no secret can be agreed on"):
        XDH.agree(zero)


def test_what_is_no_such_key_is_refused() -> None:
    info = decode(SubjectPublicKeyInfo, XDH.generate("x448").public_key_info)
    broken = encode(SubjectPublicKeyInfo(algorithm=info.algorithm, subject_public_key=BitString(b"x", 0)))
    with pytest.raises(CMPError, match="cannot be read") as caught:
        XDH.key_type(broken)
    assert caught.value.fail_info is PKIFailureInfo.BAD_CERT_TEMPLATE
    with pytest.raises(CMPError, match="another kind") as caught:
        XDH.key_type(EC.generate("p256").public_key_info)
    assert caught.value.fail_info is PKIFailureInfo.BAD_ALG
    with pytest.raises(CMPError, match="not an X25519 or X448 key"):
        XDH.load_private_key(EC.generate("p256").to_pkcs8())
    private = encode(PrivateKeyInfo(version=0, algorithm=info.algorithm, private_key=b"\x04\x01x"))
    with pytest.raises(CMPError, match="cannot be read"):
        XDH.load_private_key(private)


@pytest.fixture(scope="module")
def rsa_key() -> Any:
    return RSA.generate("rsa2048")


async def test_rsa_encrypts_by_oaep_with_sha_256(rsa_key: Any) -> None:
    assert isinstance(RSA, KeyTransport)
    assert isinstance(rsa_key, TransportKey)
    algorithm = RSA.transport_algorithm(rsa_key.public_key_info)
    assert OAEPParameters.of(algorithm) == OAEPParameters("sha256", "sha256", b"")
    encrypted = RSA.encrypt(rsa_key.public_key_info, algorithm, b"secret")
    private = load_der_private_key(rsa_key.to_pkcs8(), None)
    assert isinstance(private, rsa.RSAPrivateKey)
    assert private.decrypt(encrypted, OAEPParameters().to_padding()) == b"secret"
    assert await rsa_key.decrypt(algorithm, encrypted) == b"secret"
    with pytest.raises(CMPError, match="cannot be decrypted"):
        await rsa_key.decrypt(algorithm, bytes(256))


@pytest.mark.parametrize(
    "parameters", [OAEPParameters("sha1", "sha1"), OAEPParameters("sha512", "sha256", b"label"), OAEPParameters()]
)
async def test_oaep_parameters_are_kept_on_the_wire(rsa_key: Any, parameters: OAEPParameters) -> None:
    assert OAEPParameters.of(parameters.to_algorithm()) == parameters
    encrypted = RSA.encrypt(rsa_key.public_key_info, parameters.to_algorithm(), b"secret")
    assert await rsa_key.decrypt(parameters.to_algorithm(), encrypted) == b"secret"


def test_absent_oaep_fields_mean_sha_1() -> None:
    assert OAEPParameters.of(AlgorithmIdentifier(oids.RSAES_OAEP, b"\x30\x00")) == OAEPParameters("sha1", "sha1")


@pytest.mark.parametrize(
    "parameters",
    [
        b"\x30\x0f\xa0\x0d\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x0b",  # SHAKE128
        b"\x30\x0f\xa1\x0d\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01",  # a mask that is a hash
        b"\x30\x0f\xa2\x0d\x30\x0b\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01",  # a label from elsewhere
    ],
)
def test_odd_oaep_parameters_are_refused(parameters: bytes) -> None:
    with pytest.raises(CMPError, match="OAEP") as caught:
        OAEPParameters.of(AlgorithmIdentifier(oids.RSAES_OAEP, parameters))
    assert caught.value.fail_info is PKIFailureInfo.BAD_ALG


def test_excessive_oaep_label_is_refused() -> None:
    with pytest.raises(CMPError, match="label of 200 octets"):
        OAEPParameters.of(OAEPParameters(label=bytes(200)).to_algorithm())


async def test_keys_for_pss_only_do_not_encrypt(rsa_key: Any) -> None:
    info = decode(SubjectPublicKeyInfo, rsa_key.public_key_info)
    pss = encode(
        SubjectPublicKeyInfo(algorithm=AlgorithmIdentifier(oids.RSASSA_PSS), subject_public_key=info.subject_public_key)
    )
    with pytest.raises(CMPError, match="PSS") as caught:
        RSA.transport_algorithm(pss)
    assert caught.value.fail_info is PKIFailureInfo.BAD_ALG


async def test_rsa_decrypts_by_no_unknown_algorithm(rsa_key: Any) -> None:
    for algorithm in (AlgorithmIdentifier(oids.SHA256), AlgorithmIdentifier(oids.RSA_ENCRYPTION, b"\x30\x00")):
        with pytest.raises(CMPError, match="do not encrypt by") as caught:
            await rsa_key.decrypt(algorithm, bytes(256))
        assert caught.value.fail_info is PKIFailureInfo.BAD_ALG
    pkcs1 = AlgorithmIdentifier(oids.RSA_ENCRYPTION, Null())
    encrypted = RSA.encrypt(rsa_key.public_key_info, pkcs1, b"secret")
    assert await rsa_key.decrypt(pkcs1, encrypted) == b"secret"
    assert isinstance(load_der_public_key(rsa_key.public_key_info), rsa.RSAPublicKey)
