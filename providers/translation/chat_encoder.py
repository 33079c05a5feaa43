"""Encodes an answer as a stream of chat completions (https://platform.openai.com/docs/api-reference/chat-streaming)."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

import msgspec

from policies.ids import new_id
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
from providers.canonical.request import Request
from providers.dialects.openai import chat_error_event
from providers.dialects.openai_chat import DONE
from providers.translation.chat_reasoning import sealed_detail, signs_calls, text_detail
from providers.translation.chat_wire import STOP_NAMES, usage_object
from providers.translation.custom_tools import input_of

_encode = msgspec.json.encode


class ChatEncoder:
    """``providers.translation.base.StreamEncoder``."""

    __slots__ = ("_details", "_head", "_held", "_inputs", "_model", "_numbers", "_tail", "_thinking", "_wants_usage")

    def __init__(self, asked: Request) -> None:
        self._model = asked.model
        self._wants_usage = asked.stream_usage
        self._head = b""
        self._tail = b',"usage":null}\n\n' if asked.stream_usage else b"}\n\n"
        self._numbers: dict[int, int] = {}
        """Calls by the number that they have here."""
        self._inputs: dict[int, list[str]] = {}
        """The arguments of custom calls, whose text is told when they are whole."""
        self._details = 0
        """Entries of ``reasoning_details`` so far."""
        self._thinking = False
        """The newest entry is a text that goes on."""
        self._held: ReasoningSealed | None = None
        """A seal on the call that must follow."""

    def encode(self, events: Iterable[Event]) -> bytes:
        out: list[bytes] = []
        for event in events:
            if not self._head and not isinstance(event, Failed):
                out.append(self._begin(event.id if isinstance(event, Started) else ""))
            if self._held is not None:
                out.append(self._seal(self._held, event.id if isinstance(event, CallStarted) else ""))
                self._held = None
            self._tell(event, out)
        return b"".join(out)

    def _tell(self, event: Event, out: list[bytes]) -> None:
        if isinstance(event, TextDelta):
            self._thinking = False
            out.append(self._delta({"content": event.text}))
        elif isinstance(event, CallDelta):
            out.append(self._arguments(event))
        elif isinstance(event, ReasoningDelta):
            out.append(self._thought(event.text))
        elif isinstance(event, ReasoningSealed):
            self._sealed(event, out)
        elif isinstance(event, CallStarted):
            out.append(self._call(event))
        elif isinstance(event, Ended):
            out.append(self._end(event))
        elif isinstance(event, Failed):
            out.append(chat_error_event(event.kind, event.message))

    def _begin(self, name: str) -> bytes:
        name = name or new_id("chatcmpl-")
        head = {
            "id": name if name.startswith("chatcmpl-") else f"chatcmpl-{name}",
            "object": "chat.completion.chunk",
            "created": int(time.time()),
            "model": self._model,
        }
        self._head = b"data: " + _encode(head)[:-1] + b',"choices":['
        return self._delta({"role": "assistant", "content": ""})

    def _delta(self, delta: dict[str, Any]) -> bytes:
        told = _encode(delta)
        return b"".join(
            (self._head, b'{"index":0,"delta":', told, b',"logprobs":null,"finish_reason":null}]', self._tail)
        )

    def _thought(self, text: str) -> bytes:
        if not self._thinking:
            self._thinking = True
            self._details += 1
        detail = {**text_detail(text), "index": self._details - 1}
        return self._delta({"reasoning_content": text, "reasoning_details": [detail]})

    def _sealed(self, event: ReasoningSealed, out: list[bytes]) -> None:
        if event.seal and signs_calls(event.dialect) and not event.id:
            self._held = event
        elif event.seal:
            out.append(self._seal(event, ""))
        self._thinking = False

    def _seal(self, event: ReasoningSealed, call_id: str) -> bytes:
        detail = sealed_detail(event.seal, event.dialect, redacted=event.redacted, name=event.id or call_id)
        if not (self._thinking and "signature" in detail):
            self._details += 1
        return self._delta({"reasoning_details": [{**detail, "index": self._details - 1}]})

    def _call(self, event: CallStarted) -> bytes:
        self._thinking = False
        number = self._numbers.setdefault(event.index, len(self._numbers))
        call: dict[str, Any] = {"index": number, "id": event.id}
        if event.custom:
            self._inputs[event.index] = []
            call |= {"type": "custom", "custom": {"name": event.name, "input": ""}}
        else:
            call |= {"type": "function", "function": {"name": event.name, "arguments": ""}}
        return self._delta({"tool_calls": [call]})

    def _arguments(self, event: CallDelta) -> bytes:
        waiting = self._inputs.get(event.index)
        if waiting is not None:
            waiting.append(event.json)
            return b""
        number = self._numbers[event.index]
        return self._delta({"tool_calls": [{"index": number, "function": {"arguments": event.json}}]})

    def _end(self, event: Ended) -> bytes:
        out = [self._input(index, "".join(pieces)) for index, pieces in self._inputs.items()]
        reason = _encode(STOP_NAMES[event.stop])
        out += (self._head, b'{"index":0,"delta":{},"logprobs":null,"finish_reason":', reason, b"}]", self._tail)
        if self._wants_usage and event.usage is not None:
            out += (self._head, b'],"usage":', _encode(usage_object(event.usage)), b"}\n\n")
        return b"".join((*out, DONE))

    def _input(self, index: int, arguments: str) -> bytes:
        text = input_of(arguments) if arguments else ""
        return self._delta({"tool_calls": [{"index": self._numbers[index], "custom": {"input": text}}]})
