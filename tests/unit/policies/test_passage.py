"""The passage: a straight line, one row per attempt, and a hold that is always settled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from decimal import Decimal
from typing import Any

import pytest

from policies.admission import Grants
from policies.caching.vocabulary import Bypass, Kept
from policies.dispatch import Attempt, Following, Target
from policies.flight import Flight
from policies.identity import VirtualKey
from policies.ledger import LedgerRow
from policies.memory_counters import MemoryCounters
from policies.passage import STRANGER_ROWS, Passage
from policies.pricing import Price, Rates, per_call, per_million
from policies.refusals import model_not_allowed, unknown_key
from policies.runs import ToolUseIndex
from policies.tiers import Budget, Rate, Tier, TierId, Window
from policies.trip import Settled, Terms
from policies.types import CallContext, Estimate, ModelCall, Outcome, Principal, Refusal, ToolCall, Usage

pytestmark = pytest.mark.anyio

MONTH = Window(1, "M")
PRICE = Price(((0, Rates(per_million(Decimal(1)), per_million(Decimal(2)))),), source="configured")
DOLLAR = 1_000_000_000


class Books:
    """A ledger that remembers the order of things."""

    def __init__(self) -> None:
        self.opened: list[LedgerRow] = []
        self.rows: list[LedgerRow] = []

    def open(self, row: LedgerRow) -> None:
        self.opened.append(row)

    def record(self, row: LedgerRow) -> None:
        self.rows.append(row)


class Scripted:
    """A dispatch whose attempt does what the test says."""

    def __init__(self, work: Callable[[Attempt], Coroutine[Any, Any, Outcome]], targets: Sequence[Target]) -> None:
        self.work = work
        self.targets = targets
        self.refusal: Refusal | None = None

    def admit(self, key: VirtualKey) -> Refusal | None:
        return self.refusal

    def route(self, key: VirtualKey) -> Sequence[Target] | Refusal:
        return self.targets

    def estimate(self, target: Target) -> Estimate:
        return Estimate(1_000, 1_000, 10_000)

    def answerable(self, key: VirtualKey) -> Bypass:
        return Bypass("unsupported")

    def replay(self, kept: Kept) -> None:
        return None

    def following(self, attempt: Attempt, outcome: Outcome) -> Following | None:
        rest = list(self.targets[self.targets.index(attempt.target) + 1 :])
        return Following(rest) if outcome.failure == "outage" and rest else None

    async def run(self, attempt: Attempt) -> Outcome:
        return await self.work(attempt)


class House:
    """Everything that a passage needs, small."""

    def __init__(self, *tiers: Tier) -> None:
        self.now = 1_800_000_000 * 1_000_000_000
        self.books = Books()
        self.counters = MemoryCounters()
        self.index = ToolUseIndex(lambda: self.now)
        self.passage = Passage(self.counters, self.books, self.index, lambda: self.now)
        own = tiers or (Tier(TierId("key", "k"), (Budget(DOLLAR, MONTH),)),)
        self.key = VirtualKey(Principal("k"), Grants(), own)
        self.numbers = iter(range(10_000))

    def call(self) -> ModelCall:
        context = CallContext(call_id=f"call{next(self.numbers)}", started_ns=self.now, surface="test", run="r")
        return ModelCall(context=context, operation="chat", model="m")

    async def fly(self, dispatch: Scripted, terms: Terms | None = None) -> Settled | Refusal:
        flight = await self.passage.enter(self.key, self.call(), dispatch, terms or Terms())
        return flight if isinstance(flight, Refusal) else await flight.wait()

    async def used(self) -> dict[str, tuple[int, int]]:
        states = await self.counters.state(self.key.tiers, self.now)
        return {f"{state.tier} {state.measure}": (state.used, state.held) for state in states}


def target(price: Price = PRICE, *tiers: Tier, name: str = "p") -> Target:
    return Target(name, "m", price, tiers)


def answer(usage: Usage | None) -> Callable[[Attempt], Coroutine[Any, Any, Outcome]]:
    async def work(attempt: Attempt) -> Outcome:
        attempt.progress = "sent"
        return Outcome(kind="ok", usage=usage, status=200)

    return work


async def test_a_measured_answer_replaces_the_hold_by_what_it_cost() -> None:
    house = House()
    settled = await house.fly(Scripted(answer(Usage(input_tokens=10, output_tokens=5)), [target()]))
    assert isinstance(settled, Settled)
    assert (settled.row.cost_nano, settled.row.basis) == (10 * 1_000 + 5 * 2_000, "measured")
    assert await house.used() == {"key:k cost": (20_000, 0)}
    assert [row.outcome for row in house.books.opened] == ["interrupted"]
    assert house.books.opened[0].cost_nano == 1_000 * 1_000 + 1_000 * 2_000  # the hold
    assert [row.outcome for row in house.books.rows] == ["ok"]


async def test_the_row_is_opened_before_the_attempt_and_closed_after_it() -> None:
    house = House()

    async def work(attempt: Attempt) -> Outcome:
        assert (len(house.books.opened), len(house.books.rows)) == (1, 0)
        assert (await house.used())["key:k cost"] == (0, 3_000_000)
        return Outcome(kind="failed", code="upstream_unreachable")

    settled = await house.fly(Scripted(work, [target()]))
    assert isinstance(settled, Settled)
    assert (settled.row.cost_nano, settled.row.basis) == (0, "none")
    assert await house.used() == {"key:k cost": (0, 0)}


@pytest.mark.parametrize(
    ("progress", "usage", "seen", "expected"),
    [
        ("unsent", None, 0, (0, 0, 0, "none")),
        ("sent", None, 0, (1_000, 0, 1_000_000, "estimated")),
        ("answering", Usage(input_tokens=50, output_tokens=1), 400, (50, 100, 250_000, "estimated")),
        ("answering", Usage(input_tokens=50, output_tokens=200), 400, (50, 200, 450_000, "estimated")),
    ],
)
async def test_a_cancelled_attempt_is_charged_by_what_is_known(
    progress: Any, usage: Usage | None, seen: int, expected: tuple[int, int, int, str]
) -> None:
    house = House()
    reached = asyncio.Event()

    async def work(attempt: Attempt) -> Outcome:
        attempt.progress, attempt.usage, attempt.output_bytes = progress, usage, seen
        attempt.committed = progress == "answering"
        reached.set()
        await asyncio.Event().wait()
        raise AssertionError

    flight = await house.passage.enter(house.key, house.call(), Scripted(work, [target()]))
    assert isinstance(flight, Flight)
    listener = flight.listen()
    await reached.wait()
    listener.leave()
    row = (await flight.wait()).row
    assert row.outcome == "cancelled"
    assert (row.input_tokens, row.output_tokens, row.cost_nano, row.basis) == expected
    assert await house.used() == {"key:k cost": (expected[2], 0)}


async def test_a_flight_that_is_cancelled_before_its_first_step_is_settled_too() -> None:
    house = House()
    flight = await house.passage.enter(house.key, house.call(), Scripted(answer(None), [target()]))
    assert isinstance(flight, Flight)
    flight.listen().leave()
    await flight.wait()
    assert len(house.books.rows) == 1
    assert (await house.used())["key:k cost"][1] == 0


async def test_a_defect_in_an_executor_settles_and_records() -> None:
    house = House()

    async def work(attempt: Attempt) -> Outcome:
        raise LookupError("a defect")

    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    settled = await house.fly(Scripted(work, [target()]))
    assert isinstance(settled, Settled)
    assert settled.outcome.code == "internal_error"
    assert [str(context["exception"]) for context in told] == ["a defect"]
    assert [(row.outcome, row.code) for row in house.books.rows] == [("failed", "internal_error")]
    assert (await house.used())["key:k cost"][1] == 0


async def test_a_deadline_ends_the_attempt() -> None:
    async def work(attempt: Attempt) -> Outcome:
        await asyncio.Event().wait()
        raise AssertionError

    settled = await House().fly(Scripted(work, [target()]), Terms(deadline_s=0.01))
    assert isinstance(settled, Settled)
    assert (settled.outcome.code, settled.row.outcome) == ("deadline_exceeded", "failed")


async def test_a_refusal_is_a_row_and_costs_nothing() -> None:
    house = House()
    dispatch = Scripted(answer(None), [target()])
    dispatch.refusal = model_not_allowed("m", [])
    assert await house.fly(dispatch) == dispatch.refusal
    (row,) = house.books.rows
    assert (row.outcome, row.code, row.cost_nano, house.books.opened) == ("refused", "model_not_allowed", 0, [])


async def test_an_exhausted_payer_is_final_and_an_exhausted_target_is_skipped() -> None:
    empty = Tier(TierId("provider", "p"), (Budget(0, MONTH),))
    house = House()
    settled = await house.fly(Scripted(answer(Usage(input_tokens=1)), [target(PRICE, empty), target(name="q")]))
    assert isinstance(settled, Settled)
    assert settled.row.provider == "q"
    refused = await house.fly(Scripted(answer(None), [target(PRICE, empty)]))
    assert isinstance(refused, Refusal)
    assert refused.details["tier"] == "provider:p"
    poor = House(Tier(TierId("key", "k"), (Budget(1, MONTH),)))
    refused = await poor.fly(Scripted(answer(None), [target(), target(name="q")]))
    assert isinstance(refused, Refusal)
    assert (refused.code, refused.details["tier"]) == ("budget_exceeded", "key:k")
    assert (await poor.used()) == {"key:k cost": (0, 0)}


async def test_a_strict_tier_holds_all_that_a_call_may_use() -> None:
    strict = Tier(TierId("key", "k"), (Budget(10_000_000, MONTH),), enforcement="strict")
    refused = await House(strict).fly(Scripted(answer(None), [target()]))
    assert isinstance(refused, Refusal)  # 1,000 in and 10,000 out would be $0.021
    loose = Tier(TierId("key", "k"), (Budget(10_000_000, MONTH),))
    assert isinstance(await House(loose).fly(Scripted(answer(Usage()), [target()])), Settled)


async def test_two_hundred_parallel_calls_never_overrun_a_budget_for_fifty() -> None:
    house = House(
        Tier(TierId("key", "k"), (Budget(50 * 3_000_000, MONTH),)),
        Tier(TierId("team", "t"), (Budget(70 * 3_000_000, MONTH),)),
    )
    gate = asyncio.Event()

    async def work(attempt: Attempt) -> Outcome:
        attempt.progress = "sent"
        await gate.wait()
        return Outcome(kind="ok", usage=Usage(input_tokens=1_000, output_tokens=1_000))

    calls = [asyncio.ensure_future(house.fly(Scripted(work, [target()]))) for _ in range(200)]
    while (await house.used())["key:k cost"][1] < 50 * 3_000_000:
        await asyncio.sleep(0)
    gate.set()
    ended = await asyncio.gather(*calls)
    assert sum(isinstance(e, Settled) for e in ended) == 50
    assert await house.used() == {"key:k cost": (150_000_000, 0), "team:t cost": (150_000_000, 0)}
    assert sum(row.cost_nano for row in house.books.rows) == 150_000_000


async def test_in_the_default_mode_the_overshoot_is_what_the_calls_in_flight_exceed_their_holds_by() -> None:
    house = House(Tier(TierId("key", "k"), (Budget(50 * 3_000_000, MONTH),)))
    gate = asyncio.Event()

    async def work(attempt: Attempt) -> Outcome:
        attempt.progress = "sent"
        await gate.wait()
        return Outcome(kind="ok", usage=Usage(input_tokens=1_000, output_tokens=10_000))  # all that was allowed

    calls = [asyncio.ensure_future(house.fly(Scripted(work, [target()]))) for _ in range(200)]
    while (await house.used())["key:k cost"][1] < 50 * 3_000_000:
        await asyncio.sleep(0)
    gate.set()
    ended = await asyncio.gather(*calls)
    rows = [e.row for e in ended if isinstance(e, Settled)]
    assert len(rows) == 50
    overshoot = sum(row.cost_nano for row in rows) - 150_000_000
    assert overshoot == sum(row.cost_nano - row.held_nano for row in rows) == 50 * 9_000 * 2_000
    assert isinstance(await house.fly(Scripted(answer(None), [target()])), Refusal)  # and there it ends


async def test_what_a_keys_answers_teach_is_what_the_next_call_holds() -> None:
    house = House()
    for _ in range(20):
        settled = await house.fly(Scripted(answer(Usage(input_tokens=1_000, output_tokens=100)), [target()]))
        assert isinstance(settled, Settled)
    assert house.books.opened[0].output_tokens == 1_000
    assert 100 <= house.books.opened[-1].output_tokens < 200
    other = await house.fly(Scripted(answer(None), [Target("p", "another", PRICE)]))
    assert isinstance(other, Settled)
    assert house.books.opened[-1].output_tokens == 1_000


async def test_a_caller_who_leaves_between_two_attempts_ends_the_second() -> None:
    house = House()
    seen: list[int] = []

    async def work(attempt: Attempt) -> Outcome:
        seen.append(attempt.number)
        attempt.progress = "sent"
        if attempt.number == 1:
            return Outcome(kind="failed", code="upstream_error", status=503, failure="outage")
        await asyncio.Event().wait()
        raise AssertionError

    flight = await house.passage.enter(house.key, house.call(), Scripted(work, [target(), target(name="q")]))
    assert isinstance(flight, Flight)
    listener = flight.listen()
    settle = house.counters.settle

    async def leaving(hold: Any, cost: int, tokens: int) -> None:
        listener.leave()
        await settle(hold, cost, tokens)

    house.counters.settle = leaving  # type: ignore[method-assign]
    settled = await flight.wait()
    assert settled.outcome.kind == "cancelled"
    assert [row.attempt for row in house.books.rows] == [1, 2]
    assert (await house.used())["key:k cost"][1] == 0


async def test_request_rates_count_on_all_tiers_or_on_none() -> None:
    hour = Window(1, "h")
    house = House(
        Tier(TierId("key", "k"), rates=(Rate("requests", 5, hour),)),
        Tier(TierId("team", "t"), rates=(Rate("requests", 3, hour),)),
    )
    ended = [await house.fly(Scripted(answer(Usage()), [target()])) for _ in range(5)]
    assert [isinstance(e, Settled) for e in ended] == [True] * 3 + [False] * 2
    assert await house.used() == {"key:k requests": (3, 0), "team:t requests": (3, 0)}


async def test_a_tools_price_is_charged_once_the_request_was_sent() -> None:
    house = House()
    dispatch = Scripted(answer(None), [target(per_call(Decimal("0.001")))])
    context = CallContext(call_id="t", started_ns=house.now, surface="mcp")
    flight = await house.passage.enter(house.key, ToolCall(context=context, server="s", name="t"), dispatch)
    assert isinstance(flight, Flight)
    row = (await flight.wait()).row
    assert (row.cost_nano, row.basis, row.target) == (1_000_000, "configured", "s/t")


async def test_a_tool_use_is_found_by_its_own_key_only_and_for_a_while() -> None:
    house = House()

    async def work(attempt: Attempt) -> Outcome:
        attempt.tool_use("toolu_1")
        return Outcome(kind="ok")

    await house.fly(Scripted(work, [target()]))
    asked = house.index.find("k", "toolu_1")
    assert asked is not None
    assert (asked.call_id, asked.run) == ("call0", "r")
    assert house.index.find("other", "toolu_1") is None
    house.now += 3_600 * 1_000_000_000
    assert house.index.find("k", "toolu_1") is None


async def test_a_flood_of_strangers_does_not_fill_the_ledger() -> None:
    house = House()
    for _ in range(1_000):
        house.passage.refuse(None, house.call(), unknown_key())
    assert len(house.books.rows) == STRANGER_ROWS
    house.passage.refuse(house.key, house.call(), unknown_key())
    house.now += 1_000_000_000
    house.passage.refuse(None, house.call(), unknown_key())
    assert len(house.books.rows) == STRANGER_ROWS + 2
