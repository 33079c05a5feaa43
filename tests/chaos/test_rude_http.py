"""MCP servers over HTTP that misbehave: a bound for the caller, none of it for bystanders, and memory that does not
grow with their manners."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import psutil
import pytest

from tests.peers.rude_http import SAID
from tests.support.gateway import RunningGateway
from tests.support.services import python_server

pytestmark = pytest.mark.anyio

KEY = "vk-rude-0123456789abcdef0123456789"
MODES = ("calm", "loris", "headers", "split", "big", "endless", "storm", "flap", "reset", "invalid", "ids")
MB = 1024 * 1024


@pytest.fixture(scope="module")
async def shared_gate(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningGateway]:
    async with python_server("-m", "tests.peers.rude_http") as port:
        entries = "\n".join(f'      {m}: {{url: "http://127.0.0.1:{port}/{m}", timeout: 2}}' for m in MODES)
        yaml = f"""
    mcp_servers:\n{entries}
    virtual_keys: [{{key_name: rude, key: {KEY}, allowed_tools: ["*"]}}]
    """
        async with RunningGateway(yaml, tmp_path_factory.mktemp("gate")) as running:
            yield running


@pytest.fixture
def gate(shared_gate: RunningGateway) -> RunningGateway:
    shared_gate.mark()
    return shared_gate


async def calm(gate: RunningGateway) -> str:
    answer = await gate.call(KEY, "calm__work")
    found: str = answer["result"]["content"][0]["text"]
    return found


@pytest.mark.parametrize(
    ("mode", "code"),
    [
        ("loris", "member_timeout"),
        ("headers", "member_timeout"),
        ("reset", "member_lost"),
        ("invalid", "member_invalid_reply"),
    ],
)
async def test_a_call_that_gets_no_answer_ends_by_name_while_bystanders_are_served(
    gate: RunningGateway, mode: str, code: str
) -> None:
    rude = [asyncio.create_task(gate.call(KEY, f"{mode}__work")) for _ in range(5)]
    assert [await calm(gate) for _ in range(20)] == [SAID] * 20
    for answer in await asyncio.gather(*rude):
        assert answer["result"]["isError"] is True
        assert answer["result"]["_meta"]["io.tollkeeper/fault"]["code"] == code
    codes = {row["code"] for row in await gate.rows() if row["provider"] == mode}
    assert codes == {code}


@pytest.mark.parametrize("mode", ["split", "ids"])
async def test_answers_in_pieces_and_among_foreign_ones_arrive_whole(gate: RunningGateway, mode: str) -> None:
    answers = await asyncio.gather(*(gate.call(KEY, f"{mode}__work") for _ in range(10)))
    assert [answer["result"]["content"][0]["text"] for answer in answers] == [SAID] * 10


async def test_a_result_of_50_megabytes_passes_and_its_memory_is_given_back(gate: RunningGateway) -> None:
    process = psutil.Process(gate.process.pid)
    await gate.call(KEY, "big__work")
    before = process.memory_info().rss
    for _ in range(5):
        answer = await gate.call(KEY, "big__work")
        assert len(answer["result"]["content"][0]["text"]) == 50 * MB
    assert process.memory_info().rss - before < 150 * MB  # not once more for every answer


async def test_a_list_without_end_is_given_up_by_name(gate: RunningGateway) -> None:
    outcomes: dict[str, str] = {}
    while outcomes.get("endless") is None:
        result = (await gate.mcp(KEY, "tools/list")).json()["result"]
        outcomes = {o["server"]: o.get("code") for o in result["_meta"].get("io.tollkeeper/outcomes", [])}
    assert outcomes["endless"] == "member_list_too_long"
    assert "calm__work" in {tool["name"] for tool in result["tools"]}


async def test_a_storm_of_notices_is_read_as_one(gate: RunningGateway) -> None:
    """20,000 notices: the server is read anew a few times, not 20,000 times, and others are served."""
    answer = await gate.call(KEY, "storm__work")
    assert answer["result"]["content"][0]["text"] == SAID
    assert await calm(gate) == SAID


async def test_a_server_that_answers_404_405_and_502_in_turn_fails_by_name_each_time(gate: RunningGateway) -> None:
    codes = []
    for _ in range(6):
        answer = await gate.call(KEY, "flap__work")
        codes.append(answer["result"]["_meta"]["io.tollkeeper/fault"]["code"])
        assert await calm(gate) == SAID
    assert set(codes) <= {"member_http_error", "member_session_forgotten"}
