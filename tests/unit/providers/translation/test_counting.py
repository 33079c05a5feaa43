"""Counts of tokens between Anthropic and Gemini, both ways."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from anthropic.types import MessageTokensCount
from anthropic.types.message_count_tokens_params import MessageCountTokensParams
from pydantic import ConfigDict, TypeAdapter, with_config

from policies.strict_json import BodyError, strict_object
from providers.canonical.parts import Text, Turn
from providers.canonical.request import Request, Settings, Tool, ToolChoice
from providers.translation.base import BAD_ANSWER, DEFAULT_TRAITS
from providers.translation.counting import counted_by_anthropic, counted_by_gemini, read_gemini_count
from tests.unit.providers.translation.gemini_examples import client, valid

HI = Turn("user", (Text("hi"),))
SCHEMA = {"type": "object", "properties": {}}


def read(body: dict[str, Any]) -> Request:
    return read_gemini_count(strict_object(json.dumps(body).encode(), frozenset()), "m")


def test_a_conversation_alone_is_counted_by_its_contents() -> None:
    exchange = counted_by_gemini(Request(dialect="anthropic", model="m", turns=(HI,)), "gemini-2.5-pro", DEFAULT_TRAITS)
    assert json.loads(exchange.body) == {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}


def asked(**fields: Any) -> Request:
    turns = (Turn("system", (Text("Be brief."),)), HI)
    tools = (Tool("f", schema=SCHEMA),)
    return Request(dialect="anthropic", model="m", turns=turns, tools=tools, choice=ToolChoice("auto"), **fields)


def test_system_prompt_and_tools_are_counted_in_a_whole_request_that_names_its_model() -> None:
    body = json.loads(counted_by_gemini(asked(), "gemini-2.5-pro", DEFAULT_TRAITS).body)
    inner = body.pop("generateContentRequest")
    assert not body
    assert inner.pop("model") == "models/gemini-2.5-pro"
    assert inner.keys() == {"contents", "systemInstruction", "tools"}
    valid(inner)


def test_vertex_takes_them_beside_the_contents() -> None:
    body = json.loads(counted_by_gemini(asked(), "gemini-2.5-pro", DEFAULT_TRAITS, vertex=True).body)
    assert body.keys() == {"contents", "systemInstruction", "tools"}


def test_geminis_count_is_told_as_anthropics_sdk_reads_it() -> None:
    exchange = counted_by_gemini(asked(), "gemini-2.5-pro", DEFAULT_TRAITS)
    told = exchange.tell(b'{"totalTokens": 31, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 31}]}')
    assert MessageTokensCount.model_validate_json(told.body).input_tokens == 31


def test_a_count_of_the_google_sdk_is_answered_by_anthropic() -> None:
    def answered(request: httpx.Request) -> httpx.Response:
        counted = read_gemini_count(strict_object(request.content, frozenset()), "gemini-2.5-flash")
        exchange = counted_by_anthropic(counted, "claude-sonnet-4-6", DEFAULT_TRAITS)
        assert json.loads(exchange.body)["model"] == "claude-sonnet-4-6"
        told = exchange.tell(b'{"input_tokens": 12}')
        return httpx.Response(200, headers={"content-type": "application/json"}, content=told.body)

    assert client(answered).models.count_tokens(model="gemini-2.5-flash", contents="hi").total_tokens == 12


FULL = {
    "contents": [{"role": "user", "parts": [{"text": "hi"}]}],
    "systemInstruction": {"parts": [{"text": "Be brief."}]},
    "tools": [{"functionDeclarations": [{"name": "f", "parametersJsonSchema": SCHEMA}]}],
    "generationConfig": {"temperature": 0.5, "maxOutputTokens": 9},
}


@pytest.mark.parametrize("body", [FULL, {"generateContentRequest": {"model": "models/m", **FULL}}])
def test_both_shapes_of_a_count_are_read_and_anthropic_gets_only_what_it_counts(body: dict[str, Any]) -> None:
    request = read(body)
    assert request.settings == Settings(temperature=0.5, max_tokens=9)
    wanted = json.loads(counted_by_anthropic(request, "claude-sonnet-4-6", DEFAULT_TRAITS).body)
    assert wanted.keys() == {"model", "messages", "system", "tools"}
    strict = with_config(ConfigDict(extra="forbid"))(MessageCountTokensParams)
    TypeAdapter(strict).validate_python(wanted)


def test_a_count_of_both_contents_and_a_request_is_refused() -> None:
    with pytest.raises(BodyError):
        read({**FULL, "generateContentRequest": FULL})


@pytest.mark.parametrize("answer", [b"{}", b"[]", b"oops", b'{"totalTokens": "x", "input_tokens": null}'])
def test_what_is_no_count_is_told_as_such(answer: bytes) -> None:
    with pytest.raises(BAD_ANSWER):
        counted_by_gemini(asked(), "m", DEFAULT_TRAITS).tell(answer)
    with pytest.raises(BAD_ANSWER):
        counted_by_anthropic(asked(), "m", DEFAULT_TRAITS).tell(answer)
