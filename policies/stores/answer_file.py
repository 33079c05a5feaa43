"""Kept answers in a SQLite file of their own (``policies.caching.local_answers.AnswerFile``).

A file apart from the ledger's: it may be deleted at any time, and its writes hold up nobody's books. Private
(0600), because it holds what models answered.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from policies.caching.stores import CacheUnavailable
from policies.caching.vocabulary import ENTRY_BYTES, Entry

LAYOUT = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (
    id BLOB PRIMARY KEY, created_ns INTEGER NOT NULL, expires_ns INTEGER NOT NULL,
    size INTEGER NOT NULL, meta BLOB NOT NULL, data BLOB NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS answers_expires ON answers (expires_ns);
CREATE INDEX IF NOT EXISTS answers_created ON answers (created_ns, size);
"""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Entry).decode


class SqliteAnswers:
    """One file. A file of another layout is emptied: what it held can be asked for again."""

    def __init__(self, path: Path, most_bytes: int, most_entries: int) -> None:
        self._path = path
        self._most_bytes = most_bytes
        self._most_entries = most_entries
        self._connection: sqlite3.Connection | None = None

    def open(self, now_ns: int) -> dict[bytes, int]:
        with _failures():
            self._path.touch(mode=0o600, exist_ok=True)
            connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
            self._connection = connection
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.execute("PRAGMA secure_delete=ON")
            if connection.execute("PRAGMA user_version").fetchone()[0] != LAYOUT:
                connection.executescript(f"DROP TABLE IF EXISTS answers; PRAGMA user_version={LAYOUT}")
            connection.executescript(_SCHEMA)
            connection.execute("DELETE FROM answers WHERE expires_ns <= ?", (now_ns,))
            return dict(connection.execute("SELECT id, expires_ns FROM answers"))

    def read(self, entry_id: bytes) -> Entry | None:
        with _failures():
            row = self._db.execute("SELECT meta, data FROM answers WHERE id = ?", (entry_id,)).fetchone()
            return None if row is None else msgspec.structs.replace(_decode(row[0]), data=row[1])

    def write(self, entries: Sequence[Entry], now_ns: int) -> Sequence[bytes]:
        with _failures():
            self._db.execute("BEGIN")
            try:
                self._db.executemany("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?, ?)", map(_row, entries))
                gone = self._make_room(now_ns)
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")
            return gone

    def remove(self, entry_ids: Sequence[bytes]) -> None:
        with _failures():
            self._db.executemany("DELETE FROM answers WHERE id = ?", [(entry_id,) for entry_id in entry_ids])

    def all(self) -> Sequence[Entry]:
        with _failures():
            return [_decode(row[0]) for row in self._db.execute("SELECT meta FROM answers")]

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _make_room(self, now_ns: int) -> list[bytes]:
        """Drop what has expired, then the oldest until the bounds hold."""
        gone = [row[0] for row in self._db.execute("DELETE FROM answers WHERE expires_ns <= ? RETURNING id", (now_ns,))]
        count, size = self._db.execute("SELECT count(*), coalesce(sum(size), 0) FROM answers").fetchone()
        if count <= self._most_entries and size <= self._most_bytes:
            return gone
        for entry_id, its_size in self._db.execute("SELECT id, size FROM answers ORDER BY created_ns").fetchall():
            if count <= self._most_entries and size <= self._most_bytes:
                break
            self._db.execute("DELETE FROM answers WHERE id = ?", (entry_id,))
            gone.append(entry_id)
            count, size = count - 1, size - its_size
        return gone

    @property
    def _db(self) -> sqlite3.Connection:
        if self._connection is None:
            raise CacheUnavailable("the file of kept answers is not open")
        return self._connection


def _row(entry: Entry) -> tuple[bytes, int, int, int, bytes, bytes]:
    meta = _encode(msgspec.structs.replace(entry, data=b""))
    return entry.id, entry.created_ns, entry.expires_ns, len(entry.data) + ENTRY_BYTES, meta, entry.data


@contextmanager
def _failures() -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise CacheUnavailable(f"the file of kept answers fails: {error}") from None
