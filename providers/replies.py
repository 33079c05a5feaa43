"""What the model side hands to a surface as the answer to a call."""

from __future__ import annotations

import msgspec

Headers = list[tuple[str, str]]


class HttpReply(msgspec.Struct, frozen=True):
    """A complete answer for the client."""

    status: int
    headers: Headers
    body: bytes


class StreamHead(msgspec.Struct, frozen=True):
    """The head of an answer whose chunks follow."""

    status: int
    headers: Headers


class StreamReply(msgspec.Struct, frozen=True):
    """A whole stream for the client, all of it there at once."""

    status: int
    headers: Headers
    body: bytes
