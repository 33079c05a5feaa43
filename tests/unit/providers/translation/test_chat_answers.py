"""Whole answers of chat completions: read from vendors with all their deviations, written for OpenAI's own SDK."""

from __future__ import annotations

import json
from typing import Any

import pytest

from policies.types import Usage
from providers.canonical.answer import Answer, AnswerPart, StopReason
from providers.canonical.parts import Opaque, Reasoning, Text, ToolCall
from providers.canonical.request import Request
from providers.translation.base import BAD_ANSWER
from providers.translation.chat import CHAT_BACK, CHAT_FACE
from tests.unit.providers.translation.chat_sdk import chunk, decoded, parsed_answer, sse, told


def completion(message: Any, finish: str | None = "stop", **more: Any) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
    return json.dumps({"id": "chatcmpl-1", "model": "v", "choices": [choice]} | more).encode()


def read(message: Any, finish: str | None = "stop", **more: Any) -> Answer:
    return CHAT_BACK.read(completion(message, finish, **more), "asked")


def write(*parts: AnswerPart, stop: StopReason = "end", usage: Usage | None = None) -> dict[str, Any]:
    body = CHAT_FACE.write(
        Answer(id="msg_1", model="asked", parts=parts, stop=stop, usage=usage),
        Request(dialect="openai_chat", model="asked"),
    )
    parsed_answer(body)
    found: dict[str, Any] = json.loads(body)
    return found


def function(name: str = "f", arguments: Any = "{}", **more: Any) -> dict[str, Any]:
    return {"id": "c1", "type": "function", "function": {"name": name, "arguments": arguments}, **more}


USAGE = {
    "prompt_tokens": 10,
    "completion_tokens": 5,
    "total_tokens": 15,
    "prompt_tokens_details": {"cached_tokens": 4, "audio_tokens": 1},
    "completion_tokens_details": {"reasoning_tokens": 2, "audio_tokens": 0},
}
CANONICAL_USAGE = Usage(input_tokens=6, cache_read_tokens=4, output_tokens=5, reasoning_tokens=2, input_audio_tokens=1)


def test_an_answer_bears_the_name_of_the_model_that_was_asked_for() -> None:
    answer = read({"content": "Hi"}, usage=USAGE)
    assert answer == Answer(id="chatcmpl-1", model="asked", parts=(Text("Hi"),), stop="end", usage=CANONICAL_USAGE)


@pytest.mark.parametrize(
    ("reason", "stop"),
    [
        ("stop", "end"),
        ("eos", "end"),
        (None, "end"),
        ("length", "length"),
        ("model_length", "length"),
        ("content_filter", "refusal"),
        ("tool_calls", "end"),
        ("something new", "other"),
    ],
)
def test_every_finish_reason_of_a_text_has_its_meaning(reason: str | None, stop: str) -> None:
    assert read({"content": "x"}, reason).stop == stop


@pytest.mark.parametrize("reason", ["tool_calls", "tool_use", "function_call", "stop", "eos"])
def test_an_answer_with_calls_ends_for_them(reason: str) -> None:
    answer = read({"content": "", "tool_calls": [function()]}, reason)
    assert (answer.stop, answer.parts) == ("tool_calls", (ToolCall("c1", "f"),))


def test_calls_cut_off_by_the_bound_of_tokens_say_so() -> None:
    assert read({"content": None, "tool_calls": [function(arguments='{"a')]}, "length").stop == "length"


DEVIATIONS: list[tuple[str, dict[str, Any], tuple[AnswerPart, ...]]] = [
    (
        "mistral thinks in content",
        {
            "content": [
                {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]},
                {"type": "text", "text": "a"},
                {"type": "reference", "reference_ids": [1]},
                {"type": "text", "text": "b"},
            ]
        },
        (Reasoning("hm"), Text("ab")),
    ),
    ("deepseek", {"content": "a", "reasoning_content": "hm"}, (Reasoning("hm"), Text("a"))),
    ("groq", {"content": "a", "reasoning": "hm"}, (Reasoning("hm"), Text("a"))),
    ("arguments as an object", {"tool_calls": [function(arguments={"b": 1, "a": "ü"})]}, (ToolCall("c1", "f", '{"b":1,"a":"ü"}'),)),
    ("no arguments", {"tool_calls": [function(arguments="")]}, (ToolCall("c1", "f", "{}"),)),
    ("a custom call", {"tool_calls": [{"id": "c1", "type": "custom", "custom": {"name": "p", "input": "x"}}]}, (ToolCall("c1", "p", "x", custom=True),)),
    (
        "openrouter with claude",
        {
            "content": "a",
            "reasoning": "hm",
            "reasoning_details": [
                {"type": "reasoning.text", "text": "hm", "signature": "S", "format": "anthropic-claude-v1", "index": 0},
                {"type": "reasoning.encrypted", "data": "R", "format": "anthropic-claude-v1", "index": 1},
            ],
        },
        (Reasoning("hm", "S", "anthropic"), Reasoning("", "R", "anthropic", redacted=True), Text("a")),
    ),
    (
        "openrouter with openai",
        {
            "content": "a",
            "reasoning_details": [
                {"type": "reasoning.summary", "summary": "hm", "format": "openai-responses-v1", "index": 0},
                {"type": "reasoning.encrypted", "data": "E", "id": "rs_1", "format": "openai-responses-v1", "index": 1},
            ],
        },
        (Reasoning("hm", "E", "openrouter:openai-responses-v1", id="rs_1"), Text("a")),
    ),
    (
        "openrouter with gemini",
        {
            "content": "a",
            "reasoning_details": [
                {"type": "reasoning.encrypted", "data": "G", "id": "c1", "format": "google-gemini-v1", "index": 0},
            ],
            "tool_calls": [function()],
        },
        (Text("a"), Reasoning("", "G", "openrouter:google-gemini-v1", id="c1"), ToolCall("c1", "f")),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("message", "parts"), [row[1:] for row in DEVIATIONS], ids=[row[0] for row in DEVIATIONS])
def test_the_vendors_deviations_say_the_same_whole_and_as_a_stream(
    message: dict[str, Any], parts: tuple[AnswerPart, ...]
) -> None:
    answer = read(message)
    assert answer.parts == parts
    fields: tuple[str, ...] = ("reasoning", "reasoning_content", "content", "reasoning_details", "tool_calls")
    if "content" in message and "tool_calls" not in message:
        fields = ("reasoning", "reasoning_content", "reasoning_details", "content")
    told_twice = {"reasoning"} if "reasoning_details" in message else set()
    deltas = [{name: message[name]} for name in fields if name in message and name not in told_twice]
    streamed, ended, _ = told(decoded(sse(*(chunk(delta) for delta in deltas), chunk({}, "stop"))))
    assert tuple(streamed) == parts
    assert ended is not None
    assert ended.stop == answer.stop  # type: ignore[union-attr]


def test_ids_that_the_vendor_does_not_give_are_made() -> None:
    answer = read({"tool_calls": [{"function": {"name": "f", "arguments": "{}"}}] * 2}, id=None)
    ids = {part.id for part in answer.parts if isinstance(part, ToolCall)}
    assert len(ids) == 2
    assert all(name.startswith("call_") for name in ids)
    assert answer.id.startswith("chatcmpl-")


def test_a_refusal_is_text_and_an_end_of_its_own() -> None:
    answer = read({"content": None, "refusal": "I cannot."})
    assert (answer.parts, answer.stop) == ((Text("I cannot."),), "refusal")


def test_a_legacy_function_call_is_a_call() -> None:
    (call,) = read({"content": None, "function_call": {"name": "f", "arguments": "{}"}}, "function_call").parts
    assert isinstance(call, ToolCall)
    assert call.name == "f"


def test_only_the_first_of_several_answers_is_read() -> None:
    other = {"index": 1, "message": {"content": "b"}, "finish_reason": "stop"}
    first = {"index": 0, "message": {"content": "a"}, "finish_reason": "stop"}
    assert CHAT_BACK.read(json.dumps({"id": "x", "choices": [other, first]}).encode(), "m").parts == (Text("a"),)


def test_groqs_usage_counts() -> None:
    assert read({"content": "x"}, usage=None, x_groq={"id": "r", "usage": USAGE}).usage == CANONICAL_USAGE
    assert read({"content": "x"}, usage=None).usage is None


@pytest.mark.parametrize(
    "body",
    [
        b"no json",
        b"[]",
        b'{"error": {"message": "down", "code": 502}}',
        b'{"id": "x", "choices": []}',
        b'{"id": "x", "choices": [{"index": 0}]}',
        b'{"id": "x", "choices": [{"index": 0, "message": {"content": ""}, "finish_reason": "error", "error": {"message": "m"}}]}',
        b'{"id": "x", "choices": [{"index": 0, "message": {"tool_calls": [{"id": "a"}]}}]}',
    ],
)
def test_what_is_no_answer_is_a_bad_one(body: bytes) -> None:
    with pytest.raises(BAD_ANSWER):
        CHAT_BACK.read(body, "m")


def test_text_is_written_as_the_vendor_writes_it() -> None:
    body = write(Text("a"), Text("b"), usage=CANONICAL_USAGE)
    assert (body["id"], body["object"], body["model"]) == ("chatcmpl-msg_1", "chat.completion", "asked")
    assert body["choices"] == [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "ab", "refusal": None},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ]
    assert body["usage"] == USAGE


def test_content_is_null_beside_calls_and_never_otherwise() -> None:
    custom = ToolCall("c2", "p", "text", custom=True)
    body = write(ToolCall("c1", "f", '{"a": 1}'), custom, stop="tool_calls")
    message = body["choices"][0]["message"]
    assert message["content"] is None
    assert message["tool_calls"] == [
        function(arguments='{"a": 1}'),
        {"id": "c2", "type": "custom", "custom": {"name": "p", "input": "text"}},
    ]
    assert write()["choices"][0]["message"]["content"] == ""


def test_cached_and_written_tokens_are_inside_the_prompt() -> None:
    usage = write(
        Text("x"),
        usage=Usage(
            input_tokens=1, cache_read_tokens=2, cache_write_tokens=4, cache_write_1h_tokens=8, output_tokens=16
        ),
    )["usage"]
    assert (usage["prompt_tokens"], usage["total_tokens"]) == (15, 31)
    assert usage["prompt_tokens_details"] == {"cached_tokens": 2, "cache_write_tokens": 12, "audio_tokens": 0}


@pytest.mark.parametrize(
    ("stop", "reason"),
    [
        ("stop_sequence", "stop"),
        ("pause", "stop"),
        ("other", "stop"),
        ("refusal", "content_filter"),
        ("length", "length"),
    ],
)
def test_every_stop_has_a_finish_reason_that_the_sdk_knows(stop: StopReason, reason: str) -> None:
    assert write(Text("x"), stop=stop)["choices"][0]["finish_reason"] == reason


def test_seals_of_other_vendors_are_carried_and_come_back_whole() -> None:
    parts = (
        Reasoning("hm", "S", "anthropic"),
        Reasoning("", "R", "anthropic", redacted=True),
        Reasoning("", "E", "openai", id="rs_1"),
        Text("a"),
        Reasoning("", "G", "gemini"),
        ToolCall("c1", "f"),
        Opaque("anthropic", "server_tool_use", None),
    )
    message = write(*parts, stop="tool_calls")["choices"][0]["message"]
    assert message["reasoning_content"] == "hm"
    assert message["reasoning_details"] == [
        {
            "type": "reasoning.text",
            "text": "hm",
            "signature": "tk1.anthropic.S",
            "format": "anthropic-claude-v1",
            "index": 0,
        },
        {"type": "reasoning.encrypted", "data": "tk1.anthropic.R", "format": "anthropic-claude-v1", "index": 1},
        {
            "type": "reasoning.text",
            "text": "",
            "signature": "tk1.openai.E",
            "id": "rs_1",
            "format": "openai-responses-v1",
            "index": 2,
        },
        {"type": "reasoning.encrypted", "data": "tk1.gemini.G", "id": "c1", "format": "google-gemini-v1", "index": 3},
    ]
    again = read(message, "tool_calls").parts
    assert again == (*parts[:4], Reasoning("", "G", "gemini", id="c1"), parts[5])
