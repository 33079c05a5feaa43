"""Every way in which the gate says no, in one place: stable codes and what to do about each.

A code that appears here has a page ``docs/errors/<code>.md``.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from policies.tiers import Budget, Rate, TierId
from policies.types import Refusal

NANO = 1_000_000_000


def dollars(nano: int) -> str:
    """An exact amount for people: ``$0.000000123``, never ``1.23e-07``."""
    sign = "-" if nano < 0 else ""
    whole, rest = divmod(abs(nano), NANO)
    decimals = f"{rest:09d}".rstrip("0").ljust(2, "0")
    return f"{sign}${whole:,}.{decimals}"


def dollars_plain(nano: int) -> str:
    """An exact amount for programs: ``0.000000123``."""
    whole, rest = divmod(nano, NANO)
    return f"{whole}.{rest:09d}"


def instant(ns: int) -> str:
    """A UTC time for people: ``2026-12-01T00:00:00Z``."""
    return datetime.fromtimestamp(ns // NANO, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def missing_key() -> Refusal:
    return Refusal(
        kind="identity",
        code="missing_key",
        message="No virtual key. Send it as x-bf-vk, Authorization: Bearer, x-api-key, x-goog-api-key or api-key.",
    )


def unknown_key() -> Refusal:
    return Refusal(kind="identity", code="unknown_key", message="The virtual key is not known here.")


def expired_key(name: str) -> Refusal:
    return Refusal(kind="identity", code="expired_key", message=f"The virtual key {name!r} has expired.")


def revoked_key(name: str) -> Refusal:
    return Refusal(kind="identity", code="revoked_key", message=f"The virtual key {name!r} was revoked.")


def conflicting_keys() -> Refusal:
    return Refusal(
        kind="identity",
        code="conflicting_keys",
        message="Two different virtual keys in one request: send one.",
    )


def model_not_allowed(model: str, allowed: Sequence[str]) -> Refusal:
    names = ", ".join(allowed) if allowed else "none"
    return Refusal(
        kind="permission",
        code="model_not_allowed",
        message=f"The model {model!r} is not available to this key. Available: {names}.",
        details={"model": model, "allowed": list(allowed)},
    )


def tool_unknown(name: str) -> Refusal:
    """One answer for denied and unknown: the caller cannot tell which."""
    return Refusal(kind="permission", code="unknown_tool", message=f"Unknown tool: {name}")


def no_provider(model: str, reasons: Sequence[str]) -> Refusal:
    return Refusal(
        kind="unavailable",
        code="provider_disabled",
        message=f"No provider for {model!r} is ready: {'; '.join(reasons)}.",
        details={"model": model, "reasons": list(reasons)},
    )


def price_unknown(model: str, message: str) -> Refusal:
    """``unknown_price: deny``: a call whose price is not known cannot be held against a budget."""
    return Refusal(kind="permission", code="price_unknown", message=message, details={"model": model})


def budget_exceeded(tier: TierId, budget: Budget, taken_nano: int, needed_nano: int, reset_at_ns: int) -> Refusal:
    return Refusal(
        kind="budget",
        code="budget_exceeded",
        message=(
            f"The budget of {tier} is used up: {dollars(taken_nano)} of {dollars(budget.limit_nano)} per "
            f"{budget.window} spent or held, this call may cost {dollars(needed_nano)}. "
            f"It resets at {instant(reset_at_ns)}."
        ),
        reset_at_ns=reset_at_ns,
        details={
            "tier": str(tier),
            "limit_nano": budget.limit_nano,
            "used_nano": taken_nano,
            "needed_nano": needed_nano,
            "window": str(budget.window),
            "reset_at": instant(reset_at_ns),
        },
    )


def rate_limited(tier: TierId, rate: Rate, used: int, room_at_ns: int, now_ns: int) -> Refusal:
    wait_s = max(0.0, (room_at_ns - now_ns) / NANO)
    return Refusal(
        kind="rate",
        code="rate_limited",
        message=(
            f"The rate limit of {tier} is reached: {used} of {rate.limit} {rate.unit} per {rate.window}. "
            f"Try again after {instant(room_at_ns)}."
        ),
        retry_after_s=wait_s,
        reset_at_ns=room_at_ns,
        details={
            "tier": str(tier),
            "unit": rate.unit,
            "limit": rate.limit,
            "used": used,
            "window": str(rate.window),
            "reset_at": instant(room_at_ns),
        },
    )


def call_too_large(tier: TierId, rate: Rate, needed: int) -> Refusal:
    """One call that is larger than the whole limit: no waiting helps, so there is no time to wait."""
    return Refusal(
        kind="rate",
        code="rate_limited",
        message=(
            f"This call may use {needed} tokens, more than the whole rate limit of {tier}: {rate.limit} "
            f"{rate.unit} per {rate.window}. Send less, or ask for fewer tokens of output."
        ),
        details={
            "tier": str(tier),
            "unit": rate.unit,
            "limit": rate.limit,
            "needed": needed,
            "window": str(rate.window),
        },
    )


def parallel_limited(tier: TierId, limit: int) -> Refusal:
    return Refusal(
        kind="rate",
        code="parallel_limited",
        message=f"{tier} already has {limit} calls in flight, its limit. Try again when one has ended.",
        retry_after_s=1.0,
        details={"tier": str(tier), "unit": "parallel", "limit": limit, "used": limit},
    )
