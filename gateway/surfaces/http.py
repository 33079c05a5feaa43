"""Plain ASGI helpers for the hot surfaces: bounded bodies, answers, server-sent events, departures.

Nothing here knows a dialect. The hot surfaces are ASGI callables behind the outer dispatcher
(``gateway.app``); frameworks cost more than the rest of a call (docs/performance.md).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping, Sequence
from typing import Any, Protocol

import msgspec

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Header = tuple[bytes, bytes]
Field = tuple[str, str]
"""A header of an answer, in characters of Latin-1."""


class Client(msgspec.Struct, frozen=True):
    """One request's two ends, as ASGI gives them."""

    scope: Scope
    receive: Receive
    send: Send


DEPARTURE = "tollkeeper.departure"
"""The ASGI extension of our server's protocol: a function that takes what to call when the client has gone."""

ANSWER = "tollkeeper.answer"
"""The ASGI extension of our server's protocol: a function that takes a whole answer (scope, status, fields,
body) and says whether it could give it."""

JSON: Header = (b"content-type", b"application/json")
SSE_HEADERS: tuple[Header, ...] = (
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
)


class BodyTooLarge(Exception):
    """The request body is longer than ``limit`` bytes."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"The request body is larger than {limit} bytes.")
        self.limit = limit


class ClientGone(Exception):
    """The client closed its connection before its request was complete."""


def headers_of(scope: Scope) -> dict[str, str]:
    """Request headers by lower-case name; of a repeated header the first one stands."""
    headers = scope["headers"]
    found = {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}
    if len(found) < len(headers):
        for name, value in reversed(headers):
            found[name.decode("latin-1")] = value.decode("latin-1")
    return found


async def read_body(headers: Mapping[str, str], receive: Receive, limit: int) -> bytes:
    """The whole request body. Raises ``BodyTooLarge`` (at the header if it says so) or ``ClientGone``."""
    said = headers.get("content-length", "")
    if said.isdigit() and int(said) > limit:
        raise BodyTooLarge(limit)
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientGone
    first: bytes = message.get("body", b"")
    if not message.get("more_body", False):
        if len(first) > limit:
            raise BodyTooLarge(limit)
        return first
    parts = [first]
    size = len(first)
    while message.get("more_body", False):
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        part: bytes = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise BodyTooLarge(limit)
        parts.append(part)
    return b"".join(parts)


def headers_from(fields: Iterable[Field]) -> list[Header]:
    """The same as ASGI wants them."""
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields]


async def send_bytes(send: Send, status: int, headers: Iterable[Header], body: bytes) -> None:
    """A complete answer."""
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [*headers, (b"content-length", str(len(body)).encode())],
        }
    )
    await send({"type": "http.response.body", "body": body})


async def answer(client: Client, status: int, fields: Sequence[Field], body: bytes) -> None:
    """A complete answer, in one piece where the server can."""
    at_once = client.scope.get("extensions", {}).get(ANSWER)
    if at_once is None or not at_once(client.scope, status, fields, body):
        await send_bytes(client.send, status, headers_from(fields), body)


async def send_json(
    send: Send, status: int, value: Mapping[str, Any] | Sequence[Any], headers: Iterable[Header] = ()
) -> None:
    """A complete JSON answer."""
    await send_bytes(send, status, (JSON, *headers), msgspec.json.encode(value))


async def start_stream(send: Send, status: int, headers: Iterable[Header]) -> None:
    """The head of an answer whose body follows with ``send_chunk``."""
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})


async def send_chunk(send: Send, chunk: bytes) -> None:
    await send({"type": "http.response.body", "body": chunk, "more_body": True})


async def end_stream(send: Send, chunk: bytes = b"") -> None:
    await send({"type": "http.response.body", "body": chunk, "more_body": False})


def sse_event(data: bytes) -> bytes:
    """One ``message`` event around a JSON body (which holds no raw newline)."""
    return b"event: message\ndata: " + data + b"\n\n"


class Listening(Protocol):
    """Somebody who hears something for a client."""

    def leave(self) -> None:
        """The client has gone. Without effect the second time."""


class Departure:
    """Watches a request whose body was read: when its client goes, the listener leaves.

    Use as a context manager around the reading of the listener, which has left at its end. It asks the server's
    protocol to be called back (``gateway.http_protocol``); where that cannot, a task waits in ``receive``.
    """

    __slots__ = ("_listener", "_receive", "_register", "_watcher")

    def __init__(self, client: Client, listener: Listening) -> None:
        self._receive = client.receive
        self._listener = listener
        self._register = client.scope.get("extensions", {}).get(DEPARTURE)
        self._watcher: asyncio.Task[None] | None = None

    def __enter__(self) -> None:
        if self._register is not None:
            self._register(self._listener.leave)
        else:
            self._watcher = asyncio.get_running_loop().create_task(self._watch())

    def __exit__(self, *_: object) -> None:
        if self._register is not None:
            self._register(None)
        if self._watcher is not None:
            self._watcher.cancel()
        self._listener.leave()

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._listener.leave()
