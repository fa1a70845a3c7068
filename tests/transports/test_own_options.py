"""Options that only one road knows, wherever they come from; and none is ignored."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import pytest

from cmpkit.errors import ConfigurationError
from cmpkit.parts import TransportOptions
from cmpkit.transports import (
    TLS_OPTIONS,
    MemoryPost,
    Password,
    configure_server,
    read_own_options,
    refuse_other_options,
    split_query,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    """What some road knows."""

    address: str
    size: int = 1
    share: float = 0.5
    keep: bool = False
    folder: Path | None = None
    poll: timedelta = timedelta(minutes=1)
    password: Password | None = None
    mode: Literal["fast", "slow"] = "fast"
    names: tuple[str, ...] = ()


def read(**given: Any) -> Own:
    return read_own_options(Own, given, directory=Path("/base"))


def test_what_is_not_given_has_its_default() -> None:
    assert read(address="a") == Own(address="a")


@pytest.mark.parametrize(
    ("name", "given", "value"),
    [
        ("size", 7, 7),
        ("size", "7", 7),
        ("share", 1, 1.0),
        ("share", "0.25", 0.25),
        ("keep", True, True),
        ("keep", "true", True),
        ("keep", "false", False),
        ("folder", "x/y", Path("/base/x/y")),
        ("folder", "/x", Path("/x")),
        ("poll", "5m", timedelta(minutes=5)),
        ("mode", "slow", "slow"),
        ("names", "a, b", ("a", "b")),
        ("names", ["a", "b"], ("a", "b")),
    ],
)
def test_values_are_read_from_tables_and_from_text(name: str, given: object, value: object) -> None:
    assert getattr(read(address="a", **{name: given}), name) == value


@pytest.mark.parametrize(
    ("given", "mistake"),
    [
        ({}, "address: is missing"),
        ({"address": 7}, "address: text is needed"),
        ({"address": ""}, "address: text is needed"),
        ({"size": "many"}, "size: a whole number is needed"),
        ({"size": True}, "size: a whole number is needed"),
        ({"size": 1.5}, "size: a whole number is needed"),
        ({"share": "much"}, "share: a number is needed"),
        ({"keep": "yes"}, "keep: true or false is needed"),
        ({"poll": "5"}, "poll: a length of time is needed"),
        ({"mode": "medium"}, "mode: one of fast, slow is needed"),
        ({"names": 3}, "names: a list is needed"),
        ({"names": [3]}, "names: text is needed"),
        ({"password": "hush"}, "password: a password is given as file:PATH or env:NAME"),
        ({"password": "file:missing"}, "password: /base/missing cannot be read"),
        ({"adress": "a"}, "adress: there is no such option; there are: address, size"),
    ],
)
def test_every_mistake_is_named_with_its_option(given: dict[str, object], mistake: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        read_own_options(Own, given, directory=Path("/base"))
    assert mistake in caught.value.detail
    assert "hush" not in str(caught.value)


def test_a_password_is_read_and_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pw").write_text("from a file\nand more")
    monkeypatch.setenv("PW", "from the environment")
    for source, value in (("file:pw", b"from a file"), ("env:PW", b"from the environment")):
        own = read_own_options(Own, {"address": "a", "password": source}, directory=tmp_path)
        assert own.password == Password(value)
        assert "from" not in repr(own)


def test_options_may_be_in_a_url() -> None:
    assert split_query("mailto:ca@x?poll=5m&keep=", {"size": 1}) == (
        "mailto:ca@x",
        {"size": 1, "poll": "5m", "keep": ""},
    )
    for url, given in (("x:y?a=1", {"a": "1"}), ("x:y?a=1&a=2", {})):
        with pytest.raises(ConfigurationError, match="a: is given twice"):
            split_query(url, given)


@pytest.mark.parametrize("name", [*TLS_OPTIONS, "proxy", "no_proxy"])
def test_an_option_that_means_nothing_is_refused_and_named(name: str) -> None:
    options = TransportOptions(**{name: "x"})
    with pytest.raises(ConfigurationError, match=f"{name}: means nothing to the road tcp"):
        refuse_other_options(options, "tcp://x", "own")
    refuse_other_options(options, "tcp://x", name)


def test_what_every_road_takes_is_never_refused() -> None:
    refuse_other_options(TransportOptions(timeout=1, max_response_size=1, directory=Path("/x")), "tcp://x")


def test_an_own_option_of_a_road_without_any_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="speed: means nothing"):
        refuse_other_options(TransportOptions(own={"speed": "1"}), "tcp://x")


def test_a_server_without_keys_of_its_own_takes_none() -> None:
    server = MemoryPost()
    assert configure_server(server, {}, Path()) is server
    with pytest.raises(ConfigurationError, match="speed, size: the road memory-post has no such key"):
        configure_server(server, {"speed": 1, "size": 2}, Path())
