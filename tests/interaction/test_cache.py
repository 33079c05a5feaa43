"""The exact cache through a real gateway process: who shares, what is kept, how it is given again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import anthropic
import httpx
import openai
import pytest

from tests.peers import llm_replies as replies
from tests.peers.scripted_llm import ScriptedLLM, ToolStep, answer, cut_stream
from tests.support.gateway import RunningGateway

pytestmark = pytest.mark.anyio

ONE = "vk-cache-one-0123456789abcdef01234567"
TWO = "vk-cache-two-0123456789abcdef01234567"
MATE = "vk-cache-mate-0123456789abcdef0123456"
OFF = "vk-cache-off-0123456789abcdef01234567"
POOR = "vk-cache-poor-0123456789abcdef0123456"
SLOW = "vk-cache-slow-0123456789abcdef0123456"

YAML = """
providers:
  - {{name: openai, api_key: sk-up, base_url: "{base}/v1", allowed_models: ["gpt-*", "emb-*"],
      prices: {{"*": {{input_per_million: 2, output_per_million: 10}}}}}}
  - {{name: anthropic, api_key: sk-up, base_url: "{base}", allowed_models: ["claude-*"],
      prices: {{"*": {{input_per_million: 2, output_per_million: 10}}}}}}
teams: [{{name: team, allowed_models: ["*"]}}]
virtual_keys:
  - {{key_name: one, key: {one}, team: team}}
  - {{key_name: mate, key: {mate}, team: team}}
  - {{key_name: two, key: {two}, allowed_models: ["*"]}}
  - {{key_name: "off", key: {off}, allowed_models: ["*"], cache: {{enabled: false}}}}
  - {{key_name: poor, key: {poor}, allowed_models: ["*"], budget_limit: 0.0003, budget_duration: 1d}}
  - {{key_name: slow, key: {slow}, allowed_models: ["*"], rate_limit: {{request_limit: 2, request_limit_duration: 1h}}}}
cache:
  enabled: true
  participation: {participation}
  cache_scope: {scope}
  max_entry_bytes: 20000
  models: {{"gpt-never": {{enabled: false}}, "gpt-short": {{ttl_seconds: 1}}}}
  tool_answers: {tool_answers}
"""


def config(llm: ScriptedLLM, participation: str = "always", scope: str = "key", tool_answers: bool = False) -> str:
    keys = {"one": ONE, "two": TWO, "mate": MATE, "off": OFF, "poor": POOR, "slow": SLOW}
    allowed = str(tool_answers).lower()
    return YAML.format(base=llm.base, participation=participation, scope=scope, tool_answers=allowed, **keys)


@pytest.fixture(scope="module")
async def shared_gate(
    shared_llm: ScriptedLLM, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[RunningGateway]:
    async with RunningGateway(config(shared_llm), tmp_path_factory.mktemp("cache")) as running:
        yield running


@pytest.fixture
async def gate(shared_gate: RunningGateway, llm: ScriptedLLM) -> RunningGateway:
    shared_gate.mark()
    await shared_gate.admin("DELETE", "/api/cache")
    return shared_gate


@pytest.fixture
async def openai_client(gate: RunningGateway) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(api_key=ONE, base_url=f"{gate.address}/v1", max_retries=0) as client:
        yield client


@pytest.fixture
async def anthropic_client(gate: RunningGateway) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(api_key=ONE, base_url=f"{gate.address}/anthropic", max_retries=0) as client:
        yield client


def chat(text: str = "hello", **fields: Any) -> dict[str, Any]:
    return {"model": "gpt-4o", "messages": [{"role": "user", "content": text}], **fields}


async def post(
    gate: RunningGateway, body: dict[str, Any], key: str = ONE, path: str = "/v1/chat/completions", **headers: str
) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await gate.http.post(path, json=body, headers={"x-bf-vk": key, **named})


def said(reply: httpx.Response) -> str:
    return reply.headers["x-tollkeeper-cache"]


async def test_the_second_identical_call_is_answered_without_the_provider(
    gate: RunningGateway, llm: ScriptedLLM
) -> None:
    first = await post(gate, chat())
    second = await post(gate, chat())
    assert (first.status_code, said(first), second.status_code, said(second)) == (200, "miss", 200, "exact")
    assert len(llm.seen) == 1
    a, b = first.json(), second.json()
    assert a["id"] != b["id"], "every answer has an id of its own"
    assert b["id"].startswith("chatcmpl-")
    assert {**a, "id": 0} == {**b, "id": 0}
    assert float(second.headers["x-tollkeeper-cost"]) == 0


async def test_a_hit_is_a_row_with_what_it_saved(gate: RunningGateway, llm: ScriptedLLM) -> None:
    await post(gate, chat())
    await post(gate, chat())
    miss, hit = await gate.rows()
    assert (miss["outcome"], miss["cache"], hit["outcome"], hit["cache"]) == ("ok", "miss", "cached", "exact")
    assert hit["saved_nano"] == miss["cost_nano"] > 0
    assert (hit["cost_nano"], hit["provider"], hit["cache_id"]) == (0, "openai", miss["cache_id"])


async def test_two_tenants_with_identical_prompts_make_two_calls(gate: RunningGateway, llm: ScriptedLLM) -> None:
    assert said(await post(gate, chat(), ONE)) == "miss"
    assert said(await post(gate, chat(), TWO)) == "miss"
    assert said(await post(gate, chat(), MATE)) == "miss", "not even a team mate, unless the operator says so"
    assert len(llm.seen) == 3


@pytest.mark.parametrize(
    "other",
    [
        {"user": "somebody"},
        {"metadata": {"trace": "x"}},
        {"stream_options": None},
        {"prompt_cache_key": "p"},
    ],
)
async def test_what_only_names_the_caller_does_not_count(
    gate: RunningGateway, llm: ScriptedLLM, other: dict[str, Any]
) -> None:
    await post(gate, chat())
    assert said(await post(gate, chat(**other))) == "exact"


async def test_key_order_and_spacing_do_not_count_and_letter_case_does(gate: RunningGateway, llm: ScriptedLLM) -> None:
    headers = {"x-bf-vk": ONE, "content-type": "application/json"}
    await post(gate, chat("Who are the US?", temperature=0.5))
    turned = (
        b'{ "temperature" : 0.5, "messages":[{"content":"Who are the \\u0055S?", "role":"user"}], "model":"gpt-4o" }'
    )
    reply = await gate.http.post("/v1/chat/completions", content=turned, headers=headers)
    assert said(reply) == "exact"
    assert said(await post(gate, chat("Who are the us?", temperature=0.5))) == "miss"
    assert said(await post(gate, chat("Who are the US?", temperature=0.50001))) == "miss"


async def test_a_body_that_repeats_a_key_takes_no_part(gate: RunningGateway, llm: ScriptedLLM) -> None:
    headers = {"x-bf-vk": ONE, "content-type": "application/json"}
    body = b'{"model":"gpt-4o","messages":[{"role":"user","content":"a","content":"b"}]}'
    reply = await gate.http.post("/v1/chat/completions", content=body, headers=headers)
    assert said(reply) == "bypass; reason=ambiguous"


@pytest.mark.parametrize("stored", [False, True])
async def test_either_form_answers_the_other_for_the_openai_sdk(
    gate: RunningGateway, llm: ScriptedLLM, stored: bool, openai_client: openai.AsyncOpenAI
) -> None:
    client = openai_client
    messages: Any = [{"role": "user", "content": f"form {stored}"}]

    async def whole() -> Any:
        return await client.chat.completions.create(model="gpt-4o", messages=messages)

    async def streamed() -> Any:
        stream = await client.chat.completions.create(
            model="gpt-4o", messages=messages, stream=True, stream_options={"include_usage": True}
        )
        return [chunk async for chunk in stream]

    for turn in (stored, not stored, stored):
        got = await (streamed() if turn else whole())
        if turn:
            assert "".join(c.choices[0].delta.content or "" for c in got if c.choices) == llm.text
            assert [c.choices[0].finish_reason for c in got if c.choices][-1] == "stop"
            assert got[-1].usage.completion_tokens == llm.tokens.output
            assert len({chunk.id for chunk in got}) == 1
        else:
            assert (got.choices[0].message.content, got.choices[0].finish_reason) == (llm.text, "stop")
            assert got.usage.completion_tokens == llm.tokens.output
    assert len(llm.seen) == 1


@pytest.mark.parametrize("stored", [False, True])
async def test_either_form_answers_the_other_for_the_anthropic_sdk(
    gate: RunningGateway, llm: ScriptedLLM, stored: bool, anthropic_client: anthropic.AsyncAnthropic
) -> None:
    client = anthropic_client
    asked: Any = {"model": "claude-x", "max_tokens": 100, "messages": [{"role": "user", "content": f"form {stored}"}]}

    async def streamed() -> Any:
        async with client.messages.stream(**asked) as stream:
            return await stream.get_final_message()

    for turn in (stored, not stored, stored):
        got = await (streamed() if turn else client.messages.create(**asked))
        assert (got.content[0].text, got.stop_reason) == (llm.text, "end_turn")
        assert (got.usage.input_tokens, got.usage.output_tokens) == (llm.tokens.input, llm.tokens.output)
    assert len(llm.seen) == 1


@pytest.mark.parametrize("stored", [False, True])
async def test_either_form_answers_the_other_for_responses(
    gate: RunningGateway, llm: ScriptedLLM, stored: bool, openai_client: openai.AsyncOpenAI
) -> None:
    client = openai_client

    async def streamed() -> Any:
        stream = await client.responses.create(model="gpt-4o", input=f"form {stored}", stream=True)
        events = [event async for event in stream]
        assert [e.sequence_number for e in events] == sorted(e.sequence_number for e in events)
        assert "".join(e.delta for e in events if e.type == "response.output_text.delta") == llm.text
        return events[-1].response

    for turn in (stored, not stored, stored):
        got = await (streamed() if turn else client.responses.create(model="gpt-4o", input=f"form {stored}"))
        assert (got.output_text, got.status) == (llm.text, "completed")
    assert len(llm.seen) == 1


async def test_embeddings_are_kept(gate: RunningGateway, llm: ScriptedLLM) -> None:
    body = {"model": "emb-1", "input": ["a", "b"]}
    first = await post(gate, body, path="/v1/embeddings")
    second = await post(gate, body, path="/v1/embeddings")
    assert (said(second), second.json()) == ("exact", first.json())
    assert said(await post(gate, {**body, "dimensions": 2}, path="/v1/embeddings")) == "miss"


async def test_what_did_not_end_well_is_never_kept(gate: RunningGateway, llm: ScriptedLLM) -> None:
    events = replies.completion_events(replies.completion(1, "gpt-4o", "cut", None, replies.Tokens()), usage=True)
    refused = replies.completion(1, "gpt-4o", "no", None, replies.Tokens())
    refused["choices"][0]["finish_reason"] = "content_filter"
    llm.faults = [
        answer(500, b'{"error":{"message":"broken"}}'),
        answer(200, b"not json"),
        answer(200, json.dumps(refused).encode()),
    ]
    for _ in range(3):
        assert said(await post(gate, chat("bad"))) == "miss"
    llm.faults = [cut_stream(events[:3])]
    assert said(await post(gate, chat("bad", stream=True))) == "miss"
    assert said(await post(gate, chat("bad"))) == "miss"
    assert said(await post(gate, chat("bad"))) == "exact"


async def test_cache_control_and_the_bifrost_headers_are_obeyed(gate: RunningGateway, llm: ScriptedLLM) -> None:
    assert said(await post(gate, chat(), cache_control="no-store")) == "bypass; reason=no_store"
    assert said(await post(gate, chat(), x_bf_cache_no_store="true")) == "miss"
    assert said(await post(gate, chat())) == "miss", "the call before was not kept"
    assert said(await post(gate, chat(), x_bf_cache_no_store="true")) == "exact"
    assert said(await post(gate, chat(), cache_control="no-cache")) == "miss", "asked anew"
    assert said(await post(gate, chat(), x_bf_cache_key="mine")) == "miss", "a cache key narrows the partition"
    assert said(await post(gate, chat(), x_bf_cache_key="mine", x_bf_cache_type="direct")) == "exact"


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("x-bf-cache-ttl", "soon"),
        ("x-bf-cache-ttl", "0"),
        ("x-bf-cache-threshold", "1.5"),
        ("x-bf-cache-type", "fuzzy"),
        ("x-tollkeeper-cache-tags", ",".join("abcdefghijklmnopq")),
    ],
)
async def test_a_cache_header_that_means_nothing_is_refused(
    gate: RunningGateway, llm: ScriptedLLM, header: str, value: str
) -> None:
    reply = await gate.http.post("/v1/chat/completions", json=chat(), headers={"x-bf-vk": ONE, header: value})
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "invalid_cache_header")
    assert header in reply.json()["error"]["message"]
    assert not llm.seen


async def test_a_key_or_a_model_can_be_left_out(gate: RunningGateway, llm: ScriptedLLM) -> None:
    assert said(await post(gate, chat(), OFF)) == "bypass; reason=key_off"
    assert said(await post(gate, {**chat(), "model": "gpt-never"})) == "bypass; reason=model_off"
    _, made, _ = await gate.cli("keys", "create", "unkept", "--model", "*", "--no-cache")
    assert said(await post(gate, chat(), made.strip())) == "bypass; reason=key_off"


async def test_hits_pass_permissions_and_request_rates_and_cost_no_budget(
    gate: RunningGateway, llm: ScriptedLLM
) -> None:
    for expected in (200, 200, 429):
        assert (await post(gate, chat("rate"), SLOW)).status_code == expected
    assert len(llm.seen) == 1
    dear = chat("dear", max_tokens=12)
    assert (await post(gate, dear, POOR)).status_code == 200
    assert (await post(gate, chat("other", max_tokens=12), POOR)).status_code == 402, "its budget is used up"
    assert said(await post(gate, dear, POOR)) == "exact"


async def test_answers_that_call_tools_are_not_kept_by_default(gate: RunningGateway, llm: ScriptedLLM) -> None:
    llm.plan = [ToolStep("look", {"at": 1})]
    body = chat("use it", tools=[{"type": "function", "function": {"name": "look", "parameters": {}}}])
    assert [said(await post(gate, body)) for _ in range(2)] == ["miss", "miss"]


async def test_answers_that_call_tools_are_given_again_under_new_ids_where_allowed(
    llm: ScriptedLLM, tmp_path: Any
) -> None:
    llm.plan = [ToolStep("look", {"at": 1})]
    body = chat("use it", tools=[{"type": "function", "function": {"name": "look", "parameters": {}}}])
    async with RunningGateway(config(llm, tool_answers=True), tmp_path) as gate:
        given = [await post(gate, body, x_tollkeeper_run=f"run-{n}") for n in range(3)]
        streamed = await post(gate, {**body, "stream": True})
        ids = [reply.json()["choices"][0]["message"]["tool_calls"][0]["id"] for reply in given]
        assert [said(reply) for reply in given] == ["miss", "exact", "exact"]
        assert len(set(ids)) == 3
        assert all(i.startswith("call_") for i in ids)
        assert said(streamed) == "exact"
        assert not any(i in streamed.text for i in ids)
        assert len(llm.seen) == 1


async def test_without_a_cache_key_nothing_takes_part_where_participation_is_by_header(
    llm: ScriptedLLM, tmp_path: Any
) -> None:
    async with RunningGateway(config(llm, "header"), tmp_path) as gate:
        assert said(await post(gate, chat())) == "bypass; reason=no_cache_key"
        assert said(await post(gate, chat(), x_bf_cache_key="k")) == "miss"
        assert said(await post(gate, chat(), x_bf_cache_key="k")) == "exact"
        assert said(await post(gate, chat(), TWO, x_bf_cache_key="k")) == "miss", "a shared cache key shares nothing"
        assert (await gate.rows())[0]["cache"] == "bypass:no_cache_key"


async def test_a_team_shares_where_the_operator_says_so(llm: ScriptedLLM, tmp_path: Any) -> None:
    async with RunningGateway(config(llm, scope="team"), tmp_path) as gate:
        assert said(await post(gate, chat(), ONE)) == "miss"
        assert said(await post(gate, chat(), MATE)) == "exact"
        assert said(await post(gate, chat(), TWO)) == "miss", "a key without a team shares with nobody"


async def test_kept_answers_outlive_the_process(llm: ScriptedLLM, tmp_path: Any) -> None:
    async with RunningGateway(config(llm), tmp_path) as gate:
        await post(gate, chat("lasting"))
        await gate.stop()
        await gate.http.aclose()
        await gate.start()
        assert said(await post(gate, chat("lasting"))) == "exact"
        assert (gate.state / "answers.db").stat().st_mode & 0o077 == 0


async def test_a_long_answer_is_not_kept(gate: RunningGateway, llm: ScriptedLLM) -> None:
    llm.text = "x" * 30_000
    try:
        assert [said(await post(gate, chat("long", stream=s))) for s in (False, True, False)] == ["miss"] * 3
    finally:
        llm.text = "scripted answer"


async def test_identical_calls_in_flight_share_one_flight(gate: RunningGateway, llm: ScriptedLLM) -> None:
    llm.gate = asyncio.Event()
    calls = [asyncio.create_task(post(gate, chat("together", stream=n % 2 == 0))) for n in range(20)]
    alien = asyncio.create_task(post(gate, chat("together"), TWO))
    await llm.arrived.acquire()
    await llm.arrived.acquire()
    await _joined(gate, 18)
    llm.gate.set()
    answers = await asyncio.gather(*calls)
    assert (await alien).status_code == 200
    assert all(reply.status_code == 200 for reply in answers)
    assert len(llm.seen) == 3, "one for each form of one tenant, and one for the other tenant"
    rows = [row for row in await gate.rows() if row["key"] == "one"]
    assert sorted(row["outcome"] for row in rows) == ["cached"] * 18 + ["ok"] * 2
    assert {row["cache"] for row in rows if row["outcome"] == "cached"} == {"coalesced"}
    assert sum(row["cost_nano"] for row in rows) == 2 * max(row["cost_nano"] for row in rows)
    assert sorted(map(said, answers)) == ["exact; coalesced"] * 18 + ["miss"] * 2


async def test_calls_that_offer_tools_share_no_flight(gate: RunningGateway, llm: ScriptedLLM) -> None:
    llm.gate = asyncio.Event()
    body = chat("apart", tools=[{"type": "function", "function": {"name": "look", "parameters": {}}}])
    calls = [asyncio.create_task(post(gate, body)) for _ in range(2)]
    for _ in range(2):
        await llm.arrived.acquire()
    llm.gate.set()
    assert [said(reply) for reply in await asyncio.gather(*calls)] == ["miss", "miss"]


async def test_who_leaves_a_shared_flight_does_not_cancel_it_for_the_others(
    gate: RunningGateway, llm: ScriptedLLM
) -> None:
    llm.gate = asyncio.Event()
    leader = asyncio.create_task(post(gate, chat("leaving")))
    await llm.arrived.acquire()
    others = [asyncio.create_task(post(gate, chat("leaving"))) for _ in range(3)]
    await _joined(gate, 3)
    leader.cancel()
    others[0].cancel()
    await asyncio.wait((leader, others[0]))
    llm.gate.set()
    answers = await asyncio.gather(*others[1:])
    assert [reply.json()["choices"][0]["message"]["content"] for reply in answers] == [llm.text] * 2
    assert len(llm.seen) == 1


async def _joined(gate: RunningGateway, count: int) -> None:
    """Wait until so many calls travel on others' flights (bounded)."""
    for _ in range(200):
        held = await gate.admin("GET", "/api/cache")
        if held.json()["waiting"] >= count:
            return
        await asyncio.sleep(0.05)
    raise TimeoutError("the calls did not join")
