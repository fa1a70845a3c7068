"""A server and a client that use nothing but the parts of this plugin to talk, from the configuration file on."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path

import anyio
import pytest
from cmpkit_example.expiry import CAExpiry, CAExpiryInfo
from cryptography import x509

from cmpkit import Client, SharedSecret
from cmpkit.config import load_configuration, serve
from cmpkit.plugins import Plugins

SECRETS = """
[dev-42]
secret = "correct horse battery staple"
subject = "CN=dev-42,O=Example"
"""


@pytest.fixture
def configuration(directory: Path) -> Path:
    """What ``cmpkit init`` makes, with the roads and the secrets of this plugin."""
    made = directory / "ca"
    subprocess.run([sys.executable, "-m", "cmpkit.cli", "init", str(made)], check=True, capture_output=True)
    path = made / "cmpkit.toml"
    text = path.read_text()
    text = text.replace("http://127.0.0.1:8829/.well-known/cmp", f"unix://{directory}/cmp.sock")
    text = text.replace('kind = "store"', 'kind = "toml"\npath = "secrets.toml"')
    path.write_text(text)
    secrets = made / "secrets.toml"
    secrets.touch(0o600)
    secrets.write_text(SECRETS)
    return path


async def test_a_device_enrols_and_asks_through_a_socket_with_a_secret_from_a_file(
    configuration: Path, plugins: Plugins
) -> None:
    shutdown = anyio.Event()
    async with anyio.create_task_group() as tasks:
        run = partial(serve, load_configuration(configuration, plugins), plugins, shutdown=shutdown)
        (url,) = await tasks.start(run)
        secret = SharedSecret("dev-42", "correct horse battery staple")
        trust = configuration.parent / "trust.pem"
        async with Client(url, credentials=secret, trust=trust, plugins=plugins) as client:
            enrolled = await client.enroll("CN=dev-42,O=Example")
            (answer,) = await client.info(CAExpiryInfo.oid)
        shutdown.set()
    certificate = x509.load_der_x509_certificate(enrolled.certificate)
    assert certificate.subject.rfc4514_string() == "CN=dev-42,O=Example"
    assert answer.parse(CAExpiry).remaining > 0
