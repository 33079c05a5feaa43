"""Answers of the MCP endpoint that may be streams: calls with notifications and questions, and notices.

A call is answered as one JSON body, unless its member says something first (progress, a log message, a
question to a client of the initialize era): then the answer becomes an event stream that ends with the result.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from gateway.surfaces.http import (
    SSE_HEADERS,
    Client,
    Departure,
    Field,
    end_stream,
    headers_from,
    send_chunk,
    sse_event,
    start_stream,
)
from gateway.surfaces.mcp_answers import Answer, Asked, of_settled
from gateway.surfaces.mcp_exchange import Exchange, give
from mcp_hub.interactions import OpenQuestion
from mcp_hub.log_levels import severity
from mcp_hub.seams import LOG, PROGRESS, UPDATED, Notification
from mcp_hub.subscriptions import Subscription
from mcp_hub.wire import modern
from mcp_hub.wire.messages import Message, notification_bytes, string_of
from policies.flight import Journey
from policies.trip import Settled

KEEP_ALIVE_S = 10.0
"""How often an open stream says that it lives, and is asked whether its key still does."""
_KEEP_ALIVE = b":\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Line:
    """An open stream of notices. ``entitled``: whether its key still lives and sees what it saw; if not, the client
    must come again."""

    client: Client
    entitled: Callable[[], bool]


class Asking(Protocol):
    """How a question reaches the client of a call."""

    async def put(self, question: OpenQuestion) -> Answer | None:
        """Ask. An answer to the call, if that is how this client is asked: the call then goes on without it."""

    def ended(self) -> list[bytes]:
        """The call has ended: messages that take back what was not answered."""


class CallStream:
    """Writes one call's answer."""

    __slots__ = ("_asked", "_exchange", "_said", "_streaming", "_token")

    def __init__(self, exchange: Exchange, asked: Asked, message: Message, said: tuple[Field, ...] = ()) -> None:
        self._exchange = exchange
        self._asked = asked
        self._said = said
        self._token = message.meta.get("progressToken")
        self._streaming = False

    async def relay(self, flight: Journey[Settled], asking: Asking) -> Settled | None:
        """Until the flight has ended; ``None`` when the client has left, or was asked and will come again."""
        listener = flight.listen()
        with Departure(self._exchange.client, listener):
            while (event := await listener.get()) is not None:
                if isinstance(event, Notification):
                    await self._notify(event)
                elif isinstance(event, OpenQuestion) and not event.done:
                    answer = await asking.put(event)
                    if answer is not None:
                        await self.finish(answer)
                        return None
            taken_back = asking.ended()
            if listener.left:
                return None
            for message in taken_back:
                await self.write(message)
            settled = await flight.wait()
            await self.finish(of_settled(self._asked, settled))
            return settled

    async def write(self, message: bytes) -> None:
        """One message before the answer."""
        send = self._exchange.client.send
        if not self._streaming:
            self._streaming = True
            await start_stream(send, 200, (*SSE_HEADERS, *headers_from(self._said)))
        await send_chunk(send, sse_event(message))

    async def finish(self, answer: Answer) -> None:
        """The answer."""
        if self._streaming:
            await end_stream(self._exchange.client.send, sse_event(answer.body))
        else:
            await give(self._exchange, answer, *self._said)

    async def _notify(self, notification: Notification) -> None:
        frame = self._frame(notification)
        if frame is not None:
            await self.write(frame)

    def _frame(self, notification: Notification) -> bytes | None:
        """The notification for this client, or ``None`` if it did not ask for such."""
        if notification.method == PROGRESS:
            if self._token is None:
                return None
            return notification_bytes(notification.method, {**notification.params, "progressToken": self._token})
        if notification.method != LOG:
            return None
        wanted = self._asked.log_level
        if wanted is None and self._asked.era == "modern":
            return None
        if wanted is not None and severity(string_of(notification.params.get("level"))) < severity(wanted):
            return None
        return notification_bytes(notification.method, notification.params)


async def listen_stream(line: Line, message: Message, subscription: Subscription, honoured: Mapping[str, Any]) -> None:
    """``subscriptions/listen``: the acknowledgement of what is ``honoured``, then a tagged notice for each
    change."""
    tag = {modern.META_SUBSCRIPTION: msgspec.Raw(message.request_id or b"null")}
    lists = modern.listed(honoured)
    acknowledged = notification_bytes(
        "notifications/subscriptions/acknowledged", {"_meta": tag, "notifications": dict(honoured)}
    )

    def tagged(notice: Notification) -> bytes:
        if notice.method in lists or notice.method == UPDATED:
            return sse_event(notification_bytes(notice.method, {**notice.params, "_meta": tag}))
        return b""

    await start_stream(line.client.send, 200, SSE_HEADERS)
    await send_chunk(line.client.send, sse_event(acknowledged))
    await _until_over(line, subscription, tagged)


async def change_stream(line: Line, subscription: Subscription) -> None:
    """The GET stream of a legacy session."""
    await start_stream(line.client.send, 200, SSE_HEADERS)
    await send_chunk(line.client.send, _KEEP_ALIVE)
    await _until_over(line, subscription, _plain)


def _plain(notice: Notification) -> bytes:
    return sse_event(notification_bytes(notice.method, notice.params))


async def _until_over(line: Line, subscription: Subscription, frame: Callable[[Notification], bytes]) -> None:
    """Write notices, and a comment where there are none for a while, until the client goes or its key is no longer what
    it was. All in the request's own task: streams idle by the thousand."""
    send = line.client.send
    try:
        with Departure(line.client, subscription):
            while True:
                notices = await subscription.next(KEEP_ALIVE_S)
                if subscription.left:
                    return
                if not line.entitled():
                    await end_stream(send)
                    return
                told = b"".join(map(frame, notices)) if notices else _KEEP_ALIVE
                if told:
                    await send_chunk(send, told)
    finally:
        subscription.close()
