"""Two CAs: the one that certifies, as its configuration says, and a partner that asks for that."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import anyio

from cmpkit.ca.setup import initialise
from cmpkit.crypto.keys import load_private_key
from cmpkit.crypto.names import parse_name
from cmpkit.crypto.x509 import load_certificates
from cmpkit.endpoints.client import Client
from cmpkit.endpoints.credentials import Credentials, SigningCredentials
from cmpkit.endpoints.options import ClientOptions
from cmpkit.parts import PrivateKey
from cmpkit.plugins import Plugins, load_plugins

RESPONDER, PARTNER = "CN=Responder CA,O=Responder", "CN=Partner CA,O=Partner"
PROFILE = """
[profiles.partner]
kind = "cross-certificate"
"""
RULE = """
[[policy.cross_certification]]
authority = "partner.pem"
profile = "partner"
"""


def make_two(folder: Path) -> Path:
    """What ``cmpkit init`` makes, twice: the one that certifies may have CAs below it."""
    plugins, now = load_plugins(), datetime.now(UTC) - timedelta(hours=1)
    for name, subject, path_length in (("responder", RESPONDER, 1), ("partner", PARTNER, 0)):
        made = partial(
            initialise,
            folder / name,
            listen=["http://127.0.0.1:0/.well-known/cmp"],
            subject=parse_name(subject),
            path_length=path_length,
            plugins=plugins,
            now=now,
        )
        anyio.run(made)
    return folder


@dataclass
class Sites:
    """Copies of both.

    :param until: how long the cross certificate should be valid.
    """

    folder: Path
    plugins: Plugins = field(default_factory=load_plugins)
    until: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0) + timedelta(days=365))

    @classmethod
    def copied(cls, made: Path, folder: Path) -> Sites:
        for name in ("responder", "partner"):
            shutil.copytree(made / name, folder / name)
        return cls(folder)

    @property
    def responder(self) -> Path:
        """The configuration of the CA that certifies."""
        return self.folder / "responder" / "cmpkit.toml"

    @property
    def partner(self) -> Path:
        """The configuration of the CA that asks."""
        return self.folder / "partner" / "cmpkit.toml"

    def allow(self, *, profile: str = "", rule: str = RULE, server: str = 'trusted = ["partner.pem"]') -> None:
        """Let the partner in.

        :param profile: more lines of its profile.
        """
        shutil.copyfile(self.partner.with_name("issuing.pem"), self.responder.with_name("partner.pem"))
        text = self.responder.read_text().replace("[server]\n", f"[server]\n{server}\n")
        self.responder.write_text(text + PROFILE + profile + rule)

    def certificates(self, name: str) -> tuple[bytes, ...]:
        """Of a file: ``partner/issuing.pem``."""
        return load_certificates((self.folder / name).read_bytes())

    def key(self, name: str) -> PrivateKey:
        return load_private_key((self.folder / name).read_bytes(), None, self.plugins)

    @property
    def authority(self) -> tuple[bytes, PrivateKey]:
        """The partner's CA."""
        return self.certificates("partner/issuing.pem")[0], self.key("partner/keys/issuing.key.pem")

    @property
    def signer(self) -> SigningCredentials:
        """What signs the partner's messages."""
        certificate, *chain = self.certificates("partner/signer.pem")
        return SigningCredentials(certificate, self.key("partner/keys/signer.key.pem"), tuple(chain))

    def client(
        self, url: str, credentials: Credentials | None = None, *, trust: Sequence[bytes] | None = None, **options: Any
    ) -> Client:
        transform = options.pop("transform", None)
        return Client(
            url,
            credentials=credentials or self.signer,
            trust=self.certificates("responder/trust.pem") if trust is None else tuple(trust),
            options=ClientOptions(**{"total_timeout": 20.0, **options}),
            plugins=self.plugins,
            transform=transform,
        )

    @property
    def asked(self) -> dict[str, Any]:
        """What the partner asks for."""
        authority, key = self.authority
        return {
            "authority": authority,
            "key": key,
            "responder": self.certificates("responder/issuing.pem")[0],
            "not_after": self.until,
        }
