"""Plugins are found, named when they fail, and refused when they bring what is there."""

from __future__ import annotations

import dataclasses
import importlib.metadata
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.x509 import ObjectIdentifier

from cmpkit import hookspecs, oids
from cmpkit.asn1 import AlgorithmIdentifier, BitString, SubjectPublicKeyInfo, encode
from cmpkit.enums import BodyType, PKIFailureInfo
from cmpkit.errors import CMPError, ConfigurationError
from cmpkit.hookspecs import hookimpl
from cmpkit.parts import Event, ProtectionKind, SharedSecret
from cmpkit.parts.store import Transaction, TransactionState
from cmpkit.plugins import LoadedPlugin, Plugins, load_plugins

OWN_OID = ObjectIdentifier("1.2.3.4")
# Each kind of part, the hook that brings it, a part with what identifies it, and one of its ids.
KINDS: dict[str, tuple[str, SimpleNamespace, Any]] = {
    "client transport": ("cmpkit_client_transports", SimpleNamespace(schemes=("pigeon",)), "pigeon"),
    "server transport": ("cmpkit_server_transports", SimpleNamespace(schemes=("pigeon",)), "pigeon"),
    "protection": ("cmpkit_protections", SimpleNamespace(oids=(OWN_OID,)), OWN_OID),
    "key algorithm": (
        "cmpkit_key_algorithms",
        SimpleNamespace(key_oids=(OWN_OID,), signature_oids=(OWN_OID,), key_types=("own",)),
        "own",
    ),
    "key provider": ("cmpkit_key_providers", SimpleNamespace(schemes=("hsm",)), "hsm"),
    "secret source": ("cmpkit_secret_sources", SimpleNamespace(kind="ldap"), "ldap"),
    "issuer": ("cmpkit_issuers", SimpleNamespace(kind="own"), "own"),
    "policy": ("cmpkit_policies", SimpleNamespace(kind="own"), "own"),
    "certificate profile": ("cmpkit_certificate_profiles", SimpleNamespace(name="device"), "device"),
    "store": ("cmpkit_stores", SimpleNamespace(schemes=("tape",)), "tape"),
    "info type": ("cmpkit_info_types", SimpleNamespace(oid=OWN_OID), OWN_OID),
    "observer": ("cmpkit_observers", SimpleNamespace(), "types.SimpleNamespace"),
}


class Plugin:
    """An object with hook implementations."""

    def __init__(self, **hooks: Any) -> None:
        vars(self).update(hooks)


def plugin_with(hook: str, *parts: Any) -> Any:
    """A plugin that brings parts by one hook."""

    def bring() -> Iterable[Any]:
        return parts

    bring.__name__ = hook
    return Plugin(**{hook: hookimpl(bring)})


@dataclass(frozen=True)
class EntryPoint:
    """What importlib.metadata knows of a plugin."""

    name: str
    load: Callable[[], Any]
    dist: Any = field(default_factory=lambda: SimpleNamespace(name="stranger", version="1.0"))


@pytest.fixture
def entry_points(monkeypatch: pytest.MonkeyPatch) -> list[EntryPoint]:
    """The installed plugins, for the test to fill."""
    found: list[EntryPoint] = []

    def installed(*, group: str) -> list[EntryPoint]:
        assert group == "cmpkit"
        return found

    monkeypatch.setattr(importlib.metadata, "entry_points", installed)
    return found


def broken() -> Any:
    raise ImportError("No module named 'gone'")


class TestOwnPlugins:
    def test_ours_load_and_say_what_they_bring(self) -> None:
        plugins = load_plugins()
        ours = {plugin.name: plugin for plugin in plugins.loaded if plugin.distribution.startswith("cmpkit ")}
        assert {"http", "mac", "signature", "ca", "keys", "store"} <= set(ours)
        assert not [plugin.error for plugin in plugins.loaded if plugin.error]
        assert f"protection {oids.PASSWORD_BASED_MAC.dotted_string}" in " ".join(ours["mac"].parts)
        assert any(part.startswith("client transport http") for part in ours["http"].parts)

    def test_parts_are_found_by_what_they_are_for(self) -> None:
        plugins = load_plugins()
        assert "https" in plugins.client_transport("https://ra.example/cmp").schemes
        assert "http" in plugins.server_transport("http://127.0.0.1:0/").schemes
        assert "sqlite" in plugins.store("sqlite:///cmpkit.db").schemes
        assert plugins.key_algorithm("p256") is plugins.key_algorithm(oids.EC_PUBLIC_KEY)
        assert {"p256", "rsa2048"} <= set(plugins.key_types)
        info = SubjectPublicKeyInfo(
            algorithm=AlgorithmIdentifier(oids.RSA_ENCRYPTION), subject_public_key=BitString(b"", 0)
        )
        assert plugins.key_algorithm_of(encode(info)) is plugins.key_algorithm("rsa2048")

    def test_two_loads_share_nothing(self) -> None:
        one, other = load_plugins(), load_plugins()
        one.add(plugin_with("cmpkit_issuers", SimpleNamespace(kind="only here")), "mine")
        assert other.get("issuer", "only here") is None


class TestRegistration:
    @pytest.mark.parametrize("kind", KINDS)
    def test_a_part_of_each_kind_is_found_by_its_id(self, kind: str) -> None:
        hook, part, identifier = KINDS[kind]
        plugins = Plugins()
        plugins.add(plugin_with(hook, part), "mine", "mine 1.0")
        assert plugins.get(kind, identifier) is part
        assert plugins.require(kind, identifier) is part
        assert plugins.all(kind) == (part,)
        (loaded,) = plugins.loaded
        assert (loaded.name, loaded.distribution, loaded.error) == ("mine", "mine 1.0", "")
        assert loaded.parts[0].startswith(f"{kind} ")

    def test_every_hook_has_a_kind(self) -> None:
        assert {hook for hook, _, _ in KINDS.values()} == {
            name for name in vars(hookspecs) if name.startswith("cmpkit_")
        }

    @pytest.mark.parametrize("kind", KINDS)
    def test_two_plugins_with_one_id_are_refused_by_name(self, kind: str) -> None:
        hook, part, identifier = KINDS[kind]
        plugins = Plugins()
        plugins.add(plugin_with(hook, part), "first")
        with pytest.raises(ConfigurationError, match=f"plugins first and second both bring the {kind}") as caught:
            plugins.add(plugin_with(hook, SimpleNamespace(**vars(part))), "second")
        assert "remove one of them" in str(caught.value)
        assert plugins.get(kind, identifier) is part
        assert [plugin.name for plugin in plugins.loaded] == ["first"]

    def test_nothing_of_a_refused_plugin_stays(self) -> None:
        plugins = Plugins()
        plugins.add(plugin_with("cmpkit_issuers", SimpleNamespace(kind="own")), "first")
        second = plugin_with("cmpkit_issuers", SimpleNamespace(kind="new"), SimpleNamespace(kind="own"))
        for _ in range(2):
            with pytest.raises(ConfigurationError, match="both bring the issuer own"):
                plugins.add(second, "second")
        assert plugins.get("issuer", "new") is None

    def test_one_plugin_cannot_bring_an_id_twice(self) -> None:
        plugin = plugin_with("cmpkit_issuers", SimpleNamespace(kind="own"), SimpleNamespace(kind="own"))
        with pytest.raises(ConfigurationError, match="plugin mine brings the issuer own twice"):
            Plugins().add(plugin, "mine")

    def test_a_plugin_is_added_once(self) -> None:
        plugin = plugin_with("cmpkit_issuers", SimpleNamespace(kind="own"))
        plugins = Plugins()
        plugins.add(plugin, "first")
        with pytest.raises(ConfigurationError, match="plugin again is there already, as first"):
            plugins.add(plugin, "again")
        assert plugins.get("issuer", "own")

    def test_two_plugins_cannot_have_one_name(self) -> None:
        plugins = Plugins()
        plugins.add(plugin_with("cmpkit_issuers", SimpleNamespace(kind="own")), "mine")
        with pytest.raises(ConfigurationError, match=r"plugin mine: .*already registered"):
            plugins.add(plugin_with("cmpkit_issuers"), "mine")

    def test_a_misspelt_hook_is_named(self) -> None:
        with pytest.raises(ConfigurationError, match=r"plugin mine: unknown hook 'cmpkit_isuers'"):
            Plugins().add(plugin_with("cmpkit_isuers"), "mine")

    def test_a_hook_with_an_argument_is_refused(self) -> None:
        @hookimpl
        def cmpkit_issuers(config: object) -> list[Any]:
            return []

        with pytest.raises(ConfigurationError, match=r"(?s)plugin mine: .*'config'"):
            Plugins().add(Plugin(cmpkit_issuers=cmpkit_issuers), "mine")

    def test_a_part_without_its_id_is_refused(self) -> None:
        with pytest.raises(ConfigurationError, match=r"plugin mine: .*has no attribute 'kind'"):
            Plugins().add(plugin_with("cmpkit_issuers", SimpleNamespace()), "mine")

    def test_a_hook_that_raises_is_refused_with_its_error(self) -> None:
        @hookimpl
        def cmpkit_issuers() -> list[Any]:
            raise RuntimeError("no licence")

        plugins = Plugins()
        plugin = Plugin(cmpkit_issuers=cmpkit_issuers)
        for _ in range(2):
            with pytest.raises(ConfigurationError, match="plugin mine: no licence") as caught:
                plugins.add(plugin, "mine")
        assert isinstance(caught.value.__cause__, RuntimeError)
        assert plugins.loaded == []

    def test_a_plugin_without_hooks_brings_nothing(self) -> None:
        plugins = Plugins()
        plugins.add(Plugin(), "empty")
        assert plugins.loaded == [LoadedPlugin("empty")]


class TestLookup:
    @pytest.mark.parametrize("kind", KINDS)
    def test_what_is_missing_is_refused_with_what_there_is(self, kind: str) -> None:
        hook, part, identifier = KINDS[kind]
        plugins = Plugins()
        with pytest.raises(ConfigurationError, match=f"no {kind} for gone; there are: none"):
            plugins.require(kind, "gone")
        plugins.add(plugin_with(hook, part), "mine")
        known = getattr(identifier, "dotted_string", identifier)
        with pytest.raises(ConfigurationError, match=f"no {kind} for gone; there are: .*{known}.*cmpkit plugins"):
            plugins.require(kind, "gone")
        assert plugins.get(kind, "gone") is None

    def test_an_unknown_kind_is_refused_with_the_kinds_there_are(self) -> None:
        plugins = Plugins()
        for look in (plugins.all, lambda kind: plugins.get(kind, ""), lambda kind: plugins.require(kind, "")):
            with pytest.raises(ConfigurationError, match="called 'isuer'; there are: client transport, "):
                look("isuer")

    @pytest.mark.parametrize("url", ["gopher://x", "no scheme", ""])
    def test_a_url_that_nobody_serves_is_refused(self, url: str) -> None:
        plugins = Plugins()
        for look in (plugins.client_transport, plugins.server_transport, plugins.store):
            with pytest.raises(ConfigurationError, match="there are: none"):
                look(url)

    def test_what_is_no_url_is_refused(self) -> None:
        with pytest.raises(ConfigurationError, match=r"http://\[::1 is no URL"):
            Plugins().client_transport("http://[::1")

    @pytest.mark.parametrize("identifier", ["p999", OWN_OID])
    def test_an_unknown_key_algorithm_is_bad_alg_for_the_peer(self, identifier: Any) -> None:
        with pytest.raises(CMPError, match="no key algorithm for ") as caught:
            Plugins().key_algorithm(identifier)
        assert caught.value.fail_info == PKIFailureInfo.BAD_ALG

    def test_a_public_key_that_cannot_be_read_is_bad_data_format(self) -> None:
        with pytest.raises(CMPError) as caught:
            Plugins().key_algorithm_of(b"\x30\x00")
        assert caught.value.fail_info == PKIFailureInfo.BAD_DATA_FORMAT

    def test_a_part_with_several_ids_is_there_once(self) -> None:
        part = SimpleNamespace(schemes=("http", "https"))
        plugins = Plugins()
        plugins.add(plugin_with("cmpkit_client_transports", part), "mine")
        assert plugins.all("client transport") == (part,)
        assert plugins.loaded[0].parts == ("client transport http https",)

    def test_every_observer_is_told(self) -> None:
        class Listener:
            def __init__(self) -> None:
                self.heard: list[Event] = []

            def observe(self, event: Event) -> None:
                self.heard.append(event)

        class Other(Listener):
            pass

        listeners = (Listener(), Other())
        plugins = Plugins()
        plugins.add(plugin_with("cmpkit_observers", *listeners), "mine")
        event = Event("issued", b"id", {"serial": 1})
        plugins.observe(event)
        assert [listener.heard for listener in listeners] == [[event], [event]]


class TestInstalled:
    def test_plugins_of_strangers_come_after_ours_in_the_order_of_their_names(
        self, entry_points: list[EntryPoint]
    ) -> None:
        ours = SimpleNamespace(name="cmpkit", version="1.0")
        entry_points += [
            EntryPoint("b", Plugin),
            EntryPoint("a", Plugin),
            EntryPoint("z", Plugin, ours),
            EntryPoint("nobody", Plugin, None),
        ]
        plugins = load_plugins([("extra", Plugin())])
        assert [(plugin.name, plugin.distribution) for plugin in plugins.loaded] == [
            ("z", "cmpkit 1.0"),
            ("a", "stranger 1.0"),
            ("b", "stranger 1.0"),
            ("nobody", ""),
            ("extra", ""),
        ]

    def test_a_plugin_that_cannot_be_loaded_is_named_with_its_distribution(
        self, entry_points: list[EntryPoint]
    ) -> None:
        entry_points.append(EntryPoint("bad", broken))
        with pytest.raises(ConfigurationError, match=r"bad of stranger 1.0 cannot be loaded: ImportError") as caught:
            load_plugins()
        assert "uninstall" in str(caught.value)
        assert isinstance(caught.value.__cause__, ImportError)

    def test_without_a_distribution_it_is_named_all_the_same(self, entry_points: list[EntryPoint]) -> None:
        entry_points.append(EntryPoint("bad", broken, None))
        with pytest.raises(ConfigurationError, match="plugin bad of an unknown distribution cannot be loaded"):
            load_plugins()

    def test_where_failures_are_only_noted_the_others_load(self, entry_points: list[EntryPoint]) -> None:
        hook, part, identifier = KINDS["issuer"]
        entry_points += [
            EntryPoint("bad", broken),
            EntryPoint("good", lambda: plugin_with(hook, part)),
            EntryPoint("late", lambda: plugin_with(hook, part)),
        ]
        plugins = load_plugins(strict=False)
        assert plugins.require("issuer", identifier) is part
        errors = {plugin.name: plugin.error for plugin in plugins.loaded}
        assert errors["good"] == ""
        assert "No module named 'gone'" in errors["bad"]
        assert errors["late"] == "plugins good and late both bring the issuer own"

    def test_extra_plugins_must_load_always(self, entry_points: list[EntryPoint]) -> None:
        assert entry_points == []
        with pytest.raises(ConfigurationError, match="plugin mine"):
            load_plugins([("mine", plugin_with("cmpkit_isuers"))], strict=False)


class TestValues:
    """What the values of the parts do beyond holding their fields."""

    def test_text_of_a_secret_is_utf_8_and_the_secret_is_never_shown(self) -> None:
        secret = SharedSecret("gerät", "geheim")
        assert secret == SharedSecret("gerät".encode(), b"geheim")
        assert "geheim" not in repr(secret)
        assert repr(SharedSecret("dev-42", "x")) == "SharedSecret(b'dev-42', …)"

    def test_an_answered_transaction_differs_in_its_nonce_alone(self) -> None:
        before = Transaction(
            b"id",
            "mac:00",
            BodyType.IR,
            TransactionState.PENDING,
            version=3,
            implicit_confirm=True,
            sender_nonce=b"old",
            peer_nonces=(b"a",),
            request=b"ir",
            witnesses=(b"witness",),
            certificates=((0, "issuer", 5),),
            extra_certs=(b"certificate",),
            expires=datetime(2026, 1, 1, tzinfo=UTC),
            road="file",
        )
        assert before.answered(b"new", "http") == dataclasses.replace(before, sender_nonce=b"new")

    def test_protections_are_by_mac_agreement_signature_or_kem(self) -> None:
        assert [kind.value for kind in ProtectionKind] == ["MAC", "key agreement", "signature", "KEM"]
