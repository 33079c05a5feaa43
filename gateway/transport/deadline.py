"""A deadline that is moved with every exchange and hardly ever missed.

A timer per call costs as much as the parsing of its answer. Here the timer of an earlier call is left to run: when
it fires it looks whether the present deadline has passed, and if not, sleeps on until then. Only a deadline that
lies before the running timer makes a new one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

NEVER = float("inf")


def _nobody() -> None:
    """Has nothing to miss."""


class Deadline:
    """``missed`` is called once, on the loop, when the time that was set last has passed. Seconds."""

    __slots__ = ("_at", "_loop", "_missed", "_timer", "_timer_at")

    def __init__(self, loop: asyncio.AbstractEventLoop, missed: Callable[[], None]) -> None:
        self._loop = loop
        self._missed = missed
        self._at = NEVER
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = NEVER

    def set(self, seconds: float) -> None:
        """From now on; what was set before is forgotten."""
        self._at = at = self._loop.time() + seconds
        if at < self._timer_at:
            self._arm(seconds)

    def clear(self) -> None:
        """Nothing is waited for; the timer may still run, and finds that out."""
        self._at = NEVER

    def cancel(self) -> None:
        """For good: who would have been told is forgotten, and in no circle with this any more."""
        self._at = self._timer_at = NEVER
        self._missed = _nobody
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = self._loop.time() + seconds
        self._timer = self._loop.call_later(seconds, self._look)

    def _look(self) -> None:
        self._timer = None
        self._timer_at = NEVER
        if self._at == NEVER:
            return
        left = self._at - self._loop.time()
        if left > 0:
            self._arm(left)
            return
        self._at = NEVER
        self._missed()
