"""Reads server-sent events from members: bytes in, whole events out, bounded."""

from __future__ import annotations

from mcp_hub.upstream.jsonrpc import MAX_MESSAGE_BYTES

LONGEST_RETRY_S = 60.0


class EventTooLarge(Exception):
    """One event is larger than the bound."""


class EventReader:
    """Incremental; a chunk may end anywhere."""

    __slots__ = ("_after_cr", "_begun", "_data", "_size", "last_id", "retry_s")

    def __init__(self) -> None:
        self._begun: list[bytes] = []
        """Of a line that is not complete."""
        self._data: list[bytes] = []
        """Of an event that is not complete."""
        self._size = 0
        self._after_cr = False
        self.last_id: str | None = None
        """Where to take up a stream that ended too early."""
        self.retry_s = 1.0
        """How long the server wants to be left alone before that."""

    def feed(self, chunk: bytes) -> list[bytes]:
        """The data of the events that are complete now. Raises ``EventTooLarge``."""
        chunk = self._with_plain_ends(chunk)
        self._size += len(chunk)
        if self._size > MAX_MESSAGE_BYTES:
            raise EventTooLarge
        if b"\n" not in chunk:
            self._begun.append(chunk)
            return []
        found: list[bytes] = []
        *lines, rest = (b"".join((*self._begun, chunk)) if self._begun else chunk).split(b"\n")
        for line in lines:
            if line:
                self._field(line)
            elif self._data:
                found.append(b"\n".join(self._data))
                self._data.clear()
        self._begun = [rest] if rest else []
        self._size = len(rest) + sum(map(len, self._data))
        return found

    def _with_plain_ends(self, chunk: bytes) -> bytes:
        """CR LF, LF and CR all end a line, and the first may be cut in two
        (https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream)."""
        if self._after_cr and chunk:
            chunk = chunk.removeprefix(b"\n")
            self._after_cr = False
        if b"\r" not in chunk:
            return chunk
        self._after_cr = chunk.endswith(b"\r")
        return chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _field(self, line: bytes) -> None:
        if line.startswith(b"data:"):
            self._data.append(line[6:] if line[5:6] == b" " else line[5:])
        elif line.startswith(b"id:"):
            self.last_id = line[3:].strip().decode(errors="replace")
        elif line.startswith(b"retry:") and line[6:].strip().isdigit():
            self.retry_s = min(LONGEST_RETRY_S, int(line[6:]) / 1000)
