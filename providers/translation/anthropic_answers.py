"""Whole answers of Anthropic's messages API (https://docs.anthropic.com/en/api/messages): read and written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from policies.types import Usage
from providers.canonical.answer import Answer, AnswerPart, StopReason
from providers.canonical.parts import Opaque, Reasoning, Text, ToolCall
from providers.canonical.request import Request
from providers.canonical.seals import carry
from providers.dialects.anthropic import WireUsage, merged_usage
from providers.translation.custom_tools import object_of

STOPS: Mapping[str, StopReason] = {
    "end_turn": "end",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "stop_sequence": "stop_sequence",
    "refusal": "refusal",
    "pause_turn": "pause",
}
STOP_NAMES: Mapping[StopReason, str] = {
    "end": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "stop_sequence": "stop_sequence",
    "refusal": "refusal",
    "pause": "pause_turn",
    "other": "end_turn",
}


class Block(msgspec.Struct):
    """A content block, whole, or as a stream begins it."""

    type: str = ""
    text: str = ""
    thinking: str = ""
    signature: str = ""
    data: str = ""
    id: str = ""
    name: str = ""
    input: msgspec.Raw = msgspec.Raw(b"{}")


class _Message(msgspec.Struct):
    id: str
    content: list[Block]
    stop_reason: str | None = None
    stop_sequence: str | None = None
    usage: WireUsage | None = None


_decode = msgspec.json.Decoder(_Message).decode


def read_answer(body: bytes, model: str) -> Answer:
    """``providers.translation.base.AnswerReader``."""
    message = _decode(body)
    parts: list[AnswerPart] = []
    for block in message.content:
        if (part := _part(block)) is not None:
            _add(parts, part)
    return Answer(
        id=message.id,
        model=model,
        parts=tuple(parts),
        stop=STOPS.get(message.stop_reason or "", "other"),
        stop_sequence=message.stop_sequence,
        usage=merged_usage(None, message.usage) if message.usage else None,
    )


def _part(block: Block) -> AnswerPart | None:
    if block.type == "text":
        return Text(block.text) if block.text else None
    if block.type == "thinking":
        sealed = "anthropic" if block.signature else ""
        return Reasoning(block.thinking, block.signature, sealed) if block.thinking or block.signature else None
    if block.type == "redacted_thinking":
        return Reasoning("", block.data, "anthropic", redacted=True)
    if block.type == "tool_use":
        return ToolCall(block.id, block.name, bytes(block.input).decode())
    return Opaque("anthropic", block.type, None)


def _add(parts: list[AnswerPart], part: AnswerPart) -> None:
    """Texts in a row are one text: nobody else can tell them apart (citations cut one text into several blocks)."""
    if isinstance(part, Text) and parts and isinstance(parts[-1], Text):
        parts[-1] = Text(parts[-1].text + part.text)
    else:
        parts.append(part)


def write_answer(answer: Answer, asked: Request) -> bytes:
    """``providers.translation.base.AnswerWriter``."""
    content = [block for part in answer.parts if (block := block_of(part)) is not None]
    return msgspec.json.encode(
        {
            **message_head(answer.id, answer.model, usage_of(answer.usage)),
            "content": content,
            "stop_reason": STOP_NAMES[answer.stop],
            "stop_sequence": answer.stop_sequence,
        }
    )


def message_head(answer_id: str, model: str, usage: Mapping[str, Any]) -> dict[str, Any]:
    """A message before anything is said."""
    return {
        "id": answer_id if answer_id.startswith("msg_") else f"msg_{answer_id}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": (),
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }


def block_of(part: AnswerPart) -> dict[str, Any] | None:
    """A whole content block; ``None`` for what another vendor alone understands."""
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    if isinstance(part, Reasoning):
        seal = carry(part.seal, part.dialect, "anthropic")
        if part.redacted:
            return {"type": "redacted_thinking", "data": seal}
        return {"type": "thinking", "thinking": part.text, "signature": seal}
    if isinstance(part, ToolCall):
        return {"type": "tool_use", "id": part.id, "name": part.name, "input": object_of(part)}
    return None


def usage_of(usage: Usage | None) -> dict[str, Any]:
    """Usage as this API counts it: cached tokens beside the input, not in it."""
    known = usage or Usage()
    written = known.cache_write_tokens + known.cache_write_1h_tokens
    found: dict[str, Any] = {
        "input_tokens": known.input_tokens,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": known.cache_read_tokens,
        "output_tokens": known.output_tokens,
    }
    if known.cache_write_1h_tokens:
        found["cache_creation"] = {
            "ephemeral_5m_input_tokens": known.cache_write_tokens,
            "ephemeral_1h_input_tokens": known.cache_write_1h_tokens,
        }
    if known.reasoning_tokens:
        found["output_tokens_details"] = {"thinking_tokens": known.reasoning_tokens}
    return found
