"""Reads server-sent events from members: bytes in, whole events out, bounded."""

from __future__ import annotations

import re

from mcp_hub.upstream.jsonrpc import MAX_MESSAGE_BYTES

LONGEST_RETRY_S = 60.0
_END = re.compile(rb"\r\n\r\n|\n\n|\r\r")


class EventTooLarge(Exception):
    """One event is larger than the bound."""


class EventReader:
    """Incremental; a chunk may end anywhere."""

    __slots__ = ("_pending", "_size", "last_id", "retry_s")

    def __init__(self) -> None:
        self._pending: list[bytes] = []
        self._size = 0
        self.last_id: str | None = None
        """Where to take up a stream that ended too early."""
        self.retry_s = 1.0
        """How long the server wants to be left alone before that."""

    def feed(self, chunk: bytes) -> list[bytes]:
        """The data of the events that are complete now. Raises ``EventTooLarge``."""
        self._pending.append(chunk)
        self._size += len(chunk)
        if self._size > MAX_MESSAGE_BYTES:
            raise EventTooLarge
        # The end of an event may straddle two chunks, by three bytes at most.
        tail = b"".join(part[-3:] for part in self._pending[-4:-1]) + chunk if len(self._pending) > 1 else chunk
        if _END.search(tail) is None:
            return []
        text = b"".join(self._pending)
        found: list[bytes] = []
        start = 0
        for match in _END.finditer(text):
            data = self._data(text[start : match.start()])
            if data:
                found.append(data)
            start = match.end()
        self._pending = [text[start:]] if start < len(text) else []
        self._size = len(text) - start
        return found

    def _data(self, event: bytes) -> bytes:
        parts: list[bytes] = []
        for line in event.splitlines():
            if line.startswith(b"data:"):
                parts.append(line[5:].removeprefix(b" "))
            elif line.startswith(b"id:"):
                self.last_id = line[3:].strip().decode(errors="replace")
            elif line.startswith(b"retry:") and line[6:].strip().isdigit():
                self.retry_s = min(LONGEST_RETRY_S, int(line[6:]) / 1000)
        return b"\n".join(parts)
