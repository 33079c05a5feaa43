"""A guard against slowness that no clock is needed for: how much is done for one call, counted.

A call is made at the outer door of a composed gateway, with keys, grants, four tiers, the ledger and metrics, against
a mock in another process. What is counted are calls of functions on the loop's thread, in Python and in C: the same
on a slow and a fast, a busy and an idle machine. The bounds are a tenth above what was counted when they were set;
whoever breaks one has made every call dearer and should know why.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from collections.abc import AsyncIterator, Callable, MutableMapping
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from bench.gate import KEY, YAML, mock
from bench.scenarios import CHAT, HIT, MESSAGES, STREAM
from bench.surfaces import CACHE
from gateway.composition import Gateway
from gateway.config.loader import load
from gateway.state import StateDir

pytestmark = pytest.mark.anyio

CALLS = 40
MOST = {"chat": 537, "messages": 537, "stream": 1030, "hit": 288}
"""Function calls of one call, by scenario. Of a stream's, two hundred are ``bytes.find``: ``in`` is no call, searches the
same, and before that makes an exception and throws it away."""


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, bool]]:
    return "asyncio", {"use_uvloop": True}


@pytest.fixture(scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    directory = tmp_path_factory.mktemp("work")
    async with mock() as port:
        config = directory / "tollkeeper.yaml"
        config.write_text(YAML.format(port=port, key=KEY, more=CACHE))
        made = Gateway(load(config, os.environ).config, StateDir.prepare(Path(directory / "state")), "127.0.0.1")
        await made.start()
        yield made
        await made.stop()


async def call(gateway: Gateway, scenario: Any) -> None:
    """As our server's protocol makes it: one message with the whole body, and word of a departure."""
    messages = [{"type": "http.request", "body": scenario.body, "more_body": False}]
    sent: list[MutableMapping[str, Any]] = []
    fields = (("host", "127.0.0.1"), ("authorization", f"Bearer {KEY}"), *scenario.headers)

    async def receive() -> MutableMapping[str, Any]:
        return messages.pop()

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    scope: dict[str, Any] = {
        "type": "http",
        "method": "POST",
        "path": scenario.path,
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in fields],
        "extensions": {"tollkeeper.departure": lambda _: None},
    }
    await gateway.door(scope, receive, send)
    assert sent[0]["status"] == 200


async def counted(work: Callable[[], Any]) -> int:
    """Function calls on this thread while ``work`` runs."""
    count = 0

    def see(_: FrameType, event: str, __: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(see)
    try:
        await work()
    finally:
        sys.setprofile(None)
    return count


@pytest.mark.parametrize("scenario", [CHAT, MESSAGES, STREAM, HIT], ids=lambda scenario: scenario.name)
async def test_a_call_is_no_more_work_than_it_was(gateway: Gateway, scenario: Any) -> None:
    async def several() -> None:
        for _ in range(CALLS):
            await call(gateway, scenario)

    await several()  # what is prepared once
    # The least of some: the ledger's writer also has its turns on the loop.
    least = min([await counted(several) for _ in range(5)]) / CALLS
    print(f"{scenario.name}: {least:.0f} function calls")
    assert least <= MOST[scenario.name]


async def test_a_call_imports_nothing(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    looked_for: list[str] = []

    class Watch:
        def find_spec(self, name: str, *_: object) -> None:
            looked_for.append(name)

    await call(gateway, CHAT)
    monkeypatch.setattr(sys, "meta_path", [Watch(), *sys.meta_path])
    await call(gateway, CHAT)
    assert looked_for == []


async def test_calls_leave_hardly_any_circles_for_the_collector(gateway: Gateway) -> None:
    """What is in a circle is freed late, and looking for it stops every call."""
    for _ in range(CALLS):
        await call(gateway, CHAT)
    gc.collect()
    gc.disable()
    try:
        for _ in range(CALLS):
            await call(gateway, CHAT)
        await asyncio.sleep(0)
        assert gc.collect() < CALLS
    finally:
        gc.enable()
