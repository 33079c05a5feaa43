"""Whole answers of chat completions (https://platform.openai.com/docs/api-reference/chat/object): read from a provider,
written for a client."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import msgspec

from policies.ids import new_id
from providers.canonical.answer import Answer, AnswerPart
from providers.canonical.parts import Reasoning, Text, ToolCall
from providers.canonical.request import Request
from providers.translation.chat_reasoning import in_order, written_details
from providers.translation.chat_wire import (
    FAILED,
    STOP_NAMES,
    WireCall,
    WireMessage,
    arguments_text,
    decode_completion,
    error_of,
    spoken,
    stop_of,
    thoughts_of,
    usage_object,
)


def read_answer(body: bytes, model: str) -> Answer:
    """``providers.translation.base.AnswerReader``."""
    said = decode_completion(body)
    choice = said.first()
    if choice is None or choice.message is None or choice.finish_reason == FAILED:
        error = said.error or (choice.error if choice else None)
        raise ValueError("no answer" if error is None else ": ".join(error_of(error)))
    message = choice.message
    calls = list(_calls(message))
    return Answer(
        id=said.id or new_id("chatcmpl-"),
        model=model,
        parts=_parts(message, calls),
        stop=stop_of(choice.finish_reason or "", calls=bool(calls), refused=bool(message.refusal)),
        usage=said.used(),
    )


def _parts(message: WireMessage, calls: list[ToolCall]) -> tuple[AnswerPart, ...]:
    thoughts = list(thoughts_of(message))
    words: list[str] = []
    for thought, text in spoken(message.content):
        if thought:
            thoughts.append(Reasoning(text))
        else:
            words.append(text)
    if message.refusal:
        words.append(message.refusal)
    text = "".join(words)
    return tuple(in_order(thoughts, [Text(text)] if text else (), calls))


def _calls(message: WireMessage) -> Iterator[ToolCall]:
    for call in message.tool_calls or ():
        yield _call(call)
    if message.function_call is not None and message.function_call.name:
        yield _call(WireCall(function=message.function_call))


def _call(call: WireCall) -> ToolCall:
    name = call.id or new_id("call_")
    if call.custom is not None:
        return ToolCall(name, call.custom.name or "", call.custom.input or "", custom=True)
    if call.function is None:
        raise ValueError("a tool call that calls nothing")
    return ToolCall(name, call.function.name or "", arguments_text(call.function.arguments) or "{}")


def write_answer(answer: Answer, asked: Request) -> bytes:
    """``providers.translation.base.AnswerWriter``."""
    whole: dict[str, Any] = {
        "id": answer.id if answer.id.startswith("chatcmpl-") else f"chatcmpl-{answer.id}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": answer.model,
        "choices": [
            {
                "index": 0,
                "message": _message(answer.parts),
                "logprobs": None,
                "finish_reason": STOP_NAMES[answer.stop],
            }
        ],
    }
    if answer.usage is not None:
        whole["usage"] = usage_object(answer.usage)
    return msgspec.json.encode(whole)


def _message(parts: tuple[AnswerPart, ...]) -> dict[str, Any]:
    words = [part.text for part in parts if isinstance(part, Text)]
    calls = [call_object(part) for part in parts if isinstance(part, ToolCall)]
    message: dict[str, Any] = {"role": "assistant", "content": "".join(words) if words else None, "refusal": None}
    if words == [] and not calls:
        message["content"] = ""
    details: list[dict[str, Any]] = []
    for index, part in enumerate(parts):
        if isinstance(part, Reasoning):
            following = parts[index + 1] if index + 1 < len(parts) else None
            details += written_details(part, following.id if isinstance(following, ToolCall) else "")
    if details:
        thoughts = "".join(part.text for part in parts if isinstance(part, Reasoning))
        if thoughts:
            message["reasoning_content"] = thoughts
        message["reasoning_details"] = [{**detail, "index": index} for index, detail in enumerate(details)]
    if calls:
        message["tool_calls"] = calls
    return message


def call_object(call: ToolCall, call_id: str = "", name: str = "") -> dict[str, Any]:
    """A call of a message; ``call_id`` and ``name`` where they differ from the caller's."""
    if call.custom:
        custom = {"name": name or call.name, "input": call.arguments}
        return {"id": call_id or call.id, "type": "custom", "custom": custom}
    function = {"name": name or call.name, "arguments": call.arguments}
    return {"id": call_id or call.id, "type": "function", "function": function}
