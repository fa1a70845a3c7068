"""The plugin that brings the issuers whose CA is elsewhere.

What needs the packages of ``cmpkit[server]`` is imported when a part is opened: clients load this plugin, too.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any

from cmpkit.errors import ConfigurationError
from cmpkit.hookspecs import hookimpl

if TYPE_CHECKING:
    from cmpkit.parts import Issuer, IssuerFactory, OpenContext

__all__ = ["CMPIssuerFactory", "CommandIssuerFactory", "cmpkit_issuers"]


class CMPIssuerFactory:
    """Opens an issuer that asks another CMP server; see :class:`cmpkit.issuers.cmp_opening.CMPIssuerSettings`."""

    kind = "cmp"

    async def open(self, settings: Mapping[str, Any], context: OpenContext) -> Issuer:
        """The issuer; see :meth:`cmpkit.parts.IssuerFactory.open`."""
        issuer: Issuer = await _import("cmp_opening").open_cmp_issuer(settings, context)
        return issuer


class CommandIssuerFactory:
    """Opens an issuer that runs a program; see :class:`cmpkit.issuers.command_opening.CommandIssuerSettings`."""

    kind = "command"

    async def open(self, settings: Mapping[str, Any], context: OpenContext) -> Issuer:
        """The issuer; see :meth:`cmpkit.parts.IssuerFactory.open`."""
        issuer: Issuer = await _import("command_opening").open_command_issuer(settings, context)
        return issuer


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(f"cmpkit.issuers.{name}")
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            f"this issuer needs the package {error.name}", hint="pip install 'cmpkit[server]'"
        ) from error


@hookimpl
def cmpkit_issuers() -> Iterable[IssuerFactory]:
    """Another CMP server, and a program."""
    return [CMPIssuerFactory(), CommandIssuerFactory()]
