"""A kept answer, given again: in the form that is asked for, with ids of its own."""

from __future__ import annotations

import msgspec

from policies.caching.vocabulary import Kept, Replayed
from providers.caching.base import BAD_SHAPE, DialectCaching, events_of, mint
from providers.dialects.base import Dialect, Headers, ModelRequest
from providers.replies import HttpReply, StreamReply

_JSON: Headers = [("content-type", "application/json")]
_EVENTS: Headers = [("content-type", "text/event-stream; charset=utf-8"), ("cache-control", "no-cache")]


def replay(dialect: Dialect, caching: DialectCaching, request: ModelRequest, kept: Kept) -> Replayed | None:
    """``kept`` as ``request`` wants it. ``None`` if it cannot be told in that form."""
    data, tool_use_ids = mint(kept)
    try:
        told = _stream(dialect, caching, request, kept, data) if request.stream else _whole(caching, kept, data)
    except BAD_SHAPE:
        return None
    return None if told is None else Replayed(told, tool_use_ids)


def _whole(caching: DialectCaching, kept: Kept, data: bytes) -> HttpReply | None:
    if kept.form == "body":
        return HttpReply(200, _JSON, data)
    answer = caching.assemble(events_of(data))
    return None if answer is None else HttpReply(200, _JSON, msgspec.json.encode(answer))


def _stream(
    dialect: Dialect, caching: DialectCaching, request: ModelRequest, kept: Kept, data: bytes
) -> StreamReply | None:
    stream = data if kept.form == "stream" else caching.explode(msgspec.json.decode(data))
    if stream is None:
        return None
    # Through the dialect's own reader: a client that did not ask for the usage chunk does not get it.
    reader = dialect.stream_reader(request)
    passed = reader.feed(stream) + reader.finish()
    return StreamReply(200, _EVENTS, passed) if reader.ended else None
