"""Live usage of tiers, in process: an account for each, and the accounts of a call found once for all its steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from policies.refusals import (
    budget_exceeded,
    call_too_large,
    parallel_limited,
    rate_limited,
    run_limited,
    run_over,
)
from policies.tiers import RUN, RateUnit, Tier, Window
from policies.types import Refusal
from policies.windows import Counter, counter


class Account:
    """Live usage of one tier; outlives every edit of the tier's limits."""

    __slots__ = (
        "_counters",
        "_of_measures",
        "began_ns",
        "budgets",
        "gated",
        "held_cost",
        "held_tokens",
        "in_flight",
        "rates",
        "tier",
        "tokens",
    )

    def __init__(self, tier: Tier, now_ns: int) -> None:
        # Usage by measure and window, also of windows that no limit asks about now: a limit that is
        # taken away and put back has missed nothing.
        self._counters: dict[str, dict[Window, Counter]] = {}
        self._of_measures: dict[Sequence[str], list[Counter]] = {}
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
        self.gated = bool(self.rates) or tier.lifetime_ns is not None

    def counter(self, measure: str, window: Window, now_ns: int) -> Counter:
        counters = self._counters.setdefault(measure, {})
        found = counters.get(window)
        if found is None:
            found = counters[window] = counter(window, now_ns)
            self._of_measures.clear()
        return found

    def counts(self, measure: str, window: Window) -> bool:
        return window in self._counters.get(measure, ())

    def counters(self, measures: Sequence[str]) -> list[Counter]:
        """Those of these measures: one per window, however many limits share it."""
        found = self._of_measures.get(measures)
        if found is None:
            known = [self._counters[measure] for measure in measures if measure in self._counters]
            found = self._of_measures[measures] = [used for counters in known for used in counters.values()]
        return found


class Meters:
    """The counters of several accounts, found once for each kind of call."""

    __slots__ = ("_accounts", "_changes", "_found")

    def __init__(self, accounts: Sequence[Account]) -> None:
        self._accounts = accounts
        self._found: dict[Sequence[str], list[Counter]] = {}
        self._changes = 0

    def count(self, measures: Sequence[str], amount: int, at_ns: int, changes: int) -> None:
        """Count ``amount`` of each measure on every account. ``changes``: how often one has got other counters."""
        if changes != self._changes:
            self._found.clear()
            self._changes = changes
        found = self._found.get(measures)
        if found is None:
            found = [used for account in self._accounts for used in account.counters(measures)]
            self._found[measures] = found
        for used in found:
            used.add(amount, at_ns)


class Payers:
    """The accounts of a call's tiers and its target's. To find them by name at every step costs more than to count."""

    __slots__ = ("accounts", "all_meters", "changes", "own", "target", "target_meters", "tiers")

    def __init__(self, own: tuple[Tier, ...], target: tuple[Tier, ...], accounts: Callable[[Tier], Account]) -> None:
        self.tiers = (*own, *target)
        self.own = [accounts(tier) for tier in own]
        self.target = [accounts(tier) for tier in target]
        self.accounts = [*self.own, *self.target]
        self.all_meters = Meters(self.accounts)
        self.target_meters = Meters(self.target)
        self.changes = 0
        """How often accounts had taken other limits when this was found."""


def request_room(account: Account, units: Sequence[RateUnit], now_ns: int) -> Refusal | None:
    """Why one more call of these units has no place."""
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


def hold_room(account: Account, cost_nano: int, tokens: int, slot: bool, now_ns: int) -> Refusal | None:
    """Why this much more has no place."""
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
