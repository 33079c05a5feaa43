"""Answers of this process: the ones used last in memory, all of them in a file behind it.

``get`` finds in memory without waiting; only an id that is known to be in the file is read from there, in a
thread. ``put`` is written behind the answer, in batches. Memory evicts what was used longest ago, the file what
is oldest.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol, TypeVar

from policies.caching.stores import CacheUnavailable, StoreStats
from policies.caching.vocabulary import Entry, Selector

R = TypeVar("R")
BATCH_S = 0.2
"""What a killed process loses of its last answers: they can be asked for again."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much is kept, in bytes and entries."""

    memory_bytes: int
    entry_bytes: int
    entries: int


class AnswerFile(Protocol):
    """A durable table of entries. Calls block; all come from one thread. Raises ``CacheUnavailable``."""

    def open(self, now_ns: int) -> dict[bytes, int]:
        """Open it, drop what has expired; expiry by id."""

    def read(self, entry_id: bytes) -> Entry | None: ...

    def write(self, entries: Sequence[Entry], now_ns: int) -> Sequence[bytes]:
        """Keep them; the ids that made room."""

    def remove(self, entry_ids: Sequence[bytes]) -> None: ...

    def all(self) -> Sequence[Entry]:
        """Without their data."""

    def close(self) -> None: ...


class LocalAnswers:
    """``AnswerStore`` of one process; without a file it forgets at its end."""

    def __init__(self, file: AnswerFile | None, bounds: Bounds, clock: Callable[[], int]) -> None:
        self._file = file
        self._bounds = bounds
        self._clock = clock
        self._memory: OrderedDict[bytes, Entry] = OrderedDict()
        self._bytes = 0
        self._in_file: dict[bytes, int] = {}
        self._queue: list[Entry] = []
        self._wake = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, "answers") if file is not None else None
        self._writer: asyncio.Task[None] | None = None
        self.failing: str | None = None

    async def start(self) -> None:
        if self._file is None:
            return
        try:
            self._in_file = await self._run(self._file.open, self._clock())
        except CacheUnavailable as error:
            self.failing = str(error)
            return
        self._writer = asyncio.get_running_loop().create_task(self._write_behind(), name="answers")

    async def get(self, entry_id: bytes) -> Entry | None:
        entry = self._memory.get(entry_id)
        if entry is None:
            if entry_id not in self._in_file or self._file is None:
                return None
            try:
                entry = await self._run(self._file.read, entry_id)
            except CacheUnavailable as error:
                self.failing = str(error)
                return None
            if entry is None or entry_id not in self._in_file:
                return None
            self._keep(entry)
        if entry.expires_ns <= self._clock():
            self._forget(entry_id)
            return None
        self._memory.move_to_end(entry_id)
        return entry

    def put(self, entry: Entry) -> None:
        if entry.size > self._bounds.entry_bytes:
            return
        self._keep(entry)
        if self._writer is not None:
            self._in_file[entry.id] = entry.expires_ns
            self._queue.append(entry)
            self._wake.set()

    async def remove(self, wanted: Selector) -> Sequence[bytes]:
        listed = [entry async for entry in self.entries()]
        gone = [entry.id for entry in listed if wanted.matches(entry)]
        for entry_id in gone:
            self._forget(entry_id)
        chosen = set(gone)
        self._queue = [entry for entry in self._queue if entry.id not in chosen]
        if self._file is not None and gone:
            await self._run(self._file.remove, gone)
        return gone

    async def entries(self) -> AsyncIterator[Entry]:
        seen: set[bytes] = set()
        for entry in [*self._memory.values(), *self._queue]:
            if entry.id not in seen:
                seen.add(entry.id)
                yield entry
        if self._writer is not None and self._file is not None:
            for entry in await self._run(self._file.all):
                if entry.id not in seen and entry.id in self._in_file:
                    yield entry

    async def stats(self) -> StoreStats:
        kind = "memory" if self._file is None else "sqlite"
        count = len(self._memory.keys() | self._in_file.keys())
        return StoreStats(store=kind, entries=count, bytes=self._bytes, failing=self.failing)

    async def close(self) -> None:
        if self._writer is not None:
            self._writer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._writer
            await self._flush()
        if self._thread is not None and self._file is not None:
            await self._run(self._file.close)
            self._thread.shutdown()

    def _keep(self, entry: Entry) -> None:
        old = self._memory.pop(entry.id, None)
        self._bytes += entry.size - (old.size if old is not None else 0)
        self._memory[entry.id] = entry
        while self._bytes > self._bounds.memory_bytes or len(self._memory) > self._bounds.entries:
            _, evicted = self._memory.popitem(last=False)
            self._bytes -= evicted.size

    def _forget(self, entry_id: bytes) -> None:
        entry = self._memory.pop(entry_id, None)
        if entry is not None:
            self._bytes -= entry.size
        self._in_file.pop(entry_id, None)

    async def _write_behind(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            await asyncio.sleep(BATCH_S)  # gathers a batch
            # A batch under way is finished before the file is closed.
            await asyncio.shield(asyncio.ensure_future(self._flush()))

    async def _flush(self) -> None:
        batch, self._queue = self._queue, []
        if not batch or self._file is None:
            return
        try:
            for entry_id in await self._run(self._file.write, batch, self._clock()):
                self._in_file.pop(entry_id, None)
            self.failing = None
        except CacheUnavailable as error:
            self.failing = str(error)
            for entry in batch:
                self._in_file.pop(entry.id, None)

    async def _run(self, function: Callable[..., R], *arguments: object) -> R:
        """On the file's own thread."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)
