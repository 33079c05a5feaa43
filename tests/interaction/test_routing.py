"""Bad days through a real gateway: keys, retries, fallbacks, breakers, streams, runs; each attempt is a row."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.peers import llm_replies as replies
from tests.peers.scripted_llm import ScriptedLLM, answer, cut_stream, reset
from tests.support.gateway import RunningGateway

pytestmark = pytest.mark.anyio

KEY = "vk-route-0123456789abcdef01234567"
NARROW = "vk-narrow-0123456789abcdef0123456"
TOO_LONG = b'{"error":{"message":"too long","code":"context_length_exceeded","type":"invalid_request_error"}}'


@pytest.fixture(scope="module")
async def shared_gate(
    shared_llm: ScriptedLLM, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[RunningGateway]:
    base = f"{shared_llm.base}/v1"
    yaml = f"""
    providers:
      - {{name: many, type: openai, base_url: "{base}", allowed_models: ["gpt-keys"], prices: free,
          api_keys: [{{name: one, key: sk-one, weight: 1000000}}, {{name: two, key: sk-two, weight: 0.000001}}]}}
      - {{name: again, type: openai, api_key: sk-again, base_url: "{base}", allowed_models: ["gpt-again"], prices: free,
          retries: {{again: 2, first_pause: 0.01, longest_pause: 0.02}}}}
      - {{name: a, type: openai, api_key: sk-a, base_url: "{base}", allowed_models: ["gpt-two", "gpt-run"], prices: free,
          weight: 1000000, breaker: {{failures: 3, open_seconds: 3600}}}}
      - {{name: b, type: openai, api_key: sk-b, base_url: "{base}", allowed_models: ["gpt-two", "gpt-run"], prices: free,
          weight: 0.000001}}
      - {{name: mistral, api_key: sk-m, base_url: "{base}", allowed_models: ["mistral-*"], prices: free}}
      - {{name: azure, api_key: az, base_url: "{shared_llm.base}", allowed_models: ["azure-new"], prices: free}}
      - {{name: older, type: azure, api_key: az, base_url: "{shared_llm.base}", api_version: 2024-10-21,
          allowed_models: ["azure-old"], aliases: {{azure-old: my deployment}}, prices: free}}
      - {{name: small, type: openai, api_key: sk-s, base_url: "{base}", allowed_models: ["gpt-small", "gpt-large", "fast"],
          prices: free, aliases: {{fast: vendor-model-2026}}}}
    fallbacks: {{"gpt-small": [gpt-large]}}
    virtual_keys:
      - {{key_name: route, key: {KEY}, allowed_models: ["*"]}}
      - {{key_name: narrow, key: {NARROW}, allowed_models: ["gpt-small"]}}
    cache: {{enabled: true}}
    """
    async with RunningGateway(yaml, tmp_path_factory.mktemp("routing")) as running:
        yield running


@pytest.fixture
def gate(shared_gate: RunningGateway, llm: ScriptedLLM) -> RunningGateway:
    shared_gate.mark()
    return shared_gate


async def ask(gate: RunningGateway, model: str, key: str = KEY, **more: Any) -> httpx.Response:
    headers = {"x-bf-vk": key, **{n.replace("_", "-"): v for n, v in more.pop("headers", {}).items()}}
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}], **more}
    return await gate.http.post("/v1/chat/completions", json=body, headers=headers)


def keys_used(llm: ScriptedLLM) -> list[str]:
    return [seen.headers["authorization"].removeprefix("Bearer ") for seen in llm.seen]


async def test_a_rate_limited_key_gives_way_to_the_next_one(gate: RunningGateway, llm: ScriptedLLM) -> None:
    llm.faults = [answer(429, b'{"error":{"message":"slow down"}}', retry_after="60")]
    assert (await ask(gate, "gpt-keys")).status_code == 200
    assert keys_used(llm) == ["sk-one", "sk-two"]
    rows = [(r["attempt"], r["account"], r["outcome"], r["status"], r["reason"]) for r in await gate.rows()]
    assert rows == [(1, "one", "failed", 429, None), (2, "two", "ok", 200, "other_key")]


async def test_a_rejected_key_is_retired_for_the_call_and_named_when_none_is_left(
    gate: RunningGateway, llm: ScriptedLLM
) -> None:
    llm.faults = [answer(401, b"{}")]
    assert (await ask(gate, "gpt-keys")).status_code == 200
    llm.faults = [answer(401, b"{}"), answer(403, b"{}")]
    refused = await ask(gate, "gpt-keys")
    assert (refused.status_code, refused.json()["error"]["code"]) == (502, "upstream_credentials")
    assert "sk-" not in refused.text


async def test_one_target_is_tried_again_as_often_as_it_may(gate: RunningGateway, llm: ScriptedLLM) -> None:
    llm.faults = [answer(503, b"{}"), reset]
    assert (await ask(gate, "gpt-again")).status_code == 200
    assert [(r["status"], r["code"], r["reason"]) for r in await gate.rows()] == [
        (503, "upstream_error", None),
        (0, "upstream_reset", "retry"),
        (200, None, "retry"),
    ]
    llm.faults = [answer(503, b'{"error":{"message":"down"}}')] * 3
    failed = await ask(gate, "gpt-again")
    assert (failed.status_code, len(llm.seen)) == (503, 6)
    llm.faults = [answer(400, b'{"error":{"message":"bad"}}')]
    assert (await ask(gate, "gpt-again")).status_code == 400
    assert len(llm.seen) == 7, "a request that is wrong is not tried again"


async def test_a_client_that_leaves_during_a_pause_ends_the_call(gate: RunningGateway, llm: ScriptedLLM) -> None:
    llm.faults = [answer(429, b"{}", retry_after="20")]
    call = asyncio.create_task(ask(gate, "gpt-again"))
    for _ in range(200):
        if rows := await gate.rows():
            break
        await asyncio.sleep(0.05)
    assert [row["status"] for row in rows] == [429], "the pause has begun"
    call.cancel()
    await asyncio.wait((call,))
    assert (await ask(gate, "gpt-again")).status_code == 200
    assert len(llm.seen) == 2
    assert [row["reason"] for row in await gate.rows()] == [None, None]


async def test_a_prompt_that_is_too_long_goes_to_the_larger_model(gate: RunningGateway, llm: ScriptedLLM) -> None:
    llm.faults = [answer(400, TOO_LONG)]
    reply = await ask(gate, "gpt-small", headers={"x_bf_cache_key": "k"})
    assert (reply.status_code, reply.json()["model"]) == (200, "gpt-large")
    assert [(r["upstream"], r["reason"]) for r in await gate.rows()] == [("gpt-small", None), ("gpt-large", "fallback")]
    again = await ask(gate, "gpt-small", headers={"x_bf_cache_key": "k"})
    assert again.headers["x-tollkeeper-cache"] == "miss", "another model's answer is not kept as this one's"


async def test_a_fallback_that_the_key_may_not_use_is_none(gate: RunningGateway, llm: ScriptedLLM) -> None:
    llm.faults = [answer(400, TOO_LONG)]
    refused = await ask(gate, "gpt-small", NARROW)
    assert (refused.status_code, refused.content) == (400, TOO_LONG)


@pytest.mark.parametrize("way", ["header", "body"])
async def test_a_caller_names_fallbacks_of_its_own(gate: RunningGateway, llm: ScriptedLLM, way: str) -> None:
    llm.faults = [answer(500, b"{}"), answer(500, b"{}")]
    more: dict[str, Any] = (
        {"fallbacks": ["gpt-none", "small/gpt-large"]}
        if way == "body"
        else {"headers": {"x_tollkeeper_fallbacks": "gpt-none, small/gpt-large"}}
    )
    reply = await ask(gate, "gpt-two", **more)
    assert (reply.status_code, reply.json()["model"]) == (200, "gpt-large")
    assert all("fallbacks" not in seen.json for seen in llm.seen), "the field is the gate's own"


@pytest.mark.parametrize("value", ["gpt-large", [1], [""], ["x"] * 9])
async def test_fallbacks_that_mean_nothing_are_refused(gate: RunningGateway, llm: ScriptedLLM, value: Any) -> None:
    refused = await ask(gate, "gpt-two", fallbacks=value)
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "invalid_request")
    assert not llm.seen


async def test_a_stream_may_go_elsewhere_until_it_has_begun(gate: RunningGateway, llm: ScriptedLLM) -> None:
    error = b'data: {"error":{"message":"overloaded","type":"overloaded_error"}}\n\n'
    events = replies.completion_events(replies.completion(1, "m", "text", None, replies.Tokens()), usage=True)
    for fault in (cut_stream([]), cut_stream([error])):
        llm.faults = [fault]
        reply = await ask(gate, "gpt-two", stream=True)
        assert reply.status_code == 200
        assert reply.text.endswith("data: [DONE]\n\n")
        assert "overloaded" not in reply.text
    llm.faults = [cut_stream(events[:2])]
    begun = await ask(gate, "gpt-two", stream=True)
    assert "upstream_cut" in begun.text, "what was begun is not begun again elsewhere"


async def test_ten_percent_failures_at_one_of_two_are_invisible(gate: RunningGateway, llm: ScriptedLLM) -> None:
    before = len(await gate.rows())
    statuses = []
    for number in range(100):
        if number % 10 == 3:
            llm.faults = [answer(500, b"{}")]
        statuses.append((await ask(gate, "gpt-two")).status_code)
    assert Counter(statuses) == {200: 100}
    rows = (await gate.rows())[before:]
    assert Counter(row["outcome"] for row in rows) == {"ok": 100, "failed": 10}


async def test_a_target_that_fails_in_a_row_is_asked_last_and_the_operator_sees_it(
    gate: RunningGateway, llm: ScriptedLLM
) -> None:
    for _ in range(3):
        llm.faults = [answer(503, b"{}")]
        assert (await ask(gate, "gpt-run")).status_code == 200
    seen = len(llm.seen)
    assert (await ask(gate, "gpt-run")).status_code == 200
    assert keys_used(llm)[seen:] == ["sk-b"], "a is not asked now"
    status, out, _ = await gate.cli("explain", "--key", "route", "--model", "gpt-run")
    assert (status, "1. b/gpt-run" in out, "2. a/gpt-run" in out) == (0, True, True)
    assert "breaker open" in out
    _, doctor, _ = await gate.cli("doctor")
    assert "a/gpt-run: breaker open after 3 failures" in doctor
    llm.faults = [answer(503, b"{}")]
    assert (await ask(gate, "gpt-run")).status_code == 200
    assert keys_used(llm)[-2:] == ["sk-b", "sk-a"], "asked last, not never"


async def test_a_run_stays_with_the_target_that_served_it(gate: RunningGateway, llm: ScriptedLLM) -> None:
    llm.faults = [answer(429, b"{}")]
    headers = {"x_tollkeeper_run": "sticky"}
    for _ in range(3):
        assert (await ask(gate, "gpt-keys", headers=headers)).status_code == 200
    assert keys_used(llm) == ["sk-one", "sk-two", "sk-two", "sk-two"]
    await ask(gate, "gpt-keys", headers={"x_tollkeeper_run": "another"})
    assert keys_used(llm)[-1] == "sk-one"


async def test_an_alias_is_offered_and_the_vendors_name_is_sent(gate: RunningGateway, llm: ScriptedLLM) -> None:
    assert (await ask(gate, "fast")).status_code == 200
    assert llm.seen[0].json["model"] == "vendor-model-2026"
    assert [(r["target"], r["upstream"]) for r in await gate.rows()] == [("fast", "vendor-model-2026")]
    listed = await gate.http.get("/v1/models", headers={"x-bf-vk": KEY})
    names = {model["id"] for model in listed.json()["data"]}
    assert "fast" in names
    assert "vendor-model-2026" not in names


async def test_a_vendor_that_takes_no_stream_options_is_not_sent_any(gate: RunningGateway, llm: ScriptedLLM) -> None:
    assert (await ask(gate, "mistral-small", stream=True)).status_code == 200
    assert "stream_options" not in llm.seen[0].json
    assert (await ask(gate, "gpt-two", stream=True)).status_code == 200
    assert llm.seen[1].json["stream_options"] == {"include_usage": True}


async def test_azure_is_addressed_in_its_newer_and_its_dated_way(gate: RunningGateway, llm: ScriptedLLM) -> None:
    assert (await ask(gate, "azure-new")).status_code == 200
    assert (await ask(gate, "azure-old")).status_code == 200
    new, old = llm.seen
    assert (new.path, new.query) == ("/openai/v1/chat/completions", "")
    assert (old.path, old.query) == ("/openai/deployments/my deployment/chat/completions", "api-version=2024-10-21")
    assert [seen.headers.get("api-key") for seen in llm.seen] == ["az", "az"]
    assert not any("authorization" in seen.headers for seen in llm.seen)


async def test_a_stream_that_begins_with_an_error_costs_nothing_and_is_told_as_one(
    gate: RunningGateway, llm: ScriptedLLM
) -> None:
    for kind, status in (("rate_limit_error", 429), ("overloaded_error", 503)):
        error = b'event: error\ndata: {"type":"error","error":{"type":"%b","message":"no"}}\n\n' % kind.encode()
        llm.faults = [cut_stream([error])] * 3
        reply = await ask(gate, "gpt-again", stream=True)
        assert (reply.status_code, reply.json()["error"]["code"]) == (status, "upstream_error")
        rows = (await gate.rows())[-3:]
        assert {(row["status"], row["basis"], row["cost_nano"]) for row in rows} == {(status, "none", 0)}
