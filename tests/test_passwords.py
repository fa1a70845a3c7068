from __future__ import annotations

from pathlib import Path

from cmpkit.passwords import read_password


async def test_a_password_is_the_first_line_of_its_file(tmp_path: Path) -> None:
    (tmp_path / "pass").write_bytes(b" p\xc3\xa4ss \r\nmore\n")
    assert await read_password("file:pass", tmp_path) == b" p\xc3\xa4ss "
