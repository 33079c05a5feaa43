"""Event streams of members, however they are cut and however their lines end."""

from __future__ import annotations

import pytest

from mcp_hub.upstream import sse
from mcp_hub.upstream.sse import EventReader, EventTooLarge

STREAM = b': hello\n\nevent: message\nid: 7\ndata: {"a":1}\n\n\nretry: 2500\n\ndata:one\ndata: two\n\ndata: {"b":2}\n\n'
FOUND = [b'{"a":1}', b"one\ntwo", b'{"b":2}']


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_events_are_the_same_however_the_stream_is_cut(end: bytes, size: int) -> None:
    stream = STREAM.replace(b"\n", end)
    reader = EventReader()
    found = [data for at in range(0, len(stream), size) for data in reader.feed(stream[at : at + size])]
    assert found == FOUND
    assert (reader.last_id, reader.retry_s) == ("7", 2.5)


def test_an_event_is_told_as_soon_as_its_empty_line_is_there() -> None:
    reader = EventReader()
    assert reader.feed(b"data: a\r\n\r") == [b"a"]
    assert reader.feed(b"\ndata: b\r\n") == []
    assert reader.feed(b"\r\n") == [b"b"]


def test_only_what_one_event_holds_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "MAX_MESSAGE_BYTES", 20)
    reader = EventReader()
    for _ in range(9):
        assert reader.feed(b"data: 0123456789\n\n") == [b"0123456789"]
    assert reader.feed(b"data: 0123456789\n") == []
    with pytest.raises(EventTooLarge):
        reader.feed(b"data: 0123456789")
