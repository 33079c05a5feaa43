"""The hub under many calls, many tools, many deaths: nothing reaches a wrong caller, nothing stays behind."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
from pathlib import Path

import psutil
import pytest

from tests.support.gateway import ROOT, RunningGateway
from tests.support.mcp_clients import connect
from tests.support.services import free_port, python_server, wait_for_port

pytestmark = pytest.mark.anyio

ALICE = "vk-alice-0123456789abcdef0123456789"
BOB = "vk-bob-0123456789abcdef012345678901"
LAB = ROOT / "tests" / "peers" / "lab_server.py"
RUDE = ROOT / "tests" / "peers" / "rude_server.py"


async def test_a_thousand_interleaved_calls_each_get_their_own_answer_and_progress(tmp_path: Path) -> None:
    """Eight servers (programs and HTTP, both eras), two keys, some calls cancelled on the way."""
    async with python_server(str(LAB)) as port:
        await _interleave(port, tmp_path)


async def _interleave(port: int, tmp_path: Path) -> None:
    entries = [
        f's{n}: {{command: "{sys.executable}", args: ["{LAB}"], era: {e}}}'
        for n, e in enumerate(["modern", "legacy"] * 2)
    ]
    entries += [
        f's{n}: {{url: "http://127.0.0.1:{port}/mcp", era: {e}}}' for n, e in enumerate(["modern", "legacy"] * 2, 4)
    ]
    lines = "\n".join(f"      {entry}" for entry in entries)
    yaml = f"""
    mcp_servers:\n{lines}
    virtual_keys:
      - {{key_name: alice, key: {ALICE}, allowed_tools: ["*"]}}
      - {{key_name: bob, key: {BOB}, allowed_tools: ["*"]}}
    """
    chance = random.Random(7)
    wrong: list[str] = []

    async def one(clients: list[object], number: int) -> None:
        client = clients[number % len(clients)]
        server, said = f"s{chance.randrange(8)}", f"call {number}"
        if number % 5 == 0:
            params = {"name": f"{server}__progress", "arguments": {"steps": 3}, "_meta": {"progressToken": said}}
            told = await client.request("tools/call", params)  # type: ignore[attr-defined]
            tokens = {message["params"]["progressToken"] for message in told.before}
            if told.text != "done" or not tokens <= {said}:
                wrong.append(f"{number}: {told}")
            return
        params = {"name": f"{server}__echo", "arguments": {"text": said}}
        call = asyncio.create_task(client.request("tools/call", params))  # type: ignore[attr-defined]
        if number % 7 == 0:
            await asyncio.sleep(chance.random() * 0.01)
            call.cancel()
            return
        told = await call
        if told.text != said:
            wrong.append(f"{number}: {told}")

    async with RunningGateway(yaml, tmp_path) as gate:
        clients = [await connect(era, gate.http, key) for era in ("modern", "legacy") for key in (ALICE, BOB)]
        gate.http.timeout = 60
        for start in range(0, 1_000, 100):
            await asyncio.gather(*(one(clients, number) for number in range(start, start + 100)))  # type: ignore[arg-type]
        rows = await gate.rows()
    assert wrong == []
    assert {row["outcome"] for row in rows} <= {"ok", "cancelled"}


async def test_calls_that_hang_at_one_server_delay_nobody_at_another(tmp_path: Path) -> None:
    yaml = f"""
    mcp_servers:
      stuck: {{command: "{sys.executable}", args: ["{LAB}"]}}
      free: {{command: "{sys.executable}", args: ["{LAB}"]}}
    virtual_keys: [{{key_name: alice, key: {ALICE}, allowed_tools: ["*"]}}]
    """
    async with RunningGateway(yaml, tmp_path) as gate:
        # All of them are released only by the last one: until then every one hangs.
        stuck = [asyncio.create_task(gate.call(ALICE, "stuck__barrier", {"count": 41})) for _ in range(40)]
        answers = [await gate.call(ALICE, "free__echo", {"text": str(n)}) for n in range(50)]
        assert [answer["result"]["content"][0]["text"] for answer in answers] == [str(n) for n in range(50)]
        assert not any(task.done() for task in stuck)
        await gate.call(ALICE, "stuck__barrier", {"count": 41})
        assert {a["result"]["content"][0]["text"] for a in await asyncio.gather(*stuck)} == {"all here"}


async def test_killed_programs_are_begun_anew_and_leave_nothing_behind(tmp_path: Path, proving: bool) -> None:
    """Each key has a program of its own, and it is killed again and again; so are the children it left."""
    keys, kills = (250, 4) if proving else (25, 2)
    secrets = [f"vk-key{n:03}-0123456789abcdef0123456789" for n in range(keys)]
    entries = ", ".join(f'{{key_name: k{n}, key: {s}, allowed_tools: ["*"]}}' for n, s in enumerate(secrets))
    yaml = f"""
    limits: {{max_sessions: 300}}
    mcp_servers: {{plain: {{command: "{sys.executable}", args: ["{RUDE}", plain], era: legacy}}}}
    virtual_keys: [{entries}]
    """
    gone: list[int] = []

    async def torment(gate: RunningGateway, key: str) -> int:
        server = 0
        for _ in range(kills):
            child = int(await _until_text(gate, key, "plain__child", ""))
            server = int((await _until_text(gate, key, "plain__work", "worked ")).removeprefix("worked "))
            gone.extend((child, server))
            os.kill(server, signal.SIGKILL)
        return int((await _until_text(gate, key, "plain__work", "worked ")).removeprefix("worked "))

    async with RunningGateway(yaml, tmp_path) as gate:
        gate.http.timeout = 120
        process = psutil.Process(gate.process.pid)
        left = await asyncio.gather(*(torment(gate, key) for key in secrets))
        assert len(gone) == len(set(gone)) == keys * kills * 2
        assert [pid for pid in gone if _alive(pid)] == []
        # One program a key, and the catalogue's own; three pipes each.
        assert {child.pid for child in process.children(recursive=True)} > set(left)
        assert len(process.children(recursive=True)) == keys + 1
        assert process.num_fds() < 3 * (keys + 1) + 40
    print(f"\n{keys * kills} programs killed under {keys} keys, none left")


def _alive(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


async def _until_text(gate: RunningGateway, key: str, tool: str, beginning: str) -> str:
    """The tool's text; a call that met a dying server, or the pause after one, is made again."""
    while True:
        result = (await gate.call(key, tool))["result"]
        said: str = result["content"][0]["text"]
        if not result.get("isError") and said.startswith(beginning):
            return said
        await asyncio.sleep(0.2)


async def test_ten_thousand_tools_of_twenty_servers_are_all_there_and_stay_when_servers_go(tmp_path: Path) -> None:
    """Read in pages of seven, served in pages of a thousand; any servers down: still listed, and named."""
    ports = [free_port() for _ in range(4)]
    programs = [
        await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.peers.rude_http", str(port), cwd=ROOT)
        for port in ports
    ]
    for port in ports:
        await wait_for_port(port)
    lines = "\n".join(f'      s{n}: {{url: "http://127.0.0.1:{ports[n % 4]}/many/{n}"}}' for n in range(20))
    yaml = f"""
    mcp_servers:\n{lines}
    virtual_keys: [{{key_name: alice, key: {ALICE}, allowed_tools: ["*"]}}]
    """
    expected = {f"s{n}__tool_{t}" for n in range(20) for t in range(500)}
    try:
        async with RunningGateway(yaml, tmp_path) as gate:
            alice = await connect("modern", gate.http, ALICE)
            while await _all_tools(alice) != expected:
                await asyncio.sleep(0.2)
            for program in programs[:2]:
                program.kill()
                await program.wait()
            down = {f"s{n}" for n in range(20) if n % 4 in (0, 1)}
            for server in down:
                answer = await gate.call(ALICE, f"{server}__tool_1")
                assert answer["result"]["isError"] is True
            named: set[str] = set()
            while named != down:
                result = (await alice.request("tools/list", {})).result
                outcomes = result["_meta"].get("io.tollkeeper/outcomes", [])
                named = {outcome["server"] for outcome in outcomes if outcome["state"] == "stale"}
            assert await _all_tools(alice) == expected
            assert "result" in await gate.call(ALICE, "s2__tool_1")
    finally:
        for program in programs:
            if program.returncode is None:
                program.kill()
                await program.wait()


async def _all_tools(client: object) -> set[str]:
    names: list[str] = []
    params: dict[str, str] = {}
    while True:
        result = (await client.request("tools/list", params)).result  # type: ignore[attr-defined]
        names += [tool["name"] for tool in result["tools"]]
        if "nextCursor" not in result:
            assert len(names) == len(set(names))
            return set(names)
        params = {"cursor": result["nextCursor"]}
        assert json.dumps(params)
