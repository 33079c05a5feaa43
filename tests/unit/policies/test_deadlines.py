"""One timer ends what takes too long, in the order in which it began."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from policies.deadlines import FlightDeadlines

pytestmark = pytest.mark.anyio
ENDED: list[str] = []


@dataclass(eq=False)
class Thing:
    name: str
    over: asyncio.Event = field(default_factory=asyncio.Event)

    def expire(self) -> None:
        ENDED.append(self.name)
        self.over.set()


async def test_what_takes_too_long_is_ended_in_its_order_and_what_was_forgotten_is_not() -> None:
    ENDED.clear()
    deadlines = FlightDeadlines()
    first, second, third = Thing("first"), Thing("second"), Thing("third")
    for thing in (first, second, third):
        deadlines.watch(thing, 0.01)
    deadlines.forget(second, 0.01)
    await third.over.wait()
    assert ENDED == ["first", "third"]


async def test_what_may_take_longer_does_not_wait_for_what_may_not() -> None:
    ENDED.clear()
    deadlines = FlightDeadlines()
    long, short = Thing("long"), Thing("short")
    deadlines.watch(long, 600.0)
    deadlines.watch(short, 0.01)
    await short.over.wait()
    assert ENDED == ["short"]


async def test_one_that_comes_after_all_others_have_ended_is_watched_too() -> None:
    ENDED.clear()
    deadlines = FlightDeadlines()
    for name in ("one", "two"):
        thing = Thing(name)
        ends = deadlines.watch(thing, 0.01)
        await thing.over.wait()
        assert asyncio.get_running_loop().time() >= ends - 0.002  # the loop's timers have milliseconds
    assert ENDED == ["one", "two"]


async def test_what_is_forgotten_leaves_nothing_behind() -> None:
    deadlines = FlightDeadlines()
    things = [Thing(str(number)) for number in range(100)]
    for thing in things:
        deadlines.watch(thing, 600.0)
    for thing in things:
        deadlines.forget(thing, 600.0)
    assert deadlines.watched == 0
