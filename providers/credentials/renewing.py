"""Something that expires and is fetched by blocking code: kept, fetched in a thread, once for all who wait.

While what is held may still be used it is given at once, and its successor is fetched meanwhile; who comes when there
is nothing to use waits. A caller that leaves takes nobody's fetch away.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

RENEW_BEFORE_S = 300.0
"""So long before its end a successor is fetched."""
USE_UNTIL_S = 30.0
"""What ends sooner is not used: the request has to arrive, too."""


class Lease(Protocol):
    """What is held."""

    def remaining_s(self) -> float:
        """How long it is valid."""


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token."""

    value: str = field(repr=False)
    expires_at: float
    """Seconds since the epoch."""

    def remaining_s(self) -> float:
        return self.expires_at - time.time()


L = TypeVar("L", bound=Lease)


class Renewing(Generic[L]):
    """``fetch`` blocks, and raises ``CredentialsUnavailable``."""

    __slots__ = ("_fetch", "_held", "_task")

    def __init__(self, fetch: Callable[[], L]) -> None:
        self._fetch = fetch
        self._held: L | None = None
        self._task: asyncio.Task[L] | None = None

    async def get(self) -> L:
        """Raises ``CredentialsUnavailable``; the next caller tries again."""
        held = self._held
        remaining = 0.0 if held is None else held.remaining_s()
        if held is not None and remaining > RENEW_BEFORE_S:
            return held
        task = self._task
        if task is None:
            task = self._task = asyncio.create_task(asyncio.to_thread(self._fetch))
            task.add_done_callback(self._done)
        if held is not None and remaining > USE_UNTIL_S:
            return held
        return await asyncio.shield(task)

    def _done(self, task: asyncio.Task[L]) -> None:
        self._task = None
        # Asking for the exception marks it as seen: nobody may be waiting.
        if not task.cancelled() and task.exception() is None:
            self._held = task.result()
