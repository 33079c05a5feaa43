"""uvicorn's HTTP protocol with one system call for an answer instead of two, and word of a client that leaves.

uvicorn writes the head and each piece of a body as they come, and uvloop sends each at once. Here everything that is
written in one turn of the loop leaves together; nothing waits for more than the end of that turn.

ASGI tells of a disconnect only to a task that waits in ``receive``: a task per call, made to be cancelled. Here a
request's scope holds, as the extension ``tollkeeper.departure``, where to ask for a call back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.surfaces.http import DEPARTURE


class OneWriteTransport:
    """A transport that gathers what is written in one turn of the loop; everything else is the transport's own."""

    __slots__ = ("_loop", "_parts", "_transport")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> None:
        if not self._parts:
            self._loop.call_soon(self._flush)
        self._parts.append(data)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def _flush(self) -> None:
        parts, self._parts = self._parts, []
        if parts and not self._transport.is_closing():
            self._transport.writelines(parts)


class OneWriteProtocol(HttpToolsProtocol):
    """What the server speaks."""

    _watch: Callable[[], None] | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        gathering: Any = OneWriteTransport(transport, self.loop)
        super().connection_made(gathering)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        watch, self._watch = self._watch, None
        if watch is not None:
            watch()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {DEPARTURE: self.when_lost}  # type: ignore[dict-item]

    def when_lost(self, watch: Callable[[], None] | None) -> None:
        """Call ``watch`` when the client's connection is gone; ``None``: nobody wants to know any more."""
        if watch is not None and self.transport.is_closing():
            watch()
            return
        self._watch = watch
        if watch is not None:
            self.flow.resume_reading()  # a large body stopped it, and who does not read sees no end
