"""Streams: a Gemini model's, decoded; and what a Gemini client is told, as its own SDK reads it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

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
from providers.canonical.parts import Reasoning
from providers.canonical.request import Request
from providers.translation.gemini import GEMINI_BACK, GEMINI_FACE
from tests.peers import llm_replies as replies
from tests.unit.providers.translation.gemini_examples import read, streamed

ASKED = Request(dialect="gemini", model="asked", stream=True)


def chunk(*parts: dict[str, Any], reason: str | None = None, **fields: Any) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": list(parts)}, "index": 0}
    if reason is not None:
        candidate["finishReason"] = reason
    return {"candidates": [candidate], "responseId": "r1", **fields}


def wire(*chunks: dict[str, Any], end: str = "\r\n\r\n") -> bytes:
    return "\r\n\r\n".join(f"data: {json.dumps(said)}" for said in chunks).encode() + end.encode()


def decode(data: bytes) -> list[Event]:
    decoder = GEMINI_BACK.decoder()
    return [*decoder.feed(data), *decoder.finish()]


def tell(*events: Event) -> bytes:
    return GEMINI_FACE.encoder(ASKED).encode(events)


def parts_of(data: bytes) -> list[dict[str, Any]]:
    chunks = [json.loads(event.removeprefix(b"data: ")) for event in data.split(b"\r\n\r\n") if event]
    return [part for said in chunks for part in said["candidates"][0]["content"]["parts"]]


def test_a_stream_of_the_peer_is_read() -> None:
    done = replies.gemini("m", "Grüße, 世界!", None, replies.Tokens(input=70, output=9, cached=30))
    events = decode(b"".join(replies.gemini_events(done)))
    assert isinstance(events[0], Started)
    assert "".join(event.text for event in events if isinstance(event, TextDelta)) == "Grüße, 世界!"
    usage = Usage(input_tokens=70, cache_read_tokens=30, output_tokens=9, reasoning_tokens=2)
    assert events[-1] == Ended("end", usage)


STREAM = (
    chunk({"text": "Let me ", "thought": True}, usageMetadata={"promptTokenCount": 4}),
    chunk({"text": "see.", "thought": True}),
    chunk({"functionCall": {"id": "a", "name": "f", "args": {"x": 1}}, "thoughtSignature": "c2ln"}),
    chunk({"functionCall": {"id": "b", "name": "f", "args": {}}}),
    chunk({"text": ""}, reason="STOP", usageMetadata={"promptTokenCount": 4, "candidatesTokenCount": 3}),
)
EVENTS: Sequence[Event] = (
    Started("r1", Usage(input_tokens=4)),
    ReasoningDelta("Let me "),
    ReasoningDelta("see."),
    ReasoningSealed("c2ln", "gemini"),
    CallStarted(0, "a", "f"),
    CallDelta(0, '{"x":1}'),
    CallStarted(1, "b", "f"),
    CallDelta(1, "{}"),
    Ended("tool_calls", Usage(input_tokens=4, output_tokens=3)),
)


@pytest.mark.parametrize("end", ["\r\n\r\n", "\n\n", "\r\n", ""])
def test_thoughts_signatures_and_calls_are_decoded_whatever_ends_the_last_event(end: str) -> None:
    assert decode(wire(*STREAM, end=end)) == list(EVENTS)


def test_nothing_is_read_after_the_finish_reason() -> None:
    assert decode(wire(*STREAM, chunk({"text": "more"}, reason="STOP"))) == list(EVENTS)


def test_a_stream_that_breaks_off_does_not_end() -> None:
    assert not any(isinstance(event, Ended | Failed) for event in decode(wire(*STREAM[:-1])))


def test_an_error_in_the_stream_is_a_failure() -> None:
    error = {"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}
    events = decode(wire(STREAM[0], error, STREAM[4]))
    assert events[-1] == Failed("UNAVAILABLE", "The model is overloaded.")


def test_a_prompt_that_is_blocked_ends_in_a_refusal() -> None:
    events = decode(wire({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 3}}))
    assert events[-1] == Ended("refusal", Usage(input_tokens=3))


def test_calls_without_ids_get_different_ones() -> None:
    call = {"functionCall": {"name": "f", "args": {}}}
    events = decode(wire(chunk(call, call, reason="STOP")))
    started = [event for event in events if isinstance(event, CallStarted)]
    assert [event.index for event in started] == [0, 1]
    assert len({event.id for event in started}) == 2


@pytest.mark.parametrize(
    "noise", [b": keepalive\n\n", b"data: \n\n", b"data: {broken\n\n", b"data: [1]\n\n", b"event: x\n\n"]
)
def test_what_cannot_be_read_is_passed_over(noise: bytes) -> None:
    assert decode(noise + wire(*STREAM)) == list(EVENTS)


def test_a_part_that_is_not_understood_takes_nothing_else_with_it() -> None:
    broken = chunk({"text": "a"}, {"functionCall": {"args": 1}})
    assert decode(wire(broken, chunk({"text": "b"}, reason="STOP"))) == [
        Started("r1"),
        TextDelta("a"),
        TextDelta("b"),
        Ended("end"),
    ]


def test_arguments_that_vertex_streams_in_pieces_make_one_call() -> None:
    def piece(path: str, more: bool = False, **value: Any) -> dict[str, Any]:
        return {"jsonPath": path, **value, **({"willContinue": True} if more else {})}

    events = decode(
        wire(
            chunk({"functionCall": {"id": "a", "name": "f", "willContinue": True}}),
            chunk({"functionCall": {"partialArgs": [piece("$.city", True, stringValue="New ")], "willContinue": True}}),
            chunk({"functionCall": {"partialArgs": [piece("$.city", stringValue="York")], "willContinue": True}}),
            chunk({"functionCall": {"partialArgs": [piece("$.at[0].n", numberValue=1)], "willContinue": True}}),
            chunk({"functionCall": {"partialArgs": [piece("$.at[1]['a b']", boolValue=True)], "willContinue": True}}),
            chunk({"functionCall": {}}),
            chunk({"functionCall": {"id": "b", "name": "g", "willContinue": True}}),
            chunk({"text": ""}, reason="STOP"),
        )
    )
    assert events[1:] == [
        CallStarted(0, "a", "f"),
        CallDelta(0, '{"city":"New York","at":[{"n":1},{"a b":true}]}'),
        CallStarted(1, "b", "g"),
        CallDelta(1, "{}"),
        Ended("tool_calls", None),
    ]


def test_the_sdk_reads_what_is_told() -> None:
    usage = Usage(input_tokens=4, output_tokens=3)
    data = tell(
        Started("m1"),
        ReasoningDelta("Hm."),
        ReasoningSealed("sig/+", "anthropic"),
        TextDelta("Hel"),
        TextDelta("lo"),
        CallStarted(0, "a", "f"),
        CallDelta(0, '{"x":'),
        CallDelta(0, "1}"),
        CallStarted(1, "b", "g"),
        Ended("tool_calls", usage),
    )
    chunks = list(streamed(data))
    parts = [part for said in chunks for part in said.parts or ()]
    assert "".join(part.text for part in parts if part.text and not part.thought) == "Hello"
    assert "".join(part.text for part in parts if part.text and part.thought) == "Hm."
    calls = [part.function_call for part in parts if part.function_call]
    assert [(call.id, call.name, call.args) for call in calls] == [("a", "f", {"x": 1}), ("b", "g", {})]
    reasons = [said.candidates[0].finish_reason for said in chunks if said.candidates]
    assert [str(reason) for reason in reasons if reason] == ["FinishReason.STOP"]
    assert reasons[-1] is not None
    assert chunks[-1].usage_metadata is not None
    assert chunks[-1].usage_metadata.total_token_count == 7
    assert {(said.response_id, said.model_version) for said in chunks} == {("m1", "asked")}


def test_a_text_is_told_at_once() -> None:
    encoder = GEMINI_FACE.encoder(ASKED)
    assert b'"Hi"' in encoder.encode([Started("m"), TextDelta("Hi")])


def test_calls_that_alternate_are_told_whole_and_in_order() -> None:
    data = tell(
        CallStarted(0, "a", "f"),
        CallStarted(1, "b", "f"),
        CallDelta(1, '{"of": "b"}'),
        CallDelta(0, '{"of":'),
        CallStarted(2, "c", "f"),
        CallDelta(0, ' "a"}'),
        Ended("tool_calls"),
    )
    assert [part["functionCall"]["args"] for part in parts_of(data)] == [{"of": "a"}, {"of": "b"}, {}]


def test_a_complete_call_does_not_wait_for_the_end() -> None:
    encoder = GEMINI_FACE.encoder(ASKED)
    encoder.encode([CallStarted(0, "a", "f"), CallDelta(0, "{}")])
    assert b'"functionCall"' in encoder.encode([CallStarted(1, "b", "f")])


def test_seals_stand_where_they_belong() -> None:
    data = tell(
        ReasoningSealed("c2ln", "gemini"),
        CallStarted(0, "a", "f"),
        CallDelta(0, "{}"),
        ReasoningSealed("cmVk", "gemini", redacted=True),
        ReasoningSealed("ZW5k", "gemini"),
        Ended("tool_calls"),
    )
    assert parts_of(data) == [
        {"functionCall": {"id": "a", "name": "f", "args": {}}, "thoughtSignature": "c2ln"},
        {"text": "", "thought": True, "thoughtSignature": "cmVk"},
        {"text": "", "thoughtSignature": "ZW5k"},
    ]


def test_the_seal_that_a_client_kept_from_a_stream_comes_back() -> None:
    thought = Reasoning("Hm.", "sig/+", "anthropic")
    parts = parts_of(
        tell(ReasoningDelta("H"), ReasoningDelta("m."), ReasoningSealed("sig/+", "anthropic"), Ended("end"))
    )
    request = read({"contents": [{"parts": [{"text": "?"}]}, *({"role": "model", "parts": [part]} for part in parts)]})
    assert request.turns[1].parts == (thought,)


def test_a_failure_is_told_as_the_dialects_error() -> None:
    error = json.loads(tell(Failed("overloaded_error", "busy")).removeprefix(b"data: "))["error"]
    assert (error["code"], error["message"], error["status"]) == (503, "busy", "UNAVAILABLE")
