"""What counts the use of tiers: one atomic step holds on all of them or on none.

``Counters`` is the seam: ``policies.memory_counters`` for one process, ``policies.stores.redis_counters``
for several. A hold takes an estimate of money and tokens and a parallel slot on every tier; ``extend``
enlarges it while an answer is longer than expected; ``settle`` puts actual usage in its place, in the
window in which the hold was taken, once, however often it is told.

What costs nothing is not refused for money, and what uses no tokens is not refused for tokens, however
much of the limit is used up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from policies.tiers import RateUnit, Tier, TierId, Window
from policies.types import Refusal

REQUESTS: tuple[RateUnit, ...] = ("requests",)


class Need(msgspec.Struct, frozen=True):
    """What one attempt asks to hold."""

    hold_id: str
    """Call id and attempt: what makes settling idempotent."""
    cost_nano: int
    tokens: int
    slot: bool = True
    """Takes a parallel-call slot; a call that another call makes does not."""
    units: tuple[RateUnit, ...] = REQUESTS
    """What the attempt counts as at its target."""


class Hold(msgspec.Struct, frozen=True):
    """What one attempt holds. Settled exactly once."""

    hold_id: str
    tiers: tuple[Tier, ...]
    cost_nano: int
    tokens: int
    taken_ns: int
    slot: bool = True
    local: bool = False
    """Taken within the allowance of an outage, by this process alone."""


class Exhausted(msgspec.Struct, frozen=True):
    """A tier that has no room: which one, and the refusal if no other target has room either."""

    tier: TierId | None
    refusal: Refusal


@dataclass(frozen=True, slots=True)
class LimitState:
    """One limit and its use, for ``/me``, refusals and the console."""

    tier: TierId
    measure: str
    """``cost`` (nano-dollars), ``tokens``, ``requests``, ``tool_calls``, ``model_calls``, ``free_calls`` or
    ``parallel``."""
    window: Window | None
    limit: int
    used: int
    held: int
    reset_at_ns: int | None


class Counters(Protocol):
    """Where usage is counted."""

    async def meter(self, tiers: tuple[Tier, ...], units: Sequence[RateUnit], now_ns: int) -> Exhausted | None:
        """Count one call of these ``units`` on every tier, or on none if one has no room."""

    async def reserve(
        self, tiers: tuple[Tier, ...], target_tiers: tuple[Tier, ...], need: Need, now_ns: int
    ) -> Hold | Exhausted:
        """Hold money, tokens and a parallel slot on all tiers or on none; ``target_tiers`` (a
        provider's own) also count the attempt as a request. Holds nothing if it is cancelled."""

    async def extend(self, hold: Hold, cost_nano: int, tokens: int, now_ns: int) -> Hold | Exhausted:
        """Enlarge a hold to these totals on all its tiers, or leave it as it is."""

    async def settle(self, hold: Hold, cost_nano: int, tokens: int) -> None:
        """Replace the hold by actual usage; zero releases it."""

    async def state(self, tiers: Sequence[Tier], now_ns: int) -> list[LimitState]:
        """Every limit of ``tiers`` with its present use."""
