"""What the counters have forgotten, read from the books: when a process starts, when a limit is new, when a
shared counter store has lost data. Calendar windows are sums of days; rolling windows are read from recent
rows; runs from their own rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from policies.ledger import LedgerRow, requests_of, tokens_of
from policies.ledger_queries import LedgerStore, UsageSum
from policies.memory_counters import MemoryCounters
from policies.remembered import RUN_MEMORY_NS, Remembered, RememberedRun
from policies.tiers import Tier, Window
from policies.windows import bounds, day_of, length_ns

Need = tuple[Tier, str, Window]


def restore_counters(counters: MemoryCounters, tiers: Iterable[Tier], store: LedgerStore, now_ns: int) -> None:
    """Fill every window of ``tiers`` that ``counters`` does not hold yet, and every run."""
    for known in read_back(tiers, store, now_ns, lambda need: not counters.holds(*need)):
        for at_ns, amount in known.amounts:
            counters.restore(known.tier, known.measure, known.window, amount, at_ns)
    for run in read_runs(store, now_ns):
        counters.restore_run(run.name, run.began_ns, dict(run.used))


def read_back(
    tiers: Iterable[Tier], store: LedgerStore, now_ns: int, wanted: Callable[[Need], bool]
) -> Iterator[Remembered]:
    """The use of every wanted window of ``tiers``; a window without use comes with zero."""
    needs = list(dict.fromkeys(need for tier in tiers for need in _windows(tier) if wanted(need)))
    yield from _calendar([n for n in needs if not n[2].rolling], store, now_ns)
    yield from _rolling([n for n in needs if n[2].rolling], store, now_ns)


def read_runs(store: LedgerStore, now_ns: int) -> Iterator[RememberedRun]:
    """Every run that was active within ``RUN_MEMORY_NS``."""
    for use in store.run_use(now_ns - RUN_MEMORY_NS):
        used = {"cost": use.cost_nano, "tool_calls": use.tool_calls, "model_calls": use.model_calls}
        yield RememberedRun(f"{use.key}/{use.run}", use.began_ns, used)


def _windows(tier: Tier) -> Iterator[Need]:
    yield from ((tier, "cost", budget.window) for budget in tier.budgets)
    yield from ((tier, rate.unit, rate.window) for rate in tier.rates if rate.unit in ("requests", "tokens"))


def _calendar(needs: Sequence[Need], store: LedgerStore, now_ns: int) -> Iterator[Remembered]:
    if not needs:
        return
    starts = {need: bounds(need[2], now_ns)[0] for need in needs}
    sums: dict[str, list[UsageSum]] = {}
    for entry in store.usage_since(day_of(min(starts.values()))):
        sums.setdefault(entry.tier, []).append(entry)
    for need, start in starts.items():
        tier, measure, window = need
        first = day_of(start)
        used = sum(_amount(entry, measure) for entry in sums.get(str(tier.id), ()) if entry.day >= first)
        yield Remembered(tier, measure, window, ((now_ns, used),))


def _rolling(needs: Sequence[Need], store: LedgerStore, now_ns: int) -> Iterator[Remembered]:
    if not needs:
        return
    found: dict[Need, list[tuple[int, int]]] = {need: [] for need in needs}
    by_tier: dict[str, list[Need]] = {}
    for need in needs:
        by_tier.setdefault(str(need[0].id), []).append(need)
    oldest = now_ns - max(length_ns(window) for _, _, window in needs)
    for row in store.recent(oldest):
        for name in row.tiers:
            for need in by_tier.get(name, ()):
                found[need].append((row.started_ns, _row_amount(row, name, need[1])))
    for need, amounts in found.items():
        yield Remembered(*need, tuple(amounts) or ((now_ns, 0),))


def _amount(entry: UsageSum, measure: str) -> int:
    return {"cost": entry.cost_nano, "tokens": entry.tokens, "requests": entry.requests}[measure]


def _row_amount(row: LedgerRow, tier: str, measure: str) -> int:
    if measure == "cost":
        return row.cost_nano
    if measure == "requests":
        return requests_of(row, tier)
    return tokens_of(row)
