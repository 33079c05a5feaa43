"""Values that tests of budgets share."""

from __future__ import annotations

from decimal import Decimal

from policies.counters import Need
from policies.pricing import Price, Rates, per_million
from policies.tiers import Budget, Rate, Tier, TierId, Window

NANO = 1_000_000_000
START_NS = 1_800_000_000 * NANO
MONTH, HOUR, MINUTE, DAY = Window(1, "M"), Window(1, "h"), Window(1, "m"), Window(1, "d")
PRICE = Price(((0, Rates(per_million(Decimal(1)), per_million(Decimal(2)))),), source="configured")


def tier(kind: str, name: str, *limits: Budget | Rate, parallel: int | None = None, strict: bool = False) -> Tier:
    budgets = tuple(limit for limit in limits if isinstance(limit, Budget))
    rates = tuple(limit for limit in limits if isinstance(limit, Rate))
    return Tier(TierId(kind, name), budgets, rates, parallel, "strict" if strict else "expected")  # type: ignore[arg-type]


def need(hold_id: str, cost: int = 0, tokens: int = 0) -> Need:
    return Need(hold_id, cost, tokens)
