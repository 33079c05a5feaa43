"""The ledger that the passage writes to: journal first, then a queue, then the database in batches.

``open`` and ``record`` never wait. A writer task moves rows into the store on a thread of its own; when
the store fails, rows stay in the journal and in memory, and are tried again with growing pauses, loudly.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import structlog

from policies.journal import Journal
from policies.ledger import LedgerRow
from policies.ledger_queries import LedgerStore, StoreUnavailable

log = structlog.get_logger("tollkeeper.ledger")

BATCH_ROWS = 5_000
BATCH_S = 0.2
"""Rows gather for so long: of a batch, many share a page of the database's log and a commit."""
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
FOLLOWER_ROWS = 10_000
MEMORY_ROWS = 50_000
"""Rows that wait in memory while the store is gone; the journal on disk keeps the rest."""

T = TypeVar("T")
Observer = Callable[[LedgerRow], None]


class Follower:
    """Rows as they come, for one reader; the oldest are dropped when it cannot keep up."""

    def __init__(self) -> None:
        self._rows: deque[LedgerRow] = deque(maxlen=FOLLOWER_ROWS)
        self._woken = asyncio.Event()

    def push(self, row: LedgerRow) -> None:
        self._rows.append(row)
        self._woken.set()

    async def next(self) -> list[LedgerRow]:
        """The rows since the last call; waits for the first."""
        await self._woken.wait()
        self._woken.clear()
        rows = list(self._rows)
        self._rows.clear()
        return rows


def take_over(journal: Journal, store: LedgerStore) -> list[LedgerRow]:
    """Write what a dead process left in ``journal`` into the store: finished rows, then interrupted attempts.
    Blocking. Raises ``StoreUnavailable``."""
    finished: list[LedgerRow] = []
    interrupted: list[LedgerRow] = []
    for row, final in journal.recover():
        (finished if final else interrupted).append(row)
    left = [*finished, *interrupted]
    for at in range(0, len(left), BATCH_ROWS):
        store.write(left[at : at + BATCH_ROWS])
    journal.forget_recovered()
    return left


class JournaledLedger:
    """``policies.ledger.Ledger``, over a journal and a store."""

    def __init__(self, journal: Journal, store: LedgerStore, observers: tuple[Observer, ...] = ()) -> None:
        self._journal = journal
        self._store = store
        self._observers = observers
        self._queue: list[LedgerRow] = []
        self._spilled = False
        self._followers: set[Follower] = set()
        self._wanted = asyncio.Event()
        self._flushing = asyncio.Lock()
        self._thread = ThreadPoolExecutor(1, "ledger")
        self._writer: asyncio.Task[None] | None = None
        self.failing: str | None = None
        """Why the store does not take rows; ``None`` while it does."""

    def open(self, row: LedgerRow) -> None:
        self._journal.open(row)

    def record(self, row: LedgerRow) -> None:
        self._journal.close_attempt(row)
        if len(self._queue) < MEMORY_ROWS:
            self._queue.append(row)
        else:
            self._spilled = True
        self._wanted.set()
        for observe in self._observers:
            observe(row)
        for follower in self._followers:
            follower.push(row)

    def start(self) -> list[LedgerRow]:
        """Take over what a dead process left, then start the writer. Blocking; call it once, before the
        first call. Returns the rows that were taken over, interrupted attempts last. Raises
        ``StoreUnavailable``."""
        left = take_over(self._journal, self._store)
        self._writer = asyncio.get_running_loop().create_task(self._write(), name="ledger")
        return left

    async def ask(self, question: Callable[[LedgerStore], T]) -> T:
        """Run a query on the store's thread, after the rows that are already known."""
        await self.flush()
        return await asyncio.get_running_loop().run_in_executor(self._thread, question, self._store)

    def follow(self) -> Follower:
        follower = Follower()
        self._followers.add(follower)
        return follower

    def unfollow(self, follower: Follower) -> None:
        self._followers.discard(follower)

    async def flush(self) -> bool:
        """Write what is queued now; whether the store took it. What comes meanwhile is left: under load a dozen rows
        come in every write, and to follow them with writes of a dozen costs four times as much a row as a batch."""
        async with self._flushing:
            due = len(self._queue)
            while due or self._spilled:
                if not due:
                    # All that is not in the store yet, and so what waits in memory too.
                    self._queue = self._journal.uncommitted(MEMORY_ROWS // 2)
                    due = len(self._queue)
                    self._spilled = due == MEMORY_ROWS // 2
                    continue
                batch = self._queue[: min(due, BATCH_ROWS)]
                if not await self._take(batch):
                    return False
                del self._queue[: len(batch)]
                due -= len(batch)
        return True

    @property
    def waiting(self) -> int:
        """Rows in memory that the store has not taken yet."""
        return len(self._queue)

    async def close(self) -> None:
        """Write the rest and stop. What the store does not take stays in the journal for the next start."""
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.wait((self._writer,))
        if not await self.flush():
            log.error("ledger_rows_left_in_journal", rows=len(self._queue))
        self._thread.shutdown()
        self._journal.close()
        self._store.close()

    async def _write(self) -> None:
        pause = FIRST_PAUSE_S
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            await asyncio.sleep(BATCH_S)  # gathers a batch
            if await self.flush():
                pause = FIRST_PAUSE_S
            else:
                self._wanted.set()
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE_S)

    async def _take(self, batch: list[LedgerRow]) -> bool:
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._thread, self._store.write, batch)
        except StoreUnavailable as error:
            if self.failing is None:
                log.error("ledger_store_fails", reason=str(error), rows=len(self._queue))
            self.failing = str(error)
            return False
        if self.failing is not None:
            log.info("ledger_store_recovered")
            self.failing = None
        self._journal.committed(batch)
        return True
