"""The hub: one MCP server over many, with identity explicit in every call.

Contract: lists come from memory, never by asking a member; what ``view`` lists for a key is what
``resolve`` finds for it; a member that fails keeps its last known items and is named; policy can only
narrow what the hub offers. Arguments and results are opaque.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from weakref import WeakKeyDictionary

import msgspec

from mcp_hub.capabilities import NOTHING, Profile
from mcp_hub.catalog import MemberSnapshot
from mcp_hub.members import Member, Members, Sessions
from mcp_hub.resource_watch import ResourceWatches
from mcp_hub.seams import UPDATED, Notification
from mcp_hub.session_key import SessionKey
from mcp_hub.sight import MOST_WAYS, Sight, keep
from mcp_hub.subscriptions import Subscription, Subscriptions, Viewer
from mcp_hub.uris import HandedUris
from mcp_hub.view import Naming, Origin, Shown, View, build_view
from mcp_hub.way import Way
from policies.identity import VirtualKey
from policies.types import CallKind

_NONE: Mapping[str, str] = {}
VISITED = "notifications/elicitation/complete"
"""A user has done what an elicitation by URL asked for (2025-11-25 only). Clients ignore ids that they do not know."""
_CHANGES = {
    "notifications/tools/list_changed",
    "notifications/prompts/list_changed",
    "notifications/resources/list_changed",
}


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


class Hub:
    """Composed once per process; ``reconfigure`` changes its members without touching the others."""

    def __init__(self, sessions: Sessions, settings: HubSettings, clock: Callable[[], int]) -> None:
        self.sessions = sessions
        self._settings = settings
        self._clock = clock
        self._members = Members(sessions, clock, self._moved)
        self._generation = 0
        self._sights: WeakKeyDictionary[VirtualKey, Sight] = WeakKeyDictionary()
        self.subscriptions = Subscriptions(self.view)
        self.watches = ResourceWatches(sessions)
        self.handed = HandedUris()

    def reconfigure(self, servers: Sequence[str], replaced: Iterable[str] = ()) -> None:
        """Take ``servers`` as the members, in this order; start those that are new or ``replaced``."""
        self._members.reconfigure(servers, replaced)
        self._moved()

    async def stop(self) -> None:
        """End the members' tasks; the sessions are their owner's to close."""
        await self._members.stop()
        await self.watches.stop()

    def knows(self, server: str, key: VirtualKey) -> bool:
        """Whether ``server`` exists for ``key``: one without any grant does not."""
        return server in self._members and bool(self._visible(self._sight(key), key, server))

    async def ready(self, viewer: Viewer) -> None:
        """Wait until every member that the viewer may know of has answered or failed once, but only within
        ``first_wait_s`` of its start: a member that hangs in its handshake delays nobody after that."""
        sight, place = self._sight(viewer.key), (viewer.server, viewer.profile)
        if place in sight.awaited:
            return
        members = self._visible(sight, viewer.key, viewer.server)
        await self._first_answers(members)
        if viewer.profile.interactive:
            variants = [self._members.variant(m, self.profile(m.name, viewer.profile)) for m in members]
            await self._first_answers(variants)
            members = (*members, *variants)
        if all(m.answered.is_set() for m in members):
            keep(sight.awaited, place, True)

    async def _first_answers(self, members: Sequence[Member]) -> None:
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
        sight, place = self._sight(key), (server, viewer.profile)
        known = sight.views.get(place)
        if known is not None:
            return known
        visible = self._visible(sight, key, server)
        naming = Naming(server is None, self._settings.client_prefix, self._settings.page_size)
        shown = [found for m in visible if (found := self._shown(m, viewer)) is not None]
        view = build_view(shown, [m.outcome for m in visible], key.grants, naming)
        keep(sight.views, place, view)
        return view

    def way(self, viewer: Viewer, kind: CallKind, name: str) -> Way | None:
        """The way to what the viewer sees listed under ``name`` (of a resource: the URI)."""
        sight, place = self._sight(viewer.key), (viewer.server, viewer.profile, kind, name)
        known = sight.ways.get(place)
        if known is None:
            origin = self.view(viewer).listed(kind).get(name)
            if origin is None:
                return None
            known = self.way_to(viewer, origin)
            keep(sight.ways, place, known, MOST_WAYS)
        return known

    def way_to(self, viewer: Viewer, origin: Origin) -> Way:
        """The way to something that the viewer may call."""
        server, terms = origin.server, self.sessions.terms(origin.server)
        profile = self.profile(server, viewer.profile)
        return Way(
            origin=origin,
            name=msgspec.Raw(msgspec.json.encode(origin.name)),
            era="modern" if self._is_modern(server) else "legacy",
            profile=profile,
            declared=profile.declared,
            session=None if terms.isolation == "per_session" else self.session_key(server, viewer.key, profile, None),
            timeout_s=terms.timeout_of(origin.name),
            renamed=self.view(viewer).renamed.get(server, _NONE),
        )

    def profile(self, server: str, client: Profile) -> Profile:
        """What ``server`` may ask of such a client: what the client declares, narrowed by policy."""
        terms = self.sessions.terms(server)
        if terms.interactive == "never" or (terms.isolation == "shared" and not self._is_modern(server)):
            return NOTHING  # on a shared session a question would have no owner
        found = client if terms.roots else client.without("roots")
        if self._settings.sampling == "gateway":
            return found.with_sampling()
        return found.without("sampling") if self._settings.sampling == "refuse" else found

    def session_key(self, server: str, key: VirtualKey, profile: Profile, session: str | None) -> SessionKey:
        """Which warm session serves this caller (law 4): shared only where that is safe or declared.
        ``profile`` is what the server may ask; ``session`` is the client's own."""
        modern = self._is_modern(server)
        sight, place = self._sight(key), (server, profile, modern)
        known = sight.sessions.get(place)
        if known is not None:
            return known
        isolation = self.sessions.terms(server).isolation
        if isolation == "auto":
            isolation = "shared" if modern else "per_principal"
        name = key.principal.key
        if isolation == "per_session" and session is not None:
            return SessionKey(server, f"{name}/{session}", NOTHING if modern else profile)
        shared = isolation == "shared"
        made = SessionKey(server) if shared else SessionKey(server, name, NOTHING if modern else profile)
        if isolation != "per_session":
            keep(sight.sessions, place, made)
        return made

    def members(self) -> list[Member]:
        """All members for the operator."""
        return list(self._members)

    def snapshot(self, server: str) -> MemberSnapshot | None:
        member = self._members.get(server)
        return member.snapshot if member is not None else None

    def subscribe(self, viewer: Viewer) -> Subscription:
        """Notices that the viewer's own view changed."""
        return self.subscriptions.add(viewer)

    def notified(self, key: SessionKey, notification: Notification) -> str | None:
        """A member spoke outside of a request. What it called out of date: ``server/uri`` of one resource, or an
        empty text for all that it offers; ``None``: nothing."""
        if notification.method in _CHANGES:
            self._members.changed(key)
            return ""
        if notification.method == UPDATED:
            uri = _uri(notification)
            self.watches.updated(key, uri)
            return f"{key.server}/{uri}"
        if notification.method == VISITED and key.partition:
            self.subscriptions.tell(key.partition.partition("/")[0], notification)
        return None

    def suspect(self, server: str) -> None:
        """A call found ``server`` broken: look again at once, so that lists and ``doctor`` tell of it."""
        member = self._members.get(server)
        if member is not None and member.outcome.state == "ok":
            member.changed.set()

    def _sight(self, key: VirtualKey) -> Sight:
        sight = self._sights.get(key)
        if sight is None or sight.generation != self._generation:
            sight = self._sights[key] = Sight(self._generation)
        return sight

    def _visible(self, sight: Sight, key: VirtualKey, server: str | None) -> Sequence[Member]:
        known = sight.visible.get(server)
        if known is None:
            found = self._members if server is None else (self._members.get(server),)
            known = [m for m in found if m is not None and key.grants.sees_server(m.name)]
            sight.visible[server] = known
        return known

    def _is_modern(self, server: str) -> bool:
        snapshot = self.snapshot(server)
        return snapshot is not None and snapshot.era == "modern"

    def _shown(self, member: Member, viewer: Viewer) -> Shown | None:
        profile = self.profile(member.name, viewer.profile)
        snapshot = member.seen(profile, self.session_key(member.name, viewer.key, profile, None))
        if snapshot is None:
            return None
        terms = self.sessions.terms(member.name)
        return Shown(snapshot, terms.prefix or member.name, terms.aliases)

    def _moved(self) -> None:
        self._generation += 1
        self.subscriptions.check()


def _uri(notification: Notification) -> str:
    try:
        return msgspec.json.decode(notification.params.get("uri", b""), type=str)
    except msgspec.MsgspecError:
        return ""
