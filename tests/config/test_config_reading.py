from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from cmpkit.config import Configuration, load_configuration
from cmpkit.errors import ConfigurationError
from cmpkit.hookspecs import hookimpl
from cmpkit.plugins import Plugins, load_plugins

Write = Callable[..., Path]


def mistakes(path: Path, plugins: Plugins) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        load_configuration(path, plugins)
    title, *lines = str(caught.value).splitlines()
    assert str(path) in title
    return [line.strip() for line in lines] or [title.removeprefix(f"{path}: ")]


def test_what_init_writes_is_read(configuration: Configuration) -> None:
    assert configuration.store.url == "sqlite:///cmpkit.db"
    assert configuration.issuer.kind == "local"
    assert "kind" not in configuration.issuer.settings
    assert configuration.policy.settings == {"default_profile": "device", "allow_key_reuse": True}
    assert [listen.url for listen in configuration.listen] == ["http://127.0.0.1:0/.well-known/cmp"]
    assert [table.kind for table in configuration.secrets] == ["store"]
    assert set(configuration.profiles) == {"device"}


def test_the_values_of_the_server_table_are_read(write: Write, plugins: Plugins) -> None:
    path = write(
        ('# tolerances = ["hmac-sha1"]', 'tolerances = ["hmac-sha1"]'),
        ("implicit_confirm = true", "implicit_confirm = false"),
        ('# message_time_window = "300s"', 'message_time_window = "off"'),
        ("# max_message_size = 1048576", "max_message_size = 65536"),
    )
    server = load_configuration(path, plugins).server
    assert server.tolerances == ("hmac-sha1",)
    assert server.implicit_confirm is False
    assert server.message_time_window is None
    assert server.max_message_size == 65536
    assert server.confirm_wait_time == timedelta(minutes=15)


def test_without_optional_tables_there_are_defaults(write: Write, plugins: Plugins) -> None:
    path = write()
    text = path.read_text()
    tables = text.split("\n[")
    kept = [table for table in tables if not table.startswith(("server]", "policy]", "[secrets]"))]
    path.write_text("\n[".join(kept))
    configuration = load_configuration(path, plugins)
    assert configuration.server.message_time_window == timedelta(seconds=300)
    assert configuration.policy.kind == "default"
    assert [table.kind for table in configuration.secrets] == ["store"]


@pytest.mark.parametrize(
    ("old", "new", "mistake"),
    [
        ("[policy]", "[polcy]", "[polcy]: there is no such table; there are: store, issuer,"),
        ('kind = "local"', 'kind = "remote"', "[issuer] kind: no issuer for remote; there are: cmp, command, local;"),
        ('kind = "local"', "", "[issuer] kind: is missing"),
        ('kind = "local"', "kind = 1", "[issuer] kind: must be text"),
        ('kind = "default"', 'kind = "lenient"', "[policy] kind: no policy for lenient"),
        ('[[secrets]]\nkind = "store"', '[[secrets]]\nkind = "vault"', "[[secrets]] kind: no secret source for vault"),
        ('url = "http:', 'url = "gopher:', "[[listen]] url: no server transport for gopher; there are: "),
        ("http://127.0.0.1:0", "http://", "[[listen]] cannot listen on http:///.well-known/cmp: it names no host"),
        ("http://127.0.0.1:0", "http://127.0.0.1:port", "[[listen]] cannot listen on"),
        ("[[listen]]\nurl", "[[listen]]\nurls", "[[listen]] url: is missing"),
        ("[[listen]]", "[listen]", "[[listen]]: must be tables, each under a line [[listen]]"),
        ("sqlite:///cmpkit.db", "mysql:///cmpkit", "[store] url: no store for mysql; there are:"),
        ("sealing_key_file", "sealing_key", "[store] sealing_key_file: is missing"),
        ('certificate = "signer.pem"', "certificate = 1", "[signer] certificate: Input should be a valid string"),
        ('# tolerances = ["hmac-sha1"]', 'tolerances = ["sha1"]', "[server] tolerances: there is no sha1"),
        (
            '# tolerances = ["hmac-sha1"]',
            'tolerances = ["unprotected-errors"]',
            "[server] tolerances: there is no unprotected-errors; unprotected-errors is not for a server",
        ),
        ('# peer = "openssl-3.0"', 'peer = "openssl-0.9"', "[server] peer: there is no openssl-0.9"),
        ('confirm_wait_time = "15m"', "confirm_wait_time = 15", "[server] confirm_wait_time: a length of time"),
        ("# max_message_size = 1048576", "max_message_size = 10", "[server] max_message_size: Input should be greater"),
        (
            '# message_time_window = "300s"',
            'message_time_window = "no"',
            "[server] message_time_window: a length of time",
        ),
        (
            "implicit_confirm = true",
            'implicit_confirm = "yes"',
            "[server] implicit_confirm: Input should be a valid bool",
        ),
        (
            "[profiles.device]",
            "[profiles]\ndevice = 1\n[profiles.x]",
            "[profiles.device]: must be a table, not a single",
        ),
        ('validity = "365d"', 'validty = "365d"', "[profiles.device] validty: there is no such key"),
        ("# key_types = [", 'key_types = ["rsa8"] # ', "[profiles.device] key_types: rsa8: is none of"),
        ("[signer]", "[other.signer]", "[signer]: is missing"),
    ],
)
def test_a_mistake_is_named_with_its_key(write: Write, plugins: Plugins, old: str, new: str, mistake: str) -> None:
    found = mistakes(write((old, new)), plugins)
    assert any(line.startswith(mistake) for line in found), found


def test_all_mistakes_are_named_at_once(write: Write, plugins: Plugins) -> None:
    path = write(
        ("sealing_key_file", "sealing_key"),
        ('kind = "local"', 'kind = "remote"'),
        ("127.0.0.1:0/.well-known/cmp", "127.0.0.1:0/%"),
        ("implicit_confirm = true", "implicit_confirm = 1\nimplicit = 2"),
        more="[elsewhere]\n",
    )
    found = mistakes(path, plugins)
    for table in ("[store] sealing_key_file", "[store] sealing_key:", "[issuer] kind", "[[listen]] cannot"):
        assert any(line.startswith(table) for line in found)
    for table in ("[server] implicit_confirm", "[server] implicit:", "[elsewhere]"):
        assert any(line.startswith(table) for line in found)


def test_an_address_that_is_there_twice_is_a_mistake(write: Write, plugins: Plugins) -> None:
    path = write(more='[[listen]]\nurl = "http://127.0.0.1:0/.well-known/cmp"\n')
    assert mistakes(path, plugins) == ["[[listen]] url: http://127.0.0.1:0/.well-known/cmp is there twice"]


def test_a_table_that_must_be_one_may_not_be_a_value(write: Write, plugins: Plugins) -> None:
    path = write()
    path.write_text('store = "sqlite:///cmpkit.db"\nlisten = []\n')
    assert "[store]: must be a table, not a single value" in mistakes(path, plugins)
    assert "[[listen]]: must be tables, each under a line [[listen]]" in mistakes(path, plugins)


def test_a_profile_of_a_plugin_is_there_beside_those_of_the_file(write: Write) -> None:
    class Profile:
        name = "robot"

    class Brings:
        @hookimpl
        def cmpkit_certificate_profiles(self) -> list[Profile]:
            return [Profile()]

    plugins = load_plugins([("robots", Brings())])
    assert set(load_configuration(write(), plugins).profiles) == {"device", "robot"}
    path = write(more='[profiles.robot]\nvalidity = "1d"\n')
    assert mistakes(path, plugins) == ["[profiles.robot]: a plugin brings a profile of that name"]


def test_a_file_that_is_not_there_is_named_with_what_to_do(tmp_path: Path, plugins: Plugins) -> None:
    with pytest.raises(ConfigurationError, match=r"nothing\.toml cannot be read: No such file") as caught:
        load_configuration(tmp_path / "nothing.toml", plugins)
    assert "cmpkit init" in caught.value.hint


@pytest.mark.parametrize("octets", [b"[store", b"# \xff"])
def test_a_file_that_is_no_toml_is_refused(tmp_path: Path, plugins: Plugins, octets: bytes) -> None:
    path = tmp_path / "cmpkit.toml"
    path.write_bytes(octets)
    with pytest.raises(ConfigurationError, match="is no TOML"):
        load_configuration(path, plugins)
