"""What a dialect brings to be translated: four readers and writers, each one way.

    client's body ── RequestReader ──▶ Request ── RequestWriter ──▶ vendor's body
    client's answer ◀── AnswerWriter ── Answer ◀── AnswerReader ── vendor's answer
    client's stream ◀── StreamEncoder ── events ◀── StreamDecoder ── vendor's stream

A surface has a ``RequestReader``, an ``AnswerWriter`` and a ``StreamEncoder`` (``Face``); a target has a
``RequestWriter``, an ``AnswerReader`` and a ``StreamDecoder`` (``Back``). They know one dialect each and the canonical
form, and never another dialect.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import msgspec

from policies.grants import Grant
from policies.strict_json import BodyError, StrictObject
from providers.canonical.answer import Answer, Event
from providers.canonical.losses import Losses
from providers.canonical.names import NameRule, ToolNames
from providers.canonical.request import Request

CHAT_IDS = NameRule(re.compile(r"[A-Za-z0-9_-]+"), 40)
"""OpenAI's rule: at most 40 characters."""
_REASONING = Grant.of(["o1*", "o3*", "o4*", "gpt-5*", "gpt-oss*", "*/o3*", "*/o4*", "*/gpt-5*", "*/gpt-oss*"])


@dataclass(frozen=True, slots=True)
class Traits:
    """In what a provider's API differs from its dialect's other speakers."""

    token_limit: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"  # noqa: S105
    """Chat completions: the field that bounds an answer."""
    reasoning_models: Grant = _REASONING
    """Chat completions: models that take ``reasoning_effort``; others refuse it."""
    reasoning_back: Literal["none", "reasoning_content", "reasoning_details"] = "none"
    """Chat completions: where an assistant's earlier thoughts are handed back."""
    cache_marks: bool = False
    """Chat completions: content parts may bear ``cache_control`` (OpenRouter)."""
    call_ids: NameRule = CHAT_IDS
    """Chat completions: which ids of calls are taken."""
    system_anywhere: bool = False
    """Chat completions: a system message may stand in the middle, and several in a row. OpenAI takes that; templates of
    many open models take one, at the beginning."""


DEFAULT_TRAITS = Traits()


class Written(msgspec.Struct, frozen=True):
    """A request in a target's dialect."""

    body: bytes
    names: ToolNames
    losses: Losses


class RequestReader(Protocol):
    def __call__(self, body: StrictObject, model: str, *, stream: bool) -> Request:
        """Read a whole request. Raises ``BodyError`` that names the field, as the dialect's own vendor would."""


class RequestWriter(Protocol):
    def __call__(self, request: Request, model: str, traits: Traits) -> Written:
        """``model`` is the vendor's name. Raises ``BodyError`` for what no policy can mend."""


class AnswerReader(Protocol):
    def __call__(self, body: bytes, model: str) -> Answer:
        """``model``: what the caller asked for. Raises one of ``BAD_ANSWER`` for anything that is no answer."""


class AnswerWriter(Protocol):
    def __call__(self, answer: Answer, asked: Request) -> bytes: ...


class StreamDecoder(Protocol):
    """Of one stream. Pieces may end anywhere."""

    def feed(self, chunk: bytes) -> Sequence[Event]: ...

    def finish(self) -> Sequence[Event]:
        """The connection has ended. ``Ended`` is among these if the vendor had said how it ended, and left out only
        its last event; nothing comes if it broke off."""


class StreamEncoder(Protocol):
    """Of one stream. Every piece that it returns is whole events."""

    def encode(self, events: Iterable[Event]) -> bytes:
        """``Ended`` is told with all that the dialect ends a stream with; ``Failed`` as the dialect's error event."""


class StreamDecoders(Protocol):
    def __call__(self) -> StreamDecoder: ...


class StreamEncoders(Protocol):
    def __call__(self, asked: Request) -> StreamEncoder: ...


@dataclass(frozen=True, slots=True)
class Face:
    """A dialect as clients speak it."""

    read: RequestReader
    write: AnswerWriter
    encoder: StreamEncoders


@dataclass(frozen=True, slots=True)
class Back:
    """A dialect as a provider speaks it."""

    write: RequestWriter
    read: AnswerReader
    decoder: StreamDecoders


BAD_ANSWER = (msgspec.MsgspecError, TypeError, KeyError, AttributeError, IndexError, ValueError)
"""What reading an answer raises that has not the documented shape."""

_decode = msgspec.json.Decoder().decode


def decoded_fields(body: StrictObject) -> dict[str, Any]:
    """All fields of a body, decoded, ``null`` ones left out."""
    return {name: value for name, raw in body.items() if (value := _decode(raw)) is not None}


def bad(field: str, message: str) -> BodyError:
    """The caller's mistake, by the path of the field."""
    return BodyError("invalid_request", f"{field}: {message}", field)
