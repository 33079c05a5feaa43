"""The one cache of model answers and tool results, as the passage sees it.

Exact first, then semantic: an entry is found by its id, or by a text that is near and agrees in everything else.
Both layers keep one set of entries. Nothing here can fail a call: a store or an embedder that fails is a miss,
and ``stats`` and the log say so.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from policies.caching.keys import short
from policies.caching.policy import CachePolicy, Describe
from policies.caching.semantic import Likeness, Semantic
from policies.caching.stores import AnswerStore
from policies.caching.vocabulary import Asked, Entry, Found, Kept, Plan, Query, Selector, Wish
from policies.identity import VirtualKey
from policies.types import CallContext

log = structlog.get_logger("tollkeeper.cache")
SECOND_NS = 1_000_000_000
RECENT = 64
"""Clearings that are remembered, so that an answer under way then is not kept afterwards."""


@dataclass(frozen=True, slots=True)
class Paid:
    """What an answer cost, and who gave it."""

    provider: str
    cost_nano: int


class Cache:
    """Composed once per process. ``policy`` is replaced whole on reload."""

    def __init__(
        self,
        policy: CachePolicy,
        answers: AnswerStore,
        semantic: Semantic | None,
        clock: Callable[[], int],
        entry_bytes: int,
    ) -> None:
        self.policy = policy
        self.answers = answers
        self.semantic = semantic
        self.entry_bytes = entry_bytes
        """A longer answer is not kept."""
        self._clock = clock
        self._cleared: deque[tuple[int, Selector]] = deque(maxlen=RECENT)
        self._cleared_before_ns = 0
        """Up to here the clearings are no longer known one by one."""
        self._adding: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        await self.answers.start()
        if self.semantic is not None:
            await self.semantic.start()

    async def close(self) -> None:
        if self._adding:
            await asyncio.wait(self._adding)
        if self.semantic is not None:
            await self.semantic.close()
        await self.answers.close()

    def plan(self, key: VirtualKey, asked: Asked, describe: Describe, wish: Wish) -> Plan:
        """Whether and how a call takes part."""
        return self.policy.plan(key, asked, describe, wish, self._clock())

    async def exact(self, query: Query) -> Found | None:
        """The answer to this very call."""
        if not query.read:
            return None
        entry = await self.answers.get(query.id)
        return Found(entry, "exact") if entry is not None and entry.partition == query.partition else None

    async def near(self, key: VirtualKey, parent: CallContext, query: Query) -> tuple[Found | None, Likeness | None]:
        """The answer to a call that means the same; and what is known of this one's likeness, to be kept with
        its own answer."""
        if self.semantic is None or query.semantic is None:
            return None, None
        likeness = await self.semantic.likeness(key, parent, query.semantic, self._clock())
        if likeness is None or likeness.entry_id is None or likeness.similarity < query.semantic.threshold:
            return None, likeness
        entry = await self.answers.get(likeness.entry_id)
        if entry is None:
            await self.semantic.forget([likeness.entry_id])
            return None, likeness
        if entry.partition != query.partition or entry.subject != query.subject:
            return None, likeness
        return Found(entry, "semantic", likeness.similarity), likeness

    def keep(self, query: Query, kept: Kept, paid: Paid, likeness: Likeness | None) -> None:
        """Keep an answer that ended well."""
        now = self._clock()
        ttl = query.ttl_s if kept.ttl_s is None else kept.ttl_s if query.ttl_s is None else min(query.ttl_s, kept.ttl_s)
        if not query.store or not ttl or ttl <= 0 or (kept.calls_tools and not query.tool_answers):
            return
        if len(kept.data) > self.entry_bytes:
            return
        entry = Entry(
            id=query.id,
            kind=query.kind,
            subject=query.subject,
            partition=query.partition,
            key=query.key,
            cache_key=query.cache_key,
            tags=query.tags,
            fields={name: short(value) for name, value in query.fields.items()},
            created_ns=now,
            expires_ns=now + int(ttl * SECOND_NS),
            provider=paid.provider,
            cost_nano=paid.cost_nano,
            form=kept.form,
            ids=kept.ids,
            places=kept.places,
            tool_use_ids=kept.tool_use_ids,
            data=kept.data,
        )
        if self._is_stale(entry, query.asked_ns):
            return
        self.answers.put(entry)
        if self.semantic is not None and query.semantic is not None and likeness is not None:
            # Behind the answer: a vector store may be across a network.
            adding = asyncio.get_running_loop().create_task(self.semantic.keep(query.semantic, likeness, entry))
            self._adding.add(adding)
            adding.add_done_callback(self._adding.discard)

    async def clear(self, wanted: Selector) -> int:
        """Forget what matches; how many. An answer that was asked for before now is not kept after it. Raises
        ``CacheUnavailable``."""
        if len(self._cleared) == RECENT:
            self._cleared_before_ns = self._cleared[0][0]
        self._cleared.append((self._clock(), wanted))
        gone = await self.answers.remove(wanted)
        if self.semantic is not None and gone:
            await self.semantic.forget(gone)
        log.info("cache_cleared", entries=len(gone))
        return len(gone)

    def _is_stale(self, entry: Entry, asked_ns: int) -> bool:
        """It was asked for before somebody had such answers forgotten."""
        if asked_ns <= self._cleared_before_ns:
            return True
        return any(asked_ns <= at and wanted.matches(entry) for at, wanted in self._cleared)
