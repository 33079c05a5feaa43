"""What decoders of server-sent events have in common: whole events from pieces, and nothing after the end."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from providers.canonical.answer import Ended, Event, Failed
from providers.dialects.sse import EventCutter, data_of


class SseDecoder(ABC):
    """``providers.translation.base.StreamDecoder`` of a dialect that speaks in server-sent events."""

    __slots__ = ("_cutter", "_over")

    def __init__(self) -> None:
        self._cutter = EventCutter()
        self._over = False

    def feed(self, chunk: bytes) -> Sequence[Event]:
        found: list[Event] = []
        for event in self._cutter.feed(chunk):
            self._take(event, found)
        return found

    def finish(self) -> Sequence[Event]:
        found: list[Event] = []
        pending = self._cutter.pending
        if pending.strip():
            self._take(pending, found)  # the last event need not be followed by a blank line
        if not self._over:
            self._close(found)
        return found

    def _take(self, event: bytes, found: list[Event]) -> None:
        if self._over:
            return
        data = data_of(event)
        if not data:
            return
        before = len(found)
        self._read(data, found)
        self._over = any(isinstance(said, Ended | Failed) for said in found[before:])

    @abstractmethod
    def _read(self, data: bytes, found: list[Event]) -> None:
        """Append what one event says. ``data`` is never empty; what cannot be read is passed over."""

    @abstractmethod
    def _close(self, found: list[Event]) -> None:
        """The connection ended without a terminal event: append ``Ended`` if the vendor had said how it ended."""
