"""The look-up step: who leads, who joins, what is kept, and what a clearing does to answers under way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import pytest

from policies.admission import Grants
from policies.caching.cache import Cache
from policies.caching.local_answers import Bounds, LocalAnswers
from policies.caching.policy import CachePolicy
from policies.caching.vocabulary import NO_WISH, Answerable, Bypass, Kept, Replayed, Selector, Wish
from policies.dispatch import Attempt, Target
from policies.flight import MOST_BEHIND, Flight
from policies.grants import Grant
from policies.identity import VirtualKey
from policies.look_up import Entered, Follower
from policies.memory_counters import MemoryCounters
from policies.passage import Passage
from policies.pricing import per_call
from policies.runs import ToolUseIndex
from policies.tiers import Budget, Tier, TierId, Window
from policies.trip import Settled, Terms
from policies.types import CallContext, Estimate, ModelCall, Outcome, Principal, Refusal, ToolCall, Usage
from tests.unit.policies.test_passage import PRICE, Books

pytestmark = pytest.mark.anyio

DOLLAR = 1_000_000_000
Work = Callable[[Attempt], Awaitable[Outcome]]


class Scripted:
    """A call whose answer is what the test says, and whose question is ``question``."""

    def __init__(self, work: Work, question: bytes = b"q") -> None:
        self.work, self.question = work, question
        self.attempts = 0

    def admit(self, key: VirtualKey) -> Refusal | None:
        return None

    def route(self, key: VirtualKey) -> Any:
        return (Target("p", "m", PRICE),)

    def estimate(self, target: Target) -> Estimate:
        return Estimate(1_000, 1_000, 10_000)

    def answerable(self, key: VirtualKey) -> Answerable | Bypass:
        return Answerable(fields={"question": self.question})

    def following(self, attempt: Attempt, outcome: Outcome) -> None:
        return None

    def replay(self, kept: Kept) -> Replayed | None:
        return Replayed(kept.data)

    async def run(self, attempt: Attempt) -> Outcome:
        self.attempts += 1
        attempt.progress = "sent"
        return await self.work(attempt)


def good(data: bytes = b"answer", **kept: Any) -> Outcome:
    usage = Usage(input_tokens=10, output_tokens=5)
    return Outcome(kind="ok", reply=data, status=200, usage=usage, kept=Kept(form="body", data=data, **kept))


async def answers(attempt: Attempt) -> Outcome:
    return good()


class House:
    def __init__(self, **policy: Any) -> None:
        self.now = 1_900_000_000 * DOLLAR
        self.books = Books()
        self.policy = CachePolicy(enabled=True, always=True, **policy)
        store = LocalAnswers(None, Bounds(10**6, 10**6, 100), self.clock)
        self.cache = Cache(self.policy, store, None, self.clock, 10**6)
        index = ToolUseIndex(self.clock)
        self.passage = Passage(MemoryCounters(), self.books, index, self.clock, cache=self.cache)
        self.calls = 0

    def clock(self) -> int:
        self.now += 1
        return self.now

    def key(self, name: str = "k", budget: int = 100 * DOLLAR, team: str | None = None) -> VirtualKey:
        return VirtualKey(
            Principal(name, team), Grants(), (Tier(TierId("key", name), (Budget(budget, Window(1, "M")),)),)
        )

    async def enter(self, dispatch: Scripted, key: VirtualKey, wish: Wish = NO_WISH) -> Entered:
        self.calls += 1
        context = CallContext(call_id=f"c{self.calls}", started_ns=self.now, surface="test")
        call = ModelCall(context=context, operation="chat", model="m")
        return await self.passage.enter(key, call, dispatch, Terms(), self.passage.plan(key, call, dispatch, wish))

    async def settled(self, dispatch: Scripted, key: VirtualKey, wish: Wish = NO_WISH) -> Settled:
        entered = await self.enter(dispatch, key, wish)
        assert not isinstance(entered, Refusal)
        return entered if isinstance(entered, Settled) else await entered.wait()


async def test_a_thousand_identical_calls_make_one_attempt_and_a_row_each() -> None:
    house, gate = House(), asyncio.Event()

    async def slow(attempt: Attempt) -> Outcome:
        await gate.wait()
        return good()

    dispatch, key = Scripted(slow), house.key()
    entered = await asyncio.gather(*(house.enter(dispatch, key) for _ in range(1_000)))
    assert sum(isinstance(one, Follower) for one in entered) == 999
    gate.set()
    ended = await asyncio.gather(*(one.wait() for one in entered if not isinstance(one, Settled | Refusal)))
    assert dispatch.attempts == 1
    assert {one.outcome.reply for one in ended} == {b"answer"}
    assert len({one.row.call_id for one in ended}) == len(house.books.rows) == 1_000
    assert sum(row.cost_nano for row in house.books.rows) == 20_000
    assert sum(row.saved_nano for row in house.books.rows) == 999 * 20_000


async def test_two_tenants_with_one_question_make_two_attempts() -> None:
    house, dispatch = House(), Scripted(answers)
    for name in ("a", "b", "a", "b"):
        await house.settled(dispatch, house.key(name))
    assert dispatch.attempts == 2


async def test_what_a_leader_is_refused_is_its_own_and_the_next_one_leads() -> None:
    house = House(scope="team")
    dispatch = Scripted(answers)
    poor, rich = house.key("poor", 1, "t"), house.key("rich", team="t")
    first, second = await asyncio.gather(house.enter(dispatch, poor), house.enter(dispatch, rich))
    assert isinstance(first, Refusal)
    assert isinstance(second, Flight)
    assert (await second.wait()).outcome.reply == b"answer"
    assert [row.outcome for row in house.books.rows] == ["refused", "ok"]


async def test_followers_share_a_failure_and_pay_nothing_and_it_is_not_kept() -> None:
    house, gate = House(), asyncio.Event()

    async def fails(attempt: Attempt) -> Outcome:
        await gate.wait()
        return Outcome(kind="failed", code="upstream_error", status=500)

    dispatch, key = Scripted(fails), house.key()
    entered = [await house.enter(dispatch, key) for _ in range(3)]
    gate.set()
    ended = [await one.wait() for one in entered if not isinstance(one, Settled | Refusal)]
    assert [one.row.outcome for one in ended] == ["failed"] * 3
    assert sum(row.cost_nano + row.saved_nano for row in house.books.rows) == 0
    dispatch.work = answers
    assert (await house.settled(dispatch, key)).row.cache == "miss"


async def test_a_defect_reaches_every_follower_as_an_outcome() -> None:
    house, gate = House(), asyncio.Event()
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)

    async def breaks(attempt: Attempt) -> Outcome:
        await gate.wait()
        raise ValueError("a bug")

    dispatch, key = Scripted(breaks), house.key()
    entered = [await house.enter(dispatch, key) for _ in range(2)]
    gate.set()
    ended = [await one.wait() for one in entered if not isinstance(one, Settled | Refusal)]
    assert [one.outcome.code for one in ended] == ["internal_error"] * 2


async def test_a_follower_that_left_is_a_cancelled_row_and_the_last_to_leave_cancels() -> None:
    house, never = House(), asyncio.Event()

    async def hangs(attempt: Attempt) -> Outcome:
        await never.wait()
        return good()

    dispatch, key = Scripted(hangs), house.key()
    leader, follower = await house.enter(dispatch, key), await house.enter(dispatch, key)
    assert isinstance(leader, Flight)
    assert isinstance(follower, Follower)
    listener = leader.listen()
    await asyncio.sleep(0)
    leader.cancel()
    listener.leave()
    await asyncio.sleep(0)
    assert not leader.done, "somebody still waits for it"
    follower.cancel()
    await leader.ended()
    assert [row.outcome for row in house.books.rows] == ["cancelled", "cancelled"]


async def test_a_follower_that_does_not_read_holds_up_nobody() -> None:
    house, written = House(), 0

    async def streams(attempt: Attempt) -> Outcome:
        nonlocal written
        for _ in range(100):
            attempt.emit(b"x", MOST_BEHIND // 50)
            written += 1
            await attempt.room()
        return good()

    dispatch, key = Scripted(streams), house.key()
    leader = await house.enter(dispatch, key)
    lazy = await house.enter(dispatch, key)
    assert isinstance(leader, Flight)
    assert isinstance(lazy, Follower)
    listener = leader.listen()
    while await listener.get() is not None:
        pass
    assert written == 100
    assert lazy.left
    assert (await lazy.wait()).row.outcome == "cancelled"


async def test_a_flight_that_has_said_too_much_is_not_joined_any_more() -> None:
    house, gate = House(), asyncio.Event()

    async def streams(attempt: Attempt) -> Outcome:
        attempt.emit(b"x", 2 * 1024 * 1024)
        await gate.wait()
        return good()

    dispatch, key = Scripted(streams), house.key()
    first = await house.enter(dispatch, key)
    await asyncio.sleep(0)
    second = await house.enter(dispatch, key)
    assert isinstance(first, Flight)
    assert isinstance(second, Flight)
    gate.set()
    await asyncio.gather(first.wait(), second.wait())
    assert dispatch.attempts == 2


@pytest.mark.parametrize(
    ("kept", "policy", "found"),
    [
        ({}, {}, True),
        ({"calls_tools": True}, {}, False),
        ({"calls_tools": True}, {"tool_answers": True}, True),
        ({"ttl_s": 0}, {}, False),
        ({"ttl_s": -5}, {}, False),
        ({"ttl_s": 10**9}, {}, True),
    ],
)
async def test_what_is_kept(kept: dict[str, Any], policy: dict[str, Any], found: bool) -> None:
    house = House(**policy)

    async def work(attempt: Attempt) -> Outcome:
        return good(**kept)

    dispatch = Scripted(work)
    await house.settled(dispatch, house.key())
    assert ((await house.settled(dispatch, house.key())).row.cache == "exact") == found


async def test_an_answers_own_hint_shortens_and_never_lengthens() -> None:
    for hint, gone_after in ((2.0, 2), (1_000.0, 300)):
        house = House(ttl_s=300)

        async def work(attempt: Attempt, hint: float = hint) -> Outcome:
            return good(ttl_s=hint)

        dispatch = Scripted(work)
        await house.settled(dispatch, house.key())
        house.now += (gone_after - 1) * DOLLAR
        assert (await house.settled(dispatch, house.key())).row.cache == "exact"
        house.now += 2 * DOLLAR
        assert (await house.settled(dispatch, house.key())).row.cache == "miss"


async def test_an_answer_under_way_when_its_kind_is_forgotten_is_not_kept() -> None:
    for wanted, cache in ((Selector(key="k"), "miss"), (Selector(key="other"), "exact")):
        house, gate = House(), asyncio.Event()

        async def slow(attempt: Attempt, gate: asyncio.Event = gate) -> Outcome:
            await gate.wait()
            return good()

        dispatch = Scripted(slow)
        entered = await house.enter(dispatch, house.key())
        assert isinstance(entered, Flight)
        await house.cache.clear(wanted)
        gate.set()
        await entered.wait()
        assert (await house.settled(dispatch, house.key())).row.cache == cache


async def test_a_hit_is_no_reservation_and_no_budget() -> None:
    house, dispatch = House(), Scripted(answers)
    key = house.key(budget=3_010_000)  # one hold, not two
    assert (await house.settled(dispatch, key)).row.cost_nano == 20_000
    assert isinstance(await house.enter(Scripted(answers, b"other"), key), Refusal)
    for _ in range(3):
        assert (await house.settled(dispatch, key)).row.outcome == "cached"


async def test_a_call_of_the_same_text_of_another_kind_is_another_call() -> None:
    house = House(tools=((Grant.of(["*"]), 60),))
    key = house.key()
    tool = Scripted(answers)
    tool.route = lambda key: (Target("s", "t", per_call(Decimal(1))),)  # type: ignore[method-assign]
    await house.settled(Scripted(answers), key)
    call = ToolCall(context=CallContext(call_id="t", started_ns=house.now, surface="x"), server="", name="m")
    plan = house.passage.plan(key, call, tool, NO_WISH)
    entered = await house.passage.enter(key, call, tool, Terms(), plan)
    assert isinstance(entered, Flight)
    await entered.wait()
