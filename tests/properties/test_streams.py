"""However a provider's stream is cut into chunks, the client gets the same bytes and the books the same usage."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.types import Usage
from providers.dialects.anthropic import AnthropicMessages
from providers.dialects.base import Dialect
from providers.dialects.openai_chat import OpenAIChat
from providers.dialects.openai_responses import OpenAIResponses
from tests.peers import llm_replies as replies
from tests.peers.scripted_llm import ToolStep

TOKENS = replies.Tokens(input=70, output=9, cached=30)
STEP = ToolStep("lookup", {"city": "Zürich — 北京"})
TEXT = "Grüße, 世界! 🌍"


def recorded(dialect: str, step: ToolStep | None) -> bytes:
    if dialect == "anthropic":
        events = replies.message_events(replies.message(1, "m", TEXT, step, TOKENS))
    elif dialect == "chat":
        events = replies.completion_events(replies.completion(1, "m", TEXT, step, TOKENS), usage=True)
    else:
        events = replies.response_events(replies.response(1, "m", TEXT, step, TOKENS))
    return b"".join(events)


DIALECTS: dict[str, tuple[Dialect, bytes]] = {
    "anthropic": (AnthropicMessages(), b'{"model":"m","stream":true,"max_tokens":5}'),
    "chat": (OpenAIChat(), b'{"model":"m","stream":true,"stream_options":{"include_usage":true}}'),
    "responses": (OpenAIResponses(), b'{"model":"m","stream":true}'),
}


@pytest.mark.parametrize("newline", [b"\n", b"\r\n"])
@pytest.mark.parametrize("name", list(DIALECTS))
@given(data=st.data(), tool=st.booleans())
def test_any_split_gives_the_same_bytes_and_usage(name: str, newline: bytes, data: st.DataObject, tool: bool) -> None:
    dialect, request = DIALECTS[name]
    whole = recorded(name, STEP if tool else None).replace(b"\n", newline)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=12)))
    reader = dialect.stream_reader(dialect.parse(request))
    passed = b"".join(reader.feed(whole[a:b]) for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True))
    assert passed + reader.finish() == whole
    assert reader.usage == Usage(input_tokens=70, cache_read_tokens=30, output_tokens=9)
    assert reader.ended
    assert bool(reader.new_tool_uses()) == tool


@given(st.data())
def test_any_split_hides_exactly_the_usage_chunk(data: st.DataObject) -> None:
    whole = recorded("chat", STEP)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=12)))
    dialect = OpenAIChat()
    reader = dialect.stream_reader(dialect.parse(b'{"model":"m","stream":true}'))
    passed = b"".join(reader.feed(whole[a:b]) for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True))
    shown = [event + b"\n\n" for event in whole.split(b"\n\n")[:-1] if b'"choices": []' not in event]
    assert passed + reader.finish() == b"".join(shown)
    assert reader.usage is not None


@given(st.binary(max_size=300))
def test_no_bytes_whatever_break_a_reader(noise: bytes) -> None:
    for dialect, request in DIALECTS.values():
        reader = dialect.stream_reader(dialect.parse(request))
        assert reader.feed(noise) + reader.finish() == noise


@given(
    st.dictionaries(st.text(max_size=6), st.integers() | st.text(max_size=6), max_size=4),
    st.text("gpt/-4o", min_size=1),
)
def test_only_the_model_and_the_usage_option_change_in_a_chat_body(extra: dict[str, object], target: str) -> None:
    fields = {
        **{
            k: v
            for k, v in extra.items()
            if k.casefold()
            not in ("model", "stream", "stream_options", "n", "max_tokens", "messages", "max_completion_tokens")
        },
        "model": "asked",
        "stream": True,
    }
    dialect = OpenAIChat()
    request = dialect.parse(json.dumps(fields).encode())
    sent = json.loads(dialect.upstream_body(request, target))
    assert sent == {**fields, "model": target, "stream_options": {"include_usage": True}}
