"""What OpenAI's own SDK allows in a chat completion, strictly: no field that its types do not know."""

from __future__ import annotations

import importlib
import itertools
import json
import pkgutil
from collections.abc import Iterable, Sequence
from typing import Any

import openai.types.chat
import openai.types.shared_params
from openai import BaseModel, omit
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.chat import completion_create_params as params
from pydantic import ConfigDict, TypeAdapter

from policies.strict_json import BodyError, strict_object
from policies.types import Usage
from providers.canonical.answer import (
    CallDelta,
    CallStarted,
    Ended,
    Event,
    Failed,
    ReasoningDelta,
    ReasoningSealed,
    Started,
    TextDelta,
)
from providers.canonical.parts import Reasoning, Text, ToolCall
from providers.canonical.request import Request
from providers.translation.base import DEFAULT_TRAITS, Traits, Written
from providers.translation.chat import CHAT_BACK, CHAT_FACE
from providers.translation.custom_tools import input_of

_VENDORS = frozenset({"reasoning_content", "reasoning_details"})
"""Where others than OpenAI tell thoughts."""


def _adapter(params_type: Any) -> TypeAdapter[Any]:
    """Forbids extra keys in every TypedDict that a request is made of."""
    for package in (openai.types.chat, openai.types.shared_params):
        for found in pkgutil.iter_modules(package.__path__):
            module = importlib.import_module(f"{package.__name__}.{found.name}")
            for value in vars(module).values():
                if isinstance(value, type) and hasattr(value, "__required_keys__"):
                    value.__pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[attr-defined]
    return TypeAdapter(params_type)


_REQUEST = _adapter(params.CompletionCreateParamsNonStreaming)
_STREAMED = _adapter(params.CompletionCreateParamsStreaming)


_ANSWER = TypeAdapter(ChatCompletion)
_CHUNK = TypeAdapter(ChatCompletionChunk)


def checked(body: dict[str, Any]) -> dict[str, Any]:
    """``body``, if the SDK's types allow all of it."""
    _walk((_STREAMED if body.get("stream") else _REQUEST).validate_python(body))
    return body


def _walk(value: Any) -> None:
    """Pydantic checks an ``Iterable`` only while it is walked through."""
    if isinstance(value, dict):
        for one in value.values():
            _walk(one)
    elif isinstance(value, Iterable) and not isinstance(value, str | bytes):
        for one in value:
            _walk(one)


def read(stream: bool = False, **fields: Any) -> Request:
    """A request as a client sends it."""
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], **fields}
    return CHAT_FACE.read(strict_object(json.dumps(body).encode(), frozenset()), "m", stream=stream)


def refusal(**fields: Any) -> BodyError:
    try:
        read(**fields)
    except BodyError as error:
        return error
    raise AssertionError("not refused")


def written(request: Request, model: str = "gpt-4o", traits: Traits = DEFAULT_TRAITS) -> tuple[dict[str, Any], Written]:
    """What a provider is sent."""
    found = CHAT_BACK.write(request, model, traits)
    return json.loads(found.body), found


def parsed_answer(body: bytes) -> ChatCompletion:
    answer = _ANSWER.validate_json(body, strict=True)
    assert set(_unknown(answer)) <= _VENDORS
    return answer


def parsed_stream(stream: bytes) -> tuple[list[dict[str, Any]], Any]:
    """The chunks, each read strictly, and what the SDK gathers from them."""
    events = stream.decode().split("\n\n")
    assert events[-2:] == ["data: [DONE]", ""]
    state: ChatCompletionStreamState[Any] = ChatCompletionStreamState(input_tools=omit, response_format=omit)
    chunks = []
    for event in events[:-2]:
        data = event.removeprefix("data: ")
        chunk = _CHUNK.validate_json(data, strict=True)
        assert set(_unknown(chunk)) <= _VENDORS
        state.handle_chunk(chunk)
        chunks.append(json.loads(data))
    return chunks, state.current_completion_snapshot


def _unknown(value: Any) -> Iterable[str]:
    if isinstance(value, BaseModel):
        yield from value.model_extra or {}
        for name in type(value).model_fields:
            yield from _unknown(getattr(value, name))
    elif isinstance(value, list):
        for one in value:
            yield from _unknown(one)


def sse(*chunks: Any, done: bool = True) -> bytes:
    """A provider's stream."""
    events = [b"data: " + json.dumps(chunk, ensure_ascii=False).encode() + b"\n\n" for chunk in chunks]
    return b"".join([*events, b"data: [DONE]\n\n" if done else b""])


def chunk(delta: Any = None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": {} if delta is None else delta, "finish_reason": finish}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "v",
        "choices": [choice],
    } | more


def decoded(stream: bytes, cuts: Sequence[int] = ()) -> list[Event]:
    """The events of a stream that arrives in pieces."""
    decoder = CHAT_BACK.decoder()
    edges = [0, *sorted(cuts), len(stream)]
    found = [event for a, b in itertools.pairwise(edges) for event in decoder.feed(stream[a:b])]
    return [*found, *decoder.finish()]


def encoded(events: Iterable[Event], **asked: Any) -> bytes:
    encoder = CHAT_FACE.encoder(Request(dialect="openai_chat", model="m", stream=True, **asked))
    return b"".join(encoder.encode([event]) for event in events)


def told(events: Sequence[Event]) -> tuple[list[Any], Ended | Failed | None, Usage | None]:
    """What the events of a good stream amount to: parts, the end, usage."""
    parts: list[Any] = []
    calls: dict[int, list[str]] = {}
    places: dict[int, int] = {}
    open_thought = False
    for event in events:
        if isinstance(event, TextDelta):
            if parts and isinstance(parts[-1], Text):
                parts[-1] = Text(parts[-1].text + event.text)
            else:
                parts.append(Text(event.text))
        elif isinstance(event, ReasoningDelta):
            if open_thought:
                parts[-1] = Reasoning(parts[-1].text + event.text)
            else:
                parts.append(Reasoning(event.text))
        elif isinstance(event, ReasoningSealed):
            thought = parts.pop().text if open_thought else ""
            parts.append(Reasoning(thought, event.seal, event.dialect, event.redacted, event.id))
        elif isinstance(event, CallStarted):
            assert event.index not in calls
            calls[event.index], places[event.index] = [], len(parts)
            parts.append(ToolCall(event.id, event.name, custom=event.custom))
        elif isinstance(event, CallDelta):
            assert event.json
            calls[event.index].append(event.json)
        open_thought = isinstance(event, ReasoningDelta)
    for index, place in places.items():
        call, arguments = parts[place], "".join(calls[index])
        arguments = input_of(arguments) if call.custom else arguments
        parts[place] = ToolCall(call.id, call.name, arguments, custom=call.custom)
    last = events[-1] if events else None
    assert sum(isinstance(event, Started) for event in events) <= 1
    return parts, last if isinstance(last, Ended | Failed) else None, last.usage if isinstance(last, Ended) else None
