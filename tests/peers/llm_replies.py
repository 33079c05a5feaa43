"""Answers of the scripted provider, in the shapes that the vendors document."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Tokens:
    """What one answer reports."""

    input: int = 100
    output: int = 12
    cached: int = 0


def sse(name: str | None, data: Any) -> bytes:
    text = data if isinstance(data, str) else json.dumps(data)
    return ((f"event: {name}\n" if name else "") + f"data: {text}\n\n").encode()


def message(number: int, model: str, text: str, step: Any, tokens: Tokens) -> dict[str, Any]:
    content: list[dict[str, Any]] = [{"type": "text", "text": text}]
    if step is not None:
        content.append(
            {"type": "tool_use", "id": f"toolu_scripted_{number}", "name": step.tool, "input": step.arguments}
        )
    return {
        "id": f"msg_{number}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": content,
        "stop_reason": "tool_use" if step else "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": tokens.input,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": tokens.cached,
            "output_tokens": tokens.output,
        },
    }


def message_events(done: dict[str, Any]) -> list[bytes]:
    usage = done["usage"]
    start = {**done, "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1}}
    events = [
        sse("message_start", {"type": "message_start", "message": start}),
        sse("ping", {"type": "ping"}),
    ]
    for index, block in enumerate(done["content"]):
        events += _block_events(index, block)
    delta = {"stop_reason": done["stop_reason"], "stop_sequence": None}
    ending = {"type": "message_delta", "delta": delta, "usage": {"output_tokens": usage["output_tokens"]}}
    return [*events, sse("message_delta", ending), sse("message_stop", {"type": "message_stop"})]


def _block_events(index: int, block: dict[str, Any]) -> list[bytes]:
    if block["type"] == "text":
        empty: dict[str, Any] = {"type": "text", "text": ""}
        deltas = [{"type": "text_delta", "text": piece} for piece in _pieces(block["text"])]
    else:
        empty = {**block, "input": {}}
        text = json.dumps(block["input"])
        deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in _pieces(text)]
    return [
        sse("content_block_start", {"type": "content_block_start", "index": index, "content_block": empty}),
        *(sse("content_block_delta", {"type": "content_block_delta", "index": index, "delta": d}) for d in deltas),
        sse("content_block_stop", {"type": "content_block_stop", "index": index}),
    ]


def completion(number: int, model: str, text: str, step: Any, tokens: Tokens) -> dict[str, Any]:
    reply: dict[str, Any] = {"role": "assistant", "content": None if step else text}
    if step is not None:
        function = {"name": step.tool, "arguments": json.dumps(step.arguments)}
        reply["tool_calls"] = [{"id": f"call_scripted_{number}", "type": "function", "function": function}]
    return {
        "id": f"chatcmpl-{number}",
        "object": "chat.completion",
        "created": 1,
        "model": model,
        "choices": [
            {"index": 0, "message": reply, "finish_reason": "tool_calls" if step else "stop", "logprobs": None}
        ],
        "usage": {
            "prompt_tokens": tokens.input + tokens.cached,
            "completion_tokens": tokens.output,
            "total_tokens": tokens.input + tokens.cached + tokens.output,
            "prompt_tokens_details": {"cached_tokens": tokens.cached},
        },
    }


def completion_events(done: dict[str, Any], *, usage: bool) -> list[bytes]:
    base = {"id": done["id"], "object": "chat.completion.chunk", "created": 1, "model": done["model"]}
    choice = done["choices"][0]
    reply = choice["message"]

    def chunk(delta: dict[str, Any], finish: str | None = None) -> bytes:
        choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
        return sse(None, {**base, "choices": choices, **({"usage": None} if usage else {})})

    events = [chunk({"role": "assistant", "content": ""})]
    for call in reply.get("tool_calls", ()):
        events.append(chunk({"tool_calls": [{**call, "index": 0, "function": {**call["function"], "arguments": ""}}]}))
        for piece in _pieces(call["function"]["arguments"]):
            events.append(chunk({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}))
    events += [chunk({"content": piece}) for piece in _pieces(reply["content"] or "")]
    events.append(chunk({}, choice["finish_reason"]))
    if usage:
        events.append(sse(None, {**base, "choices": [], "usage": done["usage"]}))
    return [*events, sse(None, "[DONE]")]


def response(number: int, model: str, text: str, step: Any, tokens: Tokens) -> dict[str, Any]:
    if step is not None:
        item: dict[str, Any] = {
            "type": "function_call",
            "id": f"fc_{number}",
            "call_id": f"call_scripted_{number}",
            "name": step.tool,
            "arguments": json.dumps(step.arguments),
            "status": "completed",
        }
    else:
        part = {"type": "output_text", "text": text, "annotations": []}
        item = {"type": "message", "id": f"msg_{number}", "role": "assistant", "status": "completed", "content": [part]}
    total = tokens.input + tokens.cached + tokens.output
    return {
        "id": f"resp_{number}",
        "object": "response",
        "created_at": 1,
        "status": "completed",
        "model": model,
        "output": [item],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": [],
        "usage": {
            "input_tokens": tokens.input + tokens.cached,
            "input_tokens_details": {"cached_tokens": tokens.cached},
            "output_tokens": tokens.output,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": total,
        },
    }


def response_events(done: dict[str, Any]) -> list[bytes]:
    item = done["output"][0]
    begun = {**done, "status": "in_progress", "output": [], "usage": None}
    events: list[tuple[str, dict[str, Any]]] = [
        ("response.created", {"response": begun}),
        ("response.output_item.added", {"output_index": 0, "item": {**item, "status": "in_progress"}}),
    ]
    if item["type"] == "message":
        at = {"item_id": item["id"], "output_index": 0, "content_index": 0}
        for piece in _pieces(item["content"][0]["text"]):
            events.append(("response.output_text.delta", {**at, "delta": piece, "logprobs": []}))
    events.append(("response.output_item.done", {"output_index": 0, "item": item}))
    events.append(("response.completed", {"response": done}))
    return [sse(name, {"type": name, "sequence_number": n, **data}) for n, (name, data) in enumerate(events)]


def _pieces(text: str) -> list[str]:
    return [text[at : at + 8] for at in range(0, len(text), 8)]


def gemini(model: str, text: str, step: Any, tokens: Tokens) -> dict[str, Any]:
    part: dict[str, Any] = {"text": text}
    if step is not None:
        part = {"functionCall": {"name": step.tool, "args": step.arguments}, "thoughtSignature": "c2ln"}
    usage = {
        "promptTokenCount": tokens.input + tokens.cached,
        "cachedContentTokenCount": tokens.cached,
        "candidatesTokenCount": tokens.output - 2,
        "thoughtsTokenCount": 2,
        "totalTokenCount": tokens.input + tokens.cached + tokens.output,
    }
    candidate = {"content": {"role": "model", "parts": [part]}, "finishReason": "STOP", "index": 0}
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": model, "responseId": "r1"}


def gemini_events(done: dict[str, Any]) -> list[bytes]:
    """As Google sends them: separated by CR LF, usage in each, no event after the last."""
    part = done["candidates"][0]["content"]["parts"][0]
    pieces = [{"text": piece} for piece in _pieces(part["text"])] if "text" in part else [part]
    events = []
    for number, piece in enumerate(pieces):
        last = number == len(pieces) - 1
        candidate: dict[str, Any] = {"content": {"role": "model", "parts": [piece]}, "index": 0}
        if last:
            candidate["finishReason"] = "STOP"
        usage = done["usageMetadata"] if last else {"promptTokenCount": done["usageMetadata"]["promptTokenCount"]}
        chunk = {"candidates": [candidate], "usageMetadata": usage, "modelVersion": done["modelVersion"]}
        events.append(b"data: " + json.dumps(chunk).encode() + b"\r\n\r\n")
    return events
