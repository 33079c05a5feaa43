"""Reset windows against a calendar oracle of another making."""

from __future__ import annotations

import calendar
import copy
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.tiers import Window
from policies.windows import SECOND_NS, SLICES, CalendarCounter, RollingCounter, bounds, length_ns

MOMENTS = st.datetimes(datetime(1971, 1, 1), datetime(2200, 1, 1)).map(lambda d: d.replace(tzinfo=UTC))


def ns(moment: datetime) -> int:
    return calendar.timegm(moment.timetuple()) * SECOND_NS + moment.microsecond * 1_000


def day_start(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


@given(MOMENTS)
def test_single_windows_are_those_of_the_calendar(moment: datetime) -> None:
    day = day_start(moment)
    week = day - timedelta(days=day.isoweekday() - 1)
    month = day.replace(day=1)
    days = calendar.monthrange(day.year, day.month)[1]
    year = day.replace(month=1, day=1)
    expected = {
        "d": (day, day + timedelta(days=1)),
        "w": (week, week + timedelta(weeks=1)),
        "M": (month, month + timedelta(days=days)),
        "Y": (year, year.replace(year=year.year + 1)),
    }
    for unit, (start, end) in expected.items():
        assert bounds(Window(1, unit), ns(moment)) == (ns(start), ns(end))  # type: ignore[arg-type]


@given(MOMENTS, st.sampled_from("dwMY"), st.integers(1, 13))
def test_windows_tile_the_time(moment: datetime, unit: str, count: int) -> None:
    window = Window(count, unit)  # type: ignore[arg-type]
    start, end = bounds(window, ns(moment))
    assert start <= ns(moment) < end
    assert bounds(window, end - 1) == (start, end)
    assert bounds(window, end)[0] == end


@pytest.mark.parametrize(
    ("moment", "window", "end"),
    [
        ("2024-02-29T23:59:59", Window(1, "M"), "2024-03-01"),  # a leap day
        ("2020-12-31T12:00:00", Window(1, "w"), "2021-01-04"),  # ISO week 53
        ("2026-12-31T23:59:59", Window(1, "Y"), "2027-01-01"),
        ("2026-01-31T00:00:00", Window(1, "M"), "2026-02-01"),
        ("2026-03-29T01:30:00", Window(1, "d"), "2026-03-30"),  # a DST change elsewhere
    ],
)
def test_known_edges(moment: str, window: Window, end: str) -> None:
    at = ns(datetime.fromisoformat(moment).replace(tzinfo=UTC))
    assert bounds(window, at)[1] == ns(datetime.fromisoformat(end).replace(tzinfo=UTC))


@given(st.lists(st.tuples(st.integers(0, 200), st.integers(1, 9)), min_size=1, max_size=60))
def test_a_rolling_window_is_never_looser_and_stricter_by_one_slice_at_most(steps: list[tuple[int, int]]) -> None:
    window = Window(1, "m")
    length, piece = length_ns(window), length_ns(window) // SLICES
    now = 10**18
    counter = RollingCounter(window, now)
    events: list[tuple[int, int]] = []
    for wait_ds, amount in steps:
        now += wait_ds * SECOND_NS // 10
        counter.add(amount, now)
        events.append((now, amount))
        used = counter.used(now)
        assert used >= sum(a for at, a in events if at > now - length)
        assert used <= sum(a for at, a in events if at > now - length - 2 * piece)
        room = counter.room_at(now, 1, used)
        assert copy.deepcopy(counter).used(room) < used


def test_a_clock_that_jumps_back_does_not_reopen_a_window() -> None:
    noon = ns(datetime(2026, 5, 2, 12, tzinfo=UTC))
    counter = CalendarCounter(Window(1, "d"), noon)
    counter.add(5, noon)
    day = 86_400 * SECOND_NS
    counter.used(noon + day)
    counter.add(7, noon + day)
    assert counter.used(noon) == 7
