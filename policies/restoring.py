"""Puts usage back into the counters when a process starts or a limit is new: from the books, which are
the only record. Calendar windows are sums of days; rolling windows are read from recent rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from policies.counters import MemoryCounters
from policies.ledger import LedgerRow
from policies.ledger_queries import LedgerStore, UsageSum
from policies.tiers import Tier, Window
from policies.windows import SECOND_NS, bounds, length_ns


def restore_counters(counters: MemoryCounters, tiers: Iterable[Tier], store: LedgerStore, now_ns: int) -> None:
    """Fill every window of ``tiers`` that ``counters`` does not hold yet."""
    wanted: dict[str, set[tuple[Tier, str, Window]]] = {}
    for tier in tiers:
        for measure, window in _windows(tier):
            if not counters.holds(tier, measure, window):
                wanted.setdefault(str(tier.id), set()).add((tier, measure, window))
    needs = [entry for entries in wanted.values() for entry in entries]
    _restore_calendar(counters, [n for n in needs if not n[2].rolling], store, now_ns)
    _restore_rolling(counters, [n for n in needs if n[2].rolling], store, now_ns)


def _windows(tier: Tier) -> Iterable[tuple[str, Window]]:
    yield from (("cost", budget.window) for budget in tier.budgets)
    yield from ((rate.unit, rate.window) for rate in tier.rates)


Need = tuple[Tier, str, Window]


def _restore_calendar(counters: MemoryCounters, needs: Sequence[Need], store: LedgerStore, now_ns: int) -> None:
    if not needs:
        return
    starts = {need: bounds(need[2], now_ns)[0] for need in needs}
    sums: dict[str, list[UsageSum]] = {}
    for entry in store.usage_since(_day(min(starts.values()))):
        sums.setdefault(entry.tier, []).append(entry)
    for need, start in starts.items():
        tier, measure, window = need
        first = _day(start)
        used = sum(_amount(entry, measure) for entry in sums.get(str(tier.id), ()) if entry.day >= first)
        counters.restore(tier, measure, window, used, now_ns)


def _restore_rolling(counters: MemoryCounters, needs: Sequence[Need], store: LedgerStore, now_ns: int) -> None:
    if not needs:
        return
    for tier, measure, window in needs:
        counters.restore(tier, measure, window, 0, now_ns)
    by_tier: dict[str, list[Need]] = {}
    for need in needs:
        by_tier.setdefault(str(need[0].id), []).append(need)
    oldest = now_ns - max(length_ns(window) for _, _, window in needs)
    for row in store.recent(oldest):
        if row.outcome == "refused":
            continue
        for name in row.tiers:
            for tier, measure, window in by_tier.get(name, ()):
                counters.restore(tier, measure, window, _row_amount(row, measure), row.started_ns)


def _amount(entry: UsageSum, measure: str) -> int:
    return {"cost": entry.cost_nano, "tokens": entry.tokens, "requests": entry.requests}[measure]


def _row_amount(row: LedgerRow, measure: str) -> int:
    if measure == "cost":
        return row.cost_nano
    if measure == "requests":
        return 1
    cached = row.cache_read_tokens + row.cache_write_tokens + row.cache_write_1h_tokens
    return row.input_tokens + cached + row.output_tokens


def _day(ns: int) -> str:
    return datetime.fromtimestamp(ns // SECOND_NS, UTC).strftime("%Y-%m-%d")
