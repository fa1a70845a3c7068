"""The plugins that the tests of cmpkit.crypto need, and a PKI that cryptography builds, as an independent witness."""

from __future__ import annotations

import cmpkit_mac
import cmpkit_mldsa
import cmpkit_signature
import pytest
from pki import PKI

from cmpkit.crypto import plugin as crypto_plugin
from cmpkit.plugins import Plugins


@pytest.fixture(scope="session")
def plugins() -> Plugins:
    loaded = Plugins()
    loaded.add(cmpkit_signature, "signature")
    loaded.add(cmpkit_mldsa, "mldsa")
    loaded.add(cmpkit_mac, "mac")
    loaded.add(crypto_plugin, "keys")
    return loaded


@pytest.fixture(scope="session")
def pki() -> PKI:
    return PKI()
