"""OpenAI's response object (https://platform.openai.com/docs/api-reference/responses/object), written from a whole
answer, and its pieces for the stream (``responses_encoder``).

A client that was answered by another vendor must find every field that the SDK's ``Response`` knows as required. What
the caller asked is echoed as far as the canonical form holds it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from policies.ids import new_id
from policies.types import Usage
from providers.canonical.answer import Answer, AnswerPart, StopReason
from providers.canonical.parts import Opaque, Reasoning, Text, ToolCall
from providers.canonical.request import Request
from providers.translation.responses_reasoning import hidden, reasoning_item, reasoning_name
from providers.translation.responses_tools import SEARCH, searches, written_choice, written_tools

Item = dict[str, Any]

_CUT: dict[StopReason, str] = {"length": "max_output_tokens", "refusal": "content_filter"}
_object = msgspec.json.Decoder(dict[str, Any]).decode
_ECHOED = ("max_tool_calls", "prompt_cache_key", "safety_identifier", "top_logprobs")


def write_answer(answer: Answer, asked: Request) -> bytes:
    """``providers.translation.base.AnswerWriter``."""
    output = list(_items(answer.parts, search=searches(asked)))
    if answer.stop == "length" and output and output[-1].get("type") in ("message", "function_call"):
        output[-1]["status"] = "incomplete"
    begun = begun_response(asked, answer.id)
    return msgspec.json.encode(ended_response(begun, output, answer.stop, answer.usage))


def begun_response(asked: Request, answer_id: str) -> dict[str, Any]:
    """The response when nothing is said yet. ``created_at`` is now."""
    return {
        "id": response_id(answer_id),
        "object": "response",
        "created_at": int(time.time()),
        "status": "in_progress",
        "error": None,
        "incomplete_details": None,
        "output": [],
        "usage": None,
        **_echo(asked),
    }


def ended_response(
    begun: dict[str, Any], output: Sequence[Any], stop: StopReason, usage: Usage | None
) -> dict[str, Any]:
    """The response as it ends well: complete, or cut short by a bound or a filter."""
    cut = _CUT.get(stop)
    return {
        **begun,
        "status": "incomplete" if cut else "completed",
        "incomplete_details": {"reason": cut} if cut else None,
        "output": output,
        "usage": None if usage is None else usage_object(usage),
    }


def response_id(answer_id: str) -> str:
    """The vendor's own id can be found in it."""
    if not answer_id:
        return new_id("resp_")
    return answer_id if answer_id.startswith("resp_") else f"resp_{answer_id}"


def usage_object(usage: Usage) -> dict[str, Any]:
    """Cached tokens are counted inside the input here."""
    written = usage.cache_write_tokens + usage.cache_write_1h_tokens
    return {
        "input_tokens": usage.input_tokens + usage.cache_read_tokens + written,
        "input_tokens_details": {"cached_tokens": usage.cache_read_tokens, "cache_write_tokens": written},
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.total,
    }


def _echo(asked: Request) -> dict[str, Any]:
    settings, carried = asked.settings, asked.carried
    thinking = settings.thinking
    echo = {
        "background": False,
        "instructions": None,
        "max_output_tokens": settings.max_tokens,
        "metadata": carried.get("metadata") or {},
        "model": asked.model,
        "parallel_tool_calls": settings.parallel_calls is not False,
        "previous_response_id": None,
        "reasoning": {
            "effort": thinking.effort if thinking else None,
            "summary": carried.get("reasoning.summary"),
        },
        "store": False,
        "temperature": settings.temperature,
        "text": _text_echo(asked),
        "tool_choice": written_choice(asked) or "auto",
        # Encoded once: a stream tells them three times.
        "tools": msgspec.Raw(msgspec.json.encode([*written_tools(asked), *(hosted.tool for hosted in asked.hosted)])),
        "top_p": settings.top_p,
        "truncation": carried.get("truncation", "disabled"),
        "user": settings.user,
    }
    for name in _ECHOED:
        if name in carried:
            echo[name] = carried[name]
    return echo


def _text_echo(asked: Request) -> dict[str, Any]:
    verbosity = asked.carried.get("text.verbosity")
    return {"format": written_format(asked), **({"verbosity": verbosity} if verbosity else {})}


def written_format(asked: Request) -> dict[str, Any]:
    """``text.format``."""
    wanted = asked.settings.output
    if wanted is None:
        return {"type": "text"}
    if wanted.schema is None:
        return {"type": "json_object"}
    form = {"type": "json_schema", "name": wanted.name or "answer", "schema": wanted.schema}
    if wanted.description:
        form["description"] = wanted.description
    return form if wanted.strict is None else {**form, "strict": wanted.strict}


def _items(parts: Sequence[AnswerPart], *, search: bool) -> Iterator[Item]:
    """Texts that follow each other are one message."""
    texts: list[str] = []
    for part in parts:
        if isinstance(part, Text):
            if part.text:
                texts.append(part.text)
            continue
        item = _item(part, search=search)
        if item is None:
            continue
        if texts:
            yield message_item(new_id("msg_"), texts)
            texts = []
        yield item
    if texts:
        yield message_item(new_id("msg_"), texts)


def _item(part: Reasoning | ToolCall | Opaque, *, search: bool) -> Item | None:
    """``None``: a thought without content, and what only another vendor's clients can read."""
    if isinstance(part, ToolCall):
        if search and part.name == SEARCH:
            return search_item(new_id("tsc_"), part.id, part.arguments)
        return call_item(new_id("ctc_" if part.custom else "fc_"), part)
    if isinstance(part, Reasoning):
        if not part.text and not part.seal:
            return None
        encrypted = hidden(part.seal, part.dialect, redacted=part.redacted)
        return reasoning_item(reasoning_name(part.id), part.text, encrypted)
    return part.block if part.dialect == "openai_responses" else None


def message_item(name: str, texts: Sequence[str], status: str = "completed") -> Item:
    content = [text_part(text) for text in texts]
    return {"id": name, "type": "message", "status": status, "role": "assistant", "content": content}


def text_part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


def call_item(name: str, call: ToolCall, status: str = "completed") -> Item:
    """The SDK knows no ``status`` of a custom call."""
    namespace = {"namespace": call.namespace} if call.namespace else {}
    if call.custom:
        return {
            "id": name,
            "type": "custom_tool_call",
            "call_id": call.id,
            "name": call.name,
            "input": call.arguments,
            **namespace,
        }
    return {
        "id": name,
        "type": "function_call",
        "status": status,
        "call_id": call.id,
        "name": call.name,
        "arguments": call.arguments,
        **namespace,
    }


def search_item(name: str, call_id: str, arguments: str, status: str = "completed") -> Item:
    """A call of the client's own search; its arguments are no text here."""
    try:
        asked = _object(arguments)
    except msgspec.MsgspecError:
        asked = {"query": arguments}
    return {
        "id": name,
        "type": "tool_search_call",
        "status": status,
        "execution": "client",
        "call_id": call_id,
        "arguments": asked,
    }
