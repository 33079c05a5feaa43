"""Bad days of a provider of another dialect: what the client sees, in its own dialect, and what the ledger charges."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.peers import llm_replies as replies
from tests.peers.scripted_llm import Fault, ScriptedLLM, answer, cut_stream, hang, paused_stream, reset, send_events
from tests.support.gateway import RunningGateway

pytestmark = pytest.mark.anyio

KEY = "vk-chaos-0123456789abcdef0123456789"
TEXT = "Grüße, 世界! 🌍 and some more words"


@pytest.fixture(scope="module")
async def shared_gate(
    shared_llm: ScriptedLLM, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[RunningGateway]:
    prices = 'prices: {"*": {input_per_million: 1, output_per_million: 10}}, timeouts: {head: 2, idle: 2}'
    yaml = f"""
    providers:
      - {{name: o, type: openai, api_key: "sk-o-secret-0001", base_url: "{shared_llm.base}/v1", allowed_models: [o, both],
          {prices}}}
      - {{name: a, type: anthropic, api_key: "sk-a-secret-0001", base_url: "{shared_llm.base}", allowed_models: [a, both],
          weight: 1000000, {prices}}}
      - {{name: g, type: gemini, api_key: "sk-g-secret-0001", base_url: "{shared_llm.base}", allowed_models: [g],
          {prices}}}
      - {{name: wide, type: gemini, api_key: "sk-w-secret-0001", base_url: "{shared_llm.base}", {prices}}}
    virtual_keys: [{{key_name: k, key: {KEY}, allowed_models: ["*"]}}]
    limits: {{stream_keep_alive_seconds: 0.2}}
    """
    async with RunningGateway(yaml, tmp_path_factory.mktemp("chaos")) as running:
        yield running


@pytest.fixture
def gate(shared_gate: RunningGateway, llm: ScriptedLLM) -> RunningGateway:
    shared_gate.mark()
    llm.text = TEXT
    return shared_gate


@dataclass(frozen=True)
class Surface:
    """How a client asks, and what tells it that a stream is over, or broke."""

    path: str
    body: dict[str, Any]
    end: str
    error: str

    async def ask(self, gate: RunningGateway, model: str, *, stream: bool) -> httpx.Response:
        path, body = self.path, dict(self.body)
        if "{" in path:
            method = "streamGenerateContent?alt=sse" if stream else "generateContent"
            path = path.format(model=model, method=method)
        else:
            body |= {"model": model, "stream": stream}
        return await gate.http.post(path, json=body, headers={"authorization": f"Bearer {KEY}"})


SAY = [{"role": "user", "content": "hi"}]
CHAT = Surface("/v1/chat/completions", {"messages": SAY}, "data: [DONE]", 'data: {"error"')
RESPONSES = Surface("/v1/responses", {"input": SAY}, "event: response.completed", "event: response.failed")
MESSAGES = Surface("/anthropic/v1/messages", {"messages": SAY, "max_tokens": 50}, "event: message_stop", "event: error")
GEMINI = Surface(
    "/genai/v1beta/models/{model}:{method}",
    {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]},
    '"finishReason":"STOP"',
    '"error":{"code"',
)
PAIRS = [
    pytest.param(CHAT, "a", id="chat-to-anthropic"),
    pytest.param(CHAT, "g", id="chat-to-gemini"),
    pytest.param(RESPONSES, "a", id="responses-to-anthropic"),
    pytest.param(MESSAGES, "o", id="messages-to-openai"),
    pytest.param(MESSAGES, "g", id="messages-to-gemini"),
    pytest.param(GEMINI, "a", id="gemini-to-anthropic"),
    pytest.param(GEMINI, "o", id="gemini-to-openai"),
]


def events_of(model: str) -> list[bytes]:
    """The stream of the provider that serves ``model``."""
    tokens = replies.Tokens()
    if model == "a":
        return replies.message_events(replies.message(1, "m", TEXT, None, tokens))
    if model == "g":
        return replies.gemini_events(replies.gemini("m", TEXT, None, tokens))
    return replies.completion_events(replies.completion(1, "m", TEXT, None, tokens), usage=True)


def streamed(events: list[bytes]) -> Fault:
    """These events and then a proper end of the connection."""

    async def fault(request: Any) -> Any:
        return await send_events(request, events, {})

    return fault


async def the_row(gate: RunningGateway) -> dict[str, Any]:
    (row,) = await gate.rows()
    return row


@pytest.mark.parametrize(("surface", "model"), PAIRS)
async def test_a_stream_that_breaks_off_ends_with_the_clients_error_and_is_charged_by_what_passed(
    gate: RunningGateway, llm: ScriptedLLM, surface: Surface, model: str
) -> None:
    llm.faults = [cut_stream(events_of(model)[: 2 if model == "g" else 4])]
    reply = await surface.ask(gate, model, stream=True)
    assert reply.status_code == 200
    assert surface.error in reply.text
    assert surface.end not in reply.text
    row = await the_row(gate)
    assert (row["outcome"], row["code"], row["provider"]) == ("failed", "upstream_cut", model)
    assert row["cost_nano"] > 0


@pytest.mark.parametrize(("surface", "model"), PAIRS)
async def test_a_vendor_that_leaves_out_its_last_event_is_told_with_the_clients(
    gate: RunningGateway, llm: ScriptedLLM, surface: Surface, model: str
) -> None:
    events = events_of(model)
    llm.faults = [streamed(events if model == "g" else events[:-1])]
    reply = await surface.ask(gate, model, stream=True)
    assert surface.end in reply.text
    assert surface.error not in reply.text
    row = await the_row(gate)
    assert (row["outcome"], row["basis"]) == ("ok", "measured")


@pytest.mark.parametrize(("surface", "model"), PAIRS)
async def test_half_a_character_waits_for_its_other_half_and_silence_is_kept_alive(
    gate: RunningGateway, llm: ScriptedLLM, surface: Surface, model: str
) -> None:
    events = events_of(model)
    at = next(n for n, event in enumerate(events) if b"u00fc" in event or "ü".encode() in event)
    plain = [
        json.dumps(json.loads(e.split(b"data: ", 1)[1]), ensure_ascii=False) if e == events[at] else "" for e in events
    ][at]
    head = events[at].split(b"data: ", 1)[0]
    events[at] = head + b"data: " + plain.encode() + (b"\r\n\r\n" if model == "g" else b"\n\n")
    go_on = asyncio.Event()
    cut = events[at].index("ü".encode()) + 1
    llm.faults = [paused_stream(events, at, go_on, cut)]
    asking = asyncio.create_task(surface.ask(gate, model, stream=True))
    await llm.arrived.acquire()
    asyncio.get_running_loop().call_later(0.6, go_on.set)
    reply = await asking
    assert "Grü" in reply.text or "Gr\\u00fc" in reply.text
    assert surface.end in reply.text
    assert (await the_row(gate))["outcome"] == "ok"


@pytest.mark.parametrize(("surface", "model"), PAIRS)
async def test_missing_usage_is_estimated(gate: RunningGateway, llm: ScriptedLLM, surface: Surface, model: str) -> None:
    bare = [e for e in events_of(model) if b'"choices": []' not in e]
    bare = [e.replace(b'"usage"', b'"not_usage"').replace(b'"usageMetadata"', b'"notUsage"') for e in bare]
    llm.faults = [streamed(bare)]
    reply = await surface.ask(gate, model, stream=True)
    assert surface.end in reply.text
    row = await the_row(gate)
    assert (row["outcome"], row["basis"]) == ("ok", "estimated")
    assert row["cost_nano"] > 0


@pytest.mark.parametrize(("surface", "model"), PAIRS)
@pytest.mark.parametrize("status", [400, 429, 500, 529])
async def test_a_vendors_error_is_told_in_the_clients_envelope_with_its_words_and_without_keys(
    gate: RunningGateway, llm: ScriptedLLM, surface: Surface, model: str, status: int
) -> None:
    said = {"error": {"message": f"some trouble with sk-{model}-secret-0001 here", "type": "x"}}
    llm.faults = [answer(status, json.dumps(said).encode(), retry_after="7")]
    reply = await surface.ask(gate, model, stream=False)
    assert reply.status_code == status
    error = reply.json()["error"]
    assert "some trouble with [key] here" in error["message"]
    assert ("type" in reply.json()) == (surface is MESSAGES)
    if status == 429:
        assert reply.headers["retry-after"] == "7"
    row = await the_row(gate)
    assert (row["outcome"], row["code"], row["cost_nano"]) == ("failed", "upstream_error", 0)


@pytest.mark.parametrize(("surface", "model"), PAIRS)
async def test_a_prompt_too_long_is_told_in_words_at_which_agents_shorten_it(
    gate: RunningGateway, llm: ScriptedLLM, surface: Surface, model: str
) -> None:
    said = {"error": {"message": "maximum context length is 8192 tokens", "code": "context_length_exceeded"}}
    llm.faults = [answer(400, json.dumps(said).encode())]
    reply = await surface.ask(gate, model, stream=False)
    assert reply.status_code == 400
    assert "prompt is too long" in reply.json()["error"]["message"]
    if surface in (CHAT, RESPONSES):
        assert reply.json()["error"]["code"] == "context_length_exceeded"


@pytest.mark.parametrize(("surface", "model"), PAIRS[:4:3])
@pytest.mark.parametrize(("fault", "status", "code"), [(hang, 504, "upstream_timeout"), (reset, 502, "upstream_reset")])
async def test_no_answer_is_told_as_an_outage(
    gate: RunningGateway, llm: ScriptedLLM, surface: Surface, model: str, fault: Fault, status: int, code: str
) -> None:
    llm.faults = [fault]
    reply = await surface.ask(gate, model, stream=True)
    assert reply.status_code == status
    assert (await the_row(gate))["code"] == code


@pytest.mark.parametrize("surface", [CHAT, MESSAGES, GEMINI, RESPONSES], ids=lambda surface: surface.path)
async def test_a_stream_goes_to_a_provider_of_another_dialect_until_its_first_content(
    gate: RunningGateway, llm: ScriptedLLM, surface: Surface
) -> None:
    """The model ``both`` is at an Anthropic-type and an OpenAI-type provider; the first one begins with an error."""
    overloaded = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    llm.faults = [streamed([replies.sse("error", overloaded)])]
    reply = await surface.ask(gate, "both", stream=True)
    assert surface.end in reply.text
    rows = await gate.rows()
    assert [(row["provider"], row["outcome"], row["reason"]) for row in rows] == [
        ("a", "failed", None),
        ("o", "ok", "other_target"),
    ]


async def test_an_error_in_mid_stream_is_the_clients_error_event_once(gate: RunningGateway, llm: ScriptedLLM) -> None:
    overloaded = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    llm.faults = [streamed([*events_of("a")[:4], replies.sse("error", overloaded)])]
    reply = await CHAT.ask(gate, "a", stream=True)
    assert reply.text.count('{"error"') == 1
    assert "Overloaded" in reply.text
    row = await the_row(gate)
    assert (row["outcome"], row["code"]) == ("failed", "upstream_error")


@pytest.mark.parametrize(
    ("surface", "body", "field"),
    [
        (CHAT, {"messages": [{"role": "wizard", "content": "x"}]}, "messages[0].role"),
        (MESSAGES, {"messages": [{"role": "user", "content": [{"type": "hologram"}]}]}, "messages.0.content.0.type"),
        (
            GEMINI,
            {"contents": [{"role": "user", "parts": [{"functionResponse": {"name": "x", "response": {}}}]}]},
            None,
        ),
        (RESPONSES, {"input": [{"type": "function_call_output", "call_id": "c", "output": "x"}]}, None),
    ],
    ids=["role", "block", "result", "output"],
)
async def test_a_wrong_body_is_refused_by_name_before_anything_leaves(
    gate: RunningGateway, llm: ScriptedLLM, surface: Surface, body: dict[str, Any], field: str | None
) -> None:
    wrong = Surface(surface.path, {**surface.body, **body}, "", "")
    reply = await wrong.ask(gate, "o" if surface in (MESSAGES, GEMINI) else "a", stream=False)
    assert reply.status_code == 400
    assert not llm.seen
    if field is not None:
        assert field in reply.json()["error"]["message"]
    row = await the_row(gate)
    assert (row["outcome"], row["code"], row["cost_nano"]) == ("failed", "invalid_request", 0)


@pytest.mark.parametrize("name", ["g/../../admin", "g/..", "g?x=1", "g#", "g/%2e%2e/x", "g/./x"])
async def test_a_model_name_never_leads_elsewhere_in_another_vendors_paths(
    gate: RunningGateway, llm: ScriptedLLM, name: str
) -> None:
    body = {"model": f"wide/{name}", "messages": SAY}
    for path in ("/v1/chat/completions", "/anthropic/v1/messages"):
        reply = await gate.http.post(path, json={**body, "max_tokens": 9}, headers={"authorization": f"Bearer {KEY}"})
        assert reply.status_code == 400
    assert not llm.seen
