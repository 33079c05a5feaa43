"""Results of tools and resources in the cache, in both eras: what the operator allows, what servers narrow."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.gateway import ROOT, RunningGateway
from tests.support.mcp_clients import McpClient, Told, connect
from tests.support.services import python_server

pytestmark = pytest.mark.anyio

ONE = "vk-tools-one-0123456789abcdef01234567"
TWO = "vk-tools-two-0123456789abcdef01234567"
SERVER = str(ROOT / "tests" / "peers" / "counting_server.py")


@pytest.fixture(scope="module")
async def shared_gate(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningGateway]:
    async with python_server(SERVER) as port:
        yaml = f"""
        mcp_servers:
          modern: {{url: "http://127.0.0.1:{port}/mcp"}}
          legacy: {{url: "http://127.0.0.1:{port}/mcp", era: legacy}}
        virtual_keys:
          - {{key_name: one, key: {ONE}, allowed_tools: ["*"], allowed_resources: ["*"]}}
          - {{key_name: two, key: {TWO}, allowed_tools: ["*"], allowed_resources: ["*"]}}
        tool_prices: {{"*": 0.5}}
        cache: {{enabled: true}}
        tool_cache: {{"*/get_*": {{ttl: 60}}}}
        """
        async with RunningGateway(yaml, tmp_path_factory.mktemp("tools")) as running:
            yield running


@pytest.fixture
async def gate(shared_gate: RunningGateway) -> RunningGateway:
    shared_gate.mark()
    await shared_gate.admin("DELETE", "/api/cache")
    return shared_gate


@pytest.fixture(params=["modern", "legacy"])
def member(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


async def call(gate: RunningGateway, member: str, tool: str, key: str = ONE, **arguments: Any) -> str:
    answer = await gate.call(key, f"{member}__{tool}", arguments)
    text: str = answer["result"]["content"][0]["text"]
    return text


async def test_a_listed_tool_is_called_once_for_equal_arguments(gate: RunningGateway, member: str) -> None:
    first = await call(gate, member, "get_count", of="a")
    assert await call(gate, member, "get_count", of="a") == first
    assert await call(gate, member, "get_count", of="b") != first
    rows = await gate.rows()
    assert [(row["outcome"], row["cache"]) for row in rows] == [("ok", "miss"), ("cached", "exact"), ("ok", "miss")]
    assert rows[1]["saved_nano"] == rows[0]["cost_nano"] == 500_000_000
    assert rows[1]["cost_nano"] == 0


async def test_no_other_key_gets_the_result(gate: RunningGateway, member: str) -> None:
    assert await call(gate, member, "get_count", ONE) != await call(gate, member, "get_count", TWO)


@pytest.mark.parametrize(
    ("tool", "mark"), [("put_count", "bypass:tool_not_listed"), ("get_unsafe", "bypass:tool_not_read_only")]
)
async def test_what_is_not_listed_or_says_that_it_changes_something_is_called_each_time(
    gate: RunningGateway, member: str, tool: str, mark: str
) -> None:
    assert await call(gate, member, tool) != await call(gate, member, tool)
    assert {row["cache"] for row in await gate.rows()} == {mark}


async def test_a_read_only_tool_that_no_pattern_excludes_is_kept(gate: RunningGateway, member: str) -> None:
    assert await call(gate, member, "get_safe") == await call(gate, member, "get_safe")


async def test_an_error_is_never_kept(gate: RunningGateway, member: str) -> None:
    for _ in range(2):
        assert (await gate.call(ONE, f"{member}__get_broken"))["result"]["isError"]
    assert [row["cache"] for row in await gate.rows()] == ["miss", "miss"]


@pytest.mark.parametrize("era", ["modern", "legacy"])
async def test_a_result_that_followed_a_question_is_never_kept(gate: RunningGateway, era: str) -> None:
    def reply(method: str, params: dict[str, Any]) -> dict[str, Any]:
        return {"action": "accept", "content": {"word": "yes"}}

    client = await connect(era, gate.http, ONE)
    first, second = [await ask(client, "legacy__get_asked", reply) for _ in range(2)]
    assert first.text.startswith("accept")
    assert first.text != second.text
    assert {row["outcome"] for row in await gate.rows()} == {"ok"}


async def ask(client: McpClient, tool: str, reply: Any) -> Told:
    return await client.request("tools/call", {"name": tool, "arguments": {}}, reply)


async def test_either_era_of_client_gets_the_others_kept_result(gate: RunningGateway, member: str) -> None:
    texts = []
    for era in ("modern", "legacy"):
        client = await connect(era, gate.http, ONE)
        told = await client.request("tools/call", {"name": f"{member}__get_count", "arguments": {"of": "x"}})
        texts.append(told.text)
        assert ("resultType" in told.result) == (era == "modern")
    shared = await gate.rows()
    # A legacy member's session declares what its client can do, and so is another caller to it.
    assert (texts[0] == texts[1]) == ([row["outcome"] for row in shared] == ["ok", "cached"])


async def test_a_resource_is_kept_as_long_as_its_server_says_and_for_its_reader_only(gate: RunningGateway) -> None:
    async def read(key: str) -> dict[str, Any]:
        answer = await gate.mcp(key, "resources/read", {"uri": "counter://now"}, path="/mcp/modern")
        found: dict[str, Any] = answer.json()["result"]
        return found

    first, second, other = await read(ONE), await read(ONE), await read(TWO)
    assert first["contents"] == second["contents"]
    assert 0 < second["ttlMs"] <= first["ttlMs"] == 60_000
    assert second["cacheScope"] == "private"
    assert other["contents"] != first["contents"]


async def test_identical_tool_calls_in_flight_reach_the_server_once(gate: RunningGateway) -> None:
    calls = [asyncio.create_task(call(gate, "modern", "get_slow")) for _ in range(8)]
    for _ in range(200):
        if (await gate.admin("GET", "/api/cache")).json()["waiting"] == 7:
            break
        await asyncio.sleep(0.05)
    assert await call(gate, "modern", "get_open") == "1 came"
    assert len(set(await asyncio.gather(*calls))) == 1


async def test_the_operator_forgets_a_tool_or_a_server(gate: RunningGateway) -> None:
    async def forget(**what: str) -> int:
        found: int = (await gate.admin("DELETE", "/api/cache", params=what)).json()["cleared"]
        return found

    first = await call(gate, "modern", "get_count")
    await call(gate, "modern", "get_safe")
    assert await forget(tool="modern/get_count") == 1
    assert await call(gate, "modern", "get_count") != first
    assert await forget(server="modern") == 2
    assert await forget(server="modern") == 0


async def test_a_list_is_read_again_when_its_server_says_that_it_is_stale(gate: RunningGateway) -> None:
    await call(gate, "modern", "put_silent_tool")
    for _ in range(200):
        if "modern__get_silent" in await gate.tools(ONE):
            return
        await asyncio.sleep(0.05)
    raise AssertionError("the new tool was not listed, though the list held for one second only")


async def test_a_key_made_at_run_time_has_a_rule_of_its_own(gate: RunningGateway) -> None:
    status, _, _ = await gate.cli("keys", "create", "made", "--tool", "*", "--no-cache", "--cache-ttl", "5")
    assert status == 0
    listed = (await gate.admin("GET", "/api/keys")).json()["keys"]
    made = next(key for key in listed if key["name"] == "made")
    assert made["limits"]["cache"] == {"enabled": False, "ttl_seconds": 5}
