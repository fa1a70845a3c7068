"""How parts that the configuration names are opened: by factories, from their tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from cmpkit.parts.identity import SecretSource
from cmpkit.parts.issuing import CertificateProfile, Issuer, Policy
from cmpkit.parts.store import Store

if TYPE_CHECKING:
    from cmpkit.plugins import Plugins

__all__ = ["IssuerFactory", "OpenContext", "PolicyFactory", "SecretSourceFactory"]


@dataclass(frozen=True, slots=True)
class OpenContext:
    """What a factory may use to open its part.

    :param directory: where the configuration file is; relative paths start there.
    :param profiles: the certificate profiles by name.
    """

    directory: Path
    store: Store
    plugins: Plugins
    profiles: Mapping[str, CertificateProfile]


class IssuerFactory(Protocol):
    """Opens an issuer from the ``[issuer]`` table whose ``kind`` it is."""

    kind: str

    async def open(self, settings: Mapping[str, Any], context: OpenContext) -> Issuer:
        """The issuer.

        :param settings: the table, without ``kind``.
        :raises ConfigurationError: naming the key that is wrong.
        """


class PolicyFactory(Protocol):
    """Opens a policy from the ``[policy]`` table whose ``kind`` it is."""

    kind: str

    async def open(self, settings: Mapping[str, Any], context: OpenContext) -> Policy:
        """The policy; settings and errors as for :class:`IssuerFactory`."""


class SecretSourceFactory(Protocol):
    """Opens a source of shared secrets from a ``[[secrets]]`` table whose ``kind`` it is."""

    kind: str

    async def open(self, settings: Mapping[str, Any], context: OpenContext) -> SecretSource:
        """The source; settings and errors as for :class:`IssuerFactory`."""
