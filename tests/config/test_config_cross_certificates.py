"""Keeping the cross certificates of a CA: what cannot be kept changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cmpkit.config.cross_certificates import install_cross_certificate
from cmpkit.crypto.x509 import load_certificates
from cmpkit.errors import ConfigurationError
from cmpkit.plugins import Plugins

Write = Callable[..., Path]


async def test_a_certificate_for_another_key_is_not_kept(write: Write, plugins: Plugins) -> None:
    config = write()
    before = config.read_text()
    (other, *_) = load_certificates(config.with_name("signer.pem").read_bytes())
    with pytest.raises(ConfigurationError, match="not for the key of this CA"):
        await install_cross_certificate(config, "partner", other, plugins, now=datetime.now(UTC))
    assert config.read_text() == before
    assert not config.with_name("cross").exists()


async def test_a_folder_that_cannot_be_made_is_named(write: Write, plugins: Plugins) -> None:
    config = write()
    before = config.read_text()
    config.with_name("cross").write_text("in the way")
    (own, *_) = load_certificates(config.with_name("issuing.pem").read_bytes())
    with pytest.raises(ConfigurationError, match="cross cannot be made"):
        await install_cross_certificate(config, "partner", own, plugins, now=datetime.now(UTC))
    assert config.read_text() == before
