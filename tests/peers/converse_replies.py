"""Answers of the scripted provider as Bedrock tells them: a body, or frames of a binary event stream."""

from __future__ import annotations

import json
from typing import Any

from tests.peers.llm_replies import Tokens
from tests.unit.providers.translation.converse_model import event


def converse(number: int, text: str, step: Any, tokens: Tokens) -> dict[str, Any]:
    content: list[dict[str, Any]] = [{"text": text}]
    if step is not None:
        call = {"toolUseId": f"tooluse_scripted_{number}", "name": step.tool, "input": step.arguments}
        content.append({"toolUse": call})
    usage = {
        "inputTokens": tokens.input,
        "outputTokens": tokens.output,
        "totalTokens": tokens.input + tokens.output + tokens.cached,
        "cacheReadInputTokens": tokens.cached,
    }
    return {
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": "tool_use" if step else "end_turn",
        "usage": usage,
        "metrics": {"latencyMs": 1},
    }


def converse_events(done: dict[str, Any]) -> list[bytes]:
    """A text's block has no start; the usage comes last."""
    events = [event("messageStart", role="assistant")]
    for index, block in enumerate(done["output"]["message"]["content"]):
        at = {"contentBlockIndex": index}
        if "text" in block:
            deltas = [{"text": piece} for piece in _pieces(block["text"])]
        else:
            call = block["toolUse"]
            start = {"toolUse": {"toolUseId": call["toolUseId"], "name": call["name"]}}
            events.append(event("contentBlockStart", **at, start=start))
            deltas = [{"toolUse": {"input": piece}} for piece in _pieces(json.dumps(call["input"]))]
        events += [event("contentBlockDelta", **at, delta=delta) for delta in deltas]
        events.append(event("contentBlockStop", **at))
    events.append(event("messageStop", stopReason=done["stopReason"]))
    return [*events, event("metadata", usage=done["usage"], metrics=done["metrics"])]


def _pieces(text: str) -> list[str]:
    return [text[at : at + 8] for at in range(0, len(text), 8)]
