"""How strong keys and what protects messages are (R-176)."""

from __future__ import annotations

import pytest

from cmpkit.crypto.strength import credential_strength, key_strength, secret_strength
from cmpkit.parts import Credential, ProtectionKind, SharedSecret
from cmpkit.plugins import Plugins


@pytest.mark.rule("R-176")
def test_the_strength_of_every_type_of_keys_is_known(plugins: Plugins) -> None:
    strengths = {key_type: key_strength(key_type) for key_type in plugins.key_types}
    assert None not in strengths.values()
    assert {name: strengths[name] for name in ("p256", "p384", "ed448")} == {"p256": 128, "p384": 192, "ed448": 224}
    assert [key_strength(f"rsa{length}") for length in (1024, 2048, 3072, 4096, 8192)] == [80, 112, 128, 128, 192]
    assert key_strength("of a plugin") is None


@pytest.mark.rule("R-176")
def test_the_strength_of_credentials(plugins: Plugins) -> None:
    secret = SharedSecret("dev-42", bytes(16))
    assert secret_strength(secret) == 128
    by_mac = Credential(ProtectionKind.MAC, "mac:42", secret=secret)
    assert credential_strength(by_mac, plugins) == 128
    for unknown in (None, b"no certificate"):
        assert (
            credential_strength(Credential(ProtectionKind.SIGNATURE, "cert:42", certificate=unknown), plugins) is None
        )
