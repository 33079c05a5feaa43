"""The ledger's writer: what it takes at once, and what it does with what comes meanwhile."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from policies import journaled_ledger
from policies.journal import Journal
from policies.journaled_ledger import JournaledLedger
from policies.ledger import LedgerRow
from policies.ledger_queries import LedgerFilter, StoreUnavailable
from policies.stores.engine import open_engine
from policies.stores.ledger import RelationalLedger
from tests.unit.policies.test_books import row

pytestmark = pytest.mark.anyio


class BusyStore(RelationalLedger):
    """SQLite; while it writes, another call ends on the loop, as under load."""

    def __init__(self, path: Path) -> None:
        super().__init__(open_engine(f"sqlite:///{path / 'ledger.db'}"))
        self.sizes: list[int] = []
        self.gone = False
        self.ledger: JournaledLedger | None = None
        self.more = 0
        self.loop = asyncio.get_running_loop()

    def write(self, rows: Sequence[LedgerRow]) -> int:
        if self.gone:
            raise StoreUnavailable("gone")
        self.sizes.append(len(rows))
        if self.more:
            self.more -= 1
            recorded = threading.Event()
            self.loop.call_soon_threadsafe(self._another, recorded)
            assert recorded.wait(10)
        return super().write(rows)

    def _another(self, recorded: threading.Event) -> None:
        assert self.ledger is not None
        self.ledger.record(row(90_000 + self.more))
        recorded.set()

    def ids(self) -> list[str]:
        return [r.call_id for r in self.page(LedgerFilter(), None, 1_000, newest_first=False).rows]


@pytest.fixture
async def store(tmp_path: Path) -> BusyStore:
    store = BusyStore(tmp_path)
    store.ledger = JournaledLedger(Journal(tmp_path / "journal"), store)
    return store


async def test_rows_that_come_while_a_batch_is_written_wait_for_the_next_one(store: BusyStore) -> None:
    """Followed one by one, they would never be a batch again while calls keep coming."""
    ledger = store.ledger
    assert ledger is not None
    store.more = 3
    for number in range(5):
        ledger.record(row(number))
    assert await ledger.flush()
    assert (store.sizes, ledger.waiting) == ([5], 1)
    assert await ledger.flush()
    assert (store.sizes, ledger.waiting) == ([5, 1], 1)
    await ledger.close()


async def test_rows_that_memory_had_no_place_for_are_written_while_more_come(
    store: BusyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journaled_ledger, "MEMORY_ROWS", 8)
    ledger = store.ledger
    assert ledger is not None
    store.gone = True
    for number in range(30):
        ledger.record(row(number))
    assert not await ledger.flush()
    assert ledger.waiting == 8
    store.gone, store.more = False, 6
    assert await ledger.flush()
    store.more = 0
    assert await ledger.flush()
    assert store.ids() == [f"c{n:05d}" for n in (*range(30), *range(90_000, 90_006))]
    assert sum(store.sizes) == 36, "no row is written twice"
    await ledger.close()
    assert list(Path(ledger._journal._directory).glob("*.jsonl")) == []
