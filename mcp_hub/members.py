"""The members of the hub and what each of them offers, kept up to date in the background.

One task per member connects, reads its lists, and reads again when the member says that it changed, when it
comes back, and now and then. What a member of the initialize era offers may depend on what its client can be
asked: for each such profile it is read once more (a variant). And it may change for one session only: then
what that session offers is kept for its principal.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

import structlog

from mcp_hub.capabilities import NOTHING, Profile
from mcp_hub.catalog import MemberSnapshot, read_member
from mcp_hub.outcome import MemberOutcome, State
from mcp_hub.seams import MemberFault, Session
from mcp_hub.session_key import SessionKey
from mcp_hub.subscriptions import COALESCE_S
from mcp_hub.upstream.specs import Terms

log = structlog.get_logger("tollkeeper.hub")

REFRESH_S = 300.0
SHORTEST_REFRESH_S = 1.0
FIRST_RETRY_S = 1.0
LAST_RETRY_S = 60.0
MOST_PERSONAL = 1_000
"""Sessions of one member whose own lists are kept."""
MOST_PROFILES = 8
"""Kinds of clients for which one member is read separately; the others see what is offered to all."""


class Sessions(Protocol):
    """Where warm sessions come from (``mcp_hub.upstream.supervisor``)."""

    async def acquire(self, key: SessionKey) -> Session | MemberFault: ...

    def live(self, key: SessionKey) -> Session | None: ...

    def terms(self, server: str) -> Terms: ...

    def fingerprint(self, server: str) -> str:
        """Different for every different way of reaching a server, credentials included; tells nothing of them."""


class Member:
    """One configured server as the hub knows it, or what it offers to clients of one profile."""

    __slots__ = (
        "answered",
        "changed",
        "failure",
        "name",
        "outcome",
        "personal",
        "profile",
        "retry_ns",
        "snapshot",
        "task",
        "variants",
    )

    def __init__(self, name: str, profile: Profile, now_ns: int) -> None:
        self.name = name
        self.profile = profile
        self.variants: dict[Profile, Member] = {}
        self.personal: dict[SessionKey, MemberSnapshot] = {}
        """What a session of one principal offers, where that differs: a server may change its tools for one
        session only."""
        self.failure: MemberOutcome | None = None
        """The last failure, also when it is over."""
        self.retry_ns = 0
        """When it is tried again after a failure."""
        self.snapshot: MemberSnapshot | None = None
        self.outcome = MemberOutcome(name, "connecting", now_ns)
        self.answered = asyncio.Event()
        self.changed = asyncio.Event()
        self.task: asyncio.Task[None] | None = None

    def seen(self, profile: Profile, session: SessionKey) -> MemberSnapshot | None:
        """What it offers to clients of ``profile`` that are served by ``session``."""
        personal = self.personal.get(session)
        if personal is not None:
            return personal
        variant = self.variants.get(profile)
        return variant.snapshot if variant is not None and variant.snapshot is not None else self.snapshot

    def cancel(self) -> list[asyncio.Task[None]]:
        """End the tasks of a member and of its variants."""
        tasks = [m.task for m in (self, *self.variants.values()) if m.task is not None]
        for task in tasks:
            task.cancel()
        return tasks


class Members:
    """All members, in configured order. ``moved`` is told of every change of what they offer."""

    def __init__(self, sessions: Sessions, clock: Callable[[], int], moved: Callable[[], None]) -> None:
        self._sessions = sessions
        self._clock = clock
        self._moved = moved
        self._members: dict[str, Member] = {}
        self._reading: dict[SessionKey, asyncio.Task[None]] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def __iter__(self) -> Iterator[Member]:
        return iter(self._members.values())

    def get(self, name: str) -> Member | None:
        return self._members.get(name)

    def reconfigure(self, servers: Sequence[str], replaced: Iterable[str]) -> None:
        """Take ``servers`` as the members, in this order; start those that are new or ``replaced``."""
        again = set(replaced)
        kept = {name: m for name, m in self._members.items() if name in servers and name not in again}
        for name, member in self._members.items():
            if name not in kept:
                member.cancel()
        self._members = {name: kept.get(name) or self._start(name, NOTHING) for name in servers}

    async def stop(self) -> None:
        """End all tasks."""
        tasks = [task for member in self for task in member.cancel()]
        for task in self._reading.values():
            task.cancel()
        await asyncio.gather(*tasks, *self._reading.values(), return_exceptions=True)

    def changed(self, key: SessionKey) -> None:
        """A session says that its lists changed."""
        member = self._members.get(key.server)
        if member is None:
            return
        if key.partition:
            self._read_personal_soon(member, key)
            return
        concerned = member.variants.get(key.profile) if key.profile.interactive else member
        if concerned is not None:
            concerned.changed.set()

    def variant(self, member: Member, profile: Profile) -> Member:
        """The member as it shows itself to clients of ``profile``: itself, unless its session depends on them."""
        if not profile.interactive or member.snapshot is None or member.snapshot.era == "modern":
            return member
        variant = member.variants.get(profile)
        if variant is None:
            if len(member.variants) >= MOST_PROFILES:
                return member
            variant = member.variants[profile] = self._start(member.name, profile)
        return variant

    def _read_personal_soon(self, member: Member, key: SessionKey) -> None:
        """Read what one principal's session offers now; once for notices that come together."""
        if key in self._reading:
            return
        task = asyncio.get_running_loop().create_task(self._read_personal(member, key), name=f"hub:{key.server}")
        self._reading[key] = task
        task.add_done_callback(lambda _: self._reading.pop(key, None))

    async def _read_personal(self, member: Member, key: SessionKey) -> None:
        await asyncio.sleep(COALESCE_S)
        session = self._sessions.live(key)
        found = await read_member(member.name, session, self._clock()) if session is not None else None
        variant = member.variants.get(key.profile, member)
        before = member.personal.pop(key, None)
        shared = variant.snapshot.digest if variant.snapshot is not None else None
        own = found if isinstance(found, MemberSnapshot) and found.digest != shared else None
        if own is not None and len(member.personal) < MOST_PERSONAL:
            member.personal[key] = own
        if before != member.personal.get(key):
            self._moved()

    def _start(self, name: str, profile: Profile) -> Member:
        member = Member(name, profile, self._clock())
        member.task = asyncio.get_running_loop().create_task(self._keep(member), name=f"hub:{name}")
        return member

    async def _keep(self, member: Member) -> None:
        """Own one member: read it, wait for a reason to read it again."""
        retry_s = FIRST_RETRY_S
        while True:
            member.changed.clear()
            fault = await self._refresh(member)
            member.answered.set()
            wait_s = retry_s if fault is not None else None if member.profile.interactive else _refresh_s(member)
            member.retry_ns = self._clock() + int(retry_s * 1e9) if fault is not None else 0
            retry_s = FIRST_RETRY_S if fault is None else min(retry_s * 2, LAST_RETRY_S)
            try:
                async with asyncio.timeout(wait_s):
                    await member.changed.wait()
            except TimeoutError:
                continue

    async def _refresh(self, member: Member) -> MemberFault | None:
        session = await self._sessions.acquire(SessionKey(member.name, "", member.profile))
        found = session if isinstance(session, MemberFault) else await read_member(member.name, session, self._clock())
        now = self._clock()
        if isinstance(found, MemberFault):
            self._failed(member, found, now)
            return found
        before = member.snapshot
        moved = before is None or (before.digest, before.era) != (found.digest, found.era)
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

    def _failed(self, member: Member, fault: MemberFault, now: int) -> None:
        taken = member.snapshot.taken_ns if member.snapshot is not None else None
        state: State = "failed" if taken is None else "stale"
        if member.outcome.code == fault.code and member.outcome.state == state:
            return
        log.warning("member_failed", server=member.name, code=fault.code, reason=fault.message)
        member.outcome = MemberOutcome(member.name, state, now, fault.code, fault.message, taken, fault.stage)
        member.failure = member.outcome
        self._moved()


def _refresh_s(member: Member) -> float:
    """When to look again at a member that is well: as soon as its lists are stale by its own word."""
    fresh_s = member.snapshot.fresh_s if member.snapshot is not None else None
    return REFRESH_S if fresh_s is None else min(max(fresh_s, SHORTEST_REFRESH_S), REFRESH_S)
