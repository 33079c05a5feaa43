"""A whole answer as a client of OpenAI's responses reads it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from policies.types import Usage
from providers.canonical.answer import Answer, StopReason
from providers.canonical.parts import Opaque, Reasoning, Text, ToolCall
from providers.canonical.request import Hosted, OutputFormat, Request, Settings, Thinking, Tool, ToolChoice
from providers.translation.responses import RESPONSES_FACE
from providers.translation.responses_tools import SearchTool
from tests.unit.providers.translation.responses_sdk import parsed_response

ASKED = Request(dialect="openai_responses", model="claude-sonnet")
USAGE = Usage(
    input_tokens=10,
    cache_read_tokens=5,
    cache_write_tokens=3,
    cache_write_1h_tokens=2,
    output_tokens=7,
    reasoning_tokens=4,
)


def written(*parts: Any, stop: StopReason = "end", asked: Request = ASKED, name: str = "msg_1") -> dict[str, Any]:
    answer = Answer(id=name, model="claude-sonnet", parts=parts, stop=stop, usage=USAGE)
    body = RESPONSES_FACE.write(answer, asked)
    parsed_response(body)
    found: dict[str, Any] = json.loads(body)
    return found


def test_an_answer_is_a_whole_response_object() -> None:
    response = written(Text("Hello"), stop="end")
    assert response["id"] == "resp_msg_1"
    assert (response["object"], response["status"]) == ("response", "completed")
    assert (response["error"], response["incomplete_details"]) == (None, None)
    [item] = response["output"]
    assert item.pop("id").startswith("msg_")
    assert item == {
        "type": "message",
        "status": "completed",
        "role": "assistant",
        "content": [{"type": "output_text", "text": "Hello", "annotations": [], "logprobs": []}],
    }


def test_cached_tokens_are_counted_inside_the_input() -> None:
    assert written(Text("a"))["usage"] == {
        "input_tokens": 20,
        "input_tokens_details": {"cached_tokens": 5, "cache_write_tokens": 5},
        "output_tokens": 7,
        "output_tokens_details": {"reasoning_tokens": 4},
        "total_tokens": 27,
    }


def test_unknown_usage_is_null() -> None:
    answer = Answer(id="", model="m", parts=(), stop="end")
    response = parsed_response(RESPONSES_FACE.write(answer, ASKED))
    assert response.usage is None
    assert response.output == []
    assert response.id.startswith("resp_")


@pytest.mark.parametrize(
    ("stop", "status", "reason"),
    [
        ("end", "completed", None),
        ("tool_calls", "completed", None),
        ("stop_sequence", "completed", None),
        ("pause", "completed", None),
        ("other", "completed", None),
        ("length", "incomplete", "max_output_tokens"),
        ("refusal", "incomplete", "content_filter"),
    ],
)
def test_how_it_ended(stop: StopReason, status: str, reason: str | None) -> None:
    response = written(Text("a"), stop=stop)
    assert response["status"] == status
    assert (response["incomplete_details"] or {}).get("reason") == reason


def test_the_item_that_was_cut_short_says_so() -> None:
    response = written(Text("a"), ToolCall("c", "add", '{"a'), stop="length")
    assert [item["status"] for item in response["output"]] == ["completed", "incomplete"]


def test_thoughts_seals_and_calls_stand_in_order() -> None:
    response = written(
        Reasoning("hm", "sig", "anthropic"),
        Text("a"),
        ToolCall("c1", "add", '{"b": 1, "a": 2}', "mcp__lab"),
        ToolCall("c2", "patch", "*** Begin", custom=True),
        Text("b"),
        Text("c"),
        stop="tool_calls",
    )
    thought, first, add, patch, last = response["output"]
    assert (thought["summary"], thought["encrypted_content"]) == (
        [{"type": "summary_text", "text": "hm"}],
        "tk1.anthropic.sig",
    )
    assert (first["content"][0]["text"], [part["text"] for part in last["content"]]) == ("a", ["b", "c"])
    assert (add["call_id"], add["name"], add["namespace"]) == ("c1", "add", "mcp__lab")
    assert add["arguments"] == '{"b": 1, "a": 2}'
    assert (patch["type"], patch["input"], "namespace" in patch) == ("custom_tool_call", "*** Begin", False)
    assert [item["id"].split("_")[0] for item in response["output"]] == ["rs", "msg", "fc", "ctc", "msg"]


@pytest.mark.parametrize(
    ("thought", "sealed"),
    [
        (Reasoning("", "data", "anthropic", redacted=True), "tk1.anthropic~redacted.data"),
        (Reasoning("", "sig", "gemini"), "tk1.gemini.sig"),
        (Reasoning("", "gAAAA", "openai", redacted=True, id="rs_7"), "gAAAA"),
        (Reasoning("only text"), None),
    ],
)
def test_every_seal_is_carried(thought: Reasoning, sealed: str | None) -> None:
    [item] = written(thought)["output"]
    assert item.get("encrypted_content") == sealed


def test_the_vendor_s_name_of_a_thought_stays_and_another_vendor_s_does_not() -> None:
    own, other = written(Reasoning("a", "s", "openai", id="rs_7"), Reasoning("a", id="thought-1"))["output"]
    assert own["id"] == "rs_7"
    assert other["id"].startswith("rs_")


def test_a_thought_without_content_and_a_foreign_block_are_left_out() -> None:
    own = {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "q"}}
    response = written(
        Reasoning(), Opaque("anthropic", "server_tool_use", {}), Opaque("openai_responses", "web_search_call", own)
    )
    assert response["output"] == [own]


def test_the_client_s_own_search_is_called_in_its_own_spelling() -> None:
    asked = Request(
        dialect="openai_responses",
        model="m",
        tools=(SearchTool("tool_search", "Finds tools.", {"type": "object"}),),
    )
    response = written(ToolCall("c1", "tool_search", '{"query": "add"}'), stop="tool_calls", asked=asked)
    [item] = response["output"]
    assert (item["type"], item["execution"], item["arguments"]) == ("tool_search_call", "client", {"query": "add"})
    assert response["tools"][0]["type"] == "tool_search"
    [plain] = written(ToolCall("c1", "tool_search", "{}"), stop="tool_calls")["output"]
    assert plain["type"] == "function_call"


def test_what_was_asked_is_echoed() -> None:
    schema = {"type": "object", "properties": {}}
    asked = Request(
        dialect="openai_responses",
        model="claude-sonnet",
        tools=(
            Tool("add", "Adds.", schema, strict=True),
            Tool("grow", namespace="lab"),
            Tool("shrink", namespace="lab"),
            Tool("patch", custom=True, schema={"type": "text"}),
        ),
        hosted=(Hosted("openai_responses", "web_search", {"type": "web_search"}),),
        choice=ToolChoice("named", "patch"),
        settings=Settings(
            max_tokens=9,
            temperature=0.5,
            top_p=0.25,
            user="u",
            parallel_calls=False,
            thinking=Thinking("low", show=True),
            output=OutputFormat(schema, "n", True, "d"),
        ),
        carried={
            "metadata": {"a": "b"},
            "text.verbosity": "low",
            "reasoning.summary": "auto",
            "prompt_cache_key": "k",
            "truncation": "auto",
            "tools.namespaces": {"lab": "The lab."},
        },
    )
    response = written(Text("a"), asked=asked)
    echoed = {
        "max_output_tokens": 9,
        "temperature": 0.5,
        "top_p": 0.25,
        "user": "u",
        "parallel_tool_calls": False,
        "reasoning": {"effort": "low", "summary": "auto"},
        "text": {
            "format": {"type": "json_schema", "name": "n", "schema": schema, "strict": True, "description": "d"},
            "verbosity": "low",
        },
        "tool_choice": {"type": "custom", "name": "patch"},
        "metadata": {"a": "b"},
        "prompt_cache_key": "k",
        "truncation": "auto",
        "model": "claude-sonnet",
    }
    assert {name: response[name] for name in echoed} == echoed
    assert [(tool["type"], tool.get("name")) for tool in response["tools"]] == [
        ("function", "add"),
        ("namespace", "lab"),
        ("custom", "patch"),
        ("web_search", None),
    ]
    lab = response["tools"][1]
    assert (lab["description"], [tool["name"] for tool in lab["tools"]]) == ("The lab.", ["grow", "shrink"])
