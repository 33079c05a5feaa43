"""Sessions to members: one per key where keys must not meet, gone when idle, bounded in number."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import psutil
import pytest

from tests.support.gateway import ROOT, RunningGateway

pytestmark = pytest.mark.anyio

LAB = ROOT / "tests" / "peers" / "lab_server.py"
KEYS = [f"vk-member-{n}-0123456789abcdef012345678" for n in range(3)]


def configuration(limits: str) -> str:
    keys = "\n".join(f"      - {{key_name: k{n}, key: {key}, allowed_tools: ['lab/*']}}" for n, key in enumerate(KEYS))
    return f"""
    limits: {limits}
    mcp_servers:
      lab: {{command: "{sys.executable}", args: ["{LAB}"], isolation: per_principal}}
    virtual_keys:
{keys}
    """


def programs(gate: RunningGateway) -> set[int]:
    """Process ids of the members that live."""
    return {p.pid for p in psutil.Process(gate.process.pid).children() if p.status() != psutil.STATUS_ZOMBIE}


async def test_each_key_has_a_program_of_its_own_until_it_is_idle(tmp_path: Path) -> None:
    async with RunningGateway(configuration("{session_idle_seconds: 1}"), tmp_path) as gate:
        await gate.tools(KEYS[0])
        (hubs_own,) = programs(gate)
        for key in KEYS[:2]:
            assert not (await gate.call(key, "lab__echo", {"text": "x"}))["result"].get("isError")
        assert len(programs(gate)) == 3
        while programs(gate) != {hubs_own}:  # the list stays served from the hub's own session
            await asyncio.sleep(0.05)
        assert "lab__echo" in await gate.tools(KEYS[0])
        assert not (await gate.call(KEYS[0], "lab__echo", {"text": "x"}))["result"].get("isError")


async def test_a_busy_session_is_not_idle(tmp_path: Path) -> None:
    async with RunningGateway(configuration("{session_idle_seconds: 1}"), tmp_path) as gate:
        marker = tmp_path / "cancelled"
        waiting = asyncio.ensure_future(gate.call(KEYS[0], "lab__forever", {"path": str(marker)}))
        while len(programs(gate)) != 2:
            await asyncio.sleep(0.05)
        busy = programs(gate)
        for _ in range(2):  # others come and go by idleness meanwhile
            await gate.call(KEYS[1], "lab__echo", {"text": "x"})
            while len(programs(gate)) != 2:
                await asyncio.sleep(0.05)
        assert programs(gate) == busy
        waiting.cancel()


async def test_the_longest_idle_session_makes_room_for_a_new_one(tmp_path: Path) -> None:
    async with RunningGateway(configuration("{max_sessions: 3}"), tmp_path) as gate:
        await gate.tools(KEYS[0])
        for key in KEYS:
            assert not (await gate.call(key, "lab__echo", {"text": "x"}))["result"].get("isError")
        while len(programs(gate)) != 3:
            await asyncio.sleep(0.05)
        sessions = (await gate.admin("GET", "/api/doctor")).json()["sessions"]
        assert {s["partition"] for s in sessions} >= {"k2"}
        assert len(sessions) == 3
