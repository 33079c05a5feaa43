"""Real SDKs as clients: openai, anthropic and mcp (both eras), streaming and not."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator

import anthropic
import openai
import pytest
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client

from tests.interaction.test_mcp_endpoint import LAB
from tests.peers.scripted_llm import ScriptedLLM, ToolStep
from tests.support.gateway import RunningGateway

pytestmark = pytest.mark.anyio

KEY = "vk-sdk-0123456789abcdef01234567890"


@pytest.fixture(scope="module")
async def shared_gate(
    shared_llm: ScriptedLLM, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[RunningGateway]:
    yaml = f"""
    providers:
      - {{name: openai, api_key: sk-o, base_url: "{shared_llm.base}/v1", allowed_models: ["gpt-*", "text-*"]}}
      - {{name: anthropic, api_key: sk-a, base_url: "{shared_llm.base}", allowed_models: ["claude-*"]}}
    mcp_servers:
      lab: {{command: "{sys.executable}", args: ["{LAB}"]}}
    virtual_keys:
      - {{key_name: sdk, key: {KEY}, allowed_models: ["*"], allowed_tools: ["lab/*", "!lab/fail"]}}
      - {{key_name: broke, key: vk-broke-0123456789abcdef012345678, allowed_models: ["*"],
          budget_limit: 0, budget_duration: 1d}}
    """
    async with RunningGateway(yaml, tmp_path_factory.mktemp("gate")) as running:
        yield running


@pytest.fixture
def gate(shared_gate: RunningGateway, llm: ScriptedLLM) -> RunningGateway:
    shared_gate.mark()
    return shared_gate


async def test_the_openai_sdk_chats_streams_and_embeds(gate: RunningGateway, llm: ScriptedLLM) -> None:
    async with openai.AsyncOpenAI(base_url=f"{gate.address}/v1", api_key=KEY) as client:
        user = {"role": "user", "content": "hi"}
        whole = await client.chat.completions.create(model="gpt-4o", messages=[user])  # type: ignore[list-item]
        assert whole.choices[0].message.content == llm.text
        stream = await client.chat.completions.create(model="gpt-4o", messages=[user], stream=True)  # type: ignore[list-item]
        chunks = [chunk async for chunk in stream]
        assert "".join(c.choices[0].delta.content or "" for c in chunks) == llm.text
        response = await client.responses.create(model="openai/gpt-4o", input="hi")
        assert response.output_text == llm.text
        events = await client.responses.create(model="gpt-4o", input="hi", stream=True)
        assert [event.type async for event in events][-1] == "response.completed"
        vector = await client.embeddings.create(model="text-embedding-3-small", input="hi")
        assert vector.data[0].embedding == [0.25, -0.5, 1.0]
        assert "gpt-4o" in [model.id async for model in client.models.list()]
    rows = await gate.rows()
    assert {row["basis"] for row in rows} == {"measured"}
    assert len(rows) == len(llm.bill) == 5


async def test_the_openai_sdk_sees_refusals_as_its_own_errors(gate: RunningGateway) -> None:
    async with openai.AsyncOpenAI(base_url=f"{gate.address}/v1", api_key=KEY) as client:
        with pytest.raises(openai.PermissionDeniedError, match="Available: "):
            await client.chat.completions.create(model="nope", messages=[])
    async with openai.AsyncOpenAI(
        base_url=f"{gate.address}/v1", api_key="vk-broke-0123456789abcdef012345678"
    ) as client:
        with pytest.raises(openai.APIStatusError) as caught:
            await client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}])
    assert (caught.value.status_code, caught.value.code) == (402, "budget_exceeded")
    assert [row["code"] for row in await gate.rows()] == ["model_not_allowed", "budget_exceeded"]  # and no retry


async def test_the_anthropic_sdk_messages_and_streams(gate: RunningGateway, llm: ScriptedLLM) -> None:
    llm.plan = [ToolStep("lookup", {"q": "x"})]
    tools = [{"name": "lookup", "input_schema": {"type": "object"}}]
    async with anthropic.AsyncAnthropic(base_url=f"{gate.address}/anthropic", api_key=KEY) as client:
        user = {"role": "user", "content": "hi"}
        whole = await client.messages.create(
            model="claude-sonnet-4-5",
            max_tokens=50,
            messages=[user],  # type: ignore[list-item]
            tools=tools,  # type: ignore[arg-type]
        )
        assert (whole.stop_reason, whole.content[-1].type) == ("tool_use", "tool_use")
        async with client.messages.stream(model="claude-sonnet-4-5", max_tokens=50, messages=[user]) as stream:  # type: ignore[list-item]
            final = await stream.get_final_message()
        assert (final.usage.input_tokens, final.usage.output_tokens) == (100, 12)
        counted = await client.messages.count_tokens(model="claude-sonnet-4-5", messages=[user])  # type: ignore[list-item]
        assert counted.input_tokens == 42
        assert "claude-sonnet-4-5" in [model.id async for model in client.models.list(limit=1000)]


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_the_mcp_sdk_works_in_both_eras(gate: RunningGateway, mode: str) -> None:
    http = create_mcp_http_client(headers={"authorization": f"Bearer {KEY}"})
    reported: list[float] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        reported.append(progress)

    async with http, Client(streamable_http_client(f"{gate.address}/mcp", http_client=http), mode=mode) as client:
        assert client.protocol_version == ("2026-07-28" if mode == "auto" else "2025-11-25")
        names = {tool.name for tool in (await client.list_tools()).tools}
        assert "lab__add" in names
        assert "lab__fail" not in names
        result = await client.call_tool("lab__add", {"a": 2, "b": 40})
        assert result.structured_content == {"result": 42}
        await client.call_tool("lab__progress", {"steps": 2}, progress_callback=note)
        assert reported == [1, 2]
        assert (await client.list_prompts()).prompts == []  # the tools grant does not cover the whole server
        with pytest.raises(MCPError, match="Unknown tool: lab__fail"):
            await client.call_tool("lab__fail", {})
