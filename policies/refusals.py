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


def service_unavailable(model: str, service: str, providers: Sequence[str]) -> Refusal:
    """The key may use the model, but none of its providers can do this with it (count tokens, embed)."""
    return Refusal(
        kind="request",
        code="unsupported_operation",
        message=f"No provider of {model!r} can answer {service!r}: {', '.join(providers)} cannot.",
        details={"model": model, "operation": service, "providers": list(providers)},
    )


def price_unknown(model: str, message: str) -> Refusal:
    """``unknown_price: deny``: a call whose price is not known cannot be held against a budget."""
    return Refusal(kind="permission", code="price_unknown", message=message, details={"model": model})


def budget_exceeded(
    tier: TierId, budget: Budget, taken_nano: int, needed_nano: int, reset_at_ns: int | None
) -> Refusal:
    """``reset_at_ns`` is ``None`` for a run, whose budget never resets."""
    resets = "A run's budget never resets." if reset_at_ns is None else f"It resets at {instant(reset_at_ns)}."
    return Refusal(
        kind="budget",
        code="budget_exceeded",
        message=(
            f"The budget of {tier} is used up: {dollars(taken_nano)} of {dollars(budget.limit_nano)} per "
            f"{budget.window} spent or held, this call may cost {dollars(needed_nano)}. "
            f"{resets}"
        ),
        reset_at_ns=reset_at_ns,
        details={
            "tier": str(tier),
            "limit_nano": budget.limit_nano,
            "used_nano": taken_nano,
            "needed_nano": needed_nano,
            "window": str(budget.window),
            "reset_at": None if reset_at_ns is None else instant(reset_at_ns),
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


def run_limited(tier: TierId, unit: str, limit: int, used: int) -> Refusal:
    """A run has made its calls: no waiting helps."""
    return Refusal(
        kind="rate",
        code="run_limited",
        message=f"{tier} has made {used} of its {limit} {unit.replace('_', ' ')}. End it here, or begin another run.",
        details={"tier": str(tier), "unit": unit, "limit": limit, "used": used, "window": "run"},
    )


def run_over(tier: TierId, lifetime_ns: int, began_ns: int) -> Refusal:
    """A run has lasted as long as it may."""
    return Refusal(
        kind="rate",
        code="run_limited",
        message=(
            f"{tier} began at {instant(began_ns)} and may last {lifetime_ns // NANO} seconds, which are over. "
            "End it here, or begin another run."
        ),
        details={"tier": str(tier), "unit": "seconds", "limit": lifetime_ns // NANO, "began_at": instant(began_ns)},
    )


def invalid_run_limits(reason: str) -> Refusal:
    """A header that cannot be read, or that belongs to no run."""
    return Refusal(kind="request", code="invalid_run_limits", message=f"The header x-tollkeeper-run-limits {reason}.")


def run_limit_widened(name: str, configured: str, asked: str) -> Refusal:
    return Refusal(
        kind="request",
        code="run_limit_widened",
        message=(
            f"The header x-tollkeeper-run-limits asks for {name}={asked}, more than the {configured} that this key's "
            "runs may use. A header can only narrow a limit."
        ),
        details={"limit": name, "configured": configured, "asked": asked},
    )


def max_tokens_required(model: str) -> Refusal:
    """``enforcement: strict`` holds the most that a call may use, so the call must say how much that is."""
    return Refusal(
        kind="request",
        code="max_tokens_required",
        message=(
            f"A budget of this key is strict: say how long the answer of {model!r} may be (max_tokens, "
            "max_completion_tokens or max_output_tokens), so that it can be held."
        ),
        details={"model": model},
    )


def counters_unavailable() -> Refusal:
    return Refusal(
        kind="unavailable",
        code="counters_unavailable",
        message="The counter store cannot be reached, and the gate is configured to refuse calls without it.",
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
