"""What holds of Gemini's dialect for every conversation, every answer and every cut of a stream."""

from __future__ import annotations

import base64
import json
from itertools import pairwise
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.strict_json import BodyError, strict_object
from policies.types import Usage
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
from providers.canonical.parts import Media, Opaque, Part, Reasoning, Text, ToolCall, ToolResult, Turn
from providers.canonical.request import (
    Dialect,
    Hosted,
    OutputFormat,
    Request,
    Settings,
    Thinking,
    Tool,
    ToolChoice,
)
from providers.translation.base import DEFAULT_TRAITS
from providers.translation.gemini import GEMINI_BACK, GEMINI_FACE
from tests.unit.providers.translation.gemini_examples import valid

FEW = settings(max_examples=60, derandomize=True, deadline=None)
WORDS = st.text(min_size=1, max_size=12)
NAMES = st.from_regex(r"[a-z_][a-z0-9_.-]{0,10}", fullmatch=True)
SEALS = st.binary(min_size=1, max_size=12).map(lambda raw: base64.b64encode(raw).decode())
JSON = st.recursive(st.none() | st.booleans() | st.integers(-(2**31), 2**31) | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3), max_leaves=6)  # fmt: skip
OBJECTS = st.dictionaries(st.text(max_size=4), JSON, max_size=3)
MEDIA = st.one_of(
    st.builds(
        lambda raw: Media("image", "image/png", base64.b64encode(raw).decode()), st.binary(min_size=1, max_size=9)
    ),
    st.just(Media("video", "video/mp4", url="gs://bucket/film.mp4")),
    st.just(Media("document", "application/pdf", file_id="files/abc", dialect="gemini")),
)


def compact(value: Any) -> str:
    return msgspec.json.encode(value).decode()


@st.composite
def assistants(draw: st.DrawFn, ids: list[str], *, own: bool) -> Turn:
    parts: list[Part] = []
    for _ in range(draw(st.integers(1, 5))):
        kinds = ["call", "seal", "sealed"]
        if not (parts and isinstance(parts[-1], Text)):
            kinds.append("text")
        if own:
            kinds += ["opaque", "thought"]
        kind = draw(st.sampled_from(kinds))
        if kind in ("seal", "sealed", "thought") and parts and isinstance(parts[-1], Reasoning):
            kind = "call"
        if kind == "text":
            parts.append(Text(draw(WORDS)))
        elif kind == "call":
            ids.append(f"id{len(ids)}")
            parts.append(ToolCall(ids[-1], draw(NAMES), compact(draw(OBJECTS))))
        elif kind == "opaque":
            parts.append(Opaque("gemini", "executableCode", {"executableCode": {"code": draw(WORDS)}}))
        elif kind == "thought":
            parts.append(Reasoning(draw(WORDS)))
        else:
            parts.append(Reasoning("" if kind == "seal" else draw(WORDS), draw(SEALS), "gemini"))
    return Turn("assistant", tuple(parts))


@st.composite
def users(draw: st.DrawFn, ids: list[str]) -> Turn:
    results = [
        ToolResult(
            name,
            tuple(Text(said) for said in draw(st.lists(WORDS | OBJECTS.filter(bool).map(compact), max_size=1)))
            + tuple(draw(st.lists(MEDIA.filter(lambda media: media.kind != "video"), max_size=1))),
            draw(st.booleans()),
        )
        for name in ids
    ]
    # A failure that says nothing is told like a success that says nothing.
    results = [msgspec.structs.replace(found, is_error=found.is_error and bool(_said(found))) for found in results]
    return Turn("user", (*results, *draw(st.lists(st.builds(Text, WORDS) | MEDIA, min_size=1, max_size=3))))


def _said(result: ToolResult) -> bool:
    return any(isinstance(part, Text) for part in result.content)


@st.composite
def conversations(draw: st.DrawFn, *, own: bool) -> tuple[Turn, ...]:
    turns: list[Turn] = []
    if draw(st.booleans()):
        turns.append(Turn("system", tuple(Text(said) for said in draw(st.lists(WORDS, min_size=1, max_size=2)))))
    turns.append(draw(users([])))
    ids: list[str] = []
    for _ in range(draw(st.integers(0, 3))):
        before = len(ids)
        turns.append(draw(assistants(ids, own=own)))
        turns.append(draw(users(ids[before:])))
    return tuple(turns)


THINKING = st.one_of(
    st.none(),
    st.builds(Thinking, effort=st.sampled_from(["low", "high"]), show=st.none() | st.booleans()),
    st.builds(Thinking, budget=st.integers(1, 9000) | st.just(-1), show=st.none() | st.booleans()),
    st.just(Thinking("none", 0)),
)
SETTINGS = st.builds(
    Settings,
    max_tokens=st.none() | st.integers(1, 9000),
    temperature=st.none() | st.floats(0, 2),
    top_p=st.none() | st.floats(0, 1),
    top_k=st.none() | st.integers(1, 99),
    stop=st.lists(WORDS, max_size=5).map(tuple),
    seed=st.none() | st.integers(0, 99),
    presence_penalty=st.none() | st.floats(-2, 2),
    frequency_penalty=st.none() | st.floats(-2, 2),
    thinking=THINKING,
    output=st.none() | st.builds(OutputFormat, schema=st.none() | OBJECTS.filter(bool)),
)
TOOLS = st.lists(st.builds(Tool, NAMES, st.text(max_size=5), st.none() | OBJECTS), max_size=3, unique_by=lambda tool: tool.name).map(tuple)  # fmt: skip


@st.composite
def requests(draw: st.DrawFn) -> Request:
    tools = draw(TOOLS)
    modes = [
        ToolChoice("auto"),
        ToolChoice("none"),
        ToolChoice("required"),
        *(ToolChoice("named", t.name) for t in tools),
    ]
    return Request(
        dialect="gemini",
        model="gemini-3.1-pro-preview",
        turns=draw(conversations(own=True)),
        tools=tools,
        hosted=draw(st.sampled_from([(), (Hosted("gemini", "googleSearch", {"googleSearch": {}}),)])),
        choice=draw(st.none() | st.sampled_from(modes)),
        settings=draw(SETTINGS),
        carried=draw(
            st.sampled_from(
                [
                    {},
                    {"labels": {"a": "b"}, "generationConfig.candidateCount": 2},
                    {"toolConfig.retrievalConfig": {"languageCode": "de"}},
                ]
            )
        ),
    )


def read_back(request: Request) -> Request:
    written = GEMINI_BACK.write(request, request.model, DEFAULT_TRAITS)
    valid(json.loads(written.body))
    assert not written.losses.demands
    return GEMINI_FACE.read(strict_object(written.body, frozenset()), request.model, stream=request.stream)


@FEW
@given(requests())
def test_a_gemini_request_is_the_same_after_writing_and_reading(request: Request) -> None:
    assert read_back(request) == request


def numbered(turns: tuple[Turn, ...]) -> list[Any]:
    """Turns with their calls' ids replaced by their numbers."""
    ids: dict[str, str] = {}
    found: list[Any] = []
    for turn in turns:
        for part in turn.parts:
            if isinstance(part, ToolCall):
                ids[part.id] = str(len(ids))
                found.append(msgspec.structs.replace(part, id=ids[part.id]))
            elif isinstance(part, ToolResult):
                found.append(msgspec.structs.replace(part, call_id=ids[part.call_id]))
            else:
                found.append(part)
    return found


@FEW
@given(conversations(own=False), st.sampled_from(["anthropic", "openai_chat"]))
def test_another_dialects_conversation_is_the_same_but_for_its_ids(turns: tuple[Turn, ...], dialect: Dialect) -> None:
    request = Request(dialect=dialect, model="gemini-3.1-pro-preview", turns=turns)
    assert numbered(read_back(request).turns) == numbered(turns)


@st.composite
def chunks(draw: st.DrawFn) -> list[dict[str, Any]]:
    """What a model says, as parts; a text or a thought may come in several."""
    parts: list[dict[str, Any]] = []
    for _ in range(draw(st.integers(0, 6))):
        kind = draw(st.sampled_from(["text", "thought", "call"]))
        if kind == "call":
            call = {"id": f"id{len(parts)}", "name": draw(NAMES), "args": draw(OBJECTS)}
            parts.append({"functionCall": call})
        else:
            parts.append({"text": draw(st.text(max_size=8)), **({"thought": True} if kind == "thought" else {})})
        if draw(st.integers(0, 3)) == 0:
            parts[-1]["thoughtSignature"] = draw(SEALS)
    return parts


def wire_of(parts: list[dict[str, Any]], newline: str) -> bytes:
    said = [{"candidates": [{"content": {"role": "model", "parts": [part]}, "index": 0}]} for part in parts]
    last: dict[str, Any] = {
        "candidates": [{"finishReason": "STOP", "index": 0}],
        "usageMetadata": {"promptTokenCount": 3},
    }
    return b"".join(f"data: {json.dumps(each, ensure_ascii=False)}{newline * 2}".encode() for each in [*said, last])


def collected(events: list[Event]) -> tuple[AnswerPart, ...]:
    """The parts that the events tell."""
    parts: list[AnswerPart] = []
    thinking = False
    for event in events:
        last = parts[-1] if parts else None
        if isinstance(event, TextDelta):
            if isinstance(last, Text):
                parts[-1] = Text(last.text + event.text)
            else:
                parts.append(Text(event.text))
        elif isinstance(event, ReasoningDelta):
            if thinking and isinstance(last, Reasoning):
                parts[-1] = Reasoning(last.text + event.text)
            else:
                parts.append(Reasoning(event.text))
        elif isinstance(event, ReasoningSealed):
            thought = last.text if thinking and isinstance(last, Reasoning) else ""
            if thought:
                parts.pop()
            parts.append(Reasoning(thought, event.seal, event.dialect, event.redacted, event.id))
        elif isinstance(event, CallStarted):
            parts.append(ToolCall(event.id, event.name, ""))
        elif isinstance(event, CallDelta):
            at = calls(parts)[event.index]
            call = parts[at]
            assert isinstance(call, ToolCall)
            parts[at] = msgspec.structs.replace(call, arguments=call.arguments + event.json)
        if not isinstance(event, Started):
            thinking = isinstance(event, ReasoningDelta)
    return tuple(parts)


def calls(parts: list[AnswerPart]) -> list[int]:
    return [n for n, part in enumerate(parts) if isinstance(part, ToolCall)]


@FEW
@given(chunks(), st.sampled_from(["\r\n", "\n"]), st.data())
def test_however_a_stream_is_cut_it_tells_the_same_as_the_whole_answer(
    parts: list[dict[str, Any]], newline: str, data: st.DataObject
) -> None:
    wire = wire_of(parts, newline)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=10)))
    decoder = GEMINI_BACK.decoder()
    events = [e for a, b in zip([0, *cuts], [*cuts, len(wire)], strict=True) for e in decoder.feed(wire[a:b])]
    events += decoder.finish()
    assert isinstance(events[0], Started)
    whole = {
        "candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": 3},
    }
    answer = GEMINI_BACK.read(json.dumps(whole).encode(), "m")
    assert collected(events) == answer.parts
    assert [event for event in events if isinstance(event, Ended)] == [Ended(answer.stop, answer.usage)]


@st.composite
def told(draw: st.DrawFn) -> tuple[list[Event], dict[str, str]]:
    """Events in which the arguments of calls come in any order, and what each call's arguments are."""
    wanted = {f"id{n}": compact(draw(OBJECTS)) for n in range(draw(st.integers(0, 4)))}
    queues: list[list[Event]] = []
    for n, (name, arguments) in enumerate(wanted.items()):
        cut = draw(st.integers(0, len(arguments)))
        pieces = [arguments[:cut], arguments[cut:]]
        queues.append([CallStarted(n, name, "f"), *(CallDelta(n, piece) for piece in pieces if piece)])
    events: list[Event] = [Started("r")]
    while any(queues):
        queue = draw(st.sampled_from([queue for queue in queues if queue]))
        events.append(queue.pop(0))
        if draw(st.integers(0, 4)) == 0:
            events.append(TextDelta(draw(WORDS)))
    return [*events, Ended("tool_calls" if wanted else "end", Usage(input_tokens=1))], wanted


@FEW
@given(told())
def test_calls_never_mix_whatever_order_their_arguments_come_in(given_: tuple[list[Event], dict[str, str]]) -> None:
    events, wanted = given_
    encoder = GEMINI_FACE.encoder(Request(dialect="gemini", model="m"))
    decoder = GEMINI_BACK.decoder()
    back = [event for said in events for event in decoder.feed(encoder.encode([said]))]
    found = [part for part in collected(back) if isinstance(part, ToolCall)]
    started = [event.id for event in events if isinstance(event, CallStarted)]
    assert {call.id: call.arguments for call in found} == wanted
    assert [call.id for call in found] == started
    texts = [[event.text for event in each if isinstance(event, TextDelta)] for each in (events, back)]
    assert texts[0] == texts[1]
    assert back[-1] == events[-1]


ANSWERS = st.lists(
    st.one_of(
        st.builds(Text, WORDS),
        st.builds(Reasoning, WORDS, SEALS, st.sampled_from(["gemini", "anthropic"])),
        st.builds(lambda name, args: ToolCall("id", name, compact(args)), NAMES, OBJECTS),
    ),
    max_size=4,
).filter(lambda parts: not any(isinstance(a, Text) and isinstance(b, Text) for a, b in pairwise(parts)))


@FEW
@given(ANSWERS)
def test_an_answer_is_the_same_after_writing_and_reading(parts: list[AnswerPart]) -> None:
    stop: StopReason = "tool_calls" if any(isinstance(part, ToolCall) for part in parts) else "end"
    answer = Answer(id="a", model="m", parts=tuple(parts), stop=stop, usage=Usage(input_tokens=3, cache_read_tokens=2))
    body = GEMINI_FACE.write(answer, Request(dialect="gemini", model="m"))
    assert GEMINI_BACK.read(body, "m") == answer


FIELDS = st.sampled_from(
    ["contents", "parts", "role", "text", "functionCall", "functionResponse", "inlineData", "tools", "name", "args",
     "functionDeclarations", "generationConfig", "thinkingConfig", "toolConfig", "functionCallingConfig", "mode", "model"]
)  # fmt: skip
NOISE = st.recursive(
    st.none() | st.booleans() | st.integers() | FIELDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS, inner, max_size=4),
    max_leaves=25,
)


@settings(max_examples=300, derandomize=True, deadline=None)
@given(st.dictionaries(FIELDS, NOISE, max_size=5))
def test_no_body_whatever_breaks_the_reader(body: dict[str, Any]) -> None:
    try:
        request = GEMINI_FACE.read(strict_object(json.dumps(body).encode(), frozenset()), "m", stream=False)
    except BodyError as error:
        assert error.field
    else:
        GEMINI_BACK.write(request, "gemini-3.1-pro", DEFAULT_TRAITS)


@FEW
@given(st.binary(max_size=200), NOISE)
def test_no_bytes_whatever_break_the_decoder(noise: bytes, value: Any) -> None:
    decoder = GEMINI_BACK.decoder()
    decoder.feed(noise + b"\n\n")
    decoder.feed(b"data: " + json.dumps({"candidates": [{"content": value}]}).encode() + b"\n\n")
    decoder.feed(b"data: " + json.dumps({"candidates": value, "usageMetadata": value}).encode() + b"\n\n")
    decoder.finish()
