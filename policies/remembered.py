"""What the ledger remembers of the use of tiers: the values that counters are filled from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from policies.tiers import Tier, Window
from policies.windows import SECOND_NS

RUN_MEMORY_NS = 24 * 3600 * SECOND_NS
"""A run that was idle for so long is forgotten."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """Usage of one window of one tier: (time, amount), ascending; a calendar window has one entry."""

    tier: Tier
    measure: str
    window: Window
    amounts: tuple[tuple[int, int], ...]

    @property
    def total(self) -> int:
        return sum(amount for _, amount in self.amounts)


@dataclass(frozen=True, slots=True)
class RememberedRun:
    """All that one run has used; ``name`` is ``key/run``."""

    name: str
    began_ns: int
    used: Mapping[str, int]
