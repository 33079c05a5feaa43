"""Whole answers of Gemini's generateContent (https://ai.google.dev/api/generate-content#v1beta.GenerateContentResponse):
read and written. The first candidate is the answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from policies.ids import new_id
from policies.types import Usage
from providers.canonical.answer import Answer, AnswerPart, StopReason
from providers.canonical.parts import Opaque, Reasoning, Text, ToolCall
from providers.canonical.request import Request
from providers.dialects.gemini import UsageMetadata as WireUsage
from providers.translation.custom_tools import object_of
from providers.translation.gemini_wire import sealed, signature_of, with_thought

STOPS: Mapping[str, StopReason] = {
    "STOP": "end",
    "MAX_TOKENS": "length",
    "CONTINUATION": "pause",
    "SAFETY": "refusal",
    "RECITATION": "refusal",
    "LANGUAGE": "refusal",
    "BLOCKLIST": "refusal",
    "PROHIBITED_CONTENT": "refusal",
    "SPII": "refusal",
    "ESCALATION": "refusal",
    "PUP_LIMITED_DISABLED": "refusal",
    "MODEL_ARMOR": "refusal",
    "IMAGE_SAFETY": "refusal",
    "IMAGE_PROHIBITED_CONTENT": "refusal",
    "IMAGE_RECITATION": "refusal",
}
STOP_NAMES: Mapping[StopReason, str] = {
    "end": "STOP",
    "length": "MAX_TOKENS",
    "tool_calls": "STOP",
    "stop_sequence": "STOP",
    "refusal": "SAFETY",
    "pause": "OTHER",
    "other": "OTHER",
}
_NEITHER = frozenset({"thought", "thoughtSignature"})
_decode = msgspec.json.Decoder(dict[str, Any]).decode
_encode = msgspec.json.encode


def read_answer(body: bytes, model: str) -> Answer:
    """``providers.translation.base.AnswerReader``."""
    answer = _decode(body)
    parts: list[AnswerPart] = []
    candidate = first_candidate(answer)
    for part in parts_of(candidate):
        _take(part, parts)
    stop = stop_of(answer, candidate)
    if stop is None:
        raise ValueError("the answer has no candidate")
    called = any(isinstance(part, ToolCall) for part in parts)
    return Answer(
        id=answer.get("responseId") or new_id("resp_"),
        model=model,
        parts=tuple(parts),
        stop="tool_calls" if called and stop == "end" else stop,
        usage=usage_of(answer),
    )


def first_candidate(answer: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Of several that were asked for, the first."""
    for candidate in answer.get("candidates") or ():
        if not candidate.get("index"):
            found: Mapping[str, Any] = candidate
            return found
    return None


def parts_of(candidate: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """What a candidate says."""
    content = (candidate or {}).get("content") or {}
    return content.get("parts") or []


def stop_of(answer: Mapping[str, Any], candidate: Mapping[str, Any] | None) -> StopReason | None:
    """Why it ended; ``None`` where it says nothing of it and has no candidate. Raises ``TypeError`` for no string."""
    if candidate is not None:
        reason = candidate.get("finishReason")
        return STOPS.get(reason or "", "other")
    return "refusal" if (answer.get("promptFeedback") or {}).get("blockReason") else None


def usage_of(answer: Mapping[str, Any]) -> Usage | None:
    """The usage that an answer, or a chunk of one, reports."""
    reported = answer.get("usageMetadata")
    return msgspec.convert(reported, WireUsage).normal() if reported else None


def call_of(call: Mapping[str, Any]) -> ToolCall:
    """A call that the model makes; one without an id gets one."""
    arguments = _encode(call.get("args") or {}).decode()
    return ToolCall(call.get("id") or new_id("call_"), call["name"], arguments)


def seal_of(part: Mapping[str, Any]) -> Reasoning | None:
    """The signature of a part."""
    signature = part.get("thoughtSignature")
    return sealed(signature) if signature else None


def _take(part: Mapping[str, Any], parts: list[Any]) -> None:
    """Texts of one kind in a row are one text; the same rules as ``GeminiDecoder``'s."""
    seal = seal_of(part)
    words = part.get("text")
    if words is not None and part.get("thought"):
        with_thought(parts, words, seal)
        return
    if seal is not None:
        with_thought(parts, "", seal)
    if words is not None:
        if words and parts and isinstance(parts[-1], Text):
            parts[-1] = Text(parts[-1].text + words)
        elif words:
            parts.append(Text(words))
    elif (call := part.get("functionCall")) is not None:
        parts.append(call_of(call))
    elif kinds := [name for name in part if name not in _NEITHER]:
        parts.append(Opaque("gemini", kinds[0], part))


def write_answer(answer: Answer, asked: Request) -> bytes:
    """``providers.translation.base.AnswerWriter``."""
    parts: list[dict[str, Any]] = []
    seal = ""
    for part in answer.parts:
        if isinstance(part, Reasoning) and not part.text and not part.redacted:
            if seal:
                parts.append({"text": "", "thoughtSignature": seal})
            seal = signature_of(part)
        elif (written := _written(part)) is not None:
            if seal:
                signs = "thoughtSignature" not in written
                if signs:
                    written["thoughtSignature"] = seal
                else:
                    parts.append({"text": "", "thoughtSignature": seal})
                seal = ""
            parts.append(written)
    if seal:
        parts.append({"text": "", "thoughtSignature": seal})
    return _encode(
        {
            "candidates": [candidate_of(parts, STOP_NAMES[answer.stop])],
            "usageMetadata": written_usage(answer.usage),
            "modelVersion": answer.model,
            "responseId": answer.id,
        }
    )


def candidate_of(parts: list[dict[str, Any]], stop: str | None) -> dict[str, Any]:
    """A candidate, or a piece of one."""
    candidate: dict[str, Any] = {"content": {"parts": parts or [{"text": ""}], "role": "model"}}
    if stop is not None:
        candidate["finishReason"] = stop
    candidate["index"] = 0
    return candidate


def written_call(call: ToolCall) -> dict[str, Any]:
    """A part that calls a tool."""
    return {"functionCall": {"id": call.id, "name": call.name, "args": object_of(call)}}


def _written(part: AnswerPart) -> dict[str, Any] | None:
    if isinstance(part, Text):
        return {"text": part.text}
    if isinstance(part, Reasoning):
        thought: dict[str, Any] = {"text": part.text, "thought": True}
        if part.seal:
            thought["thoughtSignature"] = signature_of(part)
        return thought
    if isinstance(part, ToolCall):
        return written_call(part)
    block: dict[str, Any] | None = part.block if part.dialect == "gemini" else None
    return None if block is None else dict(block)


def written_usage(usage: Usage | None) -> dict[str, int]:
    """Usage as this API counts it: cached tokens inside the prompt, thoughts beside the answer."""
    known = usage or Usage()
    written = known.cache_write_tokens + known.cache_write_1h_tokens
    found = {
        "promptTokenCount": known.input_tokens + known.cache_read_tokens + written,
        "candidatesTokenCount": known.output_tokens - known.reasoning_tokens,
        "totalTokenCount": known.total,
    }
    if known.cache_read_tokens:
        found["cachedContentTokenCount"] = known.cache_read_tokens
    if known.reasoning_tokens:
        found["thoughtsTokenCount"] = known.reasoning_tokens
    return found
