"""What limits a call: tiers (customer, team, key, provider, …), their budgets and their rates.

Pure values, prepared when a configuration is loaded. The state that is counted against them lives
in a ``Counters`` store (``policies.counters``).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple, get_args

TierKind = Literal["customer", "team", "key", "provider", "key_provider", "run"]
RateUnit = Literal["requests", "tokens", "tool_calls", "model_calls", "free_calls"]
"""``tool_calls`` and ``model_calls`` are the requests of one kind; ``free_calls`` are those that cost nothing
(token counting, completion) and have a limit of their own."""
Enforcement = Literal["expected", "strict"]
WindowUnit = Literal["m", "h", "d", "w", "M", "Y", "run"]


@dataclass(frozen=True, slots=True)
class Window:
    """A reset window: ``count`` units. ``m`` and ``h`` roll; ``d w M Y`` follow the UTC calendar; ``run`` is
    the life of a run and never resets."""

    count: int
    unit: WindowUnit

    def __str__(self) -> str:
        return "run" if self.unit == "run" else f"{self.count}{self.unit}"

    @property
    def rolling(self) -> bool:
        return self.unit in ("m", "h")


RUN = Window(1, "run")


class TierId(NamedTuple):
    """Names one payer (a tuple: it is looked up a dozen times a call). ``name`` of a ``key_provider`` is
    ``key/provider``, of a ``run`` ``key/run``."""

    kind: TierKind
    name: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}"

    @classmethod
    def parse(cls, text: str) -> TierId:
        """What ``str`` made. Raises ``ValueError``."""
        kind, _, name = text.partition(":")
        for known in get_args(TierKind):
            if kind == known:
                return cls(known, name)
        raise ValueError(f"{text!r} names no tier")


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
    lifetime_ns: int | None = None
    """How long a run may last from its first call."""
    label: str = field(init=False, compare=False)
    """``id`` as text, made once."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "label", str(self.id))
