"""A call that fails, or whose client leaves, is freed when it has ended: in a circle of objects its body would wait for
the collector, which looks rarely (``gateway.running``). A call that goes well: ``test_work_per_call.py``."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import AsyncIterator, Callable, MutableMapping
from pathlib import Path
from typing import Any

import pytest

from gateway.composition import Gateway
from gateway.config.loader import load
from gateway.state import StateDir
from tests.support.services import free_port
from tests.unit.gateway.raw_peers import Peer, peer

pytestmark = pytest.mark.anyio

KEY = "vk-circle-0123456789abcdef0123456"
CALLS = 10
OURS = ("gateway", "mcp_hub", "policies", "providers")
BEGIN = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n" + b'data: {"choices":[{"delta":{}}]}\n\n'
CUT = b"HTTP/1.1 200 OK\r\ncontent-length: 200\r\n\r\n{}"
ERROR = b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 2\r\n\r\n{}"


async def script(found: Peer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Does what the model's name says."""
    while (request := await found.request(reader)) is not None:
        if b'"error"' in request:
            writer.write(ERROR)
            continue
        if b'"begins' in request:
            writer.write(BEGIN)
        if b'"cut"' in request or b'"begins-cut"' in request:
            writer.write(CUT if b'"cut"' in request else b"")
            return
        await writer.drain()


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[Gateway]:
    async with peer(script) as upstream:
        config = tmp_path / "tollkeeper.yaml"
        config.write_text(f"""
        providers:
          - {{name: up, type: openai, base_url: "http://127.0.0.1:{upstream.port}/v1", api_key: sk-x, prices: free,
              allowed_models: ["error", "cut", "silent", "begins-cut", "begins"], timeouts: {{head: 0.02}}}}
          - {{name: gone, type: openai, base_url: "http://127.0.0.1:{free_port()}/v1", api_key: sk-x, prices: free,
              allowed_models: ["gone"]}}
        virtual_keys: [{{key_name: k, key: {KEY}, allowed_models: ["*"]}}]
        """)
        made = Gateway(load(config, os.environ).config, StateDir.prepare(tmp_path / "state"), "127.0.0.1")
        await made.start()
        yield made
        await made.stop()


async def call(gateway: Gateway, model: str, *, leaves: bool) -> None:
    """One streamed call; ``leaves``: its client goes when the answer has begun."""
    body = b'{"model":"%s","messages":[],"stream":true}' % model.encode()
    messages = [{"type": "http.request", "body": body, "more_body": False}]
    watches: list[Callable[[], None]] = []

    async def receive() -> MutableMapping[str, Any]:
        return messages.pop()

    async def send(message: MutableMapping[str, Any]) -> None:
        if leaves and message.get("body"):
            watches.pop()()

    def departure(watch: Callable[[], None] | None) -> None:
        if watch is not None:
            watches.append(watch)
        else:
            watches.clear()

    scope: dict[str, Any] = {
        "type": "http",
        "method": "POST",
        "path": "/v1/chat/completions",
        "query_string": b"",
        "headers": [(b"host", b"127.0.0.1"), (b"authorization", b"Bearer " + KEY.encode())],
        "extensions": {"tollkeeper.departure": departure},
    }
    await gateway.door(scope, receive, send)


@pytest.mark.parametrize(
    ("model", "leaves"),
    [
        ("error", False),
        ("cut", False),
        ("silent", False),
        ("begins-cut", False),
        ("begins", True),
        ("gone", False),
        ("unknown", False),
    ],
)
async def test_a_call_that_does_not_end_well_leaves_no_circle(gateway: Gateway, model: str, *, leaves: bool) -> None:
    await call(gateway, model, leaves=leaves)
    gc.collect()
    gc.disable()
    try:
        for _ in range(CALLS):
            await call(gateway, model, leaves=leaves)
        for _ in range(10):
            await asyncio.sleep(0)  # until the connections are gone
        assert found_in_circles() == set()
    finally:
        gc.enable()


def found_in_circles() -> set[str]:
    """Kinds of objects of ours that only the collector finds. The test's peer, in the same process, has circles too."""
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        gc.collect()
        return {type(found).__name__ for found in gc.garbage if type(found).__module__.partition(".")[0] in OURS}
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
