"""The seams of the cache: where answers are kept, where vectors are, who makes vectors."""

from __future__ import annotations

from array import array
from collections.abc import AsyncIterator, Sequence
from typing import Protocol, TypeAlias

import msgspec

from policies.caching.vocabulary import Entry, Selector
from policies.identity import VirtualKey
from policies.types import CallContext

Vector: TypeAlias = "array[float]"
"""Single-precision numbers, type code ``f``."""


class StoreStats(msgspec.Struct, frozen=True, kw_only=True):
    """What a store holds."""

    store: str
    entries: int
    bytes: int
    failing: str | None = None


class AnswerStore(Protocol):
    """Entries by id. A store that fails answers like an empty one, and says so."""

    failing: str | None
    """Why it does not work now."""

    async def start(self) -> None: ...

    async def get(self, entry_id: bytes) -> Entry | None:
        """The entry, unless it has expired."""

    def put(self, entry: Entry) -> None:
        """Keep an entry; returns before it is durable. One that is too large is passed over."""

    async def remove(self, wanted: Selector) -> Sequence[bytes]:
        """Forget what matches, everywhere; the ids. Raises ``CacheUnavailable`` if that cannot be promised."""

    def entries(self) -> AsyncIterator[Entry]:
        """All entries without their data, in no order."""

    async def stats(self) -> StoreStats: ...

    async def close(self) -> None: ...


class CacheUnavailable(Exception):
    """The store does not answer; the message says why."""


class Neighbour(msgspec.Struct, frozen=True):
    """The nearest kept vector of a bucket. ``similarity``: cosine, -1 to 1."""

    entry_id: bytes
    similarity: float


class VectorStore(Protocol):
    """Vectors in buckets; a vector is compared within its bucket only. Raises ``CacheUnavailable``."""

    async def start(self) -> None: ...

    async def nearest(self, bucket: bytes, vector: Vector, now_ns: int) -> Neighbour | None: ...

    async def add(self, bucket: bytes, entry_id: bytes, vector: Vector, expires_ns: int) -> None: ...

    async def remove(self, entry_ids: Sequence[bytes]) -> None: ...

    async def count(self) -> int: ...

    async def close(self) -> None: ...


class Embedder(Protocol):
    """Makes vectors of texts."""

    async def embed(self, key: VirtualKey, parent: CallContext, text: str) -> Vector | str:
        """The vector of ``text``, paid by ``key``; or why there is none."""
