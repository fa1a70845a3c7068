"""A CA announces over HTTP all that there is to announce, and a repository keeps it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import anyio
import pytest
from cryptography import x509

from cmpkit.config import Configuration, check_configuration, load_configuration, open_parts, open_store, serve
from cmpkit.config.rollover import prepare_rollover, switch_keys
from cmpkit.config.running import build_announcer
from cmpkit.crypto.names import parse_name
from cmpkit.crypto.x509 import load_certificates
from cmpkit.endpoints.client import Client
from cmpkit.endpoints.enrolled import Enrolled
from cmpkit.endpoints.options import ClientOptions
from cmpkit.enums import CRLReason
from cmpkit.errors import ConfigurationError
from cmpkit.parts import Grant, SecretRecord, SharedSecret
from cmpkit.plugins import Plugins

Write = Callable[..., Path]
SECRET = SharedSecret("dev-42", b"a secret of more than sixteen octets")
ANNOUNCE = """
[[announce]]
url = "http://127.0.0.1:1/.well-known/cmp"
what = ["cann", "rann", "crlann", "ckuann"]
"""
REPOSITORY = """
[repository]
directory = "kept"
trusted = ["trust.pem"]
"""
PUBLISHING = ('validity = "365d"\n', 'validity = "365d"\npublish = true\n')


async def announce(path: Path, url: str, plugins: Plugins) -> None:
    """As the server of a configuration does it when it starts, to the repository at an address."""
    configuration = load_configuration(path, plugins)
    table = replace_url(configuration, url)
    async with open_parts(table, plugins) as parts:
        await build_announcer(table, parts, plugins).announce()


def replace_url(configuration: Configuration, url: str) -> Configuration:
    tables = tuple(table.model_copy(update={"url": url}) for table in configuration.announce)
    return replace(configuration, announce=tables)


async def enroll(url: str, path: Path, plugins: Plugins) -> Enrolled:
    trust = path.parent / "trust.pem"
    options = ClientOptions(total_timeout=20)
    async with Client(url, credentials=SECRET, trust=trust, plugins=plugins, options=options) as client:
        return await client.enroll(subject="CN=dev-42")


async def revoke(url: str, path: Path, device: Enrolled, plugins: Plugins) -> None:
    trust = path.parent / "trust.pem"
    options = ClientOptions(total_timeout=20)
    async with Client(url, credentials=device.credentials, trust=trust, plugins=plugins, options=options) as client:
        await client.revoke(device, reason=CRLReason.SUPERSEDED)


@pytest.mark.rule("R-194")
async def test_certificates_revocations_crls_and_a_new_root_reach_a_repository(write: Write, plugins: Plugins) -> None:
    path = write(PUBLISHING, more=ANNOUNCE + REPOSITORY)
    kept = path.parent / "kept"
    configuration = load_configuration(path, plugins)
    async with open_store(configuration, plugins) as store:
        await store.add_secret(SecretRecord(SECRET, Grant(parse_name("CN=dev-42"), "device")))
    shutdown = anyio.Event()
    async with anyio.create_task_group() as tasks:
        serving = partial(serve, replace(configuration, announce=()), plugins, shutdown=shutdown)
        (url,) = await tasks.start(serving)
        device = await enroll(url, path, plugins)
        await announce(path, url, plugins)
        (certificate,) = kept.glob("certificate-*.pem")
        assert load_certificates(certificate.read_bytes()) == (device.certificate,)
        await revoke(url, path, device, plugins)
        now = datetime.now(UTC)
        await prepare_rollover(path, plugins, now=now)
        await switch_keys(path, plugins, now=now)
        await announce(path, url, plugins)
        shutdown.set()
    (revocation,) = kept.glob("revocation-*.json")
    told = json.loads(revocation.read_text())
    assert (told["issuer"], told["status"]) == ("CN=Example CA", "revocationNotification")
    assert sorted(len(x509.load_der_x509_crl(crl.read_bytes())) for crl in kept.glob("*.crl")) == [0, 1]
    (root,) = kept.glob("*.new-with-new.pem")
    assert load_certificates(root.read_bytes()) == load_certificates((path.parent / "ca-2/root/root.pem").read_bytes())


async def test_what_is_to_be_published_needs_somebody_who_is_told(write: Write, plugins: Plugins) -> None:
    with pytest.raises(ConfigurationError, match=r"\[profiles.device\] publish: nobody is told"):
        await check_configuration(write(PUBLISHING), plugins, now=datetime.now(UTC))
