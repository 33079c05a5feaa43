"""Redis and memory count alike: the same steps, the same answers, the same use. And neither ever overruns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import redis.asyncio as client
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from policies.counters import Counters, Exhausted, Hold
from policies.memory_counters import MemoryCounters
from policies.outage import CountersUnavailable
from policies.stores.redis_counters import RedisCounters
from policies.tiers import RUN, Budget, Rate, Tier, TierId, Window
from tests.support.money import DAY, HOUR, MINUTE, MONTH, NANO, START_NS, need, tier
from tests.support.services import RedisServer, redis_server

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


WINDOWS = st.sampled_from([MINUTE, HOUR, DAY, Window(1, "w"), MONTH, Window(1, "Y"), Window(2, "h")])
BUDGETS = st.builds(Budget, st.integers(0, 300), WINDOWS)
RATES = st.builds(Rate, st.sampled_from(["requests", "tokens"]), st.integers(0, 40), WINDOWS)
TIERS = st.lists(
    st.tuples(st.lists(st.one_of(BUDGETS, RATES), max_size=3), st.none() | st.integers(1, 4)), min_size=1, max_size=3
)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["meter", "reserve", "reserve", "extend", "settle", "settle", "wait", "back"]),
        st.integers(0, 120),
        st.integers(0, 20),
        st.integers(1, 200_000),
    ),
    max_size=25,
)


async def forget_the_clock(redis: RedisServer) -> None:
    """Cases share one Redis, and each begins at the same time."""
    raw = client.Redis.from_url(redis.url)
    await raw.delete("tk:{tollkeeper}:clock")
    await raw.aclose()


class Script:
    """Runs steps against one store of counters and writes down what it said."""

    def __init__(self, counters: Counters, tiers: list[Tier]) -> None:
        self.counters = counters
        self.own, self.target = tuple(tiers[:-1]), tuple(tiers[-1:])
        self.now = self.latest = START_NS
        self.holds: list[Hold] = []
        self.said: list[Any] = []
        self.number = 0

    async def step(self, action: str, cost: int, tokens: int, seconds: int) -> None:
        if action == "wait":
            self.now += seconds * NANO
            self.latest = max(self.latest, self.now)
        elif action == "back":
            self.now = max(self.now - min(seconds, 60) * NANO, self.latest - 240 * NANO)
        elif action == "meter":
            self.note(await self.counters.meter(self.own, ("requests",), self.now))
        elif action == "reserve":
            self.number += 1
            held = await self.counters.reserve(self.own, self.target, need(f"h{self.number}", cost, tokens), self.now)
            self.note(held)
            if isinstance(held, Hold):
                self.holds.append(held)
        elif action == "extend" and self.holds:
            hold = self.holds[-1]
            grown = await self.counters.extend(hold, hold.cost_nano + cost, hold.tokens + tokens, self.now)
            self.note(grown)
            if isinstance(grown, Hold):
                self.holds[-1] = grown
        elif action == "settle" and self.holds:
            await self.counters.settle(self.holds.pop(0), cost, tokens)

    def note(self, answer: object) -> None:
        if isinstance(answer, Exhausted):
            self.said.append((str(answer.tier), answer.refusal.code, answer.refusal.details.get("used_nano")))
        else:
            self.said.append("held" if isinstance(answer, Hold) else answer)

    async def use(self) -> list[Any]:
        states = await self.counters.state([*self.own, *self.target], self.now)
        return sorted((str(s.tier), s.measure, str(s.window), s.limit, s.used, s.held) for s in states)


_round = iter(range(10**9))


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TIERS, STEPS)
async def test_redis_and_memory_answer_alike(redis: RedisServer, shapes: Any, steps: Any) -> None:
    mark = next(_round)
    await forget_the_clock(redis)
    tiers = [tier("key", f"k{mark}-{i}", *limits, parallel=parallel) for i, (limits, parallel) in enumerate(shapes)]
    tiers.append(tier("provider", f"p{mark}", Rate("requests", 30, MINUTE)))
    shared = RedisCounters(redis.url, lease_ms=10**10)
    scripts = [Script(MemoryCounters(), tiers), Script(shared, tiers)]
    scripts[1].number = scripts[0].number = mark * 1_000
    for step in steps:
        for script in scripts:
            await script.step(*step)
    assert scripts[0].said == scripts[1].said
    assert await scripts[0].use() == await scripts[1].use()
    await shared.close()


@settings(deadline=None)
@given(TIERS, STEPS)
async def test_what_is_held_and_settled_within_its_hold_never_exceeds_a_budget(shapes: Any, steps: Any) -> None:
    tiers = [tier("key", f"k{i}", *limits, parallel=parallel) for i, (limits, parallel) in enumerate(shapes)]
    script = Script(MemoryCounters(), [*tiers, tier("provider", "p")])
    for action, cost, tokens, seconds in steps:
        if action == "settle" and script.holds:
            hold = script.holds.pop(0)
            await script.counters.settle(hold, min(cost, hold.cost_nano), min(tokens, hold.tokens))
        else:
            await script.step(action, cost, tokens, seconds)
        for state in await script.counters.state(tiers, script.now):
            if state.measure in ("cost", "tokens"):
                assert state.used + state.held <= state.limit


async def test_a_run_is_counted_alike_and_ends_alike(redis: RedisServer) -> None:
    run = Tier(
        TierId("run", "k/r"), (Budget(100, RUN),), (Rate("tool_calls", 2, RUN), Rate("model_calls", 9, RUN)),
        lifetime_ns=600 * NANO,
    )  # fmt: skip
    shared = RedisCounters(redis.url)
    await redis.flush()  # its clock only goes forward, and other tests have set it
    for counters in (MemoryCounters(), shared):
        assert await counters.meter([run], ("requests", "tool_calls"), START_NS) is None
        assert await counters.meter([run], ("requests", "tool_calls"), START_NS) is None
        third = await counters.meter([run], ("requests", "tool_calls"), START_NS)
        assert third is not None
        assert (third.refusal.code, third.refusal.details["unit"]) == ("run_limited", "tool_calls")
        assert third.refusal.retry_after_s is None
        assert await counters.meter([run], ("requests", "model_calls"), START_NS) is None
        held = await counters.reserve([run], [], need("run-1", 60), START_NS)
        assert isinstance(held, Hold)
        over = await counters.reserve([run], [], need("run-2", 60), START_NS)
        assert isinstance(over, Exhausted)
        assert (over.refusal.code, over.refusal.reset_at_ns) == ("budget_exceeded", None)
        await counters.settle(held, 60, 0)
        late = await counters.meter([run], ("requests", "model_calls"), START_NS + 601 * NANO)
        assert late is not None
        assert (late.refusal.code, late.refusal.details["unit"]) == ("run_limited", "seconds")
    await shared.close()


async def test_settling_twice_counts_once_and_a_lost_hold_is_still_charged(redis: RedisServer) -> None:
    shared = RedisCounters(redis.url)
    one = tier("key", "twice", Budget(1_000, MONTH))
    held = await shared.reserve([one], [], need("twice-1", 10), START_NS)
    assert isinstance(held, Hold)
    for _ in range(3):
        await shared.settle(held, 7, 0)
    unknown = Hold("never-reserved", (one,), 0, 0, START_NS)
    await shared.settle(unknown, 5, 0)
    (state,) = await shared.state([one], START_NS)
    assert (state.used, state.held) == (12, 0)
    await shared.close()


async def test_the_hold_of_a_dead_process_ends_with_its_lease(redis: RedisServer) -> None:
    shared = RedisCounters(redis.url)
    one = tier("key", "dead", Budget(1_000, MONTH), parallel=1)
    assert isinstance(await shared.reserve([one], [], need("dead-1", 900), START_NS), Hold)
    refused = await shared.reserve([one], [], need("dead-2", 900), START_NS + NANO)
    assert isinstance(refused, Exhausted)
    later = START_NS + 3_600 * NANO
    assert isinstance(await shared.reserve([one], [], need("dead-3", 900), later), Hold)
    await shared.close()


async def test_foreign_data_is_named_and_nothing_is_changed(redis: RedisServer) -> None:
    raw = client.Redis.from_url(redis.url)
    one, broken = tier("key", "fine", Budget(1_000, MONTH)), tier("team", "broken", Budget(1_000, MONTH))
    await raw.set("tk:{tollkeeper}:t:team:broken", b"not ours")
    shared = RedisCounters(redis.url)
    with pytest.raises(CountersUnavailable, match="foreign data"):
        await shared.reserve([one, broken], [], need("foreign-1", 10), START_NS)
    (state,) = await shared.state([one], START_NS)
    assert (state.used, state.held) == (0, 0)
    await raw.set("tk:{tollkeeper}:schema", b"somebody else")
    assert "foreign data" in (await shared.check() or "")
    await raw.aclose()
    await shared.close()


async def test_a_clock_that_was_far_ahead_is_brought_back_with_its_usage(redis: RedisServer) -> None:
    shared = RedisCounters(redis.url)
    one = tier("key", "ahead", Rate("requests", 3, MINUTE), Rate("requests", 100, DAY))
    ten_years = 10 * 365 * 86_400 * NANO
    await forget_the_clock(redis)
    assert await shared.meter([one], ("requests",), START_NS + ten_years) is None
    await forget_the_clock(redis)
    assert await shared.meter([one], ("requests",), START_NS) is None
    assert [state.used for state in await shared.state([one], START_NS)] == [2, 2]
    later = START_NS + 120 * NANO
    assert [state.used for state in await shared.state([one], later)] == [0, 2]
    await shared.close()
