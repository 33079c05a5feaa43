"""Chat completions (https://platform.openai.com/docs/api-reference/chat), by the types of OpenAI's SDK. A model whose
name begins with ``router`` is OpenRouter's, which shows thoughts and takes them back
(https://openrouter.ai/docs/use-cases/reasoning-tokens)."""

from __future__ import annotations

import copy
import json
from typing import Any

from openai.types.chat.completion_create_params import (
    CompletionCreateParamsNonStreaming,
    CompletionCreateParamsStreaming,
)

from tests.peers.vendors.base import data_of, pieces, sse, unanswered
from tests.support import typed_dicts
from tests.support.conversations import Answer, Call, Failure, Heard

name = "chat"
stream_type = "text/event-stream"

_FORMAT = "openai-responses-v1"
_BESIDE = {"type", "format", "id", "index"}
_DETAILS = {"reasoning.summary": _BESIDE | {"summary"}, "reasoning.encrypted": _BESIDE | {"data"}}
_STOPS = {"end": "stop", "calls": "tool_calls", "length": "length", "stop_sequence": "stop", "refusal": "stop"}


def problems(body: dict[str, Any]) -> list[str]:
    bare = copy.deepcopy(body)
    found: list[str] = []
    for message in bare["messages"] if body["model"].startswith("router") else ():
        for detail in message.pop("reasoning_details", ()):
            if not detail.keys() <= _DETAILS.get(detail["type"], set()):
                found.append(f"reasoning_details: {detail}")
    kind = CompletionCreateParamsStreaming if body.get("stream") else CompletionCreateParamsNonStreaming
    found += typed_dicts.problems(bare, kind)
    return found or unanswered(_steps(body["messages"]))


def _steps(messages: list[dict[str, Any]]) -> list[tuple[list[str], list[str]]]:
    found: list[tuple[list[str], list[str]]] = [([], [])]
    for message in messages:
        if message["role"] == "tool":
            found[-1][1].append(message["tool_call_id"])
        else:
            found.append(([call["id"] for call in message.get("tool_calls") or ()], []))
    return found


def heard(body: dict[str, Any]) -> Heard:
    told = Heard(
        tools={tool["function"]["name"]: tool["function"].get("parameters") for tool in body.get("tools", ())},
        thinking="reasoning_effort" in body,
        stop=[body["stop"]] if isinstance(body.get("stop"), str) else body.get("stop", []),
        settings={name: body[name] for name in ("top_k", "seed", "logprobs") if name in body},
    )
    names: dict[str, str] = {}
    for message in body["messages"]:
        _message(message, told, names)
    choice = body.get("tool_choice")
    told.forced = choice["function"]["name"] if isinstance(choice, dict) else ""
    if body.get("response_format", {}).get("type") == "json_schema":
        told.shape = body["response_format"]["json_schema"]["schema"]
    return told


def _message(message: dict[str, Any], told: Heard, names: dict[str, str]) -> None:
    role, content = message["role"], message.get("content") or []
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
    told.marks += sum("prompt_cache_breakpoint" in part for part in parts)
    words = "\n".join(part["text"] for part in parts if part["type"] == "text")
    if role in ("system", "developer"):
        told.system += words
    elif role == "tool":
        told.said.append(("result", names[message["tool_call_id"]], words, None))
    else:
        if details := message.get("reasoning_details"):
            told.said.append(("thought", details[0]["summary"], details[1]["data"]))
        for part in parts:
            told.said.append(_part(part, role))
        for call in message.get("tool_calls") or ():
            names[call["id"]] = call["function"]["name"]
            told.said.append(("call", call["function"]["name"], json.loads(call["function"]["arguments"])))


def _part(part: dict[str, Any], role: str) -> tuple[Any, ...]:
    if part["type"] == "text":
        return role, part["text"]
    if part["type"] == "image_url":
        return "image", data_of(part["image_url"]["url"])
    return "document", data_of(part["file"]["file_data"])


def whole(answer: Answer, model: str) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": answer.text or None, "refusal": None, "annotations": []}
    if answer.ended == "refusal":
        message |= {"content": None, "refusal": answer.text}
    if answer.calls:
        message["tool_calls"] = [_call(call, n) for n, call in enumerate(answer.calls)]
    if answer.thought is not None:
        details = [_summary(answer.thought.text), _seal(answer.thought.seal)]
        message |= {"reasoning": answer.thought.text, "reasoning_details": details}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _STOPS[answer.ended]}
    return {**_head(answer, model, "chat.completion"), "choices": [choice], "usage": _usage(answer)}


def _head(answer: Answer, model: str, kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{answer.id}", "object": kind, "created": 1, "model": model, "service_tier": "default"}


def _call(call: Call, n: int) -> dict[str, Any]:
    function = {"name": call.name, "arguments": json.dumps(call.arguments)}
    return {"id": call.id or f"call_vendor{n}", "type": "function", "function": function}


def _summary(text: str) -> dict[str, Any]:
    return {"type": "reasoning.summary", "summary": text, "format": _FORMAT, "index": 0}


def _seal(seal: str) -> dict[str, Any]:
    return {"type": "reasoning.encrypted", "data": seal, "id": "rs_1", "format": _FORMAT, "index": 1}


def _usage(answer: Answer) -> dict[str, Any]:
    tokens = answer.tokens
    return {
        "prompt_tokens": tokens.input + tokens.cached,
        "completion_tokens": tokens.output,
        "total_tokens": tokens.input + tokens.cached + tokens.output,
        "prompt_tokens_details": {"cached_tokens": tokens.cached, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": tokens.reasoning, "audio_tokens": 0},
    }


def events(answer: Answer, model: str, body: dict[str, Any]) -> list[bytes]:
    usage = bool(body.get("stream_options", {}).get("include_usage"))
    head = {**_head(answer, model, "chat.completion.chunk"), **({"usage": None} if usage else {})}

    def chunk(finish: str | None = None, **delta: Any) -> bytes:
        return sse({**head, "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]})

    found = [chunk(role="assistant", content="", refusal=None)]
    if answer.thought is not None:
        told = pieces(answer.thought.text)
        found += [chunk(reasoning=text, reasoning_details=[_summary(text)]) for text in told]
        found.append(chunk(reasoning_details=[_seal(answer.thought.seal)]))
    field = "refusal" if answer.ended == "refusal" else "content"
    found += [chunk(**{field: text}) for text in pieces(answer.text)]
    for n, call in enumerate(answer.calls):
        begun = _call(call, n)
        arguments = begun["function"]["arguments"]
        begun["function"]["arguments"] = ""
        found.append(chunk(tool_calls=[{"index": n, **begun}]))
        found += [chunk(tool_calls=[{"index": n, "function": {"arguments": text}}]) for text in pieces(arguments)]
    found.append(chunk(_STOPS[answer.ended]))
    if usage:
        found.append(sse({**head, "choices": [], "usage": _usage(answer)}))
    return [*found, sse("[DONE]")]


def error(failure: Failure) -> dict[str, Any]:
    code = "context_length_exceeded" if failure.context else None
    return {"error": {"message": failure.message, "type": "invalid_request_error", "param": None, "code": code}}
