"""A kept answer, given again: in the form that is asked for, with ids of its own."""

from __future__ import annotations

import msgspec

from policies.caching.vocabulary import Kept, Replayed
from providers.caching.base import DialectCaching, events_of, mint
from providers.dialects.base import Dialect, Headers, ModelRequest
from providers.replies import HttpReply, StreamReply

_JSON: Headers = [("content-type", "application/json")]
_EVENTS: Headers = [("content-type", "text/event-stream; charset=utf-8"), ("cache-control", "no-cache")]


def replay(dialect: Dialect, caching: DialectCaching, request: ModelRequest, kept: Kept) -> Replayed | None:
    """``kept`` as ``request`` wants it. ``None`` if it cannot be told in that form."""
    data, tool_use_ids = mint(kept)
    if not request.stream:
        body = data if kept.form == "body" else _body(caching, data)
        return None if body is None else Replayed(HttpReply(200, _JSON, body), tool_use_ids)
    stream: bytes | None = data if kept.form == "stream" else caching.explode(msgspec.json.decode(data))
    if stream is None:
        return None
    # Through the dialect's own reader: a client that did not ask for the usage chunk does not get it.
    reader = dialect.stream_reader(request)
    passed = reader.feed(stream) + reader.finish()
    return Replayed(StreamReply(200, _EVENTS, passed), tool_use_ids) if reader.ended else None


def _body(caching: DialectCaching, stream: bytes) -> bytes | None:
    answer = caching.assemble(events_of(stream))
    return None if answer is None else msgspec.json.encode(answer)
