"""What every test shares: both async backends, and how hypothesis searches."""

from __future__ import annotations

import os

import hypothesis
import pytest

# Time limits belong to pytest-timeout; a search that is repeatable in CI cannot fail there by chance alone.
hypothesis.settings.register_profile("cmpkit", deadline=None, derandomize="CI" in os.environ, print_blob=True)
hypothesis.settings.load_profile("cmpkit")


@pytest.fixture(scope="session", params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Each async test runs once per backend.

    Written out, because anyio's own fixture covers what happens to be installed. Of session scope, so that fixtures of
    any scope may be async, and hypothesis may call a test many times.
    """
    backend: str = request.param
    return backend
