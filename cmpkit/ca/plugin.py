"""The plugin that brings the local CA, its policy, the secrets of the store, and answers about the CA.

What needs the packages of ``cmpkit[server]`` is imported when a part is opened: clients load this plugin, too.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any

from cmpkit.ca.algorithm_info import (
    EncKeyPairTypesInfo,
    KeyPairParamInfo,
    PreferredSymmAlgInfo,
    SignKeyPairTypesInfo,
    SuppLangTagsInfo,
)
from cmpkit.ca.info import (
    CACertificatesInfo,
    CAKeyUpdateInfo,
    CAProtEncCertInfo,
    CertReqTemplateInfo,
    CRLStatusListInfo,
    CurrentCRLInfo,
    RootCACertInfo,
)
from cmpkit.ca.passphrases import RevPassphraseInfo
from cmpkit.ca.secrets import StoredSecrets
from cmpkit.errors import ConfigurationError
from cmpkit.hookspecs import hookimpl

if TYPE_CHECKING:
    from cmpkit.parts import (
        InfoType,
        Issuer,
        IssuerFactory,
        OpenContext,
        Policy,
        PolicyFactory,
        SecretSource,
        SecretSourceFactory,
    )

__all__ = [
    "DefaultPolicyFactory",
    "LocalIssuerFactory",
    "PythonPolicyFactory",
    "RulesPolicyFactory",
    "StoredSecretsFactory",
    "cmpkit_info_types",
    "cmpkit_issuers",
    "cmpkit_policies",
    "cmpkit_secret_sources",
]


class LocalIssuerFactory:
    """Opens the CA of this process; see :class:`cmpkit.ca.opening.IssuerSettings`."""

    kind = "local"

    async def open(self, settings: Mapping[str, Any], context: OpenContext) -> Issuer:
        """The issuer; see :meth:`cmpkit.parts.IssuerFactory.open`."""
        issuer: Issuer = await _import("opening").open_local_issuer(settings, context)
        return issuer


class _PolicyFactory:
    """Opens a policy of ours."""

    kind: str
    _module: str

    async def open(self, settings: Mapping[str, Any], context: OpenContext) -> Policy:
        """The policy; see :meth:`cmpkit.parts.PolicyFactory.open`."""
        policy: Policy = await _import(self._module).open_policy(settings, context)
        return policy


class DefaultPolicyFactory(_PolicyFactory):
    """Opens the default policy; see :class:`cmpkit.ca.policy.PolicySettings`."""

    kind, _module = "default", "policy"


class RulesPolicyFactory(_PolicyFactory):
    """Opens a policy by rules; see :class:`cmpkit.ca.rule_settings.RulesSettings`."""

    kind, _module = "rules", "rules_policy"


class PythonPolicyFactory(_PolicyFactory):
    """Opens a policy by a function; see :class:`cmpkit.ca.python_policy.PythonPolicySettings`."""

    kind, _module = "python", "python_policy"


class StoredSecretsFactory:
    """Opens the shared secrets of the store; its table has no settings."""

    kind = "store"

    async def open(self, settings: Mapping[str, Any], context: OpenContext) -> SecretSource:
        """The source; see :meth:`cmpkit.parts.SecretSourceFactory.open`."""
        if settings:
            raise ConfigurationError(f"[[secrets]] {', '.join(settings)}: the kind store has no such key")
        return StoredSecrets(context.store)


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(f"cmpkit.ca.{name}")
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"the local CA needs the package {error.name}", hint="pip install 'cmpkit[server]'"
        ) from error


@hookimpl
def cmpkit_issuers() -> Iterable[IssuerFactory]:
    """The CA of this process."""
    return [LocalIssuerFactory()]


@hookimpl
def cmpkit_policies() -> Iterable[PolicyFactory]:
    """The default policy, by rules, and by a function."""
    return [DefaultPolicyFactory(), RulesPolicyFactory(), PythonPolicyFactory()]


@hookimpl
def cmpkit_secret_sources() -> Iterable[SecretSourceFactory]:
    """The secrets of the store."""
    return [StoredSecretsFactory()]


@hookimpl
def cmpkit_info_types() -> Iterable[InfoType]:
    """The support messages of RFC 9483 section 4.3, currentCRL, caProtEncCert, revPassphrase, algorithms, languages."""
    return [
        CACertificatesInfo(),
        CurrentCRLInfo(),
        RootCACertInfo(),
        CAKeyUpdateInfo(),
        CertReqTemplateInfo(),
        CRLStatusListInfo(),
        SignKeyPairTypesInfo(),
        EncKeyPairTypesInfo(),
        PreferredSymmAlgInfo(),
        KeyPairParamInfo(),
        SuppLangTagsInfo(),
        CAProtEncCertInfo(),
        RevPassphraseInfo(),
    ]
