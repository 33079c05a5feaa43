"""The Gemini endpoints through a real gateway: Google's own SDK, raw bytes, refusals in Google's envelope."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from google import genai
from google.genai import types

from tests.peers import llm_replies as replies
from tests.peers.scripted_llm import ScriptedLLM, ToolStep, answer, cut_stream
from tests.support.gateway import RunningGateway

pytestmark = pytest.mark.anyio

KEY = "vk-gemini-0123456789abcdef01234567"
POOR = "vk-poor-0123456789abcdef0123456789"
MODEL = "gemini-2.5-flash"


@pytest.fixture(scope="module")
async def shared_gate(
    shared_llm: ScriptedLLM, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[RunningGateway]:
    yaml = f"""
    providers:
      - {{name: gemini, api_key: google-secret, base_url: "{shared_llm.base}", allowed_models: ["gemini-*", "emb"],
          aliases: {{gemini-alias: vendor-gemini}}, prices: {{"*": {{input_per_million: 2, output_per_million: 10,
          cache_read_per_million: 1}}}}}}
      - {{name: openai, api_key: k, base_url: "{shared_llm.base}/v1", allowed_models: ["gpt-4o"]}}
    virtual_keys:
      - {{key_name: gemini, key: {KEY}, allowed_models: ["*"]}}
      - {{key_name: poor, key: {POOR}, allowed_models: ["*"], budget_limit: 0, budget_duration: 1d}}
    cache: {{enabled: true}}
    """
    async with RunningGateway(yaml, tmp_path_factory.mktemp("gemini")) as running:
        yield running


@pytest.fixture
def gate(shared_gate: RunningGateway, llm: ScriptedLLM) -> RunningGateway:
    shared_gate.mark()
    return shared_gate


@asynccontextmanager
async def sdk(gate: RunningGateway, **options: Any) -> AsyncIterator[genai.Client]:
    """Google's client, closed at the end: it would close itself later, in some other test's loop."""
    made = genai.Client(api_key=KEY, http_options=types.HttpOptions(base_url=f"{gate.address}/genai", **options))
    try:
        yield made
    finally:
        await made.aio.aclose()
        made.close()


@pytest.fixture(params=["v1", "v1beta"])
async def client(request: pytest.FixtureRequest, gate: RunningGateway) -> AsyncIterator[genai.Client]:
    async with sdk(gate, api_version=request.param) as made:
        yield made


async def post(gate: RunningGateway, path: str, body: Any, key: str = KEY) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"x-goog-api-key": key, "content-type": "application/json"}
    return await gate.http.post(path, content=content, headers=headers)


SAY = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}


async def test_the_sdk_gets_text_usage_and_streams(
    client: genai.Client, gate: RunningGateway, llm: ScriptedLLM
) -> None:
    whole = await client.aio.models.generate_content(model=MODEL, contents="hi")
    assert whole.text == llm.text
    assert whole.usage_metadata is not None
    assert whole.usage_metadata.total_token_count == llm.tokens.input + llm.tokens.output
    streamed = [chunk async for chunk in await client.aio.models.generate_content_stream(model=MODEL, contents="hi")]
    assert "".join(chunk.text or "" for chunk in streamed) == llm.text
    rows = await gate.rows()
    assert [(r["surface"], r["operation"], r["stream"], r["stop_reason"]) for r in rows] == [
        ("gemini", "generate", False, "STOP"),
        ("gemini", "generate", True, "STOP"),
    ]
    for row in rows:
        assert (row["input_tokens"], row["output_tokens"], row["reasoning_tokens"]) == (100, 12, 2)
        assert row["basis"] == "measured"
    assert llm.seen[0].headers["x-goog-api-key"] == "google-secret"


async def test_the_sdk_calls_a_tool_and_signatures_come_back(client: genai.Client, llm: ScriptedLLM) -> None:
    llm.plan = [ToolStep("look", {"at": "it"})]
    schema = {"type": "object", "properties": {"at": {"type": "string"}}}
    tool = types.Tool(function_declarations=[types.FunctionDeclaration(name="look", parameters_json_schema=schema)])
    config = types.GenerateContentConfig(
        tools=[tool], automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True)
    )
    first = await client.aio.models.generate_content(model=MODEL, contents="look", config=config)
    assert first.function_calls is not None
    assert (first.function_calls[0].name, first.function_calls[0].args) == ("look", {"at": "it"})
    assert first.candidates is not None
    said = first.candidates[0].content
    assert said is not None
    result = types.Content(role="user", parts=[types.Part.from_function_response(name="look", response={"seen": True})])
    history = [types.Content(role="user", parts=[types.Part(text="look")]), said, result]
    second = await client.aio.models.generate_content(model=MODEL, contents=history, config=config)
    assert second.text == llm.text
    assert llm.seen[-1].json["contents"][1]["parts"][0]["thoughtSignature"] == "c2ln"


async def test_the_sdk_counts_and_embeds(client: genai.Client, gate: RunningGateway, llm: ScriptedLLM) -> None:
    assert (await client.aio.models.count_tokens(model=MODEL, contents="hi")).total_tokens == 42
    embedded = await client.aio.models.embed_content(model="emb", contents=["a", "b"])
    assert embedded.embeddings is not None
    assert [e.values for e in embedded.embeddings] == [[0.25, -0.5, 1.0]] * 2
    rows = await gate.rows()
    assert [(r["kind"], r["operation"]) for r in rows] == [("count_tokens", "count_tokens"), ("model", "embed")]
    assert rows[0]["cost_nano"] == 0


async def test_a_body_goes_on_byte_for_byte_and_the_model_in_the_path_is_the_vendors(
    gate: RunningGateway, llm: ScriptedLLM
) -> None:
    body = b'{ "contents":[{"parts":[{"text":"h\xc3\xa9"}]}], "vendorField": [1.50] }'
    reply = await post(gate, "/v1beta/models/gemini-alias:generateContent?key=vk-in-the-address&x=1", body)
    assert reply.status_code == 200
    assert (llm.seen[0].path, llm.seen[0].query, llm.seen[0].body) == (
        "/v1beta/models/vendor-gemini:generateContent",
        "x=1",
        body,
    )


async def test_a_models_name_may_hold_a_colon(gate: RunningGateway, llm: ScriptedLLM) -> None:
    """Bedrock's and Ollama's do; the method stands behind the last one."""
    reply = await post(gate, "/v1beta/models/gemini-own:7b:generateContent", SAY)
    assert reply.status_code == 200
    assert llm.seen[0].path == "/v1beta/models/gemini-own:7b:generateContent"


@pytest.mark.parametrize("model", ["..%2f..%2fadmin", "a%2f%2e%2e%2fb", "a%3fb", "a%23b", "%2e"])
async def test_a_model_name_never_leads_elsewhere(gate: RunningGateway, llm: ScriptedLLM, model: str) -> None:
    reply = await post(gate, f"/v1beta/models/{model}:generateContent", SAY)
    assert reply.status_code in (400, 404)
    assert not llm.seen


@pytest.mark.parametrize(
    ("path", "key", "status", "name", "reason"),
    [
        ("/v1beta/models/gemini-x:generateContent", "vk-nobody", 401, "UNAUTHENTICATED", "unknown_key"),
        ("/v1beta/models/nobodys:generateContent", KEY, 403, "PERMISSION_DENIED", "model_not_allowed"),
        ("/v1beta/models/gemini-x:generateContent", POOR, 402, "RESOURCE_EXHAUSTED", "budget_exceeded"),
    ],
)
async def test_a_refusal_is_googles_envelope(
    gate: RunningGateway, llm: ScriptedLLM, path: str, key: str, status: int, name: str, reason: str
) -> None:
    reply = await post(gate, path, SAY, key)
    error = reply.json()["error"]
    assert (reply.status_code, error["code"], error["status"]) == (status, status, name)
    assert error["details"][0]["reason"] == reason
    assert not llm.seen


@pytest.mark.parametrize("path", ["/v1beta/models/x:deleteEverything", "/genai/v2/models/x:generateContent"])
async def test_an_unknown_method_is_told_with_those_that_are(gate: RunningGateway, path: str) -> None:
    reply = await post(gate, path, SAY)
    assert (reply.status_code, reply.json()["error"]["status"]) == (404, "NOT_FOUND")
    assert "generateContent" in reply.json()["error"]["message"]


async def test_a_stream_that_is_cut_ends_with_googles_error(gate: RunningGateway, llm: ScriptedLLM) -> None:
    events = replies.gemini_events(replies.gemini(MODEL, "a long text", None, replies.Tokens()))
    llm.faults = [cut_stream(events[:1])]
    reply = await post(gate, f"/v1beta/models/{MODEL}:streamGenerateContent?alt=sse", SAY)
    last = [line for line in reply.text.splitlines() if line.startswith("data:")][-1]
    assert json.loads(last[5:])["error"]["status"] == "UNAVAILABLE"
    assert [(r["outcome"], r["code"]) for r in await gate.rows()] == [("failed", "upstream_cut")]


async def test_a_stream_without_sse_is_an_array_and_is_measured(gate: RunningGateway, llm: ScriptedLLM) -> None:
    whole = replies.gemini(MODEL, "text", None, replies.Tokens())
    llm.faults = [answer(200, json.dumps([{**whole, "usageMetadata": None}, whole]).encode())]
    reply = await post(gate, f"/v1beta/models/{MODEL}:streamGenerateContent", SAY)
    assert len(reply.json()) == 2
    assert [(r["basis"], r["output_tokens"]) for r in await gate.rows()] == [("measured", 12)]


async def test_models_are_listed_as_google_lists_them(gate: RunningGateway, client: genai.Client) -> None:
    listed = (await gate.http.get("/v1beta/models", headers={"x-goog-api-key": KEY})).json()["models"]
    named = [model["name"] for model in listed]
    assert {"models/emb", "models/gpt-4o"} <= set(named), "a model of any provider is called in any dialect"


async def test_either_form_answers_the_other_for_googles_sdk(gate: RunningGateway, llm: ScriptedLLM) -> None:
    for stored in (False, True):
        seen = len(llm.seen)
        async with sdk(gate, headers={"x-bf-cache-key": f"forms-{stored}"}) as client:
            for streams in (stored, not stored, stored):
                if streams:
                    chunks = await client.aio.models.generate_content_stream(model=MODEL, contents="form")
                    text = "".join([chunk.text or "" async for chunk in chunks])
                else:
                    text = (await client.aio.models.generate_content(model=MODEL, contents="form")).text or ""
                assert text == llm.text
        assert len(llm.seen) == seen + 1
    marks = [row["cache"] for row in await gate.rows()]
    assert marks == ["miss", "exact", "exact"] * 2
