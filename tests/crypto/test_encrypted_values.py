"""What was encrypted before there was EnvelopedData."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cmpkit import oids
from cmpkit.asn1 import AlgorithmIdentifier, BitString, EncryptedValue, decode, encode
from cmpkit.crypto.encrypted_values import decrypt_by_rsa, encrypt_by_rsa, encrypt_value, open_value
from cmpkit.crypto.keys import generate_key
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError
from cmpkit.parts import PrivateKey
from cmpkit.plugins import Plugins

ALLOWED = frozenset({"legacy-encryption"})


@pytest.fixture(scope="module")
def rsa(plugins: Plugins) -> PrivateKey:
    return generate_key("rsa2048", plugins)


def same(octets: bytes) -> bytes:
    return octets


def tagged(octets: bytes) -> bytes:
    return decode(bytes, octets)


def changed(value: EncryptedValue, **changes: Any) -> EncryptedValue:
    return dataclasses.replace(value, **changes)


async def test_a_value_is_read_by_its_key(rsa: PrivateKey, plugins: Plugins) -> None:
    value = encrypt_value(b"content", rsa.public_key_info, plugins=plugins)
    assert await open_value(decode(EncryptedValue, encode(value)), rsa, read=same, tolerances=ALLOWED) == b"content"


async def test_openssl_and_bouncy_castle_may_leave_the_key_algorithm_out(rsa: PrivateKey, plugins: Plugins) -> None:
    value = changed(encrypt_value(b"content", rsa.public_key_info, plugins=plugins), key_alg=None)
    assert await open_value(value, rsa, read=same, tolerances=ALLOWED) == b"content"


async def test_both_need_to_be_tolerated(rsa: PrivateKey, plugins: Plugins) -> None:
    value = encrypt_value(b"content", rsa.public_key_info, plugins=plugins)
    encrypted = encrypt_by_rsa(b"content", rsa.public_key_info, plugins)
    for reading in (
        open_value(value, rsa, read=same, tolerances=frozenset()),
        decrypt_by_rsa(encrypted, rsa, read=same, tolerances=frozenset()),
    ):
        with pytest.raises(CMPError) as caught:
            await reading
        assert (caught.value.fail_info, caught.value.tolerance) == (PKIFailureInfo.BAD_ALG, "legacy-encryption")


@settings(max_examples=20)
@given(flipped=st.integers(0, 2047))
async def test_what_was_changed_fails_alike(flipped: int, rsa: PrivateKey, plugins: Plugins) -> None:
    """Whatever was changed in the encrypted key: nobody learns whether its padding is right."""
    content = encode(b"x" * 100)
    value = encrypt_value(content, rsa.public_key_info, plugins=plugins)
    assert value.enc_symm_key is not None
    octets = bytearray(value.enc_symm_key.as_bytes())
    octets[flipped // 8] ^= 1 << flipped % 8
    with pytest.raises(CMPError, match=r"^the encrypted content cannot be decrypted") as caught:
        await open_value(changed(value, enc_symm_key=BitString(bytes(octets), 0)), rsa, read=tagged, tolerances=ALLOWED)
    assert caught.value.fail_info is PKIFailureInfo.BAD_DATA_FORMAT


@pytest.mark.parametrize(
    ("change", "fail_info"),
    [
        ({"key_alg": AlgorithmIdentifier(oids.RSAES_OAEP)}, PKIFailureInfo.BAD_ALG),
        ({"symm_alg": AlgorithmIdentifier(oids.SHA256)}, PKIFailureInfo.BAD_ALG),
        ({"symm_alg": None}, PKIFailureInfo.BAD_DATA_FORMAT),
        ({"enc_symm_key": None}, PKIFailureInfo.BAD_DATA_FORMAT),
        ({"enc_symm_key": BitString(bytes(2049), 0)}, PKIFailureInfo.BAD_DATA_FORMAT),
        ({"enc_value": BitString(bytes((1 << 20) + 1), 0)}, PKIFailureInfo.BAD_DATA_FORMAT),
    ],
)
async def test_what_is_no_such_value_is_refused(
    change: dict[str, Any], fail_info: PKIFailureInfo, rsa: PrivateKey, plugins: Plugins
) -> None:
    value = changed(encrypt_value(b"content", rsa.public_key_info, plugins=plugins), **change)
    with pytest.raises(CMPError) as caught:
        await open_value(value, rsa, read=same, tolerances=ALLOWED)
    assert caught.value.fail_info is fail_info


async def test_another_kind_of_key_neither_encrypts_nor_reads(rsa: PrivateKey, plugins: Plugins) -> None:
    x25519 = generate_key("x25519", plugins)
    with pytest.raises(CMPError, match="only RSA keys") as caught:
        encrypt_value(b"content", x25519.public_key_info, plugins=plugins)
    assert caught.value.fail_info is PKIFailureInfo.BAD_ALG
    encrypted = encrypt_by_rsa(b"content", rsa.public_key_info, plugins)
    with pytest.raises(CMPError, match="cannot be decrypted"):
        await decrypt_by_rsa(encrypted, x25519, read=same, tolerances=ALLOWED)


def test_what_is_too_long_for_the_key_is_bad_alg(rsa: PrivateKey, plugins: Plugins) -> None:
    with pytest.raises(CMPError, match="2048 bits is too short to encrypt 246 octets") as caught:
        encrypt_by_rsa(bytes(246), rsa.public_key_info, plugins)
    assert caught.value.fail_info is PKIFailureInfo.BAD_ALG
