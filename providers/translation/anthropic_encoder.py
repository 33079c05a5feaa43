"""Encodes a stream as Anthropic's messages (https://docs.anthropic.com/en/api/messages-streaming).

One content block is open at a time, and a closed one cannot be opened again (``sequencing``).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

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
from providers.canonical.seals import carry
from providers.translation.anthropic_answers import STOP_NAMES, message_head, usage_of
from providers.translation.sequencing import Sequencer

Kind = Literal["text", "thinking", "redacted_thinking", "tool_use"]
_DELTAS = {"text": ("text_delta", "text"), "thinking": ("thinking_delta", "thinking")}
_EMPTY: dict[str, dict[str, Any]] = {
    "text": {"type": "text", "text": ""},
    "thinking": {"type": "thinking", "thinking": "", "signature": ""},
}
_ERRORS = frozenset(
    {
        "api_error",
        "authentication_error",
        "billing_error",
        "invalid_request_error",
        "not_found_error",
        "overloaded_error",
        "permission_error",
        "rate_limit_error",
        "timeout_error",
    }
)


class AnthropicEncoder:
    """``providers.translation.base.StreamEncoder``."""

    __slots__ = ("_index", "_model", "_open", "_order", "_out", "_started")

    def __init__(self, asked: Request) -> None:
        self._model = asked.model
        self._order = Sequencer()
        self._open: Kind | None = None
        self._index = -1
        self._started = False
        self._out: list[bytes] = []

    def encode(self, events: Iterable[Event]) -> bytes:
        for event in self._order.order(events):
            self._take(event)
        written = b"".join(self._out)
        self._out.clear()
        return written

    def _take(self, event: Event) -> None:
        if isinstance(event, TextDelta):
            self._say("text", event.text)
        elif isinstance(event, CallDelta):
            self._delta({"type": "input_json_delta", "partial_json": event.json})
        elif isinstance(event, ReasoningDelta):
            self._say("thinking", event.text)
        elif isinstance(event, CallStarted):
            block = {"type": "tool_use", "id": event.id, "name": event.name, "input": {}}
            self._begin("tool_use", block)
        elif isinstance(event, ReasoningSealed):
            self._seal(event)
        elif isinstance(event, Started):
            self._start(event.id, usage_of(event.usage))
        elif isinstance(event, Ended):
            self._end(event)
        elif isinstance(event, Failed):
            kind = event.kind if event.kind in _ERRORS else "api_error"
            self._write("error", {"error": {"type": kind, "message": event.message, "code": event.kind}})

    def _start(self, answer_id: str, usage: dict[str, Any]) -> None:
        if not self._started:
            self._started = True
            head = message_head(answer_id or new_id(""), self._model, {**usage, "output_tokens": 0})
            self._write("message_start", {"message": head})

    def _say(self, kind: Kind, text: str) -> None:
        if self._open != kind:
            self._begin(kind, _EMPTY[kind])
        name, field = _DELTAS[kind]
        self._delta({"type": name, field: text})

    def _seal(self, event: ReasoningSealed) -> None:
        seal = carry(event.seal, event.dialect, "anthropic")
        if event.redacted:
            self._begin("redacted_thinking", {"type": "redacted_thinking", "data": seal})
            self._close()
            return
        if self._open != "thinking":
            if not seal:
                return
            self._begin("thinking", _EMPTY["thinking"])
        if seal:
            self._delta({"type": "signature_delta", "signature": seal})
        self._close()

    def _begin(self, kind: Kind, block: dict[str, Any]) -> None:
        self._start("", usage_of(None))
        self._close()
        self._index += 1
        self._open = kind
        self._write("content_block_start", {"index": self._index, "content_block": block})

    def _close(self) -> None:
        if self._open is not None:
            self._open = None
            self._write("content_block_stop", {"index": self._index})

    def _delta(self, delta: dict[str, Any]) -> None:
        self._write("content_block_delta", {"index": self._index, "delta": delta})

    def _end(self, event: Ended) -> None:
        self._start("", usage_of(event.usage))
        self._close()
        delta = {"stop_reason": STOP_NAMES[event.stop], "stop_sequence": event.stop_sequence}
        self._write("message_delta", {"delta": delta, "usage": usage_of(event.usage)})
        self._write("message_stop", {})

    def _write(self, name: str, fields: dict[str, Any]) -> None:
        data = msgspec.json.encode({"type": name, **fields})
        self._out.append(b"event: " + name.encode() + b"\ndata: " + data + b"\n\n")
