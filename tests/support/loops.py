"""Cases of what does not depend on the event loop."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any


def in_turns(*cases: Sequence[Any]) -> list[tuple[Any, ...]]:
    """The cases, each behind the loop on which it alone runs: for ``parametrize(("anyio_backend", …), …)``."""
    return [(loop, *case) for loop, case in zip(itertools.cycle(("asyncio", "trio")), cases)]
