"""When flights have taken too long: one timer for all that may take equally long, instead of one a flight.

Flights of one duration end in the order in which they began, so that only the first of them has to be watched; one
that ends by itself is taken out, and the timer finds out when it rings.
"""

from __future__ import annotations

import asyncio
from typing import Protocol


class Bounded(Protocol):
    """What can be ended from outside."""

    def expire(self) -> None:
        """Its time is over."""


class FlightDeadlines:
    """Of one process; durations are few, as they come from the configuration."""

    def __init__(self) -> None:
        self._queues: dict[float, _Queue] = {}

    @property
    def watched(self) -> int:
        """How many are under way."""
        return sum(len(queue.waiting) for queue in self._queues.values())

    def watch(self, bounded: Bounded, seconds: float) -> float:
        """End it after ``seconds``, unless it is forgotten before. When that is, by the loop's clock."""
        queue = self._queues.get(seconds)
        if queue is None:
            queue = self._queues[seconds] = _Queue(seconds)
        return queue.add(bounded)

    def forget(self, bounded: Bounded, seconds: float) -> None:
        """It has ended, or was never watched."""
        queue = self._queues.get(seconds)
        if queue is not None:
            queue.waiting.pop(bounded, None)


class _Queue:
    """Those of one duration, in the order of their ends."""

    __slots__ = ("_armed", "_loop", "_seconds", "waiting")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._armed = False
        self.waiting: dict[Bounded, float] = {}

    def add(self, bounded: Bounded) -> float:
        ends = self._loop.time() + self._seconds
        self.waiting[bounded] = ends
        if not self._armed:
            self._arm(ends)
        return ends

    def _arm(self, ends: float) -> None:
        self._armed = True
        self._loop.call_at(ends, self._ring)

    def _ring(self) -> None:
        self._armed = False
        now = self._loop.time()
        while self.waiting:
            first = next(iter(self.waiting))
            ends = self.waiting[first]
            if ends > now:
                self._arm(ends)
                return
            del self.waiting[first]
            first.expire()
