"""The configuration file as values, checked as far as it can be without opening anything that it names."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from cmpkit.ca.cross_profiles import load_cross_profile
from cmpkit.ca.profiles import load_profile
from cmpkit.ca.settings import Settings, naming, read_settings
from cmpkit.config.listening import Listening
from cmpkit.config.mistakes import Mistakes
from cmpkit.config.tables import (
    AnnounceTable,
    EncryptionTable,
    ListenTable,
    OCSPTable,
    PublicationTable,
    RepositoryTable,
    ServerTable,
    SignerTable,
    StoreTable,
    UpstreamTable,
)
from cmpkit.config.upstreams import read_routes, read_upstreams
from cmpkit.endpoints.announcing import open_road
from cmpkit.endpoints.tolerating import wanted_tolerances
from cmpkit.errors import ConfigurationError
from cmpkit.parts import CertificateProfile
from cmpkit.plugins import Plugins
from cmpkit.relay.routes import Route
from cmpkit.tolerances import Side

__all__ = ["TABLES", "Configuration", "Draft", "PartTable", "load_configuration", "read_draft"]

S = TypeVar("S", bound=Settings)

TABLES: Final = (
    "store",
    "issuer",
    "signer",
    "encryption",
    "listen",
    "ocsp",
    "publication",
    "announce",
    "repository",
    "upstream",
    "route",
    "policy",
    "secrets",
    "profiles",
    "server",
)
"""The tables that there are."""

_PROFILE_KINDS: Mapping[str, Callable[[str, Mapping[str, Any], Plugins], CertificateProfile]] = {
    "end-entity": load_profile,
    "cross-certificate": load_cross_profile,
}
_REQUIRED = ("store", "signer", "listen")
_ISSUING = ("ocsp", "publication", "announce")


@dataclass(frozen=True, slots=True)
class PartTable:
    """A table that names the kind of a part; the part reads the rest of it.

    :param kind: under which a plugin brings the part.
    :param settings: the table, without ``kind``.
    """

    kind: str
    settings: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Configuration:
    """What a configuration file says.

    :param path: the file, absolute.
    :param issuer: ``None`` if everything goes to upstreams.
    :param secrets: where shared secrets are looked up, in this order.
    :param profiles: the certificate profiles of the file and of plugins.
    :param ocsp: ``None`` if OCSP is not answered.
    :param publication: ``None`` if nothing is published.
    :param announce: the repositories that are told of what changes.
    :param repository: ``None`` if announcements of others are refused.
    :param encryption: ``None`` if requesters can encrypt to nothing but their shared secrets.
    :param upstreams: the CMP servers behind this one.
    :param routes: where messages go; those that fit none are answered here.
    """

    path: Path
    store: StoreTable
    issuer: PartTable | None
    signer: SignerTable
    listen: tuple[Listening, ...]
    policy: PartTable
    secrets: tuple[PartTable, ...]
    profiles: Mapping[str, CertificateProfile]
    server: ServerTable
    ocsp: OCSPTable | None = None
    publication: PublicationTable | None = None
    announce: tuple[AnnounceTable, ...] = ()
    repository: RepositoryTable | None = None
    encryption: EncryptionTable | None = None
    upstreams: tuple[UpstreamTable, ...] = ()
    routes: tuple[Route, ...] = ()

    @property
    def directory(self) -> Path:
        """Where relative paths start."""
        return self.path.parent


@dataclass(frozen=True, slots=True)
class Draft:
    """What could be read of a configuration file; ``None`` for what is missing or wrong."""

    path: Path
    store: StoreTable | None
    issuer: PartTable | None
    signer: SignerTable | None
    listen: tuple[Listening, ...]
    policy: PartTable | None
    secrets: tuple[PartTable, ...]
    profiles: Mapping[str, CertificateProfile]
    server: ServerTable | None
    ocsp: OCSPTable | None
    publication: PublicationTable | None
    announce: tuple[AnnounceTable, ...]
    repository: RepositoryTable | None
    encryption: EncryptionTable | None
    upstreams: tuple[UpstreamTable, ...]
    routes: tuple[Route, ...]

    @property
    def directory(self) -> Path:
        """Where relative paths start."""
        return self.path.parent

    def finished(self) -> Configuration:
        """The configuration; only of a draft without mistakes."""
        assert self.store is not None
        assert self.signer is not None
        assert self.policy is not None
        assert self.server is not None
        return Configuration(
            self.path,
            self.store,
            self.issuer,
            self.signer,
            self.listen,
            self.policy,
            self.secrets,
            self.profiles,
            self.server,
            self.ocsp,
            self.publication,
            self.announce,
            self.repository,
            self.encryption,
            self.upstreams,
            self.routes,
        )


def load_configuration(path: Path, plugins: Plugins) -> Configuration:
    """Read a configuration file. Nothing that it names is opened.

    :raises ConfigurationError: naming every mistake with its key.
    """
    mistakes = Mistakes(path)
    draft = read_draft(path, plugins, mistakes)
    mistakes.check()
    return draft.finished()


def read_draft(path: Path, plugins: Plugins, mistakes: Mistakes) -> Draft:
    """Read as much as can be read.

    :param mistakes: gets what is wrong.
    :raises ConfigurationError: if the file cannot be read at all.
    """
    path = path.absolute()
    tables = _read(path)
    _check_tables(tables, mistakes)
    reader = _Reader(tables, plugins, mistakes, path.parent)
    upstreams = reader.upstreams()
    draft = Draft(
        path,
        reader.store(),
        reader.part("issuer", "issuer"),
        reader.table("signer", SignerTable),
        reader.listen(),
        reader.part("policy", "policy", default="default"),
        reader.secrets(),
        reader.profiles(),
        reader.server(),
        reader.table("ocsp", OCSPTable),
        reader.table("publication", PublicationTable),
        reader.announce(),
        reader.table("repository", RepositoryTable),
        reader.table("encryption", EncryptionTable),
        upstreams,
        reader.routes(upstreams),
    )
    _check_publication(draft, mistakes)
    return draft


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(
            f"the configuration file {path} cannot be read: {error.strerror}",
            hint="name it with --config, or make one with: cmpkit init DIR",
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is no TOML: {error}") from error


def _check_tables(tables: Mapping[str, Any], mistakes: Mistakes) -> None:
    for name in tables:
        if name not in TABLES:
            mistakes.add(f"[{name}]: there is no such table; there are: {', '.join(TABLES)}")
    relays = "upstream" in tables
    for name in (*_REQUIRED, *(() if relays else ("issuer",))):
        if name not in tables:
            mistakes.add(f"[{name}]: is missing")
    if relays and "issuer" not in tables:
        for name in (name for name in _ISSUING if name in tables):
            mistakes.add(f"[{name}]: needs an [issuer]")


class _Reader:
    """Reads one table after the other; what is wrong goes to the mistakes."""

    def __init__(self, tables: Mapping[str, Any], plugins: Plugins, mistakes: Mistakes, directory: Path) -> None:
        self._tables = tables
        self._plugins = plugins
        self._mistakes = mistakes
        self._directory = directory

    def table(self, name: str, kind: type[S]) -> S | None:
        """A table of ours, or ``None`` if it is missing or wrong."""
        with self._mistakes:
            if name in self._tables:
                return read_settings(kind, _as_table(self._tables[name], f"[{name}]"), name)
        return None

    def store(self) -> StoreTable | None:
        """The table ``[store]``."""
        table = self.table("store", StoreTable)
        if table is not None:
            with self._mistakes, naming("[store] url"):
                self._plugins.store(table.url)
                return table
        return None

    def part(self, name: str, part: str, *, default: str | None = None) -> PartTable | None:
        """The table of a part, or ``None`` if it is missing or its kind is not known."""
        with self._mistakes:
            if name in self._tables or default is not None:
                table = _as_table(self._tables.get(name, {}), f"[{name}]")
                return _part_table(table, f"[{name}]", part, self._plugins, default)
        return None

    def listen(self) -> tuple[Listening, ...]:
        """The tables ``[[listen]]``."""
        found: list[ListenTable] = []
        for table in self._list("listen"):
            with self._mistakes:
                found.append(read_settings(ListenTable, table, "[listen]"))
        roads: list[Listening] = []
        for number, listen in enumerate(found):
            with self._mistakes:
                roads.append(Listening.of(listen, self._plugins, self._directory))
                if listen.url in [earlier.url for earlier in found[:number]]:
                    raise ConfigurationError(f"[[listen]] url: {listen.url} is there twice")
        return tuple(roads)

    def announce(self) -> tuple[AnnounceTable, ...]:
        """The tables ``[[announce]]``."""
        found: list[AnnounceTable] = []
        for table in self._list("announce"):
            with self._mistakes:
                read = read_settings(AnnounceTable, table, "[announce]")
                with naming("[[announce]] url"):
                    open_road(read.url, read.options(self._directory), self._plugins)
                found.append(read)
        return tuple(found)

    def upstreams(self) -> tuple[UpstreamTable, ...]:
        """The tables ``[[upstream]]``."""
        return read_upstreams(self._list("upstream"), self._plugins, self._mistakes, self._directory)

    def routes(self, upstreams: Sequence[UpstreamTable]) -> tuple[Route, ...]:
        """The tables ``[[route]]``, or what is meant without any."""
        return read_routes(self._list("route"), upstreams, self._mistakes, issues="issuer" in self._tables)

    def secrets(self) -> tuple[PartTable, ...]:
        """The tables ``[[secrets]]``; without any, the secrets of the store."""
        found: list[PartTable] = []
        for table in self._list("secrets"):
            with self._mistakes:
                found.append(_part_table(table, "[[secrets]]", "secret source", self._plugins, None))
        return tuple(found) if "secrets" in self._tables else (PartTable("store", {}),)

    def profiles(self) -> dict[str, CertificateProfile]:
        """The profiles of plugins, and the tables ``[profiles.NAME]``."""
        found: dict[str, CertificateProfile] = {
            profile.name: profile for profile in self._plugins.all("certificate profile")
        }
        with self._mistakes:
            tables = _as_table(self._tables.get("profiles", {}), "[profiles]")
            for name, table in tables.items():
                with self._mistakes:
                    if name in found:
                        raise ConfigurationError(f"[profiles.{name}]: a plugin brings a profile of that name")
                    found[name] = _load_profile(name, _as_table(table, f"[profiles.{name}]"), self._plugins)
        return found

    def server(self) -> ServerTable | None:
        """The table ``[server]``."""
        with self._mistakes:
            server = read_settings(ServerTable, _as_table(self._tables.get("server", {}), "[server]"), "server")
            keys = ("[server] tolerances", "[server] peer")
            wanted_tolerances(Side.SERVER, self._plugins, names=server.tolerances, peer=server.peer, keys=keys)
            return server
        return None

    def _list(self, name: str) -> Iterable[Mapping[str, Any]]:
        tables = self._tables.get(name, [])
        if (
            isinstance(tables, list)
            and all(isinstance(table, dict) for table in tables)
            and (tables or name == "secrets")
        ):
            return tables
        if name in self._tables:
            self._mistakes.add(f"[[{name}]]: must be tables, each under a line [[{name}]]")
        return ()


def _check_publication(draft: Draft, mistakes: Mistakes) -> None:
    """Whether somebody is told of certificates that are to be published."""
    if any("cann" in table.what for table in draft.announce):
        return
    for name, profile in draft.profiles.items():
        if getattr(profile, "publish", False) is True:
            mistakes.add(f"[profiles.{name}] publish: nobody is told, no [[announce]] has cann in its what")


def _load_profile(name: str, table: Mapping[str, Any], plugins: Plugins) -> CertificateProfile:
    """A profile of the kind that its table names."""
    kind = table.get("kind", "end-entity")
    load = _PROFILE_KINDS.get(kind) if isinstance(kind, str) else None
    if load is None:
        raise ConfigurationError(f"[profiles.{name}] kind: {kind!r} is none of {', '.join(_PROFILE_KINDS)}")
    return load(name, {key: value for key, value in table.items() if key != "kind"}, plugins)


def _as_table(value: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ConfigurationError(f"{name}: must be a table, not a single value")
    return value


def _part_table(table: Mapping[str, Any], name: str, part: str, plugins: Plugins, default: str | None) -> PartTable:
    kind = table.get("kind", default)
    if not isinstance(kind, str):
        raise ConfigurationError(f"{name} kind: is missing" if kind is None else f"{name} kind: must be text")
    try:
        plugins.require(part, kind)
    except ConfigurationError as error:
        raise ConfigurationError(f"{name} kind: {error.detail}", hint=error.hint) from error
    return PartTable(kind, {key: value for key, value in table.items() if key != "kind"})
