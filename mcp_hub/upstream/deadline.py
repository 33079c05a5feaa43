"""How long a member may be silent on one request.

Progress begins the time anew; a question that waits for a person stops it. The whole is bounded elsewhere:
by the deadline of the flight.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Deadline:
    """``expire`` is called once, when the time is over."""

    __slots__ = ("_expire", "_left", "_loop", "_paused", "_seconds", "_timer")

    def __init__(self, seconds: float, expire: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._seconds = seconds
        self._left = seconds
        self._expire = expire
        self._paused = 0
        self._timer: asyncio.TimerHandle | None = self._loop.call_later(seconds, expire)

    def progressed(self) -> None:
        """The member gave a sign of life."""
        self._left = self._seconds
        if self._timer is not None:
            self._timer.cancel()
            self._timer = self._loop.call_later(self._seconds, self._expire)

    def pause(self) -> None:
        """A question is open; as many ``resume`` must follow."""
        self._paused += 1
        if self._timer is not None:
            self._left = max(0.0, self._timer.when() - self._loop.time())
            self._timer.cancel()
            self._timer = None

    def resume(self) -> None:
        self._paused -= 1
        if self._paused == 0:
            self._timer = self._loop.call_later(self._left, self._expire)

    def stop(self) -> None:
        """The request has ended; nothing expires any more."""
        self._paused += 1
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class TaskDeadline:
    """A deadline that ends what the present task awaits: as ``asyncio.timeout``, for a third of its cost."""

    __slots__ = ("_before", "_expired", "_task", "deadline")

    def __init__(self, seconds: float) -> None:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a deadline needs a task to end")
        self._task = task
        self._before = task.cancelling()
        self._expired = False
        self.deadline = Deadline(seconds, self._expire)

    def passed(self) -> bool:
        """Asked when the task was cancelled: whether that was this deadline, and nobody else."""
        return self._expired and self._task.uncancel() <= self._before

    def _expire(self) -> None:
        self._expired = True
        self._task.cancel()
