"""Counts what tiers use: one atomic step holds on all of them or on none.

``Counters`` is the seam (in process here; Redis for several processes). A hold takes an estimate of
money and tokens and a parallel slot on every tier; ``settle`` puts actual usage in its place, in the
window in which the hold was taken. Every check and every change of one step happens without
awaiting in between, which is what makes it atomic on one event loop.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from policies.refusals import budget_exceeded, parallel_limited, rate_limited
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
        provider's own) also count the attempt as a request."""

    async def settle(self, hold: Hold, cost_nano: int, tokens: int) -> None:
        """Replace the hold by actual usage; zero releases it."""

    def state(self, tiers: Sequence[Tier], now_ns: int) -> list[LimitState]:
        """Every limit of ``tiers`` with its present use."""


class _TierState:
    """Live usage of one tier."""

    __slots__ = ("budgets", "held_cost", "held_tokens", "in_flight", "rates", "tier")

    def __init__(self, tier: Tier, counters: dict[tuple[str, Window], Counter], now_ns: int) -> None:
        def find(measure: str, window: Window) -> Counter:
            return counters.setdefault((measure, window), counter(window, now_ns))

        self.tier = tier
        self.budgets = [(b, find("cost", b.window)) for b in tier.budgets]
        self.rates = [(r, find(r.unit, r.window)) for r in tier.rates]
        self.held_cost = 0
        self.held_tokens = 0
        self.in_flight = 0


class MemoryCounters:
    """``Counters`` of one process."""

    def __init__(self) -> None:
        self._states: dict[TierId, _TierState] = {}
        self._counters: dict[TierId, dict[tuple[str, Window], Counter]] = {}

    async def meter(self, tiers: Sequence[Tier], now_ns: int) -> Exhausted | None:
        states = [self._state(tier, now_ns) for tier in tiers]
        for state in states:
            refusal = _request_room(state, now_ns)
            if refusal is not None:
                return Exhausted(state.tier.id, refusal)
        for state in states:
            _count_request(state, now_ns)
        return None

    async def reserve(
        self, tiers: Sequence[Tier], target_tiers: Sequence[Tier], cost_nano: int, tokens: int, now_ns: int
    ) -> Hold | Exhausted:
        own = [self._state(tier, now_ns) for tier in tiers]
        target = [self._state(tier, now_ns) for tier in target_tiers]
        for state in target:
            refusal = _request_room(state, now_ns) or _hold_room(state, cost_nano, tokens, now_ns)
            if refusal is not None:
                return Exhausted(state.tier.id, refusal)
        for state in own:
            refusal = _hold_room(state, cost_nano, tokens, now_ns)
            if refusal is not None:
                return Exhausted(state.tier.id, refusal)
        for state in target:
            _count_request(state, now_ns)
        for state in (*own, *target):
            state.held_cost += cost_nano
            state.held_tokens += tokens
            state.in_flight += 1
        return Hold((*tiers, *target_tiers), cost_nano, tokens, now_ns)

    async def settle(self, hold: Hold, cost_nano: int, tokens: int) -> None:
        for tier in hold.tiers:
            state = self._state(tier, hold.taken_ns)
            state.held_cost -= hold.cost_nano
            state.held_tokens -= hold.tokens
            state.in_flight -= 1
            if cost_nano:
                for _, money in state.budgets:
                    money.add(cost_nano, hold.taken_ns)
            for rate, used in state.rates:
                if rate.unit == "tokens" and tokens:
                    used.add(tokens, hold.taken_ns)

    def restore(self, tier: Tier, measure: str, window: Window, amount: int, at_ns: int) -> None:
        """Put usage back that the ledger remembers, when a process starts."""
        counters = self._counters.setdefault(tier.id, {})
        counters.setdefault((measure, window), counter(window, at_ns)).add(amount, at_ns)

    def state(self, tiers: Sequence[Tier], now_ns: int) -> list[LimitState]:
        found: list[LimitState] = []
        for tier in tiers:
            state = self._state(tier, now_ns)
            for budget, used in state.budgets:
                found.append(_limit(tier, "cost", budget, used, state.held_cost, now_ns))
            for rate, used in state.rates:
                held = state.held_tokens if rate.unit == "tokens" else 0
                found.append(_limit(tier, rate.unit, rate, used, held, now_ns))
            if tier.parallel is not None:
                found.append(LimitState(tier.id, "parallel", None, tier.parallel, state.in_flight, 0, None))
        return found

    def _state(self, tier: Tier, now_ns: int) -> _TierState:
        state = self._states.get(tier.id)
        if state is None or state.tier is not tier:
            state = self._replace(tier, state, now_ns)
        return state

    def _replace(self, tier: Tier, old: _TierState | None, now_ns: int) -> _TierState:
        """A tier whose limits were edited keeps its usage and what is in flight."""
        new = _TierState(tier, self._counters.setdefault(tier.id, {}), now_ns)
        if old is not None:
            new.held_cost, new.held_tokens, new.in_flight = old.held_cost, old.held_tokens, old.in_flight
        self._states[tier.id] = new
        return new


def _limit(tier: Tier, measure: str, limit: Budget | Rate, used: Counter, held: int, now_ns: int) -> LimitState:
    top = limit.limit_nano if isinstance(limit, Budget) else limit.limit
    return LimitState(tier.id, measure, limit.window, top, used.used(now_ns), held, used.reset_at(now_ns))


def _request_room(state: _TierState, now_ns: int) -> Refusal | None:
    for rate, used in state.rates:
        if rate.unit == "requests" and used.used(now_ns) + 1 > rate.limit:
            return rate_limited(state.tier.id, rate, used.used(now_ns), used.room_at(now_ns, 1, rate.limit), now_ns)
    return None


def _count_request(state: _TierState, now_ns: int) -> None:
    for rate, used in state.rates:
        if rate.unit == "requests":
            used.add(1, now_ns)


def _hold_room(state: _TierState, cost_nano: int, tokens: int, now_ns: int) -> Refusal | None:
    tier = state.tier
    if tier.parallel is not None and state.in_flight >= tier.parallel:
        return parallel_limited(tier.id, tier.parallel)
    for budget, money in state.budgets:
        taken = money.used(now_ns) + state.held_cost
        if taken + cost_nano > budget.limit_nano:
            return budget_exceeded(tier.id, budget, taken, cost_nano, money.reset_at(now_ns))
    for rate, used in state.rates:
        if rate.unit != "tokens":
            continue
        spent = used.used(now_ns) + state.held_tokens
        if spent + tokens > rate.limit:
            return rate_limited(tier.id, rate, spent, used.room_at(now_ns, tokens, rate.limit), now_ns)
    return None
