"""What a model says: a whole answer, or the events that tell one."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from policies.types import Usage
from providers.canonical.parts import Opaque, Reasoning, Text, ToolCall

StopReason = Literal["end", "length", "tool_calls", "stop_sequence", "refusal", "pause", "other"]
"""``end``: it had said all. ``length``: the bound of tokens, or the model's window. ``refusal``: a filter of the
vendor, or the model itself, declined. ``pause``: the vendor wants to be asked to go on."""

AnswerPart: TypeAlias = Text | Reasoning | ToolCall | Opaque


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A complete answer."""

    id: str
    model: str
    """As the caller named it: what it asked for, not what the vendor calls it."""
    parts: tuple[AnswerPart, ...]
    stop: StopReason
    stop_sequence: str | None = None
    usage: Usage | None = None


class Started(msgspec.Struct, frozen=True):
    """The vendor has begun. ``usage``: what is known of the prompt by now."""

    id: str
    usage: Usage | None = None


class TextDelta(msgspec.Struct, frozen=True):
    """More of the text that is being said. A text ends when something else begins."""

    text: str


class ReasoningDelta(msgspec.Struct, frozen=True):
    """More of the thought that is being thought."""

    text: str


class ReasoningSealed(msgspec.Struct, frozen=True):
    """Ends the thought, and seals it; with nothing thought before it, it is a seal on what follows."""

    seal: str
    dialect: str
    redacted: bool = False
    id: str = ""


class CallStarted(msgspec.Struct, frozen=True):
    """A call of a tool. ``index`` is unique in the answer; events of several calls may alternate."""

    index: int
    id: str
    name: str
    namespace: str = ""
    custom: bool = False
    """The caller's tool takes free text: the arguments are ``{"input": text}``."""


class CallDelta(msgspec.Struct, frozen=True):
    """More of the arguments' JSON of call ``index``."""

    index: int
    json: str


class Ended(msgspec.Struct, frozen=True):
    """The last event of a good stream, exactly once."""

    stop: StopReason
    usage: Usage | None = None
    stop_sequence: str | None = None


class Failed(msgspec.Struct, frozen=True):
    """The last event of a stream in which the vendor reports an error. ``kind`` is the vendor's own word."""

    kind: str
    message: str


Event: TypeAlias = Started | TextDelta | ReasoningDelta | ReasoningSealed | CallStarted | CallDelta | Ended | Failed
