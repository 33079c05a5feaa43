"""OpenAI's responses (https://platform.openai.com/docs/api-reference/responses), by the types of its SDK."""

from __future__ import annotations

import json
from typing import Any

from openai.types.responses.response_create_params import (
    ResponseCreateParamsNonStreaming,
    ResponseCreateParamsStreaming,
)

from tests.peers.vendors.base import data_of, pieces, sse
from tests.peers.vendors.chat import error as error
from tests.support import typed_dicts
from tests.support.conversations import Answer, Heard

name = "responses"
stream_type = "text/event-stream"

_CUT = {"length": "max_output_tokens"}


def problems(body: dict[str, Any]) -> list[str]:
    return typed_dicts.problems(
        body, ResponseCreateParamsStreaming if body.get("stream") else ResponseCreateParamsNonStreaming
    )


def heard(body: dict[str, Any]) -> Heard:
    told = Heard(
        system=body.get("instructions") or "",
        tools={tool["name"]: tool["parameters"] for tool in body.get("tools", ())},
        thinking="reasoning" in body,
        settings={"logprobs": True} if "top_logprobs" in body else {},
    )
    names: dict[str, str] = {}
    for item in body["input"]:
        _item(item, told, names)
    choice = body.get("tool_choice")
    told.forced = choice["name"] if isinstance(choice, dict) else ""
    form = body.get("text", {}).get("format", {})
    told.shape = form.get("schema")
    return told


def _item(item: dict[str, Any], told: Heard, names: dict[str, str]) -> None:
    kind = item.get("type", "message")
    if kind == "function_call":
        names[item["call_id"]] = item["name"]
        told.said.append(("call", item["name"], json.loads(item["arguments"])))
    elif kind == "function_call_output":
        output = item["output"]
        parts = [{"type": "input_text", "text": output}] if isinstance(output, str) else output
        words = "\n".join(part["text"] for part in parts if part["type"] == "input_text")
        told.said.append(("result", names[item["call_id"]], words, None))
        told.said += [_part(part, "user") for part in parts if part["type"] != "input_text"]
    elif kind == "reasoning":
        told.said.append(("thought", item["summary"][0]["text"], item["encrypted_content"]))
    else:
        content = item["content"]
        parts = [{"type": "input_text", "text": content}] if isinstance(content, str) else content
        told.marks += sum("prompt_cache_breakpoint" in part for part in parts)
        if item["role"] in ("system", "developer"):
            told.system += "".join(part["text"] for part in parts)
        else:
            told.said += [_part(part, item["role"]) for part in parts]


def _part(part: dict[str, Any], role: str) -> tuple[Any, ...]:
    if part["type"] in ("input_text", "output_text"):
        return role, part["text"]
    if part["type"] == "input_image":
        return "image", data_of(part["image_url"])
    return "document", data_of(part["file_data"])


def whole(answer: Answer, model: str) -> dict[str, Any]:
    items = _items(answer)
    cut = _CUT.get(answer.ended)
    tokens = answer.tokens
    return {
        **_begun(model),
        "status": "incomplete" if cut else "completed",
        "incomplete_details": {"reason": cut} if cut else None,
        "output": items,
        "usage": {
            "input_tokens": tokens.input + tokens.cached,
            "input_tokens_details": {"cached_tokens": tokens.cached, "cache_write_tokens": 0},
            "output_tokens": tokens.output,
            "output_tokens_details": {"reasoning_tokens": tokens.reasoning},
            "total_tokens": tokens.input + tokens.cached + tokens.output,
        },
    }


def _begun(model: str) -> dict[str, Any]:
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "status": "in_progress",
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": model,
        "output": [],
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": None,
    }


def _items(answer: Answer) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if answer.thought is not None:
        summary = [{"type": "summary_text", "text": answer.thought.text}]
        found.append({"id": "rs_1", "type": "reasoning", "summary": summary, "encrypted_content": answer.thought.seal})
    if answer.text:
        part: dict[str, Any] = {"type": "output_text", "text": answer.text, "annotations": [], "logprobs": []}
        if answer.ended == "refusal":
            part = {"type": "refusal", "refusal": answer.text}
        status = "incomplete" if answer.ended in _CUT else "completed"
        found.append({"id": "msg_1", "type": "message", "role": "assistant", "status": status, "content": [part]})
    for n, call in enumerate(answer.calls):
        found.append(
            {
                "id": f"fc_{n}",
                "type": "function_call",
                "call_id": f"call_vendor{n}",
                "name": call.name,
                "arguments": json.dumps(call.arguments),
                "status": "completed",
            }
        )
    return found


def events(answer: Answer, model: str, body: dict[str, Any]) -> list[bytes]:
    done = whole(answer, model)
    told: list[tuple[str, dict[str, Any]]] = [
        ("response.created", {"response": _begun(model)}),
        ("response.in_progress", {"response": _begun(model)}),
    ]
    for index, item in enumerate(done["output"]):
        told += _item_events(index, item)
    told.append((f"response.{done['status']}", {"response": done}))
    return [sse({"type": kind, "sequence_number": n, **data}, kind) for n, (kind, data) in enumerate(told)]


def _item_events(index: int, item: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    empty = {"message": {"content": []}, "reasoning": {"summary": []}, "function_call": {"arguments": ""}}
    at = {"item_id": item["id"], "output_index": index}
    begun = {**item, **empty[item["type"]], **({} if item["type"] == "reasoning" else {"status": "in_progress"})}
    middle: list[tuple[str, dict[str, Any]]] = []
    if item["type"] == "function_call":
        prefix, text, done = "response.function_call_arguments", item["arguments"], {"arguments": item["arguments"]}
    elif item["type"] == "reasoning":
        at |= {"summary_index": 0}
        part = item["summary"][0]
        middle = [("response.reasoning_summary_part.added", {**at, "part": {**part, "text": ""}})]
        prefix, text, done = "response.reasoning_summary_text", part["text"], {"text": part["text"]}
    else:
        at |= {"content_index": 0}
        (part,) = item["content"]
        field = "refusal" if part["type"] == "refusal" else "text"
        middle = [("response.content_part.added", {**at, "part": {**part, field: ""}})]
        prefix = "response.refusal" if field == "refusal" else "response.output_text"
        text, done = part[field], {field: part[field], **({} if field == "refusal" else {"logprobs": []})}
    more = {"logprobs": []} if prefix == "response.output_text" else {}
    middle += [(f"{prefix}.delta", {**at, "delta": piece, **more}) for piece in pieces(text)]
    middle.append((f"{prefix}.done", {**at, **done, **({"name": item["name"]} if "name" in item else {})}))
    if item["type"] == "reasoning":
        middle.append(("response.reasoning_summary_part.done", {**at, "part": part}))
    elif item["type"] == "message":
        middle.append(("response.content_part.done", {**at, "part": part}))
    return [
        ("response.output_item.added", {"output_index": index, "item": begun}),
        *middle,
        ("response.output_item.done", {"output_index": index, "item": item}),
    ]
