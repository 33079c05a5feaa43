"""Vectors in Redis (``policies.caching.stores.VectorStore``): vector sets of Redis 8, or the search module.

With vector sets every bucket is a set of its own (``VADD``, ``VSIM``), unquantised; members do not expire by
themselves, so each has a key beside it that does, and a dead member is removed when it is found. With the search
module one flat index holds all, and a hash per vector expires by itself
(https://redis.io/docs/latest/develop/data-types/vector-sets/, …/interact/search-and-query/advanced-concepts/vectors/).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias

import redis.asyncio as redis
from redis.exceptions import RedisError, ResponseError

from policies.caching.stores import CacheUnavailable, Neighbour, Vector

PREFIX = "tk:{tollkeeper}:vector:"
TIMEOUT_S = 0.5
LOOKED_AT = 8
"""Neighbours that one question may find dead."""
Client: TypeAlias = Any
"""A ``redis.asyncio.Redis``; redis-py leaves commands that it does not know untyped."""
_FAILURES = (RedisError, OSError, TimeoutError)


class _Engine(Protocol):
    async def nearest(self, bucket: str, vector: Vector) -> Neighbour | None: ...

    async def add(self, bucket: str, entry_id: str, vector: Vector, left_ms: int) -> None: ...

    async def remove(self, entry_ids: Sequence[str]) -> None: ...

    async def count(self) -> int: ...


class RedisVectors:
    """Takes what the server offers."""

    def __init__(self, url: str, dimensions: int) -> None:
        self._redis: Client = redis.Redis.from_url(
            url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S, retry=None
        )
        self._dimensions = dimensions
        self._engine: _Engine | None = None

    async def start(self) -> None:
        await self._ready()

    async def nearest(self, bucket: bytes, vector: Vector, now_ns: int) -> Neighbour | None:
        engine = await self._ready()
        try:
            return await engine.nearest(bucket.hex(), vector)
        except _FAILURES as error:
            raise _unavailable(error) from None

    async def add(self, bucket: bytes, entry_id: bytes, vector: Vector, expires_ns: int) -> None:
        engine = await self._ready()
        left_ms = (expires_ns - time.time_ns()) // 1_000_000
        if left_ms <= 0:
            return
        try:
            await engine.add(bucket.hex(), entry_id.hex(), vector, left_ms)
        except _FAILURES as error:
            raise _unavailable(error) from None

    async def remove(self, entry_ids: Sequence[bytes]) -> None:
        engine = await self._ready()
        try:
            await engine.remove([entry_id.hex() for entry_id in entry_ids])
        except _FAILURES as error:
            raise _unavailable(error) from None

    async def count(self) -> int:
        engine = await self._ready()
        try:
            return await engine.count()
        except _FAILURES as error:
            raise _unavailable(error) from None

    async def close(self) -> None:
        await self._redis.aclose()

    async def _ready(self) -> _Engine:
        if self._engine is None:
            try:
                self._engine = await self._choose()
            except _FAILURES as error:
                raise _unavailable(error) from None
        return self._engine

    async def _choose(self) -> _Engine:
        if await self._knows("VCARD", f"{PREFIX}probe"):
            return _VectorSets(self._redis)
        if await self._knows("FT._LIST"):
            index = _SearchIndex(self._redis, self._dimensions)
            await index.create()
            return index
        raise CacheUnavailable("this Redis fails: it has neither vector sets (version 8) nor the search module")

    async def _knows(self, *command: str) -> bool:
        try:
            await self._redis.execute_command(*command)
        except ResponseError as error:
            if "unknown command" in str(error).lower():
                return False
            raise
        return True


class _VectorSets:
    def __init__(self, client: Client) -> None:
        self._redis = client

    async def nearest(self, bucket: str, vector: Vector) -> Neighbour | None:
        found = await self._redis.execute_command(
            "VSIM", f"{PREFIX}set:{bucket}", "FP32", vector.tobytes(), "WITHSCORES", "COUNT", LOOKED_AT, "TRUTH"
        )
        pairs = list(found.items()) if isinstance(found, dict) else list(zip(found[::2], found[1::2], strict=True))
        if not pairs:
            return None
        alive = await self._redis.mget([f"{PREFIX}of:{name.decode()}" for name, _ in pairs])
        for (name, _), of in zip(pairs, alive, strict=True):
            if of is None:
                await self._redis.execute_command("VREM", f"{PREFIX}set:{bucket}", name)
        for (name, score), of in zip(pairs, alive, strict=True):
            if of is not None:
                # Redis scores from 0 (opposite) to 1 (equal).
                return Neighbour(bytes.fromhex(name.decode()), 2 * float(score) - 1)
        return None

    async def add(self, bucket: str, entry_id: str, vector: Vector, left_ms: int) -> None:
        pipeline = self._redis.pipeline(transaction=True)
        place = f"{PREFIX}set:{bucket}"
        pipeline.execute_command("VADD", place, "FP32", vector.tobytes(), entry_id, "NOQUANT")
        pipeline.set(f"{PREFIX}of:{entry_id}", bucket, px=left_ms)
        # The set outlives its last member: GT extends, and NX sets what has no end yet.
        pipeline.pexpire(place, left_ms, nx=True)
        pipeline.pexpire(place, left_ms, gt=True)
        await pipeline.execute()

    async def remove(self, entry_ids: Sequence[str]) -> None:
        for entry_id in entry_ids:
            bucket = await self._redis.getdel(f"{PREFIX}of:{entry_id}")
            if bucket is not None:
                await self._redis.execute_command("VREM", f"{PREFIX}set:{bucket.decode()}", entry_id)

    async def count(self) -> int:
        count = 0
        async for _ in self._redis.scan_iter(match=f"{PREFIX}of:*", count=500):
            count += 1
        return count


class _SearchIndex:
    """One flat index over hashes."""

    def __init__(self, client: Client, dimensions: int) -> None:
        self._redis = client
        self._dimensions = dimensions
        self._name = f"{PREFIX}index:{dimensions}"

    async def create(self) -> None:
        listed = await self._redis.execute_command("FT._LIST")
        if self._name.encode() in set(listed):
            return
        vector = ("VECTOR", "FLAT", "6", "TYPE", "FLOAT32", "DIM", self._dimensions, "DISTANCE_METRIC", "COSINE")
        place = ("ON", "HASH", "PREFIX", "1", f"{PREFIX}hash:{self._dimensions}:")
        await self._redis.execute_command("FT.CREATE", self._name, *place, "SCHEMA", "bucket", "TAG", "vector", *vector)

    async def nearest(self, bucket: str, vector: Vector) -> Neighbour | None:
        found = await self._redis.execute_command(
            "FT.SEARCH",
            self._name,
            f"(@bucket:{{{bucket}}})=>[KNN 1 @vector $wanted AS distance]",
            *("PARAMS", "2", "wanted", vector.tobytes(), "RETURN", "1", "distance", "DIALECT", "2"),
        )
        hit = _first_hit(found)
        if hit is None:
            return None
        name, distance = hit
        return Neighbour(bytes.fromhex(name.rpartition(":")[2]), 1 - distance)

    async def add(self, bucket: str, entry_id: str, vector: Vector, left_ms: int) -> None:
        name = f"{PREFIX}hash:{self._dimensions}:{entry_id}"
        pipeline = self._redis.pipeline(transaction=True)
        pipeline.hset(name, mapping={"bucket": bucket, "vector": vector.tobytes()})
        pipeline.pexpire(name, left_ms)
        await pipeline.execute()

    async def remove(self, entry_ids: Sequence[str]) -> None:
        if entry_ids:
            await self._redis.unlink(*(f"{PREFIX}hash:{self._dimensions}:{entry_id}" for entry_id in entry_ids))

    async def count(self) -> int:
        count = 0
        async for _ in self._redis.scan_iter(match=f"{PREFIX}hash:{self._dimensions}:*", count=500):
            count += 1
        return count


def _first_hit(found: Any) -> tuple[str, float] | None:
    """Key and distance of the first result of ``FT.SEARCH``, in either version of Redis's protocol."""
    if isinstance(found, dict):
        results = found.get(b"results") or found.get("results") or ()
        if not results:
            return None
        first = {_text(name): value for name, value in results[0].items()}
        fields = {_text(name): value for name, value in first["extra_attributes"].items()}
        return _text(first["id"]), float(fields["distance"])
    if not found or not found[0]:
        return None
    names = [_text(part) for part in found[2]]
    return _text(found[1]), float(names[names.index("distance") + 1])


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _unavailable(error: Exception) -> CacheUnavailable:
    return CacheUnavailable(f"the vectors' Redis fails: {str(error) or type(error).__name__}")
