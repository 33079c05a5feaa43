"""Vectors in this process (``policies.caching.stores.VectorStore``): exact search by numpy, a SQLite file behind.

Each bucket is one matrix of unit vectors, so that the nearest is one matrix-vector product and every answer is
exact. Large buckets are searched in a thread. qdrant-client's own local mode was measured at 16 ms for 10,000
vectors and 127 ms with a filter (docs/performance.md has both), and a bucket is a filter.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from policies.caching.stores import CacheUnavailable, Neighbour, Vector

IN_THREAD = 2_000
"""Vectors in a bucket above which a search would hold up the loop: 2,000 of 384 take about 0.2 ms."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS vectors (
    id BLOB PRIMARY KEY, bucket BLOB NOT NULL, expires_ns INTEGER NOT NULL, vector BLOB NOT NULL
) WITHOUT ROWID
"""

Matrix: TypeAlias = "NDArray[np.float32]"
R = TypeVar("R")


class _Bucket:
    """Unit vectors of one bucket, in a matrix that grows by half. A row that was written never changes: a search in
    a thread may be reading it. Removed ones are marked, and left behind when half of the rows are."""

    __slots__ = ("expires_ns", "ids", "matrix", "slots")

    def __init__(self, dimensions: int) -> None:
        self.ids: list[bytes] = []
        self.matrix: Matrix = np.empty((4, dimensions), np.float32)
        self.expires_ns: list[int] = []
        """Zero: removed."""
        self.slots: dict[bytes, int] = {}

    def add(self, entry_id: bytes, vector: Matrix, expires_ns: int) -> None:
        at = len(self.ids)
        if at == len(self.matrix):
            self.matrix = np.concatenate((self.matrix, np.empty((at // 2 + 1, self.matrix.shape[1]), np.float32)))
        self.matrix[at] = vector
        self.ids.append(entry_id)
        self.expires_ns.append(expires_ns)
        self.slots[entry_id] = at

    def remove(self, entry_id: bytes) -> None:
        self.expires_ns[self.slots.pop(entry_id)] = 0
        if len(self.slots) * 2 < len(self.ids) and len(self.ids) > 8:
            alive = sorted(self.slots.values())
            self.matrix = self.matrix[alive]
            self.ids = [self.ids[at] for at in alive]
            self.expires_ns = [self.expires_ns[at] for at in alive]
            self.slots = {entry_id: at for at, entry_id in enumerate(self.ids)}


class EmbeddedVectors:
    """At most ``most`` vectors of ``dimensions`` numbers; ``path`` ``None``: forgotten at the end."""

    def __init__(self, path: Path | None, dimensions: int, most: int) -> None:
        self._path = path
        self._dimensions = dimensions
        self._most = most
        self._buckets: dict[bytes, _Bucket] = {}
        self._bucket_of: OrderedDict[bytes, bytes] = OrderedDict()
        """Bucket by entry id, oldest first."""
        self._db: sqlite3.Connection | None = None
        self._file_thread = ThreadPoolExecutor(1, "vectors")
        self._search_thread = ThreadPoolExecutor(1, "nearest")

    async def start(self) -> None:
        if self._path is not None:
            await self._in_file(self._load, self._path)

    async def nearest(self, bucket: bytes, vector: Vector, now_ns: int) -> Neighbour | None:
        place = self._buckets.get(bucket)
        if place is None:
            return None
        wanted = self._unit(vector)
        rows, expires_ns, ids = place.matrix[: len(place.ids)], place.expires_ns, place.ids
        if len(ids) <= IN_THREAD:
            at, similarity = _nearest(rows, wanted, expires_ns, now_ns)
        else:
            # What changes meanwhile is not seen: hence copies, and a last look at the id that comes back.
            expires_ns, ids = list(expires_ns), list(ids)
            at, similarity = await asyncio.get_running_loop().run_in_executor(
                self._search_thread, _nearest, rows, wanted, expires_ns, now_ns
            )
        if at is None or ids[at] not in self._bucket_of:
            return None
        return Neighbour(ids[at], similarity)

    async def add(self, bucket: bytes, entry_id: bytes, vector: Vector, expires_ns: int) -> None:
        unit = self._unit(vector)
        self._forget(entry_id)
        self._keep(bucket, entry_id, unit, expires_ns)
        gone: list[bytes] = []
        while len(self._bucket_of) > self._most:
            oldest = next(iter(self._bucket_of))
            self._forget(oldest)
            gone.append(oldest)
        if self._db is not None:
            await self._in_file(self._write, (entry_id, bucket, expires_ns, unit.tobytes()), gone)

    async def remove(self, entry_ids: Sequence[bytes]) -> None:
        for entry_id in entry_ids:
            self._forget(entry_id)
        if self._db is not None:
            await self._in_file(self._write, None, entry_ids)

    async def count(self) -> int:
        return len(self._bucket_of)

    async def close(self) -> None:
        if self._db is not None:
            await self._in_file(self._db.close)
            self._db = None
        self._file_thread.shutdown()
        self._search_thread.shutdown()

    def _unit(self, vector: Vector) -> Matrix:
        found = np.frombuffer(vector, np.float32)
        if found.shape != (self._dimensions,):
            raise CacheUnavailable(f"a vector of {found.size} numbers came where {self._dimensions} are kept")
        length = float(np.linalg.norm(found))
        return found / np.float32(length) if length > 0 else found

    def _keep(self, bucket: bytes, entry_id: bytes, unit: Matrix, expires_ns: int) -> None:
        place = self._buckets.get(bucket)
        if place is None:
            place = self._buckets[bucket] = _Bucket(self._dimensions)
        place.add(entry_id, unit, expires_ns)
        self._bucket_of[entry_id] = bucket

    def _forget(self, entry_id: bytes) -> None:
        bucket = self._bucket_of.pop(entry_id, None)
        if bucket is None:
            return
        place = self._buckets[bucket]
        place.remove(entry_id)
        if not place.slots:
            del self._buckets[bucket]

    def _load(self, path: Path) -> None:
        path.touch(mode=0o600, exist_ok=True)
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.execute(_SCHEMA)
        size = 4 * self._dimensions
        self._db.execute("DELETE FROM vectors WHERE length(vector) <> ?", (size,))
        for entry_id, bucket, expires_ns, raw in self._db.execute("SELECT * FROM vectors ORDER BY expires_ns"):
            self._keep(bucket, entry_id, np.frombuffer(raw, np.float32), expires_ns)

    def _write(self, row: tuple[bytes, bytes, int, bytes] | None, gone: Sequence[bytes]) -> None:
        if self._db is None:
            return
        if row is not None:
            self._db.execute("INSERT OR REPLACE INTO vectors VALUES (?, ?, ?, ?)", row)
        self._db.executemany("DELETE FROM vectors WHERE id = ?", [(entry_id,) for entry_id in gone])

    async def _in_file(self, function: Callable[..., R], *arguments: object) -> R:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._file_thread, function, *arguments)
        except (sqlite3.Error, OSError) as error:
            raise CacheUnavailable(f"the file of vectors fails: {error}") from None


def _nearest(rows: Matrix, wanted: Matrix, expires_ns: Sequence[int], now_ns: int) -> tuple[int | None, float]:
    """The row that is most like ``wanted`` and has not expired, and how much it is."""
    likeness = rows @ wanted
    for _ in range(len(likeness)):
        at = int(likeness.argmax())
        if expires_ns[at] > now_ns:
            return at, float(likeness[at])
        likeness[at] = -np.inf
    return None, 0.0
