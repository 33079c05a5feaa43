"""A call on its way through the passage: what was decided of it, and how it ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from policies.caching.semantic import Likeness
from policies.caching.vocabulary import OFF, Bypass, Plan, Query
from policies.dispatch import Dispatch, Target
from policies.flight import OnAbandon
from policies.identity import VirtualKey
from policies.ledger import LedgerRow
from policies.tiers import RateUnit, Tier
from policies.types import Call, CallKind, Outcome, ToolCall


class Settled(msgspec.Struct, frozen=True):
    """How a call ended: the outcome for the caller and the row for the books."""

    outcome: Outcome
    row: LedgerRow


@dataclass(frozen=True, slots=True)
class Terms:
    """How a flight is flown: what leaving means, and how long it may take (seconds)."""

    on_abandon: OnAbandon = "cancel"
    deadline_s: float = 600.0


class Trip(msgspec.Struct):
    """A call that was admitted and metered: what every attempt of it needs."""

    key: VirtualKey
    call: Call
    tiers: tuple[Tier, ...]
    targets: Sequence[Target]
    dispatch: Dispatch
    terms: Terms
    plan: Plan = OFF
    target_units: tuple[RateUnit, ...] = ()
    """What each attempt counts as at its target."""
    likeness: Likeness | None = None
    """What the semantic layer knows of it, to be kept with its answer."""
    ends_s: float = 0.0
    """The deadline, by the loop's clock: that of all attempts together."""

    @property
    def query(self) -> Query | None:
        """What it asks of the cache; ``None`` when it does not take part."""
        return self.plan if isinstance(self.plan, Query) else None

    @property
    def cache_mark(self) -> str | None:
        """What its row says of the cache when it is not answered from there."""
        plan = self.plan
        if plan is OFF:
            return None
        return f"bypass:{plan.reason}" if isinstance(plan, Bypass) else "miss"


_UNITS: dict[CallKind, tuple[RateUnit, ...]] = {
    "model": ("requests", "model_calls"),
    "tool": ("requests", "tool_calls"),
    "resource": ("requests",),
    "prompt": ("requests",),
    "completion": ("free_calls",),
    "count_tokens": ("free_calls",),
}
"""What a call counts as (design: what counts as what)."""


def units_of(call: Call) -> tuple[RateUnit, ...]:
    """A later round of a call is not a call of its own; it is bounded like what costs nothing."""
    return ("free_calls",) if isinstance(call, ToolCall) and call.continues else _UNITS[call.kind]
