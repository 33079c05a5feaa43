"""Random conversations in the canonical form, for properties of translation (hypothesis)."""

from __future__ import annotations

import base64
import json
from typing import Any

import msgspec
from hypothesis import strategies as st

from providers.canonical.answer import (
    Answer,
    AnswerPart,
    CallDelta,
    CallStarted,
    Ended,
    Event,
    ReasoningDelta,
    ReasoningSealed,
    Started,
    StopReason,
    TextDelta,
)
from providers.canonical.parts import Media, Reasoning, Text, ToolCall, ToolResult, Turn
from providers.canonical.request import Request, Settings, Tool, ToolChoice

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n not really").decode()
words = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=12)
names = st.from_regex(r"[a-z][a-z0-9_]{0,12}", fullmatch=True)
scalars = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | words
objects = st.dictionaries(
    words, st.recursive(scalars, lambda inner: st.lists(inner, max_size=3), max_leaves=5), max_size=3
)
arguments = objects.map(lambda value: msgspec.json.encode(value).decode())


def _fields(draw: st.DrawFn, count: int, number: int) -> tuple[list[ToolCall], list[ToolResult]]:
    calls = [ToolCall(f"call_{number}_{n}", draw(names), draw(arguments)) for n in range(count)]
    results = [ToolResult(call.id, (Text(draw(words)),), draw(st.booleans())) for call in calls]
    return calls, results


@st.composite
def conversations(draw: st.DrawFn) -> tuple[Turn, ...]:
    """Alternating turns that begin and end with the user's: texts, an image now and then, calls with their results."""
    turns: list[Turn] = []
    if draw(st.booleans()):
        turns.append(Turn("system", (Text(draw(words)),)))
    turns.append(Turn("user", (Text(draw(words)),)))
    for number in range(draw(st.integers(0, 3))):
        said: list[Any] = [Text(draw(words))] if draw(st.booleans()) else []
        calls, results = _fields(draw, draw(st.integers(0 if said else 1, 3)), number)
        turns.append(Turn("assistant", (*said, *calls)))
        more: list[Any] = [Text(draw(words))] if draw(st.booleans()) or not results else []
        if draw(st.booleans()):
            more.append(Media("image", "image/png", PNG))
        turns.append(Turn("user", (*results, *more)))
    return tuple(turns)


@st.composite
def requests(draw: st.DrawFn, dialect: Any) -> Request:
    """A request of what every dialect can express."""
    turns = draw(conversations())
    called = {part.name for turn in turns for part in turn.parts if isinstance(part, ToolCall)}
    offered = sorted(called | draw(st.sets(names, max_size=2)))
    schema = {"type": "object", "properties": {"at": {"type": "string"}}, "required": ["at"]}
    tools = tuple(Tool(name, draw(words), schema) for name in offered)
    choice = None
    if tools:
        choice = draw(
            st.sampled_from((None, ToolChoice("auto"), ToolChoice("required"), ToolChoice("named", tools[0].name)))
        )
    return Request(
        dialect=dialect,
        model="m",
        stream=draw(st.booleans()),
        turns=turns,
        tools=tools,
        choice=choice,
        settings=Settings(
            max_tokens=draw(st.integers(16, 9_999)),  # the least that every vendor takes
            temperature=draw(st.none() | st.sampled_from((0.0, 0.5, 1.0))),
            stop=tuple(draw(st.lists(words, max_size=3, unique=True))),
        ),
    )


@st.composite
def answers(draw: st.DrawFn, seals: tuple[str, ...] = ("anthropic", "gemini", "openai")) -> Answer:
    """An answer: thoughts, text, calls, in the order in which models give them. ``seals``: whose they may be."""
    parts: list[AnswerPart] = []
    if seals and draw(st.booleans()):
        parts.append(Reasoning(draw(words), draw(names), draw(st.sampled_from(seals))))
    calls = draw(st.integers(0, 3))
    if draw(st.booleans()) or not calls:
        parts.append(Text(draw(words)))
    parts += [ToolCall(f"call_{n}", draw(names), draw(arguments)) for n in range(calls)]
    stop: StopReason = "tool_calls" if calls else draw(st.sampled_from(("end", "length")))
    return Answer(id="a1", model="m", parts=tuple(parts), stop=stop)


@st.composite
def streams(draw: st.DrawFn, answer: Answer) -> list[Event]:
    """``answer`` as events: texts in pieces, calls told alternately."""
    events: list[Event] = [Started(answer.id)]
    calls: list[tuple[int, ToolCall]] = []
    for index, part in enumerate(answer.parts):
        if isinstance(part, Text):
            events += [TextDelta(piece) for piece in draw(_pieces(part.text))]
        elif isinstance(part, Reasoning):
            events += [ReasoningDelta(piece) for piece in draw(_pieces(part.text))]
            events.append(ReasoningSealed(part.seal, part.dialect, part.redacted))
        elif isinstance(part, ToolCall):
            calls.append((index, part))
    queues = [
        [CallStarted(index, call.id, call.name), *(CallDelta(index, p) for p in draw(_pieces(call.arguments)))]
        for index, call in calls
    ]
    begun = 0
    while any(queues):
        # A call begins in its turn; those that have begun go on in any order.
        ready = [q for n, q in enumerate(queues) if q and n <= begun]
        queue = draw(st.sampled_from(ready)) if draw(st.booleans()) else ready[-1]
        event = queue.pop(0)
        begun += isinstance(event, CallStarted)
        events.append(event)
    return [*events, Ended(answer.stop, answer.usage)]


@st.composite
def _pieces(draw: st.DrawFn, text: str) -> list[str]:
    cuts = sorted(draw(st.sets(st.integers(1, max(1, len(text) - 1)), max_size=3)))
    ends = [*cuts, len(text)]
    return [text[a:b] for a, b in zip([0, *cuts], ends, strict=True) if text[a:b]]


@st.composite
def chunks(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """``data`` in pieces that may end anywhere."""
    cuts = sorted(draw(st.sets(st.integers(1, max(1, len(data) - 1)), max_size=12)))
    return [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True) if data[a:b]]


def same_call(call: ToolCall) -> tuple[str, str, Any]:
    """A call without the spelling of its arguments."""
    return call.id, call.name, json.loads(call.arguments)


def told(events: list[Event]) -> tuple[tuple[AnswerPart, ...], Ended | None]:
    """The parts that a stream's events tell, and how it ended. What was told of calls alternately stands together."""
    parts: list[Any] = []
    calls: dict[int, int] = {}
    end: Ended | None = None
    for event in events:
        last = parts[-1] if parts else None
        if isinstance(event, TextDelta):
            if isinstance(last, Text):
                parts[-1] = Text(last.text + event.text)
            else:
                parts.append(Text(event.text))
        elif isinstance(event, ReasoningDelta):
            if isinstance(last, Reasoning) and not last.seal and not last.redacted:
                parts[-1] = msgspec.structs.replace(last, text=last.text + event.text)
            else:
                parts.append(Reasoning(event.text))
        elif isinstance(event, ReasoningSealed):
            sealed = Reasoning("", event.seal, event.dialect, event.redacted, event.id)
            if isinstance(last, Reasoning) and last.text and not last.seal and not event.redacted:
                parts[-1] = msgspec.structs.replace(sealed, text=last.text)
            elif event.seal:
                parts.append(sealed)
        elif isinstance(event, CallStarted):
            calls[event.index] = len(parts)
            parts.append(ToolCall(event.id, event.name, ""))
        elif isinstance(event, CallDelta):
            call = parts[calls[event.index]]
            parts[calls[event.index]] = msgspec.structs.replace(call, arguments=call.arguments + event.json)
        elif isinstance(event, Ended):
            end = event
    whole = (msgspec.structs.replace(p, arguments=p.arguments or "{}") if isinstance(p, ToolCall) else p for p in parts)
    return tuple(whole), end
