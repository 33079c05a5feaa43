"""Kept answers in Redis, for several gateways (``policies.caching.stores.AnswerStore``).

An entry is one hash: ``meta`` and ``data``, with Redis's own expiry. Removing goes over all entries: an operator's
rare wish may take time, a call's look-up must not. A Redis that fails is asked again after a pause, so that no call
waits for it twice; the answers go on without a cache meanwhile.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TypeAlias, cast

import msgspec
import redis.asyncio as redis
import structlog
from redis.exceptions import RedisError

from policies.caching.stores import CacheUnavailable, StoreStats
from policies.caching.vocabulary import Entry, Selector

log = structlog.get_logger("tollkeeper.cache")

PREFIX = b"tk:{tollkeeper}:answer:"
TIMEOUT_S = 0.5
PAUSE_S = 5.0
"""Seconds without questions after a failure."""
PAGE = 500
Found: TypeAlias = "list[bytes | None]"
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Entry).decode


class RedisAnswers:
    """Composed where ``stores.cache`` is a Redis. What is being written is answered from here: two calls in a row
    must not miss because the first one's answer is still on its way."""

    def __init__(self, url: str, entry_bytes: int, clock: Callable[[], int]) -> None:
        self._redis: redis.Redis = redis.Redis.from_url(
            url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S, retry=None
        )
        self._entry_bytes = entry_bytes
        self._clock = clock
        self._writing: dict[bytes, Entry] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.failing: str | None = None
        self._again_s = 0.0

    async def start(self) -> None:
        """Nothing to open."""

    async def get(self, entry_id: bytes) -> Entry | None:
        entry = self._writing.get(entry_id)
        if entry is None:
            if time.monotonic() < self._again_s:
                return None
            try:
                meta, data = cast(Found, await self._redis.hmget(PREFIX + entry_id, "meta", "data"))
            except (RedisError, OSError, TimeoutError) as error:
                self._failed(error)
                return None
            self.failing = None
            if meta is None or data is None:
                return None
            entry = msgspec.structs.replace(_decode(meta), data=data)
        return entry if entry.expires_ns > self._clock() else None

    def put(self, entry: Entry) -> None:
        if entry.size > self._entry_bytes or time.monotonic() < self._again_s:
            return
        self._writing[entry.id] = entry
        task = asyncio.get_running_loop().create_task(self._write(entry))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def remove(self, wanted: Selector) -> Sequence[bytes]:
        gone = [entry.id async for entry in self.entries() if wanted.matches(entry)]
        try:
            for start in range(0, len(gone), PAGE):
                await self._redis.unlink(*(PREFIX + entry_id for entry_id in gone[start : start + PAGE]))
        except (RedisError, OSError, TimeoutError) as error:
            raise CacheUnavailable(f"the store of kept answers fails: {error}") from None
        return gone

    async def entries(self) -> AsyncIterator[Entry]:
        await self._written()
        cursor = 0
        try:
            while True:
                cursor, names = await self._redis.scan(cursor, match=PREFIX + b"*", count=PAGE)
                if names:
                    pipeline = self._redis.pipeline(transaction=False)
                    for name in names:
                        pipeline.hget(name, "meta")
                    for meta in await pipeline.execute():
                        if meta is not None:
                            yield _decode(meta)
                if cursor == 0:
                    return
        except (RedisError, OSError, TimeoutError) as error:
            raise CacheUnavailable(f"the store of kept answers fails: {error}") from None

    async def stats(self) -> StoreStats:
        count = size = 0
        try:
            async for entry in self.entries():
                count, size = count + 1, size + entry.size
        except CacheUnavailable as error:
            return StoreStats(store="redis", entries=count, bytes=size, failing=str(error))
        return StoreStats(store="redis", entries=count, bytes=size, failing=self.failing)

    async def close(self) -> None:
        await self._written()
        await self._redis.aclose()

    async def _written(self) -> None:
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _write(self, entry: Entry) -> None:
        left_ms = max(1, (entry.expires_ns - self._clock()) // 1_000_000)
        name = PREFIX + entry.id
        pipeline = self._redis.pipeline(transaction=True)
        pipeline.hset(name, mapping={"meta": _encode(msgspec.structs.replace(entry, data=b"")), "data": entry.data})
        pipeline.pexpire(name, left_ms)
        try:
            await pipeline.execute()
        except (RedisError, OSError, TimeoutError) as error:
            self._failed(error)
        finally:
            if self._writing.get(entry.id) is entry:
                del self._writing[entry.id]

    def _failed(self, error: Exception) -> None:
        reason = str(error) or type(error).__name__
        if self.failing is None:
            log.warning("cache_store_fails", reason=reason)
        self.failing = reason
        self._again_s = time.monotonic() + PAUSE_S
