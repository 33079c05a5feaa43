"""Reads a whole answer of OpenAI's responses (https://platform.openai.com/docs/api-reference/responses/object).

Items of the vendor's own tools are passed over: a client of another dialect cannot have asked for them.
"""

from __future__ import annotations

import msgspec

from policies.ids import new_id
from providers.canonical.answer import Answer, AnswerPart
from providers.canonical.parts import Reasoning, Text, ToolCall
from providers.translation.responses_reasoning import revealed
from providers.translation.responses_wire import CALLS, WireItem, WireResponse

_decode = msgspec.json.Decoder(WireResponse).decode


def read_answer(body: bytes, model: str) -> Answer:
    """``providers.translation.base.AnswerReader``."""
    response = _decode(body)
    if response.output is None or response.status not in (None, "completed", "incomplete"):
        raise ValueError("no response that has ended well")
    parts: list[AnswerPart] = []
    refused = False
    for item in response.output:
        if item.type == "message":
            refused = refused or any(part.refusal for part in item.content or ())
            _say("".join(part.text or part.refusal or "" for part in item.content or ()), parts)
        elif item.type == "reasoning":
            if (thought := thought_of(item)) is not None:
                parts.append(thought)
        elif item.type in CALLS:
            parts.append(_call(item))
    calls = any(isinstance(part, ToolCall) for part in parts)
    return Answer(
        id=response.id or new_id("resp_"),
        model=model,
        parts=tuple(parts),
        stop=response.stop(calls=calls, refused=refused),
        usage=response.usage.normal() if response.usage else None,
    )


def _say(text: str, parts: list[AnswerPart]) -> None:
    """Messages that follow each other are one text, as in a stream."""
    if not text:
        return
    if parts and isinstance(parts[-1], Text):
        parts[-1] = Text(parts[-1].text + text)
    else:
        parts.append(Text(text))


def thought_of(item: WireItem) -> Reasoning | None:
    """``None`` if the item holds nothing."""
    thought = revealed(item.encrypted_content or "", item.thoughts())
    if thought.seal:
        return Reasoning(thought.text, thought.seal, thought.dialect, thought.redacted, item.id or "")
    return thought if thought.text else None


def _call(item: WireItem) -> ToolCall:
    name, call_id = item.name or "", item.call_id or item.id or new_id("call_")
    if item.type == "custom_tool_call":
        return ToolCall(call_id, name, item.input or "", item.namespace or "", custom=True)
    return ToolCall(call_id, name, arguments_text(item), item.namespace or "")


def arguments_text(item: WireItem) -> str:
    """Some speakers of the dialect write an object instead of its JSON."""
    if isinstance(item.arguments, str):
        return item.arguments or "{}"
    return msgspec.json.encode(item.arguments or {}).decode()
