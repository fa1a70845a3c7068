from __future__ import annotations

from pathlib import Path

import pytest

from cmpkit.ca.sources import read_password, resolve_store_url


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


async def test_a_password_is_the_first_line_of_its_file(tmp_path: Path) -> None:
    (tmp_path / "pass").write_bytes(b" p\xc3\xa4ss \r\nmore\n")
    assert await read_password("file:pass", tmp_path) == b" p\xc3\xa4ss "
