"""Streams of providers that speak chat completions, each in its own way."""

from __future__ import annotations

import json
from typing import Any

import pytest

from policies.types import Usage
from providers.canonical.answer import (
    CallDelta,
    CallStarted,
    Ended,
    Failed,
    ReasoningDelta,
    ReasoningSealed,
    Started,
    TextDelta,
)
from providers.canonical.parts import Reasoning, Text, ToolCall
from providers.translation.chat import CHAT_BACK
from tests.unit.providers.translation.chat_sdk import chunk, decoded, sse, told

USAGE = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
CANONICAL = Usage(input_tokens=3, output_tokens=4)


def piece(arguments: Any = None, name: str | None = None, **more: Any) -> dict[str, Any]:
    said = {"name": name, "arguments": arguments}
    return {**more, "function": {key: value for key, value in said.items() if value is not None}}


def calls_of(*deltas: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Name and arguments of the calls that these deltas tell."""
    parts, ended, _ = told(decoded(sse(*(chunk({"tool_calls": delta}) for delta in deltas), chunk({}, "tool_calls"))))
    assert ended == Ended("tool_calls")
    assert all(part.id for part in parts)
    return [(part.name, part.arguments) for part in parts if isinstance(part, ToolCall)]


def test_a_stream_as_openai_documents_it() -> None:
    stream = sse(
        chunk({"role": "assistant", "content": "", "refusal": None}, usage=None),
        chunk({"content": "Hé"}, usage=None),
        chunk({"content": "llo"}, usage=None),
        chunk({}, "stop", usage=None),
        {"id": "chatcmpl-1", "choices": [], "usage": USAGE},
    )
    assert decoded(stream) == [Started("chatcmpl-1"), TextDelta("Hé"), TextDelta("llo"), Ended("end", CANONICAL)]


@pytest.mark.parametrize(
    "chunks",
    [
        [chunk({"content": "x"}), chunk({}, "stop", usage=USAGE)],
        [chunk({"content": "x"}, usage={"prompt_tokens": 3, "completion_tokens": 1}), chunk({}, "stop", usage=USAGE)],
        [chunk({"content": "x"}), chunk({}, "stop", usage=None, x_groq={"id": "r", "usage": USAGE})],
        [chunk({"content": "x"}, "stop"), {"id": "y", "choices": [], "usage": USAGE}],
        [chunk({"content": "x"}, "stop"), chunk({}, "stop", usage=USAGE)],
    ],
)
def test_usage_is_found_wherever_it_stands(chunks: list[Any]) -> None:
    for stream in (sse(*chunks), sse(*chunks, done=False)):
        events = decoded(stream)
        assert events[-1] == Ended("end", CANONICAL)
        assert [event for event in events if isinstance(event, TextDelta)] == [TextDelta("x")]


def test_azures_first_chunk_names_nothing() -> None:
    first = {"id": "", "choices": [], "prompt_filter_results": [{}]}
    assert decoded(sse(first, chunk({"content": "x"})))[0] == Started("chatcmpl-1")


def test_a_stream_that_broke_off_has_no_end() -> None:
    assert decoded(sse(chunk({"content": "x"}), done=False)) == [Started("chatcmpl-1"), TextDelta("x")]
    assert decoded(sse(done=False)) == []


def test_the_end_needs_neither_its_blank_line_nor_a_finish_reason() -> None:
    stream = sse(chunk({"content": "x"}), done=False) + b"data: [DONE]"
    assert decoded(stream)[-1] == Ended("end")
    called = chunk({"tool_calls": [piece("{}", "f", index=0, id="a")]})
    assert decoded(sse(called))[-1] == Ended("tool_calls")


def test_nothing_counts_after_the_end() -> None:
    assert decoded(sse(chunk({"content": "x"}, "stop")) + sse(chunk({"content": "y"}))) == [
        Started("chatcmpl-1"),
        TextDelta("x"),
        Ended("end"),
    ]


@pytest.mark.parametrize(
    ("event", "failed"),
    [
        (b'data: {"error":{"type":"server_error","message":"down"}}\n\n', Failed("server_error", "down")),
        (b'event: error\ndata: {"error":{"code":502,"message":"down"}}\n\n', Failed("502", "down")),
        (b'event: error\ndata: {"message":"down","type":"x"}\n\n', Failed("x", "down")),
        (b'{"error": {\n"type": "x", "message": "down"}}\n\n', Failed("x", "down")),
        (b'{"error":"down"}', Failed("api_error", "down")),
        (b'data: {"object":"error","message":"down","code":40}\n\n', Failed("40", "down")),
        (b'data: {"id":"c","choices":[{"delta":{"content":""},"finish_reason":"error"}],"error":{"code":5,"message":"down"}}\n\n', Failed("5", "down")),
        (b'data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"error","error":{"message":"down"}}]}\n\n', Failed("api_error", "down")),
    ],
)  # fmt: skip
def test_an_error_in_mid_stream_ends_it(event: bytes, failed: Failed) -> None:
    before = sse(chunk({"content": "x"}), done=False)
    assert decoded(before + event + (sse() if event.endswith(b"\n\n") else b"")) == [
        Started("chatcmpl-1"),
        TextDelta("x"),
        failed,
    ]


def test_comments_and_noise_are_passed_over() -> None:
    noise = b": OPENROUTER PROCESSING\n\ndata:\n\ndata: nonsense\n\nevent: ping\n\n"
    assert decoded(noise + sse(chunk({"content": "x"}, "stop")))[1:] == [TextDelta("x"), Ended("end")]


def test_only_the_first_of_several_answers_is_told() -> None:
    other = {"id": "c", "choices": [{"index": 1, "delta": {"content": "no"}, "finish_reason": "length"}]}
    assert told(decoded(sse(other, chunk({"content": "yes"}, "stop"), other)))[:2] == ([Text("yes")], Ended("end"))


def test_empty_deltas_tell_nothing() -> None:
    delta = {"content": "", "reasoning_content": "", "tool_calls": [], "reasoning_details": [], "refusal": ""}
    assert decoded(sse(chunk(delta), chunk({"content": None}, "stop"))) == [Started("chatcmpl-1"), Ended("end")]


def test_a_refusal_is_told_as_text() -> None:
    events = decoded(sse(chunk({"refusal": "I "}), chunk({"refusal": "cannot."}), chunk({}, "stop")))
    assert told(events)[:2] == ([Text("I cannot.")], Ended("refusal"))


def test_thoughts_of_openrouter_are_sealed() -> None:
    text = {"type": "reasoning.text", "format": "anthropic-claude-v1", "index": 0}
    hidden = {"type": "reasoning.encrypted", "data": "R", "format": "anthropic-claude-v1", "index": 1}
    stream = sse(
        chunk({"reasoning": "h", "reasoning_details": [{**text, "text": "h"}]}),
        chunk({"reasoning": "m", "reasoning_details": [{**text, "text": "m"}]}),
        chunk({"reasoning": None, "reasoning_details": [{**text, "text": "", "signature": "S"}]}),
        chunk({"reasoning_details": [hidden, {"type": "reasoning.server_tool_call"}]}),
        chunk({"content": "x"}, "stop"),
    )
    assert decoded(stream)[1:-1] == [
        ReasoningDelta("h"),
        ReasoningDelta("m"),
        ReasoningSealed("S", "anthropic"),
        ReasoningSealed("R", "anthropic", redacted=True),
        TextDelta("x"),
    ]


def test_thinking_in_content_lists() -> None:
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
    stream = sse(chunk({"content": [thinking]}), chunk({"content": [{"type": "text", "text": "x"}]}, "stop"))
    assert told(decoded(stream))[0] == [Reasoning("hm"), Text("x")]


def test_calls_as_openai_documents_them() -> None:
    events = decoded(
        sse(
            chunk({"tool_calls": [piece("", "f", index=0, id="a", type="function")]}),
            chunk({"tool_calls": [piece('{"x"', index=0)]}),
            chunk({"tool_calls": [piece(":1}", index=0)]}),
            chunk({}, "tool_calls"),
        )
    )
    assert events[1:-1] == [CallStarted(0, "a", "f"), CallDelta(0, '{"x"'), CallDelta(0, ":1}")]


ODD: dict[str, list[list[dict[str, Any]]]] = {
    "alternating": [
        [piece("", "f", index=0, id="a"), piece("", "g", index=1, id="b")],
        [piece('{"x":', index=0)],
        [piece('{"y":', index=1)],
        [piece("1}", index=0), piece("2}", index=1)],
    ],
    "always index 0": [
        [piece('{"x":', "f", index=0, id="a")],
        [piece("1}", index=0)],
        [piece('{"y":', "g", index=0, id="b")],
        [piece("2}", index=0)],
    ],
    "index 0 for the head of the second and 1 for its tail": [
        [piece('{"x":1}', "f", index=0, id="a")],
        [piece('{"y":', "g", index=0, id="b")],
        [piece("2}", index=1)],
    ],
    "the id in every piece": [
        [piece('{"x":', "f", index=0, id="a")],
        [piece('{"y":', "g", index=1, id="b")],
        [piece("1}", index=0, id="a"), piece("2}", index=1, id="b")],
    ],
    "no index, the id in every piece": [
        [piece('{"x":', "f", id="a")],
        [piece('{"y":', "g", id="b")],
        [piece("1}", id="a")],
        [piece("2}", id="b")],
    ],
    "no index, the id once": [
        [piece('{"x":', "f", id="a")],
        [piece("1}")],
        [piece('{"y":', "g", id="b")],
        [piece("2}")],
    ],
    "no index, side by side": [
        [piece('{"x":', "f", id="a"), piece('{"y":', "g", id="b")],
        [piece("1}"), piece("2}")],
    ],
    "no ids": [
        [piece('{"x":', "f", index=0), piece('{"y":', "g", index=1)],
        [piece("1}", index=0), piece("2}", index=1)],
    ],
    "no ids, no index": [
        [piece('{"x":', "f")],
        [piece("1}")],
        [piece('{"y":2}', "g")],
    ],
    "no ids, always index 0, whole": [
        [piece('{"x":1}', "f", index=0)],
        [piece('{"y":2}', "g", index=0)],
    ],
    "objects": [
        [piece({"x": 1}, "f", index=0, id="a"), piece({"y": 2}, "g", index=1, id="b")],
    ],
    "the name comes last": [
        [piece('{"x":', index=0, id="a")],
        [piece("1}", "f", index=0)],
        [piece('{"y":2}', "g", index=1, id="b")],
    ],
    "the id comes last": [
        [piece('{"x":', "", index=0)],
        [piece("1}", "f", index=0, id="a")],
        [piece('{"y":2}', "g", index=1, id="b")],
    ],
    "the name in every piece": [
        [piece('{"x":', "f", index=0, id="a")],
        [piece("1}", "f", index=0), piece('{"y":', "g", index=1, id="b")],
        [piece("2}", "g", index=1)],
    ],
    "empty ids afterwards": [
        [piece('{"x":', "f", index=0, id="a")],
        [piece("1}", "", index=0, id="")],
        [piece('{"y":2}', "g", index=1, id="b")],
    ],
}  # fmt: skip


@pytest.mark.parametrize("deltas", ODD.values(), ids=ODD)
def test_calls_in_whatever_shape_neither_mix_nor_split(deltas: list[list[dict[str, Any]]]) -> None:
    assert [(name, json.loads(arguments)) for name, arguments in calls_of(*deltas)] == [
        ("f", {"x": 1}),
        ("g", {"y": 2}),
    ]


def test_the_same_tool_twice_without_ids_is_two_calls() -> None:
    assert calls_of([piece('{"x":1}', "f")], [piece('{"x":2}', "f")]) == [("f", '{"x":1}'), ("f", '{"x":2}')]


def test_a_call_without_arguments_has_none() -> None:
    assert calls_of([piece(None, "f", index=0, id="a")]) == [("f", "{}")]
    assert calls_of([piece("", "f", index=0, id="a"), piece("", index=0)]) == [("f", "{}")]


def test_a_custom_call_is_told_as_its_text_comes() -> None:
    head = {"index": 0, "id": "a", "type": "custom", "custom": {"name": "p", "input": ""}}
    stream = sse(
        chunk({"tool_calls": [head]}),
        chunk({"tool_calls": [{"index": 0, "custom": {"input": 'say "hü'}}]}),
        chunk({"tool_calls": [{"index": 0, "custom": {"input": '"\n'}}]}),
        chunk({}, "tool_calls"),
    )
    events = decoded(stream)
    assert events[1] == CallStarted(0, "a", "p", custom=True)
    assert len([event for event in events if isinstance(event, CallDelta)]) == 3
    assert told(events)[0] == [ToolCall("a", "p", 'say "hü"\n', custom=True)]


def test_a_legacy_function_call_is_a_call() -> None:
    stream = sse(
        chunk({"function_call": {"name": "f", "arguments": ""}}),
        chunk({"function_call": {"arguments": "{}"}}),
        chunk({}, "function_call"),
    )
    (call,), ended, _ = told(decoded(stream))
    assert (call.name, call.arguments, ended) == ("f", "{}", Ended("tool_calls"))


def test_every_event_is_told_as_soon_as_it_is_whole() -> None:
    decoder = CHAT_BACK.decoder()
    stream = sse(chunk({"content": "x"}), done=False)
    assert decoder.feed(stream[:-1]) == []
    assert decoder.feed(stream[-1:]) == [Started("chatcmpl-1"), TextDelta("x")]
