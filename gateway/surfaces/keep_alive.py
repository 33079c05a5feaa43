"""Comments in a stream that is silent for long, so that no proxy between gate and client takes it for dead.

A comment (https://html.spec.whatwg.org/multipage/server-sent-events.html, section 9.2.6) is nothing to a client; it
may only stand between two events, and an upstream's pieces end anywhere.
"""

from __future__ import annotations

import asyncio
from typing import Self

from policies.flight import Listener

COMMENT = b": keep-alive\n\n"
_ENDS = (b"\n\n", b"\r\n\r\n", b"\r\r")


class KeepAlive:
    """Use as a context manager around the reading of one stream's listener; ``seconds`` of silence, at least."""

    __slots__ = ("_between", "_listener", "_quiet", "_seconds", "_timer")

    def __init__(self, listener: Listener, seconds: float) -> None:
        self._listener = listener
        self._seconds = seconds
        self._quiet = False
        self._between = True
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> Self:
        self._arm()
        return self

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def wrote(self, chunk: bytes) -> None:
        """The client has been sent this."""
        self._quiet = chunk is COMMENT
        self._between = chunk.endswith(_ENDS)

    def _arm(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._tick)

    def _tick(self) -> None:
        if self._quiet and self._between:
            # In its order: behind what is still to be written.
            self._listener.push(COMMENT, 0)
        self._quiet = True
        self._arm()
