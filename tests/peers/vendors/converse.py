"""Bedrock's Converse and ConverseStream, by AWS's own service model
(https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html)."""

from __future__ import annotations

import json
from typing import Any

from tests.peers.vendors.base import pieces, unanswered
from tests.support.conversations import Answer, Failure, Heard
from tests.unit.providers.translation.converse_model import checked_request, event, parsed_answer

name = "converse"
stream_type = "application/vnd.amazon.eventstream"

_STOPS = {
    "end": "end_turn",
    "calls": "tool_use",
    "length": "max_tokens",
    "stop_sequence": "stop_sequence",
    "refusal": "guardrail_intervened",
}


def problems(body: dict[str, Any]) -> list[str]:
    try:
        checked_request(json.dumps(body).encode())
    except AssertionError as error:
        return [str(error)]
    messages = body["messages"]
    turns = [message["role"] for message in messages]
    alternate = all(role == ("user", "assistant")[n % 2] for n, role in enumerate(turns))
    return [] if alternate and not unanswered(_steps(messages)) else [f"{turns}", *unanswered(_steps(messages))]


def _steps(messages: list[dict[str, Any]]) -> list[tuple[list[str], list[str]]]:
    found: list[tuple[list[str], list[str]]] = [([], [])]
    for message in messages:
        if message["role"] == "assistant":
            found.append(([block["toolUse"]["toolUseId"] for block in message["content"] if "toolUse" in block], []))
        else:
            results = [block["toolResult"] for block in message["content"] if "toolResult" in block]
            found[-1][1].extend(result["toolUseId"] for result in results)
    return found


def heard(body: dict[str, Any]) -> Heard:
    more = body.get("additionalModelRequestFields", {})
    config = body.get("toolConfig", {})
    specs = [tool["toolSpec"] for tool in config.get("tools", ()) if "toolSpec" in tool]
    told = Heard(
        system="".join(block.get("text", "") for block in body.get("system", ())),
        tools={spec["name"]: spec["inputSchema"]["json"] for spec in specs},
        forced=config.get("toolChoice", {}).get("tool", {}).get("name", ""),
        thinking="thinking" in more,
        stop=body.get("inferenceConfig", {}).get("stopSequences", []),
        marks=json.dumps(body).count('"cachePoint"'),
        settings={"top_k": more["top_k"]} if "top_k" in more else {},
    )
    form = body.get("outputConfig", {}).get("textFormat")
    told.shape = json.loads(form["structure"]["jsonSchema"]["schema"]) if form else None
    names: dict[str, str] = {}
    for message in body["messages"]:
        for block in message["content"]:
            _block(block, message["role"], told, names)
    return told


def _block(block: dict[str, Any], role: str, told: Heard, names: dict[str, str]) -> None:
    ((kind, value),) = block.items()
    if kind == "text":
        told.said.append((role, value))
    elif kind == "reasoningContent":
        told.said.append(("thought", value["reasoningText"]["text"], value["reasoningText"]["signature"]))
    elif kind == "toolUse":
        names[value["toolUseId"]] = value["name"]
        told.said.append(("call", value["name"], value["input"]))
    elif kind == "toolResult":
        words = "\n".join(inner["text"] for inner in value["content"] if "text" in inner)
        told.said.append(("result", names[value["toolUseId"]], words, value.get("status") == "error"))
        told.said += [("image", inner["image"]["source"]["bytes"]) for inner in value["content"] if "image" in inner]
    elif kind != "cachePoint":
        told.said.append((kind, value["source"]["bytes"]))


def whole(answer: Answer, model: str) -> dict[str, Any]:
    content: list[dict[str, Any]] = []
    if answer.thought is not None:
        thought = {"text": answer.thought.text, "signature": answer.thought.seal}
        content.append({"reasoningContent": {"reasoningText": thought}})
    if answer.text:
        content.append({"text": answer.text})
    for n, call in enumerate(answer.calls):
        content.append({"toolUse": {"toolUseId": f"tooluse_vendor{n}", "name": call.name, "input": call.arguments}})
    told = {
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": _STOPS[answer.ended],
        "usage": _usage(answer),
        "metrics": {"latencyMs": 5},
        **_more(answer),
    }
    assert parsed_answer(json.dumps(told).encode())["stopReason"] == told["stopReason"]
    return told


def _more(answer: Answer) -> dict[str, Any]:
    return {"additionalModelResponseFields": {"stop_sequence": answer.stop_sequence}} if answer.stop_sequence else {}


def _usage(answer: Answer) -> dict[str, Any]:
    tokens = answer.tokens
    usage = {"inputTokens": tokens.input, "outputTokens": tokens.output}
    usage["totalTokens"] = tokens.input + tokens.output + tokens.cached
    return {**usage, "cacheReadInputTokens": tokens.cached, "cacheWriteInputTokens": 0} if tokens.cached else usage


def events(answer: Answer, model: str, body: dict[str, Any]) -> list[bytes]:
    """Frames of the event stream. A text's block has no start."""
    done = whole(answer, model)
    told = [event("messageStart", role="assistant")]
    for index, block in enumerate(done["output"]["message"]["content"]):
        ((kind, value),) = block.items()
        if kind == "toolUse":
            start = {"toolUse": {"toolUseId": value["toolUseId"], "name": value["name"]}}
            told.append(event("contentBlockStart", contentBlockIndex=index, start=start))
        told += [event("contentBlockDelta", contentBlockIndex=index, delta=delta) for delta in _deltas(kind, value)]
        told.append(event("contentBlockStop", contentBlockIndex=index))
    told.append(event("messageStop", stopReason=done["stopReason"], **_more(answer)))
    return [*told, event("metadata", usage=done["usage"], metrics={"latencyMs": 5})]


def _deltas(kind: str, value: Any) -> list[dict[str, Any]]:
    if kind == "text":
        return [{"text": piece} for piece in pieces(value)]
    if kind == "toolUse":
        return [{"toolUse": {"input": piece}} for piece in pieces(json.dumps(value["input"]))]
    thought = value["reasoningText"]
    told: list[dict[str, Any]] = [{"reasoningContent": {"text": piece}} for piece in pieces(thought["text"])]
    return [*told, {"reasoningContent": {"signature": thought["signature"]}}]


def error(failure: Failure) -> dict[str, Any]:
    return {"message": failure.message}
