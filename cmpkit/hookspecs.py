"""The hooks of cmpkit, all in this file.

A hook returns the parts that a plugin brings; the core finds each by its id. Hooks are called once, when plugins are
loaded, and are never awaited. A plugin is a module (or object) with some of these functions, each marked by
:data:`hookimpl`, and is named by an entry point of the group ``cmpkit``::

    from cmpkit.hookspecs import hookimpl

    @hookimpl
    def cmpkit_protections():
        return [MyMac()]

Two parts with one id are refused, by name. What each part must be able to do is in :mod:`cmpkit.parts`;
``cmpkit.testing`` has a check for each kind.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from cmpkit import parts

__all__ = ["hookimpl", "hookspec"]

PROJECT_NAME = "cmpkit"
hookspec = pluggy.HookspecMarker(PROJECT_NAME)
hookimpl = pluggy.HookimplMarker(PROJECT_NAME)
"""Marks a function of a plugin as the implementation of the hook with its name."""


@hookspec
def cmpkit_client_transports() -> Iterable[parts.ClientTransportFactory]:  # type: ignore[empty-body]
    """Roads for clients, found by URL scheme."""


@hookspec
def cmpkit_server_transports() -> Iterable[parts.ServerTransport]:  # type: ignore[empty-body]
    """Roads for servers, found by URL scheme."""


@hookspec
def cmpkit_protections() -> Iterable[parts.Protection]:  # type: ignore[empty-body]
    """Message protections, found by the OID of protectionAlg. Signatures need none: key algorithms bring them."""


@hookspec
def cmpkit_key_algorithms() -> Iterable[parts.KeyAlgorithm]:  # type: ignore[empty-body]
    """Key algorithms, found by the OIDs of keys and signatures and by the names of key types."""


@hookspec
def cmpkit_key_providers() -> Iterable[parts.KeyProvider]:  # type: ignore[empty-body]
    """Places where private keys are, found by URI scheme."""


@hookspec
def cmpkit_secret_sources() -> Iterable[parts.SecretSourceFactory]:  # type: ignore[empty-body]
    """Places where shared secrets are, found by the ``kind`` of a ``[[secrets]]`` table."""


@hookspec
def cmpkit_issuers() -> Iterable[parts.IssuerFactory]:  # type: ignore[empty-body]
    """Issuers, found by the ``kind`` of the ``[issuer]`` table."""


@hookspec
def cmpkit_policies() -> Iterable[parts.PolicyFactory]:  # type: ignore[empty-body]
    """Policies, found by the ``kind`` of the ``[policy]`` table."""


@hookspec
def cmpkit_certificate_profiles() -> Iterable[parts.CertificateProfile]:  # type: ignore[empty-body]
    """Certificate profiles in code, found by name beside those of the configuration file."""


@hookspec
def cmpkit_stores() -> Iterable[parts.StoreFactory]:  # type: ignore[empty-body]
    """Stores, found by URL scheme."""


@hookspec
def cmpkit_info_types() -> Iterable[parts.InfoType]:  # type: ignore[empty-body]
    """Answers to genm, found by the OID of the information type."""


@hookspec
def cmpkit_observers() -> Iterable[parts.Observer]:  # type: ignore[empty-body]
    """Observers of everything that happens."""
