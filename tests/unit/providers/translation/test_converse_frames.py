"""Frames of AWS's event streams are read as botocore reads them, however they are cut, and damage is found."""

from __future__ import annotations

import struct
from binascii import crc32

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from providers.translation.converse_frames import BadFrame, FrameCutter
from tests.unit.providers.translation.converse_model import frame

names = st.text(min_size=1, max_size=20)
frames = st.builds(frame, st.dictionaries(names, st.text(max_size=60), max_size=4), st.binary(max_size=200))


def raw(headers: bytes, payload: bytes = b"") -> bytes:
    """A frame of any headers, with sums that are right."""
    prelude = struct.pack("!II", 16 + len(headers) + len(payload), len(headers))
    message = prelude + struct.pack("!I", crc32(prelude)) + headers + payload
    return message + struct.pack("!I", crc32(message))


@given(st.lists(frames, max_size=6), st.integers(1, 50))
def test_frames_are_read_as_botocore_reads_them(sent: list[bytes], size: int) -> None:
    data = b"".join(sent)
    theirs = EventStreamBuffer()
    theirs.add_data(data)
    cutter = FrameCutter()
    ours = [found for at in range(0, len(data), size) for found in cutter.feed(data[at : at + size])]
    assert ours == [(message.headers, message.payload) for message in theirs]
    assert len(ours) == len(sent)


def test_headers_that_are_no_strings_are_passed_over() -> None:
    values = [b"\0", b"\1", b"\2x", b"\3xx", b"\4xxxx", b"\5" + b"x" * 8, b"\6\0\3abc", b"\x08" + b"x" * 8]
    values.append(b"\x09" + b"x" * 16)
    headers = b"".join(b"\2h" + str(n).encode() + value for n, value in enumerate(values)) + b"\1s\7\0\2ok"
    theirs = EventStreamBuffer()
    theirs.add_data(raw(headers, b"p"))
    assert len(next(theirs).headers) == 10
    assert list(FrameCutter().feed(raw(headers, b"p"))) == [({"s": "ok"}, b"p")]


@given(st.data())
def test_no_frame_with_a_changed_bit_is_read(data: st.DataObject) -> None:
    whole = bytearray(frame({":event-type": "contentBlockDelta"}, b'{"delta":{"text":"hello"}}'))
    bit = data.draw(st.integers(0, len(whole) * 8 - 1))
    whole[bit // 8] ^= 1 << bit % 8
    with pytest.raises(BadFrame):
        list(FrameCutter().feed(bytes(whole)))


def test_good_frames_before_a_bad_one_are_read() -> None:
    good = frame({"a": "b"}, b"x")
    frames = FrameCutter().feed(good + b"\0" * 16)
    assert next(frames) == ({"a": "b"}, b"x")
    with pytest.raises(BadFrame):
        next(frames)


@pytest.mark.parametrize("headers", [b"\5ab", b"\1a\x0a", b"\1a\7\0\5ab", b"\1a\7\0", b"\1\xff\0", b"\1a"])
def test_headers_that_do_not_add_up_are_damage(headers: bytes) -> None:
    with pytest.raises(BadFrame):
        list(FrameCutter().feed(raw(headers)))


@pytest.mark.parametrize(("length", "headers"), [(15, 0), (20, 5), (1 << 30, 0)])
def test_lengths_that_cannot_be_are_damage_at_once(length: int, headers: int) -> None:
    prelude = struct.pack("!II", length, headers)
    with pytest.raises(BadFrame):
        list(FrameCutter().feed(prelude + struct.pack("!I", crc32(prelude))))
