"""The canonical form, written for a Gemini model. Every body is validated by the vendor's own types (``write``)."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from policies.strict_json import BodyError
from providers.canonical.parts import (
    Content,
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
from providers.translation.gemini_wire import signature_of
from tests.unit.providers.translation.gemini_examples import PIXEL, read, write

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
DUMMY = "skip_thought_signature_validator"


def ask(*turns: Turn, **fields: Any) -> Request:
    return Request(dialect="anthropic", model="m", turns=turns or (user(Text("hi")),), **fields)


def user(*parts: Part) -> Turn:
    return Turn("user", parts)


def model(*parts: Part) -> Turn:
    return Turn("assistant", parts)


def contents(*turns: Turn, target: str = "gemini-3.1-pro-preview") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = write(ask(*turns), target)[0]["contents"]
    return found


def test_system_turns_at_the_beginning_are_the_instruction_and_later_ones_reminders_in_their_place() -> None:
    body, written = write(
        ask(
            Turn("system", (Text("Be brief.", cache="5m"), Text("Be kind."))),
            user(Text("hi")),
            Turn("system", (Text("New tools."),)),
            model(Text("Hello")),
        )
    )
    assert body["systemInstruction"] == {"parts": [{"text": "Be brief."}, {"text": "Be kind."}]}
    assert body["contents"] == [
        {"role": "user", "parts": [{"text": "hi"}, {"text": "<system-reminder>\nNew tools.\n</system-reminder>"}]},
        {"role": "model", "parts": [{"text": "Hello"}]},
    ]
    assert written.losses.hints == ["cache_control"]


def test_sides_alternate_and_the_user_begins() -> None:
    assert contents(model(Text("a")), model(Text("b")), user(Text("c")), user(Text(""))) == [
        {"role": "user", "parts": [{"text": " "}]},
        {"role": "model", "parts": [{"text": "a"}, {"text": "b"}]},
        {"role": "user", "parts": [{"text": "c"}]},
    ]


def test_a_turn_of_which_nothing_is_left_does_not_part_its_neighbours() -> None:
    """Each result is put in order once, however its side was pieced together."""
    calls = (ToolCall("a", "f"), ToolCall("b", "f"))
    gone = model(Reasoning("Hm.", "s", "anthropic"))
    found = contents(user(Text("?")), model(*calls), user(ToolResult("b")), gone, user(ToolResult("a"), Text("Go.")))
    assert [content["role"] for content in found] == ["user", "model", "user"]
    assert [next(iter(part)) for part in found[2]["parts"]] == ["functionResponse", "functionResponse", "text"]


def test_a_signature_waits_for_the_next_turn_of_the_model() -> None:
    found = contents(
        user(Text("?")), model(Reasoning("", "c2ln", "gemini")), model(ToolCall("a", "f")), user(Text("x"))
    )
    assert found[1]["parts"] == [{"functionCall": {"name": "f", "args": {}}, "thoughtSignature": "c2ln"}]


def test_results_stand_before_all_else_in_the_order_of_their_calls_and_name_them() -> None:
    calls = model(Text("Let me see."), ToolCall("toolu_1", "weather", '{"city": "Bern"}'), ToolCall("toolu_2", "time"))
    results = user(
        Text("Go on."), ToolResult("toolu_2", (Text("noon"),)), ToolResult("toolu_1", (Text("none"),), is_error=True)
    )
    found = contents(user(Text("?")), calls, results)
    assert found[1]["parts"] == [
        {"text": "Let me see."},
        {"functionCall": {"name": "weather", "args": {"city": "Bern"}}, "thoughtSignature": DUMMY},
        {"functionCall": {"name": "time", "args": {}}},
    ]
    assert found[2]["parts"] == [
        {"functionResponse": {"name": "weather", "response": {"error": "none"}}},
        {"functionResponse": {"name": "time", "response": {"output": "noon"}}},
        {"text": "Go on."},
    ]


def test_only_gemini_3_needs_a_dummy_signature() -> None:
    turns = (user(Text("?")), model(ToolCall("a", "f")), user(ToolResult("a")))
    assert "thoughtSignature" not in contents(*turns, target="gemini-2.5-flash")[1]["parts"][0]
    for target in ("gemini-3-flash-preview", "publishers/google/models/gemini-3.5-flash", "gemini-flash-latest"):
        assert contents(*turns, target=target)[1]["parts"][0]["thoughtSignature"] == DUMMY


def test_geminis_own_seals_stand_on_the_part_after_the_thought() -> None:
    turns = (
        user(Text("?")),
        model(Reasoning("Hm.", "c2ln", "gemini"), ToolCall("a", "f"), ToolCall("b", "f")),
        user(ToolResult("a"), ToolResult("b")),
        model(Reasoning(seal="ZW5k", dialect="gemini"), Text("Done."), Reasoning(seal="bGFzdA==", dialect="gemini")),
    )
    found = contents(*turns)
    assert found[1]["parts"] == [
        {"text": "Hm.", "thought": True},
        {"functionCall": {"name": "f", "args": {}}, "thoughtSignature": "c2ln"},
        {"functionCall": {"name": "f", "args": {}}},
    ]
    assert found[3]["parts"] == [
        {"text": "Done.", "thoughtSignature": "ZW5k"},
        {"text": "", "thoughtSignature": "bGFzdA=="},
    ]


def test_another_vendors_thoughts_are_left_out_and_never_told_as_text() -> None:
    body, written = write(
        ask(user(Text("?")), model(Reasoning("secret", "s", "anthropic"), Reasoning("plain"), Text("Hello")))
    )
    assert body["contents"][1]["parts"] == [{"text": "Hello"}]
    assert written.losses.all() == ["reasoning"]


@pytest.mark.parametrize(
    ("text", "response"),
    [
        ("sun", {"output": "sun"}),
        ("", {"output": ""}),
        ('{"t": 3}', {"t": 3}),
        ("{}", {"output": "{}"}),
        ('{"output": 1}', {"output": '{"output": 1}'}),
        ("{broken", {"output": "{broken"}),
        ("[1]", {"output": "[1]"}),
    ],
)
def test_a_result_that_is_an_object_is_written_as_one(text: str, response: Any) -> None:
    found = contents(user(Text("?")), model(ToolCall("a", "f")), user(ToolResult("a", (Text(text),))))
    assert found[2]["parts"][0]["functionResponse"]["response"] == response


def test_a_tool_reference_becomes_words() -> None:
    result = ToolResult("a", (ToolReference("add"), Text("ok")))
    found = contents(user(Text("?")), model(ToolCall("a", "ToolSearch")), user(result))
    assert found[2]["parts"][0]["functionResponse"]["response"] == {"output": "Tool add is available now.\nok"}


SHOT: tuple[Content, ...] = (Text("done"), Media("image", "image/png", PIXEL))


def test_media_of_a_result_stand_in_it_since_gemini_3() -> None:
    found = contents(user(Text("?")), model(ToolCall("a", "shot")), user(ToolResult("a", SHOT)))
    assert found[2]["parts"] == [
        {
            "functionResponse": {
                "name": "shot",
                "response": {"output": "done"},
                "parts": [{"inlineData": {"mimeType": "image/png", "data": PIXEL}}],
            }
        }
    ]


def test_media_of_a_result_follow_all_results_before_gemini_3() -> None:
    calls = model(ToolCall("a", "shot"), ToolCall("b", "shot"))
    turns = (user(Text("?")), calls, user(ToolResult("a", SHOT), ToolResult("b", (Text("x"),)), Text("And?")))
    found = contents(*turns, target="gemini-2.5-pro")
    assert found[2]["parts"] == [
        {"functionResponse": {"name": "shot", "response": {"output": "done"}}},
        {"functionResponse": {"name": "shot", "response": {"output": "x"}}},
        {"text": "Result of call a:"},
        {"inlineData": {"mimeType": "image/png", "data": PIXEL}},
        {"text": "And?"},
    ]


def test_media_are_written_inline_or_by_their_uri() -> None:
    body, written = write(
        ask(
            user(
                Media("image", url="https://example.org/a.png?size=1", detail="high"),
                Media("document", "application/pdf", PIXEL, name="a.pdf"),
                Media("document", file_id="file-123", dialect="openai"),
                Media("video", "video/mp4", file_id="https://generativelanguage.googleapis.com/f", dialect="gemini"),
            )
        )
    )
    assert body["contents"][0]["parts"] == [
        {"fileData": {"mimeType": "image/png", "fileUri": "https://example.org/a.png?size=1"}},
        {"inlineData": {"mimeType": "application/pdf", "data": PIXEL}},
        {"fileData": {"mimeType": "video/mp4", "fileUri": "https://generativelanguage.googleapis.com/f"}},
    ]
    assert written.losses.demands == ["file_id"]
    assert written.losses.hints == ["detail", "title"]


def test_a_result_without_a_call_is_refused() -> None:
    with pytest.raises(BodyError, match="toolu_9"):
        write(ask(user(ToolResult("toolu_9", (Text("x"),)))))


def test_tools_go_with_their_schemas_as_they_came_and_names_that_gemini_takes() -> None:
    body, written = write(
        ask(
            tools=(
                Tool("get weather", "Weather.", SCHEMA, strict=True, cache="5m"),
                Tool("add", namespace="mcp__lab"),
                Tool("DeferredToolPlaceholder", deferred=True),
                Tool("later", deferred=True),
                Tool("patch", "Patches.", custom=True),
                Tool("bare", schema={}),
            ),
            choice=ToolChoice("named", "add", "mcp__lab"),
        )
    )
    declarations = body["tools"][0]["functionDeclarations"]
    assert [tool["name"] for tool in declarations][1:] == ["mcp__lab__add", "later", "patch", "bare"]
    assert declarations[0]["parametersJsonSchema"] == SCHEMA
    assert written.names.tool(declarations[0]["name"]).name == "get weather"
    assert declarations[3]["parametersJsonSchema"]["required"] == ["input"]
    assert not any("parametersJsonSchema" in declarations[n] for n in (1, 2, 4))
    assert body["toolConfig"] == {
        "functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["mcp__lab__add"]},
    }
    assert not written.losses.demands


@pytest.mark.parametrize(
    ("choice", "mode"), [("auto", {"mode": "AUTO"}), ("none", {"mode": "NONE"}), ("required", {"mode": "ANY"})]
)
def test_choices_are_modes(choice: Any, mode: Any) -> None:
    body, _ = write(ask(tools=(Tool("f"),), choice=ToolChoice(choice)))
    assert body["toolConfig"]["functionCallingConfig"] == mode


def test_settings_have_their_names() -> None:
    body, written = write(
        ask(
            settings=Settings(
                max_tokens=9,
                temperature=0.0,
                top_p=0.5,
                top_k=3,
                stop=("a", "b", "c", "d", "e", "f"),
                seed=1,
                presence_penalty=0.1,
                frequency_penalty=0.2,
                user="u",
                parallel_calls=False,
                output=OutputFormat(SCHEMA, "weather", True),
            )
        )
    )
    assert body["generationConfig"] == {
        "maxOutputTokens": 9,
        "temperature": 0.0,
        "topP": 0.5,
        "topK": 3,
        "stopSequences": ["a", "b", "c", "d", "e"],
        "seed": 1,
        "presencePenalty": 0.1,
        "frequencyPenalty": 0.2,
        "responseMimeType": "application/json",
        "responseJsonSchema": SCHEMA,
    }
    assert sorted(written.losses.demands) == ["parallel_tool_calls", "stop"]
    assert written.losses.hints == ["user"]


@pytest.mark.parametrize(
    ("target", "bound"),
    [
        ("gemini-2.0-flash", 8192),
        ("gemini-2.5-pro", 65_535),
        ("gemini-3.1-pro-preview", 65_535),
        ("gemini-4-pro", 128_000),
    ],
)
def test_no_more_is_asked_for_than_a_model_can_say(target: str, bound: int) -> None:
    request = ask(settings=Settings(max_tokens=128_000))
    body, written = write(request, target)
    assert body["generationConfig"] == {"maxOutputTokens": bound}
    assert not written.losses.all()


def test_a_format_beside_functions_is_a_demand_before_gemini_3() -> None:
    request = ask(tools=(Tool("f"),), settings=Settings(output=OutputFormat(SCHEMA)))
    body, written = write(request, "gemini-2.5-flash")
    assert "generationConfig" not in body
    assert written.losses.demands == ["response_format"]
    assert "responseJsonSchema" in write(request, "gemini-3-flash-preview")[0]["generationConfig"]


@pytest.mark.parametrize(
    ("target", "thinking", "config", "lost"),
    [
        ("gemini-2.5-flash", Thinking("minimal"), {"thinkingBudget": 512, "includeThoughts": True}, False),
        ("gemini-2.5-flash", Thinking("low"), {"thinkingBudget": 1024, "includeThoughts": True}, False),
        ("gemini-2.5-flash", Thinking("max", show=False), {"thinkingBudget": 24576, "includeThoughts": False}, False),
        ("gemini-2.5-flash", Thinking("none"), {"thinkingBudget": 0}, False),
        ("gemini-2.5-flash", Thinking(budget=64_000), {"thinkingBudget": 24576, "includeThoughts": True}, False),
        ("gemini-2.5-flash", Thinking(budget=-1), {"thinkingBudget": -1, "includeThoughts": True}, False),
        ("gemini-2.5-pro", Thinking("none"), {"thinkingBudget": 128}, True),
        ("gemini-2.5-pro", Thinking("xhigh"), {"thinkingBudget": 32768, "includeThoughts": True}, False),
        ("gemini-2.5-flash-lite", Thinking(budget=100), {"thinkingBudget": 512, "includeThoughts": True}, False),
        ("gemini-2.5-flash", Thinking(show=True), {"includeThoughts": True}, False),
        ("gemini-3-pro-preview", Thinking("low"), {"thinkingLevel": "LOW", "includeThoughts": True}, False),
        ("gemini-3-pro-preview", Thinking("medium"), {"thinkingLevel": "HIGH", "includeThoughts": True}, False),
        ("gemini-3.1-pro-preview", Thinking("medium"), {"thinkingLevel": "MEDIUM", "includeThoughts": True}, False),
        ("gemini-3.1-pro-preview", Thinking("minimal"), {"thinkingLevel": "LOW", "includeThoughts": True}, False),
        ("gemini-3-flash-preview", Thinking("minimal"), {"thinkingLevel": "MINIMAL", "includeThoughts": True}, False),
        ("gemini-3.7-flash", Thinking("none"), {"thinkingLevel": "LOW"}, True),
        ("gemini-3.7-flash", Thinking("max"), {"thinkingLevel": "HIGH", "includeThoughts": True}, False),
        ("gemini-3.7-flash", Thinking(budget=4000), {"thinkingLevel": "MEDIUM", "includeThoughts": True}, False),
        ("gemini-3.7-flash", Thinking(budget=-1), {"includeThoughts": True}, False),
        ("gemini-2.0-flash", Thinking("high"), None, True),
        ("gemini-2.0-flash", Thinking("none"), None, False),
        ("gemma-3-27b-it", Thinking("high"), None, True),
    ],
)
def test_thinking_is_asked_for_as_the_model_takes_it(target: str, thinking: Thinking, config: Any, lost: bool) -> None:
    body, written = write(ask(settings=Settings(thinking=thinking)), target)
    assert body.get("generationConfig", {}).get("thinkingConfig") == config
    assert written.losses.all() == (["thinking"] if lost else [])


def test_what_another_dialect_carries_is_named_as_lost() -> None:
    body, written = write(
        ask(
            user(Text("hi"), Opaque("anthropic", "search_result", {})),
            hosted=(Hosted("anthropic", "web_search_20250305", {}),),
            carried={"metadata": {}, "mcp_servers": []},
        )
    )
    assert written.losses.hints == ["metadata", "tools.web_search_20250305"]
    assert written.losses.demands == ["search_result", "mcp_servers"]
    assert body.keys() == {"contents"}


def test_a_choice_of_a_tool_that_gemini_is_not_told_of_is_a_demand() -> None:
    hosted = (Hosted("openai_responses", "web_search", {}),)
    body, written = write(ask(tools=(Tool("f"),), hosted=hosted, choice=ToolChoice("named", "web_search")))
    assert "toolConfig" not in body
    assert "tool_choice" in written.losses.demands


BODY = {
    "contents": [
        {"role": "user", "parts": [{"text": "?"}, {"fileData": {"fileUri": "gs://b/f.mp4", "mimeType": "video/mp4"}, "videoMetadata": {"fps": 2.0}}]},
        {"role": "model", "parts": [
            {"text": "Hm.", "thought": True},
            {"functionCall": {"id": "a", "name": "f", "args": {}}, "thoughtSignature": "c2ln"},
            {"executableCode": {"code": "1", "language": "PYTHON"}},
        ]},
        {"role": "user", "parts": [{"text": "x"}, {"functionResponse": {"id": "a", "name": "f", "response": {"output": "1"}, "scheduling": "SILENT"}}]},
    ],
    "systemInstruction": {"parts": [{"text": "Be brief."}]},
    "tools": [
        {"functionDeclarations": [{"name": "f", "parametersJsonSchema": SCHEMA, "behavior": "BLOCKING"}]},
        {"googleSearch": {}},
    ],
    "toolConfig": {"functionCallingConfig": {"mode": "VALIDATED", "allowedFunctionNames": ["f"]}, "retrievalConfig": {"languageCode": "de"}},
    "generationConfig": {
        "candidateCount": 2, "thinkingConfig": {"thinkingLevel": "HIGH"}, "responseMimeType": "application/json",
        "responseJsonSchema": SCHEMA, "mediaResolution": "MEDIA_RESOLUTION_LOW",
    },
    "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"}],
    "labels": {"team": "a"},
}  # fmt: skip


def test_a_gemini_request_is_written_back_as_it_came() -> None:
    body, written = write(read(BODY), "gemini-3-pro-preview")
    assert body == BODY
    assert not written.losses.all()


def test_ids_are_written_only_where_the_client_gave_them() -> None:
    body = {
        "contents": [
            {"role": "user", "parts": [{"text": "?"}]},
            {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}}]},
            {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"output": "1"}}}]},
        ]
    }
    assert write(read(body), "gemini-2.5-flash")[0] == body


@pytest.mark.parametrize("effort", ["minimal", "low", "medium", "high", "xhigh"])
def test_a_level_that_the_client_itself_named_is_left_to_the_vendor(effort: Effort) -> None:
    request = Request(
        dialect="gemini", model="m", turns=(user(Text("hi")),), settings=Settings(thinking=Thinking(effort))
    )
    assert write(request, "gemini-2.5-flash")[0]["generationConfig"]["thinkingConfig"] == {
        "thinkingLevel": effort.upper()
    }


@pytest.mark.parametrize(
    "thought",
    [
        Reasoning("Hm.", "EqQB+/x==", "anthropic"),
        Reasoning("", "redacted.data", "anthropic", redacted=True),
        Reasoning("", "gAAAA", "openai", id="rs_1"),
        Reasoning("Sum.", "gAAAA", "openai", id="rs_1"),
    ],
)
def test_another_vendors_seal_passes_a_gemini_client_as_base64_and_comes_back_whole(thought: Reasoning) -> None:
    carried = signature_of(thought)
    stored = base64.urlsafe_b64encode(base64.b64decode(carried, validate=True)).decode()  # as google-genai keeps bytes
    part = {"text": thought.text, "thought": True, "thoughtSignature": stored}
    found = read({"contents": [{"role": "user", "parts": [{"text": "?"}]}, {"role": "model", "parts": [part]}]})
    assert found.turns[1].parts == (thought,)


def test_a_detail_that_asks_for_nothing_is_no_loss() -> None:
    """OpenAI's clients must say one."""
    _, written = write(ask(Turn("user", (Media("image", "image/png", PIXEL, detail="auto"),))))
    assert written.losses.all() == []
