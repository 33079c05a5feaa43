"""What ``policies.memory_counters`` remembers between calls must not outlive an edit."""

from __future__ import annotations

import pytest

from policies.counters import Exhausted, Hold, Need
from policies.memory_counters import MemoryCounters
from policies.tiers import Rate, Tier, TierId, Window

pytestmark = pytest.mark.anyio
NOW = 1_800_000_000_000_000_000
HOUR = Window(1, "h")


def tier(kind: str, *rates: Rate) -> Tier:
    return Tier(TierId(kind, "x"), rates=rates)  # type: ignore[arg-type]


async def test_tiers_that_were_found_before_are_judged_by_an_edited_limit() -> None:
    counters = MemoryCounters()
    key = tier("key")
    before = key, tier("team", Rate("requests", 10, HOUR))
    for _ in range(3):
        assert await counters.meter(before, ("requests",), NOW) is None
    narrowed = key, tier("team", Rate("requests", 2, HOUR))
    assert isinstance(await counters.meter(narrowed, ("requests",), NOW), Exhausted)
    assert await counters.meter(before, ("requests",), NOW) is None, (
        "the same key's former limits, as its calls know them"
    )
    assert isinstance(await counters.meter(narrowed, ("requests",), NOW), Exhausted)


async def test_two_keys_of_one_team_share_its_account() -> None:
    counters = MemoryCounters()
    team = tier("team", Rate("requests", 2, HOUR))
    first, second = (Tier(TierId("key", "a")), team), (Tier(TierId("key", "b")), team)
    assert await counters.meter(first, ("requests",), NOW) is None
    assert await counters.meter(second, ("requests",), NOW) is None
    assert isinstance(await counters.meter(first, ("requests",), NOW), Exhausted)


async def test_a_hold_is_settled_on_the_accounts_it_was_taken_from_after_an_edit() -> None:
    counters = MemoryCounters()
    own = (tier("key", Rate("tokens", 100, HOUR)),)
    held = await counters.reserve(own, (), Need("a:1", 0, 60), NOW)
    assert isinstance(held, Hold)
    edited = (tier("key", Rate("tokens", 50, HOUR)),)
    await counters.settle(held, 0, 30)
    (limit,) = await counters.state(edited, NOW)
    assert (limit.limit, limit.used, limit.held) == (50, 30, 0)
    assert not counters.busy()
