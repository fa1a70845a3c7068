"""Credentials that are weaker than the key are worth a word, and no more (R-176)."""

from __future__ import annotations

import pytest

from cmpkit.crypto.keys import generate_key
from cmpkit.doctor.strength import examine_strength
from cmpkit.endpoints.credentials import SigningCredentials
from cmpkit.parts import Check, SharedSecret, Verdict
from cmpkit.plugins import Plugins, load_plugins


@pytest.fixture(scope="module")
def plugins() -> Plugins:
    return load_plugins()


@pytest.mark.rule("R-176")
@pytest.mark.parametrize(
    ("octets", "key_type", "said"),
    [(15, None, "120 bits of security, a p256 key has 128"), (16, None, ""), (16, "p384", "a p384 key has 192")],
)
def test_a_short_secret(plugins: Plugins, octets: int, key_type: str | None, said: str) -> None:
    found: list[Check] = []
    key = None if key_type is None else generate_key(key_type, plugins)
    examine_strength(SharedSecret("dev-42", bytes(octets)), key, plugins, found.append)
    assert [check.verdict for check in found] == [Verdict.NOTE] * bool(said)
    assert all(said in check.detail for check in found)


@pytest.mark.rule("R-176")
def test_a_certificate_that_cannot_be_judged_is_left_alone(plugins: Plugins) -> None:
    found: list[Check] = []
    examine_strength(SigningCredentials(b"none", generate_key("p256", plugins)), None, plugins, found.append)
    assert found == []
