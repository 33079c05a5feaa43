"""A header narrows a run's limits or is refused; nothing in between."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.run_limits import NO_LIMITS, RunLimits, RunTiers, parse_header, widened
from policies.types import Refusal

AMOUNTS = st.none() | st.integers(0, 10**9)
LIMITS = st.builds(RunLimits, AMOUNTS, AMOUNTS, AMOUNTS, AMOUNTS)


@given(LIMITS, LIMITS)
def test_narrowing_is_a_meet(first: RunLimits, second: RunLimits) -> None:
    meet = first.narrowed(second)
    assert meet == second.narrowed(first)
    assert meet.narrowed(first) == meet
    assert first.narrowed(NO_LIMITS) == first
    assert widened(first, meet) is None


@given(LIMITS, LIMITS)
def test_what_is_not_refused_leaves_no_limit_wider(configured: RunLimits, asked: RunLimits) -> None:
    if widened(configured, asked) is not None:
        return
    effective = configured.narrowed(asked)
    for name in RunLimits.__slots__:
        before, after = getattr(configured, name), getattr(effective, name)
        assert before is None or (after is not None and after <= before)


def test_a_header_is_read_exactly() -> None:
    assert parse_header("budget_limit=0.10, tool_calls=5 ,model_calls=20,duration=5m") == RunLimits(
        100_000_000, 5, 20, 300 * 10**9
    )


@pytest.mark.parametrize(
    "text",
    ["", "x", "tool_calls", "tool_calls=", "tool_calls=1.5", "tool_calls=-1", "budget_limit=inf", "budget_limit=-1",
     "budget_limit=1e30", "duration=5", "duration=5M", "tool_calls=1,,", "tool_calls=1,tool_calls=1", "unknown=1"],
)  # fmt: skip
def test_a_header_that_is_not_understood_is_refused(text: str) -> None:
    assert isinstance(parse_header(text), Refusal)


def test_a_runs_tier_is_made_once_and_belongs_to_one_key() -> None:
    tiers = RunTiers("expected")
    limits = RunLimits(tool_calls=3)
    first = tiers.tier("k", "r", limits, None)
    assert first is tiers.tier("k", "r", limits, None)
    other = tiers.tier("l", "r", limits, None)
    assert not isinstance(first, Refusal | None)
    assert not isinstance(other, Refusal | None)
    assert (first.id.name, other.id.name) == ("k/r", "l/r")
    assert tiers.tier("k", None, limits, None) is None
    assert tiers.tier("k", "r", NO_LIMITS, None) is None
