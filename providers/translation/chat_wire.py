"""What providers that speak chat completions answer, whole or in chunks
(https://platform.openai.com/docs/api-reference/chat/object, …/chat-streaming), and in what they differ.

Mistral's content may be a list with ``thinking`` chunks (https://docs.mistral.ai/capabilities/reasoning/), DeepSeek
thinks in ``reasoning_content`` and Groq in ``reasoning``, Ollama gives arguments as an object; ids, indexes, usage and
finish reasons may be absent or have other names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from policies.types import Usage
from providers.canonical.answer import StopReason
from providers.canonical.parts import Reasoning
from providers.dialects.openai import ChatUsage
from providers.translation.chat_reasoning import read_detail

_STOPS: Mapping[str, StopReason] = {
    "": "end",
    "stop": "end",
    "eos": "end",
    "eos_token": "end",
    "end_turn": "end",
    "stop_sequence": "stop_sequence",
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "tool_calls": "tool_calls",
    "tool_use": "tool_calls",
    "tool_call": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "refusal",
    "refusal": "refusal",
    "safety": "refusal",
}
STOP_NAMES: Mapping[StopReason, str] = {
    "end": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "stop_sequence": "stop",
    "refusal": "content_filter",
    "pause": "stop",
    "other": "stop",
}
FAILED = "error"
"""OpenRouter's finish reason of an answer that broke off."""


class WireFunction(msgspec.Struct):
    name: str | None = None
    arguments: Any = None


class WireCustom(msgspec.Struct):
    name: str | None = None
    input: str | None = None


class WireCall(msgspec.Struct):
    index: int | None = None
    id: str | None = None
    function: WireFunction | None = None
    custom: WireCustom | None = None


class WireMessage(msgspec.Struct):
    """A message, or what a chunk adds to one."""

    content: Any = None
    reasoning_content: Any = None
    reasoning: Any = None
    reasoning_details: list[Any] | None = None
    refusal: str | None = None
    tool_calls: list[WireCall] | None = None
    function_call: WireFunction | None = None


class WireChoice(msgspec.Struct):
    index: int | None = 0
    message: WireMessage | None = None
    delta: WireMessage | None = None
    finish_reason: str | None = None
    error: Any = None


class _Groq(msgspec.Struct):
    usage: Any = None


class WireCompletion(msgspec.Struct):
    """A completion or a chunk of one, or the error that came instead."""

    id: str | None = None
    choices: list[WireChoice] | None = None
    usage: Any = None
    x_groq: _Groq | None = None
    error: Any = None
    message: Any = None

    def used(self) -> Usage | None:
        said = self.usage or (self.x_groq.usage if self.x_groq is not None else None)
        if not said:
            return None
        try:
            return msgspec.convert(said, ChatUsage).normal()
        except msgspec.ValidationError:
            return None  # what was said is worth more than what it cost: that can be estimated

    def first(self) -> WireChoice | None:
        """The first of several answers."""
        return next((choice for choice in self.choices or () if not choice.index), None)


decode_completion = msgspec.json.Decoder(WireCompletion).decode


def stop_of(reason: str, *, calls: bool, refused: bool) -> StopReason:
    """A vendor's finish reason. Some say ``stop`` after calls, or ``tool_calls`` without any."""
    stop = _STOPS.get(reason, "other")
    if stop == "end" and (calls or refused):
        return "tool_calls" if calls else "refusal"
    return "end" if stop == "tool_calls" and not calls else stop


def arguments_text(arguments: Any) -> str:
    """Arguments, or a piece of them, as JSON text."""
    if isinstance(arguments, str):
        return arguments
    return "" if arguments is None else msgspec.json.encode(arguments).decode()


def thoughts_of(message: WireMessage) -> Iterator[Reasoning]:
    """What was thought, from whichever field tells it: vendors that have several say the same in each."""
    spoken = message.reasoning_content or message.reasoning
    details = [found for entry in message.reasoning_details or () if (found := read_detail(entry)) is not None]
    if isinstance(spoken, str) and not any(detail.text for detail in details):
        yield Reasoning(spoken)
    yield from details


def spoken(content: Any) -> Iterator[tuple[bool, str]]:
    """(whether it is a thought, words) of a message's content; citations and the like have no words."""
    if isinstance(content, str):
        yield False, content
    elif isinstance(content, list):
        for chunk in content:
            if isinstance(chunk, str):
                yield False, chunk
            elif isinstance(chunk, dict) and chunk.get("type") == "thinking":
                yield from ((True, words) for _, words in spoken(chunk.get("thinking")))
            elif isinstance(chunk, dict) and isinstance(chunk.get("text"), str):
                yield False, chunk["text"]


def error_of(error: Any) -> tuple[str, str]:
    """(kind, message) of an error that stands where an answer was due."""
    if not isinstance(error, dict):
        return "api_error", str(error)
    kind = error.get("type") or error.get("code") or "api_error"
    return str(kind), str(error.get("message") or "The provider reported an error without a message.")


def usage_object(usage: Usage) -> dict[str, Any]:
    """``usage`` of an answer: OpenAI counts cached tokens inside the prompt."""
    written = usage.cache_write_tokens + usage.cache_write_1h_tokens
    prompt = usage.input_tokens + usage.cache_read_tokens + written
    inputs = {"cached_tokens": usage.cache_read_tokens, "audio_tokens": usage.input_audio_tokens}
    if written:
        inputs["cache_write_tokens"] = written
    return {
        "prompt_tokens": prompt,
        "completion_tokens": usage.output_tokens,
        "total_tokens": prompt + usage.output_tokens,
        "prompt_tokens_details": inputs,
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning_tokens,
            "audio_tokens": usage.output_audio_tokens,
        },
    }
