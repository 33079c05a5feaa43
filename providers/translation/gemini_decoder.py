"""Reads a stream of Gemini's streamGenerateContent with ``alt=sse`` (https://ai.google.dev/api/generate-content).

Each chunk is an answer that says what is new; usage counts from the beginning. The chunk with a finish reason is the
last. Parts that only Gemini knows have no event, and are passed over.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import msgspec

from policies.ids import new_id
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
from providers.canonical.parts import Reasoning
from providers.translation.base import BAD_ANSWER
from providers.translation.gemini_answers import call_of, first_candidate, parts_of, seal_of, stop_of, usage_of
from providers.translation.gemini_partial_calls import PartialCall
from providers.translation.sse_decoder import SseDecoder

_UNFINISHED = "FINISH_REASON_UNSPECIFIED"
_decode = msgspec.json.Decoder(dict[str, Any]).decode


class GeminiDecoder(SseDecoder):
    """``providers.translation.base.StreamDecoder``."""

    __slots__ = ("_calls", "_partial", "_started", "_usage")

    def __init__(self) -> None:
        super().__init__()
        self._calls = 0
        self._partial: PartialCall | None = None
        self._started = False
        self._usage: Usage | None = None

    def _read(self, data: bytes, found: list[Event]) -> None:
        with suppress(*BAD_ANSWER):  # what was read of a chunk before the part that is not understood, counts
            self._chunk(_decode(data), found)

    def _chunk(self, chunk: Mapping[str, Any], found: list[Event]) -> None:
        if (error := chunk.get("error")) is not None:
            found.append(Failed(str(error.get("status") or error.get("code") or ""), str(error.get("message") or "")))
            return
        self._usage = usage_of(chunk) or self._usage
        if not self._started:
            self._started = True
            found.append(Started(chunk.get("responseId") or new_id("resp_"), self._usage))
        candidate = first_candidate(chunk)
        for part in parts_of(candidate):
            self._part(part, found)
        if candidate is not None and candidate.get("finishReason") in (None, "", _UNFINISHED):
            return
        stop = stop_of(chunk, candidate)
        if stop is not None:
            self._complete(found)
            found.append(Ended("tool_calls" if self._calls and stop == "end" else stop, self._usage))

    def _part(self, part: Mapping[str, Any], found: list[Event]) -> None:
        seal = seal_of(part)
        words = part.get("text")
        if words is not None and part.get("thought"):
            if words:
                found.append(ReasoningDelta(words))
            _seal(seal, found)
            return
        _seal(seal, found)
        if words:
            found.append(TextDelta(words))
        elif (call := part.get("functionCall")) is not None:
            self._call(call, found)

    def _call(self, call: Mapping[str, Any], found: list[Event]) -> None:
        """A whole call, or a piece of one whose arguments are streamed."""
        goes_on = bool(call.get("willContinue"))
        if call.get("name"):
            self._complete(found)
            if not goes_on and not call.get("partialArgs"):
                self._tell(call, found)
                return
            self._partial = PartialCall(call)
        if self._partial is not None:
            self._partial.add(call.get("partialArgs") or ())
            if not goes_on:
                self._complete(found)

    def _complete(self, found: list[Event]) -> None:
        if self._partial is not None:
            self._tell(self._partial.whole(), found)
            self._partial = None

    def _tell(self, call: Mapping[str, Any], found: list[Event]) -> None:
        told = call_of(call)
        found.append(CallStarted(self._calls, told.id, told.name))
        found.append(CallDelta(self._calls, told.arguments))
        self._calls += 1

    def _close(self, found: list[Event]) -> None:
        """The finish reason ends a stream; without one it broke off."""


def _seal(seal: Reasoning | None, found: list[Event]) -> None:
    if seal is not None:
        found.append(ReasoningSealed(seal.seal, seal.dialect, seal.redacted, seal.id))
