"""An answer as it arrives: ``policies.egress.ByteResponse``.

One task reads it. The connection feeds it and forgets it when the answer is complete; what has arrived by then is
the response's own, so the connection can carry the next call while this one is still being read.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol

from policies.egress import TransportFailure
from policies.one_waiter import OneWaiter

HIGH_BYTES = 256 * 1024
"""More than this unread, and the socket is not read from until half of it is gone."""


class Carrier(Protocol):
    """The connection under a response."""

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def abort(self) -> None: ...


class PooledResponse(OneWaiter):
    """Made when the request is sent; ``status`` and ``headers`` are valid after ``head``."""

    __slots__ = ("_carrier", "_failure", "_loop", "_parts", "_size", "begun", "headers", "paused", "status")

    def __init__(self, carrier: Carrier, loop: asyncio.AbstractEventLoop) -> None:
        self._carrier: Carrier | None = carrier
        self._loop = loop
        self._parts: list[bytes] = []
        self._size = 0
        self.paused = False
        self._waiter = None
        self._failure: tuple[str, str] | None = None
        self.begun = False
        self.status = 0
        self.headers: list[tuple[str, str]] = []

    async def head(self) -> None:
        """Wait for the head. Raises ``TransportFailure``; a waiter that is cancelled ends the exchange."""
        try:
            while not self.begun:
                self._raise_failure()
                await self.woken(self._loop)
        except asyncio.CancelledError:
            self.close()
            raise

    async def chunks(self) -> AsyncIterator[bytes]:
        while self._parts or await self._more():
            yield self._taken()

    async def read(self, limit: int) -> bytes:
        parts: list[bytes] = []
        size = 0
        # What is complete already, as most answers are, is read without another coroutine.
        while self._parts or ((self._carrier is not None or self._failure is not None) and await self._more()):
            chunk = self._taken()
            size += len(chunk)
            if size > limit:
                self.close()
                raise TransportFailure("upstream_too_large", f"The answer is larger than {limit} bytes.", sent=True)
            parts.append(chunk)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def close(self) -> None:
        carrier, self._carrier = self._carrier, None
        if carrier is not None:
            carrier.abort()

    def begin(self, status: int) -> None:
        """The head is complete."""
        self.status = status
        self.begun = True
        self.wake()

    def feed(self, data: bytes) -> None:
        """A piece of the body."""
        self._parts.append(data)
        self._size += len(data)
        if self._size > HIGH_BYTES and not self.paused and self._carrier is not None:
            self.paused = True
            self._carrier.pause()
        self.wake()

    def finish(self) -> None:
        """The body is complete, and the connection somebody else's."""
        self._carrier = None
        self.wake()

    def fail(self, code: str, message: str) -> None:
        """Nothing more will come. The exception is made where it is raised: kept here, it would lead to the frames that
        it went through, and they to this answer, in a circle that holds the request's body."""
        self._carrier = None
        self._failure = code, message
        self.wake()

    async def _more(self) -> bool:
        """Wait for another piece; false at the end."""
        while not self._parts:
            self._raise_failure()
            if self._carrier is None:
                return False
            await self.woken(self._loop)
        return True

    def _taken(self) -> bytes:
        """All that has arrived."""
        parts, self._parts = self._parts, []
        self._size = 0
        if self.paused:
            self.paused = False
            if self._carrier is not None:
                self._carrier.resume()
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _raise_failure(self) -> None:
        if self._failure is not None:
            code, message = self._failure
            raise TransportFailure(code, message, sent=True)
