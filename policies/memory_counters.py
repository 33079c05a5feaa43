"""``policies.counters.Counters`` of one process: plain objects, changed without awaiting in between, which
is what makes each step atomic on one event loop.

Its time never runs backwards: while the system's clock does, usage counts where the clock had already
been, so that it cannot fall between two windows.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import msgspec

from policies.counters import Exhausted, Hold, LimitState, Need
from policies.refusals import (
    budget_exceeded,
    call_too_large,
    parallel_limited,
    rate_limited,
    run_limited,
    run_over,
)
from policies.tiers import RUN, Budget, Rate, RateUnit, Tier, TierId, Window
from policies.types import Refusal
from policies.windows import Counter, counter

RUN_CAPACITY = 100_000
"""Runs whose use is remembered; the longest idle one is forgotten first."""


class _Account:
    """Live usage of one tier; outlives every edit of the tier's limits."""

    __slots__ = ("_counters", "began_ns", "budgets", "held_cost", "held_tokens", "in_flight", "rates", "tier", "tokens")

    def __init__(self, tier: Tier, now_ns: int) -> None:
        # Usage by measure and window, also of windows that no limit asks about now: a limit that is
        # taken away and put back has missed nothing.
        self._counters: dict[str, dict[Window, Counter]] = {}
        self.began_ns = now_ns
        self.held_cost = 0
        self.held_tokens = 0
        self.in_flight = 0
        if tier.id.kind == "run":
            for measure in ("cost", "tool_calls", "model_calls"):
                self.counter(measure, RUN, now_ns)
        self.adopt(tier, now_ns)

    def adopt(self, tier: Tier, now_ns: int) -> None:
        """Take the limits of ``tier``, which is this account's tier, new or edited."""
        self.tier = tier
        self.budgets = [(budget, self.counter("cost", budget.window, now_ns)) for budget in tier.budgets]
        limits = [(rate, self.counter(rate.unit, rate.window, now_ns)) for rate in tier.rates]
        self.tokens = [(rate, used) for rate, used in limits if rate.unit == "tokens"]
        self.rates = [(rate, used) for rate, used in limits if rate.unit != "tokens"]

    def counter(self, measure: str, window: Window, now_ns: int) -> Counter:
        counters = self._counters.setdefault(measure, {})
        found = counters.get(window)
        if found is None:
            found = counters[window] = counter(window, now_ns)
        return found

    def counts(self, measure: str, window: Window) -> bool:
        return window in self._counters.get(measure, ())

    def count(self, measure: str, amount: int, at_ns: int) -> None:
        """Count once per window, however many limits share it."""
        counters = self._counters.get(measure)
        if counters:
            for used in counters.values():
                used.add(amount, at_ns)


class MemoryCounters:
    """Composed once per process."""

    def __init__(self) -> None:
        self._accounts: dict[TierId, _Account] = {}
        self._runs: OrderedDict[TierId, _Account] = OrderedDict()
        self._latest_ns = 0

    async def meter(self, tiers: Sequence[Tier], units: Sequence[RateUnit], now_ns: int) -> Exhausted | None:
        now_ns = self._advance(now_ns)
        accounts = [self._account(tier, now_ns) for tier in tiers]
        for account in accounts:
            refusal = _request_room(account, units, now_ns)
            if refusal is not None:
                return Exhausted(account.tier.id, refusal)
        for account in accounts:
            for unit in units:
                account.count(unit, 1, now_ns)
        return None

    async def reserve(
        self, tiers: Sequence[Tier], target_tiers: Sequence[Tier], need: Need, now_ns: int
    ) -> Hold | Exhausted:
        now_ns = self._advance(now_ns)
        cost, tokens, slot = need.cost_nano, need.tokens, need.slot
        own = [self._account(tier, now_ns) for tier in tiers]
        target = [self._account(tier, now_ns) for tier in target_tiers]
        for account in target:
            refusal = _request_room(account, need.units, now_ns) or _hold_room(account, cost, tokens, slot, now_ns)
            if refusal is not None:
                return Exhausted(account.tier.id, refusal)
        for account in own:
            refusal = _hold_room(account, cost, tokens, slot, now_ns)
            if refusal is not None:
                return Exhausted(account.tier.id, refusal)
        for account in target:
            for unit in need.units:
                account.count(unit, 1, now_ns)
        for account in (*own, *target):
            account.held_cost += cost
            account.held_tokens += tokens
            account.in_flight += slot
        return Hold(need.hold_id, (*tiers, *target_tiers), cost, tokens, now_ns, slot)

    async def extend(self, hold: Hold, cost_nano: int, tokens: int, now_ns: int) -> Hold | Exhausted:
        now_ns = self._advance(now_ns)
        more_cost, more_tokens = cost_nano - hold.cost_nano, tokens - hold.tokens
        accounts = [self._account(tier, now_ns) for tier in hold.tiers]
        for account in accounts:
            refusal = _hold_room(account, more_cost, more_tokens, False, now_ns)
            if refusal is not None:
                return Exhausted(account.tier.id, refusal)
        for account in accounts:
            account.held_cost += more_cost
            account.held_tokens += more_tokens
        return msgspec.structs.replace(hold, cost_nano=cost_nano, tokens=tokens)

    async def settle(self, hold: Hold, cost_nano: int, tokens: int) -> None:
        for tier in hold.tiers:
            # By name: the tier may have been edited since, and its present limits count this too.
            account = self._accounts.get(tier.id) or self._runs.get(tier.id)
            if account is None:  # a run that was forgotten since
                continue
            account.held_cost -= hold.cost_nano
            account.held_tokens -= hold.tokens
            account.in_flight -= hold.slot
            if cost_nano:
                account.count("cost", cost_nano, hold.taken_ns)
            if tokens:
                account.count("tokens", tokens, hold.taken_ns)

    async def state(self, tiers: Sequence[Tier], now_ns: int) -> list[LimitState]:
        now_ns = self._advance(now_ns)
        found: list[LimitState] = []
        for tier in tiers:
            account = self._account(tier, now_ns)
            for budget, spent in account.budgets:
                found.append(_limit(tier, "cost", budget, spent, account.held_cost, now_ns))
            for rate, used in account.tokens:
                found.append(_limit(tier, "tokens", rate, used, account.held_tokens, now_ns))
            for rate, used in account.rates:
                found.append(_limit(tier, rate.unit, rate, used, 0, now_ns))
            if tier.parallel is not None:
                found.append(LimitState(tier.id, "parallel", None, tier.parallel, account.in_flight, 0, None))
        return found

    def busy(self) -> bool:
        """Whether anything is held."""
        accounts = (*self._accounts.values(), *self._runs.values())
        return any(a.in_flight or a.held_cost or a.held_tokens for a in accounts)

    def holds(self, tier: Tier, measure: str, window: Window) -> bool:
        """Whether this window of a tier is counted already."""
        account = self._accounts.get(tier.id)
        return account is not None and account.counts(measure, window)

    def restore(self, tier: Tier, measure: str, window: Window, amount: int, at_ns: int) -> None:
        """Put usage back that the ledger remembers, when a process starts. ``measure`` as in
        ``LimitState``, ascending in time for each window."""
        self._account(tier, at_ns).counter(measure, window, at_ns).add(amount, at_ns)

    def restore_run(self, name: str, began_ns: int, used: dict[str, int]) -> None:
        """Put the use of a run back; one that is counted already stays as it is."""
        tier = Tier(TierId("run", name))
        if tier.id in self._runs:
            return
        account = self._account(tier, began_ns)
        for measure, amount in used.items():
            account.count(measure, amount, began_ns)

    def _advance(self, now_ns: int) -> int:
        self._latest_ns = max(self._latest_ns, now_ns)
        return self._latest_ns

    def _account(self, tier: Tier, now_ns: int) -> _Account:
        accounts = self._runs if tier.id.kind == "run" else self._accounts
        account = accounts.get(tier.id)
        if account is None:
            account = accounts[tier.id] = _Account(tier, now_ns)
            self._forget_runs()
        elif account.tier is not tier:
            account.adopt(tier, now_ns)
        if tier.id.kind == "run":
            self._runs.move_to_end(tier.id)
        return account

    def _forget_runs(self) -> None:
        while len(self._runs) > RUN_CAPACITY:
            oldest = next(iter(self._runs))
            if self._runs[oldest].in_flight:
                self._runs.move_to_end(oldest)
                return
            del self._runs[oldest]


def _limit(tier: Tier, measure: str, limit: Budget | Rate, used: Counter, held: int, now_ns: int) -> LimitState:
    top = limit.limit_nano if isinstance(limit, Budget) else limit.limit
    resets = used.reset_at(now_ns)
    if resets is not None and resets <= now_ns:
        resets = None  # nothing is counted
    return LimitState(tier.id, measure, limit.window, top, used.used(now_ns), held, resets)


def _request_room(account: _Account, units: Sequence[RateUnit], now_ns: int) -> Refusal | None:
    tier = account.tier
    if tier.lifetime_ns is not None and now_ns > account.began_ns + tier.lifetime_ns:
        return run_over(tier.id, tier.lifetime_ns, account.began_ns)
    for rate, used in account.rates:
        if rate.unit in units and (count := used.used(now_ns)) >= rate.limit:
            room_at = used.room_at(now_ns, 1, rate.limit)
            if room_at is None:
                return run_limited(tier.id, rate.unit, rate.limit, count)
            return rate_limited(tier.id, rate, count, room_at, now_ns)
    return None


def _hold_room(account: _Account, cost_nano: int, tokens: int, slot: bool, now_ns: int) -> Refusal | None:
    tier = account.tier
    if slot and tier.parallel is not None and account.in_flight >= tier.parallel:
        return parallel_limited(tier.id, tier.parallel)
    if cost_nano:
        for budget, money in account.budgets:
            taken = money.used(now_ns) + account.held_cost
            if taken + cost_nano > budget.limit_nano:
                return budget_exceeded(tier.id, budget, taken, cost_nano, money.reset_at(now_ns))
    if tokens:
        for rate, used in account.tokens:
            spent = used.used(now_ns) + account.held_tokens
            if tokens > rate.limit:
                return call_too_large(tier.id, rate, tokens)
            if spent + tokens > rate.limit:
                room_at = used.room_at(now_ns, tokens, rate.limit)
                return rate_limited(tier.id, rate, spent, now_ns if room_at is None else room_at, now_ns)
    return None
