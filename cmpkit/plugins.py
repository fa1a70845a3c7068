"""How parts are found: plugins are loaded, their parts registered by id, duplicates refused by name."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import pluggy
from cryptography.x509 import ObjectIdentifier

from cmpkit import hookspecs, parts
from cmpkit.asn1 import read_public_key_info
from cmpkit.enums import PKIFailureInfo
from cmpkit.errors import CMPError, ConfigurationError

__all__ = ["LoadedPlugin", "Plugins", "load_plugins"]

ENTRY_POINT_GROUP = "cmpkit"
_Found: TypeAlias = tuple[str, tuple[Any, ...], Any]
"""Kind, ids and part."""


@dataclass(frozen=True, slots=True)
class LoadedPlugin:
    """A plugin that was found.

    :param name: of its entry point, or of the module that was given.
    :param distribution: name and version of the distribution it came from, empty for one given in code.
    :param error: why it could not be loaded, empty if it was.
    :param parts: the kind and ids of each part that it brought.
    """

    name: str
    distribution: str = ""
    error: str = ""
    parts: tuple[str, ...] = ()


@dataclass(slots=True)
class _Kind:
    """One kind of part: the hook that brings it, and the ids under which each is found."""

    hook: str
    ids: Callable[[Any], Iterable[Any]]
    parts: dict[Any, Any] = field(default_factory=dict)
    owners: dict[Any, str] = field(default_factory=dict)


def _kinds() -> dict[str, _Kind]:
    def named(part: Any) -> Iterable[str]:
        return (part.name,)

    def of_kind(part: Any) -> Iterable[str]:
        return (part.kind,)

    def of_schemes(part: Any) -> Iterable[str]:
        return tuple(part.schemes)

    return {
        "client transport": _Kind("cmpkit_client_transports", of_schemes),
        "server transport": _Kind("cmpkit_server_transports", of_schemes),
        "protection": _Kind("cmpkit_protections", lambda part: part.oids),
        "key algorithm": _Kind(
            "cmpkit_key_algorithms", lambda part: (*part.key_oids, *part.signature_oids, *part.key_types)
        ),
        "key provider": _Kind("cmpkit_key_providers", of_schemes),
        "secret source": _Kind("cmpkit_secret_sources", of_kind),
        "issuer": _Kind("cmpkit_issuers", of_kind),
        "policy": _Kind("cmpkit_policies", of_kind),
        "certificate profile": _Kind("cmpkit_certificate_profiles", named),
        "store": _Kind("cmpkit_stores", of_schemes),
        "info type": _Kind("cmpkit_info_types", lambda part: (part.oid,)),
        "observer": _Kind("cmpkit_observers", lambda part: (f"{type(part).__module__}.{type(part).__qualname__}",)),
    }


class Plugins:
    """The parts that are there, by kind and id. Made by :func:`load_plugins`; there is no global one."""

    def __init__(self) -> None:
        self._manager = pluggy.PluginManager(hookspecs.PROJECT_NAME)
        self._manager.add_hookspecs(hookspecs)
        self._kinds = _kinds()
        self.loaded: list[LoadedPlugin] = []
        self.observed = False
        """Whether there is anybody to tell."""

    def add(self, plugin: Any, name: str, distribution: str = "") -> None:
        """Register a plugin (a module, or an object with hook implementations) and its parts.

        Nothing of a plugin that is refused stays.

        :raises ConfigurationError: naming the plugin, if a hook fails or is misspelt or a part's id is taken.
        """
        if self._manager.is_registered(plugin):
            raise ConfigurationError(f"plugin {name} is there already, as {self._manager.get_name(plugin)}")
        try:
            self._manager.register(plugin, name)
            self._manager.check_pending()
            found = list(self._collect(plugin))
        except Exception as error:
            self._forget(plugin)
            raise ConfigurationError(f"plugin {name}: {error}", hint="correct the plugin or remove it") from error
        if duplicate := self._find_duplicate(found, name):
            self._forget(plugin)
            raise ConfigurationError(duplicate, hint="remove one of them")
        for kind, ids, part in found:
            for identifier in ids:
                self._kinds[kind].parts[identifier] = part
                self._kinds[kind].owners[identifier] = name
        self.observed = bool(self._kinds["observer"].parts)
        shown = tuple(f"{kind} {' '.join(_show(identifier) for identifier in ids)}" for kind, ids, _ in found)
        self.loaded.append(LoadedPlugin(name, distribution, parts=shown))

    def _collect(self, plugin: Any) -> Iterator[_Found]:
        others = [other for other in self._manager.get_plugins() if other is not plugin]
        for label, kind in self._kinds.items():
            for brought in self._manager.subset_hook_caller(kind.hook, others)():
                for part in brought:
                    yield label, tuple(dict.fromkeys(kind.ids(part))), part

    def _forget(self, plugin: Any) -> None:
        if self._manager.is_registered(plugin):
            self._manager.unregister(plugin)

    def _find_duplicate(self, found: Iterable[_Found], name: str) -> str:
        """What is said of the first id that is taken; nothing if none is."""
        own: set[tuple[str, Any]] = set()
        for kind, ids, _ in found:
            for identifier in ids:
                if (kind, identifier) in own:
                    return f"plugin {name} brings the {kind} {_show(identifier)} twice"
                if owner := self._kinds[kind].owners.get(identifier):
                    return f"plugins {owner} and {name} both bring the {kind} {_show(identifier)}"
                own.add((kind, identifier))
        return ""

    def _kind(self, name: str) -> _Kind:
        if name not in self._kinds:
            raise self._unknown_kind(name)
        return self._kinds[name]

    def _unknown_kind(self, name: str) -> ConfigurationError:
        return ConfigurationError(f"no kind of part is called {name!r}; there are: {', '.join(self._kinds)}")

    def all(self, kind: str) -> tuple[Any, ...]:
        """Every part of a kind, in the order of registration, once each.

        :raises ConfigurationError: if there is no such kind.
        """
        return tuple({id(part): part for part in self._kind(kind).parts.values()}.values())

    def get(self, kind: str, identifier: Any) -> Any | None:
        """The part of that kind and id, or ``None``.

        :raises ConfigurationError: if there is no such kind.
        """
        try:
            return self._kinds[kind].parts.get(identifier)
        except KeyError:
            raise self._unknown_kind(kind) from None

    def require(self, kind: str, identifier: Any) -> Any:
        """The part of that kind and id.

        :raises ConfigurationError: naming what there is, if there is none.
        """
        part = self.get(kind, identifier)
        if part is None:
            known = ", ".join(sorted(_show(known) for known in self._kind(kind).parts)) or "none"
            raise ConfigurationError(
                f"no {kind} for {_show(identifier)}; there are: {known}", hint="see: cmpkit plugins"
            )
        return part

    def client_transport(self, url: str) -> parts.ClientTransportFactory:
        """The road to a URL, by its scheme.

        :raises ConfigurationError: if there is none.
        """
        return self.require("client transport", _scheme(url))  # type: ignore[no-any-return]

    def server_transport(self, url: str) -> parts.ServerTransport:
        """The road that listens on a URL, by its scheme.

        :raises ConfigurationError: if there is none.
        """
        return self.require("server transport", _scheme(url))  # type: ignore[no-any-return]

    def store(self, url: str) -> parts.StoreFactory:
        """The store of a URL, by its scheme.

        :raises ConfigurationError: if there is none.
        """
        return self.require("store", _scheme(url))  # type: ignore[no-any-return]

    def key_algorithm(self, identifier: ObjectIdentifier | str) -> parts.KeyAlgorithm:
        """A key algorithm by the OID of a key or signature, or by the name of a key type.

        :raises CMPError: badAlg if there is none.
        """
        algorithm = self.get("key algorithm", identifier)
        if algorithm is None:
            raise CMPError(
                f"no key algorithm for {_show(identifier)}",
                PKIFailureInfo.BAD_ALG,
                hint="a plugin may bring it, see: cmpkit plugins",
            )
        return algorithm  # type: ignore[no-any-return]

    def key_algorithm_of(self, public_key_info: bytes) -> parts.KeyAlgorithm:
        """The key algorithm of a SubjectPublicKeyInfo.

        :raises CMPError: badDataFormat if it cannot be read, badAlg if no part knows it.
        """
        return self.key_algorithm(read_public_key_info(public_key_info).algorithm.algorithm)

    @property
    def key_types(self) -> tuple[str, ...]:
        """The names of key types that can be generated."""
        return tuple(name for part in self.all("key algorithm") for name in part.key_types)

    def observe(self, event: parts.Event) -> None:
        """Tell every observer."""
        for observer in self._kinds["observer"].parts.values():
            observer.observe(event)


def _scheme(url: str) -> str:
    try:
        return urlsplit(url).scheme
    except ValueError as error:
        raise ConfigurationError(f"{url} is no URL: {error}") from error


def _show(identifier: Any) -> str:
    return identifier.dotted_string if isinstance(identifier, ObjectIdentifier) else str(identifier)


def load_plugins(extra: Sequence[tuple[str, Any]] = (), *, strict: bool = True) -> Plugins:
    """Load the plugins that are installed (entry points of group ``cmpkit``), then ``extra``.

    :param extra: pairs of name and plugin.
    :param strict: whether a plugin that fails to load is an error, or only noted in :attr:`Plugins.loaded`.
    :raises ConfigurationError: naming the plugin that failed.
    """
    plugins = Plugins()
    for entry_point, distribution in _installed():
        try:
            plugins.add(_load(entry_point, distribution), entry_point.name, distribution)
        except ConfigurationError as error:
            if strict:
                raise
            plugins.loaded.append(LoadedPlugin(entry_point.name, distribution, error=error.detail))
    for name, plugin in extra:
        plugins.add(plugin, name)
    return plugins


def _installed() -> list[tuple[importlib.metadata.EntryPoint, str]]:
    """The entry points, ours first, each with name and version of its distribution."""
    found = importlib.metadata.entry_points(group=ENTRY_POINT_GROUP)
    # Each look at a name or a version reads the metadata of the distribution again.
    described = {id(point.dist): _describe(point.dist) for point in {id(point.dist): point for point in found}.values()}
    in_order = sorted(found, key=lambda point: (not described[id(point.dist)].startswith("cmpkit "), point.name))
    return [(point, described[id(point.dist)]) for point in in_order]


def _describe(distribution: importlib.metadata.Distribution | None) -> str:
    return "" if distribution is None else f"{distribution.name} {distribution.version}"


def _load(entry_point: importlib.metadata.EntryPoint, distribution: str) -> Any:
    try:
        return entry_point.load()
    except Exception as error:
        raise ConfigurationError(
            f"plugin {entry_point.name} of {distribution or 'an unknown distribution'} cannot be loaded: {error!r}",
            hint="install what it needs, or uninstall it",
        ) from error
