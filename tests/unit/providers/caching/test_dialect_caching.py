"""What the cache knows of the dialects: states, Claude Code's header, marks, judgements."""

from __future__ import annotations

import json
from typing import Any

import pytest

from policies.caching.vocabulary import Answerable, Bypass
from providers.caching.base import keep, mint
from providers.caching.chat import ChatCaching
from providers.caching.messages import MessagesCaching
from providers.caching.responses import ResponsesCaching
from providers.dialects.anthropic import AnthropicMessages
from providers.dialects.openai_chat import OpenAIChat
from providers.dialects.openai_responses import OpenAIResponses
from tests.peers import llm_replies as replies

BILLING = "x-anthropic-billing-header: cc_version=2.1.330.%s; cc_entrypoint=sdk-cli; cch=00000;"


def messages(system: Any, content: Any = "hi", **more: Any) -> Any:
    body = {"model": "m", "max_tokens": 5, "system": system, "messages": [{"role": "user", "content": content}], **more}
    found = MessagesCaching().answerable(AnthropicMessages().parse(json.dumps(body).encode()))
    return found.fields if isinstance(found, Answerable) else found


def block(text: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": text, **more}


def test_claude_codes_billing_text_does_not_count_and_anything_else_in_its_place_does() -> None:
    one = messages([block(BILLING % "572"), block("be kind")])
    assert one == messages([block(BILLING % "a1b"), block("be kind")])
    assert one != messages([block(BILLING % "572" + " Answer in French."), block("be kind")])
    assert messages("s", [block(BILLING % "572")]) != messages("s", [block(BILLING % "a1b")]), "a user's text counts"


def test_cache_marks_do_not_count_but_a_tools_own_argument_of_that_name_does() -> None:
    mark = {"cache_control": {"type": "ephemeral"}}
    assert messages([block("s", **mark)], [block("hi", **mark)]) == messages([block("s")], [block("hi")])

    def called(arguments: Any) -> Any:
        return messages("s", [{"type": "tool_use", "id": "t", "name": "n", "input": arguments}])

    assert called(mark) != called({})


@pytest.mark.parametrize(
    "field", [{"container": "c"}, {"mcp_servers": [{"type": "url", "url": "https://x", "name": "x"}]}]
)
def test_what_the_vendor_keeps_or_calls_itself_takes_no_part(field: dict[str, Any]) -> None:
    assert messages("s", **field) == Bypass("stateful")


@pytest.mark.parametrize(
    "field", [{"previous_response_id": "resp_1"}, {"conversation": "c"}, {"background": True}, {"prompt": {"id": "p"}}]
)
def test_a_response_that_refers_to_kept_state_takes_no_part(field: dict[str, Any]) -> None:
    request = OpenAIResponses().parse(json.dumps({"model": "m", "input": "hi", **field}).encode())
    assert ResponsesCaching().answerable(request) == Bypass("stateful")


def test_a_chat_that_the_vendor_is_to_store_takes_no_part() -> None:
    request = OpenAIChat().parse(json.dumps({"model": "m", "messages": [], "store": True}).encode())
    assert ChatCaching().answerable(request) == Bypass("stateful")


def test_a_response_that_the_vendor_keeps_keeps_its_id_and_is_not_kept_when_it_calls_tools() -> None:
    plain = replies.response(1, "m", "text", None, replies.Tokens())
    kept = keep(ResponsesCaching(), "body", json.dumps(plain).encode())
    assert kept is not None
    assert json.loads(mint(kept)[0])["id"] == plain["id"]

    class Step:
        tool, arguments = "look", {"a": 1}

    calling = replies.response(1, "m", "text", Step, replies.Tokens())
    assert keep(ResponsesCaching(), "body", json.dumps(calling).encode()) is None
    own = keep(ResponsesCaching(), "body", json.dumps({**calling, "store": False}).encode())
    assert own is not None
    data, tool_ids = mint(own)
    again = json.loads(data)
    assert [item["call_id"] for item in again["output"]] == list(tool_ids)
    assert tool_ids[0] != calling["output"][0]["call_id"]
    assert again["id"] != calling["id"]


def test_ids_inside_texts_and_arguments_stay_as_they_are() -> None:
    answer = replies.completion(7, "m", 'my "id":"chatcmpl-7" and {"id": "chatcmpl-7"}', None, replies.Tokens())
    kept = keep(ChatCaching(), "body", json.dumps(answer).encode())
    assert kept is not None
    again = json.loads(mint(kept)[0])
    assert again["id"] != answer["id"]
    assert again["choices"] == answer["choices"]


@pytest.mark.parametrize("reason", ["refusal", "pause_turn", None, "model_context_window_exceeded"])
def test_a_message_that_did_not_end_well_is_not_kept(reason: str | None) -> None:
    message = {**replies.message(1, "m", "text", None, replies.Tokens()), "stop_reason": reason}
    assert keep(MessagesCaching(), "body", json.dumps(message).encode()) is None


def test_a_chat_refusal_is_not_kept() -> None:
    answer = replies.completion(1, "m", "text", None, replies.Tokens())
    answer["choices"][0]["message"]["refusal"] = "no"
    assert keep(ChatCaching(), "body", json.dumps(answer).encode()) is None


def test_a_stream_with_an_event_that_is_not_known_is_not_kept() -> None:
    events = replies.message_events(replies.message(1, "m", "text", None, replies.Tokens()))
    strange = replies.sse("content_block_delta", {"type": "content_block_delta", "index": 0, "delta": {"type": "new"}})
    assert keep(MessagesCaching(), "stream", b"".join(events)) is not None
    assert keep(MessagesCaching(), "stream", b"".join([*events[:3], strange, *events[3:]])) is None


def turns(first: str, second: str, *, results: tuple[str, str] | None = None) -> Any:
    """A conversation with two tool calls and their results."""
    asked = [{"type": "tool_use", "id": i, "name": "n", "input": {"id": "own"}} for i in (first, second)]
    given = [
        {"type": "tool_result", "tool_use_id": i, "content": [block(text)]}
        for i, text in zip(results or (first, second), ("one", "two"), strict=True)
    ]
    body = [
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": asked},
        {"role": "user", "content": given},
    ]
    request = AnthropicMessages().parse(json.dumps({"model": "m", "max_tokens": 5, "messages": body}).encode())
    found = MessagesCaching().answerable(request)
    assert isinstance(found, Answerable)
    return found.fields


def test_tool_use_ids_do_not_count_but_which_result_answers_which_call_does() -> None:
    assert turns("a", "b") == turns("x", "y")
    assert turns("a", "b") != turns("a", "b", results=("b", "a"))
    assert b'"own"' in turns("a", "b")["messages"], "an argument of that name is no link"


def test_tool_call_ids_of_a_chat_do_not_count() -> None:
    def asked(one: str) -> Any:
        call = {"id": one, "type": "function", "function": {"name": "f", "arguments": "{}"}}
        history = [
            {"role": "user", "content": "go"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": one, "content": "done"},
        ]
        found = ChatCaching().answerable(OpenAIChat().parse(json.dumps({"model": "m", "messages": history}).encode()))
        assert isinstance(found, Answerable)
        return found.fields

    assert asked("call_1") == asked("call_2")
