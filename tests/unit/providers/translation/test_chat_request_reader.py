"""What clients of chat completions ask, in the canonical form."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from providers.canonical.parts import Media, Reasoning, Text, ToolCall, ToolResult, Turn
from providers.canonical.request import Hosted, OutputFormat, Settings, Thinking, Tool, ToolChoice
from tests.unit.providers.translation.chat_sdk import read, refusal

PNG = "iVBORw0KGgo="
FUNCTION = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}


def user(*parts: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(parts)}]}


def calling(*calls: Any, **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": None, "tool_calls": list(calls), **more}


def call(name: str = "c1", arguments: Any = "{}") -> dict[str, Any]:
    return {"id": name, "type": "function", "function": {"name": "f", "arguments": arguments}}


def result(name: str = "c1", content: Any = "42") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": name, "content": content}


def test_developer_and_system_are_one_role_wherever_they_stand() -> None:
    asked = read(
        messages=[
            {"role": "developer", "content": "a"},
            {"role": "user", "content": "b"},
            {"role": "system", "content": [{"type": "text", "text": "c"}]},
        ]
    )
    assert asked.turns == (Turn("system", (Text("a"),)), Turn("user", (Text("b"),)), Turn("system", (Text("c"),)))


def test_every_kind_of_content_is_read() -> None:
    asked = read(
        **user(
            {"type": "text", "text": "see", "cache_control": {"type": "ephemeral"}},
            {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}", "detail": "low"}},
            {
                "type": "image_url",
                "image_url": "https://x.test/a.png",
                "cache_control": {"type": "ephemeral", "ttl": "1h"},
            },
            {"type": "input_audio", "input_audio": {"data": PNG, "format": "mp3"}},
            {"type": "file", "file": {"file_data": f"data:application/pdf;base64,{PNG}", "filename": "a.pdf"}},
            {"type": "file", "file": {"file_data": PNG, "filename": "b.pdf"}},
            {"type": "file", "file": {"file_id": "file-1"}},
            {"type": "video_url", "video_url": {"url": "https://x.test/a.mp4"}},
            {"type": "text", "text": "x", "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "12h"}},
        )
    )
    assert asked.turns[0].parts == (
        Text("see", "5m"),
        Media("image", "image/png", PNG, detail="low"),
        Media("image", url="https://x.test/a.png", cache="1h"),
        Media("audio", "audio/mpeg", PNG),
        Media("document", "application/pdf", PNG, name="a.pdf"),
        Media("document", "application/pdf", PNG, name="b.pdf"),
        Media("document", file_id="file-1", dialect="openai"),
        Media("video", url="https://x.test/a.mp4"),
        Text("x", "1h"),
    )
    assert asked.carried == {}


def test_calls_and_their_results_are_turns_and_a_run_of_results_is_one() -> None:
    custom = {"id": "c2", "type": "custom", "custom": {"name": "patch", "input": "*** Begin"}}
    asked = read(
        messages=[
            calling(call(arguments={"a": 1}), custom),
            result("c2"),
            result("c1", [{"type": "text", "text": "x"}]),
        ]
    )
    assert asked.turns == (
        Turn("assistant", (ToolCall("c1", "f", '{"a":1}'), ToolCall("c2", "patch", "*** Begin", custom=True))),
        Turn("user", (ToolResult("c2", (Text("42"),)), ToolResult("c1", (Text("x"),)))),
    )


def test_empty_arguments_are_no_arguments() -> None:
    assert read(messages=[calling(call(arguments=""))]).turns[0].parts == (ToolCall("c1", "f", "{}"),)


def test_thoughts_are_read_from_every_field_that_vendors_use() -> None:
    details = [
        {"type": "reasoning.text", "text": "hm", "signature": "S", "format": "anthropic-claude-v1", "index": 0},
        {"type": "reasoning.encrypted", "data": "R", "format": "anthropic-claude-v1", "index": 1},
        {"type": "reasoning.encrypted", "data": "tk1.gemini.G", "format": "google-gemini-v1", "id": "c1", "index": 2},
    ]
    asked = read(
        messages=[
            {"role": "assistant", "content": "a", "reasoning_content": "one"},
            {"role": "assistant", "content": "b", "reasoning": "two"},
            calling(call(), reasoning_details=details, reasoning_content="hm", content="c"),
            {"role": "assistant", "content": [{"type": "thinking", "thinking": [{"type": "text", "text": "three"}]}]},
        ]
    )
    assert [turn.parts for turn in asked.turns] == [
        (Reasoning("one"), Text("a")),
        (Reasoning("two"), Text("b")),
        (
            Reasoning("hm", "S", "anthropic"),
            Reasoning("", "R", "anthropic", redacted=True),
            Text("c"),
            Reasoning("", "G", "gemini", id="c1"),
            ToolCall("c1", "f", "{}"),
        ),
        (Reasoning("three"),),
    ]


def test_fragments_of_a_thought_that_a_client_kept_apart_are_one_thought() -> None:
    details = [
        {"type": "reasoning.text", "text": "a", "index": 0},
        {"type": "reasoning.text", "text": "b", "index": 0},
        {"type": "reasoning.text", "text": "", "signature": "tk1.anthropic.S", "index": 0},
    ]
    asked = read(messages=[{"role": "assistant", "content": "c", "reasoning_details": details}])
    assert asked.turns[0].parts == (Reasoning("ab", "S", "anthropic"), Text("c"))


def test_a_refusal_in_the_history_is_text() -> None:
    asked = read(
        messages=[
            {"role": "assistant", "content": None, "refusal": "No."},
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "Never."}]},
        ]
    )
    assert asked.turns == (Turn("assistant", (Text("No."),)), Turn("assistant", (Text("Never."),)))


def test_parameters_find_their_places() -> None:
    asked = read(
        max_completion_tokens=9,
        temperature=0.5,
        top_p=1,
        top_k=40,
        stop="END",
        seed=-3,
        presence_penalty=1,
        frequency_penalty=-1,
        user="u",
        parallel_tool_calls=False,
        reasoning_effort="xhigh",
        response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": {"a": 1}, "strict": True}},
        stream_options={"include_usage": True},
        n=1,
        logprobs=False,
        logit_bias={},
        modalities=["text"],
    )
    assert asked.settings == Settings(
        max_tokens=9,
        temperature=0.5,
        top_p=1,
        top_k=40,
        stop=("END",),
        seed=-3,
        presence_penalty=1,
        frequency_penalty=-1,
        user="u",
        parallel_calls=False,
        thinking=Thinking(effort="xhigh"),
        output=OutputFormat({"a": 1}, "n", True),
    )
    assert asked.stream_usage
    assert asked.carried == {}


def test_usage_is_wanted_only_by_who_asks_for_it() -> None:
    assert not read().stream_usage
    assert not read(stream_options={"include_usage": False}).stream_usage


@pytest.mark.parametrize(
    ("wanted", "output"),
    [({"type": "text"}, None), ({"type": "json_object"}, OutputFormat()), ({}, None)],
)
def test_the_form_of_the_output(wanted: Any, output: OutputFormat | None) -> None:
    asked = read(response_format=wanted)
    assert asked.settings.output == output
    assert asked.carried == {}


def test_what_only_this_dialect_knows_is_carried() -> None:
    fields: dict[str, Any] = {
        "n": 2,
        "logprobs": True,
        "logit_bias": {"1": 2},
        "metadata": {"a": "b"},
        "service_tier": "flex",
        "response_format": {"type": "grammar", "grammar": "x"},
        "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}},
        "thinking": {"type": "enabled"},
    }
    asked = read(**fields, stream_options={"include_usage": True, "include_obfuscation": False}, audio=None)
    assert asked.carried == {**fields, "stream_options": {"include_obfuscation": False}}


def test_what_a_message_says_besides_is_carried_with_the_number_of_its_turn() -> None:
    asked = read(
        messages=[
            {"role": "user", "content": "a", "name": "ada"},
            calling(
                {**call(), "index": 0, "extra_content": {"x": 1}}, annotations=[], audio={"id": "a1"}, refusal=None
            ),
            {**result(), "name": "f"},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "b", "annotations": [1]},
                    {"type": "image_url", "image_url": {"url": "https://x.test/a", "format": "image/png"}},
                ],
                "name": "bob",
            },
        ]
    )
    assert asked.carried == {
        "messages.name": {"0": "ada", "3": "bob"},
        "messages.audio": {"1": {"id": "a1"}},
        "messages.tool_calls.extra_content": {"x": 1},
        "messages.content.annotations": [1],
        "messages.content.image_url.format": "image/png",
    }


def test_tools_of_every_sort() -> None:
    grammar = {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: X"}}
    asked = read(
        tools=[
            {
                "type": "function",
                "function": {"name": "f", "description": "d", "parameters": {"b": 1, "a": 2}, "strict": True},
                "cache_control": {"type": "ephemeral"},
            },
            {"type": "custom", "custom": {"name": "p", "format": grammar}},
            {"type": "web_search", "x": 1},
        ],
        tool_choice={"type": "custom", "custom": {"name": "p"}},
    )
    assert asked.tools == (Tool("f", "d", {"b": 1, "a": 2}, True, cache="5m"), Tool("p", schema=grammar, custom=True))
    assert list(asked.tools[0].schema) == ["b", "a"]
    assert asked.hosted == (Hosted("openai_chat", "web_search", {"type": "web_search", "x": 1}),)
    assert asked.choice == ToolChoice("named", "p")


@pytest.mark.parametrize("mode", ["auto", "none", "required"])
def test_choices_by_word(mode: Any) -> None:
    assert read(tools=[FUNCTION], tool_choice=mode).choice == ToolChoice(mode)


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"messages": []}, "messages", "empty array"),
    ({"messages": ["x"]}, "messages[0]", "object"),
    ({"messages": [{"role": "bot", "content": "x"}]}, "messages[0].role", "'bot'"),
    ({"messages": [{"role": "user"}]}, "messages[0].content", "required"),
    ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content", "array"),
    (user({"type": "input_text", "text": "x"}), "messages[0].content[0].type", "'image_url'"),
    (user({"type": "text", "text": 1}), "messages[0].content[0].text", "string"),
    (user({"type": "text", "text": "x"}, {"type": "image_url", "image_url": {}}), "messages[0].content[1].image_url.url", "required"),
    (user({"type": "image_url", "image_url": {"url": "data:image/png;base64,%%%"}}), "messages[0].content[0].image_url.url", "base64"),
    (user({"type": "image_url", "image_url": {"url": "data:image/png,abc"}}), "messages[0].content[0].image_url.url", "data URL"),
    (user({"type": "input_audio", "input_audio": {"data": "!", "format": "wav"}}), "messages[0].content[0].input_audio.data", "base64"),
    (user({"type": "text", "text": "x", "cache_control": {"ttl": "9m"}}), "messages[0].content[0].cache_control.ttl", "'9m'"),
    ({"messages": [{"role": "system", "content": [{"type": "image_url", "image_url": {"url": "u"}}]}]}, "messages[0].content[0].type", "'text'"),
    ({"messages": [{"role": "function", "name": "f", "content": "x"}]}, "messages[0].role", "deprecated"),
    ({"messages": [{"role": "assistant", "function_call": {"name": "f", "arguments": ""}}]}, "messages[0].function_call", "deprecated"),
    ({"messages": [calling(call(), call())]}, "messages[0].tool_calls[1].id", "unique"),
    ({"messages": [calling(call()), result(), calling(call())]}, "messages[2].tool_calls[0].id", "unique"),
    ({"messages": [calling({**call(), "id": ""})]}, "messages[0].tool_calls[0].id", "empty"),
    ({"messages": [calling({**call(), "type": "magic"})]}, "messages[0].tool_calls[0].type", "'magic'"),
    ({"messages": [calling(call(arguments=[1]))]}, "messages[0].tool_calls[0].function.arguments", "string"),
    ({"messages": [result()]}, "messages[0].tool_call_id", "no call 'c1'"),
    ({"messages": [calling(call()), result(), result()]}, "messages[2].tool_call_id", "already"),
    ({"messages": [{"role": "assistant", "content": "x", "reasoning_details": "y"}]}, "messages[0].reasoning_details", "array"),
    ({"max_tokens": -1}, "max_tokens", "at least 1"),
    ({"max_tokens": 1.5}, "max_tokens", "whole"),
    ({"max_tokens": 1, "max_completion_tokens": 2}, "max_tokens", "same time"),
    ({"temperature": 2.1}, "temperature", "between 0 and 2"),
    ({"temperature": "hot"}, "temperature", "number"),
    ({"top_p": 1.1}, "top_p", "between"),
    ({"presence_penalty": 3}, "presence_penalty", "between"),
    ({"stop": ["a"] * 5}, "stop", "maximum length 4"),
    ({"stop": [1]}, "stop[0]", "string"),
    ({"n": 0}, "n", "at least 1"),
    ({"n": True}, "n", "whole"),
    ({"seed": "x"}, "seed", "whole"),
    ({"user": 5}, "user", "string"),
    ({"parallel_tool_calls": "yes"}, "parallel_tool_calls", "true or false"),
    ({"reasoning_effort": "huge"}, "reasoning_effort", "'minimal'"),
    ({"response_format": "json"}, "response_format", "object"),
    ({"response_format": {"type": 1}}, "response_format.type", "'json_object'"),
    ({"response_format": {"type": "json_schema"}}, "response_format.json_schema", "required"),
    ({"stream_options": []}, "stream_options", "object"),
    ({"tools": [{"function": {"name": "f"}}]}, "tools[0].type", "required"),
    ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name", "required"),
    ({"tools": [{"type": "function", "function": {"name": "f", "parameters": []}}]}, "tools[0].function.parameters", "object"),
    ({"tool_choice": "any"}, "tool_choice", "'required'"),
    ({"tools": [FUNCTION], "tool_choice": {"type": "function", "function": {"name": "g"}}}, "tool_choice.function.name", "not found"),
    ({"tool_choice": {"type": "x"}}, "tool_choice.type", "'x'"),
    ({"functions": [{"name": "f"}]}, "functions", "deprecated"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "field", "said"), REFUSED, ids=[f"{n}-{row[1]}" for n, row in enumerate(REFUSED)])
def test_a_mistake_is_named_by_the_path_of_its_field(fields: dict[str, Any], field: str, said: str) -> None:
    error = refusal(**fields)
    assert (error.code, error.field) == ("invalid_request", field)
    assert said in error.message


CAPTURES = Path(__file__).parent / "chat_captures.json"


@pytest.mark.parametrize("body", json.loads(CAPTURES.read_text()), ids=lambda body: body["from"])
def test_what_real_clients_send_is_read_whole(body: dict[str, Any]) -> None:
    asked = read(**{name: value for name, value in body.items() if name != "from"})
    assert len(asked.tools) == len(body.get("tools", ()))
    assert asked.carried == {}
