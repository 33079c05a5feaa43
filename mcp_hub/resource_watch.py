"""Who wants to hear when a resource changes: one subscription at the member for any number of listeners.

The member is asked when the first listener comes and told off when the last one goes. A subscription is part
of its session: when that is lost or begun anew, the member is asked again, and the listeners are told to look,
since what was missed is not sent again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

import msgspec

from mcp_hub.seams import MemberFault, RpcError, Session
from mcp_hub.session_key import SessionKey
from mcp_hub.upstream.listening import FIRST_PAUSE_S, LONGEST_PAUSE_S, Ending, listen_modern

SUBSCRIBE_TIMEOUT_S = 30.0

Tell = Callable[[], None]


class LiveSessions(Protocol):
    """Where sessions come from."""

    async def acquire(self, key: SessionKey) -> Session | MemberFault: ...

    def live(self, key: SessionKey) -> Session | None: ...


class Watch:
    """One listener of one resource."""

    __slots__ = ("_owner", "_place", "tell")

    def __init__(self, owner: ResourceWatches, place: tuple[SessionKey, str], tell: Tell) -> None:
        self._owner = owner
        self._place = place
        self.tell = tell

    def close(self) -> None:
        self._owner.remove(self._place, self)


class _Watched:
    """One resource at one member, for one session's principal."""

    __slots__ = ("listeners", "task")

    def __init__(self, task: asyncio.Task[None]) -> None:
        self.listeners: set[Watch] = set()
        self.task = task


class ResourceWatches:
    """All watched resources of a hub."""

    def __init__(self, sessions: LiveSessions) -> None:
        self._sessions = sessions
        self._watched: dict[tuple[SessionKey, str], _Watched] = {}
        self._farewells: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._watched)

    def watch(self, key: SessionKey, uri: str, tell: Tell) -> Watch:
        """Call ``tell`` whenever ``uri`` (the member's own) has changed, until the watch is closed."""
        place = key, uri
        watched = self._watched.get(place)
        if watched is None:
            task = asyncio.get_running_loop().create_task(self._keep(key, uri), name=f"watch:{key.server}")
            watched = self._watched[place] = _Watched(task)
        watch = Watch(self, place, tell)
        watched.listeners.add(watch)
        return watch

    def remove(self, place: tuple[SessionKey, str], watch: Watch) -> None:
        """The last listener that goes ends the subscription."""
        watched = self._watched.get(place)
        if watched is None or watch not in watched.listeners:
            return
        watched.listeners.discard(watch)
        if not watched.listeners:
            del self._watched[place]
            watched.task.cancel()
            task = asyncio.get_running_loop().create_task(self._unsubscribe(*place))
            self._farewells.add(task)
            task.add_done_callback(self._farewells.discard)

    def updated(self, key: SessionKey, uri: str) -> None:
        """A member says that a resource has changed."""
        watched = self._watched.get((key, uri))
        for watch in tuple(watched.listeners) if watched is not None else ():
            watch.tell()

    async def stop(self) -> None:
        tasks = [*(watched.task for watched in self._watched.values()), *self._farewells]
        self._watched.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep(self, key: SessionKey, uri: str) -> None:
        """Stay subscribed."""
        pause = FIRST_PAUSE_S
        while True:
            session = await self._sessions.acquire(key)
            ending = "failed" if isinstance(session, MemberFault) else await self._subscribed(session, uri)
            if ending == "refused":
                return
            pause = min(pause * 2, LONGEST_PAUSE_S) if ending == "failed" else FIRST_PAUSE_S
            await asyncio.sleep(pause)
            self.updated(key, uri)

    async def _subscribed(self, session: Session, uri: str) -> Ending:
        """Subscribe once, until that ends."""
        if session.era == "modern":
            return await listen_modern(session, msgspec.Raw(msgspec.json.encode({"resourceSubscriptions": [uri]})))
        params = {"uri": msgspec.Raw(msgspec.json.encode(uri))}
        reply = await session.request("resources/subscribe", params, timeout=SUBSCRIBE_TIMEOUT_S)
        if isinstance(reply, RpcError):
            return "refused"
        if isinstance(reply, MemberFault):
            return "failed"
        await session.forgotten()
        return "ended"

    async def _unsubscribe(self, key: SessionKey, uri: str) -> None:
        session = self._sessions.live(key)
        if session is not None and session.era == "legacy":
            params = {"uri": msgspec.Raw(msgspec.json.encode(uri))}
            await session.request("resources/unsubscribe", params, timeout=SUBSCRIBE_TIMEOUT_S)
