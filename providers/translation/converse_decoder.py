"""Decodes a stream of Bedrock's ConverseStream
(https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html, response syntax)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
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
from providers.translation.converse_answers import SEALED_BY, WireUsage, stop_of, stop_sequence_of
from providers.translation.converse_frames import BadFrame, FrameCutter, Headers


class _ToolUse(msgspec.Struct, rename="camel"):
    tool_use_id: str = ""
    name: str = ""
    input: str = ""
    type: str | None = None


class _Reasoning(msgspec.Struct, rename="camel"):
    text: str = ""
    signature: str = ""
    redacted_content: str = ""


class _Start(msgspec.Struct, rename="camel"):
    tool_use: _ToolUse | None = None


class _Delta(msgspec.Struct, rename="camel"):
    text: str = ""
    tool_use: _ToolUse | None = None
    reasoning_content: _Reasoning | None = None


class _Said(msgspec.Struct, rename="camel"):
    """Every event's fields, and those of exceptions."""

    content_block_index: int | None = None
    start: _Start | None = None
    delta: _Delta | None = None
    stop_reason: str | None = None
    additional_model_response_fields: Any = None
    usage: WireUsage | None = None
    message: str | None = None
    original_message: str | None = None


_decode = msgspec.json.Decoder(_Said).decode


class _Thought:
    """A block of reasoning that has not ended."""

    __slots__ = ("block", "hidden", "seal")

    def __init__(self, block: int | None) -> None:
        self.block = block
        self.seal = ""
        self.hidden: list[str] = []

    def sealed(self) -> ReasoningSealed:
        if self.hidden:
            return ReasoningSealed(_joined(self.hidden), SEALED_BY, redacted=True)
        return ReasoningSealed(self.seal, SEALED_BY if self.seal else "")


class _Call:
    """A call that has not ended."""

    __slots__ = ("id", "index", "told")

    def __init__(self, index: int, call_id: str) -> None:
        self.index = index
        self.id = call_id
        self.told = False


class ConverseDecoder:
    """``providers.translation.base.StreamDecoder``."""

    __slots__ = (
        "_calls", "_count", "_cutter", "_over", "_started", "_stop", "_stop_sequence", "_thought", "_usage",
    )  # fmt: skip

    def __init__(self) -> None:
        self._cutter = FrameCutter()
        self._over = False
        self._started = False
        self._thought: _Thought | None = None
        self._calls: dict[int | None, _Call] = {}
        self._count = 0
        self._stop: str | None = None
        self._stop_sequence: str | None = None
        self._usage: Usage | None = None

    def feed(self, chunk: bytes) -> Sequence[Event]:
        if self._over:
            return ()
        found: list[Event] = []
        try:
            for headers, payload in self._cutter.feed(chunk):
                self._take(headers, payload, found)
                if self._over:
                    break
        except BadFrame:
            self._end(Failed("invalid_stream", "the upstream's event stream is damaged"), found)
        return found

    def finish(self) -> Sequence[Event]:
        found: list[Event] = []
        if not self._over and self._stop is not None:
            self._ended(found)
        return found

    def _take(self, headers: Headers, payload: bytes, found: list[Event]) -> None:
        kind = headers.get(":message-type", "event")
        if kind == "error":
            said = headers.get(":error-message", "")
            self._end(Failed(headers.get(":error-code", "error"), said), found)
            return
        try:
            event = _decode(payload)
        except msgspec.MsgspecError:
            event = _Said()
        if kind == "exception":
            message = event.message or event.original_message or ""
            self._end(Failed(headers.get(":exception-type", "exception"), message), found)
        else:
            self._event(headers.get(":event-type", ""), event, found)

    def _event(self, name: str, said: _Said, found: list[Event]) -> None:
        if not self._started:
            self._started = True
            found.append(Started(new_id("msg_")))
        block = said.content_block_index
        if name == "contentBlockDelta" and said.delta is not None:
            self._delta(block, said.delta, found)
        elif name == "contentBlockStart":
            self._end_thought(found)
            if said.start is not None and said.start.tool_use is not None:
                self._call(block, said.start.tool_use, found)
        elif name == "contentBlockStop":
            self._end_thought(found)
            self._end_call(block, found)
        elif name == "messageStop":
            self._stop = said.stop_reason or ""
            self._stop_sequence = stop_sequence_of(said.additional_model_response_fields)
        elif name == "metadata" and said.usage is not None:
            self._usage = said.usage.normal()
        if self._stop is not None and self._usage is not None:
            self._ended(found)

    def _delta(self, block: int | None, delta: _Delta, found: list[Event]) -> None:
        if delta.reasoning_content is not None:
            self._think(block, delta.reasoning_content, found)
            return
        if delta.text:
            self._end_thought(found)
            found.append(TextDelta(delta.text))
        elif delta.tool_use is not None and delta.tool_use.input:
            call = self._calls.get(block)
            if call is not None:
                call.told = True
                found.append(CallDelta(call.index, delta.tool_use.input))

    def _think(self, block: int | None, said: _Reasoning, found: list[Event]) -> None:
        if self._thought is not None and self._thought.block != block:
            self._end_thought(found)
        thought = self._thought = self._thought or _Thought(block)
        if said.text:
            found.append(ReasoningDelta(said.text))
        thought.seal += said.signature
        if said.redacted_content:
            thought.hidden.append(said.redacted_content)

    def _call(self, block: int | None, said: _ToolUse, found: list[Event]) -> None:
        known = self._calls.get(block)
        if known is not None and known.id == said.tool_use_id:
            return
        self._end_call(block, found)
        if said.type is not None:
            return  # the vendor's own tool
        call = self._calls[block] = _Call(self._count, said.tool_use_id)
        self._count += 1
        found.append(CallStarted(call.index, said.tool_use_id or new_id("call_"), said.name))

    def _end_call(self, block: int | None, found: list[Event]) -> None:
        call = self._calls.pop(block, None)
        if call is not None and not call.told:
            found.append(CallDelta(call.index, "{}"))

    def _end_thought(self, found: list[Event]) -> None:
        if self._thought is not None:
            thought, self._thought = self._thought, None
            found.append(thought.sealed())

    def _ended(self, found: list[Event]) -> None:
        self._end_thought(found)
        for block in tuple(self._calls):
            self._end_call(block, found)
        self._end(Ended(stop_of(self._stop, called=self._count > 0), self._usage, self._stop_sequence), found)

    def _end(self, last: Event, found: list[Event]) -> None:
        self._over = True
        found.append(last)


def _joined(pieces: list[str]) -> str:
    """Bytes that came in several pieces, each in base64 of its own."""
    if len(pieces) == 1:
        return pieces[0]
    try:
        return base64.b64encode(b"".join(base64.b64decode(piece) for piece in pieces)).decode()
    except binascii.Error:
        return "".join(pieces)
