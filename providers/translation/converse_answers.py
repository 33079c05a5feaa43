"""Reads whole answers of Bedrock's Converse
(https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html, response syntax)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from policies.ids import new_id
from policies.types import Usage
from providers.canonical.answer import Answer, AnswerPart, StopReason
from providers.canonical.parts import Reasoning, Text, ToolCall

SEALED_BY = "anthropic"
"""Claude's signatures are the same here and at Anthropic, and a conversation may move between them."""
STOPS: Mapping[str, StopReason] = {
    "end_turn": "end",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "stop_sequence": "stop_sequence",
    "guardrail_intervened": "refusal",
    "content_filtered": "refusal",
    "malformed_model_output": "other",
    "malformed_tool_use": "other",
}


class _CacheDetail(msgspec.Struct, rename="camel"):
    ttl: str = ""
    input_tokens: int = 0


class WireUsage(msgspec.Struct, rename="camel"):
    """``TokenUsage``. ``inputTokens`` are those that no cache had a part in."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_write_input_tokens: int | None = None
    cache_details: list[_CacheDetail] | None = None

    def normal(self) -> Usage:
        """In disjoint counts."""
        hour = sum(detail.input_tokens for detail in self.cache_details or () if detail.ttl == "1h")
        return Usage(
            input_tokens=self.input_tokens or 0,
            cache_read_tokens=self.cache_read_input_tokens or 0,
            cache_write_tokens=max(0, (self.cache_write_input_tokens or 0) - hour),
            cache_write_1h_tokens=hour,
            output_tokens=self.output_tokens or 0,
        )


class _ToolUse(msgspec.Struct, rename="camel"):
    tool_use_id: str = ""
    name: str = ""
    input: msgspec.Raw = msgspec.Raw(b"{}")
    type: str | None = None


class _ReasoningText(msgspec.Struct):
    text: str = ""
    signature: str | None = None


class _Reasoning(msgspec.Struct, rename="camel"):
    reasoning_text: _ReasoningText | None = None
    redacted_content: str | None = None


class _Cited(msgspec.Struct):
    text: str = ""


class _Citations(msgspec.Struct):
    content: list[_Cited] | None = None


class _Block(msgspec.Struct, rename="camel"):
    text: str | None = None
    tool_use: _ToolUse | None = None
    reasoning_content: _Reasoning | None = None
    citations_content: _Citations | None = None


class _Message(msgspec.Struct):
    content: list[_Block]


class _Output(msgspec.Struct):
    message: _Message


class _Answer(msgspec.Struct, rename="camel"):
    output: _Output
    stop_reason: str | None = None
    usage: WireUsage | None = None
    additional_model_response_fields: Any = None


_decode = msgspec.json.Decoder(_Answer).decode


def read_answer(body: bytes, model: str) -> Answer:
    """``providers.translation.base.AnswerReader``. What the vendor's own tools did is not the caller's to answer."""
    said = _decode(body)
    parts: list[AnswerPart] = []
    for block in said.output.message.content:
        part = _part(block)
        if isinstance(part, Text) and parts and isinstance(parts[-1], Text):
            # One text: citations cut it into several blocks.
            parts[-1] = Text(parts[-1].text + part.text)
        elif part is not None:
            parts.append(part)
    called = any(isinstance(part, ToolCall) for part in parts)
    return Answer(
        id=new_id("msg_"),
        model=model,
        parts=tuple(parts),
        stop=stop_of(said.stop_reason, called=called),
        stop_sequence=stop_sequence_of(said.additional_model_response_fields),
        usage=said.usage.normal() if said.usage else None,
    )


def _part(block: _Block) -> AnswerPart | None:
    if block.text:
        return Text(block.text)
    if block.tool_use is not None and block.tool_use.type is None:
        call = block.tool_use
        return ToolCall(call.tool_use_id or new_id("call_"), call.name, bytes(call.input).decode())
    if block.reasoning_content is not None:
        return _reasoning(block.reasoning_content)
    if block.citations_content is not None:
        words = "".join(cited.text for cited in block.citations_content.content or ())
        return Text(words) if words else None
    return None


def _reasoning(said: _Reasoning) -> Reasoning | None:
    if said.redacted_content is not None:
        return Reasoning("", said.redacted_content, SEALED_BY, redacted=True)
    thought = said.reasoning_text
    if thought is None or not (thought.text or thought.signature):
        return None
    seal = thought.signature or ""
    return Reasoning(thought.text, seal, SEALED_BY if seal else "")


def stop_of(said: str | None, *, called: bool) -> StopReason:
    """Why it stopped. Some models end a turn with calls in it as if there were none."""
    stop = STOPS.get(said or "", "other")
    return "tool_calls" if called and stop == "end" else stop


def stop_sequence_of(more: Any) -> str | None:
    """Which one it was, from the fields that the request asked for besides."""
    found = more.get("stop_sequence") if isinstance(more, dict) else None
    return found if isinstance(found, str) else None
