"""Answers of Bedrock's Converse, whole and as a stream: the same answer, however its bytes are cut."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.types import Usage
from providers.canonical.answer import (
    AnswerPart,
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
from providers.canonical.parts import Reasoning, Text, ToolCall
from providers.translation.base import BAD_ANSWER
from providers.translation.converse import CONVERSE_BACK
from providers.translation.converse_answers import STOPS, read_answer
from providers.translation.converse_decoder import ConverseDecoder
from tests.unit.providers.translation.converse_model import event, exception, frame, parsed_answer

USAGE = {
    "inputTokens": 10,
    "outputTokens": 7,
    "totalTokens": 317,
    "cacheReadInputTokens": 100,
    "cacheWriteInputTokens": 200,
    "cacheDetails": [{"ttl": "1h", "inputTokens": 150}, {"ttl": "5m", "inputTokens": 50}],
}
COUNTED = Usage(
    input_tokens=10, cache_read_tokens=100, cache_write_tokens=50, cache_write_1h_tokens=150, output_tokens=7
)
METADATA = event("metadata", usage=USAGE, metrics={"latencyMs": 5})


def whole(*content: Any, stop: str = "end_turn", **more: Any) -> bytes:
    message = {"role": "assistant", "content": list(content)}
    body = msgspec.json.encode(
        {"output": {"message": message}, "stopReason": stop, "usage": USAGE, "metrics": {"latencyMs": 5}, **more}
    )
    assert parsed_answer(body)["stopReason"] == stop
    return body


def start(index: int, call_id: str, name: str) -> bytes:
    return event("contentBlockStart", contentBlockIndex=index, start={"toolUse": {"toolUseId": call_id, "name": name}})


def delta(index: int, **said: Any) -> bytes:
    return event("contentBlockDelta", contentBlockIndex=index, delta=said)


def stop(index: int) -> bytes:
    return event("contentBlockStop", contentBlockIndex=index)


BEGIN = event("messageStart", role="assistant")


def end(reason: str = "end_turn") -> bytes:
    return event("messageStop", stopReason=reason)


def decoded(pieces: Iterable[bytes]) -> list[Event]:
    decoder = ConverseDecoder()
    found = [said for piece in pieces for said in decoder.feed(piece)]
    return [*found, *decoder.finish()]


def folded(events: Sequence[Event]) -> tuple[AnswerPart, ...]:
    """The parts that a stream tells."""
    parts: list[Any] = []
    calls: dict[int, int] = {}
    thought: str | None = None
    for said in events:
        if isinstance(said, TextDelta):
            if parts and isinstance(parts[-1], Text):
                parts[-1] = Text(parts[-1].text + said.text)
            else:
                parts.append(Text(said.text))
        elif isinstance(said, ReasoningDelta):
            thought = (thought or "") + said.text
        elif isinstance(said, ReasoningSealed):
            parts.append(Reasoning(thought or "", said.seal, said.dialect, said.redacted))
            thought = None
        elif isinstance(said, CallStarted):
            calls[said.index] = len(parts)
            parts.append(ToolCall(said.id, said.name, ""))
        elif isinstance(said, CallDelta):
            call = parts[calls[said.index]]
            parts[calls[said.index]] = ToolCall(call.id, call.name, call.arguments + said.json)
    return tuple(parts)


WHOLE = whole(
    {"reasoningContent": {"reasoningText": {"text": "hm, Zürich", "signature": "c2ln"}}},
    {"reasoningContent": {"redactedContent": "aGlkZGVuLXRoaW5ncw=="}},
    {"text": "Let me"},
    {"citationsContent": {"content": [{"text": " see 日本"}], "citations": [{"title": "t"}]}},
    {"toolUse": {"toolUseId": "tooluse_1", "name": "weather", "input": {"city": "Zürich"}}},
    {"toolUse": {"toolUseId": "tooluse_2", "name": "now", "input": {}}},
    stop="tool_use",
)
STREAM = [
    BEGIN,
    delta(0, reasoningContent={"text": "hm, "}),
    delta(0, reasoningContent={"text": "Zürich"}),
    delta(0, reasoningContent={"signature": "c2"}),
    delta(0, reasoningContent={"signature": "ln"}),
    stop(0),
    delta(1, reasoningContent={"redactedContent": "aGlkZGVuLQ=="}),
    delta(1, reasoningContent={"redactedContent": "dGhpbmdz"}),
    stop(1),
    delta(2, text=""),
    delta(2, text="Let me"),
    stop(2),
    delta(3, text=" see 日本"),
    delta(3, citation={"title": "t"}),
    stop(3),
    start(4, "tooluse_1", "weather"),
    delta(4, toolUse={"input": ""}),
    delta(4, toolUse={"input": '{"city":"Z'}),
    delta(4, toolUse={"input": 'ürich"}'}),
    stop(4),
    start(5, "tooluse_2", "now"),
    stop(5),
    end("tool_use"),
    METADATA,
]
PARTS = (
    Reasoning("hm, Zürich", "c2ln", "anthropic"),
    Reasoning("", "aGlkZGVuLXRoaW5ncw==", "anthropic", redacted=True),
    Text("Let me see 日本"),
    ToolCall("tooluse_1", "weather", '{"city":"Zürich"}'),
    ToolCall("tooluse_2", "now", "{}"),
)


def test_the_back_is_what_this_file_tests() -> None:
    assert CONVERSE_BACK.read is read_answer
    assert CONVERSE_BACK.decoder is ConverseDecoder


def test_a_whole_answer_is_read_with_disjoint_counts() -> None:
    answer = read_answer(WHOLE, "mine")
    assert answer.parts == PARTS
    assert (answer.model, answer.stop, answer.usage) == ("mine", "tool_calls", COUNTED)
    assert answer.id.startswith("msg_")


def test_a_stream_tells_the_same_answer_and_ends_once_with_usage() -> None:
    events = decoded(STREAM)
    assert folded(events) == PARTS
    assert isinstance(events[0], Started)
    assert events[-1] == Ended("tool_calls", COUNTED)
    assert sum(isinstance(said, Started | Ended) for said in events) == 2
    assert TextDelta("") not in events


@given(st.lists(st.integers(1, 400), min_size=1, max_size=40))
def test_frames_may_be_cut_anywhere(sizes: list[int]) -> None:
    data = b"".join(STREAM)
    pieces, at, turn = [], 0, 0
    while at < len(data):
        pieces.append(data[at : at + sizes[turn % len(sizes)]])
        at += len(pieces[-1])
        turn += 1
    assert decoded(pieces)[1:] == decoded(STREAM)[1:]


def test_every_event_is_told_when_its_frame_is_complete() -> None:
    decoder = ConverseDecoder()
    piece = delta(0, text="now")
    assert [type(said) for said in decoder.feed(BEGIN + piece[:-1])] == [Started]
    assert decoder.feed(piece[-1:]) == [TextDelta("now")]


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("end_turn", "end"),
        ("tool_use", "tool_calls"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("stop_sequence", "stop_sequence"),
        ("guardrail_intervened", "refusal"),
        ("content_filtered", "refusal"),
        ("malformed_model_output", "other"),
        ("malformed_tool_use", "other"),
        ("something_new", "other"),
    ],
)
def test_every_stop_reason_has_a_meaning_in_both(said: str, meant: str) -> None:
    assert read_answer(whole({"text": "x"}, stop=said), "m").stop == meant
    headers = {":event-type": "messageStop", ":message-type": "event"}
    last = decoded([BEGIN, frame(headers, msgspec.json.encode({"stopReason": said})), METADATA])[-1]
    assert isinstance(last, Ended)
    assert last.stop == meant


def test_the_service_model_knows_no_stop_reason_that_we_do_not() -> None:
    from tests.unit.providers.translation.converse_model import _service

    assert set(_service().shape_for("StopReason").enum) == set(STOPS)


def test_a_plain_end_with_calls_in_it_is_an_end_for_calls() -> None:
    call = {"toolUse": {"toolUseId": "a", "name": "n", "input": {"b": 1, "a": 2}}}
    answer = read_answer(whole(call), "m")
    assert answer.stop == "tool_calls"
    assert answer.parts == (ToolCall("a", "n", '{"b":1,"a":2}'),)
    assert decoded([BEGIN, start(0, "a", "n"), stop(0), end(), METADATA])[-1] == Ended("tool_calls", COUNTED)


def test_which_stop_sequence_it_was_is_read_in_both() -> None:
    more = {"additionalModelResponseFields": {"stop_sequence": "END"}}
    assert read_answer(whole({"text": "x"}, stop="stop_sequence", **more), "m").stop_sequence == "END"
    last = decoded([BEGIN, event("messageStop", stopReason="stop_sequence", **more), METADATA])[-1]
    assert last == Ended("stop_sequence", COUNTED, "END")


def test_a_thought_without_a_seal_ends_where_its_block_ends_in_both() -> None:
    thoughts = [{"reasoningContent": {"reasoningText": {"text": words}}} for words in ("one", "two")]
    parts = read_answer(whole(*thoughts, {"text": "so"}), "m").parts
    assert parts == (Reasoning("one"), Reasoning("two"), Text("so"))
    stream = [
        BEGIN,
        delta(0, reasoningContent={"text": "one"}),
        delta(1, reasoningContent={"text": "two"}),  # no stop between them
        delta(2, text="so"),
        end(),
        METADATA,
    ]
    assert folded(decoded(stream)) == parts


def test_a_seal_is_not_lost_where_the_stream_forgets_to_end_its_block() -> None:
    events = decoded([BEGIN, delta(0, reasoningContent={"signature": "c2ln"}), end(), METADATA])
    assert events[1] == ReasoningSealed("c2ln", "anthropic")


def test_parallel_calls_are_told_apart_by_their_blocks() -> None:
    events = decoded(
        [
            BEGIN,
            start(0, "a", "one"),
            start(1, "b", "two"),
            delta(1, toolUse={"input": '{"x":'}),
            delta(0, toolUse={"input": "{}"}),
            start(1, "b", "two"),
            delta(1, toolUse={"input": "1}"}),
            end("tool_use"),
            METADATA,
        ]
    )
    assert folded(events) == (ToolCall("a", "one", "{}"), ToolCall("b", "two", '{"x":1}'))


def test_calls_that_share_a_block_are_two_calls() -> None:
    stream = [BEGIN]
    for name in ("a", "b"):
        stream += [start(0, name, name), delta(0, toolUse={"input": f'{{"{name}":1}}'})]
    events = decoded([*stream, end("tool_use"), METADATA])
    assert folded(events) == (ToolCall("a", "a", '{"a":1}'), ToolCall("b", "b", '{"b":1}'))


def test_what_the_vendors_own_tools_do_is_no_call_for_the_caller() -> None:
    own = {"toolUseId": "s", "name": "nova_grounding", "type": "server_tool_use"}
    result = {"toolUseId": "s", "content": [{"text": "found"}]}
    answer = read_answer(whole({"toolUse": {**own, "input": {}}}, {"toolResult": result}, {"text": "so"}), "m")
    assert answer.parts == (Text("so"),)
    stream = [
        BEGIN,
        event("contentBlockStart", contentBlockIndex=0, start={"toolUse": own}),
        delta(0, toolUse={"input": "{}"}),
        stop(0),
        delta(1, text="so"),
        end(),
        METADATA,
    ]
    assert folded(decoded(stream)) == answer.parts
    assert decoded(stream)[-1] == Ended("end", COUNTED)


def test_metadata_without_usage_does_not_end_the_stream_and_takes_no_usage_away() -> None:
    bare = frame({":event-type": "metadata", ":message-type": "event"}, b'{"metrics":{"latencyMs":1}}')
    assert decoded([BEGIN, delta(0, text="x"), end(), bare, METADATA, bare])[-1] == Ended("end", COUNTED)
    assert decoded([BEGIN, METADATA, bare, end()])[-1] == Ended("end", COUNTED)


def test_a_stream_that_lacks_only_its_metadata_ended_well_and_one_that_broke_off_did_not() -> None:
    assert decoded([BEGIN, delta(0, text="x"), stop(0), end()])[-1] == Ended("end")
    assert decoded([BEGIN, delta(0, text="x"), METADATA[:20]])[-1] == TextDelta("x")


def test_nothing_is_told_after_the_end() -> None:
    events = decoded([BEGIN, end(), METADATA + delta(0, text="late"), exception("throttlingException", message="x")])
    assert isinstance(events[-1], Ended)
    assert len(events) == 2


@pytest.mark.parametrize(
    ("bad", "failed"),
    [
        (exception("throttlingException", message="slow down"), Failed("throttlingException", "slow down")),
        (
            exception("modelStreamErrorException", originalStatusCode=500, originalMessage="broke"),
            Failed("modelStreamErrorException", "broke"),
        ),
        (
            frame({":message-type": "error", ":error-code": "InternalError", ":error-message": "oh"}, b""),
            Failed("InternalError", "oh"),
        ),
    ],
)
def test_an_exception_in_mid_stream_is_the_last_event(bad: bytes, failed: Failed) -> None:
    events = decoded([BEGIN, delta(0, text="x"), bad, delta(0, text="late")])
    assert events[1:] == [TextDelta("x"), failed]


@pytest.mark.parametrize("at", [3, 9, 14, 60, -1])
def test_a_damaged_frame_fails_the_stream_and_tells_none_of_its_content(at: int) -> None:
    damaged = bytearray(delta(0, text="poison"))
    damaged[at] ^= 0x40
    padding = b"\0" * (2 * 1024 * 1024)  # the damage may have made it longer
    events = decoded([BEGIN, bytes(damaged) + padding])
    assert isinstance(events[-1], Failed)
    assert events[-1].kind == "invalid_stream"
    assert len(events) == 2


def test_an_error_page_in_place_of_frames_fails_the_stream() -> None:
    assert isinstance(decoded([b"<html>Service Unavailable</html>"])[-1], Failed)


@pytest.mark.parametrize("body", [b"", b"{}", b'{"output":{}}', b'{"message":"denied"}', b"[1]"])
def test_what_is_no_answer_is_not_read_as_one(body: bytes) -> None:
    with pytest.raises(BAD_ANSWER):
        read_answer(body, "m")
