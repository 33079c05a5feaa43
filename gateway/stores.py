"""Opens the stores that the configuration names: the books (relational) and the counters. What is not
configured is not loaded."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog
from sqlalchemy.exc import SQLAlchemyError

from gateway.config.models import Config
from gateway.state import StateDir, StateError
from policies.counters import Counters, Hold
from policies.journal import Journal, JournalLocked
from policies.journaled_ledger import JournaledLedger, Observer, take_over
from policies.ledger import LedgerRow, tokens_of
from policies.ledger_queries import LedgerStore
from policies.memory_counters import MemoryCounters
from policies.outage import CountersUnavailable, OutageCounters, SharedCounters
from policies.remembered import Remembered, RememberedRun
from policies.restoring import read_back, read_runs, restore_counters
from policies.stores.engine import MigrationFailed, open_engine
from policies.stores.keys import RelationalKeys
from policies.stores.ledger import RelationalLedger
from policies.stores.prices import RelationalPrices
from policies.tiers import Tier, TierId

log = structlog.get_logger("tollkeeper.stores")


@dataclass(frozen=True, slots=True)
class Books:
    """Everything that lives in the relational store."""

    ledger: JournaledLedger
    store: RelationalLedger
    keys: RelationalKeys
    prices: RelationalPrices


def open_books(config: Config, state: StateDir, observers: tuple[Observer, ...], worker: int = 0) -> Books:
    """The ledger, its store, the keys' and the prices' stores, on the configured database. Every worker has
    a journal of its own. Raises ``StateError``."""
    url = config.stores.ledger or f"sqlite:///{state.ledger}"
    try:
        engine = open_engine(url)
        journal = Journal(state.journal if worker == 0 else state.root / f"journal-{worker}")
    except (MigrationFailed, SQLAlchemyError) as error:
        reason = str(getattr(error, "orig", None) or error).strip()
        raise StateError(f"The ledger store cannot be opened: {reason}.") from None
    except (JournalLocked, OSError) as error:
        raise StateError(str(error)) from None
    store = RelationalLedger(engine)
    return Books(JournaledLedger(journal, store, observers), store, RelationalKeys(engine), RelationalPrices(engine))


def adopt_journals(state: StateDir, store: RelationalLedger, *, workers: int) -> list[LedgerRow]:
    """Take over what workers left that are not run any more. Raises ``StateError``."""
    found: list[LedgerRow] = []
    for directory in sorted(state.root.glob("journal-*")):
        number = directory.name.removeprefix("journal-")
        if not number.isdigit() or int(number) < workers:
            continue
        try:
            journal = Journal(directory)
        except (JournalLocked, OSError) as error:
            raise StateError(str(error)) from None
        found += take_over(journal, store)
        journal.close()
    return found


class CounterStore(Protocol):
    """Counters, and what keeps them in step with the books."""

    @property
    def counters(self) -> Counters: ...

    def failing(self) -> str | None:
        """Why the store does not answer; ``None`` while it does."""

    async def start(self, left: Sequence[LedgerRow]) -> None:
        """Take over the rows that a dead process left. Raises ``StateError``."""

    async def restore(self, tiers: Iterable[Tier], store: LedgerStore, now_ns: int) -> None:
        """Fill what is not counted yet from the ledger."""

    async def stop(self) -> None: ...


def open_counters(config: Config) -> CounterStore:
    """The configured counters."""
    if config.stores.counters == "memory":
        return _OwnCounters()
    module = importlib.import_module("policies.stores.redis_counters")
    budgets = config.budgets
    share = budgets.outage_allowance if budgets.on_store_outage == "allowance" else 0.0
    return _RedisCounters(module.RedisCounters(config.stores.counters), share)


class _OwnCounters:
    """Of this process: rebuilt from the books at every start."""

    def __init__(self) -> None:
        self.counters = MemoryCounters()

    def failing(self) -> str | None:
        return None

    async def start(self, left: Sequence[LedgerRow]) -> None:
        """The books have them, and the counters are filled from there."""

    async def restore(self, tiers: Iterable[Tier], store: LedgerStore, now_ns: int) -> None:
        restore_counters(self.counters, tiers, store, now_ns)

    async def stop(self) -> None:
        """Nothing is open."""


class Shared(SharedCounters, Protocol):
    """Shared counters that can be filled from the ledger. Every method raises ``CountersUnavailable``."""

    async def remember(self, known: Sequence[Remembered], runs: Sequence[RememberedRun], now_ns: int) -> None:
        """Raise what the ledger knows better."""

    async def close(self) -> None: ...


class _RedisCounters:
    """Shared by several processes: they outlive each of them, and are raised where the books know more."""

    def __init__(self, shared: Shared, share: float) -> None:
        self._redis = shared
        self.counters = OutageCounters(shared, share)

    def failing(self) -> str | None:
        return self.counters.failing

    async def start(self, left: Sequence[LedgerRow]) -> None:
        try:
            reason = await self._redis.check()
        except CountersUnavailable as error:
            log.error("counter_store_fails", reason=str(error))
            reason = None
        if reason is not None:
            raise StateError(f"The counters cannot be used: {reason}.")
        for row in left:
            if row.tiers:
                await self.counters.settle(_hold_of(row), row.cost_nano, tokens_of(row))

    async def restore(self, tiers: Iterable[Tier], store: LedgerStore, now_ns: int) -> None:
        def read() -> tuple[list[Remembered], list[RememberedRun]]:
            return list(read_back(tiers, store, now_ns, lambda _: True)), list(read_runs(store, now_ns))

        known, runs = await asyncio.to_thread(read)
        try:
            await self._redis.remember(known, runs, now_ns)
        except CountersUnavailable as error:
            log.error("counters_not_restored", reason=str(error))

    async def stop(self) -> None:
        await self.counters.stop()
        await self._redis.close()


def _hold_of(row: LedgerRow) -> Hold:
    """The hold of an attempt that a dead process left open, by name."""
    tiers = [Tier(TierId.parse(name)) for name in row.tiers]
    if row.run is not None and row.key is not None:
        tiers.append(Tier(TierId("run", f"{row.key}/{row.run}")))
    return Hold(f"{row.call_id}:{row.attempt}", tuple(tiers), 0, 0, row.started_ns)
