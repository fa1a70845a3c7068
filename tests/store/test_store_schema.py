"""Making, upgrading and opening stores, and what is refused."""

from __future__ import annotations

import importlib
import re
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.dialects import postgresql

from cmpkit.enums import CRLReason
from cmpkit.errors import ConfigurationError
from cmpkit.parts import Store
from cmpkit.plugins import Plugins
from cmpkit.store import plugin, schema, tables, upgrading
from cmpkit.store.plugin import SQLStoreFactory

KEY = bytes(32)


def set_revision(path: Path, revision: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))


async def test_the_revisions_make_exactly_the_tables_that_are_used(store: Store, store_url: str) -> None:
    engine = sa.create_engine(store_url)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), tables.metadata) == []
    engine.dispose()


async def test_creating_again_keeps_what_is_stored(store: Store, store_url: str, make: Any) -> None:
    unit = make.unit()
    await store.commit(unit)
    await SQLStoreFactory().create(store_url)
    assert await store.certificates() == unit.certificates


async def test_every_commit_is_synced_to_a_write_ahead_log(store: Store, store_path: Path) -> None:
    await store.check()
    with closing(sqlite3.connect(store_path)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    seen: list[tuple[int]] = []

    def look(connection: Any, *_: Any) -> None:
        seen.append(connection.execute("PRAGMA synchronous").fetchone())

    other = SQLStoreFactory().open(f"sqlite:///{store_path}", sealing_key=KEY)
    sa.event.listen(sa.Pool, "connect", look)
    try:
        await other.check()
    finally:
        sa.event.remove(sa.Pool, "connect", look)
    assert seen == [(2,)]
    await other.aclose()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no file modes")
async def test_the_files_of_a_store_are_for_their_owner_alone(store: Store, store_path: Path, make: Any) -> None:
    await store.commit(make.unit())
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in store_path.parent.iterdir()}
    assert set(modes) == {"cmpkit.db", "cmpkit.db-wal", "cmpkit.db-shm"}
    assert set(modes.values()) == {0o600}


async def test_a_store_of_a_newer_version_is_refused_and_left_alone(
    store: Store, store_url: str, store_path: Path
) -> None:
    set_revision(store_path, "9999")
    before = await anyio.Path(store_path).read_bytes()
    for use in (store.check, lambda: SQLStoreFactory().create(store_url)):
        with pytest.raises(ConfigurationError, match="schema 9999") as caught:
            await use()
        assert "upgrade cmpkit" in caught.value.hint
    assert await anyio.Path(store_path).read_bytes() == before


async def test_a_transaction_in_a_newer_format_is_refused(store: Store, store_path: Path, make: Any) -> None:
    unit = make.unit()
    await store.commit(unit)
    with closing(sqlite3.connect(store_path)) as connection, connection:
        connection.execute("UPDATE transactions SET body = json_set(body, '$.format', 3)")
    with pytest.raises(ConfigurationError, match="format 3, not 2") as caught:
        await store.load(unit.transaction.transaction_id, unit.answer.digest)
    assert "upgrade cmpkit" in caught.value.hint


async def test_a_store_of_an_older_version_is_refused_until_it_is_upgraded(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = schema.known_revisions()
    monkeypatch.setattr(schema, "known_revisions", lambda: [*known, "9998"])
    with pytest.raises(ConfigurationError, match=r"has schema \d+; this version needs 9998") as caught:
        await store.check()
    assert "backup" in caught.value.hint


async def test_a_store_that_was_not_created_is_refused_and_not_made(store_url: str, store_path: Path) -> None:
    store = SQLStoreFactory().open(store_url, sealing_key=KEY)
    with pytest.raises(ConfigurationError, match="unable to open database file") as caught:
        await store.check()
    assert "cmpkit init" in caught.value.hint
    assert not await anyio.Path(store_path).exists()
    await store.aclose()


async def test_an_empty_file_is_refused(store_url: str, store_path: Path) -> None:
    await anyio.Path(store_path).touch()
    store = SQLStoreFactory().open(store_url, sealing_key=KEY)
    with pytest.raises(ConfigurationError, match="is empty"):
        await store.check()
    await store.aclose()


async def test_a_file_that_is_no_database_is_refused(store_url: str, store_path: Path) -> None:
    await anyio.Path(store_path).write_text("something else\n" * 100)
    store = SQLStoreFactory().open(store_url, sealing_key=KEY)
    with pytest.raises(ConfigurationError, match="not a database"):
        await store.check()
    await store.aclose()


async def test_a_directory_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(str(tmp_path / "missing" / "cmpkit.db"))):
        await SQLStoreFactory().create(f"sqlite:///{tmp_path}/missing/cmpkit.db")


async def test_a_path_may_have_any_characters(tmp_path: Path) -> None:
    path = tmp_path / "50% of #1 ü.db"
    await SQLStoreFactory().create(f"sqlite:///{path}")
    store = SQLStoreFactory().open(f"sqlite:///{path}", sealing_key=KEY)
    await store.check()
    assert await anyio.Path(path).exists()
    await store.aclose()


async def test_a_relative_path_is_the_one_of_when_the_store_was_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    await SQLStoreFactory().create("sqlite:///here.db")
    store = SQLStoreFactory().open("sqlite:///here.db", sealing_key=KEY)
    monkeypatch.chdir("/")
    await store.check()
    await store.aclose()


@pytest.mark.parametrize(
    "url", ["sqlite://", "sqlite:///:memory:", "sqlite:///file:x.db", "sqlite:///x.db?timeout=5", "not a url", "sqlite"]
)
async def test_a_url_that_names_no_file_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="store") as caught:
        SQLStoreFactory().open(url, sealing_key=KEY)
    assert "sqlite:///" in caught.value.hint


async def test_a_sealing_key_of_another_size_is_refused(store_url: str) -> None:
    with pytest.raises(ConfigurationError, match="31 octets"):
        SQLStoreFactory().open(store_url, sealing_key=bytes(31))


async def test_a_missing_driver_is_named_without_the_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(ConfigurationError, match="psycopg") as caught:
        SQLStoreFactory().open("postgresql+psycopg://user:hunter2@db.example/cmpkit", sealing_key=KEY)
    assert "hunter2" not in str(caught.value)
    assert "cmpkit[postgres]" in caught.value.hint


def test_the_schema_can_be_written_for_postgresql() -> None:
    for table in tables.metadata.sorted_tables:
        assert "CREATE TABLE" in str(sa.schema.CreateTable(table).compile(dialect=postgresql.dialect()))


@pytest.mark.parametrize("package", ["sqlalchemy", "alembic"])
async def test_a_missing_package_is_named_with_what_installs_it(monkeypatch: pytest.MonkeyPatch, package: str) -> None:
    def missing(name: str) -> Any:
        raise ModuleNotFoundError(f"No module named {package!r}", name=package)

    monkeypatch.setattr(importlib, "import_module", missing)
    for use in (lambda: SQLStoreFactory().open("sqlite:///x.db", sealing_key=KEY),):
        with pytest.raises(ConfigurationError, match=package) as caught:
            use()
        assert "cmpkit[server]" in caught.value.hint
    with pytest.raises(ConfigurationError, match=package):
        await SQLStoreFactory().create("sqlite:///x.db")


def test_the_plugin_brings_the_store_without_importing_sqlalchemy() -> None:
    code = "import sys, cmpkit.store.plugin; sys.exit('sqlalchemy' in sys.modules or 'alembic' in sys.modules)"
    environment = {"PYTHONPATH": ":".join(filter(None, sys.path))}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0


def test_what_only_uses_a_store_does_not_load_what_changes_its_schema() -> None:
    code = "import sys, cmpkit.store.sql; sys.exit('alembic' in sys.modules)"
    environment = {"PYTHONPATH": ":".join(filter(None, sys.path))}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0


def test_the_revisions_that_are_known_are_those_of_alembic() -> None:
    scripts = ScriptDirectory.from_config(upgrading._config())
    assert schema.known_revisions() == [script.revision for script in scripts.walk_revisions()][::-1]


@pytest.mark.parametrize("url", ["sqlite:///cmpkit.db", "postgresql+psycopg://db.example/cmpkit"])
def test_the_store_is_found_by_its_schemes(url: str) -> None:
    plugins = Plugins()
    plugins.add(plugin, "store")
    assert isinstance(plugins.store(url), SQLStoreFactory)


async def test_a_store_from_the_first_version_is_upgraded_with_what_is_in_it(store_url: str, make: Any) -> None:
    engine = sa.create_engine(store_url)
    config = upgrading._config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        connection.execute(
            sa.text(
                "INSERT INTO certificates (issuer_key, serial_number, der, fingerprint, subject, not_before, not_after,"
                " profile, request_key, state, revoked_at, reason) VALUES (:issuer, :serial, 'x', 'x', 'CN=x', 0, 9,"
                " 'device', 'x', 'revoked', 5, 1)"
            ),
            {"issuer": make.issuer_key, "serial": f"{7:040x}"},
        )
        connection.execute(sa.text("INSERT INTO crl_numbers VALUES (:issuer, 41)"), {"issuer": make.issuer_key})
    engine.dispose()
    await SQLStoreFactory().create(store_url)
    store = SQLStoreFactory().open(store_url, sealing_key=KEY)
    await store.check()
    (listed,) = await store.revoked(make.issuer_key)
    assert (listed.serial_number, listed.reason) == (7, CRLReason.KEY_COMPROMISE)
    assert await store.status_version(make.issuer_key) == 0
    assert await store.next_crl_number(make.issuer_key) == 42
    await store.aclose()
