"""Secrets at rest."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmpkit.errors import ConfigurationError
from cmpkit.store import new_sealing_key
from cmpkit.store.sealing import SEALING_KEY_SIZE, Sealer

KEY = bytes(range(32))


@given(st.binary(), st.binary())
def test_what_was_sealed_is_unsealed(reference: bytes, value: bytes) -> None:
    assert Sealer(KEY).unseal(reference, Sealer(KEY).seal(reference, value)) == value


@given(st.binary(min_size=1), st.data())
def test_a_changed_octet_is_noticed(value: bytes, data: st.DataObject) -> None:
    sealed = bytearray(Sealer(KEY).seal(b"reference", value))
    sealed[data.draw(st.integers(0, len(sealed) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(ConfigurationError, match="cannot be decrypted"):
        Sealer(KEY).unseal(b"reference", bytes(sealed))


@pytest.mark.parametrize("size", [0, 1, 12, 13, 28])
def test_a_truncated_secret_is_refused(size: int) -> None:
    sealed = Sealer(KEY).seal(b"reference", b"value")
    with pytest.raises(ConfigurationError, match="cannot be decrypted"):
        Sealer(KEY).unseal(b"reference", sealed[:size])


def test_a_secret_sealed_for_another_reference_is_refused() -> None:
    sealed = Sealer(KEY).seal(b"mine", b"value")
    with pytest.raises(ConfigurationError):
        Sealer(KEY).unseal(b"yours", sealed)


def test_another_key_unseals_nothing_and_the_error_shows_nothing() -> None:
    sealed = Sealer(KEY).seal(b"reference", b"the secret itself")
    with pytest.raises(ConfigurationError) as caught:
        Sealer(bytes(32)).unseal(b"reference", sealed)
    assert "the secret itself" not in str(caught.value)
    assert "sealing key" in caught.value.hint


def test_equal_secrets_look_different() -> None:
    assert Sealer(KEY).seal(b"reference", b"value") != Sealer(KEY).seal(b"reference", b"value")


@pytest.mark.parametrize("size", [0, 16, 31, 33])
def test_a_key_of_another_size_is_refused(size: int) -> None:
    with pytest.raises(ConfigurationError, match="32"):
        Sealer(bytes(size))


def test_new_sealing_keys_fit_and_differ() -> None:
    assert len(new_sealing_key()) == SEALING_KEY_SIZE
    assert new_sealing_key() != new_sealing_key()
