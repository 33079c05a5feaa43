"""The hub: one MCP server over many, with identity explicit in every call.

Contract: lists come from memory, never by asking a member; what ``view`` lists for a key is what
``resolve`` finds for it; a member that fails keeps its last known items and is named; policy can only
narrow what the hub offers. Arguments and results are opaque.

One task per member connects in the background, reads what it offers, and reads again when the member
says that it changed, when it comes back, and now and then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol
from weakref import WeakKeyDictionary

import structlog

from mcp_hub.catalog import MemberSnapshot, read_member
from mcp_hub.outcome import MemberOutcome, State
from mcp_hub.seams import MemberFault, Notification, Session, SessionKey
from mcp_hub.subscriptions import Subscription, Subscriptions
from mcp_hub.view import View, build_view
from policies.identity import VirtualKey

log = structlog.get_logger("tollkeeper.hub")

REFRESH_S = 300.0
FIRST_RETRY_S = 1.0
LAST_RETRY_S = 60.0
CATALOGUE_PARTITION = ""
"""The hub's own session for lists; shared servers use it for calls too."""

_CHANGES = {
    "notifications/tools/list_changed",
    "notifications/prompts/list_changed",
    "notifications/resources/list_changed",
}


class Sessions(Protocol):
    """Where warm sessions come from (``mcp_hub.upstream.supervisor``)."""

    async def acquire(self, key: SessionKey) -> Session | MemberFault: ...

    def isolation(self, server: str) -> str:
        """``auto``, ``shared``, ``per_principal`` or ``per_session``."""

    def timeout(self, server: str) -> float:
        """Seconds that one call may take."""


@dataclass(frozen=True, slots=True)
class HubSettings:
    """How the hub presents itself."""

    client_prefix: int = 17
    first_wait_s: float = 5.0
    """How long a first list may wait for members that have never answered."""


class _Member:
    """One configured server as the hub knows it."""

    __slots__ = ("answered", "changed", "name", "outcome", "snapshot", "task")

    def __init__(self, name: str, now_ns: int) -> None:
        self.name = name
        self.snapshot: MemberSnapshot | None = None
        self.outcome = MemberOutcome(name, "connecting", now_ns)
        self.answered = asyncio.Event()
        self.changed = asyncio.Event()
        self.task: asyncio.Task[None] | None = None


class Hub:
    """Composed once per process; ``reconfigure`` changes its members without touching the others."""

    def __init__(self, sessions: Sessions, settings: HubSettings, clock: Callable[[], int]) -> None:
        self.sessions = sessions
        self._settings = settings
        self._clock = clock
        self._members: dict[str, _Member] = {}
        self._generation = 0
        self._views: WeakKeyDictionary[VirtualKey, dict[str | None, tuple[int, View]]] = WeakKeyDictionary()
        self.subscriptions = Subscriptions(self.view)

    def reconfigure(self, servers: Sequence[str], replaced: Iterable[str] = ()) -> None:
        """Take ``servers`` as the members, in this order; start those that are new or ``replaced``."""
        again = set(replaced)
        kept = {name: m for name, m in self._members.items() if name in servers and name not in again}
        for name, member in self._members.items():
            if name not in kept and member.task is not None:
                member.task.cancel()
        self._members = {name: kept.get(name) or self._start(name) for name in servers}
        self._moved()

    async def stop(self) -> None:
        """End the members' tasks; the sessions are their owner's to close."""
        tasks = [member.task for member in self._members.values() if member.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def knows(self, server: str, key: VirtualKey) -> bool:
        """Whether ``server`` exists for ``key``: one without any grant does not."""
        return server in self._members and key.grants.sees_server(server)

    async def ready(self, key: VirtualKey, server: str | None) -> None:
        """Wait until every member that ``key`` may know of has answered or failed once, but only within
        ``first_wait_s`` of its start: a member that hangs in its handshake delays nobody after that."""
        silent = [m for m in self._visible(key, server) if not m.answered.is_set()]
        if not silent:
            return
        youngest = max(m.outcome.since_ns for m in silent)
        left = self._settings.first_wait_s - (self._clock() - youngest) / 1e9
        if left <= 0:
            return
        tasks = [asyncio.ensure_future(m.answered.wait()) for m in silent]
        _, late = await asyncio.wait(tasks, timeout=left)
        for task in late:
            task.cancel()

    def view(self, key: VirtualKey, server: str | None = None) -> View:
        """What ``key`` sees now: of all members, or of one under its own names."""
        kept = self._views.setdefault(key, {})
        known = kept.get(server)
        if known is not None and known[0] == self._generation:
            return known[1]
        visible = self._visible(key, server)
        view = build_view(
            [m.snapshot for m in visible if m.snapshot is not None],
            [m.name for m in visible],
            key.grants,
            prefix=server is None,
            client_prefix=self._settings.client_prefix,
        )
        kept[server] = self._generation, view
        return view

    def outcomes(self, key: VirtualKey, server: str | None = None) -> list[MemberOutcome]:
        """Members that are not well, of those that ``key`` may know of."""
        return [m.outcome for m in self._visible(key, server) if m.outcome.state != "ok"]

    def members(self) -> list[tuple[MemberOutcome, MemberSnapshot | None]]:
        """All members for the operator."""
        return [(member.outcome, member.snapshot) for member in self._members.values()]

    def snapshot(self, server: str) -> MemberSnapshot | None:
        member = self._members.get(server)
        return member.snapshot if member is not None else None

    def subscribe(self, key: VirtualKey, server: str | None) -> Subscription:
        """Notices that the key's own view changed."""
        return self.subscriptions.add(key, server)

    def notified(self, key: SessionKey, notification: Notification) -> None:
        """A member spoke outside of a request."""
        member = self._members.get(key.server)
        if member is not None and notification.method in _CHANGES:
            member.changed.set()

    def suspect(self, server: str) -> None:
        """A call found ``server`` broken: look again at once, so that lists and ``doctor`` tell of it."""
        member = self._members.get(server)
        if member is not None and member.outcome.state == "ok":
            member.changed.set()

    def _visible(self, key: VirtualKey, server: str | None) -> list[_Member]:
        names = self._members if server is None else (server,)
        found = (self._members.get(name) for name in names)
        return [m for m in found if m is not None and key.grants.sees_server(m.name)]

    def _start(self, name: str) -> _Member:
        member = _Member(name, self._clock())
        member.task = asyncio.get_running_loop().create_task(self._keep(member), name=f"hub:{name}")
        return member

    async def _keep(self, member: _Member) -> None:
        """Own one member: read it, wait for a reason to read it again."""
        retry_s = FIRST_RETRY_S
        while True:
            member.changed.clear()
            fault = await self._refresh(member)
            member.answered.set()
            wait_s = REFRESH_S if fault is None else retry_s
            retry_s = FIRST_RETRY_S if fault is None else min(retry_s * 2, LAST_RETRY_S)
            try:
                async with asyncio.timeout(wait_s):
                    await member.changed.wait()
            except TimeoutError:
                continue

    async def _refresh(self, member: _Member) -> MemberFault | None:
        session = await self.sessions.acquire(SessionKey(member.name, CATALOGUE_PARTITION))
        found = session if isinstance(session, MemberFault) else await read_member(member.name, session, self._clock())
        now = self._clock()
        if isinstance(found, MemberFault):
            self._failed(member, found, now)
            return found
        moved = member.snapshot is None or member.snapshot.digest != found.digest
        recovered = member.outcome.state != "ok"
        member.snapshot = found
        if recovered:
            member.outcome = MemberOutcome(member.name, "ok", now, taken_ns=now)
            log.info("member_ready", server=member.name, era=found.era, tools=len(found.items["tools"]))
        if moved or recovered:
            self._moved()
        return None

    def _failed(self, member: _Member, fault: MemberFault, now: int) -> None:
        taken = member.snapshot.taken_ns if member.snapshot is not None else None
        state: State = "failed" if taken is None else "stale"
        if member.outcome.code == fault.code and member.outcome.state == state:
            return
        log.warning("member_failed", server=member.name, code=fault.code, reason=fault.message)
        member.outcome = MemberOutcome(member.name, state, now, fault.code, fault.message, taken)
        self._moved()

    def _moved(self) -> None:
        self._generation += 1
        self.subscriptions.check()
