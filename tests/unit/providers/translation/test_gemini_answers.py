"""Whole answers: a Gemini model's, read; and what a Gemini client is told, as its own SDK reads it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from policies.types import Usage
from providers.canonical.answer import Answer, StopReason
from providers.canonical.parts import Opaque, Reasoning, Text, ToolCall
from providers.canonical.request import Request
from providers.dialects.gemini import Gemini
from providers.translation.base import BAD_ANSWER
from providers.translation.gemini import GEMINI_BACK, GEMINI_FACE
from tests.peers import llm_replies as replies
from tests.peers.scripted_llm import ToolStep
from tests.unit.providers.translation.gemini_examples import answered

ASKED = Request(dialect="gemini", model="asked")


def read(*parts: dict[str, Any], reason: str = "STOP", **fields: Any) -> Answer:
    candidate = {"content": {"role": "model", "parts": list(parts)}, "finishReason": reason}
    body = {"candidates": [candidate], "responseId": "r1", **fields}
    return GEMINI_BACK.read(json.dumps(body).encode(), "asked")


def told(*parts: Any, stop: StopReason = "end", usage: Usage | None = None) -> bytes:
    return GEMINI_FACE.write(Answer(id="a1", model="asked", parts=parts, stop=stop, usage=usage), ASKED)


def test_an_answer_of_the_peer_is_read() -> None:
    tokens = replies.Tokens(input=70, output=9, cached=30)
    body = replies.gemini("m", "", ToolStep("lookup", {"city": "Zürich"}), tokens)
    answer = GEMINI_BACK.read(json.dumps(body).encode(), "asked")
    reasoning, call = answer.parts
    assert reasoning == Reasoning(seal="c2ln", dialect="gemini")
    assert isinstance(call, ToolCall)
    assert (call.name, json.loads(call.arguments)) == ("lookup", {"city": "Zürich"})
    assert call.id.startswith("call_")
    assert (answer.id, answer.model, answer.stop) == ("r1", "asked", "tool_calls")
    assert answer.usage == Usage(input_tokens=70, cache_read_tokens=30, output_tokens=9, reasoning_tokens=2)


def test_texts_of_one_kind_are_one_and_a_signature_after_a_thought_seals_it() -> None:
    answer = read(
        {"text": "Let me ", "thought": True},
        {"text": "see.", "thought": True},
        {"text": "Hel", "thoughtSignature": "c2ln"},
        {"text": "lo"},
        {"executableCode": {"code": "1"}},
        {"text": "", "thoughtSignature": "ZW5k"},
    )
    assert answer.parts == (
        Reasoning("Let me see.", "c2ln", "gemini"),
        Text("Hello"),
        Opaque("gemini", "executableCode", {"executableCode": {"code": "1"}}),
        Reasoning(seal="ZW5k", dialect="gemini"),
    )
    assert answer.stop == "end"


@pytest.mark.parametrize(
    ("reason", "stop"),
    [
        ("STOP", "end"),
        ("MAX_TOKENS", "length"),
        ("SAFETY", "refusal"),
        ("RECITATION", "refusal"),
        ("PROHIBITED_CONTENT", "refusal"),
        ("MALFORMED_FUNCTION_CALL", "other"),
        ("UNEXPECTED_TOOL_CALL", "other"),
        ("SOMETHING_NEW", "other"),
    ],
)
def test_every_reason_to_stop_has_its_meaning(reason: str, stop: StopReason) -> None:
    assert read({"text": "x"}, reason=reason).stop == stop


def test_a_blocked_prompt_is_a_refusal() -> None:
    body = {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 4}}
    answer = GEMINI_BACK.read(json.dumps(body).encode(), "m")
    assert (answer.parts, answer.stop, answer.usage) == ((), "refusal", Usage(input_tokens=4))


def test_a_candidate_without_content_is_an_answer() -> None:
    body = {"candidates": [{"finishReason": "SAFETY", "index": 0}]}
    assert GEMINI_BACK.read(json.dumps(body).encode(), "m").stop == "refusal"


@pytest.mark.parametrize(
    "body",
    [b"{}", b"[]", b"<html>", b'{"candidates": 1}', b'{"candidates": [{"content": {"parts": [1]}}]}', b'{"error": {}}'],
)
def test_what_is_no_answer_is_told_as_such(body: bytes) -> None:
    with pytest.raises(BAD_ANSWER):
        GEMINI_BACK.read(body, "m")


def test_the_sdk_reads_what_is_told() -> None:
    usage = Usage(input_tokens=5, cache_read_tokens=7, cache_write_tokens=1, output_tokens=9, reasoning_tokens=4)
    response = answered(
        told(
            Reasoning("Hm.", "sig", "anthropic"),
            Text("Hi"),
            ToolCall("a", "f", '{"x": 1}'),
            stop="tool_calls",
            usage=usage,
        )
    )
    assert response.text == "Hi"
    assert response.function_calls is not None
    assert [(call.id, call.name, call.args) for call in response.function_calls] == [("a", "f", {"x": 1})]
    assert response.candidates is not None
    assert str(response.candidates[0].finish_reason) == "FinishReason.STOP"
    assert response.candidates[0].content is not None
    assert (response.candidates[0].content.parts or [])[0].thought
    assert (response.response_id, response.model_version) == ("a1", "asked")
    metadata = response.usage_metadata
    assert metadata is not None
    assert (metadata.prompt_token_count, metadata.cached_content_token_count) == (13, 7)
    assert (metadata.candidates_token_count, metadata.thoughts_token_count, metadata.total_token_count) == (5, 4, 22)


def test_usage_is_told_as_the_gate_itself_reads_it() -> None:
    usage = Usage(input_tokens=5, cache_read_tokens=7, output_tokens=9, reasoning_tokens=4)
    reading = Gemini("v1", "m", "generateContent").read(told(Text("x"), usage=usage))
    assert reading is not None
    assert reading.usage == usage


def test_an_answer_that_says_nothing_is_one_that_the_sdk_reads() -> None:
    response = answered(told(stop="refusal"))
    assert response.candidates is not None
    assert str(response.candidates[0].finish_reason) == "FinishReason.SAFETY"


def test_a_seal_without_a_text_stands_on_the_part_that_follows() -> None:
    body = json.loads(told(Reasoning("", "c2ln", "gemini"), ToolCall("a", "f"), Reasoning("", "ZW5k", "gemini")))
    assert body["candidates"][0]["content"]["parts"] == [
        {"functionCall": {"id": "a", "name": "f", "args": {}}, "thoughtSignature": "c2ln"},
        {"text": "", "thoughtSignature": "ZW5k"},
    ]


def test_arguments_that_are_no_object_are_still_told() -> None:
    response = answered(told(ToolCall("a", "f", '{"x": '), stop="length"))
    assert response.function_calls is not None
    assert response.function_calls[0].args == {"input": '{"x": '}


def test_citations_of_another_vendor_are_not_told() -> None:
    body = json.loads(told(Text("a"), Opaque("anthropic", "web_search_tool_result", None)))
    assert body["candidates"][0]["content"]["parts"] == [{"text": "a"}]
