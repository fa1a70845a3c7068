"""Our own parts pass the checks that authors of parts are given."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cmpkit_http.roads import HTTPClients
from cmpkit_mac import PBMAC1, PasswordBasedMac
from cmpkit_signature import EllipticCurveKeys, RSAKeys

from cmpkit import hookspecs, testing
from cmpkit.asn1 import TLV
from cmpkit.ca.hierarchy import Hierarchy
from cmpkit.ca.info import CACertificatesInfo, CurrentCRLInfo
from cmpkit.ca.issuer import LocalIssuer
from cmpkit.ca.plugin import DefaultPolicyFactory, LocalIssuerFactory, StoredSecretsFactory
from cmpkit.ca.policy import DefaultPolicy, load_policy
from cmpkit.ca.profiles import ConfiguredProfile
from cmpkit.crypto.keys import key_to_pem
from cmpkit.crypto.plugin import FileKeys
from cmpkit.crypto.protection import SignatureProtection
from cmpkit.crypto.x509 import to_pem
from cmpkit.parts import (
    Event,
    Grant,
    InfoContext,
    Issued,
    OpenContext,
    PrivateKey,
    Protection,
    SecretRecord,
    SharedSecret,
    Store,
)
from cmpkit.plugins import Plugins
from cmpkit.store.plugin import SQLStoreFactory
from cmpkit.testing import VirtualClock

HEAVY = {"alembic", "hypercorn", "httpx", "pydantic", "pytest", "sqlalchemy", "trio", "uvicorn"}


def test_every_kind_of_part_has_a_check() -> None:
    kinds = {name.removeprefix("cmpkit_") for name in vars(hookspecs) if name.startswith("cmpkit_")}
    checks = {
        "client_transports": "check_client_transport",
        "server_transports": "check_server_transport",
        "protections": "check_protection",
        "key_algorithms": "check_key_algorithm",
        "key_providers": "check_key_provider",
        "secret_sources": "check_secret_source",
        "issuers": "check_issuer",
        "policies": "check_policy",
        "certificate_profiles": "check_profile",
        "stores": "check_store",
        "info_types": "check_info_type",
        "observers": "check_observer",
    }
    assert kinds == checks.keys()
    assert set(checks.values()) < set(testing.__all__)


def test_importing_the_checks_needs_no_extra_and_no_test_framework() -> None:
    program = "import sys, cmpkit.testing; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not HEAVY & set(run.stdout.split())


@pytest.mark.parametrize("protection", [PasswordBasedMac(), PBMAC1()])
async def test_mac_protections_keep_the_contract(protection: Protection) -> None:
    await testing.check_protection(
        protection,
        SharedSecret("dev-42", "a shared secret"),
        wrong_credential=SharedSecret("dev-42", "another secret"),
    )


async def test_signature_protections_keep_the_contract(key: PrivateKey, other_key: PrivateKey) -> None:
    await testing.check_protection(
        SignatureProtection(EllipticCurveKeys()),
        key,
        wrong_credential=other_key.public_key_info,
        verifying_credential=key.public_key_info,
    )


async def test_elliptic_curve_keys_keep_the_contract() -> None:
    await testing.check_key_algorithm(EllipticCurveKeys())


async def test_rsa_keys_keep_the_contract() -> None:
    await testing.check_key_algorithm(RSAKeys(), key_types=["rsa2048"])


@pytest.mark.parametrize("password", [None, b"a password"])
async def test_key_files_keep_the_contract(tmp_path: Path, key: PrivateKey, password: bytes | None) -> None:
    (tmp_path / "key.pem").write_bytes(key_to_pem(key, password))
    await testing.check_key_provider(
        FileKeys(),
        f"file:{tmp_path}/key.pem",
        (RSAKeys(), EllipticCurveKeys()),
        missing=f"file:{tmp_path}/missing.pem",
        password=password,
    )


async def test_the_secrets_of_the_store_keep_the_contract(context: OpenContext) -> None:
    secret = SharedSecret("dev-42", "a shared secret")
    await context.store.add_secret(SecretRecord(secret, Grant(None)))
    source = await testing.check_factory(StoredSecretsFactory(), {}, context)
    await testing.check_secret_source(source, secret, unknown=b"dev-43")


async def test_the_local_issuer_keeps_the_contract(
    issuer: LocalIssuer, asking: Any, plugins: Plugins, store: Store, clock: VirtualClock
) -> None:
    await testing.check_issuer(
        issuer, asking.request, asking.auth, plugins=plugins, commit=store.commit, clock=clock, wait=waiting(clock)
    )


def waiting(clock: VirtualClock) -> Any:
    async def wait(seconds: float) -> None:
        clock.advance(seconds)

    return wait


async def test_the_factory_of_the_local_issuer_keeps_the_contract(
    context: OpenContext, hierarchy: Hierarchy, key: PrivateKey
) -> None:
    (context.directory / "issuing.pem").write_bytes(to_pem(*hierarchy.issuing.all))
    (context.directory / "key.pem").write_bytes(key_to_pem(key))
    settings = {"certificate": "issuing.pem", "key": "file:key.pem", "crl_validity": "7d"}
    issuer = await testing.check_factory(LocalIssuerFactory(), settings, context)
    assert issuer.name == "local"


async def test_the_sql_store_keeps_the_contract(tmp_path: Path) -> None:
    await testing.check_store(SQLStoreFactory(), f"sqlite:///{tmp_path}/cmpkit.db")


@pytest.fixture
def info_context(issuer: LocalIssuer, asking: Any, clock: VirtualClock) -> InfoContext:
    return InfoContext(issuer, asking.auth, clock())


async def test_info_about_the_ca_keeps_the_contract(info_context: InfoContext, hierarchy: Hierarchy) -> None:
    answer = await testing.check_info_type(CACertificatesInfo(), info_context)
    assert len(answer.parse_list(TLV)) == len(hierarchy.issuing.all)
    await testing.check_info_type(CurrentCRLInfo(), info_context)


def test_a_configured_profile_keeps_the_contract(profile: ConfiguredProfile, asking: Any, clock: VirtualClock) -> None:
    testing.check_profile(profile, asking.request(), asking.auth, now=clock())


@pytest.fixture
def policy(profile: ConfiguredProfile) -> DefaultPolicy:
    return load_policy({}, {"device": profile})


async def test_the_default_policy_keeps_the_contract(
    policy: DefaultPolicy, issuer: LocalIssuer, asking: Any, clock: VirtualClock
) -> None:
    issued = await issuer.issue(asking.request(), asking.auth, idempotency_key="1", now=clock())
    assert isinstance(issued, Issued)
    decided = await testing.check_policy(
        policy, asking.request(), asking.auth, now=clock(), certificate=issued.certificate
    )
    assert decided.profile == "device"


async def test_the_factory_of_the_default_policy_keeps_the_contract(context: OpenContext) -> None:
    await testing.check_factory(
        DefaultPolicyFactory(), {"default_profile": "device", "allow_key_reuse": False}, context
    )


def test_an_observer_that_counts_keeps_the_contract() -> None:
    class Counter:
        seen = 0

        def observe(self, event: Event) -> None:
            self.seen += 1

    testing.check_observer(Counter())


async def test_clients_of_http_keep_the_contract() -> None:
    await testing.check_client_transport_factory(HTTPClients(), "http://127.0.0.1:1/.well-known/cmp")
