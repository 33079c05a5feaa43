"""What limits a call: tiers (customer, team, key, provider, …), their budgets and their rates.

Pure values, prepared when a configuration is loaded. The state that is counted against them lives
in a ``Counters`` store (``policies.counters``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

TierKind = Literal["customer", "team", "key", "provider", "key_provider", "run"]
RateUnit = Literal["requests", "tokens"]
Enforcement = Literal["expected", "strict"]
WindowUnit = Literal["m", "h", "d", "w", "M", "Y"]


@dataclass(frozen=True, slots=True)
class Window:
    """A reset window: ``count`` units. ``m`` and ``h`` roll; ``d w M Y`` follow the UTC calendar."""

    count: int
    unit: WindowUnit

    def __str__(self) -> str:
        return f"{self.count}{self.unit}"

    @property
    def rolling(self) -> bool:
        return self.unit in ("m", "h")


@dataclass(frozen=True, slots=True)
class TierId:
    """Names one payer. ``name`` of a ``key_provider`` is ``key/provider``, of a ``run`` ``key/run``."""

    kind: TierKind
    name: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"


@dataclass(frozen=True, slots=True)
class Budget:
    """At most ``limit_nano`` nano-dollars per window."""

    limit_nano: int
    window: Window


@dataclass(frozen=True, slots=True)
class Rate:
    """At most ``limit`` requests or tokens per window."""

    unit: RateUnit
    limit: int
    window: Window


@dataclass(frozen=True, slots=True)
class Tier:
    """One payer with everything that limits it. A tier without limits is still charged."""

    id: TierId
    budgets: tuple[Budget, ...] = ()
    rates: tuple[Rate, ...] = ()
    parallel: int | None = None
    """Calls in flight at once."""
    enforcement: Enforcement = "expected"
