"""Limits of one run (an agent session): configured on a key or its team, narrowed by the caller.

The tier of a run is made when a call names a run, and kept: most calls of a run carry the same limits.
A header can narrow what is configured and never widen it:

    x-tollkeeper-run-limits: budget_limit=0.10, tool_calls=5, model_calls=20, duration=5m
"""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import dataclass, fields
from decimal import Decimal, InvalidOperation
from functools import lru_cache

from policies.refusals import NANO, dollars, invalid_run_limits, run_limit_widened
from policies.tiers import RUN, Budget, Enforcement, Rate, Tier, TierId
from policies.types import Refusal

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_NUMBER = re.compile(r"[0-9]{1,15}")
_DURATION = re.compile(r"([0-9]{1,6})([smhd])")
_CAPACITY = 10_000


@dataclass(frozen=True, slots=True)
class RunLimits:
    """What one run may use; ``None``: no limit of that kind."""

    budget_nano: int | None = None
    tool_calls: int | None = None
    model_calls: int | None = None
    duration_ns: int | None = None

    def narrowed(self, other: RunLimits) -> RunLimits:
        """The narrower of each limit."""
        return RunLimits(*(_least(getattr(self, f.name), getattr(other, f.name)) for f in fields(self)))


NO_LIMITS = RunLimits()


def _least(first: int | None, second: int | None) -> int | None:
    if first is None or second is None:
        return second if first is None else first
    return min(first, second)


@lru_cache(maxsize=1_000)
def parse_header(text: str) -> RunLimits | Refusal:
    """Read a header's value. Anything that is not understood is refused: a limit that was meant and not
    applied would be worse."""
    found: dict[str, int] = {}
    for part in text.split(","):
        name, _, value = (piece.strip() for piece in part.partition("="))
        field, amount = _read(name, value)
        if field is None:
            known = "budget_limit, tool_calls, model_calls and duration"
            return invalid_run_limits(f"names {name[:40]!r}, not one of {known}")
        if amount is None:
            return invalid_run_limits(f"has no usable value for {name}: {value[:40]!r}")
        if field in found:
            return invalid_run_limits(f"names {name} twice")
        found[field] = amount
    return RunLimits(**found)


def _read(name: str, value: str) -> tuple[str | None, int | None]:
    if name in ("tool_calls", "model_calls"):
        return name, int(value) if _NUMBER.fullmatch(value) else None
    if name == "budget_limit":
        return "budget_nano", _nano(value)
    if name == "duration":
        match = _DURATION.fullmatch(value)
        return "duration_ns", int(match[1]) * _SECONDS[match[2]] * NANO if match else None
    return None, None


def _nano(text: str) -> int | None:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        return None
    if not amount.is_finite() or amount < 0 or amount > 10**9:
        return None
    return int(amount * NANO)


def widened(configured: RunLimits, asked: RunLimits) -> Refusal | None:
    """Why ``asked`` is not a narrowing of ``configured``."""
    if configured.budget_nano is not None and (asked.budget_nano or 0) > configured.budget_nano:
        return run_limit_widened("budget_limit", dollars(configured.budget_nano), dollars(asked.budget_nano or 0))
    for name in ("tool_calls", "model_calls"):
        limit, wanted = getattr(configured, name), getattr(asked, name)
        if limit is not None and (wanted or 0) > limit:
            return run_limit_widened(name, str(limit), str(wanted))
    if configured.duration_ns is not None and (asked.duration_ns or 0) > configured.duration_ns:
        spans = (f"{ns // NANO}s" for ns in (configured.duration_ns, asked.duration_ns or 0))
        return run_limit_widened("duration", *spans)
    return None


class RunTiers:
    """Tiers of runs, made once per (key, run, limits); bounded."""

    def __init__(self, enforcement: Enforcement) -> None:
        self._enforcement = enforcement
        self._kept: OrderedDict[tuple[str, str, RunLimits], Tier] = OrderedDict()

    def tier(self, key: str, run: str | None, configured: RunLimits, header: str | None) -> Tier | Refusal | None:
        """The tier that a call of ``run`` pays from; ``None`` when nothing limits the run."""
        limits = configured
        if header is not None:
            asked = parse_header(header)
            if isinstance(asked, Refusal):
                return asked
            if run is None:
                return invalid_run_limits("needs a run: name it with x-tollkeeper-run")
            refusal = widened(configured, asked)
            if refusal is not None:
                return refusal
            limits = configured.narrowed(asked)
        if run is None or limits is NO_LIMITS or limits == NO_LIMITS:
            return None
        known = key, run, limits
        found = self._kept.get(known)
        if found is None:
            found = self._kept[known] = self._make(f"{key}/{run}", limits)
            if len(self._kept) > _CAPACITY:
                self._kept.popitem(last=False)
        return found

    def _make(self, name: str, limits: RunLimits) -> Tier:
        budgets = () if limits.budget_nano is None else (Budget(limits.budget_nano, RUN),)
        rates: list[Rate] = []
        if limits.tool_calls is not None:
            rates.append(Rate("tool_calls", limits.tool_calls, RUN))
        if limits.model_calls is not None:
            rates.append(Rate("model_calls", limits.model_calls, RUN))
        return Tier(
            TierId("run", name),
            budgets,
            tuple(rates),
            enforcement=self._enforcement,
            lifetime_ns=limits.duration_ns,
        )
