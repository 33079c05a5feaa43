"""Streams that clients of chat completions are sent: OpenAI's own SDK reads every chunk and gathers them."""

from __future__ import annotations

import json
from typing import Any

from policies.types import Usage
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
from providers.canonical.parts import Reasoning, ToolCall
from providers.canonical.request import Request
from providers.translation.chat import CHAT_FACE
from tests.unit.providers.translation.chat_sdk import decoded, encoded, parsed_stream, read, told

CALLS: list[Event] = [
    Started("msg_1"),
    CallStarted(3, "a", "f"),
    CallStarted(5, "b", "g"),
    CallDelta(5, '{"y":'),
    CallDelta(3, '{"x":1}'),
    CallDelta(5, "2}"),
    Ended("tool_calls"),
]


def deltas_of(*events: Event) -> list[dict[str, Any]]:
    chunks, _ = parsed_stream(encoded([*events, Ended("end")], stream_usage=False))
    return [chunk["choices"][0]["delta"] for chunk in chunks]


def test_a_stream_begins_with_the_role_and_ends_with_a_reason_usage_and_done() -> None:
    usage = Usage(input_tokens=3, cache_read_tokens=2, output_tokens=4)
    stream = encoded([Started("msg_1"), TextDelta("Hi"), Ended("length", usage)])
    chunks, gathered = parsed_stream(stream)
    assert [chunk["choices"] for chunk in chunks] == [
        [{"index": 0, "delta": {"role": "assistant", "content": ""}, "logprobs": None, "finish_reason": None}],
        [{"index": 0, "delta": {"content": "Hi"}, "logprobs": None, "finish_reason": None}],
        [{"index": 0, "delta": {}, "logprobs": None, "finish_reason": "length"}],
        [],
    ]
    assert [chunk["usage"] for chunk in chunks[:-1]] == [None, None, None]
    assert chunks[-1]["usage"]["prompt_tokens"] == 5
    assert {(chunk["id"], chunk["model"], chunk["object"]) for chunk in chunks} == {
        ("chatcmpl-msg_1", "m", "chat.completion.chunk")
    }
    assert len({chunk["created"] for chunk in chunks}) == 1
    assert gathered.choices[0].message.content == "Hi"
    assert gathered.usage.total_tokens == 9


def test_usage_is_told_only_to_who_asked_for_it() -> None:
    stream = encoded([Started("x"), TextDelta("Hi"), Ended("end", Usage(input_tokens=3))], stream_usage=False)
    assert b"usage" not in stream
    assert len(parsed_stream(stream)[0]) == 3


def test_parallel_calls_keep_their_index_and_say_their_name_once() -> None:
    chunks, gathered = parsed_stream(encoded(CALLS))
    told_calls = [call for chunk in chunks for call in chunk["choices"][0]["delta"].get("tool_calls", ())]
    assert [call["index"] for call in told_calls] == [0, 1, 1, 0, 1]
    assert [call.keys() >= {"id", "type"} for call in told_calls] == [True, True, False, False, False]
    calls = gathered.choices[0].message.tool_calls
    assert [(call.id, call.function.name, call.function.arguments) for call in calls] == [
        ("a", "f", '{"x":1}'),
        ("b", "g", '{"y":2}'),
    ]
    assert gathered.choices[0].finish_reason == "tool_calls"


def test_no_chunk_waits_for_another() -> None:
    encoder = CHAT_FACE.encoder(Request(dialect="openai_chat", model="m"))
    for event in CALLS:
        assert encoder.encode([event]).endswith(b"\n\n")
    assert encoder.encode([]) == b""


def test_a_thought_is_told_for_people_and_with_its_seal_for_the_next_request() -> None:
    assert deltas_of(
        Started("x"),
        ReasoningDelta("h"),
        ReasoningDelta("m"),
        ReasoningSealed("S", "anthropic"),
        ReasoningSealed("R", "anthropic", redacted=True),
        TextDelta("a"),
        ReasoningDelta("b"),
        ReasoningSealed("", ""),
        ReasoningDelta("c"),
    )[1:-1] == [
        {"reasoning_content": "h", "reasoning_details": [{"type": "reasoning.text", "text": "h", "index": 0}]},
        {"reasoning_content": "m", "reasoning_details": [{"type": "reasoning.text", "text": "m", "index": 0}]},
        {
            "reasoning_details": [
                {
                    "type": "reasoning.text",
                    "text": "",
                    "signature": "tk1.anthropic.S",
                    "format": "anthropic-claude-v1",
                    "index": 0,
                }
            ]
        },
        {
            "reasoning_details": [
                {
                    "type": "reasoning.encrypted",
                    "data": "tk1.anthropic.R",
                    "format": "anthropic-claude-v1",
                    "index": 1,
                }
            ]
        },
        {"content": "a"},
        {"reasoning_content": "b", "reasoning_details": [{"type": "reasoning.text", "text": "b", "index": 2}]},
        {"reasoning_content": "c", "reasoning_details": [{"type": "reasoning.text", "text": "c", "index": 3}]},
    ]


def test_a_seal_on_a_call_bears_the_calls_id() -> None:
    deltas = deltas_of(Started("x"), ReasoningSealed("G", "gemini"), CallStarted(0, "a", "f"), CallDelta(0, "{}"))
    detail = {
        "type": "reasoning.encrypted",
        "data": "tk1.gemini.G",
        "id": "a",
        "format": "google-gemini-v1",
        "index": 0,
    }
    assert deltas[1] == {"reasoning_details": [detail]}
    assert "tool_calls" in deltas[2]
    (kept,) = deltas_of(Started("x"), TextDelta("a"), ReasoningSealed("G", "gemini"))[2:-1]
    assert "id" not in kept["reasoning_details"][0]


def test_what_a_client_gathers_comes_back_as_it_was_told() -> None:
    events: list[Event] = [
        Started("x"),
        ReasoningDelta("hm"),
        ReasoningSealed("S", "anthropic"),
        ReasoningSealed("G", "gemini"),
        CallStarted(0, "a", "f"),
        CallDelta(0, "{}"),
        Ended("tool_calls"),
    ]
    chunks, _ = parsed_stream(encoded(events))
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    message = {
        "role": "assistant",
        "content": None,
        "reasoning_details": [detail for delta in deltas for detail in delta.get("reasoning_details", ())],
        "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
    }
    (turn,) = read(messages=[message]).turns
    assert turn.parts == (
        Reasoning("hm", "S", "anthropic"),
        Reasoning("", "G", "gemini", id="a"),
        ToolCall("a", "f", "{}"),
    )


def test_a_custom_calls_text_is_told_as_text() -> None:
    events: list[Event] = [
        Started("x"),
        CallStarted(0, "a", "p", custom=True),
        CallDelta(0, '{"input":"say '),
        CallDelta(0, '\\"hi\\""}'),
        CallStarted(1, "b", "q", custom=True),
        Ended("tool_calls"),
    ]
    stream = encoded(events)
    first = json.loads(stream.split(b"\n\n")[1].removeprefix(b"data: "))["choices"][0]["delta"]["tool_calls"][0]
    assert first == {"index": 0, "id": "a", "type": "custom", "custom": {"name": "p", "input": ""}}
    assert told(decoded(stream))[0] == [
        ToolCall("a", "p", 'say "hi"', custom=True),
        ToolCall("b", "q", "", custom=True),
    ]


def test_a_failure_is_an_error_event_and_no_end() -> None:
    stream = encoded([Started("x"), TextDelta("Hi"), Failed("overloaded_error", "down")])
    assert b"[DONE]" not in stream
    error = json.loads(stream.split(b"\n\n")[-2].removeprefix(b"data: "))["error"]
    assert (error["code"], error["message"]) == ("overloaded_error", "down")
    assert encoded([Failed("x", "down")]).startswith(b'data: {"error"')
