"""Tiers as the counters' script reads them: encoded once, and the tiers of a call found together.

A tier that is asked for under another object is encoded anew: configurations are loaded rarely. Calendar windows
are computed anew when one has ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from policies.remembered import RUN_MEMORY_NS
from policies.stores.redis_link import bulk
from policies.tier_groups import TierGroups
from policies.tiers import RUN, Budget, Rate, Tier, Window
from policies.windows import SLICES, bounds, length_ns

MS_NS = 1_000_000
PREFIX = "tk:{tollkeeper}:"
CAPACITY = 20_000
"""Tiers that are remembered."""
RUN_CAPACITY = 1_000

_encode = msgspec.msgpack.Encoder().encode


class Encoded:
    """One tier: its key and what limits it."""

    __slots__ = ("argument", "key", "limits", "tier", "valid_from_ns", "valid_until_ns")

    def __init__(self, tier: Tier, now_ns: int) -> None:
        self.tier = tier
        self.key = bulk(f"{PREFIX}t:{tier.id}".encode())
        self.limits: list[Budget | Rate] = [*tier.budgets, *tier.rates]
        self.valid_from_ns, self.valid_until_ns = 0, 2**62
        measures = [(measure_of(limit), limit.window) for limit in self.limits]
        if tier.id.kind == "run":
            measures = [(measure, RUN) for measure in ("cost", "tool_calls", "model_calls")]
        argument: dict[str, Any] = {
            "specs": [self._spec(measure, window, now_ns) for measure, window in dict.fromkeys(measures)],
            "limits": [
                (index, measure_of(limit), f"{measure_of(limit)}|{limit.window}", top_of(limit))
                for index, limit in enumerate(self.limits)
            ],
            "parallel": tier.parallel,
            "lifetime": None if tier.lifetime_ns is None else tier.lifetime_ns // MS_NS,
            "ttl": RUN_MEMORY_NS // MS_NS if tier.id.kind == "run" else None,
        }
        self.argument = msgspec.Raw(_encode({name: value for name, value in argument.items() if value is not None}))

    def _spec(self, measure: str, window: Window, now_ns: int) -> tuple[Any, ...]:
        name = f"{measure}|{window}"
        if window.unit == "run":
            return name, "run"
        if window.rolling:
            return name, "roll", length_ns(window) // SLICES // MS_NS
        start, end = bounds(window, now_ns)
        self.valid_from_ns, self.valid_until_ns = max(self.valid_from_ns, start), min(self.valid_until_ns, end)
        return name, "cal", start // MS_NS, end // MS_NS


def measure_of(limit: Budget | Rate) -> str:
    return "cost" if isinstance(limit, Budget) else limit.unit


def top_of(limit: Budget | Rate) -> int:
    return limit.limit_nano if isinstance(limit, Budget) else limit.limit


class Party:
    """The tiers of one step: the payers' own first, then the target's."""

    __slots__ = ("encoded", "own", "tiers", "valid_from_ns", "valid_until_ns")

    def __init__(self, own: Sequence[Tier], target: Sequence[Tier], encoded: list[Encoded]) -> None:
        self.own = len(own)
        self.tiers = (*own, *target)
        self.encoded = encoded
        self.valid_from_ns = max((one.valid_from_ns for one in encoded), default=0)
        self.valid_until_ns = min((one.valid_until_ns for one in encoded), default=2**62)


class Parties:
    """Found once for all steps of all calls of the same tiers."""

    def __init__(self) -> None:
        self._parties: TierGroups[Party] = TierGroups()
        self._encoded: dict[int, Encoded] = {}
        self._runs: dict[Tier, Encoded] = {}

    def find(self, own: tuple[Tier, ...], target: tuple[Tier, ...], now_ns: int) -> Party:
        found = self._parties.get(own, target)
        if found is None or not found.valid_from_ns <= now_ns < found.valid_until_ns:
            found = self.make(own, target, now_ns)
            self._parties.keep(own, target, found)
        return found

    def make(self, own: Sequence[Tier], target: Sequence[Tier], now_ns: int) -> Party:
        """One that is not kept."""
        return Party(own, target, [self._encode(tier, now_ns) for tier in (*own, *target)])

    def _encode(self, tier: Tier, now_ns: int) -> Encoded:
        if tier.id.kind == "run":
            found = self._runs.get(tier)
            if found is None:
                if len(self._runs) >= RUN_CAPACITY:
                    self._runs.clear()
                found = self._runs[tier] = Encoded(tier, now_ns)
            return found
        found = self._encoded.get(id(tier))
        if found is None or found.tier is not tier or not found.valid_from_ns <= now_ns < found.valid_until_ns:
            if len(self._encoded) >= CAPACITY:
                self._encoded.clear()
            found = self._encoded[id(tier)] = Encoded(tier, now_ns)
        return found
