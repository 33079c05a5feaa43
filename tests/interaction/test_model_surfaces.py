"""Model calls through a real gateway process to a scripted provider: bytes, streams, usage, refusals."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.peers import llm_replies as replies
from tests.peers.scripted_llm import ScriptedLLM, answer, cut_stream, hang, reset
from tests.support.gateway import RunningGateway

pytestmark = pytest.mark.anyio

KEY = "vk-models-0123456789abcdef0123456789"
HEADERS = {"x-bf-vk": KEY, "content-type": "application/json"}


@pytest.fixture
def gate(shared_gate: RunningGateway, llm: ScriptedLLM) -> RunningGateway:
    shared_gate.mark()
    return shared_gate


@pytest.fixture(scope="module")
async def shared_gate(
    shared_llm: ScriptedLLM, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[RunningGateway]:
    llm = shared_llm
    yaml = f"""
    providers:
      - {{name: openai, api_key: sk-upstream-openai, base_url: "{llm.base}/v1", allowed_models: ["gpt-4o", "emb-*"],
          timeouts: {{connect: 2, head: 2, idle: 2}}, prices: {{"emb-*": {{input_per_million: 1, output_per_million: 0}},
          "gpt-4o": {{input_per_million: 2, output_per_million: 10, cache_read_per_million: 1}}}}}}
      - {{name: anthropic, api_key: sk-upstream-anthropic, base_url: "{llm.base}", allowed_models: ["claude-*"],
          timeouts: {{connect: 2, head: 2, idle: 2}}}}
      - {{name: missing, type: openai, api_key: "${{NO_SUCH_KEY:-}}", allowed_models: ["missing-1"]}}
      - {{name: subscription, type: anthropic, auth: passthrough, base_url: "{llm.base}", allowed_models: ["sub-*"]}}
    virtual_keys:
      - {{key_name: models, key: {KEY}, allowed_models: ["*"], allowed_tools: []}}
      - {{key_name: narrow, key: vk-narrow-0123456789abcdef012345, allowed_models: ["gpt-4o"]}}
      - {{key_name: poor, key: vk-poor-0123456789abcdef01234567, allowed_models: ["*"], budget_limit: 0.000001, budget_duration: 1d}}
      - {{key_name: slow, key: vk-slow-0123456789abcdef01234567, allowed_models: ["*"],
          rate_limit: {{request_limit: 1, request_limit_duration: 1h}}}}
      - {{key_name: old, key: vk-old-0123456789abcdef012345678, allowed_models: ["*"], expires_at: "2020-01-01T00:00:00Z"}}
    """
    async with RunningGateway(yaml, tmp_path_factory.mktemp("gate")) as running:
        yield running


async def test_a_chat_body_goes_upstream_byte_for_byte(gate: RunningGateway, llm: ScriptedLLM) -> None:
    body = (
        '{ "model":"gpt-4o",\n "vendor_field": {"x": 1.50, "é": [1e3]}, "messages":[{"role":"user","content":"hé"}] }'
    )
    reply = await gate.http.post("/v1/chat/completions?beta=true", content=body.encode(), headers=HEADERS)
    assert reply.status_code == 200
    seen = llm.seen[0]
    assert (seen.body, seen.query) == (body.encode(), "beta=true")
    assert seen.headers["authorization"] == "Bearer sk-upstream-openai"
    assert KEY not in json.dumps(seen.headers)
    assert reply.headers["x-tollkeeper-provider"] == "openai"
    assert reply.headers["x-request-id"] == "req_1"


async def test_only_the_model_name_changes_in_a_literal_call(gate: RunningGateway, llm: ScriptedLLM) -> None:
    body = b'{"messages":[{"role":"user","content":"openai/gpt-4o"}],"model":"openai/gpt-4o","z":null}'
    await gate.http.post("/openai/v1/chat/completions", content=body, headers=HEADERS)
    assert llm.seen[0].body == body.replace(b'"model":"openai/gpt-4o"', b'"model":"gpt-4o"')


async def test_usage_and_cost_are_exact(gate: RunningGateway, llm: ScriptedLLM) -> None:
    llm.tokens = replies.Tokens(input=100, output=12, cached=50)
    reply = await chat(gate, {"model": "gpt-4o"})
    assert reply.headers["x-tollkeeper-cost"] == "0.000370000"  # 100 × $2 + 50 × $1 + 12 × $10 per million
    (row,) = await gate.rows()
    assert (row["input_tokens"], row["cache_read_tokens"], row["output_tokens"]) == (100, 50, 12)
    assert (row["cost_nano"], row["basis"], row["outcome"]) == (370_000, "measured", "ok")


async def test_a_stream_hides_the_usage_chunk_that_the_client_did_not_ask_for(
    gate: RunningGateway, llm: ScriptedLLM
) -> None:
    reply = await chat(gate, {"model": "gpt-4o", "stream": True})
    events = [line[6:] for line in reply.text.splitlines() if line.startswith("data: ")]
    assert events[-1] == "[DONE]"
    assert all(json.loads(event)["choices"] for event in events[:-1])
    assert llm.seen[0].json["stream_options"] == {"include_usage": True}
    (row,) = await gate.rows()
    assert (row["input_tokens"], row["output_tokens"], row["basis"]) == (100, 12, "measured")


async def test_a_stream_shows_the_usage_chunk_that_the_client_asked_for(gate: RunningGateway) -> None:
    reply = await chat(gate, {"model": "gpt-4o", "stream": True, "stream_options": {"include_usage": True}})
    assert '"prompt_tokens": 100' in reply.text


async def test_an_anthropic_stream_passes_unchanged(gate: RunningGateway, llm: ScriptedLLM) -> None:
    body = {"model": "claude-sonnet-4-5", "max_tokens": 9, "stream": True, "messages": []}
    reply = await messages(gate, body)
    expected = replies.message_events(replies.message(1, "claude-sonnet-4-5", llm.text, None, llm.tokens))
    assert reply.content == b"".join(expected)
    assert reply.headers["request-id"] == "req_1"
    assert reply.headers["x-tollkeeper-provider"] == "anthropic"
    assert llm.seen[0].headers["x-api-key"] == "sk-upstream-anthropic"
    (row,) = await gate.rows()
    assert (row["input_tokens"], row["output_tokens"], row["stop_reason"]) == (100, 12, "end_turn")


async def test_responses_and_embeddings_are_measured(gate: RunningGateway) -> None:
    for stream in (False, True):
        body = {"model": "gpt-4o", "input": "hello", "stream": stream}
        assert (await gate.http.post("/v1/responses", json=body, headers=HEADERS)).status_code == 200
    embedded = await gate.http.post("/v1/embeddings", json={"model": "emb-1", "input": "x"}, headers=HEADERS)
    assert embedded.json()["data"][0]["embedding"] == [0.25, -0.5, 1.0]
    rows = await gate.rows()
    assert [(r["operation"], r["basis"]) for r in rows] == [
        ("responses", "measured"),
        ("responses", "measured"),
        ("embeddings", "measured"),
    ]


async def test_counting_tokens_is_free_and_permitted(gate: RunningGateway) -> None:
    body = {"model": "claude-sonnet-4-5", "messages": []}
    reply = await gate.http.post("/anthropic/v1/messages/count_tokens", json=body, headers=HEADERS)
    assert reply.json() == {"input_tokens": 42}
    denied = await gate.http.post(
        "/anthropic/v1/messages/count_tokens",
        json=body,
        headers={**HEADERS, "x-bf-vk": "vk-narrow-0123456789abcdef012345"},
    )
    assert denied.status_code == 403


async def test_models_are_listed_as_they_can_be_called(gate: RunningGateway) -> None:
    narrow = {"authorization": "Bearer vk-narrow-0123456789abcdef012345"}
    listed = (await gate.http.get("/v1/models", headers=narrow)).json()["data"]
    assert [m["id"] for m in listed] == ["gpt-4o"]
    assert (await gate.http.get("/v1/models/gpt-4o", headers=narrow)).json()["id"] == "gpt-4o"
    other = (await gate.http.get("/anthropic/v1/models", headers=narrow)).json()["data"]
    assert [m["id"] for m in other] == ["gpt-4o"], "a model of any provider is called in any dialect"


@pytest.mark.parametrize("model", ["claude-sonnet-4-5", "no-such-model", "anthropic/claude-x"])
async def test_denied_and_unknown_models_get_one_answer_with_the_allowed_names(
    gate: RunningGateway, model: str
) -> None:
    reply = await chat(gate, {"model": model}, key="vk-narrow-0123456789abcdef012345")
    error = reply.json()["error"]
    assert (reply.status_code, error["code"]) == (403, "model_not_allowed")
    assert error["details"]["allowed"] == ["gpt-4o"]
    (row,) = await gate.rows()
    assert (row["outcome"], row["code"], row["key"]) == ("refused", "model_not_allowed", "narrow")


async def test_a_model_without_its_provider_key_names_the_variable(gate: RunningGateway) -> None:
    reply = await chat(gate, {"model": "missing-1"})
    assert reply.status_code == 503
    assert "NO_SUCH_KEY is not set" in reply.json()["error"]["message"]


@pytest.mark.parametrize("header", ["x-bf-vk", "x-api-key", "x-goog-api-key", "api-key"])
async def test_the_key_is_taken_from_every_credential_header(gate: RunningGateway, header: str) -> None:
    reply = await gate.http.get("/v1/models", headers={header: KEY})
    assert reply.status_code == 200


async def test_bad_credentials_get_401_in_the_dialects_own_envelope(gate: RunningGateway) -> None:
    cases: list[tuple[dict[str, str], str]] = [
        ({}, "missing_key"),
        ({"x-bf-vk": "vk-nobody"}, "unknown_key"),
        ({"authorization": "Bearer vk-old-0123456789abcdef012345678"}, "expired_key"),
        ({"x-bf-vk": KEY, "x-api-key": "vk-narrow-0123456789abcdef012345"}, "conflicting_keys"),
    ]
    for headers, code in cases:
        sent = {"content-type": "application/json", **headers}
        reply = await gate.http.post("/v1/chat/completions", json={"model": "gpt-4o"}, headers=sent)
        assert (reply.status_code, reply.json()["error"]["code"]) == (401, code)
        reply = await gate.http.post("/anthropic/v1/messages", json={"model": "claude-x"}, headers=sent)
        assert (reply.status_code, reply.json()["type"]) == (401, "error")
        assert reply.json()["error"]["type"] == "authentication_error"


async def test_an_exhausted_budget_is_402_and_not_to_be_retried(gate: RunningGateway, llm: ScriptedLLM) -> None:
    reply = await chat(gate, {"model": "gpt-4o"}, key="vk-poor-0123456789abcdef01234567")
    assert (reply.status_code, reply.headers["x-should-retry"]) == (402, "false")
    assert "retry-after" not in reply.headers
    details = reply.json()["error"]["details"]
    assert (details["tier"], details["limit_nano"]) == ("key:poor", 1_000)
    assert details["reset_at"].endswith("T00:00:00Z")
    assert llm.seen == []


async def test_a_request_rate_is_429_with_a_true_retry_after(gate: RunningGateway) -> None:
    key = "vk-slow-0123456789abcdef01234567"
    assert (await chat(gate, {"model": "gpt-4o"}, key=key)).status_code == 200
    reply = await chat(gate, {"model": "gpt-4o"}, key=key)
    assert (reply.status_code, reply.headers["x-should-retry"]) == (429, "false")
    assert 3_400 < int(reply.headers["retry-after"]) <= 3_660


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b'{"model":"gpt-4o","model":"gpt-4o","messages":[]}', 400, "ambiguous_body"),
        (b'{"model":"gpt-4o","Model":"x","messages":[]}', 400, "ambiguous_body"),
        (b'{"model":"gpt-4o","\\u0073tream":true,"stream":false}', 400, "ambiguous_body"),
        (b'{"model":"gpt-4o","x":"\xff"}', 400, "invalid_json"),
        (b'{"model":"gpt-4o","x":' + b"[" * 50_000 + b"]" * 50_000 + b"}", 400, "invalid_json"),
        (b"[1,2]", 400, "invalid_json"),
        (b"not json", 400, "invalid_json"),
        (b"", 400, "invalid_json"),
        (b'{"messages":[]}', 400, "missing_model"),
        (b'{"model":7}', 400, "invalid_request"),
        (b'{"model":"gpt-4o","stream":"yes"}', 400, "invalid_request"),
        (b'{"model":"gpt-4o","max_tokens":-1}', 400, "invalid_request"),
        (b'{"model":"gpt-4o","x":"' + b"a" * (33 * 1024 * 1024) + b'"}', 413, "body_too_large"),
    ],
)
async def test_a_malformed_body_is_refused_by_name_and_on_the_ledger(
    gate: RunningGateway, llm: ScriptedLLM, body: bytes, status: int, code: str
) -> None:
    reply = await gate.http.post("/v1/chat/completions", content=body, headers=HEADERS)
    assert (reply.status_code, reply.json()["error"]["code"]) == (status, code)
    assert llm.seen == []
    (row,) = await gate.rows()
    assert (row["outcome"], row["code"]) == ("refused", code)


async def test_a_wrong_content_type_is_refused(gate: RunningGateway) -> None:
    reply = await gate.http.post(
        "/v1/chat/completions", content=b"{}", headers={"x-bf-vk": KEY, "content-type": "text/plain"}
    )
    assert (reply.status_code, reply.json()["error"]["code"]) == (415, "unsupported_content_type")


async def test_a_foreign_host_or_origin_is_refused(gate: RunningGateway) -> None:
    for headers in ({"host": "evil.example"}, {"origin": "https://evil.example"}):
        reply = await gate.http.get("/v1/models", headers={**HEADERS, **headers})
        assert (reply.status_code, reply.json()["error"]["code"]) == (403, "forbidden_host")


UPSTREAM_FAULTS: list[tuple[Any, int, str, str]] = [
    (hang, 504, "upstream_timeout", "estimated"),
    (reset, 502, "upstream_reset", "estimated"),
    (answer(200, b"<html>", "text/html"), 502, "upstream_invalid_reply", "estimated"),
    (answer(200, b'{"choices":'), 502, "upstream_invalid_reply", "estimated"),
    (answer(401, b'{"error":{"message":"bad key"}}'), 502, "upstream_credentials", "none"),
    (answer(404, b'{"error":{"message":"no such model"}}'), 502, "upstream_not_found", "none"),
    (answer(429, b'{"error":{"message":"slow down"}}', retry_after="3"), 429, "upstream_error", "none"),
    (answer(529, b'{"error":{"message":"overloaded"}}'), 529, "upstream_error", "none"),
]


@pytest.mark.parametrize(("fault", "status", "code", "basis"), UPSTREAM_FAULTS)
async def test_an_upstream_failure_is_told_and_booked(
    gate: RunningGateway, llm: ScriptedLLM, fault: Any, status: int, code: str, basis: str
) -> None:
    llm.faults = [fault]
    reply = await chat(gate, {"model": "gpt-4o"})
    assert reply.status_code == status
    assert "sk-upstream" not in reply.text
    (row,) = await gate.rows()
    assert (row["outcome"], row["code"], row["basis"]) == ("failed", code, basis)
    assert (await chat(gate, {"model": "gpt-4o"})).status_code == 200


async def test_an_upstream_rate_limit_keeps_its_retry_after_and_body(gate: RunningGateway, llm: ScriptedLLM) -> None:
    llm.faults = [answer(429, b'{"error":{"message":"slow down"}}', retry_after="3")]
    reply = await chat(gate, {"model": "gpt-4o"})
    assert (reply.headers["retry-after"], reply.content) == ("3", b'{"error":{"message":"slow down"}}')


async def test_a_cut_stream_ends_with_the_dialects_error_event(gate: RunningGateway, llm: ScriptedLLM) -> None:
    whole = replies.message_events(replies.message(1, "claude-x", "many words here", None, llm.tokens))
    half_a_character = 'event: content_block_delta\ndata: {"type":"content_block_delta","x":"é'.encode()[:-1]
    llm.faults = [cut_stream([*whole[:4], half_a_character])]
    reply = await messages(gate, {"model": "claude-x", "max_tokens": 9, "stream": True, "messages": []})
    last = reply.content.rsplit(b"data: ", 1)[1]
    assert json.loads(last)["error"]["code"] == "upstream_cut"
    (row,) = await gate.rows()
    assert (row["outcome"], row["code"], row["basis"], row["input_tokens"]) == (
        "failed",
        "upstream_cut",
        "estimated",
        100,
    )


async def test_a_large_answer_is_refused_without_harm(gate: RunningGateway, llm: ScriptedLLM) -> None:
    llm.faults = [answer(200, b'{"x":"' + b"a" * (65 * 1024 * 1024) + b'"}')]
    reply = await chat(gate, {"model": "gpt-4o"})
    assert (reply.status_code, reply.json()["error"]["code"]) == (502, "upstream_too_large")
    llm.faults = [answer(200, b'{"choices":[],"x":"' + b"a" * (50 * 1024 * 1024) + b'"}')]
    assert len((await chat(gate, {"model": "gpt-4o"})).content) > 50 * 1024 * 1024


async def test_a_client_that_leaves_cancels_the_upstream_request(gate: RunningGateway, llm: ScriptedLLM) -> None:
    llm.faults = [hang]
    async with gate.http.stream("GET", "/healthz"):
        pass
    import asyncio

    call = asyncio.create_task(chat(gate, {"model": "gpt-4o"}))
    await llm.arrived.acquire()
    call.cancel()
    await llm.gone.acquire()
    (row,) = await gate.rows()
    assert (row["outcome"], row["basis"]) == ("cancelled", "estimated")


async def test_passthrough_sends_the_callers_credential_and_never_the_virtual_key(
    gate: RunningGateway, llm: ScriptedLLM
) -> None:
    body = {"model": "sub-1", "max_tokens": 9, "messages": []}
    own = {"authorization": "Bearer oauth-of-the-user"}
    reply = await gate.http.post("/anthropic/v1/messages", json=body, headers={**HEADERS, **own})
    assert reply.status_code == 200
    assert llm.seen[0].headers["authorization"] == "Bearer oauth-of-the-user"
    assert KEY not in json.dumps(llm.seen[0].headers)
    missing = await gate.http.post("/anthropic/v1/messages", json=body, headers={"authorization": f"Bearer {KEY}"})
    assert (missing.status_code, missing.json()["error"]["code"]) == (401, "passthrough_credential_missing")


async def chat(gate: RunningGateway, body: dict[str, Any], key: str = KEY) -> Any:
    sent = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 64, **body}
    return await gate.http.post("/v1/chat/completions", json=sent, headers={**HEADERS, "x-bf-vk": key})


async def messages(gate: RunningGateway, body: dict[str, Any]) -> Any:
    return await gate.http.post("/anthropic/v1/messages", json=body, headers=HEADERS)


async def test_a_stream_whose_vendor_leaves_out_the_end_gets_one(gate: RunningGateway, llm: ScriptedLLM) -> None:
    events = replies.completion_events(replies.completion(1, "gpt-4o", "text", None, replies.Tokens()), usage=True)
    body = {"model": "gpt-4o", "stream": True, "messages": [{"role": "user", "content": "hi"}]}
    for missing, outcome in (((-1,), "ok"), ((-1, -2), "ok"), ((-1, -2, -3), "failed")):
        told = b"".join(event for at, event in enumerate(events, -len(events)) if at not in missing)
        llm.faults = [answer(200, told, content_type="text/event-stream")]
        reply = await gate.http.post("/v1/chat/completions", json=body, headers=HEADERS)
        assert reply.content.endswith(b"data: [DONE]\n\n") == (outcome == "ok")
        row = (await gate.rows())[-1]
        assert (row["outcome"], row["basis"]) == (outcome, "measured" if len(missing) == 1 else "estimated")
