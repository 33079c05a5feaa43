"""Vectors in Weaviate (``policies.caching.stores.VectorStore``), through weaviate-client.

Only what goes over HTTP is used: objects by REST, the search by GraphQL. The client's own searches need a second
port (gRPC), which operators often do not expose (https://docs.weaviate.io/weaviate/api/rest,
…/api/graphql/search-operators).
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import weaviate
from weaviate.classes.config import Configure, DataType, Property, VectorDistances
from weaviate.exceptions import WeaviateBaseError

from policies.caching.stores import CacheUnavailable, Neighbour, Vector

SECOND_NS = 1_000_000_000
GRPC_PORT = 50051
_FAILURES = (WeaviateBaseError, OSError, ValueError, KeyError)


class WeaviateVectors:
    """One collection per length of vectors."""

    def __init__(self, url: str, api_key: str | None, dimensions: int) -> None:
        at = urlsplit(url)
        secure = at.scheme == "https"
        self._client = weaviate.use_async_with_custom(
            http_host=at.hostname or "",
            http_port=at.port or (443 if secure else 80),
            http_secure=secure,
            grpc_host=at.hostname or "",
            grpc_port=GRPC_PORT,
            grpc_secure=secure,
            auth_credentials=api_key,
            skip_init_checks=True,
        )
        self._name = f"Tollkeeper{dimensions}"
        self._there = False

    async def start(self) -> None:
        await self._ready()

    async def nearest(self, bucket: bytes, vector: Vector, now_ns: int) -> Neighbour | None:
        await self._ready()
        where = (
            f'{{operator: And, operands: [{{path: ["bucket"], operator: Equal, valueText: "{bucket.hex()}"}}, '
            f'{{path: ["expires"], operator: GreaterThan, valueNumber: {now_ns / SECOND_NS}}}]}}'
        )
        near = f"{{vector: {json.dumps(list(vector))}}}"
        query = (
            f"{{Get {{{self._name}(limit: 1, nearVector: {near}, where: {where}) {{entry _additional {{distance}}}}}}}}"
        )
        try:
            answer = await self._client.graphql_raw_query(query)
        except _FAILURES as error:
            raise _unavailable(error) from None
        if answer.errors:
            raise CacheUnavailable(f"Weaviate fails: {answer.errors}"[:300])
        found: list[dict[str, Any]] = answer.get.get(self._name) or []
        if not found:
            return None
        return Neighbour(bytes.fromhex(found[0]["entry"]), 1 - float(found[0]["_additional"]["distance"]))

    async def add(self, bucket: bytes, entry_id: bytes, vector: Vector, expires_ns: int) -> None:
        collection = await self._ready()
        properties = {"bucket": bucket.hex(), "entry": entry_id.hex(), "expires": expires_ns / SECOND_NS}
        try:
            await collection.data.delete_by_id(_object(entry_id))
            await collection.data.insert(properties, uuid=_object(entry_id), vector=list(vector))
        except _FAILURES as error:
            raise _unavailable(error) from None

    async def remove(self, entry_ids: Sequence[bytes]) -> None:
        collection = await self._ready()
        try:
            for entry_id in entry_ids:
                await collection.data.delete_by_id(_object(entry_id))
        except _FAILURES as error:
            raise _unavailable(error) from None

    async def count(self) -> int:
        await self._ready()
        query = f"{{Aggregate {{{self._name} {{meta {{count}}}}}}}}"
        try:
            answer = await self._client.graphql_raw_query(query)
            return int(answer.aggregate[self._name][0]["meta"]["count"])
        except _FAILURES as error:
            raise _unavailable(error) from None

    async def close(self) -> None:
        await self._client.close()

    async def _ready(self) -> Any:
        """The collection, made by whoever comes first."""
        try:
            if not self._there:
                await self._client.connect()
                if not await self._client.collections.exists(self._name):
                    await self._create()
                self._there = True
            return self._client.collections.get(self._name)
        except _FAILURES as error:
            raise _unavailable(error) from None

    async def _create(self) -> None:
        cosine = Configure.VectorIndex.hnsw(distance_metric=VectorDistances.COSINE)
        text = [Property(name=name, data_type=DataType.TEXT, skip_vectorization=True) for name in ("bucket", "entry")]
        await self._client.collections.create(
            self._name,
            properties=[*text, Property(name="expires", data_type=DataType.NUMBER)],
            vector_config=Configure.Vectors.self_provided(vector_index_config=cosine),
        )


def _object(entry_id: bytes) -> str:
    return str(uuid.UUID(bytes=entry_id[:16]))


def _unavailable(error: Exception) -> CacheUnavailable:
    return CacheUnavailable(f"Weaviate fails: {str(error) or type(error).__name__}"[:300])
