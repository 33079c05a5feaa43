"""Exposed names: injective, legal, short enough, and a function of their own server and tool alone."""

from __future__ import annotations

import re

from hypothesis import example, given, settings
from hypothesis import strategies as st

from mcp_hub.naming import MAX_NAME, exposed_name

SERVERS = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,31}", fullmatch=True).filter(
    lambda s: "__" not in s and not s.endswith("_")
)
TOOLS = st.text(st.sampled_from("abAB019_-./ é"), min_size=1, max_size=80) | st.from_regex(
    r"[a-z_]{1,9}_[0-9a-f]{8}", fullmatch=True
)
PAIRS = st.tuples(SERVERS, TOOLS)


@settings(max_examples=2_000)
@given(PAIRS, PAIRS, st.integers(0, 40))
@example(("a", "b__c"), ("a", "b__d"), 17)
@example(("a", "_b"), ("a", "__b"), 17)
@example(("a", "x_0123abcd"), ("a", "x"), 17)
def test_two_tools_never_share_a_name(one: tuple[str, str], two: tuple[str, str], prefix: int) -> None:
    names = exposed_name(*one, prefix), exposed_name(*two, prefix)
    assert (names[0] == names[1]) == (one == two)
    for name in names:
        assert re.fullmatch(r"[A-Za-z0-9_-]+", name)
        assert len(name) + prefix <= MAX_NAME


def test_a_plain_name_stays_plain() -> None:
    assert exposed_name("files", "read_file", 17) == "files__read_file"


def test_a_long_name_is_shortened_with_a_digest() -> None:
    name = exposed_name("files", "a" * 80, 17)
    assert len(name) == 47
    assert re.fullmatch(r"files__a+_[0-9a-f]{8}", name)
