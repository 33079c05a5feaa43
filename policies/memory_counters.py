"""``policies.counters.Counters`` of one process: plain objects, changed without awaiting in between, which
is what makes each step atomic on one event loop.

Its time never runs backwards: while the system's clock does, usage counts where the clock had already
been, so that it cannot fall between two windows.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import msgspec

from policies.accounts import Account, Payers, hold_room, request_room
from policies.counters import Exhausted, Hold, LimitState, Need
from policies.tier_groups import TierGroups
from policies.tiers import Budget, Rate, RateUnit, Tier, TierId, Window
from policies.windows import Counter

RUN_CAPACITY = 100_000
"""Runs whose use is remembered; the longest idle one is forgotten first."""


class _Taken(Hold, frozen=True):
    """A hold that knows its accounts; they outlive every edit of their tiers' limits."""

    payers: Payers | None = None


_COST = ("cost",)
_TOKENS = ("tokens",)


class MemoryCounters:
    """Composed once per process."""

    def __init__(self) -> None:
        self._accounts: dict[TierId, Account] = {}
        self._runs: OrderedDict[TierId, Account] = OrderedDict()
        self._latest_ns = 0
        self._payers: TierGroups[Payers] = TierGroups()
        self._changes = 0
        """How often accounts got other limits or counters."""

    async def meter(self, tiers: tuple[Tier, ...], units: Sequence[RateUnit], now_ns: int) -> Exhausted | None:
        now_ns = self._advance(now_ns)
        payers = self._found(tiers, (), now_ns)
        for account in payers.own:
            if account.gated:
                refusal = request_room(account, units, now_ns)
                if refusal is not None:
                    return Exhausted(account.tier.id, refusal)
        payers.all_meters.count(units, 1, now_ns, self._changes)
        return None

    async def reserve(
        self, tiers: tuple[Tier, ...], target_tiers: tuple[Tier, ...], need: Need, now_ns: int
    ) -> Hold | Exhausted:
        now_ns = self._advance(now_ns)
        cost, tokens, slot = need.cost_nano, need.tokens, need.slot
        payers = self._found(tiers, target_tiers, now_ns)
        for account in payers.target:
            refusal = request_room(account, need.units, now_ns) or hold_room(account, cost, tokens, slot, now_ns)
            if refusal is not None:
                return Exhausted(account.tier.id, refusal)
        for account in payers.own:
            refusal = hold_room(account, cost, tokens, slot, now_ns)
            if refusal is not None:
                return Exhausted(account.tier.id, refusal)
        if payers.target:
            payers.target_meters.count(need.units, 1, now_ns, self._changes)
        for account in payers.accounts:
            account.held_cost += cost
            account.held_tokens += tokens
            account.in_flight += slot
        return _Taken(need.hold_id, payers.tiers, cost, tokens, now_ns, slot, payers=payers)

    async def extend(self, hold: Hold, cost_nano: int, tokens: int, now_ns: int) -> Hold | Exhausted:
        now_ns = self._advance(now_ns)
        more_cost, more_tokens = cost_nano - hold.cost_nano, tokens - hold.tokens
        accounts = _payers_of(hold).accounts
        for account in accounts:
            refusal = hold_room(account, more_cost, more_tokens, False, now_ns)
            if refusal is not None:
                return Exhausted(account.tier.id, refusal)
        for account in accounts:
            account.held_cost += more_cost
            account.held_tokens += more_tokens
        return msgspec.structs.replace(hold, cost_nano=cost_nano, tokens=tokens)

    async def settle(self, hold: Hold, cost_nano: int, tokens: int) -> None:
        payers = _payers_of(hold)
        held_cost, held_tokens, slot = hold.cost_nano, hold.tokens, hold.slot
        for account in payers.accounts:
            account.held_cost -= held_cost
            account.held_tokens -= held_tokens
            account.in_flight -= slot
        if cost_nano:
            payers.all_meters.count(_COST, cost_nano, hold.taken_ns, self._changes)
        if tokens:
            payers.all_meters.count(_TOKENS, tokens, hold.taken_ns, self._changes)

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
        self._changes += 1

    def restore_run(self, name: str, began_ns: int, used: dict[str, int]) -> None:
        """Put the use of a run back; one that is counted already stays as it is."""
        tier = Tier(TierId("run", name))
        if tier.id in self._runs:
            return
        account = self._account(tier, began_ns)
        for measure, amount in used.items():
            for counted in account.counters((measure,)):
                counted.add(amount, began_ns)

    def _advance(self, now_ns: int) -> int:
        if now_ns > self._latest_ns:
            self._latest_ns = now_ns
        return self._latest_ns

    def _found(self, own: tuple[Tier, ...], target: tuple[Tier, ...], now_ns: int) -> Payers:
        found = self._payers.get(own, target)
        if found is None or found.changes != self._changes:
            found = Payers(own, target, lambda tier: self._account(tier, now_ns))
            found.changes = self._changes
            self._payers.keep(own, target, found)
        return found

    def _account(self, tier: Tier, now_ns: int) -> Account:
        accounts = self._runs if tier.id.kind == "run" else self._accounts
        account = accounts.get(tier.id)
        if account is None:
            account = accounts[tier.id] = Account(tier, now_ns)
            self._forget_runs()
        elif account.tier is not tier:
            account.adopt(tier, now_ns)
            self._changes += 1
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


def _payers_of(hold: Hold) -> Payers:
    if not isinstance(hold, _Taken) or hold.payers is None:
        raise TypeError("a hold is settled where it was taken")
    return hold.payers


def _limit(tier: Tier, measure: str, limit: Budget | Rate, used: Counter, held: int, now_ns: int) -> LimitState:
    top = limit.limit_nano if isinstance(limit, Budget) else limit.limit
    resets = used.reset_at(now_ns)
    if resets is not None and resets <= now_ns:
        resets = None  # nothing is counted
    return LimitState(tier.id, measure, limit.window, top, used.used(now_ns), held, resets)
