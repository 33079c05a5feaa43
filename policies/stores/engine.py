"""Opens a relational store and brings its schema up to date.

Migrations (Alembic) run in a process of their own, and only when the schema is not current: a gateway
that starts on a current schema neither loads Alembic nor waits for it. A new SQLite file gets the newest schema
at once, in 20 ms instead of a second; a test compares it with what the migrations make.
"""

from __future__ import annotations

import importlib
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from policies.stores.tables import metadata

CURRENT = "0003"
"""The newest revision under ``migrations/versions``."""


CONNECT_S = 5
"""Seconds to wait for a database server."""


class MigrationFailed(Exception):
    """The schema could not be brought up to date; the message is the migration's last words."""


def open_engine(url: str) -> Engine:
    """An engine whose schema is current. SQLite: write-ahead log, private file. Raises
    ``sqlalchemy.exc.SQLAlchemyError`` or ``MigrationFailed``."""
    engine = connect(url)
    # Of two processes that find it empty, one makes the schema and the other finds it made.
    if _revision(engine) != CURRENT and not _create(engine) and _revision(engine) != CURRENT:
        _migrate(url)
    if engine.dialect.name == "sqlite" and engine.url.database not in (None, "", ":memory:"):
        Path(str(engine.url.database)).chmod(0o600)
    return engine


def connect(url: str) -> Engine:
    """An engine, whatever its schema."""
    if url.startswith("postgresql://"):
        url = url.replace("postgresql://", "postgresql+psycopg://", 1)
    waits = {"connect_timeout": CONNECT_S} if url.startswith("postgresql") else {}
    engine = sa.create_engine(url, connect_args=waits, pool_pre_ping=bool(waits))
    if engine.dialect.name == "sqlite":
        _tune_sqlite(engine)
    return engine


def inserting(engine: Engine) -> Any:
    """The ``insert`` of the engine's dialect, which knows conflicts; the other dialect's is not loaded."""
    return importlib.import_module(f"sqlalchemy.dialects.{engine.dialect.name}").insert


def _revision(engine: Engine) -> str | None:
    """The schema's revision; ``None`` for an empty database."""
    with engine.connect() as connection:
        if not sa.inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()


def _create(engine: Engine) -> bool:
    """Make the whole schema in a SQLite file that holds nothing; false where migrations have to do it."""
    if engine.dialect.name != "sqlite":
        return False  # its migrations hold a lock against other replicas that start
    with engine.connect() as connection:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        if connection.exec_driver_sql("SELECT 1 FROM sqlite_master LIMIT 1").first() is not None:
            return False
        metadata.create_all(connection)
        connection.exec_driver_sql(
            "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, "
            "CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
        )
        connection.execute(sa.text("INSERT INTO alembic_version VALUES (:revision)"), {"revision": CURRENT})
        connection.commit()
    return True


def _migrate(url: str) -> None:
    # The address travels on standard input: it may hold a password, and a command line can be read.
    command = [sys.executable, "-m", "policies.stores.migrate"]
    done = subprocess.run(command, input=url.encode(), capture_output=True, check=False)  # noqa: S603
    if done.returncode != 0:
        words = done.stderr.decode(errors="replace").strip().splitlines()
        raise MigrationFailed(f"the schema could not be migrated: {words[-1] if words else 'no reason given'}")


_NOTHING: dict[None, None] = {}


def _tune_sqlite(engine: Engine) -> None:
    # For a value that is none of its four types the driver looks for an adapter, and by raising and catching an
    # exception where it has none: half a microsecond for every NULL, of which a row of the ledger has twenty.
    sqlite3.register_adapter(type(None), _NOTHING.get)  # a function in C that gives back None for None
    sqlite3.register_adapter(bool, int)

    @sa.event.listens_for(engine, "connect")
    def connected(connection: Any, _: Any) -> None:
        cursor = connection.cursor()
        # Of a file that is made now: a row of the ledger touches seven pages, and half as many are half as many writes.
        cursor.execute("PRAGMA page_size=8192")
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=NORMAL")
        cursor.execute("PRAGMA busy_timeout=5000")
        cursor.close()
