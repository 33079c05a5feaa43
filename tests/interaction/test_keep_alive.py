"""A stream that is silent for long is kept alive by comments, which stand between events only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import openai
import pytest

from gateway.surfaces.keep_alive import COMMENT
from tests.peers import llm_replies as replies
from tests.peers.scripted_llm import ScriptedLLM, paused_stream
from tests.support.gateway import RunningGateway

pytestmark = pytest.mark.anyio

KEY = "vk-alive-0123456789abcdef01234567"
EVENTS = replies.completion_events(replies.completion(1, "gpt-4o", "two words", None, replies.Tokens()), usage=True)
BODY = {
    "model": "gpt-4o",
    "stream": True,
    "stream_options": {"include_usage": True},
    "messages": [{"role": "user", "content": "hi"}],
}


@pytest.fixture
async def gate(llm: ScriptedLLM, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningGateway]:
    yaml = f"""
    providers: [{{name: openai, api_key: k, base_url: "{llm.base}/v1", allowed_models: ["*"], prices: free}}]
    virtual_keys: [{{key_name: alive, key: {KEY}, allowed_models: ["*"]}}]
    limits: {{stream_keep_alive_seconds: 0.05}}
    """
    async with RunningGateway(yaml, tmp_path_factory.mktemp("alive")) as running:
        yield running


async def test_a_silent_stream_says_that_it_lives_and_a_client_does_not_notice(
    gate: RunningGateway, llm: ScriptedLLM
) -> None:
    go_on = asyncio.Event()
    llm.faults = [paused_stream(EVENTS, 2, go_on)]
    got = b""
    async with gate.http.stream("POST", "/v1/chat/completions", json=BODY, headers={"x-bf-vk": KEY}) as reply:
        async for chunk in reply.aiter_raw():
            got += chunk
            if got.count(COMMENT) == 3:
                go_on.set()
    assert got.replace(COMMENT, b"") == b"".join(EVENTS)
    assert got.startswith(b"".join(EVENTS[:2]) + COMMENT)
    go_on = asyncio.Event()
    llm.faults = [paused_stream(EVENTS, 2, go_on)]
    asyncio.get_running_loop().call_later(0.3, go_on.set)
    async with openai.AsyncOpenAI(api_key=KEY, base_url=f"{gate.address}/v1", max_retries=0) as client:
        stream = await client.chat.completions.create(**BODY)  # type: ignore[call-overload]
        text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])
    assert text == "two words"


async def test_no_comment_stands_inside_an_event(gate: RunningGateway, llm: ScriptedLLM) -> None:
    go_on = asyncio.Event()
    llm.faults = [paused_stream(EVENTS, 2, go_on, cut=9)]
    asyncio.get_running_loop().call_later(0.4, go_on.set)
    reply = await gate.http.post("/v1/chat/completions", json=BODY, headers={"x-bf-vk": KEY})
    assert reply.content == b"".join(EVENTS)
