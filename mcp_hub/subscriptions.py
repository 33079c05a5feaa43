"""Change notices, only to those whose own view changed, coalesced.

Many changes of many members become one notice per kind: a check runs once per ``COALESCE_S``, and a
subscriber that has not yet taken its notice gets no second one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Literal, TypeAlias

from mcp_hub.view import View
from policies.identity import VirtualKey

COALESCE_S = 0.05

ChangeKind = Literal["tools", "prompts", "resources"]
Digests: TypeAlias = dict[ChangeKind, str]


class Subscription:
    """One listener's view of one key: ``next`` waits for what has changed."""

    __slots__ = ("_digests", "_owner", "_pending", "_woken", "key", "server")

    def __init__(self, owner: Subscriptions, key: VirtualKey, server: str | None, digests: Digests) -> None:
        self._owner = owner
        self.key = key
        self.server = server
        self._digests = digests
        self._pending: set[ChangeKind] = set()
        self._woken = asyncio.Event()

    async def next(self) -> list[ChangeKind]:
        """The kinds that changed since the last call; waits for the first."""
        await self._woken.wait()
        self._woken.clear()
        changed = sorted(self._pending)
        self._pending.clear()
        return changed

    def close(self) -> None:
        self._owner.remove(self)

    def compare(self, digests: Digests) -> None:
        for kind, digest in digests.items():
            if self._digests[kind] != digest:
                self._pending.add(kind)
                self._woken.set()
        self._digests = digests


class Subscriptions:
    """All live subscriptions of a hub."""

    def __init__(self, view: Callable[[VirtualKey, str | None], View]) -> None:
        self._view = view
        self._live: set[Subscription] = set()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, key: VirtualKey, server: str | None) -> Subscription:
        subscription = Subscription(self, key, server, self._digests(key, server))
        self._live.add(subscription)
        return subscription

    def remove(self, subscription: Subscription) -> None:
        self._live.discard(subscription)

    def count(self, key: VirtualKey) -> int:
        return sum(1 for subscription in self._live if subscription.key is key)

    def check(self) -> None:
        """Something changed: compare every subscriber's view soon, once for many changes."""
        if self._live and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(COALESCE_S, self._compare)

    def _compare(self) -> None:
        self._timer = None
        for subscription in self._live:
            subscription.compare(self._digests(subscription.key, subscription.server))

    def _digests(self, key: VirtualKey, server: str | None) -> Digests:
        lists = self._view(key, server).lists
        return {
            "tools": lists["tools"].digest,
            "prompts": lists["prompts"].digest,
            "resources": lists["resources"].digest + lists["templates"].digest,
        }
