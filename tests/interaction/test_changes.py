"""Change notices in both eras: only to keys whose own view changed."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.interaction.test_mcp_endpoint import LegacyClient
from tests.support.gateway import META, MODERN, ROOT, RunningGateway

pytestmark = pytest.mark.anyio

WIDE = "vk-wide-0123456789abcdef0123456789"
NARROW = "vk-narrow-0123456789abcdef01234567"
LAB = ROOT / "tests" / "peers" / "lab_server.py"


@asynccontextmanager
async def listening(gate: RunningGateway, key: str, kinds: dict[str, bool]) -> AsyncIterator[Any]:
    params = {"_meta": META, "notifications": kinds}
    body = {"jsonrpc": "2.0", "id": "listen:0", "method": "subscriptions/listen", "params": params}
    headers = {
        "authorization": f"Bearer {key}",
        "accept": "application/json, text/event-stream",
        "mcp-protocol-version": MODERN,
        "mcp-method": "subscriptions/listen",
    }
    async with gate.http.stream("POST", "/mcp", json=body, headers=headers) as answer:
        yield events(answer)


async def events(answer: Any) -> AsyncIterator[dict[str, Any]]:
    async for line in answer.aiter_lines():
        if line.startswith("data: "):
            yield json.loads(line[6:])


async def test_a_new_server_is_told_to_those_who_may_see_it(tmp_path: Path) -> None:
    yaml = f"""
    mcp_servers:
      one: {{command: "{sys.executable}", args: ["{LAB}"]}}
    virtual_keys:
      - {{key_name: wide, key: {WIDE}, allowed_tools: ["*"]}}
      - {{key_name: narrow, key: {NARROW}, allowed_tools: ["one/*"]}}
    """
    async with RunningGateway(yaml, tmp_path) as gate:
        await gate.tools(WIDE)
        old = LegacyClient(gate, WIDE)
        await old.open()
        everything = {"toolsListChanged": True}
        async with (
            listening(gate, WIDE, everything) as wide,
            listening(gate, NARROW, everything) as narrow,
            gate.http.stream("GET", "/mcp", headers={**old.headers(), "accept": "text/event-stream"}) as stream,
        ):
            assert (await anext(wide))["method"] == "notifications/subscriptions/acknowledged"
            acknowledged = await anext(narrow)
            assert acknowledged["params"]["notifications"] == {"toolsListChanged": True}
            text = gate.config.read_text().replace(
                "one: {", f'two: {{command: "{sys.executable}", args: ["{LAB}"]}}\n  one: {{'
            )
            gate.config.write_text(text)
            gate.process.send_signal(signal.SIGHUP)
            told = await anext(wide)
            assert told["method"] == "notifications/tools/list_changed"
            assert told["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"] == "listen:0"
            notices = events(stream)
            while (await anext(notices))["method"] != "notifications/tools/list_changed":
                pass
            waiting = asyncio.ensure_future(anext(narrow))
            # The other key's view is the same: a round trip later still nothing has come.
            assert "two__add" in await gate.tools(WIDE)
            assert await gate.tools(NARROW) == [name for name in await gate.tools(WIDE) if name.startswith("one__")]
            assert not waiting.done()
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
