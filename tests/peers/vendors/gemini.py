"""Gemini's generateContent (https://ai.google.dev/api/generate-content), by the models of Google's SDK, which forbid
unknown fields."""

from __future__ import annotations

import itertools
import json
from typing import Any

from google.genai import types
from pydantic import ValidationError

from tests.peers.vendors.base import pieces
from tests.support.conversations import Answer, Failure, Heard

name = "gemini"
stream_type = "text/event-stream"

_STOPS = {"end": "STOP", "calls": "STOP", "length": "MAX_TOKENS", "stop_sequence": "STOP", "refusal": "SAFETY"}
_ERRORS = {400: "INVALID_ARGUMENT", 429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 503: "UNAVAILABLE"}
_CALLERS = {"parametersJsonSchema", "responseJsonSchema", "args", "response"}
_FIELDS: dict[str, Any] = {
    "contents": types.Content,
    "tools": types.Tool,
    "systemInstruction": types.Content,
    "toolConfig": types.ToolConfig,
    "generationConfig": types.GenerationConfig,
    "safetySettings": types.SafetySetting,
}


def _camel(value: Any, *, inside: bool = False) -> Any:
    """Names may be written in either manner; what a caller put into a schema or a call is its own."""
    if isinstance(value, list):
        return [_camel(item, inside=inside) for item in value]
    if inside or not isinstance(value, dict):
        return value
    named = {
        head + "".join(word.title() for word in rest): v for k, v in value.items() for head, *rest in [k.split("_")]
    }
    return {name: _camel(item, inside=name in _CALLERS) for name, item in named.items()}


def problems(body: dict[str, Any]) -> list[str]:
    body = _camel(body)
    found: list[str] = []
    for field, value in body.items():
        if field not in _FIELDS:
            found.append(f"unknown key {field!r}")
            continue
        for one in value if isinstance(value, list) else [value]:
            try:
                _FIELDS[field].model_validate_json(json.dumps(one))
            except ValidationError as error:
                found.append(f"{field}: {error}")
    return found or _order(body["contents"])


def _order(contents: list[dict[str, Any]]) -> list[str]:
    """It begins with the user, sides alternate, and a turn with calls is followed by as many responses
    (https://ai.google.dev/gemini-api/docs/function-calling)."""
    roles = [content["role"] for content in contents]
    found = [] if roles[0] == "user" else ["the conversation does not begin with the user"]
    for before, after in itertools.pairwise(contents):
        if before["role"] == after["role"]:
            found.append(f"two contents of {after['role']!r} in a row")
        calls = [part["functionCall"]["name"] for part in before["parts"] if "functionCall" in part]
        names = [part["functionResponse"]["name"] for part in after["parts"] if "functionResponse" in part]
        if calls != names:
            found.append(f"the calls {calls} are followed by responses of {names}")
        first = next((part for part in before["parts"] if "functionCall" in part), None)
        if first is not None and "thoughtSignature" not in first:
            found.append("Function call is missing a thought_signature")  # Gemini 3 demands it
    return found


def heard(body: dict[str, Any]) -> Heard:
    body = _camel(body)
    config = body.get("generationConfig", {})
    declared = [one for tool in body.get("tools", ()) for one in tool["functionDeclarations"]]
    told = Heard(
        system="".join(part["text"] for part in body.get("systemInstruction", {}).get("parts", ())),
        tools={one["name"]: one.get("parametersJsonSchema") for one in declared},
        thinking="thinkingConfig" in config,
        stop=config.get("stopSequences", []),
        settings={
            ours: config[theirs]
            for ours, theirs in (("top_k", "topK"), ("seed", "seed"), ("logprobs", "responseLogprobs"))
            if theirs in config
        },
        shape=config.get("responseJsonSchema"),
    )
    for content in body["contents"]:
        for part in content["parts"]:
            _part(part, "assistant" if content["role"] == "model" else "user", told)
    calling = body.get("toolConfig", {}).get("functionCallingConfig", {})
    told.forced = calling.get("allowedFunctionNames", [""])[0]
    return told


def _part(part: dict[str, Any], role: str, told: Heard) -> None:
    if part.get("thought"):
        told.said.append(("thinks", part["text"]))
        return
    if "thoughtSignature" in part:
        before = ""
        while told.said and told.said[-1][0] == "thinks":  # a program that streams hands back piece by piece
            before = told.said.pop()[1] + before
        told.said.append(("thought", before, part["thoughtSignature"]))
    if "text" in part:
        goes_on = role == "assistant" and told.said and told.said[-1][0] == role
        told.said.append((role, (told.said.pop()[1] if goes_on else "") + part["text"]))
    elif "functionCall" in part:
        told.said.append(("call", part["functionCall"]["name"], part["functionCall"]["args"]))
    elif "functionResponse" in part:
        response = part["functionResponse"]
        ((key, words),) = response["response"].items()
        told.said.append(("result", response["name"], words, key == "error"))
        for inner in response.get("parts", ()):
            _part(inner, role, told)
    else:
        data = part["inlineData"]
        kind = "image" if data["mimeType"].startswith("image/") else "document"
        told.said.append((kind, data["data"].replace("-", "+").replace("_", "/")))


def whole(answer: Answer, model: str) -> dict[str, Any]:
    parts: list[dict[str, Any]] = []
    if answer.thought is not None:
        parts.append({"text": answer.thought.text, "thought": True})
    if answer.text:
        parts.append({"text": answer.text})
    parts += [{"functionCall": {"name": call.name, "args": call.arguments}} for call in answer.calls]
    if answer.thought is not None:
        parts[1]["thoughtSignature"] = answer.thought.seal
    elif answer.calls:
        next(part for part in parts if "functionCall" in part)["thoughtSignature"] = "c2lnbmVk"
    return _reply(parts, answer, model)


def _reply(parts: list[dict[str, Any]], answer: Answer, model: str, *, last: bool = True) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": parts}, "index": 0}
    tokens = answer.tokens
    usage = {"promptTokenCount": tokens.input + tokens.cached, "totalTokenCount": tokens.input + tokens.cached}
    if tokens.cached:
        usage["cachedContentTokenCount"] = tokens.cached
    if last:
        candidate["finishReason"] = _STOPS[answer.ended]
        usage["candidatesTokenCount"] = tokens.output - tokens.reasoning
        usage["totalTokenCount"] += tokens.output
        if tokens.reasoning:
            usage["thoughtsTokenCount"] = tokens.reasoning
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": model, "responseId": f"r{answer.id}"}


def events(answer: Answer, model: str, body: dict[str, Any]) -> list[bytes]:
    """A call comes whole; events are separated by CR LF; nothing follows the last."""
    chunks: list[dict[str, Any]] = []
    for part in whole(answer, model)["candidates"][0]["content"]["parts"]:
        chunks += [{**part, "text": piece} for piece in pieces(part["text"])] if "text" in part else [part]
    replies = [_reply([part], answer, model, last=n == len(chunks) - 1) for n, part in enumerate(chunks)]
    return [b"data: " + json.dumps(reply).encode() + b"\r\n\r\n" for reply in replies]


def error(failure: Failure) -> dict[str, Any]:
    return {"error": {"code": failure.status, "message": failure.message, "status": _ERRORS[failure.status]}}
