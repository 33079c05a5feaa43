"""Tells a stream as Gemini's streamGenerateContent with ``alt=sse`` (https://ai.google.dev/api/generate-content).

Calls are told whole, in the order in which they began. The last chunk has the finish reason and the usage.
"""

from __future__ import annotations

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
from providers.canonical.parts import Reasoning, ToolCall
from providers.canonical.request import Request
from providers.translation.gemini_answers import STOP_NAMES, candidate_of, written_call, written_usage
from providers.translation.gemini_wire import signature_of

_encode = msgspec.json.encode
_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


class _Call(msgspec.Struct):
    """A call whose arguments come."""

    started: CallStarted
    seal: str
    json: list[str]

    @property
    def arguments(self) -> str:
        return "".join(self.json)

    @property
    def complete(self) -> bool:
        if not self.json or not self.json[-1].rstrip().endswith("}"):
            return False
        try:
            _object(self.arguments)
        except msgspec.MsgspecError:
            return False
        return True


class GeminiEncoder:
    """``providers.translation.base.StreamEncoder``."""

    __slots__ = ("_calls", "_id", "_model", "_seal", "_thinking")

    def __init__(self, asked: Request) -> None:
        self._model = asked.model
        self._id = ""
        self._calls: dict[int, _Call] = {}
        self._seal = ""
        self._thinking = False

    def encode(self, events: Iterable[Event]) -> bytes:
        return b"".join([self._event(event) for event in events])

    def _event(self, event: Event) -> bytes:
        if isinstance(event, Started):
            self._id = event.id
            return b""
        if isinstance(event, CallDelta):
            if (call := self._calls.get(event.index)) is not None:
                call.json.append(event.json)
            return b""
        if isinstance(event, Ended):
            return self._end(event)
        if isinstance(event, Failed):
            return _failure(event)
        parts = self._finished()
        if isinstance(event, ReasoningSealed):
            self._sealed(event, parts)
        elif isinstance(event, CallStarted):
            self._calls[event.index] = _Call(event, self._taken(), [])
            self._thinking = False
        elif isinstance(event, TextDelta):
            parts.append(self._signed({"text": event.text}))
            self._thinking = False
        elif isinstance(event, ReasoningDelta):
            self._alone(parts)
            parts.append({"text": event.text, "thought": True})
            self._thinking = True
        return self._chunk(parts) if parts else b""

    def _sealed(self, event: ReasoningSealed, parts: list[dict[str, Any]]) -> None:
        """On the thought that it ends, or kept for the part that follows."""
        signature = signature_of(Reasoning("", event.seal, event.dialect, event.redacted, event.id))
        if not signature:
            return
        self._alone(parts)
        if self._thinking or event.redacted:
            parts.append({"text": "", "thought": True, "thoughtSignature": signature})
            self._thinking = False
        else:
            self._seal = signature

    def _finished(self, *, all_of_them: bool = False) -> list[dict[str, Any]]:
        """Calls that can be told, in their order: a later one does not overtake an earlier one."""
        parts: list[dict[str, Any]] = []
        while self._calls:
            index, call = next(iter(self._calls.items()))
            if not (all_of_them or call.complete):
                break
            del self._calls[index]
            part = written_call(ToolCall(call.started.id, call.started.name, call.arguments or "{}"))
            if call.seal:
                part["thoughtSignature"] = call.seal
            parts.append(part)
        return parts

    def _end(self, event: Ended) -> bytes:
        parts = self._finished(all_of_them=True)
        self._alone(parts)
        return self._chunk(parts, event)

    def _taken(self) -> str:
        seal, self._seal = self._seal, ""
        return seal

    def _signed(self, part: dict[str, Any]) -> dict[str, Any]:
        if self._seal:
            part["thoughtSignature"] = self._taken()
        return part

    def _alone(self, parts: list[dict[str, Any]]) -> None:
        """A signature for which no part came."""
        if self._seal:
            parts.append({"text": "", "thoughtSignature": self._taken()})

    def _chunk(self, parts: list[dict[str, Any]], ended: Ended | None = None) -> bytes:
        self._id = self._id or new_id("resp_")
        chunk: dict[str, Any] = {"candidates": [candidate_of(parts, STOP_NAMES[ended.stop] if ended else None)]}
        if ended is not None:
            chunk["usageMetadata"] = written_usage(ended.usage)
        return _told({**chunk, "modelVersion": self._model, "responseId": self._id})


def _failure(event: Failed) -> bytes:
    status = event.kind if event.kind.isupper() else "UNAVAILABLE"
    details = [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": event.kind, "domain": "tollkeeper"}]
    return _told({"error": {"code": 503, "message": event.message, "status": status, "details": details}})


def _told(chunk: dict[str, Any]) -> bytes:
    return b"data: " + _encode(chunk) + b"\r\n\r\n"
