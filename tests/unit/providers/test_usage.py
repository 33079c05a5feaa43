"""Usage as vendors report it, in the books' disjoint counts."""

from __future__ import annotations

import json

import pytest

from policies.types import Usage
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
