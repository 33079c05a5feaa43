"""Usage as vendors report it, in the books' disjoint counts."""

from __future__ import annotations

import json

import pytest

from policies.types import Usage
from providers.dialects.anthropic import AnthropicMessages, MessagesStreamReader
from providers.dialects.openai_chat import OpenAIChat


@pytest.mark.parametrize(
    "reported",
    [
        {"prompt_tokens_details": {"cached_tokens": 60}},
        {"prompt_cache_hit_tokens": 60, "prompt_cache_miss_tokens": 40},
        {"cached_tokens": 60},
    ],
    ids=["openai", "deepseek", "moonshot"],
)
def test_cached_tokens_are_found_where_a_vendor_puts_them(reported: dict[str, object]) -> None:
    usage = {"prompt_tokens": 100, "completion_tokens": 7, **reported}
    reading = OpenAIChat().read(json.dumps({"choices": [], "usage": usage}).encode())
    assert reading is not None
    assert reading.usage == Usage(input_tokens=40, cache_read_tokens=60, output_tokens=7)


def test_anthropics_thinking_tokens_are_reasoning_whole_and_streamed() -> None:
    said = {"input_tokens": 5, "output_tokens": 30, "output_tokens_details": {"thinking_tokens": 10}}
    counted = Usage(input_tokens=5, output_tokens=30, reasoning_tokens=10)
    reading = AnthropicMessages().read(json.dumps({"content": [], "usage": said}).encode())
    assert reading is not None
    assert reading.usage == counted
    stream = MessagesStreamReader()
    started = {"type": "message_start", "message": {"content": [], "usage": {"input_tokens": 5, "output_tokens": 1}}}
    for event in (started, {"type": "message_delta", "delta": {}, "usage": said}):
        stream.feed(b"data: " + json.dumps(event).encode() + b"\n\n")
    assert stream.usage == counted
