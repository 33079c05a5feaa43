"""Change notices, only to those whose own view changed, coalesced.

Many changes of many members become one notice per kind: a check runs once per ``COALESCE_S``, and a
subscriber that has not yet taken its notice gets no second one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Literal, TypeAlias

import msgspec

from mcp_hub.capabilities import NOTHING, Profile
from mcp_hub.seams import Notification
from mcp_hub.view import View
from policies.identity import VirtualKey
from policies.one_waiter import OneWaiter

COALESCE_S = 0.05
MOST_NOTICES = 1_000
"""Notices that wait for a listener that does not read; the oldest are dropped, since each only says: look again."""

ChangeKind = Literal["tools", "prompts", "resources"]
Digests: TypeAlias = dict[ChangeKind, str]


class Viewer(msgspec.Struct, frozen=True, eq=False):
    """Who looks: a key, at everything or at one server, with what its client can be asked (which decides
    what some servers offer)."""

    key: VirtualKey
    server: str | None
    profile: Profile = NOTHING


class Subscription(OneWaiter):
    """One listener's view: ``next`` waits for what has changed."""

    __slots__ = ("_digests", "_notices", "_owner", "_pending", "left", "viewer")

    def __init__(self, owner: Subscriptions, viewer: Viewer, digests: Digests) -> None:
        self._owner = owner
        self.viewer = viewer
        self._digests = digests
        self._pending: set[ChangeKind] = set()
        self._notices: list[Notification] = []
        self._waiter = None
        self.left = False

    async def next(self, seconds: float) -> list[Notification]:
        """What there is to tell since the last call. Nothing, if nothing comes in so many ``seconds``, or once the
        listener has left. One task at a time may wait here."""
        if not (self._pending or self._notices or self.left):
            loop = asyncio.get_running_loop()
            timer = loop.call_later(seconds, self.wake)
            try:
                await self.woken(loop)
            finally:
                timer.cancel()
        changed = [Notification(f"notifications/{kind}/list_changed", {}) for kind in sorted(self._pending)]
        changed.extend(self._notices)
        self._pending.clear()
        self._notices.clear()
        return changed

    def tell(self, notification: Notification) -> None:
        """Something else than a list for this listener; one that waits already is not repeated."""
        if notification in self._notices:
            return
        if len(self._notices) == MOST_NOTICES:
            del self._notices[0]
        self._notices.append(notification)
        self.wake()

    def leave(self) -> None:
        """Whoever waits in ``next`` is told so."""
        self.left = True
        self.wake()

    def close(self) -> None:
        self._owner.remove(self)

    def compare(self, digests: Digests) -> None:
        for kind, digest in digests.items():
            if self._digests[kind] != digest:
                self._pending.add(kind)
                self.wake()
        self._digests = digests


class Subscriptions:
    """All live subscriptions of a hub."""

    def __init__(self, view: Callable[[Viewer], View]) -> None:
        self._view = view
        self._live: set[Subscription] = set()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, viewer: Viewer) -> Subscription:
        subscription = Subscription(self, viewer, self._digests(viewer))
        self._live.add(subscription)
        return subscription

    def remove(self, subscription: Subscription) -> None:
        self._live.discard(subscription)

    def tell(self, principal: str, notification: Notification) -> None:
        """Something for every listener of one principal."""
        for subscription in self._live:
            if subscription.viewer.key.principal.key == principal:
                subscription.tell(notification)

    def count(self, key: VirtualKey) -> int:
        return sum(1 for subscription in self._live if subscription.viewer.key is key)

    def check(self) -> None:
        """Something changed: compare every subscriber's view soon, once for many changes."""
        if self._live and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(COALESCE_S, self._compare)

    def _compare(self) -> None:
        self._timer = None
        for subscription in self._live:
            subscription.compare(self._digests(subscription.viewer))

    def _digests(self, viewer: Viewer) -> Digests:
        lists = self._view(viewer).lists
        return {
            "tools": lists["tools"].digest,
            "prompts": lists["prompts"].digest,
            "resources": lists["resources"].digest + lists["templates"].digest,
        }
