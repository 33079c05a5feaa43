"""OpenAI's responses as a provider speaks them: what is asked of it, and what it answers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.responses.response_create_params import ResponseCreateParams
from pydantic import ConfigDict, TypeAdapter

from policies.strict_json import BodyError, strict_object
from providers.canonical.answer import (
    CallDelta,
    CallStarted,
    Ended,
    Event,
    Failed,
    ReasoningDelta,
    ReasoningSealed,
    Started,
    TextDelta,
)
from providers.canonical.parts import Media, Opaque, Reasoning, Text, ToolCall, ToolReference, ToolResult, Turn
from providers.canonical.request import Hosted, OutputFormat, Request, Settings, Thinking, Tool, ToolChoice
from providers.translation.base import BAD_ANSWER, DEFAULT_TRAITS, Written
from providers.translation.responses import RESPONSES_BACK, RESPONSES_FACE
from tests.unit.providers.translation.test_responses_encoder import ASKED, answers, plain, streams

PARAMS: TypeAdapter[Any] = TypeAdapter(ResponseCreateParams, config=ConfigDict(extra="forbid"))
PNG = "iVBORw0KGgo="


def write(request: Request, model: str = "gpt-5.5") -> tuple[dict[str, Any], Written]:
    written = RESPONSES_BACK.write(request, model, DEFAULT_TRAITS)
    body: dict[str, Any] = json.loads(written.body)
    # The SDK wants the name of every thought, and the API does not; other clients' conversations do not hold it.
    named = [{"id": "rs_0", **item} if item["type"] == "reasoning" else item for item in body["input"]]
    spelled_out(PARAMS.validate_python({**body, "input": named}))
    return body, written


def spelled_out(value: Any) -> None:
    """Validates what pydantic leaves for later: whatever the SDK calls an iterable."""
    if isinstance(value, dict):
        for one in value.values():
            spelled_out(one)
    elif not isinstance(value, str | int | float | None):
        for one in value:
            spelled_out(one)


def asked(*turns: Turn, **fields: Any) -> Request:
    return Request(dialect="anthropic", model="m", turns=turns or (Turn("user", (Text("hi"),)),), **fields)


def test_a_conversation_of_another_dialect_is_a_flat_list_of_items() -> None:
    body, written = write(
        asked(
            Turn("system", (Text("Be brief."),)),
            Turn("user", (Text("a"), Media("image", mime="image/png", data=PNG))),
            Turn("system", (Text("later"),)),
            Turn("assistant", (Reasoning("hm", "sig", "anthropic"), Text("b"), ToolCall("to:1", "add", '{"a":1}'))),
            Turn("user", (ToolResult("to:1", (Text("1"), ToolReference("x"))), Text("c"))),
        )
    )
    call_id = body["input"][3]["call_id"]
    assert body["instructions"] == "Be brief."
    assert body["input"] == [
        {
            "type": "message",
            "role": "user",
            "content": [
                {"type": "input_text", "text": "a"},
                {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}", "detail": "auto"},
            ],
        },
        {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "later"}]},
        {"type": "message", "role": "assistant", "content": "b"},
        {"type": "function_call", "name": "add", "arguments": '{"a":1}', "call_id": call_id},
        {
            "type": "function_call_output",
            "call_id": call_id,
            "output": [
                {"type": "input_text", "text": "1"},
                {"type": "input_text", "text": "Tool x is available now."},
            ],
        },
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "c"}]},
    ]
    assert (body["store"], body["include"]) == (False, ["reasoning.encrypted_content"])
    assert (written.losses.hints, written.losses.demands) == (["reasoning"], [])


def test_the_vendor_s_own_seal_goes_back_under_its_name() -> None:
    thoughts = (Reasoning("hm", "gAAA", "openai", id="rs_1"), Reasoning("", "gBBB", "openai", redacted=True))
    body, _ = write(asked(Turn("assistant", thoughts)))
    assert body["input"] == [
        {
            "id": "rs_1",
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": "hm"}],
            "encrypted_content": "gAAA",
        },
        {"type": "reasoning", "summary": [], "encrypted_content": "gBBB"},
    ]


def test_tools_and_settings_of_another_dialect() -> None:
    tools = (Tool("add", "Adds."), Tool("grow", namespace="lab", strict=True), Tool("patch", custom=True))
    body, written = write(
        asked(
            tools=tools,
            hosted=(Hosted("anthropic", "web_search_20250305", {}),),
            choice=ToolChoice("named", "grow", "lab"),
            settings=Settings(
                max_tokens=5,
                temperature=0.5,
                top_k=3,
                stop=("x",),
                thinking=Thinking(budget=4_000, show=True),
                output=OutputFormat({"type": "object"}, "n", True),
            ),
        )
    )
    assert [(tool["type"], tool["name"], tool["strict"]) for tool in body["tools"]] == [
        ("function", "add", False),
        ("function", "lab__grow", True),
        ("function", "patch", False),
    ]
    assert body["tool_choice"] == {"type": "function", "name": "lab__grow"}
    assert body["reasoning"] == {"effort": "medium", "summary": "auto"}
    assert body["max_output_tokens"] == 16
    assert written.losses.demands == ["top_k", "stop"]
    assert set(written.losses.hints) == {"tools.web_search_20250305", "max_tokens", "temperature"}


def test_a_model_that_cannot_think_is_not_asked_to() -> None:
    body, written = write(asked(settings=Settings(temperature=1, thinking=Thinking("high"))), "gpt-4o")
    assert (body["temperature"], "reasoning" in body, "include" in body) == (1, False, False)
    assert written.losses.hints == ["thinking"]


@pytest.mark.parametrize(
    ("part", "lost"),
    [
        (Media("video", mime="video/mp4", data=PNG), "video"),
        (Media("image", file_id="f", dialect="anthropic"), "file_id"),
        (Opaque("anthropic", "container_upload", {}), "container_upload"),
    ],
)
def test_what_the_vendor_cannot_take_is_a_demand(part: Any, lost: str) -> None:
    assert write(asked(Turn("user", (Text("a"), part))))[1].losses.demands == [lost]


def test_a_result_without_a_call_is_refused() -> None:
    with pytest.raises(BodyError):
        write(asked(Turn("user", (ToolResult("c", ()),))))


def test_a_request_in_its_own_dialect_comes_back_the_same() -> None:
    call = {"type": "web_search_call", "id": "ws", "status": "completed", "action": {"type": "search", "query": "q"}}
    body = {
        "model": "m",
        "instructions": "Be brief.",
        "input": [
            {"role": "developer", "content": "You are Codex."},
            {
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "12h"}},
                    {"type": "input_file", "file_id": "file-1", "filename": "a.pdf"},
                    {"type": "input_audio", "input_audio": {"data": PNG, "format": "wav"}},
                ],
            },
            {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAA"},
            call,
            {"role": "assistant", "content": "b"},
            {"type": "function_call", "call_id": "c1", "name": "add", "namespace": "lab", "arguments": "{}"},
            {"type": "custom_tool_call", "call_id": "c2", "name": "patch", "input": "x"},
            {"type": "function_call_output", "call_id": "c1", "output": "1"},
            {"type": "custom_tool_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "2"}]},
        ],
        "tools": [
            {
                "type": "namespace",
                "name": "lab",
                "description": "The lab.",
                "tools": [{"type": "function", "name": "add", "parameters": {}, "strict": False}],
            },
            {"type": "custom", "name": "patch", "format": {"type": "text"}},
            {"type": "web_search"},
        ],
        "tool_choice": {"type": "custom", "name": "patch"},
        "text": {"format": {"type": "json_object"}, "verbosity": "low"},
        "reasoning": {"effort": "low", "summary": "detailed"},
        "store": False,
        "max_output_tokens": 20,
        "temperature": 0.5,
        "top_logprobs": 2,
        "stream": True,
    }
    first = RESPONSES_FACE.read(strict_object(json.dumps(body).encode(), frozenset()), "m", stream=True)
    written = RESPONSES_BACK.write(first, "m", DEFAULT_TRAITS)
    again = RESPONSES_FACE.read(strict_object(written.body, frozenset()), "m", stream=True)
    assert again == first
    assert written.losses.all() == []
    assert json.loads(written.body)["reasoning"] == body["reasoning"]


WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
SAID = st.builds(Text, WORDS)
SHOWN = SAID | st.builds(Media, st.just("image"), mime=st.just("image/png"), data=st.just(PNG), detail=st.just("auto"))
CALLED = st.builds(ToolCall, st.just(""), WORDS, namespace=st.sampled_from(["", "lab"])) | st.builds(
    ToolCall, st.just(""), WORDS, arguments=WORDS, custom=st.just(True)
)


@st.composite
def conversations(draw: st.DrawFn) -> tuple[Turn, ...]:
    turns: list[Turn] = [Turn("system", (draw(SAID),))]
    for step in range(draw(st.integers(1, 4))):
        turns.append(Turn("user", tuple(draw(st.lists(SHOWN, min_size=1, max_size=3)))))
        if draw(st.booleans()):
            turns.append(Turn("system", tuple(draw(st.lists(SAID, min_size=1, max_size=2)))))
        calls = [
            ToolCall(f"c{step}_{n}", call.name, call.arguments, call.namespace, call.custom)
            for n, call in enumerate(draw(st.lists(CALLED, max_size=3)))
        ]
        turns.append(Turn("assistant", (draw(SAID), *calls)))
        if calls:
            results = [ToolResult(call.id, tuple(draw(st.lists(SHOWN, max_size=2)))) for call in calls]
            turns += [Turn("user", tuple(draw(st.permutations(results)))), Turn("assistant", (draw(SAID),))]
    return tuple(turns)


@settings(max_examples=60, derandomize=True, deadline=None)
@given(conversations())
def test_any_conversation_is_the_same_after_writing_and_reading(turns: tuple[Turn, ...]) -> None:
    request = Request(dialect="openai_responses", model="m", turns=turns)
    body, written = write(request)
    assert written.losses.all() == []
    read = RESPONSES_FACE.read(strict_object(written.body, frozenset()), "m", stream=False)
    assert read.turns == turns
    assert body["instructions"] == turns[0].parts[0].text  # type: ignore[union-attr]


@settings(max_examples=60, derandomize=True, deadline=None)
@given(st.data())
def test_what_is_told_by_pieces_and_what_is_told_whole_are_the_same_answer(data: st.DataObject) -> None:
    answer = data.draw(answers())
    whole = RESPONSES_BACK.read(RESPONSES_FACE.write(answer, ASKED), "m")
    assert [plain(part) for part in whole.parts] == [plain(part) for part in answer.parts]
    assert whole.usage == answer.usage
    encoder = RESPONSES_FACE.encoder(ASKED)
    stream = b"".join(encoder.encode(batch) for batch in data.draw(streams(answer)))
    decoder = RESPONSES_BACK.decoder()
    events: list[Event] = []
    size = data.draw(st.integers(1, 400))
    for at in range(0, len(stream), size):
        events += decoder.feed(stream[at : at + size])
    events += decoder.finish()
    assert isinstance(events[0], Started)
    assert events[-1] == Ended(whole.stop, whole.usage)
    assert [plain(part) for part in put_together(events)] == [plain(part) for part in whole.parts]


def put_together(events: list[Event]) -> list[Any]:
    parts: list[Any] = []
    calls: dict[int, int] = {}
    thinking = False
    for event in events:
        if isinstance(event, TextDelta):
            if not parts or not isinstance(parts[-1], Text):
                parts.append(Text(""))
            parts[-1] = Text(parts[-1].text + event.text)
        elif isinstance(event, ReasoningDelta):
            if not thinking:
                parts.append(Reasoning())
            parts[-1] = Reasoning(parts[-1].text + event.text)
        elif isinstance(event, ReasoningSealed):
            if not thinking:
                parts.append(Reasoning())
            parts[-1] = Reasoning(parts[-1].text, event.seal, event.dialect, event.redacted)
        elif isinstance(event, CallStarted):
            calls[event.index] = len(parts)
            parts.append(ToolCall(event.id, event.name, "", event.namespace, event.custom))
        elif isinstance(event, CallDelta):
            call = parts[calls[event.index]]
            parts[calls[event.index]] = ToolCall(
                call.id, call.name, call.arguments + event.json, call.namespace, call.custom
            )
        if not isinstance(event, CallDelta):
            thinking = isinstance(event, ReasoningDelta)
    return [unwrapped(part) for part in parts]


def unwrapped(part: Any) -> Any:
    if isinstance(part, ToolCall) and part.custom:
        return ToolCall(part.id, part.name, json.loads(part.arguments)["input"], part.namespace, True)
    return part


def decoded(*events: dict[str, Any]) -> list[Event]:
    decoder = RESPONSES_BACK.decoder()
    stream = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)
    return [*decoder.feed(stream), *decoder.finish()]


def test_a_provider_that_sends_whole_items_only_is_understood() -> None:
    told = decoded(
        {"type": "response.created", "response": {"id": "r"}},
        {
            "type": "response.output_item.done",
            "output_index": 0,
            "item": {"type": "message", "content": [{"type": "output_text", "text": "a"}]},
        },
        {
            "type": "response.output_item.done",
            "output_index": 1,
            "item": {"type": "function_call", "call_id": "c", "name": "add", "arguments": {"a": 1}},
        },
        {"type": "response.completed", "response": {"id": "r", "status": "completed"}},
    )
    assert told == [
        Started("r"),
        TextDelta("a"),
        CallStarted(0, "c", "add"),
        CallDelta(0, '{"a":1}'),
        Ended("tool_calls"),
    ]


def test_calls_that_all_have_the_same_index_are_told_apart_by_their_ids() -> None:
    def call(kind: str, name: str, **more: Any) -> dict[str, Any]:
        return {"type": f"response.{kind}", "output_index": 0, "item_id": name, **more}

    told = decoded(
        call("output_item.added", "a", item={"type": "function_call", "id": "a", "call_id": "ca", "name": "x"}),
        call("output_item.added", "b", item={"type": "function_call", "id": "b", "call_id": "cb", "name": "y"}),
        call("function_call_arguments.delta", "a", delta="{}"),
        call("function_call_arguments.delta", "b", delta='{"b":1}'),
    )
    assert told[2:] == [CallDelta(0, "{}"), CallDelta(1, '{"b":1}')]


@pytest.mark.parametrize(
    "event",
    [
        {"type": "response.failed", "response": {"error": {"code": "rate_limit_exceeded", "message": "Slow."}}},
        {"type": "error", "code": "rate_limit_exceeded", "message": "Slow."},
        {"type": "error", "error": {"code": "rate_limit_exceeded", "message": "Slow."}},
    ],
)
def test_an_error_in_any_of_its_shapes_ends_the_stream(event: dict[str, Any]) -> None:
    assert decoded(event, {"type": "response.output_text.delta", "delta": "x"}) == [
        Failed("rate_limit_exceeded", "Slow.")
    ]


def test_a_stream_that_breaks_off_has_not_ended() -> None:
    assert decoded({"type": "response.output_text.delta", "delta": "x"}) == [TextDelta("x")]


@pytest.mark.parametrize("body", [b"{}", b"[]", b"oops", b'{"output": [], "status": "failed"}', b'{"output": 1}'])
def test_what_is_no_answer_is_refused(body: bytes) -> None:
    with pytest.raises(BAD_ANSWER):
        RESPONSES_BACK.read(body, "m")
