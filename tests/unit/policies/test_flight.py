"""A flight: one task, many listeners, a clear end."""

from __future__ import annotations

import asyncio

import pytest

from policies.flight import BACKLOG_BYTES, Flight

pytestmark = pytest.mark.anyio


async def read_all(flight: Flight[str]) -> list[object]:
    listener = flight.listen()
    found = []
    while (event := await listener.get()) is not None:
        found.append(event)
    return found


async def test_every_listener_gets_every_event_in_order() -> None:
    flight: Flight[str] = Flight()
    readers = [asyncio.ensure_future(read_all(flight)) for _ in range(3)]
    await asyncio.sleep(0)

    async def work(f: Flight[str]) -> str:
        for number in range(5):
            f.emit(number)
            await asyncio.sleep(0)
        return "end"

    flight.start(work)
    assert await asyncio.gather(*readers) == [[0, 1, 2, 3, 4]] * 3
    assert await flight.wait() == "end"


async def test_a_late_listener_of_a_replaying_flight_gets_all_of_it() -> None:
    flight: Flight[str] = Flight(replay=True)

    async def work(f: Flight[str]) -> str:
        f.emit("a")
        f.emit("b")
        return "end"

    flight.start(work)
    await flight.wait()
    assert await read_all(flight) == ["a", "b"]


@pytest.mark.parametrize(("on_abandon", "cancelled"), [("cancel", True), ("keep", False)])
async def test_the_last_listener_that_leaves_decides_by_the_terms(on_abandon: str, cancelled: bool) -> None:
    flight: Flight[str] = Flight(on_abandon=on_abandon)  # type: ignore[arg-type]
    gate, started = asyncio.Event(), asyncio.Event()

    async def work(_: Flight[str]) -> str:
        started.set()
        try:
            await gate.wait()
        except asyncio.CancelledError:
            return "cancelled"
        return "finished"

    flight.start(work)
    one, two = flight.listen(), flight.listen()
    await started.wait()
    one.leave()
    await asyncio.sleep(0)
    assert not flight.done
    two.leave()
    gate.set() if not cancelled else None
    assert await flight.wait() == ("cancelled" if cancelled else "finished")


async def test_a_listener_that_leaves_is_woken() -> None:
    flight: Flight[str] = Flight(on_abandon="keep")
    listener = flight.listen()
    waiting = asyncio.ensure_future(listener.get())
    await asyncio.sleep(0)
    listener.leave()
    assert await waiting is None
    assert listener.left


async def test_the_work_waits_for_the_slowest_listener() -> None:
    flight: Flight[str] = Flight()
    emitted: list[int] = []

    async def work(f: Flight[str]) -> str:
        for number in range(4):
            f.emit(number, BACKLOG_BYTES)
            emitted.append(number)
            await f.room()
        return "end"

    fast, slow = flight.listen(), flight.listen()
    flight.start(work)
    for _ in range(2):
        await fast.get()
    for _ in range(5):
        await asyncio.sleep(0)
    assert emitted == [0, 1]
    await slow.get()
    assert await fast.get() == 2
    slow.leave()  # one who leaves holds nobody up
    assert await fast.get() == 3
    assert await flight.wait() == "end"
