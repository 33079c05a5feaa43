"""Steps that leave together as one script answer as the same steps one after another, and never overrun a limit."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from typing import Any

import pytest
import redis.asyncio as client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from policies.counters import Counters, Exhausted, Hold
from policies.memory_counters import MemoryCounters
from policies.stores.redis_counters import RedisCounters
from policies.tiers import Budget, Rate, Tier, Window
from tests.support.money import DAY, HOUR, MINUTE, MONTH, NANO, START_NS, need, tier
from tests.support.services import RedisServer, redis_server

pytestmark = pytest.mark.anyio

WINDOWS = st.sampled_from([MINUTE, HOUR, DAY, MONTH, Window(2, "h")])
LIMITS = st.one_of(
    st.builds(Budget, st.integers(0, 300), WINDOWS),
    st.builds(Rate, st.sampled_from(["requests", "tokens"]), st.integers(0, 40), WINDOWS),
)
TIERS = st.lists(st.tuples(st.lists(LIMITS, max_size=3), st.none() | st.integers(1, 6)), min_size=2, max_size=3)
STEP = st.tuples(
    st.sampled_from(["meter", "reserve", "reserve", "extend", "settle", "settle"]),
    st.integers(0, 60),
    st.integers(0, 20),
    st.sampled_from([0, 0, 0, 1, 30, 4_000, 90_000]),
)
ROUNDS = st.lists(st.lists(STEP, min_size=1, max_size=12), max_size=6)
"""Steps that come at the same time, each so many seconds after the one before."""


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


class Callers:
    """Many callers of one store. What they hold is settled or extended in a later round, each hold by one of them."""

    def __init__(self, counters: Counters, tiers: list[Tier], *, together: bool) -> None:
        self._counters = counters
        self._tiers = tiers
        # Some pay with all tiers and some with the first alone, so that one batch has several groups.
        self._payers = (tuple(tiers[:-1]), tuple(tiers[:1]))
        self._target = tuple(tiers[-1:])
        self._together = together
        self._now = START_NS
        self._number = 0
        self._holds: list[Hold] = []
        self.said: list[object] = []

    async def round(self, steps: list[tuple[str, int, int, int]]) -> None:
        jobs: list[Coroutine[Any, Any, object]] = []
        for action, cost, tokens, seconds in steps:
            self._now += seconds * NANO
            own = self._payers[cost % 2]
            if action == "meter":
                jobs.append(self._counters.meter(own, ("requests",), self._now))
            elif action == "reserve":
                self._number += 1
                asked = need(f"{self._tiers[0].id}-{self._number}", cost, tokens)
                jobs.append(self._counters.reserve(own, self._target, asked, self._now))
            elif self._holds:
                hold = self._holds.pop(0)
                if action == "extend":
                    jobs.append(self._extend(hold, cost, tokens, self._now))
                else:
                    jobs.append(self._counters.settle(hold, cost, tokens))
        answers = await asyncio.gather(*jobs) if self._together else [await job for job in jobs]
        for answer in answers:
            if isinstance(answer, Hold):
                self._holds.append(answer)
                self.said.append((answer.hold_id, answer.cost_nano, answer.tokens))
            elif isinstance(answer, Exhausted):
                self.said.append((str(answer.tier), answer.refusal.code, answer.refusal.details.get("used_nano")))
            else:
                self.said.append(answer)

    async def _extend(self, hold: Hold, cost: int, tokens: int, now_ns: int) -> object:
        grown = await self._counters.extend(hold, hold.cost_nano + cost, hold.tokens + tokens, now_ns)
        if isinstance(grown, Exhausted):
            self._holds.append(hold)
        return grown

    async def use(self) -> list[Any]:
        states = await self._counters.state(self._tiers, self._now)
        return sorted((str(s.tier), s.measure, str(s.window), s.limit, s.used, s.held) for s in states)


_case = iter(range(10**9))


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TIERS, ROUNDS)
async def test_steps_at_once_on_redis_answer_as_the_same_steps_one_after_another_in_memory(
    redis: RedisServer, shapes: Any, rounds: Any
) -> None:
    mark = next(_case)
    raw = client.Redis.from_url(redis.url)
    await raw.delete("tk:{tollkeeper}:clock")  # cases share one Redis, and each begins at the same time
    await raw.aclose()
    tiers = [tier("key", f"b{mark}-{i}", *limits, parallel=parallel) for i, (limits, parallel) in enumerate(shapes)]
    shared = RedisCounters(redis.url, lease_ms=10**10)
    memory = Callers(MemoryCounters(), tiers, together=False)
    callers = Callers(shared, tiers, together=True)
    for steps in rounds:
        await memory.round(steps)
        await callers.round(steps)
    assert memory.said == callers.said
    assert await memory.use() == await callers.use()
    await shared.close()


@pytest.mark.parametrize("each", [30, 130])
async def test_two_processes_that_ask_at_once_never_exceed_a_limit(redis: RedisServer, each: int) -> None:
    await redis.flush()
    both = [RedisCounters(redis.url), RedisCounters(redis.url)]
    own = (tier("key", f"both{each}", Budget(500, MONTH), Rate("requests", 45, HOUR), parallel=40),)
    target = (tier("provider", "both", Rate("tokens", 10_000, HOUR)),)

    async def call(counters: RedisCounters, name: str) -> str:
        if await counters.meter(own, ("requests",), START_NS) is not None:
            return "not metered"
        held = await counters.reserve(own, target, need(name, 20, 10), START_NS)
        if isinstance(held, Exhausted):
            return held.refusal.code
        await counters.settle(held, 20, 10)
        return "settled"

    ends = await asyncio.gather(*(call(c, f"{each}-{n}-{i}") for i in range(each) for n, c in enumerate(both)))
    assert len(ends) - ends.count("not metered") == 45
    assert ends.count("settled") == 25
    states = await both[0].state((*own, *target), START_NS)
    assert [(s.measure, s.used, s.held) for s in states] == [
        ("cost", 500, 0), ("requests", 45, 0), ("parallel", 0, 0), ("tokens", 250, 0)
    ]  # fmt: skip
    for counters in both:
        await counters.close()
