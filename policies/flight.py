"""A flight: a dispatched call that outlives its request.

One task, any number of listeners, an end that may come from outside (``policies.deadlines``). What the executor emits
(response heads, chunks, notifications: opaque to the core) reaches every listener in order; the flight's result is what
its work returns. A listener that leaves takes nothing from the others. The last one that leaves cancels the flight,
unless its protocol says that leaving is not cancelling (``on_abandon="keep"``): then it runs to its end or its
deadline. Work that begins to settle calls ``land``: from then on nothing cancels it.

Back-pressure: ``emit`` never blocks; an executor that emits streams awaits ``room()`` between reads,
which waits while a listener is more than ``BACKLOG_BYTES`` behind. Those who joined somebody else's flight
hold nobody up: one that is more than ``MOST_BEHIND`` bytes behind loses its place.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Generic, Literal, Protocol, TypeVar

from policies.one_waiter import OneWaiter

R = TypeVar("R")

OnAbandon = Literal["cancel", "keep"]
CancelReason = Literal["caller", "shutdown", "deadline"]

BACKLOG_BYTES = 256 * 1024
HISTORY_BYTES = 1024 * 1024
"""A flight that has emitted more than this cannot be joined any longer."""
MOST_BEHIND = 4 * 1024 * 1024


class Listener(OneWaiter):
    """One reader of a flight's events: one task at a time may wait in ``get``."""

    __slots__ = ("_backlog", "_events", "_flight", "follows", "left")

    def __init__(self, flight: Flight[R], *, follows: bool) -> None:
        self._flight = flight
        self.follows = follows
        self._events: deque[tuple[object, int]] = deque()
        self._backlog = 0
        self._waiter = None
        self.left = False

    async def get(self) -> object | None:
        """The next event, or ``None`` when the flight has ended and all events were read, or after
        ``leave``."""
        while not self._events:
            if self.left or self._flight.done:
                return None
            await self.woken(self._flight.loop)
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

    @property
    def backlog(self) -> int:
        return self._backlog


R_co = TypeVar("R_co", covariant=True)


class Journey(Protocol[R_co]):
    """A caller's place on a flight, its own or another's."""

    @property
    def done(self) -> bool: ...

    def listen(self) -> Listener: ...

    async def wait(self) -> R_co:
        """The result, once the flight has ended."""

    def cancel(self) -> None:
        """The caller takes its call back."""


class Flight(Generic[R]):
    """Runs ``work(flight)`` in a task of its own and fans its events out.

    ``result`` is valid once ``done``. The passage's work returns values, so work that raises is a
    defect: it is reported to the loop's exception handler and re-raised to whoever asks for the result.
    """

    __slots__ = (
        "_ended",
        "_failure",
        "_history",
        "_history_bytes",
        "_landing",
        "_listeners",
        "_missed",
        "_result",
        "_room",
        "_task",
        "cancelled",
        "loop",
        "on_abandon",
    )

    def __init__(self, *, on_abandon: OnAbandon = "cancel", replay: bool = False) -> None:
        self._listeners: list[Listener] = []
        self._history: list[tuple[object, int]] | None = [] if replay else None
        self._history_bytes = 0
        self.on_abandon = on_abandon
        """What the last listener's leaving means; it may change while a call waits for an answer."""
        self.loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None
        self._result: R | None = None
        self._failure: BaseException | None = None
        self._room: asyncio.Future[None] | None = None
        self._ended = False
        self._landing = False
        self._missed: CancelReason | None = None
        self.cancelled: CancelReason | None = None
        """Who asked for the end before the work began to settle."""

    def start(self, work: Callable[[Flight[R]], Awaitable[R]]) -> None:
        self._task = self.loop.create_task(self._run(work))

    def listen(self, *, follows: bool = False) -> Listener:
        """Join; a flight made with ``replay=True`` hands a late listener all that was emitted. ``follows``: on
        somebody else's flight."""
        listener = Listener(self, follows=follows)
        for event, size in self._history or ():
            listener.push(event, size)
        self._listeners.append(listener)
        return listener

    def emit(self, event: object, size: int = 0) -> None:
        """Give ``event`` (``size`` bytes, for back-pressure) to every listener."""
        if self._history is not None:
            self._history.append((event, size))
            self._history_bytes += size
            if self._history_bytes > HISTORY_BYTES:
                self._history = None
        for listener in tuple(self._listeners) if len(self._listeners) > 1 else self._listeners:
            listener.push(event, size)
            if listener.follows and listener.backlog > MOST_BEHIND:
                listener.leave()

    async def room(self) -> None:
        """Wait until no listener is more than ``BACKLOG_BYTES`` behind."""
        while any(listener.backlog > BACKLOG_BYTES for listener in self._listeners if not listener.follows):
            self._room = self.loop.create_future()
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
        if self._ended:
            return
        self.drained()
        if not self._listeners and self.on_abandon == "cancel":
            self.cancel()

    def cancel(self, reason: CancelReason = "caller") -> None:
        """End the work now; it settles what was used. Without effect twice, or once it has landed, or when a
        caller takes its call back that others have joined."""
        if self._task is None or self._ended or self.cancelled is not None:
            return
        if reason == "caller" and any(listener.follows for listener in self._listeners):
            return
        if self._landing:
            self._missed = reason
            return
        self.cancelled = reason
        # Not at once: a task that is cancelled before its first step never runs its work, and what the
        # work would have settled would stay open.
        self.loop.call_soon(self._interrupt, self._task)

    def expire(self) -> None:
        """It has taken too long."""
        self.cancel("deadline")

    def land(self) -> None:
        """Said by the work when it begins to settle: a cancellation now would leave the books open."""
        self._landing = True

    def take_off(self) -> None:
        """Said by the work when it begins another attempt after it had landed: it can be cancelled again,
        and is at once if somebody wished it in between."""
        self._landing = False
        if self._missed is not None:
            self.cancel(self._missed)

    @property
    def joinable(self) -> bool:
        """Whoever joins now misses nothing."""
        return self._history is not None and not self._ended and self.cancelled is None and self._missed is None

    @property
    def heard(self) -> bool:
        """Somebody listens now."""
        return bool(self._listeners)

    @property
    def done(self) -> bool:
        return self._ended

    @property
    def result(self) -> R:
        if self._failure is not None:
            raise self._failure
        if not self._ended:
            raise RuntimeError("the flight has not ended")
        return self._result  # type: ignore[return-value]

    async def wait(self) -> R:
        """The result, once the flight has ended. Cancelling the waiter does not cancel the flight."""
        if not self._ended:
            await self.ended()
        return self.result

    async def ended(self) -> None:
        """Wait until the flight has ended, well or badly."""
        if self._task is not None and not self._task.done():
            await asyncio.wait((self._task,))

    def _interrupt(self, task: asyncio.Task[None]) -> None:
        if not self._landing:
            task.cancel()

    async def _run(self, work: Callable[[Flight[R]], Awaitable[R]]) -> None:
        try:
            self._result = await work(self)
        except asyncio.CancelledError as cancelled:
            self._failure = cancelled
        except Exception as defect:  # noqa: BLE001 - supervision boundary: nobody may be left to ask
            self._failure = defect
            report_defect("the work of a flight failed", defect)
        finally:
            self._ended = True
            for listener in self._listeners:
                listener.wake()


def report_defect(what: str, defect: Exception) -> None:
    """Tell the loop's exception handler, which logs it, of a failure that no caller may ever see."""
    asyncio.get_running_loop().call_exception_handler({"message": what, "exception": defect})
