"""Vectors in a Qdrant server (``policies.caching.stores.VectorStore``), through qdrant-client's REST side.

One collection per length of vectors; the bucket and the expiry are payload, and every search filters by both
(https://qdrant.tech/documentation/concepts/filtering/).
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from qdrant_client import AsyncQdrantClient
from qdrant_client.http.exceptions import ApiException, ResponseHandlingException, UnexpectedResponse
from qdrant_client.models import (
    Distance,
    FieldCondition,
    Filter,
    MatchValue,
    PayloadSchemaType,
    PointIdsList,
    PointStruct,
    Range,
    VectorParams,
)

from policies.caching.stores import CacheUnavailable, Neighbour, Vector

TIMEOUT_S = 2
SECOND_NS = 1_000_000_000
_FAILURES = (ApiException, ResponseHandlingException, UnexpectedResponse, OSError, ValueError)


class QdrantVectors:
    """``client``: another one than that of ``url``."""

    def __init__(
        self, url: str | None, api_key: str | None, dimensions: int, client: AsyncQdrantClient | None = None
    ) -> None:
        self._client = client or AsyncQdrantClient(
            url=url, api_key=api_key, timeout=TIMEOUT_S, prefer_grpc=False, check_compatibility=False
        )
        self._dimensions = dimensions
        self._collection = f"tollkeeper_{dimensions}"
        self._there = False

    async def start(self) -> None:
        await self._ready()

    async def nearest(self, bucket: bytes, vector: Vector, now_ns: int) -> Neighbour | None:
        await self._ready()
        here = FieldCondition(key="bucket", match=MatchValue(value=bucket.hex()))
        alive = FieldCondition(key="expires", range=Range(gt=now_ns / SECOND_NS))
        try:
            found = await self._client.query_points(
                self._collection, query=list(vector), query_filter=Filter(must=[here, alive]), limit=1
            )
        except _FAILURES as error:
            raise _unavailable(error) from None
        if not found.points:
            return None
        best = found.points[0]
        payload: dict[str, Any] = best.payload or {}
        return Neighbour(bytes.fromhex(payload["entry"]), best.score)

    async def add(self, bucket: bytes, entry_id: bytes, vector: Vector, expires_ns: int) -> None:
        await self._ready()
        payload = {"bucket": bucket.hex(), "entry": entry_id.hex(), "expires": expires_ns / SECOND_NS}
        point = PointStruct(id=_point(entry_id), vector=list(vector), payload=payload)
        try:
            await self._client.upsert(self._collection, points=[point])
        except _FAILURES as error:
            raise _unavailable(error) from None

    async def remove(self, entry_ids: Sequence[bytes]) -> None:
        await self._ready()
        chosen = PointIdsList(points=[_point(entry_id) for entry_id in entry_ids])
        try:
            await self._client.delete(self._collection, points_selector=chosen)
        except _FAILURES as error:
            raise _unavailable(error) from None

    async def count(self) -> int:
        await self._ready()
        try:
            return (await self._client.count(self._collection)).count
        except _FAILURES as error:
            raise _unavailable(error) from None

    async def close(self) -> None:
        await self._client.close()

    async def _ready(self) -> None:
        """The collection, made by whoever comes first."""
        if self._there:
            return
        try:
            if not await self._client.collection_exists(self._collection):
                params = VectorParams(size=self._dimensions, distance=Distance.COSINE)
                await self._client.create_collection(self._collection, vectors_config=params)
                await self._client.create_payload_index(
                    self._collection, "bucket", field_schema=PayloadSchemaType.KEYWORD
                )
        except _FAILURES as error:
            raise _unavailable(error) from None
        self._there = True


def _point(entry_id: bytes) -> str:
    """Qdrant's ids are UUIDs; 128 bits of a SHA-256 are one."""
    return str(uuid.UUID(bytes=entry_id[:16]))


def _unavailable(error: Exception) -> CacheUnavailable:
    return CacheUnavailable(f"Qdrant fails: {str(error) or type(error).__name__}"[:300])
