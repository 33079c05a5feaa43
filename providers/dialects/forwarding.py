"""Reading a stream that passes as it came: what the readers of the dialects have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod

from policies.types import Usage
from providers.dialects.sse import EventCutter


class ForwardingReader(ABC):
    """Forwards every byte as it came and shows each whole event to the dialect."""

    __slots__ = ("_cutter", "_tool_uses", "content_bytes", "ended", "stop_reason", "usage")

    def __init__(self) -> None:
        self._cutter = EventCutter()
        self._tool_uses: list[str] = []
        self.usage: Usage | None = None
        self.stop_reason: str | None = None
        self.ended = False
        self.content_bytes = 0

    def feed(self, chunk: bytes) -> bytes:
        for event in self._cutter.feed(chunk):
            self._read(event)
        return chunk

    def finish(self) -> bytes:
        return b""

    def new_tool_uses(self) -> list[str]:
        found, self._tool_uses = self._tool_uses, []
        return found

    @abstractmethod
    def _read(self, event: bytes) -> None:
        """Notes what one event says: usage, calls, the end."""
