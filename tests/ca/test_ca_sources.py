from __future__ import annotations

from pathlib import Path

import pytest

from cmpkit.ca.sources import resolve_store_url


@pytest.mark.parametrize(
    ("url", "resolved"),
    [
        ("sqlite:///cmpkit.db", "sqlite:////srv/ca/cmpkit.db"),
        ("sqlite:///data/cmpkit.db", "sqlite:////srv/ca/data/cmpkit.db"),
        ("sqlite:////var/lib/cmpkit.db", "sqlite:////var/lib/cmpkit.db"),
        ("sqlite://", "sqlite://"),
        ("sqlite:///:memory:", "sqlite:///:memory:"),
        ("postgresql+psycopg://host/db", "postgresql+psycopg://host/db"),
    ],
)
def test_only_the_path_of_an_sqlite_file_is_relative(url: str, resolved: str) -> None:
    assert resolve_store_url(url, Path("/srv/ca")) == resolved
