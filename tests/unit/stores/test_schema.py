"""The schema of the books: a new SQLite file has at once what migrations make of it."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from policies.stores.engine import CURRENT, MigrationFailed, open_engine


def migrated(path: Path) -> Path:
    command = [sys.executable, "-m", "policies.stores.migrate"]
    subprocess.run(command, input=f"sqlite:///{path}".encode(), check=True, timeout=60)
    return path


def layout(path: Path) -> dict[str, object]:
    """Columns, keys and indexes by table, in whatever order they were made."""
    found: dict[str, object] = {}
    with sqlite3.connect(path) as connection:
        for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            columns = {row[1:] for row in connection.execute(f"PRAGMA table_info('{table}')")}
            indexes = {
                (name, unique, *(row[2] for row in connection.execute(f"PRAGMA index_info('{name}')")))
                for _, name, unique, *_ in connection.execute(f"PRAGMA index_list('{table}')").fetchall()
            }
            found[table] = columns, indexes
        found["revision"] = connection.execute("SELECT version_num FROM alembic_version").fetchall()
    return found


def test_a_new_file_has_the_very_schema_that_the_migrations_make(tmp_path: Path) -> None:
    new = tmp_path / "new.db"
    open_engine(f"sqlite:///{new}").dispose()
    assert layout(new) == layout(migrated(tmp_path / "migrated.db"))
    assert layout(new)["revision"] == [(CURRENT,)]
    assert stat.S_IMODE(new.stat().st_mode) == 0o600


def test_of_several_that_find_it_empty_one_makes_it(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new.db'}"
    with ThreadPoolExecutor(4) as threads:
        for engine in threads.map(open_engine, [url] * 4):
            engine.dispose()
    assert layout(tmp_path / "new.db")["revision"] == [(CURRENT,)]


def test_a_file_of_somebody_else_is_not_taken(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "other.db") as other:
        other.execute("CREATE TABLE ledger (something TEXT)")
    with pytest.raises(MigrationFailed):
        open_engine(f"sqlite:///{tmp_path / 'other.db'}")
    with sqlite3.connect(tmp_path / "other.db") as other:
        assert [row[1] for row in other.execute("PRAGMA table_info('ledger')")] == ["something"]
