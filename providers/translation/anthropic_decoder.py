"""Decodes a stream of Anthropic's messages (https://docs.anthropic.com/en/api/messages-streaming)."""

from __future__ import annotations

import msgspec

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
    StopReason,
    TextDelta,
)
from providers.dialects.anthropic import WireUsage, merged_usage
from providers.translation.anthropic_answers import STOPS, Block
from providers.translation.sse_decoder import SseDecoder


class _Delta(msgspec.Struct):
    type: str = ""
    text: str = ""
    thinking: str = ""
    signature: str = ""
    partial_json: str = ""
    stop_reason: str | None = None
    stop_sequence: str | None = None


class _Message(msgspec.Struct):
    id: str = ""
    usage: WireUsage | None = None


class _Error(msgspec.Struct):
    type: str = "api_error"
    message: str = ""


class _Event(msgspec.Struct):
    type: str
    index: int = 0
    message: _Message | None = None
    content_block: Block | None = None
    delta: _Delta | None = None
    usage: WireUsage | None = None
    error: _Error | None = None


_decode = msgspec.json.Decoder(_Event).decode


class AnthropicDecoder(SseDecoder):
    """``providers.translation.base.StreamDecoder``."""

    __slots__ = ("_signature", "_stop", "_stop_sequence", "_thinking", "_usage")

    def __init__(self) -> None:
        super().__init__()
        self._usage: Usage | None = None
        self._stop: StopReason | None = None
        self._stop_sequence: str | None = None
        self._thinking = False
        self._signature = ""

    def _read(self, data: bytes, found: list[Event]) -> None:
        try:
            said = _decode(data)
        except msgspec.MsgspecError:
            return
        if said.type == "content_block_delta" and said.delta is not None:
            self._delta(said.index, said.delta, found)
        elif said.type == "content_block_start" and said.content_block is not None:
            self._block(said.index, said.content_block, found)
        elif said.type == "content_block_stop":
            self._end_thought(found)
        elif said.type == "message_start" and said.message is not None:
            if said.message.usage is not None:
                self._usage = merged_usage(self._usage, said.message.usage)
            found.append(Started(said.message.id, self._usage))
        elif said.type == "message_delta":
            self._ending(said)
        elif said.type == "message_stop":
            self._end_thought(found)
            found.append(Ended(self._stop or "other", self._usage, self._stop_sequence))
        elif said.type == "error" and said.error is not None:
            found.append(Failed(said.error.type, said.error.message))

    def _close(self, found: list[Event]) -> None:
        if self._stop is not None:
            self._end_thought(found)
            found.append(Ended(self._stop, self._usage, self._stop_sequence))

    def _block(self, index: int, block: Block, found: list[Event]) -> None:
        self._end_thought(found)
        if block.type == "text":
            if block.text:
                found.append(TextDelta(block.text))
        elif block.type == "thinking":
            self._thinking, self._signature = True, block.signature
            if block.thinking:
                found.append(ReasoningDelta(block.thinking))
        elif block.type == "redacted_thinking":
            found.append(ReasoningSealed(block.data, "anthropic", redacted=True))
        elif block.type == "tool_use":
            found.append(CallStarted(index, block.id, block.name))
            whole = bytes(block.input)
            if whole.strip() not in (b"{}", b"null", b'""'):
                found.append(CallDelta(index, whole.decode()))

    def _delta(self, index: int, delta: _Delta, found: list[Event]) -> None:
        if delta.text:
            found.append(TextDelta(delta.text))
        elif delta.partial_json:
            found.append(CallDelta(index, delta.partial_json))
        elif delta.thinking:
            found.append(ReasoningDelta(delta.thinking))
        elif delta.signature:
            self._signature += delta.signature

    def _ending(self, said: _Event) -> None:
        if said.usage is not None:
            self._usage = merged_usage(self._usage, said.usage)
        if said.delta is not None and said.delta.stop_reason is not None:
            self._stop = STOPS.get(said.delta.stop_reason, "other")
            self._stop_sequence = said.delta.stop_sequence

    def _end_thought(self, found: list[Event]) -> None:
        """A thinking block has ended: with its signature, or (vendors that have none) without."""
        if self._thinking:
            seal, self._signature, self._thinking = self._signature, "", False
            found.append(ReasoningSealed(seal, "anthropic" if seal else ""))
