"""The stream on which a member says that something changed, for as long as its session lives.

Modern: ``subscriptions/listen``, over any transport. Legacy: the GET stream of a session over HTTP, if the
server offers one; it carries questions too. When a stream breaks it is opened again, with growing pauses,
and the lists are taken as changed, since nothing that was missed is sent again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Literal

import msgspec

from mcp_hub.seams import MemberFault, Notification, Session
from mcp_hub.upstream.session import OnSessionNotification

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
DAY_S = 24 * 3600.0
LISTS = msgspec.Raw(b'{"toolsListChanged":true,"promptsListChanged":true,"resourcesListChanged":true}')
_MISSED = ("tools", "prompts", "resources")

Ending = Literal["ended", "failed", "refused"]
"""How one stream ended: after it was open, without having been opened, or because the server has no such stream."""


class Listening:
    """One owned task: ``listen`` opens one stream and reads it to its end."""

    def __init__(
        self, name: str, listen: Callable[[], Awaitable[Ending]], on_notification: OnSessionNotification
    ) -> None:
        self._listen = listen
        self._on_notification = on_notification
        self._task = asyncio.get_running_loop().create_task(self._run(), name=f"listen:{name}")

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.wait((self._task,))

    async def _run(self) -> None:
        pause = FIRST_PAUSE_S
        while True:
            ending = await self._listen()
            if ending == "refused":
                return
            pause = min(pause * 2, LONGEST_PAUSE_S) if ending == "failed" else FIRST_PAUSE_S
            await asyncio.sleep(pause)
            for kind in _MISSED:
                self._on_notification(Notification(f"notifications/{kind}/list_changed", {}))


async def listen_modern(session: Session, wanted: msgspec.Raw) -> Ending:
    """One ``subscriptions/listen`` to its end. A server that refuses it has no such stream."""
    reply = await session.request("subscriptions/listen", {"notifications": wanted}, timeout=DAY_S)
    if isinstance(reply, msgspec.Raw):
        return "ended"
    lost = isinstance(reply, MemberFault) and reply.code != "member_http_error"
    return "failed" if lost else "refused"
