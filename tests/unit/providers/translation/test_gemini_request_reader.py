"""A request of a Gemini client, read into the canonical form."""

from __future__ import annotations

from typing import Any

import pytest

from providers.canonical.parts import Media, Opaque, Reasoning, Text, ToolCall, ToolResult, Turn
from providers.canonical.request import Hosted, OutputFormat, Settings, Thinking, Tool, ToolChoice
from tests.unit.providers.translation.gemini_examples import PIXEL, read, refused, said

ASKED = {"role": "user", "parts": [{"text": "Weather in Bern and Basel?"}]}


def test_a_plain_question_is_read_as_the_sdk_sends_it() -> None:
    request = read({"contents": [{"parts": [{"text": "hi"}], "role": "user"}]}, stream=True)
    assert request.turns == (Turn("user", (Text("hi"),)),)
    assert (request.dialect, request.model, request.stream) == ("gemini", "gemini-2.5-flash", True)
    assert not request.carried


def test_both_spellings_of_every_field_say_the_same() -> None:
    snake = read(
        {
            "contents": [
                {"parts": [{"inline_data": {"mime_type": "image/png", "data": PIXEL}}]},
                {"role": "model", "parts": [{"function_call": {"name": "f", "args": {"some_key": 1}}}]},
                {"role": "user", "parts": [{"function_response": {"name": "f", "response": {"result": "ok"}}}]},
            ],
            "system_instruction": {"parts": {"text": "Be brief."}},
            "tools": [{"function_declarations": [{"name": "f", "parameters_json_schema": {"type": "object"}}]}],
            "tool_config": {"function_calling_config": {"mode": "any", "allowed_function_names": ["f"]}},
            "generation_config": {"max_output_tokens": 5, "top_k": 40.0, "thinking_config": {"thinking_budget": 9}},
            "safety_settings": [],
        }
    )
    camel = read(
        {
            "contents": [
                {"parts": [{"inlineData": {"mimeType": "image/png", "data": PIXEL}}]},
                {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {"some_key": 1}}}]},
                {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"result": "ok"}}}]},
            ],
            "systemInstruction": {"parts": [{"text": "Be brief."}]},
            "tools": [{"functionDeclarations": [{"name": "f", "parametersJsonSchema": {"type": "object"}}]}],
            "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
            "generationConfig": {"maxOutputTokens": 5, "topK": 40, "thinkingConfig": {"thinkingBudget": 9}},
            "safetySettings": [],
        }
    )
    assert snake == camel
    assert camel.choice == ToolChoice("named", "f")
    assert camel.settings.thinking == Thinking(budget=9)
    assert camel.turns[0] == Turn("system", (Text("Be brief."),))
    call = camel.turns[2].parts[0]
    assert isinstance(call, ToolCall)
    assert call.arguments == '{"some_key":1}'


def test_calls_without_ids_get_the_same_ones_in_every_request_and_responses_find_them_by_name_in_order() -> None:
    history = [
        ASKED,
        {
            "role": "model",
            "parts": [
                {"functionCall": {"name": "weather", "args": {"city": "Bern"}}},
                {"functionCall": {"name": "time", "args": {}}},
                {"functionCall": {"name": "weather", "args": {"city": "Basel"}}},
            ],
        },
        {
            "role": "function",
            "parts": [
                {"functionResponse": {"name": "weather", "response": {"output": "sun"}}},
                {"functionResponse": {"name": "weather", "response": {"output": "rain"}}},
                {"functionResponse": {"name": "time", "response": {"output": "noon"}}},
            ],
        },
    ]
    turns = read({"contents": history}).turns
    calls = [part for part in turns[1].parts if isinstance(part, ToolCall)]
    results = [part for part in turns[2].parts if isinstance(part, ToolResult)]
    assert len({call.id for call in calls}) == 3
    assert [result.call_id for result in results] == [calls[0].id, calls[2].id, calls[1].id]
    longer = read({"contents": [*history, {"role": "model", "parts": [{"text": "Fine."}]}, ASKED]}).turns
    assert longer[:3] == turns


def test_a_response_without_an_id_answers_the_latest_step_not_a_forgotten_call() -> None:
    call = {"role": "model", "parts": [{"functionCall": {"name": "f"}}]}
    answer = {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"output": "2"}}}]}
    turns = read({"contents": [ASKED, call, ASKED, call, answer]}).turns
    result, latest = turns[4].parts[0], turns[3].parts[0]
    assert isinstance(result, ToolResult)
    assert isinstance(latest, ToolCall)
    assert result.call_id == latest.id


def test_responses_find_their_calls_by_id_whatever_their_order() -> None:
    calls: list[Any] = [{"functionCall": {"id": name, "name": "f", "args": {}}} for name in ("a", "b")]
    responses = [{"functionResponse": {"id": name, "name": "f", "response": {"output": name}}} for name in ("b", "a")]
    turns = read({"contents": [ASKED, {"role": "model", "parts": calls}, {"parts": responses}]}).turns
    assert turns[2].parts == (ToolResult("b", (Text("b"),)), ToolResult("a", (Text("a"),)))


@pytest.mark.parametrize(
    ("response", "text", "failed"),
    [
        ({"output": "sun"}, "sun", False),
        ({"result": "sun"}, "sun", False),
        ({"error": "no such city"}, "no such city", True),
        ({"output": {"t": 3}}, '{"t":3}', False),
        ({"result": [1, 2]}, "[1,2]", False),
        ({"name": "add", "content": "42"}, '{"name":"add","content":"42"}', False),
        ({"output": 1, "error": "half"}, '{"output":1,"error":"half"}', False),
        ({}, "", False),
    ],
)
def test_what_a_function_answered_is_read_from_its_response(response: Any, text: str, failed: bool) -> None:
    call = {"role": "model", "parts": [{"functionCall": {"id": "a", "name": "f"}}]}
    answer = {"parts": [{"functionResponse": {"id": "a", "name": "f", "response": response}}]}
    content = (Text(text),) if text else ()
    assert read({"contents": [ASKED, call, answer]}).turns[2].parts == (ToolResult("a", content, failed),)


def test_media_of_every_sort_are_read() -> None:
    request = read(
        said(
            {"inlineData": {"mimeType": "image/png", "data": PIXEL.replace("+", "-")}},
            {"inlineData": {"mimeType": "audio/wav", "data": PIXEL}},
            {"inlineData": {"mimeType": "application/pdf", "data": PIXEL, "displayName": "a.pdf"}},
            {"fileData": {"mimeType": "video/mp4", "fileUri": "gs://bucket/film.mp4"}},
            {"fileData": {"fileUri": "https://www.youtube.com/watch?v=1"}},
            {"fileData": {"mimeType": "text/plain", "fileUri": FILE}},
        )
    )
    assert request.turns[0].parts == (
        Media("image", "image/png", PIXEL),
        Media("audio", "audio/wav", PIXEL),
        Media("document", "application/pdf", PIXEL, name="a.pdf"),
        Media("video", "video/mp4", url="gs://bucket/film.mp4"),
        Media("video", url="https://www.youtube.com/watch?v=1"),
        Media("document", "text/plain", file_id=FILE, dialect="gemini"),
    )


FILE = "https://generativelanguage.googleapis.com/v1beta/files/abc"


def test_what_modifies_a_part_follows_it_and_the_part_stays_usable() -> None:
    film = {"fileData": {"mimeType": "video/mp4", "fileUri": "gs://b/f.mp4"}, "videoMetadata": {"fps": 2}}
    assert read(said(film)).turns[0].parts == (
        Media("video", "video/mp4", url="gs://b/f.mp4"),
        Opaque("gemini", "fileData.videoMetadata", {"videoMetadata": {"fps": 2}}),
    )


def test_parts_that_only_gemini_knows_are_kept_whole() -> None:
    code = {"executableCode": {"language": "PYTHON", "code": "1+1"}, "thoughtSignature": "c2ln"}
    turns = read({"contents": [ASKED, {"role": "model", "parts": [code]}]}).turns
    assert turns[1].parts == (Opaque("gemini", "executableCode", code),)


def test_thoughts_and_signatures_are_read_and_streamed_chunks_are_one_answer() -> None:
    chunks = [
        {"role": "model", "parts": [{"text": "Let me ", "thought": True}]},
        {"role": "model", "parts": [{"text": "see.", "thought": True}]},
        {"role": "model", "parts": [{"functionCall": {"id": "a", "name": "f"}, "thoughtSignature": "c2ln"}]},
        {"role": "model", "parts": [{"text": "Hel"}]},
        {"role": "model", "parts": [{"text": "lo"}]},
        {"role": "model", "parts": [{"text": "", "thoughtSignature": "ZW5k"}]},
    ]
    turns = read({"contents": [ASKED, *chunks]}).turns
    assert turns[1].parts == (
        Reasoning("Let me see.", "c2ln", "gemini"),
        ToolCall("a", "f"),
        Text("Hello"),
        Reasoning(seal="ZW5k", dialect="gemini"),
    )
    assert len(turns) == 2


@pytest.mark.parametrize("dummy", ["skip_thought_signature_validator", "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I="])
def test_a_dummy_signature_says_nothing(dummy: str) -> None:
    call = {"functionCall": {"id": "a", "name": "f"}, "thoughtSignature": dummy}
    assert read({"contents": [ASKED, {"role": "model", "parts": [call]}]}).turns[1].parts == (ToolCall("a", "f"),)


def test_functions_are_read_in_json_schema_whatever_words_they_were_given_in() -> None:
    openapi = {
        "type": "OBJECT",
        "properties": {
            "type": {"type": "STRING", "nullable": True, "enum": ["a"], "format": "enum"},
            "list": {"type": "ARRAY", "items": {"type": "INTEGER"}, "min_items": "1"},
            "either": {"any_of": [{"type": "NUMBER"}, {"type": "BOOLEAN"}]},
        },
        "required": ["type"],
    }
    tools = [
        {
            "functionDeclarations": [
                {"name": "a", "description": "A.", "parameters": openapi},
                {"name": "b", "parametersJsonSchema": {"type": "object", "min_items": "kept"}},
                {"name": "c", "behavior": "NON_BLOCKING", "response": {"type": "STRING"}},
            ]
        },
        {"googleSearch": {}},
        {"urlContext": {}, "codeExecution": {}},
    ]
    request = read({**said({"text": "hi"}), "tools": tools})
    assert request.tools == (
        Tool(
            "a",
            "A.",
            {
                "type": "object",
                "properties": {
                    "type": {"type": ["string", "null"], "enum": ["a"], "format": "enum"},
                    "list": {"type": "array", "items": {"type": "integer"}, "minItems": 1},
                    "either": {"anyOf": [{"type": "number"}, {"type": "boolean"}]},
                },
                "required": ["type"],
            },
        ),
        Tool("b", schema={"type": "object", "min_items": "kept"}),
        Tool("c"),
    )
    assert request.carried == {
        "tools.functionDeclarations": {"c": {"behavior": "NON_BLOCKING", "response": {"type": "STRING"}}}
    }
    assert request.hosted == tuple(
        Hosted("gemini", kind, {kind: {}}) for kind in ("googleSearch", "urlContext", "codeExecution")
    )


@pytest.mark.parametrize(
    ("calling", "choice", "carried"),
    [
        ({"mode": "AUTO"}, ToolChoice("auto"), {}),
        ({"mode": "NONE"}, ToolChoice("none"), {}),
        ({"mode": "ANY"}, ToolChoice("required"), {}),
        ({"mode": "ANY", "allowedFunctionNames": ["f"]}, ToolChoice("named", "f"), {}),
        (
            {"mode": "ANY", "allowedFunctionNames": ["f", "g"]},
            ToolChoice("required"),
            {"allowedFunctionNames": ["f", "g"]},
        ),
        ({"mode": "VALIDATED"}, ToolChoice("auto"), {"mode": "VALIDATED"}),
        ({}, None, {}),
        ({"streamFunctionCallArguments": True}, None, {"streamFunctionCallArguments": True}),
    ],
)
def test_a_choice_of_tools_is_read(calling: Any, choice: ToolChoice | None, carried: dict[str, Any]) -> None:
    request = read({**said({"text": "hi"}), "toolConfig": {"functionCallingConfig": calling}})
    assert request.choice == choice
    assert request.carried == {f"toolConfig.functionCallingConfig.{name}": value for name, value in carried.items()}


def test_settings_are_read_and_the_rest_is_carried_by_its_path() -> None:
    config = {
        "maxOutputTokens": 100,
        "temperature": 0.5,
        "topP": 0.9,
        "topK": 40,
        "stopSequences": ["END"],
        "seed": -7,
        "presencePenalty": 0.1,
        "frequencyPenalty": -0.1,
        "responseMimeType": "application/json",
        "responseSchema": {"type": "OBJECT"},
        "thinkingConfig": {"thinkingLevel": "low", "includeThoughts": True},
        "candidateCount": 2,
        "speechConfig": {"languageCode": "de"},
    }
    body = {**said({"text": "hi"}), "generationConfig": config, "labels": {"team": "a"}, "cachedContent": "c/1"}
    request = read(body)
    assert request.settings == Settings(
        max_tokens=100,
        temperature=0.5,
        top_p=0.9,
        top_k=40,
        stop=("END",),
        seed=-7,
        presence_penalty=0.1,
        frequency_penalty=-0.1,
        thinking=Thinking("low", show=True),
        output=OutputFormat({"type": "object"}),
    )
    assert request.carried == {
        "generationConfig.candidateCount": 2,
        "generationConfig.speechConfig": {"languageCode": "de"},
        "labels": {"team": "a"},
        "cachedContent": "c/1",
    }


def test_no_thinking_and_any_json_are_read() -> None:
    config = {"thinkingConfig": {"thinkingBudget": 0}, "responseMimeType": "application/json", "candidateCount": 1}
    request = read({**said({"text": "hi"}), "generationConfig": config})
    assert request.settings == Settings(thinking=Thinking("none", 0), output=OutputFormat())
    assert not request.carried


def test_one_answer_of_text_is_what_every_model_gives_and_other_modalities_are_asked_for() -> None:
    def carried(*modalities: str) -> object:
        config = {"candidateCount": 1, "responseModalities": [*modalities]}
        return read({**said({"text": "hi"}), "generationConfig": config}).carried

    assert carried("TEXT") == {}
    assert carried("TEXT", "IMAGE") == {"generationConfig.responseModalities": ["TEXT", "IMAGE"]}


CALL = {"role": "model", "parts": [{"functionCall": {"id": "a", "name": "f"}}]}


@pytest.mark.parametrize(
    ("field", "body"),
    [
        ("contents", {}),
        ("contents", {"contents": []}),
        ("contents[0]", {"contents": ["hi"]}),
        ("contents[0].role", said({"text": "hi"}, role="assistant")),
        ("contents[0].parts", {"contents": [{"parts": "hi"}]}),
        ("contents[0].parts[0]", said({})),
        ("contents[0].parts[0]", said({"text": "a", "inlineData": {}})),
        ("contents[0].parts[0].text", said({"text": 1})),
        ("contents[0].parts[0].thought", said({"text": "a", "thought": "yes"})),
        ("contents[0].parts[0].inlineData.data", said({"inlineData": {"mimeType": "image/png", "data": "%%%="}})),
        ("contents[0].parts[0].inlineData.mimeType", said({"inlineData": {"data": PIXEL}})),
        ("contents[0].parts[0].fileData.fileUri", said({"fileData": {}})),
        ("contents[0].parts[0].functionCall", said({"functionCall": {"name": "f"}})),
        ("contents[0].parts[0].functionCall.name", said({"functionCall": {}}, role="model")),
        ("contents[0].parts[0].functionCall.args", said({"functionCall": {"name": "f", "args": "x"}}, role="model")),
        ("contents[0].parts[0].functionResponse", said({"functionResponse": {"name": "f", "response": {}}})),
        ("contents[1].parts[0].functionCall.id", {"contents": [CALL, CALL]}),
        ("contents[2].parts[0].functionCall.id", {"contents": [CALL, {"parts": [{"text": "x"}]}, CALL]}),
        ("contents[0].parts[0].inline_data", said({"inlineData": {}, "inline_data": {}})),
        ("systemInstruction.parts[0]", {**said({"text": "a"}), "systemInstruction": {"parts": [{"inlineData": {}}]}}),
        ("tools[0].functionDeclarations[0].name", {**said({"text": "a"}), "tools": [{"functionDeclarations": [{}]}]}),
        ("toolConfig.functionCallingConfig.mode", {**said({"text": "a"}), "toolConfig": {"functionCallingConfig": {"mode": "SOME"}}}),
        ("generationConfig.temperature", {**said({"text": "a"}), "generationConfig": {"temperature": 2.5}}),
        ("generationConfig.temperature", {**said({"text": "a"}), "generationConfig": {"temperature": "hot"}}),
        ("generationConfig.maxOutputTokens", {**said({"text": "a"}), "generationConfig": {"maxOutputTokens": -1}}),
        ("generationConfig.topP", {**said({"text": "a"}), "generationConfig": {"topP": 1.5}}),
        ("generationConfig.stopSequences", {**said({"text": "a"}), "generationConfig": {"stopSequences": "END"}}),
        ("generationConfig.thinkingConfig.thinkingLevel", {**said({"text": "a"}), "generationConfig": {"thinkingConfig": {"thinkingLevel": "deep"}}}),
        ("generationConfig.thinkingConfig.thinkingLevel", {**said({"text": "a"}), "generationConfig": {"thinkingConfig": {"thinkingLevel": "low", "thinkingBudget": 5}}}),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_by_its_path(field: str, body: dict[str, Any]) -> None:
    assert refused(body) == field


def test_a_second_response_to_one_call_is_refused() -> None:
    answer = {"functionResponse": {"id": "a", "name": "f", "response": {"output": "1"}}}
    assert refused({"contents": [ASKED, CALL, {"parts": [answer, answer]}]}) == "contents[2].parts[1].functionResponse"


def test_the_history_of_the_ai_sdk_is_read() -> None:
    """As ``@ai-sdk/google`` sends the second step of its loop."""
    response = {"id": "call_mock00", "name": "add", "response": {"name": "add", "content": "42"}}
    request = read(
        {
            "generationConfig": {},
            "contents": [
                {"role": "user", "parts": [{"text": "Add 2 and 40"}]},
                {"role": "model", "parts": [{"functionCall": {"id": "call_mock00", "name": "add", "args": {"a": 2}}}]},
                {"role": "user", "parts": [{"functionResponse": response}]},
            ],
            "tools": [{"functionDeclarations": [{"name": "add", "parametersJsonSchema": {"type": "object"}}]}],
            "toolConfig": {"functionCallingConfig": {"mode": "AUTO"}},
        }
    )
    assert request.turns[1].parts == (ToolCall("call_mock00", "add", '{"a":2}'),)
    assert request.turns[2].parts == (ToolResult("call_mock00", (Text('{"name":"add","content":"42"}'),)),)
