"""Fixtures for pytest: a CA with its server in the process of the tests, clients, and time that a test moves.

pytest loads this module wherever cmpkit is installed, so it imports the rest of cmpkit only when a fixture is used. The
fixtures are not ``async`` and belong to no event loop: tests on asyncio, on trio and without either may use them.

The setting ``cmp_backends`` of pytest (``cmp_backends = ["asyncio", "trio"]`` in pyproject.toml) has anyio's plugin run
each async test once on each of them; without it, anyio takes those that happen to be installed.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest

if TYPE_CHECKING:
    from cmpkit.blocking import Client as BlockingClient
    from cmpkit.endpoints.client import Client
    from cmpkit.parts import SharedSecret
    from cmpkit.plugins import Plugins
    from cmpkit.testing import InProcessCA, VirtualClock

__all__ = [
    "cmp_blocking_client",
    "cmp_ca",
    "cmp_client",
    "cmp_plugins",
    "cmp_secret",
    "pytest_addoption",
    "pytest_generate_tests",
    "virtual_clock",
]

T = TypeVar("T")


def _run(function: Callable[[], Awaitable[T]]) -> T:
    """Run something async in a thread of its own: in this one a loop may be waiting for the test."""
    from anyio.from_thread import start_blocking_portal

    with start_blocking_portal() as portal:
        return portal.call(function)


def pytest_addoption(parser: pytest.Parser) -> None:
    """The setting ``cmp_backends``."""
    parser.addini("cmp_backends", "the event loops on which anyio runs each async test: asyncio, trio", type="args")


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each async test once on each of the event loops of the setting."""
    backends = metafunc.config.getini("cmp_backends")
    if backends and "anyio_backend" in metafunc.fixturenames:
        # A mark, for that has precedence over the parameters of anyio's own fixture.
        metafunc.definition.add_marker(pytest.mark.parametrize("anyio_backend", backends, scope="session"))


@pytest.fixture
def virtual_clock() -> VirtualClock:
    """A clock that stands at the first second of 2026 until the test moves it."""
    from cmpkit.testing import VirtualClock

    return VirtualClock()


@pytest.fixture(scope="session")
def cmp_plugins() -> Plugins:
    """The parts of the plugins that are installed. Override it to add parts that are under test."""
    from cmpkit.plugins import load_plugins

    return load_plugins()


@pytest.fixture(scope="session")
def _cmp_made_ca(cmp_plugins: Plugins, tmp_path_factory: pytest.TempPathFactory) -> InProcessCA:
    from cmpkit.testing import InProcessCA, VirtualClock

    directory = tmp_path_factory.mktemp("cmp-ca")
    return _run(partial(InProcessCA.make, directory, plugins=cmp_plugins, clock=VirtualClock()))


@pytest.fixture
def cmp_ca(
    _cmp_made_ca: InProcessCA, virtual_clock: VirtualClock, tmp_path_factory: pytest.TempPathFactory
) -> InProcessCA:
    """A CA with its CMP server, by the virtual clock; each test has its own store. It needs ``cmpkit[server]``."""
    directory = Path(shutil.copytree(_cmp_made_ca.directory, tmp_path_factory.mktemp("cmp-ca") / "copy"))
    return dataclasses.replace(_cmp_made_ca, directory=directory, clock=virtual_clock, sleep=virtual_clock.sleep)


@pytest.fixture
def cmp_secret(cmp_ca: InProcessCA) -> SharedSecret:
    """A shared secret with the reference ``dev-42`` that the CA knows, for any number of certificates for CN=dev-42."""
    return _run(cmp_ca.add_secret)


@pytest.fixture
def cmp_client(cmp_ca: InProcessCA, cmp_secret: SharedSecret) -> Client:
    """A client of the CA with that secret, for async tests; it holds nothing that must be closed."""
    return cmp_ca.client(cmp_secret)


@pytest.fixture
def cmp_blocking_client(cmp_ca: InProcessCA, cmp_secret: SharedSecret) -> Iterator[BlockingClient]:
    """The same without async, open."""
    from cmpkit.blocking import Client

    with Client(
        "memory:",
        credentials=cmp_secret,
        trust=cmp_ca.trust,
        options=cmp_ca.options(),
        plugins=cmp_ca.plugins,
        transport=cmp_ca.road(),
    ) as client:
        yield client
