"""Anthropic's answers, whole and as streams, as its own SDK reads them."""

from __future__ import annotations

import json
from typing import Any

from anthropic.types import Message, RawMessageStreamEvent
from pydantic import TypeAdapter

from policies.types import Usage
from providers.canonical.answer import (
    Answer,
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
from providers.canonical.names import NINE, PLAIN_64, ToolNames, fitted
from providers.canonical.parts import Reasoning, Text, ToolCall
from providers.canonical.request import Request
from providers.dialects.sse import EventCutter, data_of
from providers.translation.anthropic import ANTHROPIC_BACK, ANTHROPIC_FACE
from providers.translation.chat import CHAT_BACK
from providers.translation.translated import Translation
from tests.support.canonical import told

ASKED = Request(dialect="anthropic", model="m")
USAGE = Usage(input_tokens=10, cache_read_tokens=5, cache_write_tokens=2, cache_write_1h_tokens=1, output_tokens=7)
_event = TypeAdapter[Any](RawMessageStreamEvent)


def encoded(*events: Event) -> list[Any]:
    """The events that the SDK reads from what the encoder writes."""
    stream = ANTHROPIC_FACE.encoder(ASKED).encode(events)
    cut = EventCutter().feed(stream)
    assert b"".join(cut) == stream
    return [_event.validate_json(data_of(event)) for event in cut]


def decoded(*events: dict[str, Any]) -> list[Event]:
    decoder = ANTHROPIC_BACK.decoder()
    data = b"".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n".encode() for e in events)
    return [*decoder.feed(data), *decoder.finish()]


def test_a_whole_answer_is_written_as_the_sdk_reads_it() -> None:
    answer = Answer(
        id="chatcmpl-1",
        model="m",
        parts=(
            Reasoning("hm", "c2ln", "gemini"),
            Text("hello"),
            ToolCall("call_1", "look", '{"at":"it"}'),
        ),
        stop="tool_calls",
        usage=USAGE,
    )
    message = Message.model_validate_json(ANTHROPIC_FACE.write(answer, ASKED))
    assert message.id == "msg_chatcmpl-1"
    assert message.stop_reason == "tool_use"
    assert [block.type for block in message.content] == ["thinking", "text", "tool_use"]
    usage = message.usage
    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.cache_creation_input_tokens) == (10, 5, 3)
    assert ANTHROPIC_BACK.read(ANTHROPIC_FACE.write(answer, ASKED), "m").usage == USAGE


def test_texts_in_a_row_are_one_text_and_unknown_stops_are_told() -> None:
    body = {
        "id": "msg_1",
        "content": [
            {"type": "text", "text": "a"},
            {"type": "text", "text": "b"},
            {"type": "redacted_thinking", "data": "x"},
        ],
        "stop_reason": "brand_new",
    }
    answer = ANTHROPIC_BACK.read(json.dumps(body).encode(), "m")
    assert answer.parts == (Text("ab"), Reasoning("", "x", "anthropic", redacted=True))
    assert answer.stop == "other"


def test_alternating_calls_are_told_one_after_another() -> None:
    events = encoded(
        Started("x"),
        CallStarted(0, "a", "first"),
        CallDelta(0, '{"n":'),
        CallStarted(1, "b", "second"),
        CallDelta(1, '{"m":2'),
        CallDelta(0, "1}"),
        CallDelta(1, "}"),
        Ended("tool_calls", USAGE),
    )
    assert [event.type for event in events] == [
        "message_start",
        "content_block_start",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "content_block_start",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    said: dict[int, str] = {}
    for event in events:
        if event.type == "content_block_delta":
            said[event.index] = said.get(event.index, "") + event.delta.partial_json
    assert said == {0: '{"n":1}', 1: '{"m":2}'}


def test_a_call_that_follows_a_complete_one_is_told_at_once() -> None:
    encoder = ANTHROPIC_FACE.encoder(ASKED)
    encoder.encode([Started("x"), CallStarted(0, "a", "f"), CallDelta(0, "{}")])
    assert b'"name":"g"' in encoder.encode([CallStarted(1, "b", "g")])


def test_a_seal_without_a_thought_stands_in_a_block_of_its_own() -> None:
    events = encoded(Started("x"), ReasoningSealed("c2ln", "gemini"), CallStarted(0, "a", "f"), Ended("tool_calls"))
    blocks = [event.content_block for event in events if event.type == "content_block_start"]
    assert [block.type for block in blocks] == ["thinking", "tool_use"]
    (signature,) = [e.delta.signature for e in events if e.type == "content_block_delta"]
    assert signature == "tk1.gemini.c2ln"


def test_a_stream_that_says_nothing_still_begins_and_ends() -> None:
    assert [event.type for event in encoded(Ended("end"))] == ["message_start", "message_delta", "message_stop"]


def test_an_error_in_mid_stream_is_this_dialects_event() -> None:
    stream = ANTHROPIC_FACE.encoder(ASKED).encode([Started("x"), TextDelta("a"), Failed("server_error", "broke")])
    last = EventCutter().feed(stream)[-1]
    assert last.startswith(b"event: error\n")
    assert json.loads(data_of(last))["error"] == {"type": "api_error", "message": "broke", "code": "server_error"}


def test_a_stream_is_read_with_thoughts_calls_and_usage() -> None:
    start = {"id": "msg_1", "usage": {"input_tokens": 10, "cache_read_input_tokens": 5, "output_tokens": 1}}
    events = decoded(
        {"type": "message_start", "message": start},
        {"type": "ping"},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "", "signature": ""}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "hm"}},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "c2ln"}},
        {"type": "content_block_stop", "index": 0},
        {"type": "content_block_start", "index": 1, "content_block": {"type": "tool_use", "id": "t", "name": "f", "input": {}}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": ""}},
        {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": '{"a":1}'}},
        {"type": "content_block_stop", "index": 1},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 9}},
        {"type": "message_stop"},
        {"type": "error", "error": {"type": "x", "message": "after the end"}},
    )  # fmt: skip
    assert events == [
        Started("msg_1", Usage(input_tokens=10, cache_read_tokens=5, output_tokens=1)),
        ReasoningDelta("hm"),
        ReasoningSealed("c2ln", "anthropic"),
        CallStarted(1, "t", "f"),
        CallDelta(1, '{"a":1}'),
        Ended("tool_calls", Usage(input_tokens=10, cache_read_tokens=5, output_tokens=9)),
    ]


def test_a_vendor_that_gives_the_whole_input_at_once_and_leaves_out_its_last_event_is_understood() -> None:
    events = decoded(
        {"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}},
        {"type": "message_delta", "delta": {"stop_reason": "tool_use"}},
    )  # fmt: skip
    assert told(events)[0] == (ToolCall("t", "f", '{"a": 1}'),)
    assert events[-1] == Ended("tool_calls")


def test_a_stream_that_breaks_off_has_no_end() -> None:
    block = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "half"}}
    assert decoded(block) == [TextDelta("half")]


def test_an_id_that_a_vendor_would_give_again_is_made_lasting() -> None:
    said = {
        "id": "x",
        "choices": [
            {
                "message": {
                    "tool_calls": [
                        {"id": "call_0", "type": "function", "function": {"name": "f", "arguments": "{}"}},
                        {"id": "functions.read:12", "type": "function", "function": {"name": "f", "arguments": "{}"}},
                        {"id": "call_abcdefghijkl", "type": "function", "function": {"name": "f", "arguments": "{}"}},
                    ]
                },
                "finish_reason": "tool_calls",
            }
        ],
    }
    translation = Translation(ANTHROPIC_FACE, CHAT_BACK, ASKED, ToolNames((), PLAIN_64))
    ids: list[tuple[str, ...]] = []
    for _ in range(2):
        found = translation.whole(json.dumps(said).encode())
        assert found is not None
        ids.append(found[1].tool_use_ids)
    assert ids[0][0] != ids[1][0], "the next answer's first call is another call"
    assert ids[0][1] == ids[1][1] != "functions.read:12", "a name that clients cannot send is mapped"
    assert ids[0][2] == "call_abcdefghijkl"


def test_mistral_gets_ids_of_nine_letters_and_digits() -> None:
    mapped = fitted("toolu_01D7FLrfh4GYq7yT1ULFeyMV", NINE)
    assert NINE.allows(mapped)
    assert fitted(mapped, NINE) == mapped
