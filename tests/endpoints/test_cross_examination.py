"""What a CA accepts as its cross certificate, before it confirms it (R-193)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509

from cmpkit.ca.extensions import key_usage_extension
from cmpkit.crypto.keys import generate_key
from cmpkit.crypto.names import parse_name
from cmpkit.crypto.x509 import CertificateContent, build_certificate, extension, key_identifier
from cmpkit.endpoints.examine import Examiner
from cmpkit.engine.sought import SoughtCertificate
from cmpkit.errors import TrustError
from cmpkit.parts import PrivateKey, SharedSecret
from cmpkit.plugins import Plugins, load_plugins

NOW = datetime.now(UTC).replace(microsecond=0)
ROOT, OTHER, PARTNER = parse_name("CN=Root"), parse_name("CN=Other"), parse_name("CN=Partner")


@pytest.fixture(scope="module")
def plugins() -> Plugins:
    return load_plugins()


@pytest.fixture(scope="module")
def root_key(plugins: Plugins) -> PrivateKey:
    return generate_key("p256", plugins)


@pytest.fixture(scope="module")
def key(plugins: Plugins) -> PrivateKey:
    return generate_key("p256", plugins)


async def certificate(
    subject: x509.Name, key: PrivateKey, issuer: x509.Name, issuer_key: PrivateKey, **changes: Any
) -> bytes:
    """A certificate of a CA; ``changes`` make it another one."""
    limit, ca = changes.get("path_length"), changes.get("ca", True)
    extensions = (
        extension(x509.BasicConstraints(ca=ca, path_length=limit if ca else None), critical=True),
        key_usage_extension(changes.get("usages", {"keyCertSign", "cRLSign"})),
        extension(x509.SubjectKeyIdentifier(changes.get("identifier") or key_identifier(key.public_key_info))),
    )
    content = CertificateContent(
        serial_number=7,
        issuer=issuer.public_bytes(),
        subject=subject,
        not_before=NOW - timedelta(days=1),
        not_after=NOW + timedelta(days=1),
        public_key_info=key.public_key_info,
        extensions=extensions,
    )
    return await build_certificate(content, issuer_key)


async def examine(
    plugins: Plugins, root_key: PrivateKey, key: PrivateKey, *, root: dict[str, Any] | None = None, **changes: Any
) -> None:
    anchor = await certificate(ROOT, root_key, ROOT, root_key, **(root or {}))
    sought = SoughtCertificate(
        public_key_info=key.public_key_info,
        subject=PARTNER.public_bytes(),
        certificate=await certificate(PARTNER, key, ROOT, root_key, **changes),
        issuer=changes.get("asked", ROOT).public_bytes(),
        key_identifier=key_identifier(key.public_key_info),
    )
    examiner = Examiner(plugins, SharedSecret("x", "x"), anchors=[anchor], candidates=(), now=NOW)
    await examiner.examine(sought, granted_with_mods=True)


async def test_what_serves_is_accepted(plugins: Plugins, root_key: PrivateKey, key: PrivateKey) -> None:
    await examine(plugins, root_key, key)
    await examine(plugins, root_key, key, root={"path_length": 1}, path_length=0)


@pytest.mark.rule("R-193")
@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"ca": False}, "is not a CA"),
        ({"usages": {"digitalSignature"}}, "keyUsage lacks keyCertSign"),
        ({"identifier": bytes(20)}, "another subjectKeyIdentifier"),
        ({"asked": OTHER}, "CN=Other was asked"),
        ({"root": {"path_length": 0}}, "forbids CAs below"),
    ],
)
async def test_what_would_serve_nobody_is_refused(
    plugins: Plugins, root_key: PrivateKey, key: PrivateKey, changes: dict[str, Any], why: str
) -> None:
    with pytest.raises(TrustError, match=f"the cross certificate is not acceptable: .*{why}"):
        await examine(plugins, root_key, key, **changes)
