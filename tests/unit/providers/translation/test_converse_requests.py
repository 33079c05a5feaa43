"""What is written for Bedrock's Converse is what AWS's service model takes, and loses nothing unsaid."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.strict_json import BodyError
from providers.canonical.parts import Media, Opaque, Reasoning, Text, ToolCall, ToolReference, ToolResult, Turn
from providers.canonical.request import Hosted, OutputFormat, Request, Settings, Thinking, Tool, ToolChoice
from providers.translation.base import DEFAULT_TRAITS, Written
from providers.translation.converse_request_writer import write_request
from tests.support.canonical import requests
from tests.unit.providers.translation.converse_model import checked_request

CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
NOVA = "amazon.nova-pro-v1:0"
LLAMA = "us.meta.llama3-3-70b-instruct-v1:0"
PROFILE = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc123"
PIXEL = "aGVsbG8="
HELLO = Turn("user", (Text("hello"),))
WEATHER = Tool("weather", "Tells it", {"type": "object", "properties": {"city": {"type": "string"}}})


def asked(*turns: Turn, **fields: Any) -> Request:
    return Request(**{"dialect": "openai_chat", "model": "claude", "turns": turns or (HELLO,), **fields})


def written(request: Request, model: str = CLAUDE) -> Written:
    found = write_request(request, model, DEFAULT_TRAITS)
    checked_request(found.body)
    return found


def body_of(request: Request, model: str = CLAUDE) -> Any:
    return checked_request(write_request(request, model, DEFAULT_TRAITS).body)


def blocks_of(*turns: Turn, model: str = CLAUDE) -> list[tuple[str, list[Any]]]:
    return [(message["role"], message["content"]) for message in body_of(asked(*turns), model)["messages"]]


def test_a_plain_question_is_one_message_and_names_neither_model_nor_stream() -> None:
    assert body_of(asked(stream=True)) == {"messages": [{"role": "user", "content": [{"text": "hello"}]}]}


def test_leading_system_turns_are_the_system_prompt_and_later_ones_are_marked_in_the_users_words() -> None:
    body = body_of(
        asked(
            Turn("system", (Text("be kind", cache="1h"),)),
            Turn("system", (Text("be brief"),)),
            HELLO,
            Turn("system", (Text("it is late", cache="5m"),)),
        )
    )
    assert body["system"] == [
        {"text": "be kind"},
        {"cachePoint": {"type": "default", "ttl": "1h"}},
        {"text": "be brief"},
    ]
    assert body["messages"][0]["content"][1:] == [
        {"text": "<system-reminder>\nit is late\n</system-reminder>"},
        {"cachePoint": {"type": "default"}},
    ]


@pytest.mark.parametrize("turns", [(Turn("assistant", (Text("hi"),)),), (Turn("system", (Text("be kind"),)),)])
def test_a_conversation_that_the_user_does_not_begin_is_given_a_beginning(turns: tuple[Turn, ...]) -> None:
    messages = body_of(asked(*turns))["messages"]
    assert messages[0]["role"] == "user"
    assert messages[0]["content"][0]["text"].strip()


def test_turns_of_one_side_are_one_message_even_if_nothing_is_left_of_what_stood_between() -> None:
    foreign = Turn("assistant", (Reasoning("hm", "sealed", "gemini"), Text("  ")))
    assert blocks_of(HELLO, foreign, Turn("user", (Text("again"),))) == [
        ("user", [{"text": "hello"}, {"text": "again"}])
    ]


def test_results_of_one_step_stand_first_in_one_message_in_the_order_of_the_calls() -> None:
    messages = blocks_of(
        HELLO,
        Turn("assistant", (ToolCall("a", "weather", '{"city":"Rome"}'), ToolCall("b", "weather"))),
        Turn("system", (Text("careful"),)),
        Turn("user", (ToolResult("b", (Text("sun"),)),)),
        Turn("user", (ToolResult("a", (Text("rain"),), is_error=True),)),
    )
    assert messages[1][1][0] == {"toolUse": {"toolUseId": "a", "name": "weather", "input": {"city": "Rome"}}}
    assert messages[2][1] == [
        {"toolResult": {"toolUseId": "a", "content": [{"text": "rain"}], "status": "error"}},
        {"toolResult": {"toolUseId": "b", "content": [{"text": "sun"}]}},
        {"text": "<system-reminder>\ncareful\n</system-reminder>"},
    ]
    assert len(messages) == 3


def test_results_of_several_steps_stay_with_their_own_step() -> None:
    messages = blocks_of(
        HELLO,
        Turn("assistant", (ToolCall("a", "weather"),)),
        Turn("user", (ToolResult("a", (Text("1"),)),)),
        Turn("assistant", (ToolCall("b", "weather"),)),
        Turn("user", (ToolResult("b", (Text("2"),)),)),
    )
    assert [role for role, _ in messages] == ["user", "assistant", "user", "assistant", "user"]
    assert messages[4][1][0]["toolResult"]["toolUseId"] == "b"


def test_a_result_without_a_call_is_refused_by_name() -> None:
    with pytest.raises(BodyError, match="nobody"):
        write_request(asked(HELLO, Turn("user", (ToolResult("nobody"),))), CLAUDE, DEFAULT_TRAITS)


def test_ids_and_names_that_the_api_forbids_are_mapped_alike_in_call_and_result_and_back() -> None:
    tool = Tool("read file!", namespace="mcp", schema={"type": "object"})
    call_id = "call|" + "x" * 80
    found = written(
        asked(
            HELLO,
            Turn("assistant", (ToolCall(call_id, tool.name, namespace="mcp"),)),
            Turn("user", (ToolResult(call_id, (Text("ok"),)),)),
            tools=(tool,),
        )
    )
    body = msgspec.json.decode(found.body)
    call = body["messages"][1]["content"][0]["toolUse"]
    assert call["toolUseId"] == body["messages"][2]["content"][0]["toolResult"]["toolUseId"]
    assert call["name"] == body["toolConfig"]["tools"][0]["toolSpec"]["name"]
    assert found.names.tool(call["name"]) == tool
    assert blocks_of(HELLO, Turn("assistant", (ToolCall("tooluse_1.a:b-c", "weather"),)))[1][1][0]["toolUse"][
        "toolUseId"
    ] == ("tooluse_1.a:b-c")


@pytest.mark.parametrize(
    ("arguments", "sent"),
    [('{"b": 1, "a": [2]}', {"b": 1, "a": [2]}), ("", {}), ("not json", {"input": "not json"})],
)
def test_arguments_are_always_an_object(arguments: str, sent: Any) -> None:
    call = blocks_of(HELLO, Turn("assistant", (ToolCall("a", "weather", arguments),)))[1][1][0]["toolUse"]
    assert call["input"] == sent


def test_an_empty_result_and_blank_text_become_what_the_api_takes() -> None:
    turns = (
        Turn("user", (Text("hello"), Text(" \n"))),
        Turn("assistant", (ToolCall("a", "weather"), ToolCall("b", "weather"))),
        Turn("user", (ToolResult("a"), ToolResult("b", (Text(""), ToolReference("maps"))))),
    )
    messages = blocks_of(*turns)
    assert messages[0][1] == [{"text": "hello"}]
    assert messages[2][1][0]["toolResult"]["content"] == [{"text": "(no output)"}]
    assert messages[2][1][1]["toolResult"]["content"] == [{"text": "Tool maps is available now."}]


def test_tools_that_were_called_but_are_not_offered_any_more_are_declared_since_the_api_demands_it() -> None:
    turns = (HELLO, Turn("assistant", (ToolCall("a", "weather"),)), Turn("user", (ToolResult("a"),)))
    body = body_of(asked(*turns))
    assert [tool["toolSpec"]["name"] for tool in body["toolConfig"]["tools"]] == ["weather"]
    assert "toolConfig" not in body_of(asked())


def test_tools_are_offered_with_their_schemas_and_marks() -> None:
    tools = (
        msgspec.structs.replace(WEATHER, cache="5m", strict=True),
        Tool("bare"),
        Tool("patch", "Applies one", {"type": "grammar"}, custom=True),
        Tool("late", schema={"type": "object"}, deferred=True),
        Tool("DeferredToolPlaceholder", deferred=True),
    )
    found = written(asked(tools=tools))
    offered = msgspec.json.decode(found.body)["toolConfig"]["tools"]
    assert offered[0] == {
        "toolSpec": {"name": "weather", "description": "Tells it", "inputSchema": {"json": WEATHER.schema}}
    }
    assert offered[1] == {"cachePoint": {"type": "default"}}
    assert offered[2]["toolSpec"]["inputSchema"]["json"] == {"type": "object", "properties": {}}
    assert offered[3]["toolSpec"]["inputSchema"]["json"]["required"] == ["input"]
    assert [tool["toolSpec"]["name"] for tool in offered[4:]] == ["late"]
    assert found.losses.hints == ["tools.strict"]


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        (ToolChoice("auto"), None),
        (ToolChoice("required"), {"any": {}}),
        (ToolChoice("named", "weather"), {"tool": {"name": "weather"}}),
    ],
)
def test_a_choice_of_tools_is_said(choice: ToolChoice, sent: Any) -> None:
    assert body_of(asked(tools=(WEATHER,), choice=choice))["toolConfig"].get("toolChoice") == sent


def test_no_tool_at_all_is_said_by_offering_none_and_is_a_demand_where_the_history_forbids_that() -> None:
    alone = written(asked(tools=(WEATHER,), choice=ToolChoice("none")))
    assert "toolConfig" not in msgspec.json.decode(alone.body)
    assert alone.losses.demands == []
    turns = (HELLO, Turn("assistant", (ToolCall("a", "weather"),)), Turn("user", (ToolResult("a"),)))
    after = written(asked(*turns, tools=(WEATHER,), choice=ToolChoice("none")))
    assert "toolConfig" in msgspec.json.decode(after.body)
    assert after.losses.demands == ["tool_choice"]


@pytest.mark.parametrize("choice", [ToolChoice("required"), ToolChoice("named", "weather")])
def test_a_choice_without_its_tool_is_a_demand(choice: ToolChoice) -> None:
    assert written(asked(choice=choice)).losses.demands == ["tool_choice"]


def test_media_are_written_as_bytes_with_their_formats_and_names_that_are_allowed_and_differ() -> None:
    parts = (
        Media("image", "image/jpeg", PIXEL, cache="5m"),
        Media("document", "application/pdf", PIXEL, name="Q3_report (final)!.pdf"),
        Media("document", "text/x-python", PIXEL, name="Q3 report (final).pdf"),
        Media("document", "", PIXEL, name="table.xlsx"),
        Media("video", "video/3gpp", PIXEL),
        Media("audio", "audio/wav", PIXEL),
        Media("image", "image/png", url="s3://bucket-one/a.png"),
    )
    content = blocks_of(Turn("user", parts))[0][1]
    assert content[0] == {"image": {"format": "jpeg", "source": {"bytes": PIXEL}}}
    assert content[1] == {"cachePoint": {"type": "default"}}
    documents = [block["document"] for block in content if "document" in block]
    assert [(one["format"], one["name"]) for one in documents] == [
        ("pdf", "Q3 report (final)"),
        ("txt", "Q3 report (final) (2)"),
        ("xlsx", "table"),
    ]
    assert content[5] == {"video": {"format": "three_gp", "source": {"bytes": PIXEL}}}
    assert content[6] == {"audio": {"format": "wav", "source": {"bytes": PIXEL}}}
    assert content[7]["image"]["source"] == {"s3Location": {"uri": "s3://bucket-one/a.png"}}
    # A document is refused without a text beside it.
    assert "text" in content[8]


def test_a_document_has_a_text_beside_it_in_its_own_message_only() -> None:
    document = Media("document", "application/pdf", PIXEL, name="a.pdf")
    turns = (Turn("user", (document, Text("see"))), Turn("assistant", (Text("ok"),)), Turn("user", (document,)))
    messages = blocks_of(*turns)
    assert [[next(iter(block)) for block in content] for _, content in messages] == [
        ["document", "text"],
        ["text"],
        ["document", "text"],
    ]
    assert messages[2][1][1] == {"text": "Document: a (2)"}


@pytest.mark.parametrize(
    ("media", "named"),
    [
        (Media("image", "image/tiff", PIXEL), "image of type image/tiff"),
        (Media("image", url="https://example.com/a.png"), "image.url"),
        (Media("document", file_id="file-1", dialect="openai_chat"), "file_id"),
        (Media("document", "application/zip", PIXEL), "document of type application/zip"),
    ],
)
def test_media_that_cannot_be_sent_are_demands_by_name(media: Media, named: str) -> None:
    found = written(asked(Turn("user", (Text("see"), media))))
    assert found.losses.demands == [named]
    assert msgspec.json.decode(found.body)["messages"][0]["content"] == [{"text": "see"}]


def test_media_in_results_stay_in_them_and_sound_follows_all_results() -> None:
    result = ToolResult("a", (Text("see"), Media("image", "image/png", PIXEL), Media("audio", "audio/wav", PIXEL)))
    turns = (
        HELLO,
        Turn("assistant", (ToolCall("a", "weather"), ToolCall("b", "weather"))),
        Turn("user", (result, ToolResult("b", (Text("ok"),)))),
    )
    content = blocks_of(*turns)[2][1]
    assert content[0]["toolResult"]["content"] == [
        {"text": "see"},
        {"image": {"format": "png", "source": {"bytes": PIXEL}}},
    ]
    assert content[1]["toolResult"]["toolUseId"] == "b"
    assert content[2:] == [
        {"text": "Result of call a:"},
        {"audio": {"format": "wav", "source": {"bytes": PIXEL}}},
    ]


def test_marks_are_written_for_models_that_take_them_and_are_hints_for_others() -> None:
    turns = (Turn("user", (Text("long", cache="5m"), Text("short"))),)
    for model in (CLAUDE, NOVA, PROFILE):
        assert blocks_of(*turns, model=model)[0][1][1] == {"cachePoint": {"type": "default"}}
    found = written(asked(*turns), LLAMA)
    assert found.losses.hints == ["cache_control"]
    assert b"cachePoint" not in found.body
    tools = (msgspec.structs.replace(WEATHER, cache="5m"),)
    assert written(asked(tools=tools), NOVA).losses.hints == ["cache_control"]


def test_thoughts_that_claude_sealed_go_back_byte_for_byte_and_to_nobody_else() -> None:
    turn = Turn(
        "assistant",
        (
            Reasoning("hm", "c2ln/+=", "anthropic"),
            Reasoning("", "c2lnMg==", "anthropic"),
            Reasoning("", "aGlkZGVu", "anthropic", redacted=True),
            Reasoning("elsewhere", "x", "openai"),
            Reasoning("unsealed"),
            Text("so"),
        ),
    )
    found = written(asked(HELLO, turn))
    assert msgspec.json.decode(found.body)["messages"][1]["content"] == [
        {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "c2ln/+="}}},
        {"reasoningContent": {"reasoningText": {"text": "", "signature": "c2lnMg=="}}},
        {"reasoningContent": {"redactedContent": "aGlkZGVu"}},
        {"text": "so"},
    ]
    assert found.losses.hints == ["reasoning"]
    assert b"reasoningContent" not in written(asked(HELLO, turn), NOVA).body


def test_settings_are_the_inference_configuration_and_what_only_claude_has_stands_apart() -> None:
    settings = Settings(max_tokens=100, temperature=0.5, top_k=40, stop=("END",))
    body = body_of(asked(settings=settings))
    assert body["inferenceConfig"] == {"maxTokens": 100, "temperature": 0.5, "stopSequences": ["END"]}
    assert body["additionalModelRequestFields"] == {"top_k": 40}
    assert body["additionalModelResponseFieldPaths"] == ["/stop_sequence"]
    other = written(asked(settings=settings), NOVA)
    assert other.losses.demands == ["top_k"]
    assert b"additionalModel" not in other.body


def test_of_two_samplers_claude_is_told_one_and_nova_both() -> None:
    request = asked(settings=Settings(temperature=0.5, top_p=0.9))
    assert written(request).losses.demands == ["top_p"]
    assert body_of(request, NOVA)["inferenceConfig"] == {"temperature": 0.5, "topP": 0.9}


def test_a_conversation_whose_client_expects_its_prompt_to_be_kept_is_marked() -> None:
    turns = (Turn("system", (Text("be kind"),)), HELLO)
    found = written(msgspec.structs.replace(asked(*turns, carried={"prompt_cache_key": "k"}), dialect="openai_chat"))
    body = msgspec.json.decode(found.body)
    assert body["system"][-1] == body["messages"][-1]["content"][-1] == {"cachePoint": {"type": "default"}}
    assert (found.losses.demands, found.losses.hints) == ([], ["prompt_cache_key"])


def test_what_converse_has_not_is_said() -> None:
    settings = Settings(
        temperature=1.5,
        stop=("\n",),
        seed=1,
        presence_penalty=0.5,
        frequency_penalty=0.0,
        user="u1",
        parallel_calls=False,
        output=OutputFormat(),
    )
    found = written(
        asked(
            HELLO,
            Turn("assistant", (Media("image", "image/png", PIXEL), Opaque("anthropic", "server_tool_use", {}))),
            settings=settings,
            tools=(WEATHER,),
            hosted=(Hosted("openai_chat", "web_search", {}),),
            carried={"logit_bias": {}, "store": True},
        )
    )
    assert set(found.losses.demands) == {
        "image",
        "server_tool_use",
        "stop",
        "seed",
        "presence_penalty",
        "parallel_tool_calls",
        "response_format",
        "logit_bias",
    }
    assert set(found.losses.hints) == {"temperature above 1", "user", "store", "tools.web_search"}
    assert msgspec.json.decode(found.body)["inferenceConfig"] == {"temperature": 1}


def test_a_schema_for_the_answer_is_written_as_text_and_beside_the_effort() -> None:
    schema = {"type": "object", "properties": {"b": {"type": "string"}, "a": {"type": "string"}}}
    settings = Settings(output=OutputFormat(schema, "answer"), thinking=Thinking("high"))
    body = body_of(asked(settings=settings), "anthropic.claude-opus-4-6-v1")
    form = body["outputConfig"]["textFormat"]
    assert form["type"] == "json_schema"
    assert form["structure"]["jsonSchema"]["name"] == "answer"
    told = msgspec.json.decode(form["structure"]["jsonSchema"]["schema"])
    assert list(told["properties"]) == ["b", "a"]
    assert told["additionalProperties"] is False
    assert body["outputConfig"]["effort"] == "high"
    assert body["additionalModelRequestFields"] == {"thinking": {"type": "adaptive"}}


def test_older_claudes_think_by_budget_and_sampling_is_left_to_them() -> None:
    settings = Settings(max_tokens=5000, temperature=0.2, thinking=Thinking("high"))
    found = written(asked(settings=settings))
    body = msgspec.json.decode(found.body)
    assert body["additionalModelRequestFields"] == {"thinking": {"type": "enabled", "budget_tokens": 4999}}
    assert body["inferenceConfig"] == {"maxTokens": 5000}
    assert found.losses.hints == ["temperature"]
    unbounded = body_of(asked(settings=Settings(thinking=Thinking("low"))))
    assert unbounded["additionalModelRequestFields"]["thinking"]["budget_tokens"] == 2048


def test_thinking_is_left_out_where_it_would_be_refused() -> None:
    thinks = Settings(thinking=Thinking("high"))
    forced = written(asked(settings=thinks, tools=(WEATHER,), choice=ToolChoice("required")))
    for found in (forced, written(asked(settings=thinks), NOVA)):
        assert found.losses.hints == ["thinking"]
        assert b'"thinking"' not in found.body
    assert written(asked(settings=Settings(thinking=Thinking("none"))), NOVA).losses.all() == []


def test_an_error_of_a_tool_is_a_hint_where_the_model_takes_no_status() -> None:
    turns = (HELLO, Turn("assistant", (ToolCall("a", "weather"),)), Turn("user", (ToolResult("a", is_error=True),)))
    found = written(asked(*turns), LLAMA)
    assert found.losses.hints == ["is_error"]
    assert b"status" not in found.body


def test_what_was_read_from_converse_itself_is_written_back_as_it_was() -> None:
    guard = {"guardContent": {"text": {"text": "check me"}}}
    request = asked(
        Turn("user", (Text("hello"), Opaque("converse", "guardContent", guard))),
        dialect="converse",
        settings=Settings(top_k=4),
        hosted=(Hosted("converse", "systemTool", {"systemTool": {"name": "nova_grounding"}}),),
        carried={
            "guardrailConfig": {"guardrailIdentifier": "abc", "guardrailVersion": "1"},
            "additionalModelRequestFields": {"anthropic_beta": ["x"]},
        },
    )
    found = written(request)
    body = msgspec.json.decode(found.body)
    assert body["messages"][0]["content"][1] == guard
    assert body["guardrailConfig"]["guardrailIdentifier"] == "abc"
    assert body["additionalModelRequestFields"] == {"anthropic_beta": ["x"], "top_k": 4}
    assert body["toolConfig"]["tools"] == [{"systemTool": {"name": "nova_grounding"}}]
    assert found.losses.all() == []


@given(requests("openai_chat"), st.sampled_from((CLAUDE, NOVA, LLAMA, PROFILE)))
def test_any_conversation_becomes_one_that_the_api_takes_and_every_call_has_its_result(
    request: Request, model: str
) -> None:
    found = written(request, model)
    messages = msgspec.json.decode(found.body)["messages"]
    assert [message["role"] for message in messages] == (["user", "assistant"] * len(messages))[: len(messages)]
    for said, answered in zip(messages[1::2], messages[2::2], strict=False):
        calls = [block["toolUse"]["toolUseId"] for block in said["content"] if "toolUse" in block]
        results = [block["toolResult"]["toolUseId"] for block in answered["content"] if "toolResult" in block]
        assert calls == results
    assert set(found.losses.demands) <= {"stop"}  # blank ones


def test_a_detail_that_asks_for_nothing_is_no_loss() -> None:
    """OpenAI's clients must say one."""
    for detail, hints in (("auto", []), ("high", ["detail"])):
        shown = Turn("user", (Media("image", "image/png", PIXEL, detail=detail),))
        assert written(asked(shown)).losses.all() == hints
