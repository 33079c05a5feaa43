"""MCP servers over stdio that misbehave: the caller is told, nobody else notices, nothing stays behind."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from tests.support.gateway import ROOT, RunningGateway

pytestmark = pytest.mark.anyio

KEY = "vk-rude-0123456789abcdef0123456789"
OTHER = "vk-calm-0123456789abcdef0123456789"
RUDE = ROOT / "tests" / "peers" / "rude_server.py"


@pytest.fixture(scope="module")
async def shared_gate(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningGateway]:
    modes = ("plain", "banner", "flood", "mute", "pages")
    servers = "\n".join(
        f'      {mode}: {{command: "{sys.executable}", args: ["{RUDE}", "{mode}"], timeout: 3}}' for mode in modes
    )
    yaml = f"""
    mcp_servers:\n{servers}
    virtual_keys:
      - {{key_name: rude, key: {KEY}, allowed_tools: ["*", "!mute/*"]}}
      - {{key_name: curious, key: vk-curious-0123456789abcdef0123456, allowed_tools: ["*"]}}
      - {{key_name: calm, key: {OTHER}, allowed_tools: ["*", "!mute/*"]}}
    """
    async with RunningGateway(yaml, tmp_path_factory.mktemp("gate")) as running:
        yield running


@pytest.fixture
def gate(shared_gate: RunningGateway) -> RunningGateway:
    shared_gate.mark()
    return shared_gate


async def text(gate: RunningGateway, tool: str, key: str = KEY) -> str:
    answer = await gate.call(key, tool)
    found: str = answer["result"]["content"][0]["text"]
    return found


@pytest.mark.parametrize("mode", ["banner", "flood"])
async def test_noise_on_standard_output_or_error_disturbs_nothing(gate: RunningGateway, mode: str) -> None:
    for _ in range(20):
        assert (await text(gate, f"{mode}__work")).startswith("worked")


async def test_a_server_that_never_answers_initialize_delays_nobody(gate: RunningGateway) -> None:
    curious = "vk-curious-0123456789abcdef0123456"
    result = (await gate.mcp(curious, "tools/list")).json()["result"]
    outcomes = {o["server"]: o["state"] for o in result["_meta"]["io.tollkeeper/outcomes"]}
    assert outcomes["mute"] in ("connecting", "failed")
    assert len(result["tools"]) > 100
    assert (await text(gate, "plain__work", curious)).startswith("worked")


async def test_wrong_broken_and_repeated_answers_reach_nobody(gate: RunningGateway) -> None:
    answers = await asyncio.gather(*(text(gate, f"plain__{tool}") for tool in ("junk", "twice", "work", "junk")))
    assert answers[0] == answers[3] == "the right one"
    assert answers[1] == "first"
    assert answers[2].startswith("worked")


async def test_a_result_of_50_megabytes_passes(gate: RunningGateway) -> None:
    big, small = await asyncio.gather(text(gate, "plain__big"), text(gate, "plain__work"))
    assert len(big) == 50 * 1024 * 1024
    assert small.startswith("worked")


async def test_a_call_that_hangs_ends_at_its_deadline_and_others_go_on(gate: RunningGateway) -> None:
    hung = asyncio.create_task(gate.call(KEY, "plain__hang"))
    for _ in range(10):
        assert (await text(gate, "plain__work")).startswith("worked")
    result = (await hung)["result"]
    assert result["_meta"]["io.tollkeeper/fault"]["code"] == "member_timeout"
    rows = await gate.rows(outcome="failed")
    assert [row["code"] for row in rows] == ["member_timeout"]


async def test_every_page_of_a_list_is_read(gate: RunningGateway) -> None:
    names = [name for name in await gate.tools(KEY) if name.startswith("pages__")]
    assert names == [f"pages__tool{n}" for n in range(100)]


async def test_a_legacy_server_has_one_process_per_key(gate: RunningGateway) -> None:
    mine, again, theirs = [await text(gate, "plain__work", key) for key in (KEY, KEY, OTHER)]
    assert mine == again
    assert mine != theirs


async def test_no_process_is_left_when_the_gateway_stops(tmp_path: Path) -> None:
    yaml = f"""
    mcp_servers:
      plain: {{command: "{sys.executable}", args: ["{RUDE}", plain]}}
      mute: {{command: "{sys.executable}", args: ["{RUDE}", mute]}}
    virtual_keys:
      - {{key_name: rude, key: {KEY}, allowed_tools: ["plain/*"]}}
    """
    async with RunningGateway(yaml, tmp_path) as running:
        grandchild = int(await text(running, "plain__child"))
        children = psutil.Process(running.process.pid).children(recursive=True)
        assert len(children) >= 3
        assert psutil.pid_exists(grandchild)
        assert await running.stop() == 0
    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []
    assert not psutil.pid_exists(grandchild) or psutil.Process(grandchild).status() == psutil.STATUS_ZOMBIE
