"""The hub: one MCP server over many, with identity explicit in every call.

Contract: lists come from memory, never by asking a member; what ``view`` lists for a key is what
``resolve`` finds for it; a member that fails keeps its last known items and is named; policy can only
narrow what the hub offers. Arguments and results are opaque.

One task per member connects in the background, reads what it offers, and reads again when the member
says that it changed, when it comes back, and now and then. What a member of the initialize era offers may
depend on what its client can be asked: for each such profile of clients it is read once more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol
from weakref import WeakKeyDictionary

import msgspec
import structlog

from mcp_hub.capabilities import NOTHING, Profile
from mcp_hub.catalog import MemberSnapshot, read_member
from mcp_hub.outcome import MemberOutcome, State
from mcp_hub.resource_watch import UPDATED, ResourceWatches
from mcp_hub.seams import Era, MemberFault, Notification, Session
from mcp_hub.session_key import SessionKey
from mcp_hub.subscriptions import COALESCE_S, Subscription, Subscriptions, Viewer
from mcp_hub.upstream.specs import Terms
from mcp_hub.uris import HandedUris
from mcp_hub.view import Naming, Shown, View, build_view
from policies.identity import VirtualKey

log = structlog.get_logger("tollkeeper.hub")

REFRESH_S = 300.0
FIRST_RETRY_S = 1.0
LAST_RETRY_S = 60.0
MOST_VIEWS = 64
"""Views that are kept per key: of the hub and of single servers, by profile."""
MOST_PERSONAL = 1_000
"""Sessions of one member whose own lists are kept."""
MOST_PROFILES = 8
"""Kinds of clients for which one member is read separately; the others see what is offered to all."""

_CHANGES = {
    "notifications/tools/list_changed",
    "notifications/prompts/list_changed",
    "notifications/resources/list_changed",
}


class Sessions(Protocol):
    """Where warm sessions come from (``mcp_hub.upstream.supervisor``)."""

    async def acquire(self, key: SessionKey) -> Session | MemberFault: ...

    def live(self, key: SessionKey) -> Session | None: ...

    def terms(self, server: str) -> Terms: ...


Sampling = Literal["client", "gateway", "refuse"]
"""Who answers a member's sampling request."""


@dataclass(frozen=True, slots=True)
class HubSettings:
    """How the hub presents itself."""

    client_prefix: int = 17
    page_size: int = 1_000
    sampling: Sampling = "client"
    first_wait_s: float = 5.0
    """How long a first list may wait for members that have never answered."""


class _Member:
    """One configured server as the hub knows it, or what it offers to clients of one profile."""

    __slots__ = ("answered", "changed", "name", "outcome", "personal", "profile", "snapshot", "task", "variants")

    def __init__(self, name: str, profile: Profile, now_ns: int) -> None:
        self.name = name
        self.profile = profile
        self.variants: dict[Profile, _Member] = {}
        self.personal: dict[SessionKey, MemberSnapshot] = {}
        """What a session of one principal offers, where that differs: a server may change its tools for one
        session only."""
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
        self._reading: dict[SessionKey, asyncio.Task[None]] = {}
        self._generation = 0
        self._views: WeakKeyDictionary[VirtualKey, dict[tuple[str | None, Profile], tuple[int, View]]] = (
            WeakKeyDictionary()
        )
        self.subscriptions = Subscriptions(self.view)
        self.watches = ResourceWatches(sessions)
        self.handed = HandedUris()

    def reconfigure(self, servers: Sequence[str], replaced: Iterable[str] = ()) -> None:
        """Take ``servers`` as the members, in this order; start those that are new or ``replaced``."""
        again = set(replaced)
        kept = {name: m for name, m in self._members.items() if name in servers and name not in again}
        for name, member in self._members.items():
            if name not in kept:
                _cancel(member)
        self._members = {name: kept.get(name) or self._start(name, NOTHING) for name in servers}
        self._moved()

    async def stop(self) -> None:
        """End the members' tasks; the sessions are their owner's to close."""
        tasks = [task for member in self._members.values() for task in _cancel(member)]
        tasks.extend(self._reading.values())
        for task in self._reading.values():
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.watches.stop()

    def knows(self, server: str, key: VirtualKey) -> bool:
        """Whether ``server`` exists for ``key``: one without any grant does not."""
        return server in self._members and key.grants.sees_server(server)

    async def ready(self, viewer: Viewer) -> None:
        """Wait until every member that the viewer may know of has answered or failed once, but only within
        ``first_wait_s`` of its start: a member that hangs in its handshake delays nobody after that."""
        members = self._visible(viewer.key, viewer.server)
        await self._first_answers(members)
        if viewer.profile.interactive:
            await self._first_answers([self._variant(member, viewer.profile) for member in members])

    async def _first_answers(self, members: Sequence[_Member]) -> None:
        silent = [m for m in members if not m.answered.is_set()]
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

    def view(self, viewer: Viewer) -> View:
        """What the viewer sees now: of all members, or of one under its own names."""
        key, server = viewer.key, viewer.server
        kept = self._views.setdefault(key, {})
        known = kept.get((server, viewer.profile))
        if known is not None and known[0] == self._generation:
            return known[1]
        visible = self._visible(key, server)
        naming = Naming(server is None, self._settings.client_prefix, self._settings.page_size)
        shown = [found for m in visible if (found := self._shown(m, viewer)) is not None]
        view = build_view(shown, [m.name for m in visible], key.grants, naming)
        if len(kept) >= MOST_VIEWS:
            kept.clear()
        kept[server, viewer.profile] = self._generation, view
        return view

    def profile(self, server: str, client: Profile) -> Profile:
        """What ``server`` may ask of such a client: what the client declares, narrowed by policy."""
        terms = self.sessions.terms(server)
        if terms.interactive == "never":
            return NOTHING
        found = client if terms.roots else client.without("roots")
        if self._settings.sampling == "gateway":
            return found.with_sampling()
        return found.without("sampling") if self._settings.sampling == "refuse" else found

    def session_key(self, server: str, key: VirtualKey, profile: Profile, session: str | None) -> SessionKey:
        """Which warm session serves this caller (law 4): shared only where that is safe or declared.
        ``profile`` is what the server may ask; ``session`` is the client's own."""
        modern = self._is_modern(server)
        isolation = self.sessions.terms(server).isolation
        if isolation == "auto":
            isolation = "shared" if modern else "per_principal"
        if isolation == "shared":
            return SessionKey(server)
        name = key.principal.key
        partition = f"{name}/{session}" if isolation == "per_session" and session is not None else name
        return SessionKey(server, partition, NOTHING if modern else profile)

    def outcomes(self, key: VirtualKey, server: str | None = None) -> list[MemberOutcome]:
        """Members that are not well, of those that ``key`` may know of."""
        return [m.outcome for m in self._visible(key, server) if m.outcome.state != "ok"]

    def members(self) -> list[tuple[MemberOutcome, MemberSnapshot | None]]:
        """All members for the operator."""
        return [(member.outcome, member.snapshot) for member in self._members.values()]

    def snapshot(self, server: str) -> MemberSnapshot | None:
        member = self._members.get(server)
        return member.snapshot if member is not None else None

    def subscribe(self, viewer: Viewer) -> Subscription:
        """Notices that the viewer's own view changed."""
        return self.subscriptions.add(viewer)

    def notified(self, key: SessionKey, notification: Notification) -> None:
        """A member spoke outside of a request."""
        member = self._members.get(key.server)
        if member is None:
            return
        if notification.method in _CHANGES:
            if key.partition:
                self._read_personal_soon(member, key)
                return
            changed = member.variants.get(key.profile) if key.profile.interactive else member
            if changed is not None:
                changed.changed.set()
        elif notification.method == UPDATED:
            self.watches.updated(key, _uri(notification))

    def suspect(self, server: str) -> None:
        """A call found ``server`` broken: look again at once, so that lists and ``doctor`` tell of it."""
        member = self._members.get(server)
        if member is not None and member.outcome.state == "ok":
            member.changed.set()

    def _visible(self, key: VirtualKey, server: str | None) -> list[_Member]:
        names = self._members if server is None else (server,)
        found = (self._members.get(name) for name in names)
        return [m for m in found if m is not None and key.grants.sees_server(m.name)]

    def era(self, server: str) -> Era:
        """The era that the member spoke when it was last read."""
        return "modern" if self._is_modern(server) else "legacy"

    def _is_modern(self, server: str) -> bool:
        snapshot = self.snapshot(server)
        return snapshot is not None and snapshot.era == "modern"

    def _shown(self, member: _Member, viewer: Viewer) -> Shown | None:
        profile = self.profile(member.name, viewer.profile)
        variant = member.variants.get(profile)
        snapshot = variant.snapshot if variant is not None and variant.snapshot is not None else member.snapshot
        if member.personal:
            own = self.session_key(member.name, viewer.key, profile, None)
            snapshot = member.personal.get(own, snapshot)
        if snapshot is None:
            return None
        terms = self.sessions.terms(member.name)
        return Shown(snapshot, terms.prefix or member.name, terms.aliases)

    def _read_personal_soon(self, member: _Member, key: SessionKey) -> None:
        """Read what one principal's session offers now; once for notices that come together."""
        if key in self._reading:
            return
        task = asyncio.get_running_loop().create_task(self._read_personal(member, key), name=f"hub:{key.server}")
        self._reading[key] = task
        task.add_done_callback(lambda _: self._reading.pop(key, None))

    async def _read_personal(self, member: _Member, key: SessionKey) -> None:
        await asyncio.sleep(COALESCE_S)
        session = self.sessions.live(key)
        found = await read_member(member.name, session, self._clock()) if session is not None else None
        variant = member.variants.get(key.profile, member)
        before = member.personal.pop(key, None)
        if isinstance(found, MemberSnapshot) and (variant.snapshot is None or variant.snapshot.digest != found.digest):
            if len(member.personal) < MOST_PERSONAL:
                member.personal[key] = found
        if (before.digest if before else None) != (found.digest if isinstance(found, MemberSnapshot) else None):
            self._moved()

    def _variant(self, member: _Member, client: Profile) -> _Member:
        """The member as it shows itself to such clients: itself, unless its session depends on them."""
        profile = self.profile(member.name, client)
        if not profile.interactive or member.snapshot is None or member.snapshot.era == "modern":
            return member
        if self.sessions.terms(member.name).isolation == "shared":
            return member
        variant = member.variants.get(profile)
        if variant is None:
            if len(member.variants) >= MOST_PROFILES:
                return member
            variant = member.variants[profile] = self._start(member.name, profile)
        return variant

    def _start(self, name: str, profile: Profile) -> _Member:
        member = _Member(name, profile, self._clock())
        member.task = asyncio.get_running_loop().create_task(self._keep(member), name=f"hub:{name}")
        return member

    async def _keep(self, member: _Member) -> None:
        """Own one member: read it, wait for a reason to read it again."""
        retry_s = FIRST_RETRY_S
        while True:
            member.changed.clear()
            fault = await self._refresh(member)
            member.answered.set()
            wait_s = retry_s if fault is not None else None if member.profile.interactive else REFRESH_S
            retry_s = FIRST_RETRY_S if fault is None else min(retry_s * 2, LAST_RETRY_S)
            try:
                async with asyncio.timeout(wait_s):
                    await member.changed.wait()
            except TimeoutError:
                continue

    async def _refresh(self, member: _Member) -> MemberFault | None:
        session = await self.sessions.acquire(SessionKey(member.name, "", member.profile))
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
            for variant in member.variants.values():
                variant.changed.set()
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


def _uri(notification: Notification) -> str:
    try:
        return msgspec.json.decode(notification.params.get("uri", b""), type=str)
    except msgspec.MsgspecError:
        return ""


def _cancel(member: _Member) -> list[asyncio.Task[None]]:
    """End the tasks of a member and of its variants."""
    tasks = [m.task for m in (member, *member.variants.values()) if m.task is not None]
    for task in tasks:
        task.cancel()
    return tasks
