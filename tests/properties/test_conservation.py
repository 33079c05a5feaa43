"""Conservation of money: whatever happens to the calls, ledger rows, tier counters and the provider's own
bill say the same.

Every case is a random mix of calls that succeed, fail, are cancelled, are cut, report nothing, are retried
elsewhere, with a store that is sometimes gone and a process that is sometimes killed. A kill is what it
leaves on the disk: the journal and the database are copied as they are at that instant, and a new process
starts from the copy.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from policies.admission import Grants
from policies.caching.vocabulary import Bypass, Kept
from policies.dispatch import Attempt, Following, Target
from policies.flight import Flight
from policies.identity import VirtualKey
from policies.journal import Journal
from policies.journaled_ledger import JournaledLedger
from policies.ledger import LedgerRow
from policies.ledger_queries import LedgerFilter, LedgerStore, StoreUnavailable
from policies.memory_counters import MemoryCounters
from policies.passage import Enforced, Passage
from policies.pricing import per_call
from policies.restoring import restore_counters
from policies.run_limits import RunLimits
from policies.runs import ToolUseIndex
from policies.stores.engine import open_engine
from policies.stores.ledger import RelationalLedger
from policies.tiers import Budget, Rate
from policies.types import CallContext, Estimate, ModelCall, Outcome, Principal, Refusal, ToolCall, Usage
from tests.support.money import DAY, HOUR, MONTH, PRICE, tier

pytestmark = pytest.mark.anyio

TOOL_PRICE = per_call(Decimal("0.000003"))
FATES = st.sampled_from(["ok", "ok", "ok", "error", "cancel", "cut", "silent", "retry", "long", "never_sent", "defect"])
CALLS = st.tuples(FATES, st.booleans(), st.integers(0, 3_000), st.integers(0, 3_000), st.integers(0, 2))
EVENTS = st.lists(st.one_of(CALLS, st.sampled_from(["outage", "mended", "kill", "flush"])), min_size=1, max_size=14)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "ledger.db"
    engine = open_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        connection.exec_driver_sql("PRAGMA journal_mode=DELETE")
    engine.dispose()
    return path


class Provider:
    """Keeps a bill of its own: what it served and reported, by call and attempt."""

    def __init__(self) -> None:
        self.bill: dict[tuple[str, int], Usage] = {}
        self.served: set[tuple[str, int]] = set()


class Fated:
    """A dispatch whose attempt has this fate."""

    def __init__(
        self, provider: Provider, fate: str, model: bool, usage: tuple[int, int], flying: asyncio.Event
    ) -> None:
        self.provider, self.fate, self.model, self.usage, self.flying = provider, fate, model, usage, flying

    def admit(self, key: VirtualKey) -> Refusal | None:
        return None

    def route(self, key: VirtualKey) -> Sequence[Target]:
        price = PRICE if self.model else TOOL_PRICE
        own = tier("provider", "p", Budget(10**15, MONTH), Rate("requests", 10**9, DAY))
        return (Target("p", "m", price, (own,)), Target("q", "m", price)) if self.fate == "retry" else (
            Target("p", "m", price, (own,)),
        )  # fmt: skip

    def estimate(self, target: Target) -> Estimate:
        return Estimate(500, 500, 3_000) if self.model else Estimate()

    def answerable(self, key: VirtualKey) -> Bypass:
        return Bypass("unsupported")

    def replay(self, kept: Kept) -> None:
        return None

    def following(self, attempt: Attempt, outcome: Outcome) -> Following | None:
        rest = self.route(attempt.key)[attempt.number :]
        return Following(rest) if outcome.failure == "outage" and rest else None

    async def run(self, attempt: Attempt) -> Outcome:
        identity = attempt.call.context.call_id, attempt.number
        if self.fate == "never_sent":
            return Outcome(kind="failed", code="upstream_unreachable")
        attempt.progress = "sent"
        self.provider.served.add(identity)
        if self.fate == "defect":
            raise RuntimeError("a defect")
        if self.fate == "error" or (self.fate == "retry" and attempt.number == 1):
            return Outcome(kind="failed", code="upstream_error", status=503, failure="outage")
        if self.fate == "long":
            attempt.committed = True
            for _ in range(5):
                attempt.output_bytes += self.usage[1]
                if attempt.output_bytes > attempt.covered_bytes:
                    await attempt.cover()
        if self.fate in ("cancel", "cut", "pending"):
            attempt.committed, attempt.output_bytes = True, self.usage[1]
            self.flying.set()
            if self.fate == "cut":
                return Outcome(kind="failed", code="upstream_cut")
            await asyncio.Event().wait()
        if self.fate == "silent":
            return Outcome(kind="ok", status=200)
        usage = Usage(input_tokens=self.usage[0], output_tokens=self.usage[1])
        if self.model:
            self.provider.bill[identity] = usage
        return Outcome(kind="ok", usage=usage if self.model else None, status=200)


class Gone:
    """A store that can be gone."""

    def __init__(self, store: RelationalLedger) -> None:
        self.store, self.gone = store, False

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    def write(self, rows: Sequence[LedgerRow]) -> int:
        if self.gone:
            raise StoreUnavailable("the test took it away")
        return self.store.write(rows)


class House:
    """One process's worth of core, on a directory."""

    def __init__(self, directory: Path, key: VirtualKey) -> None:
        self.directory, self.key = directory, key
        self.engine = open_engine(f"sqlite:///{directory / 'ledger.db'}")
        self.store = Gone(RelationalLedger(self.engine))
        store: LedgerStore = self.store  # type: ignore[assignment]
        self.ledger = JournaledLedger(Journal(directory / "journal", segment_bytes=20_000), store)
        self.counters = MemoryCounters()
        index = ToolUseIndex(time.time_ns)
        self.passage = Passage(self.counters, self.ledger, index, time.time_ns, Enforced())
        self.flights: list[Flight[Any]] = []

    def start(self) -> None:
        self.ledger.start()
        restore_counters(self.counters, [*self.key.tiers, PROVIDER_TIER], self.store.store, time.time_ns())

    async def call(self, number: int, dispatch: Fated, run: str) -> None:
        context = CallContext(call_id=f"c{number:06d}", started_ns=time.time_ns(), surface="t", run=run)
        call: Any = ModelCall(context=context, operation="chat", model="m")
        if not dispatch.model:
            call = ToolCall(context=context, server="p", name="t")
        flight = await self.passage.enter(self.key, call, dispatch)
        if isinstance(flight, Refusal):
            return
        self.flights.append(flight)
        if dispatch.fate == "cancel":
            listener = flight.listen()
            await dispatch.flying.wait()
            listener.leave()
        if dispatch.fate != "pending":
            await flight.wait()

    async def killed(self, into: Path) -> House:
        """What a new process finds on the disk."""
        shutil.copytree(self.directory, into, ignore=shutil.ignore_patterns("lock"))
        self.store.gone = True  # the dead process writes nothing more
        await self.passage.drain(0)
        await self.ledger.close()
        return House(into, self.key)


PROVIDER_TIER = tier("provider", "p", Budget(10**15, MONTH), Rate("requests", 10**9, DAY))


def make_key() -> VirtualKey:
    tiers = (
        tier("key", "k", Budget(40_000_000, MONTH), Budget(30_000_000, DAY), Rate("requests", 12, HOUR), Rate("tokens", 10**6, DAY)),
        tier("team", "t", Budget(10**12, MONTH)),
        tier("customer", "c", Budget(10**12, MONTH), Rate("requests", 10**6, DAY)),
    )  # fmt: skip
    limits = RunLimits(budget_nano=20_000_000, tool_calls=4, model_calls=6)
    return VirtualKey(Principal("k", "t", "c"), Grants(), tiers, run_limits=limits)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(EVENTS)
async def test_rows_counters_and_the_providers_bill_agree(template: Path, events: list[Any]) -> None:
    """Hypothesis' own hundred cases; ``make prove`` runs ten thousand."""
    await conserve(template, events)


async def conserve(template: Path, events: list[Any]) -> None:
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        (root / "0").mkdir()
        shutil.copy(template, root / "0" / "ledger.db")
        key, provider = make_key(), Provider()
        house = House(root / "0", key)
        house.start()
        for number, event in enumerate(events):
            if event == "outage":
                house.store.gone = True
            elif event == "mended":
                house.store.gone = False
            elif event == "flush":
                await house.ledger.flush()
            elif event == "kill":
                await begin_call(house, number, provider)
                house = await house.killed(root / str(number + 1))
                house.start()
            else:
                fate, model, given, output, run = event
                await house.call(number, Fated(provider, fate, model, (given, output), asyncio.Event()), f"r{run}")
        house.store.gone = False
        await check(house, provider)
        await house.ledger.close()


async def begin_call(house: House, number: int, provider: Provider) -> None:
    """A call that is under way when the process dies, unless it was refused."""
    flying = asyncio.Event()
    await house.call(10_000 + number, Fated(provider, "pending", True, (0, 400), flying), "rk")
    if house.flights and not house.flights[-1].done:
        await flying.wait()


async def check(house: House, provider: Provider) -> None:
    await house.ledger.flush()
    rows = house.store.store.page(LedgerFilter(), None, 1_000, newest_first=False).rows
    left = [row for row in rows if row.outcome != "refused"]
    known = {(row.call_id, row.attempt) for row in left}
    assert len(known) == len(left)
    assert provider.served <= known, "a call that was served is missing"
    for row in left:
        if row.basis == "measured":
            billed = provider.bill[row.call_id, row.attempt]
            assert (row.input_tokens, row.output_tokens) == (billed.input_tokens, billed.output_tokens)
            assert row.cost_nano == PRICE.cost(billed)
    sums: Counter[tuple[str, str]] = Counter()
    for row in rows:
        for name in row.tiers:
            sums[name, "cost"] += row.cost_nano
            sums[name, "tokens"] += row.input_tokens + row.output_tokens
            sums[name, "requests"] += row.attempt == 1 if not name.startswith("provider") else row.outcome != "refused"
    for state in await house.counters.state([*house.key.tiers, PROVIDER_TIER], time.time_ns()):
        assert state.held == 0, state
        assert state.used == sums[str(state.tier), state.measure], state
    for run in {row.run for row in rows if row.run}:
        limited = house.passage.runs.tier("k", run, house.key.run_limits, None)
        assert limited is not None
        assert not isinstance(limited, Refusal)
        own = [row for row in rows if row.run == run]
        expected = {
            "cost": sum(row.cost_nano for row in own),
            "tool_calls": sum(row.kind == "tool" and row.attempt == 1 and bool(row.tiers) for row in own),
            "model_calls": sum(row.kind == "model" and row.attempt == 1 and bool(row.tiers) for row in own),
        }
        found = {state.measure: state.used for state in await house.counters.state([limited], time.time_ns())}
        assert found == expected, run
