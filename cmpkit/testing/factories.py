"""Whether what opens issuers, policies and secret sources from their tables keeps its contract."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Protocol, TypeVar

from cmpkit.errors import ConfigurationError
from cmpkit.parts import OpenContext
from cmpkit.testing.contract import refused, require, require_name, success

__all__ = ["check_factory"]

P_co = TypeVar("P_co", covariant=True)
_UNKNOWN = "no_such_key_of_the_checks"
# Nothing is configured by a list of lists of lists.
_WRONG: list[list[list[str]]] = [[[]]]


class _Factory(Protocol[P_co]):
    kind: str

    async def open(self, settings: Mapping[str, Any], context: OpenContext) -> P_co: ...


async def check_factory(factory: _Factory[P_co], settings: Mapping[str, Any], context: OpenContext) -> P_co:
    """Check what opens an issuer, a policy or a secret source from a table of the configuration file.

    It opens the part from good settings and leaves these as they are. A key that it does not know, and a value that
    makes no sense, is a ConfigurationError that names the key; a key that is missing raises nothing else either.

    :param settings: a table that is right, without ``kind``.
    :return: the part, to be checked in its turn.
    :raises AssertionError: naming what is wrong.
    """
    require_name(factory, "kind")
    given = copy.deepcopy(dict(settings))
    with success("open() must open the part from the settings of the check"):
        part = await factory.open(given, context)
    require(given == settings, "open() must not change the settings")
    require_name(part)
    wrong = {key: {**settings, key: _WRONG} for key in settings} | {_UNKNOWN: {**settings, _UNKNOWN: 1}}
    for key, table in wrong.items():
        with refused(f"a table whose key {key} is wrong", by=ConfigurationError) as caught:
            await factory.open(table, context)
        require(key in str(caught[0]), f"the error must name the key that is wrong, {key}, not only say: {caught[0]}")
    for key in settings:
        less = {name: value for name, value in settings.items() if name != key}
        try:
            await factory.open(less, context)
        except ConfigurationError as error:
            require(key in str(error), f"the error must name the key that is missing, {key}, not only say: {error}")
        except Exception as error:
            raise AssertionError(f"without {key}, open() may raise a ConfigurationError, not {error!r}") from error
    return part
