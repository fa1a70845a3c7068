"""Contents for one recipient: every technique, what is refused before work, and one failure for the rest."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import padding, x25519
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap
from cryptography.hazmat.primitives.serialization import load_der_private_key
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pki import PKI

from cmpkit import oids
from cmpkit.asn1 import (
    AlgorithmIdentifier,
    EncryptedContentInfo,
    EnvelopedData,
    IssuerAndSerialNumber,
    KeyAgreeRecipientInfo,
    KeyTransRecipientInfo,
    Null,
    OriginatorPublicKey,
    PasswordRecipientInfo,
    PBKDF2Params,
    RecipientEncryptedKey,
    SetOf,
    Variant,
    decode,
    encode,
    to_tlv,
)
from cmpkit.crypto.enveloping import (
    TOLERATE_RSA_PKCS1,
    TOLERATE_SHA1,
    KeyRecipient,
    PasswordRecipient,
    envelop,
    open_envelope,
    password,
)
from cmpkit.crypto.oaep import OAEPParameters
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError
from cmpkit.parts import PrivateKey, SharedSecret
from cmpkit.plugins import Plugins

SECRET = SharedSecret("device-1", "a shared secret")
KEY_TYPES = ("rsa2048", "p256", "p384", "p521", "brainpoolp256r1", "x25519", "x448")
CONTENT = b"\x04\x0ba plaintext"


@pytest.fixture(autouse=True)
def _quick_derivations(monkeypatch: pytest.MonkeyPatch) -> None:
    """How slow a password is tried is not what these tests are about."""
    monkeypatch.setattr(password, "_OWN_ITERATIONS", 1000)


def read(content: bytes) -> bytes:
    """What only the right key gives: DER of an OCTET STRING."""
    return decode(bytes, content)


@pytest.fixture(scope="module")
def keys(plugins: Plugins) -> dict[str, PrivateKey]:
    """One key of each type that content is encrypted to, and of one that it is not."""
    return {name: plugins.key_algorithm(name).generate(name) for name in (*KEY_TYPES, "ed25519")}


def recipient_of(enveloped: EnvelopedData) -> Any:
    """The value of the one RecipientInfo."""
    (info,) = enveloped.recipient_infos.as_list()
    return info.value


def with_recipient(enveloped: EnvelopedData, **changes: Any) -> EnvelopedData:
    """The same with other fields in its RecipientInfo."""
    (info,) = enveloped.recipient_infos.as_list()
    return with_field(enveloped, recipient_infos=SetOf([Variant(with_field(info.value, **changes), info.tag)]))


def with_field(value: Any, **changes: Any) -> Any:
    """The same value of a declared class with other fields."""
    return type(value)(**{**value.__dict__, **changes})


@pytest.mark.parametrize("size", [16, 24, 32])
@pytest.mark.parametrize("key_type", KEY_TYPES)
async def test_content_for_a_key_is_opened_by_that_key_only(
    plugins: Plugins, keys: dict[str, PrivateKey], key_type: str, size: int
) -> None:
    key = keys[key_type]
    enveloped = await envelop(CONTENT, KeyRecipient.of_key(key.public_key_info), plugins=plugins, key_size=size)
    again = decode(EnvelopedData, encode(enveloped))
    assert enveloped.version == 2
    assert await open_envelope(again, key, read=read) == read(CONTENT)
    for other in (plugins.key_algorithm("p256").generate("p256"), keys["ed25519"], SECRET):
        with pytest.raises(CMPError, match="cannot be decrypted"):
            await open_envelope(again, other, read=read)


@pytest.mark.parametrize("size", [16, 32])
@pytest.mark.parametrize("by_pwri_kek", [False, True])
async def test_content_for_a_secret_is_opened_by_that_secret_only(
    plugins: Plugins, keys: dict[str, PrivateKey], *, size: int, by_pwri_kek: bool
) -> None:
    recipient = PasswordRecipient(SECRET, by_pwri_kek=by_pwri_kek)
    enveloped = await envelop(CONTENT, recipient, plugins=plugins, key_size=size)
    assert (enveloped.version, recipient_of(enveloped).version) == (3, 0)
    assert await open_envelope(enveloped, SECRET, read=read) == read(CONTENT)
    for other in (SharedSecret("device-1", "another"), keys["p256"]):
        with pytest.raises(CMPError, match="cannot be decrypted"):
            await open_envelope(enveloped, other, read=read)


async def test_password_has_the_version_that_rfc_9483_prints_accepted(plugins: Plugins) -> None:
    enveloped = await envelop(CONTENT, PasswordRecipient(SECRET), plugins=plugins)
    assert await open_envelope(with_field(enveloped, version=0), SECRET, read=read) == read(CONTENT)


async def test_each_content_has_its_own_key_salt_and_initialisation_vector(plugins: Plugins) -> None:
    first, second = [await envelop(CONTENT, PasswordRecipient(SECRET), plugins=plugins) for _ in range(2)]
    salts = [recipient_of(one).key_derivation_algorithm.parse(PBKDF2Params).salt.value for one in (first, second)]
    assert salts[0] != salts[1]
    assert recipient_of(first).encrypted_key != recipient_of(second).encrypted_key
    contents = [one.encrypted_content_info for one in (first, second)]
    assert contents[0].content_encryption_algorithm != contents[1].content_encryption_algorithm


@pytest.mark.rule("R-172")
async def test_password_recipient_is_pbkdf2_and_aes_key_wrap(plugins: Plugins) -> None:
    """Opened by the primitives alone, as RFC 9483 section 4.1.6.3 says."""
    enveloped = await envelop(CONTENT, PasswordRecipient(SECRET), plugins=plugins)
    info = recipient_of(enveloped)
    params = info.key_derivation_algorithm.parse(PBKDF2Params)
    assert info.key_encryption_algorithm == AlgorithmIdentifier(oids.AES256_WRAP)
    wrapping = hashlib.pbkdf2_hmac("sha256", SECRET.value, params.salt.value, params.iteration_count, 32)
    content_key = aes_key_unwrap(wrapping, info.encrypted_key)
    content = enveloped.encrypted_content_info
    iv = content.content_encryption_algorithm.parse(bytes)
    decryptor = Cipher(algorithms.AES(content_key), modes.CBC(iv)).decryptor()
    assert content.encrypted_content is not None
    assert decryptor.update(content.encrypted_content) == CONTENT + bytes([3] * 3)


async def test_x25519_recipient_is_hkdf_over_the_shared_info(plugins: Plugins, keys: dict[str, PrivateKey]) -> None:
    """RFC 8418 section 2.2, computed here with HMAC alone: no OpenSSL does it for X25519."""
    key = keys["x25519"]
    enveloped = await envelop(CONTENT, KeyRecipient.of_key(key.public_key_info), plugins=plugins, key_size=16)
    info = recipient_of(enveloped)
    assert info.key_encryption_algorithm.algorithm == oids.STD_DH_HKDF_SHA256
    private: Any = load_der_private_key(key.to_pkcs8(), None)
    other = x25519.X25519PublicKey.from_public_bytes(info.originator.value.public_key.as_bytes())
    shared_info = bytes.fromhex("3015300b0609608648016503040105a206040400000080")
    extracted = hmac.digest(bytes(32), private.exchange(other), "sha256")
    wrapping = hmac.digest(extracted, shared_info + b"\x01", "sha256")[:16]
    assert len(aes_key_unwrap(wrapping, info.recipient_encrypted_keys[0].encrypted_key)) == 16


@pytest.mark.parametrize(
    ("key_type", "scheme"),
    [
        ("p256", oids.STD_DH_SHA256_KDF),
        ("p384", oids.STD_DH_SHA384_KDF),
        ("p521", oids.STD_DH_SHA512_KDF),
        ("x25519", oids.STD_DH_HKDF_SHA256),
        ("x448", oids.STD_DH_HKDF_SHA512),
    ],
)
@pytest.mark.rule("R-176")
async def test_key_derivation_is_as_strong_as_the_curve(
    plugins: Plugins, keys: dict[str, PrivateKey], key_type: str, scheme: object
) -> None:
    enveloped = await envelop(CONTENT, KeyRecipient.of_key(keys[key_type].public_key_info), plugins=plugins)
    assert recipient_of(enveloped).key_encryption_algorithm.algorithm == scheme


def certificate(pki: PKI, key: PrivateKey, *usages: str, identifier: bool = True) -> bytes:
    """A certificate for a key with these keyUsages; none leaves the extension out."""
    names = ("digitalSignature", "contentCommitment", "keyEncipherment", "dataEncipherment", "keyAgreement")
    extensions: list[x509.ExtensionType] = []
    if usages:
        bits = [name in usages for name in (*names, "keyCertSign", "cRLSign", "encipherOnly", "decipherOnly")]
        extensions.append(x509.KeyUsage(*bits))
    if identifier:
        extensions.append(x509.SubjectKeyIdentifier(b"identifier of the key"))
    return pki.certificate(
        "device",
        "ca",
        key=load_der_private_key(key.to_pkcs8(), None),
        extensions=[(item, False) for item in extensions],
    )


@pytest.mark.rule("R-172")
async def test_technique_follows_from_key_and_key_usage(
    pki: PKI, plugins: Plugins, keys: dict[str, PrivateKey]
) -> None:
    def serve(key_type: str, *usages: str) -> KeyRecipient:
        return KeyRecipient.of_certificate(certificate(pki, keys[key_type], *usages))

    for recipient, technique in [
        (serve("rsa2048"), KeyTransRecipientInfo),
        (serve("rsa2048", "digitalSignature", "keyEncipherment"), KeyTransRecipientInfo),
        (serve("p256"), KeyAgreeRecipientInfo),
        (serve("p256", "digitalSignature", "keyAgreement"), KeyAgreeRecipientInfo),
    ]:
        assert isinstance(recipient_of(await envelop(CONTENT, recipient, plugins=plugins)), technique)
    for recipient in (serve("rsa2048", "digitalSignature"), serve("p256", "digitalSignature"), serve("ed25519")):
        with pytest.raises(CMPError, match="nothing can be encrypted") as refused:
            await envelop(CONTENT, recipient, plugins=plugins)
        assert refused.value.fail_info is PKIFailureInfo.BAD_ALG


@pytest.mark.parametrize("key_type", ["rsa2048", "p256"])
async def test_recipient_is_named_by_key_identifier_or_by_certificate(
    pki: PKI, plugins: Plugins, keys: dict[str, PrivateKey], key_type: str
) -> None:
    key = keys[key_type]
    by_key = KeyRecipient.of_certificate(certificate(pki, key))
    by_certificate = KeyRecipient.of_certificate(certificate(pki, key, identifier=False))
    assert by_key.identifier == b"identifier of the key"
    assert isinstance(by_certificate.identifier, IssuerAndSerialNumber)
    for recipient in (by_key, by_certificate):
        enveloped = await envelop(CONTENT, recipient, plugins=plugins)
        assert await open_envelope(enveloped, key, read=read) == read(CONTENT)
    assert recipient_of(await envelop(CONTENT, by_certificate, plugins=plugins)).version == (
        0 if key_type != "p256" else 3
    )


async def refuse(enveloped: EnvelopedData, key: Any, match: str, **options: Any) -> PKIFailureInfo:
    """Why the content is not opened."""
    with pytest.raises(CMPError, match=match) as refused:
        await open_envelope(enveloped, key, read=read, **options)
    return refused.value.fail_info


async def test_pkcs1_padding_needs_a_tolerance_and_then_fails_as_everything_does(
    plugins: Plugins, keys: dict[str, PrivateKey]
) -> None:
    key = keys["rsa2048"]
    enveloped = await envelop(CONTENT, KeyRecipient.of_key(key.public_key_info), plugins=plugins)
    content_key = await key.decrypt(  # type: ignore[attr-defined]
        recipient_of(enveloped).key_encryption_algorithm, recipient_of(enveloped).encrypted_key
    )
    private: Any = load_der_private_key(key.to_pkcs8(), None)
    old = with_recipient(
        enveloped,
        key_encryption_algorithm=AlgorithmIdentifier(oids.RSA_ENCRYPTION, Null()),
        encrypted_key=private.public_key().encrypt(content_key, padding.PKCS1v15()),
    )
    assert await refuse(old, key, "PKCS#1 v1.5") is PKIFailureInfo.BAD_ALG
    tolerant = frozenset({TOLERATE_RSA_PKCS1})
    assert await open_envelope(old, key, read=read, tolerances=tolerant) == read(CONTENT)
    for broken in (bytes(256), private.public_key().encrypt(b"short", padding.PKCS1v15()), b"\x01"):
        failure = await refuse(
            with_recipient(old, encrypted_key=broken),
            key,
            "^the encrypted content cannot be decrypted",
            tolerances=tolerant,
        )
        assert failure is PKIFailureInfo.BAD_DATA_FORMAT


async def test_sha1_in_oaep_key_derivation_and_pbkdf2_needs_a_tolerance(
    plugins: Plugins, keys: dict[str, PrivateKey]
) -> None:
    rsa = await envelop(CONTENT, KeyRecipient.of_key(keys["rsa2048"].public_key_info), plugins=plugins)
    ec = await envelop(CONTENT, KeyRecipient.of_key(keys["p256"].public_key_info), plugins=plugins)
    secret = await envelop(CONTENT, PasswordRecipient(SECRET), plugins=plugins)
    wrap = AlgorithmIdentifier(oids.AES256_WRAP)
    kdf = PBKDF2Params(salt=Variant(b"salt", "specified"), iteration_count=1)
    for enveloped, key in [
        (with_recipient(rsa, key_encryption_algorithm=OAEPParameters("sha1", "sha1").to_algorithm()), keys["rsa2048"]),
        (with_recipient(ec, key_encryption_algorithm=AlgorithmIdentifier(oids.STD_DH_SHA1_KDF, wrap)), keys["p256"]),
        (with_recipient(secret, key_derivation_algorithm=AlgorithmIdentifier(oids.PBKDF2, kdf)), SECRET),
    ]:
        assert await refuse(enveloped, key, "SHA-1|SHA1") is PKIFailureInfo.BAD_ALG
        failure = await refuse(enveloped, key, "cannot be decrypted", tolerances=frozenset({TOLERATE_SHA1}))
        assert failure is PKIFailureInfo.BAD_DATA_FORMAT


def pbkdf2(**changes: Any) -> AlgorithmIdentifier:
    """A keyDerivationAlgorithm that is accepted, but for the changes."""
    fields: dict[str, Any] = {
        "salt": Variant(b"salt", "specified"),
        "iteration_count": 1000,
        "prf": AlgorithmIdentifier(oids.HMAC_SHA256, Null()),
    }
    return AlgorithmIdentifier(oids.PBKDF2, PBKDF2Params(**{**fields, **changes}))


@pytest.mark.parametrize(
    "derivation",
    [
        None,
        AlgorithmIdentifier(oids.SHA256),
        pbkdf2(iteration_count=0),
        pbkdf2(iteration_count=300_001),
        pbkdf2(iteration_count=1 << 70),
        pbkdf2(salt=Variant(b"", "specified")),
        pbkdf2(salt=Variant(bytes(129), "specified")),
        pbkdf2(salt=Variant(to_tlv(AlgorithmIdentifier(oids.SHA256)), "other_source")),
        pbkdf2(key_length=16),
        pbkdf2(prf=AlgorithmIdentifier(oids.SHA256)),
    ],
)
async def test_password_derivation_beyond_its_limits_is_refused_before_work(
    plugins: Plugins, derivation: AlgorithmIdentifier | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    enveloped = await envelop(CONTENT, PasswordRecipient(SECRET), plugins=plugins)
    monkeypatch.setattr(hashlib, "pbkdf2_hmac", lambda *_: pytest.fail("work was done"))
    refused = with_recipient(enveloped, key_derivation_algorithm=derivation)
    assert await refuse(refused, SECRET, "PBKDF2") is PKIFailureInfo.BAD_ALG


def pwri_kek(password: bytes, content_key: bytes) -> PasswordRecipientInfo:
    """A PasswordRecipientInfo as RFC 3211 section 2.3.1 makes it."""
    kek, iv = hashlib.pbkdf2_hmac("sha256", password, b"salt", 1000, 16), bytes(range(16))
    block = bytes([len(content_key), *(octet ^ 0xFF for octet in content_key[:3])]) + content_key
    block += bytes(-len(block) % 16)
    once = Cipher(algorithms.AES(kek), modes.CBC(iv)).encryptor().update(block)
    twice = Cipher(algorithms.AES(kek), modes.CBC(once[-16:])).encryptor().update(once)
    cipher = AlgorithmIdentifier(oids.AES128_CBC, encode(iv))
    return PasswordRecipientInfo(
        version=0,
        key_derivation_algorithm=pbkdf2(),
        key_encryption_algorithm=AlgorithmIdentifier(oids.PWRI_KEK, cipher),
        encrypted_key=twice,
    )


async def test_classic_password_wrap_is_opened(plugins: Plugins) -> None:
    content_key = bytes(range(100, 132))
    iv = bytes(16)
    encrypted = Cipher(algorithms.AES(content_key), modes.CBC(iv)).encryptor().update(CONTENT + bytes([3] * 3))
    info = pwri_kek(SECRET.value, content_key)
    enveloped = EnvelopedData(
        version=3,
        recipient_infos=SetOf([Variant(info, "pwri")]),
        encrypted_content_info=EncryptedContentInfo(
            content_type=oids.DATA,
            content_encryption_algorithm=AlgorithmIdentifier(oids.AES256_CBC, encode(iv)),
            encrypted_content=encrypted,
        ),
    )
    assert await open_envelope(enveloped, SECRET, read=read) == read(CONTENT)
    await refuse(enveloped, SharedSecret("device-1", "another"), "cannot be decrypted")
    for broken in (b"", bytes(16), bytes(47), bytes(48)):
        await refuse(with_recipient(enveloped, encrypted_key=broken), SECRET, "cannot be decrypted")


@pytest.mark.parametrize(
    "change",
    [
        lambda one: with_field(one, version=4),
        lambda one: with_field(one, recipient_infos=SetOf([*one.recipient_infos.as_list()] * 2)),
        lambda one: with_field(
            one, encrypted_content_info=with_field(one.encrypted_content_info, encrypted_content=None)
        ),
        lambda one: with_recipient(one, version=7),
        lambda one: with_recipient(one, ukm=bytes(2000)),
        lambda one: with_recipient(one, recipient_encrypted_keys=[*recipient_of(one).recipient_encrypted_keys] * 2),
        lambda one: with_recipient(
            one,
            recipient_encrypted_keys=[
                RecipientEncryptedKey(rid=recipient_of(one).recipient_encrypted_keys[0].rid, encrypted_key=bytes(100))
            ],
        ),
    ],
)
@pytest.mark.rule("R-171")
async def test_structure_that_rfc_9810_does_not_allow_is_refused(
    plugins: Plugins, keys: dict[str, PrivateKey], change: Callable[[EnvelopedData], EnvelopedData]
) -> None:
    enveloped = await envelop(CONTENT, KeyRecipient.of_key(keys["p256"].public_key_info), plugins=plugins)
    assert await refuse(change(enveloped), keys["p256"], "^encrypted content: ") is PKIFailureInfo.BAD_DATA_FORMAT


@pytest.mark.parametrize(
    "change",
    [
        lambda one: with_recipient(one, originator=Variant(b"key identifier", "subject_key_identifier")),
        lambda one: with_recipient(one, key_encryption_algorithm=AlgorithmIdentifier(oids.SHA256)),
        lambda one: with_recipient(
            one,
            key_encryption_algorithm=AlgorithmIdentifier(oids.STD_DH_SHA256_KDF, AlgorithmIdentifier(oids.SHA256)),
        ),
        lambda one: with_field(
            one,
            encrypted_content_info=with_field(
                one.encrypted_content_info, content_encryption_algorithm=AlgorithmIdentifier(oids.SHA256)
            ),
        ),
        lambda one: with_field(
            one,
            recipient_infos=SetOf(
                [
                    Variant(
                        KeyTransRecipientInfo(
                            version=2,
                            rid=Variant(b"", "subject_key_identifier"),
                            key_encryption_algorithm=AlgorithmIdentifier(oids.SHA256),
                            encrypted_key=b"",
                        ),
                        "ktri",
                    )
                ]
            ),
        ),
    ],
)
async def test_unknown_algorithm_is_named(
    plugins: Plugins, keys: dict[str, PrivateKey], change: Callable[[EnvelopedData], EnvelopedData]
) -> None:
    enveloped = await envelop(CONTENT, KeyRecipient.of_key(keys["p256"].public_key_info), plugins=plugins)
    assert await refuse(change(enveloped), keys["p256"], "^encrypted content: ") is PKIFailureInfo.BAD_ALG


async def test_originator_key_without_parameters_is_on_our_curve(plugins: Plugins, keys: dict[str, PrivateKey]) -> None:
    enveloped = await envelop(CONTENT, KeyRecipient.of_key(keys["p384"].public_key_info), plugins=plugins)
    sent = recipient_of(enveloped).originator.value
    bare = OriginatorPublicKey(algorithm=AlgorithmIdentifier(oids.EC_PUBLIC_KEY), public_key=sent.public_key)
    enveloped = with_recipient(enveloped, originator=Variant(bare, "originator_key"))
    assert await open_envelope(enveloped, keys["p384"], read=read) == read(CONTENT)


async def test_content_that_is_not_what_it_should_be_fails_as_a_wrong_key_does(
    plugins: Plugins, keys: dict[str, PrivateKey]
) -> None:
    enveloped = await envelop(b"no DER", KeyRecipient.of_key(keys["p256"].public_key_info), plugins=plugins)
    await refuse(enveloped, keys["p256"], "^the encrypted content cannot be decrypted")


async def test_key_that_cannot_be_reached_is_no_wrong_key(plugins: Plugins, keys: dict[str, PrivateKey]) -> None:
    class Elsewhere:
        public_key_info = keys["p256"].public_key_info

        async def agree(self, public_key_info: bytes) -> bytes:
            raise CMPError("the HSM is gone", PKIFailureInfo.SYSTEM_UNAVAIL)

        async def decrypt(self, algorithm: AlgorithmIdentifier, encrypted: bytes) -> bytes:
            raise CMPError("the HSM is gone", PKIFailureInfo.SYSTEM_UNAVAIL)

    for key_type in ("p256", "rsa2048"):
        enveloped = await envelop(CONTENT, KeyRecipient.of_key(keys[key_type].public_key_info), plugins=plugins)
        assert await refuse(enveloped, Elsewhere(), "the HSM is gone") is PKIFailureInfo.SYSTEM_UNAVAIL


@pytest.fixture(scope="module")
def sealed(plugins: Plugins, keys: dict[str, PrivateKey]) -> dict[str, bytes]:
    """DER of an EnvelopedData for each technique."""

    async def seal() -> dict[str, bytes]:
        recipients = {name: KeyRecipient.of_key(keys[name].public_key_info) for name in ("rsa2048", "p256", "x25519")}
        return {name: encode(await envelop(CONTENT, one, plugins=plugins)) for name, one in recipients.items()}

    return anyio.run(seal)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(["rsa2048", "p256", "x25519"]),
    place=st.floats(0, 1, exclude_max=True),
    mask=st.integers(1, 255),
)
def test_damaged_content_raises_nothing_but_cmp_errors(
    keys: dict[str, PrivateKey], sealed: dict[str, bytes], name: str, place: float, mask: int
) -> None:
    octets = bytearray(sealed[name])
    octets[int(place * len(octets))] ^= mask

    async def attempt() -> PKIFailureInfo:
        try:
            # What names the recipient is not looked at, and CBC does not authenticate: the message's protection does.
            await open_envelope(decode(EnvelopedData, bytes(octets)), keys[name], read=read)
        except CMPError as error:
            return error.fail_info
        return PKIFailureInfo(0)

    assert anyio.run(attempt) in (PKIFailureInfo(0), PKIFailureInfo.BAD_DATA_FORMAT, PKIFailureInfo.BAD_ALG)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200), size=st.sampled_from([16, 24, 32]))
def test_any_content_comes_back(plugins: Plugins, keys: dict[str, PrivateKey], content: bytes, size: int) -> None:
    async def round_trip() -> bytes:
        recipient = KeyRecipient.of_key(keys["x25519"].public_key_info)
        enveloped = await envelop(content, recipient, plugins=plugins, key_size=size)
        return await open_envelope(decode(EnvelopedData, encode(enveloped)), keys["x25519"], read=bytes)

    assert anyio.run(round_trip) == content


def test_secrets_are_in_no_repr() -> None:
    assert "a shared secret" not in repr(PasswordRecipient(SECRET))
