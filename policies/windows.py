"""Reset windows: when a limit's usage begins to count anew.

``1d 1w 1M 1Y`` follow the UTC calendar (weeks begin on Monday; a count above one divides the days
since 1970-01-01, the weeks since Monday 1970-01-05, the months since January 1970, the years since
1970). ``1m 1h`` roll: usage is kept in 60 slices and a slice is forgotten when all of it is older
than the window, so that a rolling limit is exact or stricter by at most one slice, never looser.

A window of a run never resets.

Times are integer nanoseconds since the epoch. A clock that jumps back never reopens a window.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from policies.tiers import Window

SECOND_NS = 1_000_000_000
_ROLLING_NS = {"m": 60 * SECOND_NS, "h": 3600 * SECOND_NS}
_EPOCH = date(1970, 1, 1)
_FIRST_MONDAY = date(1970, 1, 5)
SLICES = 60


def bounds(window: Window, now_ns: int) -> tuple[int, int]:
    """Start and end (exclusive) of the calendar window that ``now_ns`` lies in."""
    today = datetime.fromtimestamp(now_ns // SECOND_NS, UTC).date()
    count = window.count
    if window.unit == "d":
        start = _EPOCH + timedelta(days=(today - _EPOCH).days // count * count)
        return _ns(start), _ns(start + timedelta(days=count))
    if window.unit == "w":
        start = _FIRST_MONDAY + timedelta(weeks=(today - _FIRST_MONDAY).days // 7 // count * count)
        return _ns(start), _ns(start + timedelta(weeks=count))
    months = count if window.unit == "M" else 12 * count
    index = ((today.year - 1970) * 12 + today.month - 1) // months * months
    return _ns(_month(index)), _ns(_month(index + months))


def length_ns(window: Window) -> int:
    """Length of a rolling window."""
    return _ROLLING_NS[window.unit] * window.count


def _month(index: int) -> date:
    return date(1970 + index // 12, index % 12 + 1, 1)


def _ns(day: date) -> int:
    return (day - _EPOCH).days * 86_400 * SECOND_NS


def day_of(ns: int) -> str:
    """The UTC day of a time, ``YYYY-MM-DD``."""
    return datetime.fromtimestamp(ns // SECOND_NS, UTC).strftime("%Y-%m-%d")


class CalendarCounter:
    """Usage within one calendar-aligned window."""

    __slots__ = ("_end", "_start", "_used", "_window")

    def __init__(self, window: Window, now_ns: int) -> None:
        self._window = window
        self._start, self._end = bounds(window, now_ns)
        self._used = 0

    def used(self, now_ns: int) -> int:
        if now_ns >= self._end:
            self._start, self._end = bounds(self._window, now_ns)
            self._used = 0
        return self._used

    def add(self, amount: int, at_ns: int) -> None:
        """Count ``amount`` that belongs to time ``at_ns``; a closed window is not reopened."""
        if at_ns >= self._end:
            self.used(at_ns)
        if at_ns >= self._start:
            self._used += amount

    def reset_at(self, now_ns: int) -> int:
        self.used(now_ns)
        return self._end

    def room_at(self, now_ns: int, needed: int, limit: int) -> int:
        """When ``needed`` would fit below ``limit``: at the window's end."""
        return self.reset_at(now_ns)

    @property
    def since(self) -> int:
        return self._start


class RollingCounter:
    """Usage within the last ``count`` minutes or hours, in 60 slices."""

    __slots__ = ("_newest", "_slice_ns", "_slices", "_total")

    def __init__(self, window: Window, now_ns: int) -> None:
        self._slice_ns = length_ns(window) // SLICES
        self._slices = [0] * (SLICES + 1)
        self._newest = now_ns // self._slice_ns
        self._total = 0

    def used(self, now_ns: int) -> int:
        current = now_ns // self._slice_ns
        if current > self._newest:
            self._forget(current)
        return self._total

    def add(self, amount: int, at_ns: int) -> None:
        index = at_ns // self._slice_ns
        if index > self._newest:
            self._forget(index)
        if index >= self._newest - SLICES:
            self._slices[index % (SLICES + 1)] += amount
            self._total += amount

    def reset_at(self, now_ns: int) -> int:
        """When the last of the present usage will have been forgotten."""
        self.used(now_ns)
        for age in range(SLICES + 1):
            if self._slices[(self._newest - age) % (SLICES + 1)]:
                return (self._newest - age + SLICES + 1) * self._slice_ns
        return now_ns

    def room_at(self, now_ns: int, needed: int, limit: int) -> int:
        """When ``needed`` would fit below ``limit`` if nothing else came."""
        excess = self.used(now_ns) + needed - limit
        for age in range(SLICES, -1, -1):
            excess -= self._slices[(self._newest - age) % (SLICES + 1)]
            if excess <= 0:
                return max(now_ns, (self._newest - age + SLICES + 1) * self._slice_ns)
        return self.reset_at(now_ns)

    def _forget(self, current: int) -> None:
        size = SLICES + 1
        if current - self._newest >= size:
            self._slices = [0] * size
            self._total = 0
        else:
            for index in range(self._newest + 1, current + 1):
                self._total -= self._slices[index % size]
                self._slices[index % size] = 0
        self._newest = current


class LifetimeCounter:
    """Usage since the beginning of a run."""

    __slots__ = ("_used",)

    def __init__(self) -> None:
        self._used = 0

    def used(self, now_ns: int) -> int:
        return self._used

    def add(self, amount: int, at_ns: int) -> None:
        self._used += amount

    def reset_at(self, now_ns: int) -> None:
        """Never."""

    def room_at(self, now_ns: int, needed: int, limit: int) -> None:
        """Never."""


Counter = CalendarCounter | RollingCounter | LifetimeCounter


def counter(window: Window, now_ns: int) -> Counter:
    """An empty counter for ``window``."""
    if window.unit == "run":
        return LifetimeCounter()
    return RollingCounter(window, now_ns) if window.rolling else CalendarCounter(window, now_ns)
