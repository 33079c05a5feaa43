"""Takes the frames of ``application/vnd.amazon.eventstream`` apart and checks their sums
(https://smithy.io/2.0/aws/amazon-eventstream.html).

    total length · length of headers · sum of these two · headers · payload · sum of all before

botocore has a reader of its own, which the tests hold this one against; it takes five times as long, and Bedrock can
be spoken to without botocore.
"""

from __future__ import annotations

import struct
from binascii import crc32
from collections.abc import Iterator, Mapping
from typing import TypeAlias

Headers: TypeAlias = Mapping[str, str]
Frame: TypeAlias = tuple[Headers, bytes]

_PRELUDE = struct.Struct("!III")
_SUM = struct.Struct("!I")
_SIZE = struct.Struct("!H")
_LEAST = _PRELUDE.size + _SUM.size
_MOST_BYTES = 24 * 1024 * 1024
_MOST_KNOWN = 64
_BYTES, _STRING = 6, 7
_SIZES = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
"""Of the values of fixed length, by their type: true, false, the integers, time, UUID."""


class BadFrame(Exception):
    """The stream is damaged, or it is none; nothing behind can be read."""


class FrameCutter:
    """Of one stream. Pieces may end anywhere."""

    __slots__ = ("_known", "_pending")

    def __init__(self) -> None:
        self._pending = b""
        self._known: dict[bytes, Headers] = {}

    def feed(self, chunk: bytes) -> Iterator[Frame]:
        """Frames that are complete now. Raises ``BadFrame`` behind the last good one."""
        data = self._pending + chunk if self._pending else chunk
        at, end = 0, len(data)
        while end - at >= _PRELUDE.size:
            length, headers, checked = _PRELUDE.unpack_from(data, at)
            if crc32(data[at : at + 8]) != checked or not _LEAST + headers <= length <= _MOST_BYTES:
                raise BadFrame
            if end - at < length:
                break
            last = at + length - _SUM.size
            if crc32(data[at:last]) != _SUM.unpack_from(data, last)[0]:
                raise BadFrame
            body = at + _PRELUDE.size + headers
            yield self._headers(data[at + _PRELUDE.size : body]), data[body:last]
            at += length
        self._pending = data[at:]

    def _headers(self, block: bytes) -> Headers:
        """The same few blocks come again and again."""
        known = self._known.get(block)
        if known is None:
            known = _headers_of(block)
            if len(self._known) < _MOST_KNOWN:
                self._known[block] = known
        return known


def _headers_of(block: bytes) -> Headers:
    """Those whose values are strings; the event streams of this API have no others."""
    found: dict[str, str] = {}
    at = 0
    try:
        while at < len(block):
            begin = at + 1
            at = begin + block[at]
            name, kind = block[begin:at].decode(), block[at]
            at += 1
            if kind in (_BYTES, _STRING):
                begin = at + _SIZE.size
                at = begin + _SIZE.unpack_from(block, at)[0]
                if kind == _STRING:
                    found[name] = block[begin:at].decode()
            else:
                at += _SIZES[kind]
    except (IndexError, KeyError, UnicodeDecodeError, struct.error):
        raise BadFrame from None
    if at != len(block):
        raise BadFrame
    return found
