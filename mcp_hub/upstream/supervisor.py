"""Keeps sessions warm: one per (server, partition, profile), begun when needed, begun again when lost.

A session that is lost is begun anew by the next call. One that cannot be begun waits, with growing pauses
and jitter, and calls in between are told at once. Idle ones are closed, and when ``max_sessions`` is
reached the longest idle makes room.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec
import structlog

from mcp_hub.seams import Era, MemberFault, Notification, Session
from mcp_hub.session_key import SessionKey
from mcp_hub.upstream.http import HttpSession
from mcp_hub.upstream.session import Cannot, Tenancy
from mcp_hub.upstream.specs import HttpSpec, MemberSpec, StdioSpec, Terms
from mcp_hub.upstream.sse_session import SseSession
from mcp_hub.upstream.stdio import StdioSession
from policies.egress import HttpTransport

log = structlog.get_logger("tollkeeper.upstream")

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 60.0
READING_IDLE_S = 60.0
"""How long a session stays that was begun to read what one kind of client is offered."""
NS = 1_000_000_000


class LiveSession(Session, Protocol):
    """A session that can be lost."""

    @property
    def lost(self) -> MemberFault | None: ...


@dataclass(frozen=True, slots=True)
class SupervisorSettings:
    """Bounds of all sessions together."""

    max_sessions: int = 256
    idle_s: float = 900.0
    sweep_s: float = 30.0


class _Slot:
    """One session's place: the session, or why there is none."""

    __slots__ = ("failure", "failures", "key", "retry_ns", "session", "since_ns", "starting", "used_ns")

    def __init__(self, key: SessionKey, now_ns: int) -> None:
        self.key = key
        self.session: LiveSession | None = None
        self.starting: asyncio.Task[LiveSession | MemberFault] | None = None
        self.failure: MemberFault | None = None
        self.failures = 0
        self.since_ns = now_ns
        self.retry_ns = 0
        self.used_ns = now_ns


class Supervisor:
    """All sessions of one hub."""

    def __init__(
        self,
        transport: HttpTransport,
        settings: SupervisorSettings,
        clock: Callable[[], int],
        on_notification: Callable[[SessionKey, Notification], None],
    ) -> None:
        self._transport = transport
        self._settings = settings
        self._clock = clock
        self._on_notification = on_notification
        self._specs: dict[str, MemberSpec] = {}
        self._eras: dict[str, Era] = {}
        self._slots: dict[SessionKey, _Slot] = {}
        self._closing: set[asyncio.Task[Any]] = set()
        self._sweeper: asyncio.TimerHandle | None = None

    def reconfigure(self, specs: Iterable[MemberSpec]) -> list[str]:
        """Take a new set of members. Sessions of unchanged ones stay; returns the names of changed ones."""
        new = {spec.name: spec for spec in specs}
        changed = [name for name, spec in self._specs.items() if new.get(name) != spec]
        self._specs = new
        for name in changed:
            self._eras.pop(name, None)
        for slot in [s for s in self._slots.values() if s.key.server in changed]:
            self._drop(slot)
        if self._sweeper is None:
            self._sweep_later()
        return changed

    def terms(self, server: str) -> Terms:
        return self._specs[server].terms

    def fingerprint(self, server: str) -> str:
        return self._specs[server].fingerprint

    def live(self, key: SessionKey) -> Session | None:
        """The session of ``key`` if there is one now."""
        slot = self._slots.get(key)
        return slot.session if slot is not None and slot.session is not None and slot.session.lost is None else None

    async def acquire(self, key: SessionKey) -> Session | MemberFault:
        """The warm session for ``key``; begins it if need be. Callers that come together share one start."""
        slot = self._slots.get(key)
        if slot is not None and slot.session is not None:
            if slot.session.lost is None:
                slot.used_ns = self._clock()
                return slot.session
            self._lost(slot, slot.session)
        if key.server not in self._specs:
            return _unavailable(f"There is no MCP server {key.server!r}.")
        if slot is None:
            if len(self._slots) >= self._settings.max_sessions and not self._make_room():
                return _unavailable(f"All {self._settings.max_sessions} sessions to MCP servers are in use.")
            slot = self._slots[key] = _Slot(key, self._clock())
        if slot.starting is None:
            waiting = self._waiting(slot)
            if waiting is not None:
                return waiting
            slot.starting = asyncio.get_running_loop().create_task(self._begin(slot), name=f"begin:{key.server}")
        return await asyncio.shield(slot.starting)

    def transport(self, server: str) -> str:
        """``stdio``, ``http`` or ``sse``."""
        spec = self._specs.get(server)
        if not isinstance(spec, HttpSpec):
            return "stdio"
        return "sse" if spec.sse else "http"

    def health(self) -> list[dict[str, Any]]:
        """Every session, for ``doctor``."""
        return [self._describe(slot) for slot in self._slots.values()]

    async def stop(self) -> None:
        """Close every session; returns when all processes are reaped."""
        if self._sweeper is not None:
            self._sweeper.cancel()
        for slot in list(self._slots.values()):
            self._drop(slot)
        if self._closing:
            await asyncio.wait(self._closing)

    async def _begin(self, slot: _Slot) -> LiveSession | MemberFault:
        key = slot.key
        spec = self._specs[key.server]
        try:
            session = await self._open(spec, key)
        except Cannot as error:
            self._failed(slot, error.fault)
            return error.fault
        finally:
            slot.starting = None
        self._eras[key.server] = session.era
        slot.session, slot.failure = session, None
        if slot.failures:  # begun again: what changed meanwhile was told to nobody
            self._on_notification(key, Notification("notifications/tools/list_changed", {}))
        slot.since_ns = slot.used_ns = self._clock()
        log.info("session_begun", server=key.server, partition=key.partition, era=session.era)
        return session

    async def _open(self, spec: MemberSpec, key: SessionKey) -> LiveSession:
        def notify(notification: Notification) -> None:
            self._on_notification(key, notification)

        era = spec.terms.era or self._eras.get(spec.name)
        tenancy = Tenancy(key.profile, bool(key.partition), spec.terms.interactive == "serial")
        if isinstance(spec, StdioSpec):
            return await StdioSession.begin(spec, era, notify, tenancy)
        if spec.sse:
            return await SseSession.begin(spec, self._transport, notify, tenancy)
        return await HttpSession.begin(spec, self._transport, era, notify, tenancy)

    def _failed(self, slot: _Slot, fault: MemberFault) -> None:
        """Wait longer after each failure in a row; forget the era, it may have been upgraded."""
        self._eras.pop(slot.key.server, None)
        pause = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2**slot.failures) * random.uniform(0.8, 1.2)  # noqa: S311
        slot.failures += 1
        slot.failure = fault
        slot.since_ns = self._clock()
        slot.retry_ns = slot.since_ns + int(pause * NS)
        log.warning("session_not_begun", server=slot.key.server, code=fault.code, reason=fault.message)

    def _lost(self, slot: _Slot, session: LiveSession) -> None:
        """A session that worked is begun again at once; one that dies young counts as a failure."""
        now = self._clock()
        slot.session = None
        self._close(session)
        if now - slot.since_ns > LONGEST_PAUSE_S * NS:
            slot.failures = 0
        if slot.failures and session.lost is not None:
            self._failed(slot, session.lost)
        else:
            slot.failures = 1

    def _waiting(self, slot: _Slot) -> MemberFault | None:
        """The fault to tell while the pause lasts."""
        left = slot.retry_ns - self._clock()
        if slot.failure is None or left <= 0:
            return None
        text = f"{slot.failure.message} Next try in {left / NS:.1f} s."
        return msgspec.structs.replace(slot.failure, message=text, stage="start", sent=False)

    def _make_room(self) -> bool:
        idle = [
            s for s in self._slots.values() if s.starting is None and (s.session is None or not s.session.in_flight)
        ]
        if not idle:
            return False
        self._drop(min(idle, key=lambda slot: slot.used_ns))
        return True

    def _drop(self, slot: _Slot) -> None:
        self._slots.pop(slot.key, None)
        if slot.starting is not None:
            slot.starting.cancel()
            self._await_end(slot.starting)  # it ends the program that it has started
        if slot.session is not None:
            self._close(slot.session)

    def _close(self, session: LiveSession) -> None:
        self._await_end(asyncio.get_running_loop().create_task(session.close()))

    def _await_end(self, task: asyncio.Task[Any]) -> None:
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def _sweep_later(self) -> None:
        loop = asyncio.get_running_loop()
        # Often enough that a session ends at most half its idle time too late.
        self._sweeper = loop.call_later(min(self._settings.sweep_s, self._settings.idle_s / 2), self._sweep)

    def _sweep(self) -> None:
        """Close what has been idle too long; the sessions that everybody shares stay."""
        now = self._clock()
        for slot in list(self._slots.values()):
            kept_s = self._kept_s(slot.key)
            idle = slot.session is not None and not slot.session.in_flight
            if idle and kept_s is not None and now - slot.used_ns > int(kept_s * NS):
                self._drop(slot)
        self._sweep_later()

    def _kept_s(self, key: SessionKey) -> float | None:
        """How long a session may be idle; ``None``: for ever. One that was begun only to read lists goes soon."""
        if key.partition:
            return self._settings.idle_s
        return min(READING_IDLE_S, self._settings.idle_s) if key.profile.interactive else None

    def _describe(self, slot: _Slot) -> dict[str, Any]:
        session = slot.session
        if session is not None:
            state = "ready" if session.lost is None else "lost"
        else:
            state = "waiting" if slot.failure is not None else "starting"
        said: dict[str, Any] = {
            "server": slot.key.server,
            "partition": slot.key.partition,
            "profile": sorted(slot.key.profile.features),
            "state": state,
            "transport": self.transport(slot.key.server),
            "era": session.era if session is not None else None,
            "in_flight": session.in_flight if session is not None else 0,
        }
        if slot.failure is not None:
            said["failure"] = {
                "code": slot.failure.code,
                "stage": slot.failure.stage,
                "message": slot.failure.message,
                "since_s": max(0, self._clock() - slot.since_ns) // NS,
                "next_retry_s": max(0, slot.retry_ns - self._clock()) // NS,
            }
        return said


def _unavailable(message: str) -> MemberFault:
    return MemberFault(code="member_unavailable", message=message, stage="start", sent=False)
