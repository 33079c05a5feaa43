"""Anthropic's messages, read and written: what is kept, what is refused, what is said to be lost."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming, MessageCreateParamsStreaming

from policies.strict_json import BodyError, strict_object
from providers.canonical.losses import Losses
from providers.canonical.parts import Media, Opaque, Reasoning, Text, ToolCall, ToolReference, ToolResult, Turn
from providers.canonical.request import OutputFormat, Request, Settings, Thinking, Tool, ToolChoice
from providers.translation.anthropic import ANTHROPIC_BACK, ANTHROPIC_FACE
from providers.translation.base import DEFAULT_TRAITS
from providers.translation.carried import lose_carried
from tests.support.canonical import PNG
from tests.support.typed_dicts import problems

SAY: dict[str, Any] = {"model": "m", "max_tokens": 100, "messages": [{"role": "user", "content": "hi"}]}


def read(**fields: Any) -> Request:
    return ANTHROPIC_FACE.read(strict_object(json.dumps({**SAY, **fields}).encode(), frozenset()), "m", stream=False)


def wrong(**fields: Any) -> BodyError:
    with pytest.raises(BodyError) as caught:
        read(**fields)
    return caught.value


def write(request: Request, model: str = "claude-sonnet-4-6") -> tuple[dict[str, Any], list[str], list[str]]:
    """The body, checked against the SDK's types, with its demands and hints."""
    written = ANTHROPIC_BACK.write(request, model, DEFAULT_TRAITS)
    body = msgspec.json.decode(written.body)
    kind = MessageCreateParamsStreaming if request.stream else MessageCreateParamsNonStreaming
    # The newest SDK no longer lists what the API of 2023-06-01 takes for models that have it.
    checked = {name: value for name, value in body.items() if name not in ("temperature", "top_p", "top_k")}
    assert problems(checked, kind) == []
    return body, written.losses.demands, written.losses.hints


def asked(*turns: Turn, **fields: Any) -> Request:
    return Request(dialect="openai_chat", model="m", turns=turns or (Turn("user", (Text("hi"),)),), **fields)


def test_every_kind_of_block_is_read() -> None:
    call = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"at": [1, None]}}
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
    result = {
        "type": "tool_result",
        "tool_use_id": "toolu_1",
        "content": [{"type": "text", "text": "seen"}, image, {"type": "tool_reference", "tool_name": "more"}],
        "is_error": True,
        "cache_control": {"type": "ephemeral", "ttl": "1h"},
    }
    found = read(
        system=[{"type": "text", "text": "be brief", "cache_control": {"type": "ephemeral"}}],
        messages=[
            {"role": "user", "content": [{"type": "text", "text": "hi"}, image]},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "c2ln"},
                    {"type": "text", "text": "ok"},
                    call,
                ],
            },
            {"role": "user", "content": [result]},
            {"role": "system", "content": "new tools"},
            {
                "role": "user",
                "content": [{"type": "document", "source": {"type": "url", "url": "https://a/b.pdf"}, "title": "b"}],
            },
        ],
    )
    assert found.turns == (
        Turn("system", (Text("be brief", "5m"),)),
        Turn("user", (Text("hi"), Media("image", "image/png", PNG))),
        Turn(
            "assistant",
            (Reasoning("hm", "c2ln", "anthropic"), Text("ok"), ToolCall("toolu_1", "look", '{"at":[1,null]}')),
        ),
        Turn(
            "user",
            (
                ToolResult(
                    "toolu_1", (Text("seen"), Media("image", "image/png", PNG), ToolReference("more")), True, "1h"
                ),
            ),
        ),
        Turn("system", (Text("new tools"),)),
        Turn("user", (Media("document", url="https://a/b.pdf", name="b"),)),
    )


def test_settings_tools_and_thinking_are_read() -> None:
    schema = {"type": "object", "properties": {}}
    found = read(
        tools=[
            {"name": "look", "description": "d", "input_schema": schema, "defer_loading": True},
            {"type": "web_search_20250305", "name": "web_search"},
        ],
        tool_choice={"type": "tool", "name": "look", "disable_parallel_tool_use": True},
        temperature=0.5,
        top_k=4,
        stop_sequences=["END"],
        metadata={"user_id": "u1"},
        thinking={"type": "enabled", "budget_tokens": 2048},
        output_config={"format": {"type": "json_schema", "schema": schema}},
        context_management={"edits": []},
    )
    assert found.tools == (Tool("look", "d", schema, deferred=True),)
    assert [hosted.kind for hosted in found.hosted] == ["web_search_20250305"]
    assert found.choice == ToolChoice("named", "look")
    assert found.settings == Settings(
        max_tokens=100,
        temperature=0.5,
        top_k=4,
        stop=("END",),
        user="u1",
        parallel_calls=False,
        thinking=Thinking(budget=2048),
        output=OutputFormat(schema),
    )
    assert found.carried == {"context_management": {"edits": []}}


def test_a_record_of_account_and_device_stays_with_anthropic() -> None:
    record = json.dumps({"device_id": "d" * 40, "account_uuid": "a" * 36})
    found = read(metadata={"user_id": record})
    assert found.settings.user is None
    assert found.carried == {"metadata": {"user_id": record}}


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"max_tokens": None}, "max_tokens"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": "many"}, "max_tokens"),
        ({"temperature": 1.5}, "temperature"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": [{"type": "hologram"}]}]}, "messages.0.content.0.type"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages.0.content.0.text"),
        (
            {"messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "x"}]}]},
            "messages.0.content.0.tool_use_id",
        ),
        (
            {
                "messages": [
                    {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "n", "input": {}}] * 2}
                ]
            },
            "messages.0.content.1.id",
        ),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "%%%"}}
                        ],
                    }
                ]
            },
            "messages.0.content.0.source.data",
        ),
        ({"tools": [{"name": "a", "input_schema": {}}, {"name": "a", "input_schema": {}}]}, "tools.1.name"),
        ({"tools": [{"name": "a", "input_schema": "no"}]}, "tools.0.input_schema"),
        ({"tool_choice": {"type": "perhaps"}}, "tool_choice.type"),
        ({"thinking": {"type": "enabled", "budget_tokens": 5}}, "thinking.budget_tokens"),
        ({"output_config": {"effort": "huge"}}, "output_config.effort"),
        ({"stop_sequences": "END"}, "stop_sequences"),
    ],
)
def test_a_wrong_field_is_named_by_its_path(fields: dict[str, Any], field: str) -> None:
    error = wrong(**fields)
    assert (error.code, error.field) == ("invalid_request", field)
    assert error.message.startswith(f"{field}: ")


def test_results_of_one_step_stand_in_one_message_before_all_else() -> None:
    body, _, _ = write(
        asked(
            Turn("user", (Text("go"),)),
            Turn("assistant", (ToolCall("a", "x", "{}"), ToolCall("b", "y", '{"n":1}'))),
            Turn("user", (ToolResult("a", (Text("1"),)),)),
            Turn("user", (Text("and?"), ToolResult("b", (), is_error=True))),
            tools=(Tool("x"), Tool("y")),
        )
    )
    assert body["messages"][1]["content"] == [
        {"type": "tool_use", "id": "a", "name": "x", "input": {}},
        {"type": "tool_use", "id": "b", "name": "y", "input": {"n": 1}},
    ]
    assert body["messages"][2]["content"] == [
        {"type": "tool_result", "tool_use_id": "a", "content": "1"},
        {"type": "tool_result", "tool_use_id": "b", "is_error": True},
        {"type": "text", "text": "and?"},
    ]


def test_a_system_turn_in_the_middle_becomes_a_reminder_in_its_place() -> None:
    body, _, _ = write(
        asked(Turn("system", (Text("first"),)), Turn("user", (Text("a"),)), Turn("system", (Text("later"),)))
    )
    assert body["system"] == "first"
    assert body["messages"] == [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "a"},
                {"type": "text", "text": "<system-reminder>\nlater\n</system-reminder>"},
            ],
        }
    ]


def test_names_and_ids_that_the_vendor_forbids_are_mapped_and_come_back() -> None:
    tool = Tool("add", namespace="mcp__lab")
    dotted = Tool("files.read")
    written = ANTHROPIC_BACK.write(
        asked(
            Turn("user", (Text("go"),)),
            Turn("assistant", (ToolCall("functions.add:0", "add", "{}", "mcp__lab"),)),
            Turn("user", (ToolResult("functions.add:0", (Text("3"),)),)),
            tools=(tool, dotted),
        ),
        "claude-sonnet-4-6",
        DEFAULT_TRAITS,
    )
    body = msgspec.json.decode(written.body)
    call, result = body["messages"][1]["content"][0], body["messages"][2]["content"][0]
    assert call["id"] == result["tool_use_id"] != "functions.add:0"
    assert body["tools"][0]["name"] == call["name"] == "mcp__lab__add"
    assert [written.names.tool(t["name"]) for t in body["tools"]] == [tool, dotted]


def test_a_call_whose_arguments_are_no_object_goes_on_as_one() -> None:
    body, _, _ = write(
        asked(
            Turn("user", (Text("go"),)),
            Turn("assistant", (ToolCall("a", "x", "oops {"),)),
            Turn("user", (ToolResult("a"),)),
        )
    )
    assert body["messages"][1]["content"][0]["input"] == {"input": "oops {"}


@pytest.mark.parametrize(
    ("model", "thinking", "body"),
    [
        (
            "claude-opus-4-7",
            Thinking(effort="high"),
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}},
        ),
        ("claude-sonnet-4-5", Thinking(effort="low"), {"thinking": {"type": "enabled", "budget_tokens": 2048}}),
        ("claude-3-7-sonnet-20250219", Thinking(budget=4000), {"thinking": {"type": "enabled", "budget_tokens": 4000}}),
        ("claude-opus-4-7", Thinking(effort="none"), {"thinking": {"type": "disabled"}}),
        ("claude-3-haiku-20240307", Thinking(effort="high"), {}),
    ],
)
def test_thinking_is_asked_for_as_the_family_takes_it(model: str, thinking: Thinking, body: dict[str, Any]) -> None:
    written, _, hints = write(asked(settings=Settings(max_tokens=9000, thinking=thinking)), model)
    assert {n: v for n, v in written.items() if n in ("thinking", "output_config")} == body
    assert hints == ([] if body else ["thinking"])


def test_a_step_without_this_vendors_seal_is_not_asked_to_think_by_budget() -> None:
    turns = (
        Turn("user", (Text("go"),)),
        Turn("assistant", (Reasoning("hm", "sig", "gemini"), ToolCall("a", "x", "{}"))),
        Turn("user", (ToolResult("a"),)),
    )
    body, _, hints = write(asked(*turns, settings=Settings(thinking=Thinking(effort="high"))), "claude-sonnet-4-5")
    assert "thinking" not in body
    assert hints == ["reasoning", "thinking"]


def test_a_form_from_elsewhere_is_closed_and_the_vendors_own_goes_as_it_came() -> None:
    settings = Settings(output=OutputFormat({"type": "object", "properties": {"a": {"type": "string"}}}))
    form = write(asked(settings=settings))[0]["output_config"]["format"]["schema"]
    assert form == {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": False}
    own = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}, "additionalProperties": False}
    body, _, _ = write(read(output_config={"format": {"type": "json_schema", "schema": own}}))
    assert body["output_config"]["format"]["schema"] == own


def test_what_would_change_the_answer_is_a_demand_and_the_rest_a_hint() -> None:
    request = asked(
        Turn("user", (Text("hi"), Media("audio", "audio/wav", PNG), Opaque("gemini", "executableCode", {}))),
        settings=Settings(seed=1, frequency_penalty=0.5, presence_penalty=0, top_k=3, output=OutputFormat()),
        carried={"n": 2, "store": True, "logit_bias": {}},
    )
    _, demands, hints = write(request, "claude-opus-4-7")
    assert demands == [
        "audio", "executableCode", "top_k", "response_format", "seed", "frequency_penalty", "n", "logit_bias",
    ]  # fmt: skip
    assert hints == ["store"]


def test_own_fields_and_blocks_come_back_as_they_were() -> None:
    body = {
        **SAY,
        "system": [
            {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1.330.32a; cc_entrypoint=sdk-cli;"},
            {"type": "text", "text": "Be kind."},
        ],
        "messages": [
            {"role": "user", "content": "hi"},
            {
                "role": "assistant",
                "content": [{"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}],
            },
            {"role": "system", "content": "note"},
        ],
        "tools": [{"type": "web_search_20250305", "name": "web_search"}],
        "context_management": {"edits": []},
        "metadata": {"user_id": "u", "team": "t"},
        "thinking": {"type": "adaptive", "display": "omitted"},
        "output_config": {"effort": "medium"},
    }
    request = ANTHROPIC_FACE.read(strict_object(json.dumps(body).encode(), frozenset()), "m", stream=False)
    written = ANTHROPIC_BACK.write(request, "m", DEFAULT_TRAITS)
    assert msgspec.json.decode(written.body) == body
    assert written.losses.all() == []


def test_what_is_said_to_the_vendors_bill_is_no_instruction_to_another_vendors_model() -> None:
    billed = {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1.330.32a; cc_entrypoint=sdk-cli;"}
    found = read(system=[billed, {"type": "text", "text": "Be kind."}])
    assert found.turns[0] == Turn("system", (Text("Be kind."),))
    losses = Losses()
    lose_carried(found, losses)
    assert (losses.demands, losses.hints) == ([], ["system.x-anthropic-billing-header"])
    more = f"{billed['text']} Obey."
    assert read(system=[{"type": "text", "text": more}]).turns[0] == Turn("system", (Text(more),))


def test_googles_defaults_ask_for_nothing_where_they_cannot_be_told() -> None:
    """Gemini CLI sends all three in every request."""
    settings = Settings(temperature=1, top_p=0.95, top_k=64)
    request = asked(settings=settings)
    body, demands, hints = write(msgspec.structs.replace(request, dialect="gemini"), "claude-opus-4-7")
    assert (body.keys() & {"temperature", "top_p", "top_k"}, demands) == (set(), [])
    assert hints == ["temperature", "top_p", "top_k"]
    _, demands, _ = write(asked(settings=Settings(temperature=0.2, top_p=0.9)), "claude-opus-4-7")
    assert demands == ["temperature", "top_p"]


@pytest.mark.parametrize(
    ("dialect", "temperature", "top_p", "kept", "lost"),
    [
        ("gemini", 1, 0.95, {"temperature": 1}, ([], ["top_p"])),
        ("gemini", 0, 0.95, {"temperature": 0}, ([], ["top_p"])),
        ("openai_chat", 1, 0.5, {"top_p": 0.5}, ([], ["temperature"])),
        ("openai_chat", 0.5, 0.5, {"temperature": 0.5}, (["top_p"], [])),
        ("openai_chat", None, 0.5, {"top_p": 0.5}, ([], [])),
    ],
)
def test_of_two_samplers_one_is_told_where_the_model_takes_only_one(
    dialect: Any, temperature: float | None, top_p: float, kept: dict[str, float], lost: tuple[list[str], list[str]]
) -> None:
    request = msgspec.structs.replace(asked(settings=Settings(temperature=temperature, top_p=top_p)), dialect=dialect)
    body, *losses = write(request, "claude-sonnet-4-5")
    assert {name: value for name, value in body.items() if name in ("temperature", "top_p")} == kept
    assert tuple(losses) == lost
    both = write(request, "claude-sonnet-4-0")[0]
    assert both.get("temperature") == temperature
    assert both["top_p"] == top_p


def test_a_conversation_whose_client_expects_its_prompt_to_be_kept_is_marked() -> None:
    turns = (
        Turn("system", (Text("be"),)),
        Turn("system", (Text("brief"),)),
        Turn("user", (Text("hi"),)),
        Turn("assistant", (ToolCall("1", "f"),)),
        Turn("user", (ToolResult("1", (Text("2"),)),)),
    )
    body, demands, hints = write(asked(*turns, carried={"prompt_cache_key": "k"}))
    mark = {"cache_control": {"type": "ephemeral"}}
    assert body["system"] == [{"type": "text", "text": "be"}, {"type": "text", "text": "brief", **mark}]
    assert body["messages"][-1]["content"] == [{"type": "tool_result", "tool_use_id": "1", "content": "2", **mark}]
    assert (str(body).count("cache_control"), demands, hints) == (2, [], ["prompt_cache_key"])
    assert "cache_control" not in str(write(asked(*turns))[0])


def test_a_deferred_placeholder_is_not_offered_elsewhere_and_loaded_tools_are() -> None:
    found = read(
        tools=[
            {"name": "DeferredToolPlaceholder", "input_schema": {}, "defer_loading": True},
            {"name": "loaded", "input_schema": {}, "defer_loading": True},
        ]
    )
    body, _, _ = write(msgspec.structs.replace(found, dialect="openai_chat"))
    assert [tool["name"] for tool in body["tools"]] == ["loaded"]
    assert "defer_loading" not in body["tools"][0]
