"""A stream as a client of OpenAI's responses reads it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.strict_json import strict_object
from policies.types import Usage
from providers.canonical.answer import (
    Answer,
    AnswerPart,
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
from providers.canonical.parts import Part, Reasoning, Text, ToolCall
from providers.canonical.request import Request, Tool
from providers.translation.responses import RESPONSES_FACE
from providers.translation.responses_tools import SearchTool
from tests.unit.providers.translation.responses_sdk import events_of, parsed_response, without_ids

ASKED = Request(dialect="openai_responses", model="m", stream=True, tools=(Tool("add", namespace="mcp__lab"),))
USAGE = Usage(input_tokens=3, output_tokens=2)


def told(*events: Event, asked: Request = ASKED) -> list[dict[str, Any]]:
    return events_of(RESPONSES_FACE.encoder(asked).encode(events))


def kinds(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"].removeprefix("response.") for event in events]


def test_a_text_is_told_in_the_documented_order() -> None:
    events = told(Started("msg_1"), TextDelta("Hel"), TextDelta("lo"), Ended("end", USAGE))
    assert kinds(events) == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert [event["sequence_number"] for event in events] == list(range(10))
    assert events[6]["text"] == "Hello"
    assert events[-1]["response"]["usage"]["total_tokens"] == 5
    assert {event["response"]["id"] for event in (events[0], events[1], events[-1])} == {"resp_msg_1"}
    assert len({event["item_id"] for event in events[3:8]} | {events[2]["item"]["id"], events[8]["item"]["id"]}) == 1


def test_a_thought_is_told_in_the_documented_order_and_its_item_bears_the_seal() -> None:
    events = told(
        Started("x"),
        ReasoningDelta("a"),
        ReasoningDelta("b"),
        ReasoningSealed("sig", "anthropic"),
        TextDelta("c"),
        Ended("end"),
    )
    assert kinds(events)[2:9] == [
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
    ]
    assert events[8]["item"]["encrypted_content"] == "tk1.anthropic.sig"
    assert events[8]["item"]["summary"] == [{"type": "summary_text", "text": "ab"}]
    assert (events[8]["output_index"], events[9]["output_index"]) == (0, 1)


def test_a_seal_without_a_thought_is_an_item_of_its_own() -> None:
    events = told(Started("x"), ReasoningSealed("data", "anthropic", redacted=True), Ended("end"))
    assert kinds(events)[2:-1] == ["output_item.added", "output_item.done"]
    assert events[3]["item"]["encrypted_content"] == "tk1.anthropic~redacted.data"


def test_parallel_calls_never_mix() -> None:
    events = told(
        Started("x"),
        CallStarted(0, "c0", "add", "mcp__lab"),
        CallStarted(7, "c7", "echo"),
        CallDelta(0, '{"a"'),
        CallDelta(7, '{"t":'),
        CallDelta(0, ": 1}"),
        CallDelta(7, '"x"}'),
        Ended("tool_calls"),
    )
    assert kinds(events)[2:] == [
        "output_item.added",
        "output_item.added",
        *["function_call_arguments.delta"] * 4,
        "function_call_arguments.done",
        "output_item.done",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ]
    assert [event["output_index"] for event in events[2:12]] == [0, 1, 0, 1, 0, 1, 0, 0, 1, 1]
    first, second = events[-1]["response"]["output"]
    assert (first["call_id"], first["namespace"], first["arguments"]) == ("c0", "mcp__lab", '{"a": 1}')
    assert (second["call_id"], "namespace" in second, second["arguments"]) == ("c7", False, '{"t":"x"}')
    assert (events[2]["item"]["namespace"], events[2]["item"]["status"]) == ("mcp__lab", "in_progress")


def test_a_call_without_arguments_has_an_empty_object() -> None:
    events = told(Started("x"), CallStarted(0, "c0", "add"), Ended("tool_calls"))
    deltas = [event["delta"] for event in events if event["type"].endswith("arguments.delta")]
    assert deltas == ["{}"]
    assert events[-1]["response"]["output"][0]["arguments"] == "{}"


@pytest.mark.parametrize(
    ("pieces", "input_text"),
    [(('{"inp', 'ut": "*** \\u00e9\\n"}'), "*** é\n"), (("plain text",), "plain text"), ((), "")],
)
def test_the_text_of_a_custom_call_is_unwrapped(pieces: tuple[str, ...], input_text: str) -> None:
    events = told(
        Started("x"),
        CallStarted(0, "c0", "patch", custom=True),
        *(CallDelta(0, piece) for piece in pieces),
        Ended("tool_calls"),
    )
    assert kinds(events)[2:-1] == [
        "output_item.added",
        "custom_tool_call_input.delta",
        "custom_tool_call_input.done",
        "output_item.done",
    ]
    assert (events[3]["delta"], events[4]["input"], events[5]["item"]["input"]) == (input_text,) * 3


def test_the_client_s_own_search_is_called_in_its_own_spelling() -> None:
    asked = Request(dialect="openai_responses", model="m", tools=(SearchTool("tool_search"),))
    events = told(
        Started("x"),
        CallStarted(0, "c0", "tool_search"),
        CallDelta(0, '{"query":'),
        CallDelta(0, '"add"}'),
        Ended("tool_calls"),
        asked=asked,
    )
    assert kinds(events)[2:-1] == ["output_item.added", "output_item.done"]
    assert events[3]["item"]["arguments"] == {"query": "add"}


def test_an_answer_that_is_cut_short_is_incomplete() -> None:
    events = told(Started("x"), TextDelta("a"), Ended("length"))
    assert events[-1]["type"] == "response.incomplete"
    assert events[-1]["response"]["incomplete_details"] == {"reason": "max_output_tokens"}
    assert events[-1]["response"]["output"][0]["status"] == "incomplete"


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        ("rate_limit_error", "rate_limit_exceeded"),
        ("RESOURCE_EXHAUSTED", "rate_limit_exceeded"),
        ("throttlingException", "rate_limit_exceeded"),
        ("invalid_request_error", "invalid_prompt"),
        ("overloaded_error", "server_error"),
        ("", "server_error"),
    ],
)
def test_an_error_of_the_vendor_is_a_failed_response_and_the_last_event(kind: str, code: str) -> None:
    encoder = RESPONSES_FACE.encoder(ASKED)
    stream = encoder.encode([Started("x"), TextDelta("a"), Failed(kind, "It broke.")])
    assert encoder.encode([TextDelta("b"), Ended("end")]) == b""
    events = events_of(stream)
    response = events[-1]["response"]
    assert (events[-1]["type"], response["status"]) == ("response.failed", "failed")
    assert response["error"] == {"code": code, "message": "It broke.", "type": kind}


@pytest.mark.parametrize(
    ("kind", "code"),
    [("context_length_exceeded", "context_length_exceeded"), ("billing_error", "insufficient_quota")],
)
def test_codex_is_told_why_it_need_not_try_again(kind: str, code: str) -> None:
    stream = RESPONSES_FACE.encoder(ASKED).encode([Failed(kind, "No.")])
    last = json.loads(stream.decode().strip().split("data: ")[-1])
    assert last["response"]["error"]["code"] == code


def test_a_stream_that_does_not_say_that_it_begins_begins_nevertheless() -> None:
    assert kinds(told(TextDelta("a"), Ended("end")))[:2] == ["created", "in_progress"]
    assert kinds(told(Ended("end"))) == ["created", "in_progress", "completed"]


def test_empty_pieces_are_not_told() -> None:
    encoder = RESPONSES_FACE.encoder(ASKED)
    encoder.encode([Started("x"), CallStarted(0, "c", "add")])
    assert encoder.encode([TextDelta(""), ReasoningDelta(""), CallDelta(0, "")]) == b""


WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
JSON_OBJECTS = st.dictionaries(WORDS, st.integers() | WORDS, max_size=3).map(json.dumps)
SEALED = st.builds(
    Reasoning,
    text=st.just("") | WORDS,
    seal=st.text("ab+/=.", min_size=1, max_size=8),
    dialect=st.sampled_from(["anthropic", "gemini", "openai"]),
)
CALLS = st.builds(
    ToolCall,
    id=st.just("call"),
    name=st.sampled_from(["add", "echo"]),
    arguments=JSON_OBJECTS,
    namespace=st.sampled_from(["", "mcp__lab"]),
) | st.builds(ToolCall, id=st.just("call"), name=st.just("patch"), arguments=WORDS, custom=st.just(True))


@st.composite
def answers(draw: st.DrawFn) -> Answer:
    """No two texts in a row, and no thought behind an unsealed one: a stream tells no boundary between them."""
    parts: list[AnswerPart] = []
    for part in draw(st.lists(st.builds(Text, WORDS) | st.builds(Reasoning, WORDS) | SEALED | CALLS, max_size=7)):
        last = parts[-1] if parts else None
        same = isinstance(part, Text) and isinstance(last, Text)
        unsealed = isinstance(last, Reasoning) and not last.seal and isinstance(part, Reasoning)
        if same or unsealed:
            continue
        parts.append(ToolCall(f"call_{len(parts)}", *call_fields(part)) if isinstance(part, ToolCall) else part)
    stop = draw(st.sampled_from(["end", "length", "refusal", "tool_calls"]))
    return Answer(id="msg_1", model="m", parts=tuple(parts), stop=stop, usage=USAGE)


def call_fields(call: ToolCall) -> tuple[str, str, str, bool]:
    return call.name, call.arguments, call.namespace, call.custom


def pieces(draw: st.DrawFn, text: str) -> list[str]:
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=3)))
    return [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]


@st.composite
def streams(draw: st.DrawFn, answer: Answer) -> list[list[Event]]:
    """The answer in events, told by and by: deltas of calls come whenever they like once their call has started."""
    late: list[list[Event]] = []
    events: list[Event] = [Started(answer.id)]
    for index, part in enumerate(answer.parts):
        if isinstance(part, Text):
            events += [TextDelta(piece) for piece in pieces(draw, part.text)]
        elif isinstance(part, Reasoning):
            events += [ReasoningDelta(piece) for piece in pieces(draw, part.text)]
            if part.seal:
                events.append(ReasoningSealed(part.seal, part.dialect, part.redacted))
        elif isinstance(part, ToolCall):
            events.append(CallStarted(index, part.id, part.name, part.namespace, part.custom))
            arguments = json.dumps({"input": part.arguments}) if part.custom else part.arguments
            late.append([CallDelta(index, piece) for piece in pieces(draw, arguments)])
        events += list(taken(draw, late, draw(st.integers(0, 3))))
    events += list(taken(draw, late, 1_000))
    events.append(Ended(answer.stop, answer.usage))
    cuts = sorted(draw(st.lists(st.integers(0, len(events)), max_size=4)))
    return [events[a:b] for a, b in zip([0, *cuts], [*cuts, len(events)], strict=True)]


def taken(draw: st.DrawFn, late: list[list[Event]], most: int) -> Iterator[Event]:
    for _ in range(most):
        if not late:
            return
        queue = draw(st.sampled_from(late))
        yield queue.pop(0)
        if not queue:
            late.remove(queue)


@settings(max_examples=60, derandomize=True, deadline=None)
@given(st.data())
def test_a_stream_tells_the_same_answer_as_the_whole(data: st.DataObject) -> None:
    answer = data.draw(answers())
    encoder = RESPONSES_FACE.encoder(ASKED)
    stream = b"".join(encoder.encode(batch) for batch in data.draw(streams(answer)))
    events = events_of(stream)
    whole = RESPONSES_FACE.write(answer, ASKED)
    parsed_response(whole)
    assert without_ids(events[-1]["response"]) == without_ids(json.loads(whole))
    assert gathered(events) == events[-1]["response"]["output"]


def gathered(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The output, put together from its pieces alone, and each item the same when it is done."""
    items: dict[int, dict[str, Any]] = {}
    for event in events:
        kind, index = event["type"].removeprefix("response."), event.get("output_index", -1)
        if kind == "output_item.added":
            assert index == len(items)
            items[index] = event["item"]
        elif kind == "content_part.added":
            items[index]["content"].append(event["part"])
        elif kind == "output_text.delta":
            items[index]["content"][event["content_index"]]["text"] += event["delta"]
        elif kind == "reasoning_summary_part.added":
            items[index]["summary"].append(event["part"])
        elif kind == "reasoning_summary_text.delta":
            items[index]["summary"][event["summary_index"]]["text"] += event["delta"]
        elif kind == "function_call_arguments.delta":
            items[index]["arguments"] += event["delta"]
        elif kind == "custom_tool_call_input.delta":
            items[index]["input"] += event["delta"]
        elif kind == "output_item.done":
            known = ("status", "encrypted_content")
            done = {name: value for name, value in event["item"].items() if name not in known}
            assert {name: value for name, value in items[index].items() if name not in known} == done
            items[index] = event["item"]
        if "item_id" in event:
            assert items[index]["id"] == event["item_id"]
    return [items[index] for index in sorted(items)]


@pytest.mark.parametrize("stop", ["end", "length"])
def test_an_answer_without_anything_is_an_empty_output(stop: StopReason) -> None:
    assert told(Started("x"), Ended(stop))[-1]["response"]["output"] == []


@settings(max_examples=60, derandomize=True, deadline=None)
@given(answers())
def test_what_a_client_sends_back_is_what_was_answered(answer: Answer) -> None:
    output = json.loads(RESPONSES_FACE.write(answer, ASKED))["output"]
    calls = [(item["type"] + "_output", item["call_id"]) for item in output if "call_id" in item]
    items = [*output, *({"type": kind, "call_id": name, "output": "1"} for kind, name in calls)]
    body = json.dumps({"model": "m", "input": [{"role": "user", "content": "a"}, *items]}).encode()
    turns = RESPONSES_FACE.read(strict_object(body, frozenset()), "m", stream=False).turns
    back = tuple(part for turn in turns if turn.role == "assistant" for part in turn.parts)
    assert [plain(part) for part in back] == [plain(part) for part in answer.parts]


def plain(part: Part) -> Part:
    """Without the item's name; an OpenAI thought that is not shown is hidden by its seal."""
    if isinstance(part, Reasoning):
        hides = part.redacted or (part.dialect == "openai" and not part.text)
        return Reasoning(part.text, part.seal, part.dialect, hides)
    return part
