"""Deadlines that share a timer: each ends in its turn, and only what is still open ends at all."""

from __future__ import annotations

import asyncio

import pytest

from mcp_hub.upstream.deadline import Deadline, Deadlines

pytestmark = pytest.mark.anyio


class _Noted(Deadline):
    """Notes its name when it expires."""

    __slots__ = ("into", "name")

    def __init__(self, deadlines: Deadlines, seconds: float, name: str, into: asyncio.Queue[str]) -> None:
        super().__init__(deadlines, seconds)
        self.name = name
        self.into = into

    def expire(self) -> None:
        self.into.put_nowait(self.name)


@pytest.fixture
async def passed() -> asyncio.Queue[str]:
    return asyncio.Queue()


async def test_the_shorter_deadline_ends_first_whichever_began_first(passed: asyncio.Queue[str]) -> None:
    deadlines = Deadlines()
    for name, seconds in (("long", 0.06), ("short", 0.0), ("middle", 0.03)):
        _Noted(deadlines, seconds, name, passed)
    assert [await passed.get() for _ in range(3)] == ["short", "middle", "long"]


async def test_a_request_that_ended_does_not_expire_any_more(passed: asyncio.Queue[str]) -> None:
    deadlines = Deadlines()
    _Noted(deadlines, 0.0, "answered", passed).stop()
    _Noted(deadlines, 0.02, "silent", passed)
    assert await passed.get() == "silent"
    assert passed.empty()


async def test_a_deadline_stands_still_until_every_question_is_answered(passed: asyncio.Queue[str]) -> None:
    deadlines = Deadlines()
    asked = _Noted(deadlines, 0.0, "asked", passed)
    asked.pause()
    asked.pause()
    asked.resume()
    asked.progressed()
    _Noted(deadlines, 0.02, "other", passed)
    assert await passed.get() == "other"
    assert passed.empty()
    asked.resume()
    assert await passed.get() == "asked"


async def test_progress_begins_the_time_anew(passed: asyncio.Queue[str]) -> None:
    deadlines = Deadlines()
    alive = _Noted(deadlines, 0.02, "alive", passed)
    before = alive.ends_at
    _Noted(deadlines, 0.01, "silent", passed)
    assert await passed.get() == "silent"
    alive.progressed()
    assert alive.ends_at > before
    assert await passed.get() == "alive"


async def test_what_is_under_way_when_a_session_closes_still_expires(passed: asyncio.Queue[str]) -> None:
    deadlines = Deadlines()
    _Noted(deadlines, 0.0, "late", passed)
    deadlines.close()
    assert await passed.get() == "late"
