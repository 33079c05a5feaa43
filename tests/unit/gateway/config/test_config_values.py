"""Money is read exactly; durations are written as they are read."""

from __future__ import annotations

from decimal import Decimal
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config.loader import loads
from gateway.config.values import Duration, DurationUnit, parse_dollars

amounts = st.decimals(min_value=0, max_value=10**9, places=9, allow_nan=False, allow_infinity=False)
durations = st.builds(Duration, st.integers(1, 9999), st.sampled_from(get_args(DurationUnit)))


@settings(deadline=None)
@given(amounts)
def test_every_amount_of_nano_dollars_is_read_exactly(amount: Decimal) -> None:
    text = f"customers: [{{name: a, budget_limit: {amount:f}, budget_duration: 1d}}]"

    assert loads(text.encode(), "t.yaml", {}).config.customers[0].budget_limit == amount


@settings(deadline=None)
@given(st.floats())
def test_a_float_is_never_money(value: float) -> None:
    with pytest.raises(ValueError, match="must be a number of dollars"):
        parse_dollars(value)


@settings(deadline=None)
@given(durations)
def test_a_duration_reads_what_it_writes(duration: Duration) -> None:
    assert Duration.parse(str(duration)) == duration


@settings(deadline=None)
@given(st.text())
def test_only_a_duration_is_read_as_one(text: str) -> None:
    try:
        assert str(Duration.parse(text)) == text
    except ValueError as error:
        assert "must be a duration" in str(error)
