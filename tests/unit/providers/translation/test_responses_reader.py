"""What clients of OpenAI's responses ask, in the canonical form."""

from __future__ import annotations

import json
from typing import Any

import pytest

from policies.strict_json import BodyError, strict_object
from providers.canonical.parts import Media, Opaque, Reasoning, Text, ToolCall, ToolResult, Turn
from providers.canonical.request import Hosted, OutputFormat, Request, Thinking, Tool, ToolChoice
from providers.translation.responses import RESPONSES_FACE

PNG = "iVBORw0KGgo="


def read(**fields: Any) -> Request:
    body = json.dumps({"model": "m", "input": "hi", **fields}).encode()
    return RESPONSES_FACE.read(strict_object(body, frozenset()), "m", stream=False)


def refused(**fields: Any) -> BodyError:
    with pytest.raises(BodyError) as caught:
        read(**fields)
    return caught.value


def test_a_string_is_what_the_user_says() -> None:
    assert read().turns == (Turn("user", (Text("hi"),)),)


def test_instructions_lead_and_developer_messages_are_system_turns_wherever_they_stand() -> None:
    asked = read(
        instructions="Be brief.",
        input=[
            {"role": "developer", "content": [{"type": "input_text", "text": "You are Codex."}]},
            {"role": "user", "content": "a"},
            {"type": "message", "role": "system", "content": "b"},
        ],
    )
    assert asked.turns == (
        Turn("system", (Text("Be brief."),)),
        Turn("system", (Text("You are Codex."),)),
        Turn("user", (Text("a"),)),
        Turn("system", (Text("b"),)),
    )


def test_what_the_assistant_said_thought_and_called_is_one_turn_and_its_results_are_the_next() -> None:
    asked = read(
        input=[
            {"role": "user", "content": "Add"},
            {
                "type": "reasoning",
                "id": "rs_1",
                "summary": [{"type": "summary_text", "text": "hm"}],
                "content": None,
                "encrypted_content": "sealed",
            },
            {
                "type": "message",
                "id": "msg_1",
                "role": "assistant",
                "status": "completed",
                "content": [{"type": "output_text", "text": "Adding.", "annotations": [], "logprobs": []}],
            },
            {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "add", "arguments": '{"a": 2}'},
            {"type": "function_call", "call_id": "c2", "name": "add", "namespace": "mcp__lab", "arguments": ""},
            {"type": "custom_tool_call", "call_id": "c3", "name": "patch", "input": "*** Begin"},
            {"type": "function_call_output", "call_id": "c2", "output": ""},
            {"type": "function_call_output", "call_id": "c1", "output": [{"type": "input_text", "text": "42"}]},
            {"type": "custom_tool_call_output", "call_id": "c3", "output": "done"},
        ]
    )
    assert asked.turns[1:] == (
        Turn(
            "assistant",
            (
                Reasoning("hm", "sealed", "openai", id="rs_1"),
                Text("Adding."),
                ToolCall("c1", "add", '{"a": 2}'),
                ToolCall("c2", "add", "{}", "mcp__lab"),
                ToolCall("c3", "patch", "*** Begin", custom=True),
            ),
        ),
        Turn(
            "user",
            (ToolResult("c2"), ToolResult("c1", (Text("42"),)), ToolResult("c3", (Text("done"),))),
        ),
    )


@pytest.mark.parametrize(
    ("written", "thought"),
    [
        ("tk1.anthropic.sig", Reasoning("", "sig", "anthropic", redacted=False, id="rs_1")),
        ("tk1.anthropic~redacted.data", Reasoning("", "data", "anthropic", redacted=True, id="rs_1")),
        ("tk1.gemini.a.b", Reasoning("", "a.b", "gemini", redacted=False, id="rs_1")),
        ("gAAAA", Reasoning("", "gAAAA", "openai", redacted=True, id="rs_1")),
    ],
)
def test_a_seal_comes_back_as_its_vendor_made_it(written: str, thought: Reasoning) -> None:
    item = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": written}
    assert read(input=[item]).turns == (Turn("assistant", (thought,)),)


def test_a_reasoning_item_without_content_holds_nothing() -> None:
    assert read(input=[{"role": "user", "content": "a"}, {"type": "reasoning", "id": "rs", "summary": []}]).turns == (
        Turn("user", (Text("a"),)),
    )


@pytest.mark.parametrize(
    ("part", "media"),
    [
        (
            {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}", "detail": "low"},
            Media("image", mime="image/png", data=PNG, detail="low"),
        ),
        ({"type": "input_image", "image_url": "https://x/y.png"}, Media("image", url="https://x/y.png")),
        ({"type": "input_image", "file_id": "file-1"}, Media("image", file_id="file-1", dialect="openai")),
        (
            {"type": "input_file", "filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PNG}"},
            Media("document", mime="application/pdf", data=PNG, name="a.pdf"),
        ),
        (
            {"type": "input_file", "filename": "a.pdf", "file_data": PNG},
            Media("document", mime="application/pdf", data=PNG, name="a.pdf"),
        ),
        ({"type": "input_file", "file_url": "https://x/a.pdf"}, Media("document", url="https://x/a.pdf")),
        ({"type": "input_file", "file_id": "file-2"}, Media("document", file_id="file-2", dialect="openai")),
        (
            {"type": "input_audio", "input_audio": {"data": PNG, "format": "mp3"}},
            Media("audio", mime="audio/mpeg", data=PNG),
        ),
    ],
)
def test_media_are_read_with_all_that_is_said_of_them(part: dict[str, Any], media: Media) -> None:
    assert read(input=[{"role": "user", "content": [part]}]).turns == (Turn("user", (media,)),)


def test_a_cache_breakpoint_is_a_cache_mark() -> None:
    content = [
        {"type": "input_text", "text": "a", "prompt_cache_breakpoint": {"mode": "explicit"}},
        {"type": "input_text", "text": "b", "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "12h"}},
    ]
    turns = read(input=[{"role": "user", "content": content}]).turns
    assert turns == (Turn("user", (Text("a", cache="5m"), Text("b", cache="1h"))),)


def test_tools_of_all_kinds_are_read() -> None:
    hosted = {"type": "web_search", "external_web_access": True}
    grammar = {"type": "grammar", "syntax": "lark", "definition": "start: x"}
    asked = read(
        tools=[
            {"type": "function", "name": "add", "parameters": {"type": "object"}, "strict": True, "description": "d"},
            {
                "type": "namespace",
                "name": "mcp__lab",
                "description": "The lab.",
                "tools": [{"type": "function", "name": "add", "parameters": {"b": 1, "a": 2}, "defer_loading": True}],
            },
            {"type": "custom", "name": "apply_patch", "description": "p", "format": grammar},
            hosted,
        ]
    )
    assert asked.tools == (
        Tool("add", "d", {"type": "object"}, True),
        Tool("add", "", {"b": 1, "a": 2}, namespace="mcp__lab", deferred=True),
        Tool("apply_patch", "p", grammar, custom=True),
    )
    assert list(asked.tools[1].schema) == ["b", "a"]
    assert asked.hosted == (Hosted("openai_responses", "web_search", hosted),)
    assert asked.carried == {"tools.namespaces": {"mcp__lab": "The lab."}}


def test_codex_s_own_search_is_a_function_and_what_it_finds_is_offered() -> None:
    found = {
        "type": "namespace",
        "name": "mcp__lab",
        "description": "The lab.",
        "tools": [{"type": "function", "name": "add", "defer_loading": True, "parameters": {}}],
    }
    asked = read(
        tools=[{"type": "tool_search", "execution": "client", "description": "s", "parameters": {"type": "object"}}],
        input=[
            {"role": "user", "content": "a"},
            {"type": "tool_search_call", "execution": "client", "call_id": "c1", "arguments": {"query": "add"}},
            {"type": "tool_search_output", "execution": "client", "call_id": "c1", "tools": [found]},
            {"type": "tool_search_call", "execution": "client", "call_id": "c2", "arguments": {"query": "again"}},
            {"type": "tool_search_output", "execution": "client", "call_id": "c2", "tools": [found]},
        ],
    )
    assert [(tool.namespace, tool.name) for tool in asked.tools] == [("", "tool_search"), ("mcp__lab", "add")]
    assert asked.turns[1:3] == (
        Turn("assistant", (ToolCall("c1", "tool_search", '{"query":"add"}'),)),
        Turn("user", (ToolResult("c1", (Text("Tool mcp__lab__add is available now."),)),)),
    )


def test_a_search_that_the_vendor_runs_is_the_vendor_s() -> None:
    asked = read(tools=[{"type": "tool_search"}], input=[{"type": "tool_search_call", "arguments": {}}])
    assert asked.tools == ()
    assert [tool.kind for tool in asked.hosted] == ["tool_search"]
    assert [type(part) for turn in asked.turns for part in turn.parts] == [Opaque]


TOOLS = [
    {"type": "function", "name": "add"},
    {"type": "function", "name": "echo"},
    {"type": "custom", "name": "patch"},
    {"type": "namespace", "name": "lab", "tools": [{"type": "function", "name": "grow"}]},
]


@pytest.mark.parametrize(
    ("given", "choice"),
    [
        (None, None),
        ("auto", ToolChoice("auto")),
        ("none", ToolChoice("none")),
        ("required", ToolChoice("required")),
        ({"type": "function", "name": "echo"}, ToolChoice("named", "echo")),
        ({"type": "function", "name": "grow"}, ToolChoice("named", "grow", "lab")),
        ({"type": "custom", "name": "patch"}, ToolChoice("named", "patch")),
    ],
)
def test_a_choice_of_tools_is_read(given: Any, choice: ToolChoice | None) -> None:
    assert read(tools=TOOLS, tool_choice=given).choice == choice


def test_allowed_tools_are_an_offer_of_fewer_tools() -> None:
    allowed = [{"type": "function", "name": "echo"}, {"type": "namespace", "name": "lab"}]
    asked = read(
        tools=[*TOOLS, {"type": "web_search"}],
        tool_choice={"type": "allowed_tools", "mode": "required", "tools": allowed},
    )
    assert [tool.name for tool in asked.tools] == ["echo", "grow"]
    assert asked.hosted == ()
    assert asked.choice == ToolChoice("required")


def test_a_choice_of_the_vendor_s_own_tool_is_carried() -> None:
    asked = read(tools=[{"type": "file_search"}], tool_choice={"type": "file_search"})
    assert asked.choice is None
    assert asked.carried == {"tool_choice": {"type": "file_search"}}


def test_settings_have_their_canonical_places_and_everything_else_is_carried() -> None:
    schema = {"type": "object", "properties": {"z": {}, "a": {}}}
    asked = read(
        max_output_tokens=100,
        temperature=0.5,
        top_p=0.9,
        user="u",
        parallel_tool_calls=False,
        reasoning={"effort": "high", "summary": "auto", "context": "all_turns"},
        text={
            "format": {"type": "json_schema", "name": "n", "schema": schema, "strict": True, "description": "d"},
            "verbosity": "low",
        },
        store=False,
        include=["reasoning.encrypted_content"],
        prompt_cache_key="k",
        client_metadata={"a": "b"},
        metadata={"m": "n"},
        background=False,
        service_tier=None,
        brand_new={"x": 1},
    )
    settings = asked.settings
    assert (settings.max_tokens, settings.temperature, settings.top_p) == (100, 0.5, 0.9)
    assert (settings.user, settings.parallel_calls) == ("u", False)
    assert settings.thinking == Thinking("high", show=True)
    assert settings.output == OutputFormat(schema, "n", True, "d")
    assert asked.carried == {
        "store": False,
        "include": ["reasoning.encrypted_content"],
        "prompt_cache_key": "k",
        "client_metadata": {"a": "b"},
        "metadata": {"m": "n"},
        "brand_new": {"x": 1},
        "reasoning.summary": "auto",
        "reasoning.context": "all_turns",
        "text.verbosity": "low",
    }


@pytest.mark.parametrize(("form", "output"), [("text", None), ("json_object", OutputFormat())])
def test_other_formats_of_text(form: str, output: OutputFormat | None) -> None:
    assert read(text={"format": {"type": form}}).settings.output == output


def test_items_of_hosted_tools_stay_as_they_came() -> None:
    call = {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search"}}
    shell = {"type": "local_shell_call_output", "id": "x", "output": "{}"}
    asked = read(input=[{"role": "user", "content": "a"}, call, shell])
    assert asked.turns[1:] == (
        Turn("assistant", (Opaque("openai_responses", "web_search_call", call),)),
        Turn("user", (Opaque("openai_responses", "local_shell_call_output", shell),)),
    )


def test_labels_of_messages_and_tools_are_carried_under_their_path() -> None:
    citation = {"type": "url_citation", "url": "https://x", "title": "t", "start_index": 0, "end_index": 1}
    said = {"type": "output_text", "text": "b", "annotations": [citation]}
    asked = read(
        input=[{"role": "user", "content": "a"}, {"role": "assistant", "phase": "final_answer", "content": [said]}],
        tools=[{"type": "function", "name": "add", "output_schema": {"type": "object"}}],
    )
    assert asked.carried == {
        "input.phase": "final_answer",
        "input.annotations": [citation],
        "tools.output_schema": {"type": "object"},
    }


def call(name: str = "c1", **more: Any) -> dict[str, Any]:
    return {"type": "function_call", "call_id": name, "name": "add", "arguments": "{}", **more}


def output(name: str = "c1", text: Any = "1") -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": name, "output": text}


def said(*parts: Any) -> list[Any]:
    return [{"role": "user", "content": list(parts)}]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"input": None}, "input"),
        ({"input": []}, "input"),
        ({"input": 3}, "input"),
        ({"input": ["hi"]}, "input[0]"),
        ({"input": [{"role": "robot", "content": "a"}]}, "input[0].role"),
        ({"input": [{"role": "user"}]}, "input[0].content"),
        ({"input": [{"type": "mesage", "role": "user", "content": "a"}]}, "input[0].type"),
        ({"input": [{"type": ["x"]}]}, "input[0].type"),
        ({"input": [{"content": "a"}]}, "input[0].type"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0]"),
        ({"input": [{"id": "msg_1"}]}, "input[0]"),
        ({"input": said("a")}, "input[0].content[0]"),
        ({"input": said({"type": "image"})}, "input[0].content[0].type"),
        ({"input": said({"type": "input_text"})}, "input[0].content[0].text"),
        ({"input": said({"type": "input_text", "text": 1})}, "input[0].content[0].text"),
        ({"input": said({"type": "input_image", "detail": "low"})}, "input[0].content[0].image_url"),
        ({"input": said({"type": "input_image", "image_url": "data:,x"})}, "input[0].content[0].image_url"),
        (
            {"input": said({"type": "input_image", "image_url": "data:image/png;base64,a*"})},
            "input[0].content[0].image_url",
        ),
        ({"input": said({"type": "input_file", "file_data": "a*"})}, "input[0].content[0].file_data"),
        (
            {"input": said({"type": "input_audio", "input_audio": {"data": "", "format": "ogg"}})},
            "input[0].content[0].input_audio.format",
        ),
        ({"input": [call(), call(), output()]}, "input[1].call_id"),
        ({"input": [output()]}, "input[0].call_id"),
        ({"input": [call(), output(), output()]}, "input[2].call_id"),
        ({"input": [call()]}, "input"),
        ({"input": [call(name="")]}, "input[0].call_id"),
        ({"input": [call(arguments={"a": 1})]}, "input[0].arguments"),
        ({"input": [call(), output(text={"a": 1})]}, "input[1].output"),
        ({"input": [{"type": "reasoning", "summary": ["x"]}]}, "input[0].summary"),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"background": True}, "background"),
        ({"instructions": ["x"]}, "instructions"),
        ({"max_output_tokens": -1}, "max_output_tokens"),
        ({"max_output_tokens": True}, "max_output_tokens"),
        ({"temperature": 3}, "temperature"),
        ({"temperature": "hot"}, "temperature"),
        ({"top_p": 1.5}, "top_p"),
        ({"parallel_tool_calls": "yes"}, "parallel_tool_calls"),
        ({"reasoning": {"effort": "enormous"}}, "reasoning.effort"),
        ({"reasoning": "high"}, "reasoning"),
        ({"text": {"format": {"type": "xml"}}}, "text.format.type"),
        ({"text": {"format": {"type": "json_schema", "name": "n"}}}, "text.format.schema"),
        ({"text": {"format": {"type": "json_schema", "schema": {}}}}, "text.format.name"),
        ({"user": 1}, "user"),
        ({"tools": {}}, "tools"),
        ({"tools": [{"name": "add"}]}, "tools[0].type"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ({"tools": [{"type": "function", "name": "a", "parameters": "x"}]}, "tools[0].parameters"),
        ({"tools": [{"type": "function", "name": "a"}, {"type": "function", "name": "a"}]}, "tools[1].name"),
        ({"tools": [{"type": "namespace", "name": "n", "tools": [{"type": "mcp"}]}]}, "tools[0].tools[0].type"),
        ({"tool_choice": "any"}, "tool_choice"),
        ({"tool_choice": {"type": "function", "name": "add"}}, "tool_choice.name"),
    ],
)
def test_a_mistake_is_named_by_its_path(fields: dict[str, Any], field: str) -> None:
    error = refused(**fields)
    assert error.field == field
    assert error.code == "invalid_request"
    assert field in error.message


def test_a_request_that_leans_on_a_stored_response_says_what_to_do() -> None:
    assert "send the whole input" in refused(previous_response_id="resp_1").message


def test_a_model_that_wrote_broken_arguments_does_not_end_the_session() -> None:
    turns = read(input=[call(arguments='{"a": '), output(text="invalid arguments")]).turns
    assert turns[0] == Turn("assistant", (ToolCall("c1", "add", '{"a": '),))
