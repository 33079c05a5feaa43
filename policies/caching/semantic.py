"""The semantic layer: a call that means the same as an earlier one gets its answer.

What is compared is the text of the conversation, and only among calls that agree in everything else: partition,
model, parameters, roles, attachments, and the facts in the text (``policies.caching.facts``).
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import structlog

from policies.caching.stores import CacheUnavailable, Embedder, Vector, VectorStore
from policies.caching.vocabulary import Entry, SemanticQuery
from policies.identity import VirtualKey
from policies.types import CallContext

log = structlog.get_logger("tollkeeper.cache")


class Likeness(msgspec.Struct, frozen=True):
    """A text's vector and its nearest neighbour, if it has one."""

    vector: Vector
    entry_id: bytes | None = None
    similarity: float = 0.0


class Semantic:
    """Composed where it is configured."""

    def __init__(self, embedder: Embedder, vectors: VectorStore) -> None:
        self.embedder = embedder
        self.vectors = vectors
        self.failing: str | None = None

    async def start(self) -> None:
        try:
            await self.vectors.start()
        except CacheUnavailable as error:
            self._failed(str(error))

    async def close(self) -> None:
        await self.vectors.close()

    async def likeness(
        self, key: VirtualKey, parent: CallContext, query: SemanticQuery, now_ns: int
    ) -> Likeness | None:
        """The text's vector, and what is nearest to it. ``None`` when it could not be embedded."""
        vector = await self.embedder.embed(key, parent, query.text)
        if isinstance(vector, str):
            self._failed(vector)
            return None
        try:
            nearest = await self.vectors.nearest(query.bucket, vector, now_ns)
        except CacheUnavailable as error:
            self._failed(str(error))
            return Likeness(vector)
        self.failing = None
        return Likeness(vector) if nearest is None else Likeness(vector, nearest.entry_id, nearest.similarity)

    async def keep(self, query: SemanticQuery, likeness: Likeness, entry: Entry) -> None:
        try:
            await self.vectors.add(query.bucket, entry.id, likeness.vector, entry.expires_ns)
        except CacheUnavailable as error:
            self._failed(str(error))

    async def forget(self, entry_ids: Sequence[bytes]) -> None:
        try:
            await self.vectors.remove(entry_ids)
        except CacheUnavailable as error:
            # The entries are gone already: a vector that leads nowhere is dropped when it is found.
            self._failed(str(error))

    def _failed(self, reason: str) -> None:
        if self.failing != reason:
            log.warning("semantic_cache_fails", reason=reason)
        self.failing = reason
