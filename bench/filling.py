"""Keys and ledger rows in great numbers: put into a gateway's database by SQL, in the shape that it writes itself."""

from __future__ import annotations

import hashlib
import sqlite3
import time
from contextlib import closing
from pathlib import Path

BATCH = 500_000
"""Rows of one transaction: what one leaves in the write-ahead file is written back before the next."""
_COLUMNS = (
    "call_id, attempt, started_ns, duration_us, overhead_us, kind, surface, operation, origin, key, target,"
    " outcome, status, stream, input_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens,"
    " output_tokens, reasoning_tokens, cost_nano, saved_nano, basis, tiers"
)


def put_keys(database: Path, count: int) -> None:
    """So many stored keys beside the one of the configuration."""
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("DELETE FROM virtual_keys")
        connection.executemany(
            "INSERT INTO virtual_keys (digest, name, scheme, hint, team, customer, grants, limits, created_ns)"
            " VALUES (?, ?, 'sha256', 'hint', 'research', NULL, '{}', '{}', ?)",
            ((hashlib.sha256(b"%d" % n).digest(), f"key-{n}", n) for n in range(count)),
        )


def put_rows(database: Path, count: int) -> None:
    """So many ledger rows of a thousand keys, from two days ago on: old enough for no window, too young to expire. The
    indexes are made anew afterwards: to sort once is faster than to insert everywhere. Ten million take a minute and
    3 GB."""
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA cache_size = -500000")
        indexes = connection.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = 'ledger' AND sql IS NOT NULL"
        ).fetchall()
        for name, _ in indexes:
            connection.execute(f"DROP INDEX {name}")
        since = time.time_ns() - 2 * 86_400 * 10**9
        for first in range(0, count, BATCH):
            _insert(connection, first, min(count, first + BATCH), since)
        for _, made in indexes:
            connection.execute(made)


def _insert(connection: sqlite3.Connection, first: int, end: int, since_ns: int) -> None:
    connection.execute(
        f"WITH RECURSIVE n(i) AS (SELECT ? UNION ALL SELECT i + 1 FROM n WHERE i < ?)"  # noqa: S608 - own names
        f" INSERT INTO ledger ({_COLUMNS})"
        f" SELECT printf('tk_%012x%016x', i, i), 1, ? + i * 1000000, 1000, 200, 'model', 'openai_chat', 'chat',"
        f" 'client', 'key-' || (i % 1000), 'm', 'ok', 200, 0, 42, 0, 0, 0, 25, 0, 21300, 0, 'measured', '[]' FROM n",
        (first + 1, end, since_ns),
    )
