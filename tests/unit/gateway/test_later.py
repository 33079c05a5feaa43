"""An application that is loaded when the first request comes."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import MutableMapping
from typing import Any

import pytest

from gateway.later import LoadedLater

pytestmark = pytest.mark.anyio


async def answered(app: LoadedLater) -> list[MutableMapping[str, Any]]:
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        raise AssertionError("nobody reads")

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    await app({"type": "http"}, receive, send)
    return sent


async def told(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "told"})


async def test_requests_that_come_together_wait_for_one_load() -> None:
    loads: list[None] = []

    def load() -> Any:
        loads.append(None)
        return told

    app = LoadedLater(load)
    answers = await asyncio.gather(*(answered(app) for _ in range(5)))
    assert answers == [[{"type": "told"}]] * 5
    assert len(loads) == 1
    assert gc.isenabled()


async def test_a_load_that_fails_fails_its_request_and_is_tried_again() -> None:
    outcomes: list[Any] = [ImportError("not installed"), told]

    def load() -> Any:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    app = LoadedLater(load)
    with pytest.raises(ImportError, match="not installed"):
        await answered(app)
    assert gc.isenabled()
    assert await answered(app) == [{"type": "told"}]
