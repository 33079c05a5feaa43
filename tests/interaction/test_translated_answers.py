"""Translated answers: kept as the client heard them, given again without a call, and what they lack is told safely."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anthropic
import openai
import pytest

from tests.peers.scripted_llm import ScriptedLLM
from tests.support.gateway import RunningGateway

pytestmark = pytest.mark.anyio

KEY = "vk-abroad-0123456789abcdef012345678"


@pytest.fixture(scope="module")
async def gate(shared_llm: ScriptedLLM, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningGateway]:
    yaml = f"""
    providers:
      - {{name: a, type: anthropic, api_key: k, base_url: "{shared_llm.base}", allowed_models: [a, d]}}
      - {{name: o, type: openai, api_key: k, base_url: "{shared_llm.base}/v1", allowed_models: [o]}}
      - {{name: d, type: anthropic, api_key: k, base_url: "{shared_llm.base}", allowed_models: [dropped],
          unsupported: drop}}
    virtual_keys: [{{key_name: k, key: {KEY}, allowed_models: ["*"]}}]
    cache: {{enabled: true, participation: always}}
    """
    async with RunningGateway(yaml, tmp_path_factory.mktemp("kept")) as running:
        yield running


async def test_either_form_of_a_translated_answer_serves_the_other(gate: RunningGateway, llm: ScriptedLLM) -> None:
    async with openai.AsyncOpenAI(base_url=f"{gate.address}/v1", api_key=KEY) as client:
        ask = client.chat.completions.create
        whole = await ask(model="a", messages=[{"role": "user", "content": "once"}])
        again = await ask(model="a", messages=[{"role": "user", "content": "once"}])
        stream = await ask(model="a", messages=[{"role": "user", "content": "once"}], stream=True)
        said = "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])
    assert whole.choices[0].message.content == again.choices[0].message.content == said == llm.text
    assert len(llm.seen) == 1
    gate.mark()


async def test_a_translated_stream_serves_a_whole_answer(gate: RunningGateway, llm: ScriptedLLM) -> None:
    async with anthropic.AsyncAnthropic(base_url=f"{gate.address}/anthropic", api_key=KEY) as client:
        async with client.messages.stream(
            model="o", max_tokens=50, messages=[{"role": "user", "content": "streamed"}]
        ) as stream:
            assert await stream.get_final_text() == llm.text
        message = await client.messages.create(
            model="o", max_tokens=50, messages=[{"role": "user", "content": "streamed"}]
        )
    assert message.content[0].text == llm.text  # type: ignore[union-attr]
    assert len(llm.seen) == 1


async def test_an_answer_to_less_than_was_asked_is_not_kept(gate: RunningGateway, llm: ScriptedLLM) -> None:
    async with openai.AsyncOpenAI(base_url=f"{gate.address}/v1", api_key=KEY) as client:
        for _ in range(2):
            told = await client.chat.completions.with_raw_response.create(
                model="dropped", messages=[{"role": "user", "content": "seeded"}], seed=7
            )
            assert told.headers["x-tollkeeper-dropped"] == "seed"
    assert len(llm.seen) == 2


async def test_a_fields_name_cannot_break_out_of_the_header_that_tells_it(
    gate: RunningGateway, llm: ScriptedLLM
) -> None:
    body = {"model": "dropped", "messages": [{"role": "user", "content": "x"}], "evil\r\nset-cookie: a=b ü": 1}
    reply = await gate.http.post("/v1/chat/completions", json=body, headers={"authorization": f"Bearer {KEY}"})
    assert reply.status_code == 200
    assert reply.headers["x-tollkeeper-dropped"] == "evil??set-cookie: a=b ?"
    assert "set-cookie" not in reply.headers
