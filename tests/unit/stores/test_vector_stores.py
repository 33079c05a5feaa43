"""Stores of vectors: the embedded one, Redis 8, and qdrant-client's own engine behave alike; the servers that cannot
run here are met at their wire (a scripted Qdrant, Weaviate and search module)."""

from __future__ import annotations

import math
import random
import time
from array import array
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from qdrant_client import AsyncQdrantClient

from policies.caching.stores import CacheUnavailable, Vector, VectorStore
from policies.stores.embedded_vectors import IN_THREAD, EmbeddedVectors
from policies.stores.qdrant import QdrantVectors
from policies.stores.redis_vectors import RedisVectors
from policies.stores.weaviate import WeaviateVectors
from tests.peers.vector_servers import fake_qdrant, fake_search_module, fake_weaviate
from tests.support.services import REDIS8, RedisServer, redis_server

pytestmark = pytest.mark.anyio

SECOND = 1_000_000_000
DIMENSIONS = 8


@pytest.fixture(scope="module")
def redis8(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis8"), program=REDIS8) as server:
        yield server


@pytest.fixture(params=["embedded", "redis8", "search_module", "qdrant_engine", "qdrant", "weaviate"])
async def store(request: pytest.FixtureRequest, redis8: RedisServer, tmp_path: Path) -> AsyncIterator[VectorStore]:
    async with _open(request.param, redis8, tmp_path) as found:
        await found.start()
        yield found
        await found.close()


class _open:
    """The store of a kind, and the peer that it needs."""

    def __init__(self, kind: str, redis8: RedisServer, tmp_path: Path) -> None:
        self.kind, self.redis8, self.tmp_path, self.peer = kind, redis8, tmp_path, None

    async def __aenter__(self) -> VectorStore:
        if self.kind == "embedded":
            return EmbeddedVectors(self.tmp_path / "v.db", DIMENSIONS, 10_000)
        if self.kind == "redis8":
            await self.redis8.flush()
            return RedisVectors(self.redis8.url, DIMENSIONS)
        if self.kind == "qdrant_engine":
            return QdrantVectors(None, None, DIMENSIONS, AsyncQdrantClient(location=":memory:"))
        peers: dict[str, Any] = {"qdrant": fake_qdrant, "weaviate": fake_weaviate, "search_module": fake_search_module}
        self.peer = peers[self.kind]()
        address = await self.peer.__aenter__()  # type: ignore[attr-defined]
        if self.kind == "search_module":
            return RedisVectors(address, DIMENSIONS)
        made = QdrantVectors if self.kind == "qdrant" else WeaviateVectors
        return made(address, "secret", DIMENSIONS)

    async def __aexit__(self, *raised: object) -> None:
        if self.peer is not None:
            await self.peer.__aexit__(*raised)  # type: ignore[attr-defined]


def vector(*values: float) -> Vector:
    return array("f", [*values, *([0.0] * (DIMENSIONS - len(values)))])


def turned(by: int) -> Vector:
    return vector(math.cos(by / 500), math.sin(by / 500))


def name(text: str) -> bytes:
    return text.encode().ljust(32, b".")


def later(seconds: float = 60) -> int:
    return time.time_ns() + int(seconds * SECOND)


async def test_the_nearest_of_the_bucket_is_found_with_its_cosine(store: VectorStore) -> None:
    await store.add(name("bucket"), name("east"), vector(3, 0), later())
    await store.add(name("bucket"), name("north"), vector(0, 2), later())
    await store.add(name("other"), name("exact"), vector(1, 0.5), later())
    found = await store.nearest(name("bucket"), vector(1, 0.5), time.time_ns())
    assert found is not None
    assert found.entry_id == name("east")
    assert found.similarity == pytest.approx(1 / 1.25**0.5, abs=1e-5)
    assert await store.nearest(name("empty"), vector(1), time.time_ns()) is None


async def test_what_is_removed_is_not_found(store: VectorStore) -> None:
    for text in ("a", "b", "c"):
        await store.add(name("bucket"), name(text), vector(1, len(text)), later())
    await store.remove([name("a"), name("b"), name("unknown")])
    found = await store.nearest(name("bucket"), vector(1, 1), time.time_ns())
    assert found is not None
    assert found.entry_id == name("c")
    assert await store.count() == 1


async def test_a_vector_that_is_added_again_is_one(store: VectorStore) -> None:
    await store.add(name("bucket"), name("a"), vector(1), later())
    await store.add(name("bucket"), name("a"), vector(0, 1), later())
    found = await store.nearest(name("bucket"), vector(0, 1), time.time_ns())
    assert found is not None
    assert found.similarity == pytest.approx(1)
    assert await store.count() == 1


async def test_what_has_expired_is_not_found(tmp_path: Path) -> None:
    embedded = EmbeddedVectors(None, DIMENSIONS, 100)
    engine = QdrantVectors(None, None, DIMENSIONS, AsyncQdrantClient(location=":memory:"))
    for store in (embedded, engine):
        await store.start()
        await store.add(name("bucket"), name("old"), vector(1), 5 * SECOND)
        await store.add(name("bucket"), name("new"), vector(0.5, 1), 50 * SECOND)
        found = await store.nearest(name("bucket"), vector(1), 10 * SECOND)
        assert found is not None
        assert found.entry_id == name("new")
        assert await store.nearest(name("bucket"), vector(1), 60 * SECOND) is None
        await store.close()


async def test_a_dead_member_of_a_redis_set_is_passed_over_and_removed(redis8: RedisServer) -> None:
    await redis8.flush()
    store = RedisVectors(redis8.url, DIMENSIONS)
    await store.add(name("bucket"), name("old"), vector(1), later())
    await store.add(name("bucket"), name("new"), vector(0.5, 1), later())
    await store._redis.delete(f"tk:{{tollkeeper}}:vector:of:{name('old').hex()}")
    found = await store.nearest(name("bucket"), vector(1), time.time_ns())
    assert found is not None
    assert found.entry_id == name("new")
    assert await store._redis.execute_command("VCARD", f"tk:{{tollkeeper}}:vector:set:{name('bucket').hex()}") == 1
    await store.close()


async def test_the_embedded_store_agrees_with_a_plain_search_however_it_grew_and_shrank() -> None:
    dice = random.Random(7)
    store = EmbeddedVectors(None, DIMENSIONS, 10_000)
    kept: dict[bytes, list[float]] = {}
    for step in range(2_000):
        if kept and dice.random() < 0.45:
            gone = dice.choice(sorted(kept))
            del kept[gone]
            await store.remove([gone])
        else:
            values = [dice.gauss(0, 1) for _ in range(DIMENSIONS)]
            kept[name(str(step))] = values
            await store.add(name("bucket"), name(str(step)), vector(*values), later())
        if step % 20 == 0 and kept:
            wanted = [dice.gauss(0, 1) for _ in range(DIMENSIONS)]
            found = await store.nearest(name("bucket"), vector(*wanted), time.time_ns())
            best = max(kept, key=lambda one: _cosine(kept[one], wanted))
            assert found is not None
            assert found.entry_id == best
            assert found.similarity == pytest.approx(_cosine(kept[best], wanted), abs=1e-5)
    assert await store.count() == len(kept)


def _cosine(one: list[float], other: list[float]) -> float:
    dot = sum(a * b for a, b in zip(one, other, strict=True))
    return float(dot / (sum(a * a for a in one) * sum(b * b for b in other)) ** 0.5)


async def test_the_embedded_store_keeps_its_bound_and_survives_its_process(tmp_path: Path) -> None:
    store = EmbeddedVectors(tmp_path / "v.db", DIMENSIONS, IN_THREAD + 100)
    await store.start()
    for at in range(IN_THREAD + 200):
        await store.add(name("bucket"), name(str(at)), turned(at), later(at + 60))
    assert await store.count() == IN_THREAD + 100
    await store.close()
    again = EmbeddedVectors(tmp_path / "v.db", DIMENSIONS, IN_THREAD + 100)
    await again.start()
    assert await again.count() == IN_THREAD + 100
    found = await again.nearest(name("bucket"), turned(1_000), time.time_ns())
    assert found is not None
    assert found.entry_id == name("1000")
    await again.close()
    other = EmbeddedVectors(tmp_path / "v.db", DIMENSIONS + 1, 10)
    await other.start()
    assert await other.count() == 0, "vectors of another length are dropped"
    await other.close()


async def test_a_vector_of_another_length_is_refused_by_name() -> None:
    store = EmbeddedVectors(None, DIMENSIONS + 1, 10)
    with pytest.raises(CacheUnavailable, match="8 numbers came where 9 are kept"):
        await store.add(name("bucket"), name("a"), vector(1), later())


@pytest.mark.parametrize("kind", ["redis", "qdrant", "weaviate"])
async def test_a_server_that_is_not_there_is_told_by_name(kind: str) -> None:
    made: dict[str, Any] = {
        "redis": lambda: RedisVectors("redis://127.0.0.1:9/0", DIMENSIONS),
        "qdrant": lambda: QdrantVectors("http://127.0.0.1:9", None, DIMENSIONS),
        "weaviate": lambda: WeaviateVectors("http://127.0.0.1:9", None, DIMENSIONS),
    }
    store = made[kind]()
    with pytest.raises(CacheUnavailable, match="fails"):
        await store.nearest(name("bucket"), vector(1), time.time_ns())
    await store.close()


async def test_an_older_redis_without_a_search_module_is_refused_by_name(tmp_path: Path) -> None:
    with redis_server(tmp_path / "r") as server:
        store = RedisVectors(server.url, DIMENSIONS)
        with pytest.raises(CacheUnavailable, match="neither vector sets"):
            await store.start()
        await store.close()
