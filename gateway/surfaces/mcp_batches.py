"""JSON-RPC batches: several messages in one POST, which 2025-03-26 alone of all versions has
(https://modelcontextprotocol.io/specification/2025-03-26/basic#batching).

Every message is handled as if it had come alone; the answers come back as one array. Notifications that
belong to a call of a batch have no place in it and are left out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from gateway.surfaces.http import Message as AsgiMessage
from mcp_hub.error_codes import INVALID_REQUEST, PARSE_ERROR
from mcp_hub.wire.messages import Message, WireError, error_bytes, read_message

BATCH_VERSION = "2025-03-26"
MOST_MESSAGES = 100

_array = msgspec.json.Decoder(list[msgspec.Raw]).decode
Handle = Callable[["Collected", Message], Awaitable[None]]


class Collected:
    """An ASGI ``send`` that keeps what one message was answered."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._streamed = False

    async def __call__(self, message: AsgiMessage) -> None:
        if message["type"] == "http.response.start":
            self._streamed = any(value.startswith(b"text/event-stream") for _, value in message["headers"])
        else:
            self._parts.append(message.get("body", b""))

    @property
    def answer(self) -> bytes:
        """The response; empty for a notification. Of a stream it is the last event."""
        if not self._streamed:
            return b"".join(self._parts)
        last = [part for part in self._parts if b"data: " in part][-1:]
        return last[0].partition(b"data: ")[2].strip() if last else b""


def is_batch(body: bytes) -> bool:
    return body[:1] != b"{" and body.lstrip()[:1] == b"["


def read_batch(body: bytes, version: str | None) -> list[Message]:
    """The messages of a batch. Raises ``WireError``, also when one of them cannot be read: then none runs."""
    if version != BATCH_VERSION:
        raise WireError(INVALID_REQUEST, f"Batches belong to {BATCH_VERSION}: send one message", data=_DATA)
    try:
        found = _array(body)
    except msgspec.MsgspecError:
        raise WireError(PARSE_ERROR, "The body is not JSON", data=_DATA) from None
    if not 0 < len(found) <= MOST_MESSAGES:
        raise WireError(INVALID_REQUEST, f"A batch has 1 to {MOST_MESSAGES} messages", data=_DATA)
    messages = [read_message(bytes(raw)) for raw in found]
    if any(message.method == "initialize" for message in messages):
        raise WireError(INVALID_REQUEST, "'initialize' cannot be part of a batch", data=_DATA)
    return messages


async def answer_batch(messages: Sequence[Message], handle: Handle) -> bytes:
    """All answers as one array; empty when nothing was asked. They run at the same time."""

    async def one(message: Message) -> bytes:
        collected = Collected()
        try:
            await handle(collected, message)
        except WireError as error:
            return error_bytes(error.request_id, error.code, error.message, error.data)
        return collected.answer

    answers = [answer for answer in await asyncio.gather(*map(one, messages)) if answer]
    return b"[" + b",".join(answers) + b"]" if answers else b""


async def never() -> AsgiMessage:
    """An ASGI ``receive`` for a message of a batch: its client's leaving is not its business, as these
    versions do not take leaving for cancelling."""
    await asyncio.Event().wait()
    raise AssertionError


_DATA = {"code": "invalid_request"}
