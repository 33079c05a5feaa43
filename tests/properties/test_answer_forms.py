"""A whole answer told as a stream and put together again is the same answer; every stream has its proper end."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from providers.caching.base import events_of
from providers.caching.chat import ChatCaching
from providers.caching.gemini import GeminiCaching
from providers.caching.messages import MessagesCaching
from providers.caching.responses import ResponsesCaching
from providers.dialects.anthropic import AnthropicMessages
from providers.dialects.openai_chat import OpenAIChat
from providers.dialects.openai_responses import OpenAIResponses

TEXT = st.text(alphabet=st.characters(codec="utf-8", exclude_categories=("Cs",)), max_size=20)
WORD = st.text(alphabet="abcdefghij_", min_size=1, max_size=8)
ARGUMENTS = st.dictionaries(WORD, st.one_of(TEXT, st.integers(-(2**50), 2**50), st.booleans()), max_size=3)


@st.composite
def completions(draw: st.DrawFn) -> dict[str, Any]:
    choices = []
    for index in range(draw(st.integers(1, 3))):
        calls = [
            {"id": f"call_{index}_{n}", "type": "function",
             "function": {"name": draw(WORD), "arguments": json.dumps(draw(ARGUMENTS))}}
            for n in range(draw(st.integers(0, 3)))
        ]  # fmt: skip
        content = draw(TEXT.filter(bool)) if not calls else draw(st.none() | TEXT.filter(bool))
        message = {"role": "assistant", "content": content, **({"tool_calls": calls} if calls else {})}
        if draw(st.booleans()):
            message["reasoning_content"] = draw(TEXT.filter(bool))
        choices.append({"index": index, "message": message, "finish_reason": "tool_calls" if calls else "stop"})
    usage = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    base = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m", "system_fingerprint": "f"}
    return {**base, "choices": choices, "usage": usage}


BLOCK = st.one_of(
    st.builds(lambda t: {"type": "text", "text": t}, TEXT),
    st.builds(lambda t: {"type": "text", "text": t, "citations": [{"type": "char_location", "cited_text": t}]}, TEXT),
    st.builds(lambda t, s: {"type": "thinking", "thinking": t, "signature": s}, TEXT, WORD),
    st.builds(lambda d: {"type": "redacted_thinking", "data": d}, WORD),
    st.builds(lambda i, n, a: {"type": "tool_use", "id": f"toolu_{i}", "name": n, "input": a}, WORD, WORD, ARGUMENTS),
)


@st.composite
def messages(draw: st.DrawFn) -> dict[str, Any]:
    usage = {"input_tokens": 3, "cache_read_input_tokens": 1, "output_tokens": draw(st.integers(0, 99))}
    base = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_sequence": None}
    return {**base, "content": draw(st.lists(BLOCK, max_size=4)), "stop_reason": "end_turn", "usage": usage}


ITEM = st.one_of(
    st.builds(
        lambda t: {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
                   "content": [{"type": "output_text", "text": t, "annotations": []}]},
        TEXT,
    ),
    st.builds(
        lambda n, a: {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": n,
                      "arguments": json.dumps(a), "status": "completed"},
        WORD, ARGUMENTS,
    ),
    st.builds(lambda t: {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": t}]}, TEXT),
)  # fmt: skip


@st.composite
def responses(draw: st.DrawFn) -> dict[str, Any]:
    usage = {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}
    output = draw(st.lists(ITEM, max_size=3))
    return {"id": "resp_1", "object": "response", "status": "completed", "model": "m", "output": output, "usage": usage}


def told(dialect: Any, body: dict[str, Any], stream: bytes) -> Any:
    """What the dialect's own reader says of a stream."""
    reader = dialect.stream_reader(dialect.parse(json.dumps(body).encode()))
    assert reader.feed(stream) + reader.finish() == stream
    return reader


@given(completions())
def test_a_chat_completion_survives_being_told_as_a_stream(answer: dict[str, Any]) -> None:
    stream = ChatCaching().explode(answer)
    assert stream is not None
    assert ChatCaching().assemble(events_of(stream)) == answer
    body = {"model": "m", "messages": [], "stream": True, "stream_options": {"include_usage": True}}
    reader = told(OpenAIChat(), body, stream)
    reading = OpenAIChat().read(json.dumps(answer).encode())
    assert reading is not None
    assert (reader.ended, reader.usage) == (True, reading.usage)
    assert tuple(reader.new_tool_uses()) == reading.tool_use_ids


@given(messages())
def test_a_message_survives_being_told_as_a_stream(answer: dict[str, Any]) -> None:
    stream = MessagesCaching().explode(answer)
    assert stream is not None
    assert MessagesCaching().assemble(events_of(stream)) == answer
    reader = told(AnthropicMessages(), {"model": "m", "messages": [], "max_tokens": 1, "stream": True}, stream)
    reading = AnthropicMessages().read(json.dumps(answer).encode())
    assert reading is not None
    assert (reader.ended, reader.usage, reader.stop_reason) == (True, reading.usage, reading.stop_reason)


@given(responses())
def test_a_response_survives_being_told_as_a_stream(answer: dict[str, Any]) -> None:
    stream = ResponsesCaching().explode(answer)
    assert stream is not None
    assert ResponsesCaching().assemble(events_of(stream)) == answer
    reader = told(OpenAIResponses(), {"model": "m", "input": "x", "stream": True}, stream)
    assert (reader.ended, reader.stop_reason) == (True, "completed")


PART = st.one_of(
    st.builds(lambda t: {"text": t}, TEXT.filter(bool)),
    st.builds(lambda t: {"text": t, "thought": True}, TEXT.filter(bool)),
    st.builds(lambda n, a: {"functionCall": {"name": n, "args": a}, "thoughtSignature": "s"}, WORD, ARGUMENTS),
)


def merged(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Neighbours of one kind as one part: a stream may cut a text anywhere."""
    found: list[dict[str, Any]] = []
    for part in parts:
        if found and "text" in part and "text" in found[-1] and part.get("thought") == found[-1].get("thought"):
            found[-1] = {**part, "text": found[-1]["text"] + part["text"]}
        else:
            found.append(part)
    return found


@given(st.lists(PART, min_size=1, max_size=5), st.integers(0, 99))
def test_a_gemini_answer_survives_however_its_stream_is_cut(parts: list[dict[str, Any]], output: int) -> None:
    usage = {"promptTokenCount": 3, "candidatesTokenCount": output}
    whole = {"content": {"role": "model", "parts": merged(parts)}, "finishReason": "STOP", "index": 0}
    answer = {"candidates": [whole], "usageMetadata": usage, "modelVersion": "m", "responseId": "r"}
    assert GeminiCaching().assemble(events_of(GeminiCaching().explode(answer) or b"")) == answer
    chunks = []
    for number, part in enumerate(parts):
        one: dict[str, Any] = {"content": {"role": "model", "parts": [part]}, "index": 0}
        if number == len(parts) - 1:
            one["finishReason"] = "STOP"
        chunk = {"candidates": [one], "usageMetadata": usage, "modelVersion": "m", "responseId": "r"}
        chunks.append(b"data: " + json.dumps(chunk).encode() + b"\r\n\r\n")
    assert GeminiCaching().assemble(events_of(b"".join(chunks))) == answer
