"""The stream on which a member over HTTP says that its lists changed.

Modern: ``subscriptions/listen``. Legacy: the GET stream of the session, if the server offers one. When it
breaks it is opened again, with growing pauses, and the lists are taken as changed, since nothing that
was missed is sent again.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

import msgspec

from mcp_hub.seams import Era, Notification, RawObject
from mcp_hub.upstream.http_wire import Headers, messages
from mcp_hub.upstream.session import OnSessionNotification
from mcp_hub.upstream.specs import HttpSpec
from policies.egress import HttpTransport, Timeouts, TransportFailure

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
_TIMEOUTS = Timeouts(connect=10.0, head=30.0, idle=24 * 3600.0)
_ASKED = msgspec.Raw(b'{"toolsListChanged":true,"promptsListChanged":true,"resourcesListChanged":true}')
_MISSED = ("tools", "prompts", "resources")


class Listened(Protocol):
    """The session that listens."""

    era: Era

    def headers(self, method: str, params: RawObject) -> Headers: ...

    def body(self, method: str, params: RawObject, *, progress: bool) -> tuple[int, bytes]: ...


class Listening:
    """One owned task."""

    def __init__(
        self, session: Listened, spec: HttpSpec, transport: HttpTransport, on_notification: OnSessionNotification
    ) -> None:
        self._session = session
        self._spec = spec
        self._transport = transport
        self._on_notification = on_notification
        self._task = asyncio.get_running_loop().create_task(self._run(), name=f"listen:{spec.name}")

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.wait((self._task,))

    async def _run(self) -> None:
        pause = FIRST_PAUSE_S
        while True:
            status = await self._listen()
            if 400 <= status < 500:
                return  # no such stream here (405), or not for us
            pause = FIRST_PAUSE_S if status == 200 else min(pause * 2, LONGEST_PAUSE_S)
            await asyncio.sleep(pause)
            for kind in _MISSED:
                self._on_notification(Notification(f"notifications/{kind}/list_changed", {}))

    async def _listen(self) -> int:
        """One stream, to its end; its status, 0 when there was no answer."""
        try:
            if self._session.era == "modern":
                params = {"notifications": _ASKED}
                _, body = self._session.body("subscriptions/listen", params, progress=False)
                headers = self._session.headers("subscriptions/listen", params)
                response = await self._transport.open("POST", self._spec.url, headers, body, _TIMEOUTS)
            else:
                headers = [(n, v) for n, v in self._session.headers("", {}) if n not in ("content-type", "accept")]
                headers.append(("accept", "text/event-stream"))
                response = await self._transport.open("GET", self._spec.url, headers, b"", _TIMEOUTS)
        except TransportFailure:
            return 0
        try:
            if response.status == 200:
                async for message in messages(response):
                    if message.kind == "notification":
                        self._on_notification(Notification(message.method or "", message.params))
        except TransportFailure:
            return 0
        finally:
            response.close()
        return response.status
