"""What one task at a time waits for, again and again: a future a wait, and nothing that outlives it."""

from __future__ import annotations

import asyncio


class OneWaiter:
    """To be inherited. Who is made sets ``_waiter`` to ``None`` itself: a call of this class's own ``__init__`` would
    be made for every call of the gate."""

    __slots__ = ("_waiter",)

    _waiter: asyncio.Future[None] | None

    def woken(self, loop: asyncio.AbstractEventLoop) -> asyncio.Future[None]:
        """To be awaited until ``wake``. What was waited for is to be looked at before: a wake that nobody waited for is
        not remembered."""
        self._waiter = waiter = loop.create_future()
        return waiter

    def wake(self) -> None:
        """Let go on who waits, if somebody does."""
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            if not waiter.done():
                waiter.set_result(None)
