"""Anthropic's messages (https://docs.anthropic.com/en/api/messages), by the types of its SDK."""

from __future__ import annotations

import json
from typing import Any

from anthropic.types.message_create_params import MessageCreateParamsNonStreaming, MessageCreateParamsStreaming

from tests.peers.vendors.base import pieces, sse, unanswered
from tests.support import typed_dicts
from tests.support.conversations import Answer, Failure, Heard

name = "anthropic"
stream_type = "text/event-stream"

_OLDER = ("temperature", "top_p", "top_k")
"""The newest SDK no longer lists what the API of 2023-06-01 takes for models that have it."""
_STOPS = {
    "end": "end_turn",
    "calls": "tool_use",
    "length": "max_tokens",
    "stop_sequence": "stop_sequence",
    "refusal": "refusal",
}
_ERRORS = {400: "invalid_request_error", 429: "rate_limit_error", 500: "api_error", 529: "overloaded_error"}


def problems(body: dict[str, Any]) -> list[str]:
    kind = MessageCreateParamsStreaming if body.get("stream") else MessageCreateParamsNonStreaming
    found = typed_dicts.problems({key: value for key, value in body.items() if key not in _OLDER}, kind)
    found += _open(body.get("output_config", {}).get("format", {}).get("schema"), "output_config.format.schema")
    return found or unanswered(_steps(body["messages"]))


def _open(schema: Any, path: str) -> list[str]:
    """Objects of a form that are not closed (https://docs.claude.com/en/docs/build-with-claude/structured-outputs)."""
    if isinstance(schema, list):
        return [said for n, one in enumerate(schema) for said in _open(one, f"{path}[{n}]")]
    if not isinstance(schema, dict):
        return []
    found = [said for name, one in schema.items() for said in _open(one, f"{path}.{name}")]
    if schema.get("type") == "object" and schema.get("additionalProperties") is not False:
        found.append(f"{path}: For 'object' type, 'additionalProperties' must be explicitly set to false")
    return found


def _blocks(content: Any) -> list[dict[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _steps(messages: list[dict[str, Any]]) -> list[tuple[list[str], list[str]]]:
    found: list[tuple[list[str], list[str]]] = [([], [])]
    for message in messages:
        blocks = _blocks(message["content"])
        if message["role"] == "assistant":
            found.append(([block["id"] for block in blocks if block["type"] == "tool_use"], []))
        else:
            found[-1][1].extend(block["tool_use_id"] for block in blocks if block["type"] == "tool_result")
    return found


def heard(body: dict[str, Any]) -> Heard:
    told = Heard(
        system="".join(block["text"] for block in _blocks(body.get("system", ""))),
        tools={tool["name"]: tool["input_schema"] for tool in body.get("tools", ())},
        thinking=body.get("thinking", {}).get("type") in ("enabled", "adaptive"),
        stop=body.get("stop_sequences", []),
        marks=json.dumps(body).count('"cache_control"'),
        settings={"top_k": body["top_k"]} if "top_k" in body else {},
    )
    names: dict[str, str] = {}
    for message in body["messages"]:
        for block in _blocks(message["content"]):
            _block(block, message["role"], told, names)
    told.forced = body.get("tool_choice", {}).get("name", "")
    told.shape = body.get("output_config", {}).get("format", {}).get("schema")
    return told


def _block(block: dict[str, Any], role: str, told: Heard, names: dict[str, str]) -> None:
    kind = block["type"]
    if kind == "text":
        told.said.append((role, block["text"]))
    elif kind == "thinking":
        told.said.append(("thought", block["thinking"], block["signature"]))
    elif kind == "tool_use":
        names[block["id"]] = block["name"]
        told.said.append(("call", block["name"], block["input"]))
    elif kind == "tool_result":
        inner = _blocks(block.get("content", ""))
        words = "\n".join(part["text"] for part in inner if part["type"] == "text")
        told.said.append(("result", names[block["tool_use_id"]], words, block.get("is_error", False)))
        told.said += [("image", part["source"]["data"]) for part in inner if part["type"] == "image"]
    else:
        told.said.append((kind, block["source"]["data"]))


def whole(answer: Answer, model: str) -> dict[str, Any]:
    return {
        "id": f"msg_{answer.id}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": _content(answer),
        "stop_reason": _STOPS[answer.ended],
        "stop_sequence": answer.stop_sequence or None,
        "usage": _usage(answer),
    }


def _content(answer: Answer) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if answer.thought is not None:
        found.append({"type": "thinking", "thinking": answer.thought.text, "signature": answer.thought.seal})
    if answer.text:
        found.append({"type": "text", "text": answer.text})
    for n, call in enumerate(answer.calls):
        named = {"id": call.id or f"toolu_vendor{n}", "name": call.name}
        found.append({"type": "tool_use", **named, "input": call.arguments})
    return found


def _usage(answer: Answer) -> dict[str, Any]:
    tokens = answer.tokens
    return {
        "input_tokens": tokens.input,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": tokens.cached,
        "output_tokens": tokens.output,
        "output_tokens_details": {"thinking_tokens": tokens.reasoning},
        "service_tier": "standard",
    }


def events(answer: Answer, model: str, body: dict[str, Any]) -> list[bytes]:
    done = whole(answer, model)
    start = {**done, "content": [], "stop_reason": None, "stop_sequence": None}
    start["usage"] = {**done["usage"], "output_tokens": 1, "output_tokens_details": {"thinking_tokens": 0}}
    told: list[dict[str, Any]] = [{"type": "message_start", "message": start}, {"type": "ping"}]
    for index, block in enumerate(done["content"]):
        told += _block_events(index, block)
    delta = {"stop_reason": done["stop_reason"], "stop_sequence": done["stop_sequence"]}
    told.append({"type": "message_delta", "delta": delta, "usage": done["usage"]})
    told.append({"type": "message_stop"})
    return [sse(event, event["type"]) for event in told]


def _block_events(index: int, block: dict[str, Any]) -> list[dict[str, Any]]:
    if block["type"] == "text":
        empty = {"type": "text", "text": ""}
        deltas = [{"type": "text_delta", "text": piece} for piece in pieces(block["text"])]
    elif block["type"] == "thinking":
        empty = {"type": "thinking", "thinking": "", "signature": ""}
        deltas = [{"type": "thinking_delta", "thinking": piece} for piece in pieces(block["thinking"])]
        deltas.append({"type": "signature_delta", "signature": block["signature"]})
    else:
        empty = {**block, "input": {}}
        text = json.dumps(block["input"])
        deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in ("", *pieces(text))]
    return [
        {"type": "content_block_start", "index": index, "content_block": empty},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def error(failure: Failure) -> dict[str, Any]:
    return {
        "type": "error",
        "error": {"type": _ERRORS[failure.status], "message": failure.message},
        "request_id": "req_1",
    }
