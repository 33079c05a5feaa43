"""What providers of chat completions are sent: allowed by OpenAI's own types, and nothing lost without a word."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import pytest

from policies.strict_json import BodyError
from providers.canonical.parts import (
    Media,
    Opaque,
    Part,
    Reasoning,
    Text,
    ToolCall,
    ToolReference,
    ToolResult,
    Turn,
)
from providers.canonical.request import Hosted, OutputFormat, Request, Settings, Thinking, Tool, ToolChoice
from providers.translation.base import Traits
from tests.unit.providers.translation.chat_sdk import checked, read, written

PNG = "iVBORw0KGgo="
DETAILS = Traits(reasoning_back="reasoning_details")
OPENAI = Traits(system_anywhere=True)


def claude(*turns: Turn, **more: Any) -> Request:
    """A request that came in another dialect."""
    return Request(dialect="anthropic", model="m", turns=turns or (Turn("user", (Text("hi"),)),), **more)


def user(*parts: Part) -> Turn:
    return Turn("user", parts)


def assistant(*parts: Part) -> Turn:
    return Turn("assistant", parts)


def sent(request: Request, **target: Any) -> dict[str, Any]:
    """What is sent, where nothing is lost."""
    body, found = written(request, **target)
    assert found.losses.all() == []
    return checked(body)


def lost(request: Request, **target: Any) -> tuple[dict[str, Any], list[str], list[str]]:
    body, found = written(request, **target)
    return checked(body), found.losses.demands, found.losses.hints


def test_the_vendors_model_and_usage_in_every_stream() -> None:
    assert sent(claude(), model="gpt-4o-2024") == {
        "model": "gpt-4o-2024",
        "messages": [{"role": "user", "content": "hi"}],
    }
    body = sent(claude(stream=True, stream_usage=False))
    assert body["stream"] is True
    assert body["stream_options"] == {"include_usage": True}


def test_text_stays_a_string_for_the_vendors_that_take_no_lists() -> None:
    body = sent(
        claude(
            Turn("system", (Text("a"), Text("b"))),
            user(Text("c"), Text("d")),
            assistant(Text("e"), Text("f")),
            Turn("system", (Text("later"),)),
        ),
        traits=OPENAI,
    )
    assert [(m["role"], m["content"]) for m in body["messages"]] == [
        ("system", "a\n\nb"),
        ("user", "c\n\nd"),
        ("assistant", "ef"),
        ("system", "later"),
    ]


def test_results_follow_their_calls_in_order_and_what_was_said_between_comes_after() -> None:
    body = sent(
        claude(
            assistant(Text("x"), ToolCall("a", "f"), ToolCall("b", "f")),
            Turn("system", (Text("a tool list"),)),
            user(Text("first"), ToolResult("b", (Text("2"),))),
            user(ToolResult("a", ()), Text("second")),
        ),
        traits=OPENAI,
    )
    assert [(m["role"], m.get("tool_call_id"), m["content"]) for m in body["messages"]] == [
        ("assistant", None, "x"),
        ("tool", "a", ""),
        ("tool", "b", "2"),
        ("system", None, "a tool list"),
        ("user", None, "first"),
        ("user", None, "second"),
    ]


def test_one_system_message_at_the_beginning_is_all_that_many_models_templates_take() -> None:
    body = sent(
        claude(
            Turn("system", (Text("a"),)),
            Turn("system", (Text("b"),)),
            user(Text("c")),
            Turn("system", (Text("environment"),)),
            user(Text("d")),
            assistant(ToolCall("1", "f")),
            user(ToolResult("1", (Text("2"),))),
            Turn("system", (Text("new tools"),)),
            assistant(Text("e")),
            Turn("system", ()),
        )
    )
    assert [(m["role"], m["content"]) for m in body["messages"]] == [
        ("system", "a\n\nb"),
        ("user", "c\n\n<system-reminder>\nenvironment\n</system-reminder>\n\nd"),
        ("assistant", None),
        ("tool", "2"),
        ("user", "<system-reminder>\nnew tools\n</system-reminder>"),
        ("assistant", "e"),
    ]


def test_nothing_stands_between_a_call_and_its_result_if_the_assistant_went_on() -> None:
    body = sent(
        claude(
            assistant(ToolCall("a", "f")),
            assistant(Text("wait"), ToolCall("b", "f")),
            user(ToolResult("b"), ToolResult("a")),
        )
    )
    (message, *results) = body["messages"]
    assert (message["content"], [call["id"] for call in message["tool_calls"]]) == ("wait", ["a", "b"])
    assert [result["tool_call_id"] for result in results] == ["a", "b"]


def test_a_result_without_a_call_is_refused() -> None:
    with pytest.raises(BodyError, match="'z' does not follow"):
        written(claude(assistant(ToolCall("a", "f")), user(ToolResult("z"))))


def test_a_picture_in_a_result_is_shown_behind_all_results() -> None:
    body = sent(
        claude(
            assistant(ToolCall("a", "f"), ToolCall("b", "f")),
            user(
                ToolResult("a", (Text("seen"), Media("image", "image/png", PNG))),
                ToolResult("b", (Text("2"),)),
                Text("go on"),
            ),
        )
    )
    picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
    assert body["messages"][1:] == [
        {"role": "tool", "tool_call_id": "a", "content": "seen"},
        {"role": "tool", "tool_call_id": "b", "content": "2"},
        {
            "role": "user",
            "content": [{"type": "text", "text": "Result of call a:"}, picture, {"type": "text", "text": "go on"}],
        },
    ]


def test_a_failed_result_says_so() -> None:
    body = sent(
        claude(
            assistant(ToolCall("a", "f"), ToolCall("b", "f")),
            user(ToolResult("a", (Text("no disk"),), True), ToolResult("b", (Text("OSError: no disk"),), True)),
        )
    )
    assert [m["content"] for m in body["messages"][1:]] == ["Error: no disk", "OSError: no disk"]


def test_a_found_tool_is_told_in_words_and_the_placeholder_of_deferred_tools_is_left_out() -> None:
    body = sent(
        claude(
            assistant(ToolCall("a", "ToolSearch")),
            user(ToolResult("a", (ToolReference("mcp__x.y"),))),
            tools=(Tool("mcp__x.y", deferred=True), Tool("DeferredToolPlaceholder", deferred=True)),
        )
    )
    (offered,) = body["tools"]
    assert body["messages"][1]["content"] == f"Tool {offered['function']['name']} is available now."


def test_ids_and_names_that_are_forbidden_are_changed_alike_everywhere() -> None:
    long = "toolu." + "x" * 60
    body, found = written(
        claude(
            assistant(ToolCall(long, "a.b")),
            user(ToolResult(long)),
            tools=(Tool("a.b"), Tool("add", namespace="mcp__lab")),
            choice=ToolChoice("named", "add", "mcp__lab"),
        )
    )
    checked(body)
    (call,) = body["messages"][0]["tool_calls"]
    assert call["id"] == body["messages"][1]["tool_call_id"]
    assert len(call["id"]) == 40
    names = [tool["function"]["name"] for tool in body["tools"]]
    assert call["function"]["name"] == names[0] != "a.b"
    assert body["tool_choice"]["function"]["name"] == names[1] == "mcp__lab__add"
    assert found.names.tool(names[0]) == Tool("a.b")


def test_a_custom_tool_of_another_dialect_is_a_function_with_one_text() -> None:
    body = sent(
        claude(
            assistant(ToolCall("a", "patch", "*** Begin", custom=True)),
            user(ToolResult("a")),
            tools=(Tool("patch", custom=True),),
            choice=ToolChoice("named", "patch"),
        )
    )
    assert body["tools"][0]["function"]["parameters"]["required"] == ["input"]
    assert body["messages"][0]["tool_calls"][0]["function"]["arguments"] == '{"input":"*** Begin"}'
    assert body["tool_choice"]["type"] == "function"


def test_schemas_keep_the_order_of_their_keys_and_tools_without_one_take_nothing() -> None:
    body = sent(claude(tools=(Tool("f", schema={"type": "object", "properties": {"z": {}, "a": {}}}), Tool("g"))))
    schemas = [tool["function"]["parameters"] for tool in body["tools"]]
    assert list(schemas[0]["properties"]) == ["z", "a"]
    assert schemas[1] == {"type": "object", "properties": {}}


def test_documents_are_files_and_texts_are_read_out() -> None:
    words = base64.b64encode("Grüße".encode()).decode()
    body = sent(
        claude(
            user(
                Media("document", "application/pdf", PNG),
                Media("document", "text/plain", words, name="a.txt"),
                Media("document", file_id="file-1", dialect="openai"),
                Media("audio", "audio/x-wav", PNG),
                Media("image", url="https://x.test/a", detail="high"),
            )
        )
    )
    assert body["messages"][0]["content"] == [
        {"type": "file", "file": {"filename": "document.pdf", "file_data": f"data:application/pdf;base64,{PNG}"}},
        {"type": "text", "text": "a.txt:\nGrüße"},
        {"type": "file", "file": {"file_id": "file-1"}},
        {"type": "input_audio", "input_audio": {"data": PNG, "format": "wav"}},
        {"type": "image_url", "image_url": {"url": "https://x.test/a", "detail": "high"}},
    ]


@pytest.mark.parametrize(
    ("part", "demand"),
    [
        (Media("document", url="https://x.test/a.pdf"), "document url"),
        (Media("video", "video/mp4", PNG), "video"),
        (Media("audio", "audio/flac", PNG), "audio"),
        (Media("image", file_id="f", dialect="anthropic"), "file_id"),
        (Media("document", file_id="f", dialect="anthropic"), "file_id"),
        (Opaque("anthropic", "server_tool_use", {}), "server_tool_use"),
    ],
)
def test_what_no_message_can_hold_is_a_demand(part: Part, demand: str) -> None:
    body, demands, _ = lost(claude(user(Text("x"), part)))
    assert (body["messages"][0]["content"], demands) == ("x", [demand])


def test_cache_marks_are_written_only_where_they_count() -> None:
    request = claude(
        Turn("system", (Text("s", "1h"),)),
        user(Text("u", "5m")),
        assistant(ToolCall("a", "f", cache="5m")),
        user(ToolResult("a", (Text("r"),), cache="5m")),
        tools=(Tool("f", cache="5m"),),
    )
    body, demands, hints = lost(request)
    assert (demands, hints) == ([], ["cache_control"])
    assert [m["content"] for m in body["messages"]] == ["s", "u", None, "r"]
    marked, found = written(request, traits=Traits(cache_marks=True))
    assert found.losses.hints == ["cache_control"]  # a call cannot bear one
    ephemeral = {"type": "ephemeral"}
    assert marked["tools"][0]["cache_control"] == ephemeral
    assert [m["content"][-1]["cache_control"] for m in marked["messages"] if m["role"] != "assistant"] == [
        {"type": "ephemeral", "ttl": "1h"},
        ephemeral,
        ephemeral,
    ]


THOUGHTS = assistant(
    Reasoning("plain"),
    Text("x"),
    Reasoning("signed", "S", "anthropic"),
    Reasoning("", "G", "gemini"),
    Reasoning("", "N", "openrouter:google-gemini-v1"),
    ToolCall("a", "f"),
)


def test_thoughts_go_back_only_where_the_provider_takes_them() -> None:
    request = claude(THOUGHTS, user(ToolResult("a")))
    body, _, hints = lost(request)
    assert hints == ["reasoning"]
    assert body["messages"][0].keys() == {"role", "content", "tool_calls"}

    body, found = written(request, traits=Traits(reasoning_back="reasoning_content"))
    assert found.losses.hints == ["reasoning"]
    assert body["messages"][0]["reasoning_content"] == "plain"

    body, found = written(request, traits=DETAILS)
    assert found.losses.hints == ["reasoning"]  # Gemini's own seal, which only Gemini can read
    assert body["messages"][0]["reasoning_details"] == [
        {"type": "reasoning.text", "text": "plain", "index": 0},
        {"type": "reasoning.text", "text": "signed", "format": "anthropic-claude-v1", "signature": "S", "index": 1},
        {"type": "reasoning.encrypted", "data": "N", "id": "a", "format": "google-gemini-v1", "index": 2},
    ]


def test_the_bound_of_tokens_has_the_name_that_the_provider_wants() -> None:
    request = claude(settings=Settings(max_tokens=5))
    assert sent(request)["max_tokens"] == 5
    assert sent(request, traits=Traits(token_limit="max_completion_tokens"))["max_completion_tokens"] == 5


@pytest.mark.parametrize(
    ("thinking", "model", "effort", "hints"),
    [
        (Thinking(effort="max"), "o3", "max", []),
        (Thinking(budget=2_048), "o3", "low", []),
        (Thinking(budget=8_192), "gpt-5", "medium", []),
        (Thinking(budget=8_193), "gpt-5", "high", []),
        (Thinking(effort="low", budget=9_999), "gpt-5", "low", []),
        (Thinking(budget=-1), "gpt-5", None, []),
        (Thinking(effort="none"), "gpt-5.1", "none", []),
        (Thinking(effort="none"), "o3", None, ["thinking"]),
        (Thinking(budget=0), "gpt-5", None, ["thinking"]),
        (Thinking(budget=5_000), "gpt-4o", None, ["thinking"]),
        (Thinking(effort="none"), "gpt-4o", None, []),
    ],
)
def test_thinking_is_an_effort_for_models_that_think(
    thinking: Thinking, model: str, effort: str | None, hints: list[str]
) -> None:
    body, demands, found = lost(claude(settings=Settings(thinking=thinking)), model=model)
    assert (body.get("reasoning_effort"), demands, found) == (effort, [], hints)


def test_models_that_think_take_no_temperature() -> None:
    settings = Settings(temperature=1, top_p=0.9, presence_penalty=0, frequency_penalty=1)
    body, demands, hints = lost(claude(settings=settings), model="o3")
    assert (body.keys() & {"temperature", "top_p", "presence_penalty", "frequency_penalty"}) == set()
    assert (demands, hints) == (["frequency_penalty"], ["temperature", "top_p"])
    assert sent(claude(settings=settings))["temperature"] == 1


def test_what_the_dialect_has_no_field_for_is_a_demand() -> None:
    settings = Settings(top_k=4, stop=("a", "b", "c", "d", "e"))
    body, demands, _ = lost(claude(settings=settings))
    assert body["stop"] == ["a", "b", "c", "d"]
    assert demands == ["stop", "top_k"]


def test_googles_default_for_top_k_asks_for_nothing() -> None:
    """Gemini CLI sends it in every request."""
    request = msgspec.structs.replace(claude(), dialect="gemini", settings=Settings(top_k=64))
    assert lost(request)[1:] == ([], ["top_k"])
    assert lost(claude(settings=Settings(top_k=64)))[1:] == (["top_k"], [])


@pytest.mark.parametrize(
    ("model", "bound"),
    [
        ("gpt-4o-mini", 16_384),
        ("openai/gpt-4.1", 32_768),
        ("gpt-4o-2024-05-13", 4_096),
        ("gpt-5.1", 100_500),
        ("gpt-5-chat-latest", 16_384),
        ("o3", 100_000),
        ("qwen3-coder", 100_500),
    ],
)
def test_no_more_is_asked_for_than_openais_models_can_say(model: str, bound: int) -> None:
    """Claude Code asks for 32000 of any model that it does not know, and OpenAI refuses more than a model's most."""
    assert sent(claude(settings=Settings(max_tokens=100_500)), model=model)["max_tokens"] == bound
    assert sent(claude(settings=Settings(max_tokens=5)), model=model)["max_tokens"] == 5
    own = msgspec.structs.replace(claude(settings=Settings(max_tokens=100_500)), dialect="openai_chat")
    assert sent(own, model=model)["max_tokens"] == 100_500


def test_a_foreign_vendors_tools_are_not_offered() -> None:
    hosted = (Hosted("openai_responses", "web_search", {"type": "web_search"}),)
    body, demands, hints = lost(claude(hosted=hosted))
    assert ("tools" in body, demands, hints) == (False, [], ["tools.web_search"])
    _, demands, _ = lost(claude(hosted=hosted, choice=ToolChoice("named", "web_search")))
    assert demands == ["tools.web_search", "tool_choice"]


def test_choices_without_tools_are_refused_by_the_vendor_and_mean_nothing_unless_one_is_required() -> None:
    settings = Settings(parallel_calls=True)
    assert sent(claude(choice=ToolChoice("auto"), settings=settings)).keys() == {"model", "messages"}
    assert lost(claude(choice=ToolChoice("required")))[1] == ["tool_choice"]
    body = sent(claude(tools=(Tool("f"),), choice=ToolChoice("required"), settings=settings))
    assert (body["tool_choice"], body["parallel_tool_calls"]) == ("required", True)


def test_json_is_asked_for_as_the_vendor_wants_it() -> None:
    body = sent(claude(settings=Settings(output=OutputFormat())))
    assert body["messages"][0]["content"] == "Answer with a JSON object."  # OpenAI refuses the mode otherwise
    assert len(sent(claude(user(Text("as JSON")), settings=Settings(output=OutputFormat())))["messages"]) == 1
    body = sent(claude(settings=Settings(output=OutputFormat({"type": "object"}))))
    assert body["response_format"]["json_schema"] == {"name": "answer", "schema": {"type": "object"}}


def test_fields_of_another_dialect_are_lost_by_name() -> None:
    _, demands, hints = lost(claude(carried={"container": "x", "context_management": {}}))
    assert (demands, hints) == (["container"], ["context_management"])


def test_what_came_in_this_dialect_goes_back_as_it_was() -> None:
    grammar = {"type": "grammar", "grammar": {"syntax": "regex", "definition": "a"}}
    fields: dict[str, Any] = {
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "name": "ada"},
            {
                "role": "assistant",
                "content": "x",
                "tool_calls": [{"id": "c1", "type": "custom", "custom": {"name": "p", "input": "y"}}],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "z"},
            {"role": "assistant", "content": None, "audio": {"id": "a1"}},
            {"role": "user", "content": "b", "name": "bob"},
        ],
        "tools": [
            {"type": "custom", "custom": {"name": "p", "format": grammar}},
            {"type": "function", "function": {"name": "f"}},
        ],
        "tool_choice": {"type": "custom", "custom": {"name": "p"}},
        "temperature": 1,
        "reasoning_effort": "none",
        "n": 2,
        "logprobs": True,
    }
    body = sent(read(**fields), model="o3")
    assert body == {**fields, "model": "o3"} | {
        "messages": [{**m, "content": ""} if m.get("audio") else m for m in fields["messages"]]
    }
