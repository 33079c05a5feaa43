"""The semantic cache through a real gateway process, with a real embedding model and with a provider's."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.interaction.test_cache import chat, post, said
from tests.peers.scripted_llm import ScriptedLLM, ToolStep, answer
from tests.support.gateway import ROOT, RunningGateway
from tests.support.minilm import DIMENSIONS, folder

pytestmark = pytest.mark.anyio

ONE = "vk-cache-one-0123456789abcdef01234567"
TWO = "vk-cache-two-0123456789abcdef01234567"

YAML = """
providers:
  - {{name: openai, api_key: sk-up, base_url: "{base}/v1", allowed_models: ["gpt-*", "emb-*"],
      prices: {{"*": {{input_per_million: 2, output_per_million: 10}}}}}}
virtual_keys:
  - {{key_name: one, key: {one}, allowed_models: ["gpt-*"]}}
  - {{key_name: two, key: {two}, allowed_models: ["gpt-*"]}}
cache: {{participation: always}}
semantic_cache:
  enabled: true
  {more}
"""

ROUTE = "embedding: {provider: openai, model: emb-small, dimensions: 3}"


def config(llm: ScriptedLLM, more: str) -> str:
    return YAML.format(base=llm.base, one=ONE, two=TWO, more=more)


@pytest.fixture(scope="module")
async def shared_gate(
    shared_llm: ScriptedLLM, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[RunningGateway]:
    """With the real MiniLM on this machine."""
    local = f"embedding: {{model_path: {folder()}, dimensions: {DIMENSIONS}}}"
    async with RunningGateway(config(shared_llm, local), tmp_path_factory.mktemp("semantic")) as running:
        yield running


@pytest.fixture
async def gate(shared_gate: RunningGateway, llm: ScriptedLLM) -> RunningGateway:
    shared_gate.mark()
    await shared_gate.admin("DELETE", "/api/cache")
    return shared_gate


async def kinds(gate: RunningGateway, *texts: str, key: str = ONE, **fields: Any) -> list[str]:
    """What the cache says of one request after another, without the figures."""
    return [said(await post(gate, chat(text, **fields), key)).partition(";")[0] for text in texts]


async def test_a_request_that_means_the_same_is_answered_by_the_earlier_one(
    gate: RunningGateway, llm: ScriptedLLM
) -> None:
    first = await post(gate, chat("How do I reset my password?"))
    second = await post(gate, chat("How can I reset my password?"))
    assert said(first) == "miss"
    layer, _, similarity = said(second).partition("; similarity=")
    assert (layer, float(similarity) > 0.98) == ("semantic", True)
    assert second.json()["choices"] == first.json()["choices"]
    assert len(llm.seen) == 1
    miss, hit = await gate.rows()
    assert hit["cache"].startswith("semantic:0.99")
    assert (hit["outcome"], hit["cost_nano"], hit["saved_nano"]) == ("cached", 0, miss["cost_nano"])


async def test_a_streamed_answer_answers_a_like_request_that_wants_a_whole_one(
    gate: RunningGateway, llm: ScriptedLLM
) -> None:
    await post(gate, chat("How do I reset my password?", stream=True))
    reply = await post(gate, chat("How can I reset my password?"))
    assert said(reply).startswith("semantic")
    assert reply.json()["choices"][0]["message"]["content"] == llm.text


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Restart the server when the queue is full.", "Do not restart the server when the queue is full."),
        ("What happened on 14 March 1995?", "What happened on 15 March 1995?"),
        ("What does the function getUser return?", "What does the function getuser return?"),
        (
            "Who is richer, Alice or Bob, if Alice gives Bob a coin?",
            "Who is richer, Alice or Bob, if Bob gives Alice a coin?",
        ),
    ],
)
async def test_another_fact_is_another_question(gate: RunningGateway, llm: ScriptedLLM, one: str, other: str) -> None:
    assert await kinds(gate, one, other) == ["miss", "miss"]


async def test_no_other_key_no_other_model_and_no_other_parameter_shares(
    gate: RunningGateway, llm: ScriptedLLM
) -> None:
    one, other = "How do I reset my password?", "How can I reset my password?"
    assert await kinds(gate, one) == ["miss"]
    assert await kinds(gate, other, key=TWO) == ["miss"]
    assert await kinds(gate, other, temperature=0.1) == ["miss"]
    assert said(await post(gate, {**chat(other), "model": "gpt-5"})) == "miss"
    assert await kinds(gate, other) == ["semantic"]


async def test_the_system_prompt_must_be_equal_by_default(gate: RunningGateway, llm: ScriptedLLM) -> None:
    def body(system: str, text: str) -> dict[str, Any]:
        return chat(messages=[{"role": "system", "content": system}, {"role": "user", "content": text}])

    await post(gate, body("Be brief.", "How do I reset my password?"))
    assert said(await post(gate, body("Be brief!", "How can I reset my password?"))) == "miss"
    assert said(await post(gate, body("Be brief.", "How can I reset my password?"))).startswith("semantic")


async def test_long_conversations_long_texts_and_tool_turns_are_not_looked_up(
    gate: RunningGateway, llm: ScriptedLLM
) -> None:
    def turns(last: str) -> list[dict[str, str]]:
        middle = [{"role": "assistant", "content": "Yes?"}, {"role": "user", "content": "I need help."}]
        return [{"role": "user", "content": "Hello"}, *middle, {"role": "user", "content": last}]

    for text in ("How do I reset my password?", "How can I reset my password?"):
        assert said(await post(gate, chat(messages=turns(text)))) == "miss"
    assert await kinds(gate, "word " * 500 + "one", "word " * 500 + "other") == ["miss", "miss"]


async def test_answers_that_call_tools_are_not_found_by_likeness(gate: RunningGateway, llm: ScriptedLLM) -> None:
    llm.plan = [ToolStep("look", {})]
    tools = [{"type": "function", "function": {"name": "look", "parameters": {}}}]
    assert await kinds(gate, "How do I look it up?", "How can I look it up?", tools=tools) == ["miss", "miss"]


async def test_a_caller_chooses_the_layer_and_the_threshold(gate: RunningGateway, llm: ScriptedLLM) -> None:
    await post(gate, chat("How do I reset my password?"))
    near = chat("How can I reset my password?")
    assert said(await post(gate, near, x_bf_cache_type="direct")) == "miss"
    await gate.admin("DELETE", "/api/cache")
    await post(gate, chat("How do I reset my password?"))
    assert said(await post(gate, near, x_bf_cache_threshold="0.9999")) == "miss"
    await gate.admin("DELETE", "/api/cache")
    await post(gate, chat("How do I reset my password?"))
    assert said(await post(gate, near, x_bf_cache_threshold="0.5")).startswith("semantic")


async def test_what_is_forgotten_is_not_found_by_likeness_either(gate: RunningGateway, llm: ScriptedLLM) -> None:
    await post(gate, chat("How do I reset my password?"), x_tollkeeper_cache_tags="docs, faq")
    forgotten = await gate.admin("DELETE", "/api/cache", params={"tag": "faq"})
    assert forgotten.json() == {"cleared": 1}
    assert await kinds(gate, "How can I reset my password?") == ["miss"]
    assert (await gate.admin("GET", "/api/cache")).json()["vectors"]["count"] == 1


async def test_the_command_line_judges_the_embedder_on_the_operators_own_pairs(
    gate: RunningGateway, llm: ScriptedLLM
) -> None:
    pairs = ROOT / "examples" / "semantic_cache" / "pairs.jsonl"
    status, out, err = await gate.cli("cache", "evaluate", str(pairs), "--key", "one")
    assert (status, err) == (0, "")
    assert "At 0.92: 0 wrong of 16 reused, 0 missed." in out
    assert "precision without guards" in out


async def test_a_providers_embedding_is_a_governed_call_of_the_caller(llm: ScriptedLLM, tmp_path: Any) -> None:
    async with RunningGateway(config(llm, ROUTE), tmp_path) as gate:
        assert await kinds(gate, "How do I reset my password?", "How can I reset my password?") == ["miss", "semantic"]
        rows = await gate.rows()
        child = next(row for row in rows if row["origin"] == "embedding")
        parent = next(row for row in rows if row["call_id"] == child["parent"])
        assert (child["key"], child["operation"], child["provider"]) == ("one", "embeddings", "openai")
        assert child["cost_nano"] > 0
        assert parent["cache"] == "miss"
        assert [seen.path for seen in llm.seen].count("/v1/embeddings") == 2


async def test_an_embedder_that_fails_fails_no_call_and_is_told(llm: ScriptedLLM, tmp_path: Any) -> None:
    async with RunningGateway(config(llm, ROUTE), tmp_path) as gate:
        llm.faults = [answer(500, b'{"error":{"message":"no vectors today"}}')]
        assert await kinds(gate, "How do I reset my password?") == ["miss"]
        state = (await gate.admin("GET", "/api/cache")).json()
        assert "no vectors today" in state["vectors"]["failing"]
        llm.vector = lambda _: [1.0, 2.0]
        assert await kinds(gate, "How can I reset my password?") == ["miss"]
        state = (await gate.admin("GET", "/api/cache")).json()
        assert "vectors of 2 numbers, not 3" in state["vectors"]["failing"]


async def test_vectors_outlive_the_process(llm: ScriptedLLM, tmp_path: Any) -> None:
    async with RunningGateway(config(llm, ROUTE), tmp_path) as gate:
        await post(gate, chat("How do I reset my password?"))
        await gate.stop()
        await gate.http.aclose()
        await gate.start()
        assert await kinds(gate, "How can I reset my password?") == ["semantic"]


async def test_without_an_embedding_the_exact_layer_works_alone(llm: ScriptedLLM, tmp_path: Any) -> None:
    async with RunningGateway(config(llm, "vector_store: qdrant"), tmp_path) as gate:
        texts = ("How do I reset my password?", "How can I reset my password?", "How do I reset my password?")
        assert await kinds(gate, *texts) == ["miss", "miss", "exact"]
