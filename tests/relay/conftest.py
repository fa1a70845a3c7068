"""A CA, the certificate of a registration authority before it, and that authority."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import NamedTuple

import anyio
import pytest
from authorities import TrustingCA
from relaying import Authority

from cmpkit.endpoints.credentials import SigningCredentials
from cmpkit.plugins import load_plugins


class Standing(NamedTuple):
    """What is made once for a module."""

    ca: TrustingCA
    signer: SigningCredentials


@pytest.fixture(scope="module")
def standing(tmp_path_factory: pytest.TempPathFactory) -> Standing:
    """A CA and the certificate of an authority; made outside of any event loop."""
    ca = anyio.run(partial(TrustingCA.make, tmp_path_factory.mktemp("ca"), plugins=load_plugins()))
    return Standing(ca, anyio.run(ca.authority))


@pytest.fixture
async def ra(standing: Standing, tmp_path: Path) -> Authority:
    """An authority with an empty store; ``running`` starts it."""
    made = Authority(standing.ca, standing.signer, tmp_path)
    await made.make()
    return made
