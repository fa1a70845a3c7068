"""What every test shares: both async backends, and how hypothesis searches."""

from __future__ import annotations

import functools
import importlib.metadata
import os
from collections.abc import Generator, Iterator

import hypothesis
import pytest

# Time limits belong to pytest-timeout. A search that is repeatable in CI cannot fail there by chance alone. What fails
# is printed as it was found, for to shrink a whole message takes minutes: pytest --hypothesis-profile=shrink.
hypothesis.settings.register_profile(
    "search",
    max_examples=50,
    deadline=None,
    derandomize="CI" in os.environ,
    print_blob=True,
    phases=[hypothesis.Phase.explicit, hypothesis.Phase.reuse, hypothesis.Phase.generate],
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.register_profile(
    "shrink",
    hypothesis.settings.get_profile("search"),
    phases=[*hypothesis.settings.get_profile("search").phases, hypothesis.Phase.shrink],
)
hypothesis.settings.load_profile("search")


@pytest.fixture(scope="session", params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Each async test runs once per backend.

    Written out, because anyio's own fixture covers what happens to be installed. Of session scope, so that hypothesis
    may call a test many times. An async fixture that outlives its module would keep its event loop, and no sync test
    could run one: what is made for the whole session is made by ``anyio.run``.
    """
    backend: str = request.param
    return backend


@pytest.fixture(scope="session", autouse=True)
def _installed_once() -> Iterator[None]:
    """What is installed stays the same while tests run, and to look for it anew takes longer than many a test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(importlib.metadata, "entry_points", functools.cache(importlib.metadata.entry_points))
        yield


@pytest.fixture(scope="session", autouse=True)
def _quick_passwords() -> Iterator[None]:
    """Private keys are encrypted under passwords with less work than outside of tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cmpkit.crypto.pkcs8._ITERATIONS", 1000)
        yield


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI nothing may be skipped: what a test needs is missing there by mistake."""
    report = yield
    if report.skipped and "CI" in os.environ and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped in CI: {report.longrepr}"
    return report
