"""The place where calls wait for an answer: bounded, and each for its own principal."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from mcp_hub.parking import ParkingLot, ParkingRules
from policies.flight import Flight

pytestmark = pytest.mark.anyio

DISPATCH: Any = object()


async def endless(_: Flight[None]) -> None:
    await asyncio.Event().wait()


def under_way() -> Flight[None]:
    flight: Flight[None] = Flight()
    flight.start(endless)
    return flight


async def test_a_call_is_found_by_its_principal_once_and_by_nobody_else() -> None:
    lot = ParkingLot(ParkingRules())
    flight = under_way()
    place = lot.park("alice", flight, DISPATCH)
    assert place is not None
    assert lot.take(place, "bob") is None
    assert lot.take("nowhere", "alice") is None
    found = lot.take(place, "alice")
    assert found is not None
    assert found.flight is flight
    assert lot.take(place, "alice") is None
    flight.cancel()
    await flight.ended()


async def test_each_principal_and_all_together_have_so_many_places() -> None:
    lot = ParkingLot(ParkingRules(per_key=2, total=3))
    flights = [under_way() for _ in range(5)]
    parked = [lot.park(who, f, DISPATCH) for who, f in zip("aaabb", flights, strict=True)]
    assert [place is not None for place in parked] == [True, True, False, True, False]
    for flight in flights:
        flight.cancel()
        await flight.ended()


async def test_a_call_that_nobody_comes_for_is_ended() -> None:
    lot = ParkingLot(ParkingRules(seconds=0.01))
    flight = under_way()
    lot.park("alice", flight, DISPATCH)
    listener = flight.listen()
    listener.leave()
    assert flight.cancelled is None  # leaving does not end a call that waits
    await flight.ended()
    assert flight.cancelled == "caller"
    assert len(lot) == 0
