"""How long a member may be silent on one request.

Progress begins the time anew; a question that waits for a person stops it. The whole is bounded elsewhere:
by the deadline of the flight.

All deadlines of a connection share one timer, because nearly every request ends long before its own would ring:
a timer a request costs more than all the rest of it.
"""

from __future__ import annotations

import asyncio
from math import inf

GRAIN_S = 0.01
"""Deadlines that pass within this time are looked for together."""


class Deadlines:
    """The open deadlines of one connection. Make it inside a running loop."""

    __slots__ = ("_closed", "_loop", "_open", "_rings_at", "_timer")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._open: set[Deadline] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._rings_at = inf
        self._closed = False

    def now(self) -> float:
        """Seconds, by the loop's clock."""
        return self._loop.time()

    def add(self, deadline: Deadline, seconds: float) -> float:
        """``deadline`` is open, for so many seconds from now: when it ends."""
        self._open.add(deadline)
        return self.end(seconds)

    def end(self, seconds: float) -> float:
        """When what has so many seconds from now ends. A timer that rings too early looks again; one that would ring
        too late is replaced."""
        ends_at = self._loop.time() + seconds
        if ends_at < self._rings_at:
            self._ring_at(ends_at)
        return ends_at

    def remove(self, deadline: Deadline) -> None:
        self._open.discard(deadline)
        if self._closed:
            self._rest()

    def close(self) -> None:
        """No request begins any more: the timer goes with the last of those under way."""
        self._closed = True
        self._rest()

    def _rest(self) -> None:
        if not self._open and self._timer is not None:
            self._timer.cancel()

    def _ring_at(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._rings_at = when
        self._timer = self._loop.call_at(when, self._ring)

    def _ring(self) -> None:
        self._timer, self._rings_at = None, inf
        now = self.now()
        for passed in [deadline for deadline in self._open if deadline.ends_at <= now]:
            self._open.discard(passed)
            passed.expire()
        first = min([deadline.ends_at for deadline in self._open], default=inf)
        if first < self._rings_at:
            self._ring_at(max(first, now + GRAIN_S))


class Deadline:
    """One request's; ``expire`` is called once, when the time is over."""

    __slots__ = ("_deadlines", "_left", "_paused", "_seconds", "ends_at")

    def __init__(self, deadlines: Deadlines, seconds: float) -> None:
        self._deadlines = deadlines
        self._seconds = seconds
        self._left = seconds
        self._paused = 0
        self.ends_at = deadlines.add(self, seconds)
        """By the loop's clock; infinite while it stands still."""

    def expire(self) -> None:
        """The member was silent for too long."""
        raise NotImplementedError

    def progressed(self) -> None:
        """The member gave a sign of life."""
        self._left = self._seconds
        if not self._paused:
            self.ends_at = self._deadlines.end(self._left)

    def pause(self) -> None:
        """A question is open; as many ``resume`` must follow."""
        if not self._paused:
            self._left = max(0.0, self.ends_at - self._deadlines.now())
            self.ends_at = inf
        self._paused += 1

    def resume(self) -> None:
        self._paused -= 1
        if not self._paused:
            self.ends_at = self._deadlines.end(self._left)

    def stop(self) -> None:
        """The request has ended; nothing expires any more."""
        self._deadlines.remove(self)


class TaskDeadline(Deadline):
    """A deadline that ends what the present task awaits: as ``asyncio.timeout``, for a fraction of its cost."""

    __slots__ = ("_before", "_expired", "_task")

    def __init__(self, deadlines: Deadlines, seconds: float) -> None:
        super().__init__(deadlines, seconds)
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a deadline needs a task to end")
        self._task = task
        self._before = task.cancelling()
        self._expired = False

    def passed(self) -> bool:
        """Asked when the task was cancelled: whether that was this deadline, and nobody else."""
        return self._expired and self._task.uncancel() <= self._before

    def expire(self) -> None:
        self._expired = True
        self._task.cancel()
