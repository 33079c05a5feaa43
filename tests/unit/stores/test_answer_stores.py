"""Stores of kept answers, each with its real engine: a file, memory, Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from policies.caching.local_answers import Bounds, LocalAnswers
from policies.caching.stores import AnswerStore, CacheUnavailable
from policies.caching.vocabulary import ENTRY_BYTES, Entry, Selector
from policies.stores.answer_file import SqliteAnswers
from policies.stores.redis_answers import RedisAnswers
from tests.support.services import RedisServer, redis_server

pytestmark = pytest.mark.anyio

SECOND = 1_000_000_000
MIB = 1024 * 1024


@dataclass
class Clock:
    now: int = 1_900_000_000 * SECOND

    def __call__(self) -> int:
        return self.now


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(params=["memory", "sqlite", "redis"])
async def opened(request: pytest.FixtureRequest, redis: RedisServer, tmp_path: Path) -> AsyncIterator[Any]:
    """A way to open the same store again."""
    await redis.flush()

    @asynccontextmanager
    async def again(clock: Clock, **bounds: int) -> AsyncIterator[AnswerStore]:
        store: AnswerStore
        if request.param == "redis":
            store = RedisAnswers(redis.url, bounds.get("entry_bytes", MIB), clock)
        else:
            file = SqliteAnswers(tmp_path / "a.db", bounds.get("file_bytes", MIB), bounds.get("entries", 100))
            limits = Bounds(bounds.get("memory_bytes", MIB), bounds.get("entry_bytes", MIB), bounds.get("entries", 100))
            store = LocalAnswers(file if request.param == "sqlite" else None, limits, clock)
        await store.start()
        try:
            yield store
        finally:
            await store.close()

    again.kind = request.param  # type: ignore[attr-defined]
    yield again


def entry(name: str, now: int, *, ttl: int = 60, size: int = 10, **fields: Any) -> Entry:
    given: dict[str, Any] = {"kind": "model", "subject": "m", "partition": "key:k", "key": "k", "form": "body"}
    given |= fields
    data = b"x" * size
    return Entry(id=name.encode() * 4, created_ns=now, expires_ns=now + ttl * SECOND, data=data, **given)


async def test_an_entry_is_found_whole_until_it_expires(opened: Any) -> None:
    clock = Clock()
    async with opened(clock) as store:
        kept = entry("a", clock.now, tags=("t",), fields={"f": "1"}, ids=("i",), places=((0, 1, 0),), cost_nano=5)
        store.put(kept)
        assert await store.get(kept.id) == kept
        assert await store.get(b"other") is None
        clock.now += 61 * SECOND
        assert await store.get(kept.id) is None


async def test_only_memory_forgets_at_the_end(opened: Any) -> None:
    clock = Clock()
    kept = entry("a", clock.now)
    async with opened(clock) as store:
        store.put(kept)
    async with opened(clock) as store:
        assert await store.get(kept.id) == (None if opened.kind == "memory" else kept)
        assert [e.id async for e in store.entries()] == ([] if opened.kind == "memory" else [kept.id])


async def test_what_is_removed_is_gone_everywhere(opened: Any) -> None:
    clock = Clock()
    kept = {
        "a": entry("a", clock.now, key="k1", tags=("red", "big")),
        "b": entry("b", clock.now, key="k2", kind="tool", subject="srv/get"),
        "c": entry("c", clock.now, key="k1", cache_key="ck", subject="n", partition="team:t#ck"),
    }
    cases: list[tuple[Selector, set[str]]] = [
        (Selector(key="k1"), {"a", "c"}),
        (Selector(tag="red"), {"a"}),
        (Selector(tool="srv/get"), {"b"}),
        (Selector(server="srv"), {"b"}),
        (Selector(server="sr"), set()),
        (Selector(model="n"), {"c"}),
        (Selector(model="srv/get"), set()),
        (Selector(cache_key="ck"), {"c"}),
        (Selector(partition="team:t#ck"), {"c"}),
        (Selector(id=kept["a"].id.hex()), {"a"}),
        (Selector(key="k1", tag="none"), set()),
        (Selector(), {"a", "b", "c"}),
    ]
    for wanted, expected in cases:
        async with opened(clock) as store:
            for one in kept.values():
                store.put(one)
            assert set(await store.remove(wanted)) == {kept[name].id for name in expected}, wanted
            for name, one in kept.items():
                assert (await store.get(one.id) is None) == (name in expected)
            await store.remove(Selector())
    async with opened(clock) as store:
        assert [e async for e in store.entries()] == []


async def test_an_entry_that_is_too_large_is_passed_over(opened: Any) -> None:
    clock = Clock()
    async with opened(clock, entry_bytes=ENTRY_BYTES + 100) as store:
        store.put(entry("a", clock.now, size=100))
        store.put(entry("b", clock.now, size=101))
        assert await store.get(b"aaaa") is not None
        assert await store.get(b"bbbb") is None


async def test_memory_evicts_what_was_used_longest_ago() -> None:
    clock = Clock()
    store = LocalAnswers(None, Bounds(3 * (ENTRY_BYTES + 10), MIB, 100), clock)
    for name in "abc":
        store.put(entry(name, clock.now))
    await store.get(b"aaaa")
    store.put(entry("d", clock.now))
    assert [name for name in "abcd" if await store.get(name.encode() * 4) is not None] == ["a", "c", "d"]


async def test_the_file_keeps_its_bounds_and_gives_back_what_memory_evicted(tmp_path: Path) -> None:
    clock = Clock()
    file = SqliteAnswers(tmp_path / "a.db", 3 * (ENTRY_BYTES + 10), 100)
    store = LocalAnswers(file, Bounds(ENTRY_BYTES + 10, MIB, 100), clock)
    await store.start()
    for name in "abcd":
        clock.now += 1
        store.put(entry(name, clock.now))
    await store.close()
    store = LocalAnswers(
        SqliteAnswers(tmp_path / "a.db", 3 * (ENTRY_BYTES + 10), 100), Bounds(ENTRY_BYTES + 10, MIB, 100), clock
    )
    await store.start()
    assert [name for name in "abcd" if await store.get(name.encode() * 4) is not None] == ["b", "c", "d"]
    assert (await store.stats()).entries == 3
    await store.close()


async def test_a_file_of_another_layout_is_emptied(tmp_path: Path) -> None:
    clock = Clock()
    file = SqliteAnswers(tmp_path / "a.db", MIB, 100)
    file.open(clock.now)
    file.write([entry("a", clock.now)], clock.now)
    file._db.execute("PRAGMA user_version=99")
    file.close()
    assert SqliteAnswers(tmp_path / "a.db", MIB, 100).open(clock.now) == {}


async def test_a_file_that_cannot_be_used_leaves_memory_working_and_is_told(tmp_path: Path) -> None:
    clock = Clock()
    store = LocalAnswers(SqliteAnswers(tmp_path, MIB, 100), Bounds(MIB, MIB, 100), clock)
    await store.start()
    store.put(entry("a", clock.now))
    assert await store.get(b"aaaa") is not None
    assert "fails" in ((await store.stats()).failing or "")
    await store.close()


async def test_a_redis_that_is_gone_is_a_miss_and_told_and_forgetting_is_refused(tmp_path: Path) -> None:
    clock = Clock()
    with redis_server(tmp_path / "r") as server:
        store = RedisAnswers(server.url, MIB, clock)
        store.put(entry("a", clock.now))
        assert await store.get(b"aaaa") is not None
        await store._written()
        server.stop()
        assert await store.get(b"aaaa") is None
        assert (await store.stats()).failing
        with pytest.raises(CacheUnavailable):
            await store.remove(Selector())
        await store.close()
