"""Answers of the MCP endpoint that may be streams: calls with notifications, and change notices.

A call is answered as one JSON body, unless its member says something first (progress, a log message)
that the client asked for: then the answer becomes an event stream that ends with the result.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec

from gateway.surfaces.http import (
    JSON,
    SSE_HEADERS,
    Departure,
    Receive,
    Send,
    end_stream,
    send_bytes,
    send_chunk,
    sse_event,
    start_stream,
)
from gateway.surfaces.mcp_answers import Asked, of_settled
from mcp_hub.seams import Notification
from mcp_hub.subscriptions import ChangeKind, Subscription
from mcp_hub.wire import modern
from mcp_hub.wire.messages import Message, notification_bytes, severity, string_of
from policies.flight import Flight
from policies.passage import Settled

KEEP_ALIVE_S = 15.0
_KEEP_ALIVE = b":\r\n\r\n"

_FILTERS: dict[str, ChangeKind] = {
    "toolsListChanged": "tools",
    "promptsListChanged": "prompts",
    "resourcesListChanged": "resources",
}


class CallStream:
    """Writes one call's answer."""

    __slots__ = ("_asked", "_message", "_receive", "_send", "_streaming", "_token")

    def __init__(self, receive: Receive, send: Send, asked: Asked, message: Message) -> None:
        self._receive = receive
        self._send = send
        self._asked = asked
        self._message = message
        token = message.meta.get("progressToken")
        self._token = token if token is not None else None
        self._streaming = False

    async def relay(self, flight: Flight[Settled]) -> None:
        """Until the flight has ended or the client has left."""
        async with Departure(self._receive, flight.listen()) as listener:
            while (event := await listener.get()) is not None:
                if isinstance(event, Notification):
                    await self._notify(event)
            if listener.left:
                return
            answer = of_settled(self._asked, await flight.wait())
            if self._streaming:
                await end_stream(self._send, sse_event(answer.body))
            else:
                await send_bytes(self._send, answer.status, (JSON,), answer.body)

    async def _notify(self, notification: Notification) -> None:
        frame = self._frame(notification)
        if frame is None:
            return
        if not self._streaming:
            self._streaming = True
            await start_stream(self._send, 200, SSE_HEADERS)
        await send_chunk(self._send, sse_event(frame))

    def _frame(self, notification: Notification) -> bytes | None:
        """The notification for this client, or ``None`` if it did not ask for such."""
        if notification.method == "notifications/progress":
            if self._token is None:
                return None
            return notification_bytes(notification.method, {**notification.params, "progressToken": self._token})
        if notification.method != "notifications/message":
            return None
        wanted = self._asked.log_level
        if wanted is None and self._asked.era == "modern":
            return None
        if wanted is not None and severity(string_of(notification.params.get("level"))) < severity(wanted):
            return None
        return notification_bytes(notification.method, notification.params)


async def listen_stream(receive: Receive, send: Send, message: Message, subscription: Subscription) -> None:
    """``subscriptions/listen``: the acknowledgement, then a tagged notice for each change asked for."""
    wanted = _wanted(message)
    tag = {modern.META_SUBSCRIPTION: msgspec.Raw(message.request_id or b"null")}
    honoured = {name: True for name, kind in _FILTERS.items() if kind in wanted}
    acknowledged = notification_bytes(
        "notifications/subscriptions/acknowledged", {"_meta": tag, "notifications": honoured}
    )

    async def notices() -> None:
        while True:
            for kind in await subscription.next():
                if kind in wanted:
                    body = notification_bytes(f"notifications/{kind}/list_changed", {"_meta": tag})
                    await send_chunk(send, sse_event(body))

    await start_stream(send, 200, SSE_HEADERS)
    await send_chunk(send, sse_event(acknowledged))
    await _until_left(receive, send, subscription, notices)


async def change_stream(receive: Receive, send: Send, subscription: Subscription) -> None:
    """The GET stream of a legacy session."""

    async def notices() -> None:
        while True:
            for kind in await subscription.next():
                await send_chunk(send, sse_event(notification_bytes(f"notifications/{kind}/list_changed", {})))

    await start_stream(send, 200, SSE_HEADERS)
    await send_chunk(send, _KEEP_ALIVE)
    await _until_left(receive, send, subscription, notices)


async def _until_left(
    receive: Receive,
    send: Send,
    subscription: Subscription,
    notices: Callable[[], Coroutine[Any, Any, None]],
) -> None:
    """Write notices, and a comment now and then, until the client goes."""
    loop = asyncio.get_running_loop()
    writer = loop.create_task(notices())
    pulse = loop.create_task(_pulse(send))
    try:
        while (await receive())["type"] != "http.disconnect":
            pass
    finally:
        subscription.close()
        writer.cancel()
        pulse.cancel()


async def _pulse(send: Send) -> None:
    while True:
        await asyncio.sleep(KEEP_ALIVE_S)
        await send_chunk(send, _KEEP_ALIVE)


def _wanted(message: Message) -> set[ChangeKind]:
    raw = message.params.get("notifications")
    try:
        asked = msgspec.json.decode(raw, type=dict[str, Any]) if raw is not None else {}
    except msgspec.MsgspecError:
        asked = {}
    return {kind for name, kind in _FILTERS.items() if asked.get(name) is True}
