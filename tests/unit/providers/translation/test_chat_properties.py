"""Laws of chat completions in translation, for any request and any stream."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.strict_json import strict_object
from policies.types import Usage
from providers.canonical.answer import Answer
from providers.canonical.parts import Media, Reasoning, Text, ToolCall, ToolResult, Turn
from providers.canonical.request import (
    Effort,
    Hosted,
    OutputFormat,
    Request,
    Settings,
    Thinking,
    Tool,
    ToolChoice,
)
from providers.translation.base import Traits
from providers.translation.chat import CHAT_BACK, CHAT_FACE
from tests.unit.providers.translation.chat_sdk import chunk, decoded, encoded, parsed_answer, parsed_stream, sse, told

repeatable = settings(derandomize=True, max_examples=60, deadline=None)

WORDS = st.text(alphabet=st.characters(codec="utf-8", exclude_categories=("Cs",)), min_size=1, max_size=12)
NAMES = st.text(alphabet="abcdefghij_-", min_size=1, max_size=12)
BASE64 = st.sampled_from(["aGk=", "iVBORw0KGgo=", "AAAA"])
CACHE = st.sampled_from([None, "5m", "1h"])
TEXTS = st.builds(Text, WORDS, CACHE)
MEDIA = st.one_of(
    st.builds(lambda d, c: Media("image", "image/png", d, detail="low", cache=c), BASE64, CACHE),
    st.builds(lambda c: Media("image", url="https://x.test/a.png", cache=c), CACHE),
    st.builds(lambda d, m: Media("audio", m, d), BASE64, st.sampled_from(["audio/wav", "audio/mpeg", "audio/flac"])),
    st.builds(lambda d, n: Media("document", "application/pdf", d, name=n), BASE64, st.just("") | NAMES),
    st.builds(lambda n: Media("document", file_id=n, dialect="openai"), NAMES),
    st.just(Media("video", url="https://x.test/a.mp4")),
)
SEALED = st.one_of(
    st.builds(lambda t, s: Reasoning(t, s, "anthropic"), st.just("") | WORDS, NAMES),
    st.builds(lambda s: Reasoning("", s, "anthropic", redacted=True), NAMES),
    st.builds(lambda t, s: Reasoning(t, s, "openrouter:openai-responses-v1", False, "rs_1"), WORDS, NAMES),
    st.builds(lambda t, s: Reasoning(t, s, "openrouter:google-gemini-v1", False, "g1"), WORDS, NAMES),
)
SCHEMAS = st.none() | st.dictionaries(NAMES, st.integers() | WORDS, max_size=3)


@st.composite
def conversations(draw: st.DrawFn) -> tuple[Turn, ...]:
    turns: list[Turn] = []
    made = 0
    for _ in range(draw(st.integers(1, 5))):
        role = draw(st.sampled_from(["system", "user", "assistant"]))
        if role == "system":
            turns.append(Turn("system", tuple(draw(st.lists(TEXTS, min_size=1, max_size=3)))))
        elif role == "user":
            turns.append(Turn("user", tuple(draw(st.lists(TEXTS | MEDIA, min_size=1, max_size=3)))))
        else:
            texts = draw(st.lists(TEXTS, max_size=2))
            count = draw(st.integers(0 if texts else 1, 3))
            calls = [
                ToolCall(f"call_{made + n}", draw(NAMES), json.dumps(draw(SCHEMAS) or {}), custom=draw(st.booleans()))
                for n in range(count)
            ]
            made += count
            turns.append(Turn("assistant", (*draw(st.lists(SEALED, max_size=2)), *texts, *calls)))
            if calls:
                results = [ToolResult(call.id, tuple(draw(st.lists(TEXTS, max_size=2)))) for call in calls]
                turns.append(Turn("user", tuple(results)))
    return tuple(turns)


SETTINGS = st.builds(
    Settings,
    max_tokens=st.none() | st.integers(1, 9_999),
    temperature=st.none() | st.floats(0, 2),
    top_p=st.none() | st.floats(0, 1),
    top_k=st.none() | st.integers(1, 99),
    stop=st.lists(WORDS, max_size=4).map(tuple),
    seed=st.none() | st.integers(-(2**63), 2**63 - 1),
    presence_penalty=st.none() | st.floats(-2, 2),
    frequency_penalty=st.none() | st.floats(-2, 2),
    user=st.none() | WORDS,
    parallel_calls=st.none() | st.booleans(),
    thinking=st.none() | st.builds(Thinking, st.sampled_from(list(Effort.__args__))),  # type: ignore[attr-defined]
    output=st.none()
    | st.just(OutputFormat())
    | st.builds(OutputFormat, SCHEMAS.filter(lambda s: s is not None), NAMES, st.none() | st.booleans(), WORDS),
)
TOOLS = st.lists(
    st.builds(Tool, NAMES, st.just("") | WORDS, SCHEMAS, st.none() | st.booleans(), cache=CACHE)
    | st.builds(lambda n, d, s: Tool(n, d, s, custom=True), NAMES, WORDS, SCHEMAS),
    max_size=3,
    unique_by=lambda tool: tool.name,
)


@st.composite
def requests(draw: st.DrawFn) -> Request:
    tools = tuple(draw(TOOLS))
    choices = [None, *(ToolChoice(mode) for mode in ("auto", "none", "required"))]
    choices += [ToolChoice("named", tool.name) for tool in tools]
    return Request(
        dialect="openai_chat",
        model="m",
        stream=draw(st.booleans()),
        turns=draw(conversations()),
        tools=tools,
        hosted=draw(st.sampled_from([(), (Hosted("openai_chat", "web_search", {"type": "web_search", "a": 1}),)])),
        choice=draw(st.sampled_from(choices)),
        settings=draw(SETTINGS),
        carried=draw(st.sampled_from([{}, {"n": 2, "logit_bias": {"1": 2}}, {"messages.name": {"0": "ada"}}])),
    )


@repeatable
@given(requests())
def test_writing_and_reading_a_request_is_the_identity(request: Request) -> None:
    traits = Traits(reasoning_back="reasoning_details", cache_marks=True)
    found = CHAT_BACK.write(request, "m", traits)
    assert found.losses.all() == []
    again = CHAT_FACE.read(strict_object(found.body, frozenset()), "m", stream=request.stream)
    if not request.stream:
        again = msgspec.structs.replace(again, stream_usage=True)
    if request.carried.get("messages.name") and all(isinstance(p, ToolResult) for p in request.turns[0].parts):
        again = msgspec.structs.replace(again, carried=request.carried)
    assert again == request


USAGE = Usage(input_tokens=3, cache_read_tokens=2, cache_write_tokens=1, output_tokens=4, reasoning_tokens=1)


@st.composite
def answers(draw: st.DrawFn) -> Answer:
    thoughts = draw(st.lists(SEALED, max_size=2))
    texts = draw(st.lists(st.builds(Text, WORDS), max_size=1))
    calls = [
        ToolCall(f"call_{n}", draw(NAMES), json.dumps(draw(SCHEMAS) or {}), custom=draw(st.booleans()))
        for n in range(draw(st.integers(0, 3)))
    ]
    stop: Any = "tool_calls" if calls else draw(st.sampled_from(["end", "length", "refusal"]))
    return Answer(
        id="chatcmpl-1", model="m", parts=(*thoughts, *texts, *calls), stop=stop, usage=draw(st.none() | st.just(USAGE))
    )


@repeatable
@given(answers())
def test_writing_and_reading_an_answer_is_the_identity(answer: Answer) -> None:
    body = CHAT_FACE.write(answer, Request(dialect="openai_chat", model="m"))
    parsed_answer(body)
    assert CHAT_BACK.read(body, "m") == answer


def pieces_of(data: st.DataObject, answer: dict[str, Any]) -> list[dict[str, Any]]:
    """Deltas that tell a message, its parallel calls' arguments cut and mixed at will."""
    message = answer["choices"][0]["message"]
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"reasoning_details": [detail]} for detail in message.get("reasoning_details", ())]
    deltas += [{"content": character} for character in message["content"] or ""]
    rests: dict[int, str] = {}
    for index, call in enumerate(message.get("tool_calls", ())):
        kind, field = ("custom", "input") if call["type"] == "custom" else ("function", "arguments")
        rests[index] = call[kind][field]
        deltas.append({"tool_calls": [{**call, "index": index, kind: {**call[kind], field: ""}}]})
    while rests:
        index = data.draw(st.sampled_from(sorted(rests)))
        length = data.draw(st.integers(1, 5))
        piece, rests[index] = rests[index][:length], rests[index][length:]
        call = message["tool_calls"][index]
        said = {"custom": {"input": piece}} if call["type"] == "custom" else {"function": {"arguments": piece}}
        deltas.append({"tool_calls": [{"index": index, **said}]})
        if not rests[index]:
            del rests[index]
    return deltas


@repeatable
@given(st.data(), answers())
def test_a_stream_cut_anywhere_tells_what_the_whole_answer_tells(data: st.DataObject, answer: Answer) -> None:
    whole = json.loads(CHAT_FACE.write(answer, Request(dialect="openai_chat", model="m")))
    deltas = [chunk(delta) for delta in pieces_of(data, whole)]
    end = chunk({}, whole["choices"][0]["finish_reason"], usage=whole.get("usage"))
    newline = data.draw(st.sampled_from([b"\n", b"\r\n"]))
    stream = sse(*deltas, end).replace(b"\n\n", newline * 2)
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=8))
    events = decoded(stream, cuts)
    assert events == decoded(stream)
    parts, ended, usage = told(events)
    assert tuple(parts) == answer.parts
    assert ended is not None
    assert (ended.stop, usage) == (answer.stop, answer.usage)  # type: ignore[union-attr]


@repeatable
@given(st.data(), answers())
def test_what_is_encoded_is_what_was_told(data: st.DataObject, answer: Answer) -> None:
    whole = json.loads(CHAT_FACE.write(answer, Request(dialect="openai_chat", model="m")))
    events = decoded(sse(*(chunk(d) for d in pieces_of(data, whole)), chunk({}, whole["choices"][0]["finish_reason"])))
    stream = encoded(events)
    functions = all(not part.custom for part in answer.parts if isinstance(part, ToolCall))
    if functions:  # the SDK's type of a chunk knows no custom calls
        parsed_stream(stream)
    assert told(decoded(stream))[0] == list(answer.parts)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | WORDS,
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(
                ["type", "text", "thinking", "index", "id", "function", "name", "arguments", "data", "message"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)
FIELDS = st.sampled_from(["content", "reasoning", "reasoning_content", "reasoning_details", "refusal", "tool_calls"])


@repeatable
@given(st.lists(st.dictionaries(FIELDS, JSON, max_size=3), max_size=4), st.binary(max_size=40), JSON, JSON)
def test_nothing_whatever_breaks_a_decoder(deltas: list[Any], noise: bytes, usage: Any, error: Any) -> None:
    decoder = CHAT_BACK.decoder()
    chunks = [chunk(delta, usage=usage) for delta in deltas]
    events = decoder.feed(noise + b"\n\n" + sse(*chunks, {"error": error}))
    encoded([*events, *decoder.finish()])


@repeatable
@given(st.data(), st.integers(2, 4), st.sampled_from(["index", "all zero", "no index", "ids everywhere"]))
def test_parallel_calls_never_mix(data: st.DataObject, count: int, habit: str) -> None:
    arguments = [json.dumps({"n": n, "text": data.draw(WORDS)}, ensure_ascii=False) for n in range(count)]
    names = [f"f{n}" for n in range(count)]
    order = [n for n in range(count) for _ in range(3)]
    if habit in ("index", "ids everywhere"):
        order = data.draw(st.permutations(order))
    deltas: list[dict[str, Any]] = []
    for step, n in enumerate(order):
        part = order[:step].count(n)
        third = len(arguments[n]) // 3
        piece = arguments[n][part * third : None if part == 2 else (part + 1) * third]
        call: dict[str, Any] = {"function": {"arguments": piece}}
        if part == 0:
            call = {"id": f"c{n}", "type": "function", "function": {"name": names[n], "arguments": piece}}
        if habit == "ids everywhere":
            call["id"] = f"c{n}"
        if habit != "no index":
            call["index"] = n if habit == "index" else 0
        deltas.append(chunk({"tool_calls": [call]}))
    events = decoded(sse(*deltas, chunk({}, "tool_calls")))
    parts, _, _ = told(events)
    assert {part.id: (part.name, part.arguments) for part in parts} == {
        f"c{n}": (names[n], arguments[n]) for n in range(count)
    }
    parsed_stream(encoded(events))
