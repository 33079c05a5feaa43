"""The journal: what survives ``kill -9``.

An append without sync (to a mapped file: it stays in the page cache when the process dies) before an attempt
leaves, and again when a row is final. Files are segments; a segment goes when everything that it opened is closed
and every row in it is in the database. What a dead process left behind is read back once, at start.

One line an entry, JSON: ``{"open": row}`` or ``{"row": row}``.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from policies.ledger import LedgerRow

SEGMENT_BYTES = 1024 * 1024

_OPEN = b'{"open":'
_ROW = b'{"row":'
_END = b"}\n"

Identity = tuple[str, int]


class _Line(msgspec.Struct):
    open: LedgerRow | None = None
    row: LedgerRow | None = None


_line = msgspec.json.Decoder(_Line).decode
_encode = msgspec.json.Encoder().encode


class JournalLocked(Exception):
    """Another process writes this journal."""


class _Segment:
    """One file: attempts opened in it that are not closed, rows in it that are not in the database.

    It is written through a shared mapping: what is stored there is in the page cache, which outlives the process,
    and costs no system call, in which the writer's thread would take the interpreter away from the calls. The
    file is filled with zeros first, so that a full disk is an ``OSError`` here and not a signal at a later store.
    """

    __slots__ = ("_capacity", "_map", "open", "path", "size", "uncommitted")

    def __init__(self, path: Path, capacity: int) -> None:
        self.path = path
        self.size = 0
        self._capacity = capacity
        self.open: set[Identity] = set()
        self.uncommitted: set[Identity] = set()
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            zeros = memoryview(bytes(capacity))
            while zeros:
                zeros = zeros[os.write(descriptor, zeros) :]
            self._map = mmap.mmap(descriptor, capacity)
        finally:
            os.close(descriptor)

    def append(self, line: bytes) -> bool:
        """Whether there was room for it."""
        end = self.size + len(line)
        if end > self._capacity:
            return False
        self._map[self.size : end] = line
        self.size = end
        return True

    def seal(self) -> None:
        """Nothing more is written."""
        if not self._map.closed:
            self._map.close()
            os.truncate(self.path, self.size)

    @property
    def needed(self) -> bool:
        return bool(self.open or self.uncommitted)


class Journal:
    """Of one process; the directory is locked while it lives. Raises ``JournalLocked``, ``OSError``."""

    def __init__(self, directory: Path, segment_bytes: int = SEGMENT_BYTES) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._directory = directory
        self._segment_bytes = segment_bytes
        self._lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise JournalLocked(
                f"Another gateway uses the state directory {directory.parent}: stop it, or choose another with --state."
            ) from None
        self._left = sorted(directory.glob("*.jsonl"))
        self._number = max((int(path.stem) for path in self._left if path.stem.isdigit()), default=0)
        self._segments: list[_Segment] = []
        self._current = self._next_segment(0)
        self._opened_in: dict[Identity, _Segment] = {}

    def recover(self) -> Iterator[tuple[LedgerRow, bool]]:
        """Rows that a dead process left: (row, final). An attempt that was opened and never closed comes as
        the row that was journalled for this case. A torn last line is what a kill leaves; any other
        broken line sets its file aside as ``.corrupt`` after all readable rows were taken."""
        opened: dict[Identity, LedgerRow] = {}
        closed: set[Identity] = set()
        for path in self._left:
            for entry in self._read(path):
                if entry.open is not None:
                    opened[entry.open.call_id, entry.open.attempt] = entry.open
                if entry.row is not None:
                    closed.add((entry.row.call_id, entry.row.attempt))
                    yield entry.row, True
        for identity, row in opened.items():
            if identity not in closed:
                yield row, False

    def forget_recovered(self) -> None:
        """What ``recover`` told is in the database now."""
        for path in self._left:
            path.unlink(missing_ok=True)
        self._left = []

    def open(self, row: LedgerRow) -> None:
        """Before an attempt leaves, and again when it holds more: the last word stands."""
        identity = row.call_id, row.attempt
        segment = self._append(_OPEN, row)
        before = self._opened_in.get(identity)
        if before is not None:
            before.open.discard(identity)
        segment.open.add(identity)
        self._opened_in[identity] = segment

    def close_attempt(self, row: LedgerRow) -> None:
        """A row is final."""
        identity = row.call_id, row.attempt
        segment = self._append(_ROW, row)
        segment.uncommitted.add(identity)
        opened_in = self._opened_in.pop(identity, None)
        if opened_in is not None:
            opened_in.open.discard(identity)

    def uncommitted(self, limit: int) -> list[LedgerRow]:
        """Final rows of this process that are not in the database yet, read back from the files."""
        found: list[LedgerRow] = []
        for segment in self._segments:
            if not segment.uncommitted:
                continue
            for entry in self._read(segment.path, keep=True):
                row = entry.row
                if row is not None and (row.call_id, row.attempt) in segment.uncommitted:
                    found.append(row)
                    if len(found) == limit:
                        return found
        return found

    def committed(self, rows: list[LedgerRow]) -> None:
        """The rows are in the database; segments that nothing needs any more are deleted."""
        done = {(row.call_id, row.attempt) for row in rows}
        for segment in self._segments:
            segment.uncommitted -= done
        for segment in [s for s in self._segments if s is not self._current and not s.needed]:
            self._segments.remove(segment)
            segment.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Give the directory free; a segment with nothing open and all committed is deleted."""
        self._current.seal()
        for segment in self._segments:
            if not segment.needed:
                segment.path.unlink(missing_ok=True)
        os.close(self._lock)

    def _append(self, kind: bytes, row: LedgerRow) -> _Segment:
        line = b"".join((kind, _encode(row), _END))
        segment = self._current
        if not segment.append(line):
            segment.seal()
            segment = self._current = self._next_segment(len(line))
            segment.append(line)
        return segment

    def _next_segment(self, least: int) -> _Segment:
        self._number += 1
        segment = _Segment(self._directory / f"{self._number:09d}.jsonl", max(self._segment_bytes, least))
        self._segments.append(segment)
        return segment

    def _read(self, path: Path, *, keep: bool = False) -> Iterator[_Line]:
        lines = path.read_bytes().split(b"\n")
        broken = 0
        for index, line in enumerate(lines):
            text = line.strip(b"\0")  # what was reserved and not written
            if not text:
                continue
            try:
                yield _line(text)
            except msgspec.MsgspecError:
                broken += index < len(lines) - 1
        if broken and not keep:
            path.rename(path.with_suffix(".corrupt"))
