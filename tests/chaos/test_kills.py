"""``kill -9`` of the real gateway under load, again and again: what the provider served is on the ledger, the
counters equal the rows, nothing stays held. Three kills here, a hundred in ``make prove``."""

from __future__ import annotations

import asyncio
import random
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.peers.scripted_llm import ScriptedLLM
from tests.support.gateway import ROOT, RunningGateway

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(1_800)]

KEY = "vk-kills-0123456789abcdef0123456789a"
LAB = ROOT / "tests" / "peers" / "lab_server.py"
CALLERS = 8


def configuration(llm: ScriptedLLM) -> str:
    prices = '{"*": {input_per_million: 1, output_per_million: 2}}'
    return f"""
    providers:
      - {{name: lab-llm, type: openai, base_url: "{llm.base}/v1", api_key: x, prices: {prices}}}
    mcp_servers:
      lab: {{command: "{sys.executable}", args: ["{LAB}"], isolation: shared}}
    tool_prices: {{"lab/*": 0.0005}}
    virtual_keys:
      - {{key_name: kills, key: {KEY}, allowed_models: ["*"], allowed_tools: ["lab/*"], budget_limit: 1000000, budget_duration: 1M,
          rate_limit: {{request_limit: 1000000, request_limit_duration: 1M}}}}
    """


class Load:
    """Callers that go on until the gate is gone; every call is a run of its own, so that it can be found."""

    def __init__(self) -> None:
        self.number = 0
        self.answered: set[str] = set()

    async def caller(self, gate: RunningGateway, dice: random.Random) -> None:
        try:
            while True:
                self.number += 1
                run = f"run-{self.number}"
                if dice.random() < 0.3:
                    params = {"name": "lab__echo", "arguments": {"text": run}}
                    reply = await gate.mcp(KEY, "tools/call", params, **{"x-tollkeeper-run": run})
                else:
                    reply = await self.chat(gate, run, stream=dice.random() < 0.5)
                if reply.status_code == 200:
                    self.answered.add(run)
        except httpx.TransportError:
            return

    async def chat(self, gate: RunningGateway, run: str, *, stream: bool) -> httpx.Response:
        body: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": run}], "stream": stream}
        headers = {"authorization": f"Bearer {KEY}", "x-tollkeeper-run": run}
        return await gate.http.post("/v1/chat/completions", json=body, headers=headers)


async def all_rows(gate: RunningGateway) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    cursor = None
    while True:
        page = (
            await gate.admin(
                "GET",
                "/api/ledger",
                params={"limit": 1000, "order": "oldest", "cursor": cursor or ""}
                if cursor
                else {"limit": 1000, "order": "oldest"},
            )
        ).json()
        rows += page["rows"]
        cursor = page["next_cursor"]
        if cursor is None:
            return rows


async def test_no_kill_loses_a_served_call_or_leaves_a_hold(llm: ScriptedLLM, tmp_path: Path, proving: bool) -> None:
    rounds = 100 if proving else 3
    dice = random.Random(20261124)
    load = Load()
    interrupted = 0
    async with RunningGateway(configuration(llm), tmp_path) as gate:
        for _ in range(rounds):
            served = len(llm.seen) + dice.randint(20, 60)
            callers = [asyncio.ensure_future(load.caller(gate, dice)) for _ in range(CALLERS)]
            while len(llm.seen) < served:
                await llm.arrived.acquire()
            await gate.kill()
            await asyncio.gather(*callers)
            await gate.http.aclose()
            await gate.start()
        rows = await all_rows(gate)
        interrupted = sum(row["outcome"] == "interrupted" for row in rows)
        runs = {row["run"] for row in rows}
        served_runs = {seen.json["messages"][0]["content"] for seen in llm.seen}
        assert served_runs <= runs, "a call that the provider served is not on the ledger"
        assert load.answered <= runs
        assert len(rows) == len({(row["call_id"], row["attempt"]) for row in rows})
        me = (await gate.http.get("/me", headers={"x-bf-vk": KEY})).json()
        use = {limit["measure"]: (limit["used"], limit["held"]) for limit in me["limits"]}
        assert use["cost"] == (sum(row["cost_nano"] for row in rows), 0)
        assert use["requests"] == (len(rows), 0)
        measured = sum(row["basis"] == "measured" for row in rows)
        billed = len(llm.bill)
        assert (
            measured <= billed <= measured + sum(row["kind"] == "model" and row["basis"] != "measured" for row in rows)
        )
    print(f"{rounds} kills, {len(rows)} rows, {interrupted} interrupted, {len(served_runs)} served by the provider")
