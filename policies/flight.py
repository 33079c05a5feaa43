"""A flight: a dispatched call that outlives its request.

One owned task, any number of listeners, a deadline. What the executor emits (response heads, chunks,
notifications: opaque to the core) reaches every listener in order; the flight's result is what its
work returns. A listener that leaves takes nothing from the others. The last one that leaves cancels
the flight, unless its protocol says that leaving is not cancelling (``on_abandon="keep"``): then it
runs to its end or its deadline.

Back-pressure: ``emit`` never blocks; an executor that emits streams awaits ``room()`` between reads,
which waits while a listener is more than ``backlog_bytes`` behind.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, Literal, TypeVar

R = TypeVar("R")

OnAbandon = Literal["cancel", "keep"]

BACKLOG_BYTES = 256 * 1024


class Listener:
    """One reader of a flight's events. ``get`` returns ``None`` after the last one."""

    __slots__ = ("_backlog", "_events", "_flight", "_waiter", "left")

    def __init__(self, flight: Flight[R]) -> None:
        self._flight = flight
        self._events: deque[tuple[object, int]] = deque()
        self._backlog = 0
        self._waiter: asyncio.Future[None] | None = None
        self.left = False

    async def get(self) -> object | None:
        """The next event, or ``None`` when the flight has ended and all events were read, or after
        ``leave``."""
        while not self._events:
            if self.left or self._flight.done:
                return None
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        event, size = self._events.popleft()
        if size:
            self._backlog -= size
            self._flight.drained()
        return event

    def leave(self) -> None:
        """Stop listening; safe to call twice and after the end."""
        self.left = True
        self._events.clear()
        self._backlog = 0
        self._flight.forget(self)
        self.wake()

    def push(self, event: object, size: int) -> None:
        self._events.append((event, size))
        self._backlog += size
        self.wake()

    def wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    @property
    def backlog(self) -> int:
        return self._backlog


class Flight(Generic[R]):
    """Runs ``work(flight)`` in a task of its own and fans its events out.

    ``result`` is valid once ``done``. Work that raises ends the flight with ``failure`` set; the
    passage's work returns values, so a failure is a defect and is re-raised to whoever asks.
    """

    __slots__ = ("_failure", "_history", "_listeners", "_on_abandon", "_result", "_room", "_task", "cancelled")

    def __init__(self, *, on_abandon: OnAbandon = "cancel", replay: bool = False) -> None:
        self._listeners: list[Listener] = []
        self._history: list[tuple[object, int]] | None = [] if replay else None
        self._on_abandon = on_abandon
        self._task: asyncio.Task[None] | None = None
        self._result: R | None = None
        self._failure: BaseException | None = None
        self._room: asyncio.Future[None] | None = None
        self.cancelled = False

    def start(self, work: Callable[[Flight[R]], Awaitable[R]]) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run(work))

    def listen(self) -> Listener:
        """Join; a flight made with ``replay=True`` hands a late listener all that was emitted."""
        listener = Listener(self)
        for event, size in self._history or ():
            listener.push(event, size)
        self._listeners.append(listener)
        return listener

    def emit(self, event: object, size: int = 0) -> None:
        """Give ``event`` (``size`` bytes, for back-pressure) to every listener."""
        if self._history is not None:
            self._history.append((event, size))
        for listener in self._listeners:
            listener.push(event, size)

    async def room(self) -> None:
        """Wait until no listener is more than ``BACKLOG_BYTES`` behind."""
        while any(listener.backlog > BACKLOG_BYTES for listener in self._listeners):
            self._room = asyncio.get_running_loop().create_future()
            try:
                await self._room
            finally:
                self._room = None

    def drained(self) -> None:
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    def forget(self, listener: Listener) -> None:
        if listener not in self._listeners:
            return
        self._listeners.remove(listener)
        self.drained()
        if not self._listeners and self._on_abandon == "cancel":
            self.cancel()

    def cancel(self) -> None:
        """End the work now; its executor settles what was used."""
        if self._task is not None and not self._task.done():
            self.cancelled = True
            # Not at once: a task that is cancelled before its first step never runs its work, and
            # what the work would have settled would stay open.
            asyncio.get_running_loop().call_soon(self._task.cancel)

    @property
    def done(self) -> bool:
        return self._task is not None and (self._result is not None or self._failure is not None)

    @property
    def result(self) -> R:
        if self._failure is not None:
            raise self._failure
        if self._result is None:
            raise RuntimeError("the flight has not ended")
        return self._result

    async def wait(self) -> R:
        """The result, once the flight has ended. Cancelling the waiter does not cancel the flight."""
        if not self.done and self._task is not None:
            await asyncio.wait((self._task,))
        return self.result

    async def _run(self, work: Callable[[Flight[R]], Awaitable[R]]) -> None:
        try:
            self._result = await work(self)
        except BaseException as failure:  # noqa: BLE001 - handed to every listener through `result`
            self._failure = failure
            if not isinstance(failure, asyncio.CancelledError | Exception):
                raise
        finally:
            for listener in self._listeners:
                listener.wake()
