"""From a URL to the road that leads there."""

from __future__ import annotations

from typing import Any

import pytest

from cmpkit.errors import ConfigurationError
from cmpkit.hookspecs import hookimpl
from cmpkit.parts import TransportOptions
from cmpkit.plugins import Plugins
from cmpkit.transports import open_transport


class Opener:
    schemes = ("http", "mem")

    def open(self, url: str, options: TransportOptions) -> Any:
        return url, options


class Roads:
    @staticmethod
    @hookimpl
    def cmpkit_client_transports() -> list[Opener]:
        return [Opener()]


@pytest.fixture
def plugins() -> Plugins:
    plugins = Plugins()
    plugins.add(Roads, "roads")
    return plugins


@pytest.mark.parametrize("url", ["http://ra.example/cmp", "HTTP://ra.example", "mem:anything", "mem://anything"])
def test_the_scheme_chooses_the_road(plugins: Plugins, url: str) -> None:
    opened: Any = open_transport(plugins, url)
    assert opened == (url, TransportOptions())


def test_options_reach_the_road(plugins: Plugins) -> None:
    opened: Any = open_transport(plugins, "http://ra.example", TransportOptions(timeout=3))
    assert opened[1].timeout == 3


@pytest.mark.parametrize(
    ("url", "meant"),
    [
        ("localhost:8080/cmp", "http://localhost:8080/cmp"),
        ("ra.example", "http://ra.example"),
        ("//ra.example/cmp", "http://ra.example/cmp"),
        ("[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_without_a_scheme_the_error_says_what_may_be_meant(plugins: Plugins, url: str, meant: str) -> None:
    with pytest.raises(ConfigurationError, match="has no scheme") as caught:
        open_transport(plugins, url)
    assert caught.value.hint == f"did you mean {meant}?"


def test_an_unknown_scheme_is_refused_with_those_that_are_known(plugins: Plugins) -> None:
    with pytest.raises(ConfigurationError, match="no client transport for gopher; there are: http, mem"):
        open_transport(plugins, "gopher://ra.example")


def test_a_broken_url_is_refused(plugins: Plugins) -> None:
    with pytest.raises(ConfigurationError, match="is no URL"):
        open_transport(plugins, "http://[::1/cmp")
