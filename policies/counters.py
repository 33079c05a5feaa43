"""Counts what tiers use: one atomic step holds on all of them or on none.

``Counters`` is the seam (in process here; Redis for several processes). A hold takes an estimate of
money and tokens and a parallel slot on every tier; ``settle`` puts actual usage in its place, in the
window in which the hold was taken. Every check and every change of one step happens without
awaiting in between, which is what makes it atomic on one event loop.

What costs nothing is not refused for money, and what uses no tokens is not refused for tokens, however
much of the limit is used up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from policies.refusals import budget_exceeded, call_too_large, parallel_limited, rate_limited
from policies.tiers import Budget, Rate, Tier, TierId, Window
from policies.types import Refusal
from policies.windows import Counter, counter


class Hold(msgspec.Struct, frozen=True):
    """What one attempt holds. Settled exactly once."""

    tiers: tuple[Tier, ...]
    cost_nano: int
    tokens: int
    taken_ns: int


class Exhausted(msgspec.Struct, frozen=True):
    """A tier that has no room: which one, and the refusal if no other target has room either."""

    tier: TierId
    refusal: Refusal


@dataclass(frozen=True, slots=True)
class LimitState:
    """One limit and its use, for ``/me``, refusals and the console."""

    tier: TierId
    measure: str
    """``cost`` (nano-dollars), ``tokens``, ``requests`` or ``parallel``."""
    window: Window | None
    limit: int
    used: int
    held: int
    reset_at_ns: int | None


class Counters(Protocol):
    """Where usage is counted."""

    async def meter(self, tiers: Sequence[Tier], now_ns: int) -> Exhausted | None:
        """Count one request on every tier, or on none if one has no room."""

    async def reserve(
        self, tiers: Sequence[Tier], target_tiers: Sequence[Tier], cost_nano: int, tokens: int, now_ns: int
    ) -> Hold | Exhausted:
        """Hold money, tokens and a parallel slot on all tiers or on none; ``target_tiers`` (a
        provider's own) also count the attempt as a request. Holds nothing if it is cancelled."""

    async def settle(self, hold: Hold, cost_nano: int, tokens: int) -> None:
        """Replace the hold by actual usage; zero releases it."""

    def state(self, tiers: Sequence[Tier], now_ns: int) -> list[LimitState]:
        """Every limit of ``tiers`` with its present use."""


class _Account:
    """Live usage of one tier; outlives every edit of the tier's limits."""

    __slots__ = ("_counters", "budgets", "held_cost", "held_tokens", "in_flight", "requests", "tier", "tokens")

    def __init__(self, tier: Tier, now_ns: int) -> None:
        # Usage by measure and window, also of windows that no limit asks about now: a limit that is
        # taken away and put back has missed nothing.
        self._counters: dict[str, dict[Window, Counter]] = {"cost": {}, "tokens": {}, "requests": {}}
        self.held_cost = 0
        self.held_tokens = 0
        self.in_flight = 0
        self.adopt(tier, now_ns)

    def adopt(self, tier: Tier, now_ns: int) -> None:
        """Take the limits of ``tier``, which is this account's tier, new or edited."""
        self.tier = tier
        self.budgets = [(budget, self.counter("cost", budget.window, now_ns)) for budget in tier.budgets]
        limits = [(rate, self.counter(rate.unit, rate.window, now_ns)) for rate in tier.rates]
        self.tokens = [(rate, used) for rate, used in limits if rate.unit == "tokens"]
        self.requests = [(rate, used) for rate, used in limits if rate.unit == "requests"]

    def counter(self, measure: str, window: Window, now_ns: int) -> Counter:
        counters = self._counters[measure]
        found = counters.get(window)
        if found is None:
            found = counters[window] = counter(window, now_ns)
        return found

    def counts(self, measure: str, window: Window) -> bool:
        return window in self._counters[measure]

    def count(self, measure: str, amount: int, at_ns: int) -> None:
        """Count once per window, however many limits share it."""
        for used in self._counters[measure].values():
            used.add(amount, at_ns)


class MemoryCounters:
    """``Counters`` of one process. Its time never runs backwards: while the system's clock does, usage
    counts where the clock had already been, so that it cannot fall between two windows."""

    def __init__(self) -> None:
        self._accounts: dict[TierId, _Account] = {}
        self._latest_ns = 0

    async def meter(self, tiers: Sequence[Tier], now_ns: int) -> Exhausted | None:
        now_ns = self._advance(now_ns)
        accounts = [self._account(tier, now_ns) for tier in tiers]
        for account in accounts:
            refusal = _request_room(account, now_ns)
            if refusal is not None:
                return Exhausted(account.tier.id, refusal)
        for account in accounts:
            account.count("requests", 1, now_ns)
        return None

    async def reserve(
        self, tiers: Sequence[Tier], target_tiers: Sequence[Tier], cost_nano: int, tokens: int, now_ns: int
    ) -> Hold | Exhausted:
        now_ns = self._advance(now_ns)
        own = [self._account(tier, now_ns) for tier in tiers]
        target = [self._account(tier, now_ns) for tier in target_tiers]
        for account in target:
            refusal = _request_room(account, now_ns) or _hold_room(account, cost_nano, tokens, now_ns)
            if refusal is not None:
                return Exhausted(account.tier.id, refusal)
        for account in own:
            refusal = _hold_room(account, cost_nano, tokens, now_ns)
            if refusal is not None:
                return Exhausted(account.tier.id, refusal)
        for account in target:
            account.count("requests", 1, now_ns)
        for account in (*own, *target):
            account.held_cost += cost_nano
            account.held_tokens += tokens
            account.in_flight += 1
        return Hold((*tiers, *target_tiers), cost_nano, tokens, now_ns)

    async def settle(self, hold: Hold, cost_nano: int, tokens: int) -> None:
        for tier in hold.tiers:
            # By name: the tier may have been edited since, and its present limits count this too.
            account = self._accounts[tier.id]
            account.held_cost -= hold.cost_nano
            account.held_tokens -= hold.tokens
            account.in_flight -= 1
            if cost_nano:
                account.count("cost", cost_nano, hold.taken_ns)
            if tokens:
                account.count("tokens", tokens, hold.taken_ns)

    def holds(self, tier: Tier, measure: str, window: Window) -> bool:
        """Whether this window of a tier is counted already."""
        account = self._accounts.get(tier.id)
        return account is not None and account.counts(measure, window)

    def restore(self, tier: Tier, measure: str, window: Window, amount: int, at_ns: int) -> None:
        """Put usage back that the ledger remembers, when a process starts. ``measure`` as in
        ``LimitState``, ascending in time for each window."""
        self._account(tier, at_ns).counter(measure, window, at_ns).add(amount, at_ns)

    def state(self, tiers: Sequence[Tier], now_ns: int) -> list[LimitState]:
        now_ns = self._advance(now_ns)
        found: list[LimitState] = []
        for tier in tiers:
            account = self._account(tier, now_ns)
            for budget, spent in account.budgets:
                found.append(_limit(tier, "cost", budget, spent, account.held_cost, now_ns))
            for rate, used in account.tokens:
                found.append(_limit(tier, "tokens", rate, used, account.held_tokens, now_ns))
            for rate, used in account.requests:
                found.append(_limit(tier, "requests", rate, used, 0, now_ns))
            if tier.parallel is not None:
                found.append(LimitState(tier.id, "parallel", None, tier.parallel, account.in_flight, 0, None))
        return found

    def _advance(self, now_ns: int) -> int:
        self._latest_ns = max(self._latest_ns, now_ns)
        return self._latest_ns

    def _account(self, tier: Tier, now_ns: int) -> _Account:
        account = self._accounts.get(tier.id)
        if account is None:
            account = self._accounts[tier.id] = _Account(tier, now_ns)
        elif account.tier is not tier:
            account.adopt(tier, now_ns)
        return account


def _limit(tier: Tier, measure: str, limit: Budget | Rate, used: Counter, held: int, now_ns: int) -> LimitState:
    top = limit.limit_nano if isinstance(limit, Budget) else limit.limit
    return LimitState(tier.id, measure, limit.window, top, used.used(now_ns), held, used.reset_at(now_ns))


def _request_room(account: _Account, now_ns: int) -> Refusal | None:
    for rate, used in account.requests:
        count = used.used(now_ns)
        if count >= rate.limit:
            return rate_limited(account.tier.id, rate, count, used.room_at(now_ns, 1, rate.limit), now_ns)
    return None


def _hold_room(account: _Account, cost_nano: int, tokens: int, now_ns: int) -> Refusal | None:
    tier = account.tier
    if tier.parallel is not None and account.in_flight >= tier.parallel:
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
                return rate_limited(tier.id, rate, spent, used.room_at(now_ns, tokens, rate.limit), now_ns)
    return None
