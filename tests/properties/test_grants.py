"""The grant algebra against a naive reference, and the soundness of what is told about whole servers."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from policies.admission import Grants, Subject
from policies.grants import EVERYTHING, NOTHING, Grant, GrantSet

LETTERS = "ab/*?!"
PATTERNS = st.lists(st.text(LETTERS, min_size=1, max_size=5).filter(lambda p: p.strip("!")), max_size=4)
NAMES = ["".join(chars) for size in range(5) for chars in itertools.product("ab/", repeat=size)]


def matches(pattern: str, name: str) -> bool:
    """Glob matching by its definition."""
    if not pattern:
        return not name
    if pattern[0] == "*":
        return any(matches(pattern[1:], name[at:]) for at in range(len(name) + 1))
    return bool(name) and pattern[0] in ("?", name[0]) and matches(pattern[1:], name[1:])


@given(PATTERNS)
def test_a_grant_allows_what_a_pattern_matches_and_none_denies(patterns: list[str]) -> None:
    grant = Grant.of(patterns)
    for name in NAMES:
        allowed = any(matches(p, name) for p in patterns if not p.startswith("!"))
        denied = any(matches(p[1:], name) for p in patterns if p.startswith("!"))
        assert grant.allows(name) == (allowed and not denied)


@given(PATTERNS, PATTERNS)
def test_grants_of_tiers_intersect_and_their_order_does_not_matter(one: list[str], two: list[str]) -> None:
    both = GrantSet((Grant.of(one), Grant.of(list(reversed(two)))))
    for name in NAMES:
        assert both.allows(name) == (Grant.of(one).allows(name) and Grant.of(two).allows(name))


@given(PATTERNS, st.sampled_from(["a/", "b/", "ab/"]))
def test_covering_and_touching_a_server_are_sound(patterns: list[str], prefix: str) -> None:
    grant = Grant.of(patterns)
    inside = [grant.allows(prefix + name) for name in NAMES]
    if grant.covers(prefix):
        assert all(inside)
    if any(inside):
        assert grant.touches(prefix)


def test_absence_follows_the_rules() -> None:
    def tiers(key: list[str] | None, team: list[str] | None, customer: list[str] | None, *, has_team: bool) -> GrantSet:
        return GrantSet.of_tiers(key, team, customer, has_team=has_team)

    assert tiers(None, None, ["*"], has_team=False) == NOTHING
    assert not tiers(None, None, None, has_team=True).allows("x")
    assert tiers(None, ["x"], None, has_team=True).allows("x")
    assert tiers(["x"], None, None, has_team=False).allows("x")
    assert not tiers(["x"], ["y"], None, has_team=True).allows("x")
    assert not tiers(["x"], ["*"], ["y"], has_team=True).allows("x")
    assert not tiers([], ["*"], None, has_team=True).allows("x")


def test_resources_need_a_grant_or_the_whole_server() -> None:
    def sees(tools: list[str], resources: list[str] | None) -> bool:
        declared = None if resources is None else GrantSet((Grant.of(resources),))
        grants = Grants(tools=GrantSet((Grant.of(tools),)), resources=declared)
        return grants.decide(Subject("resource", "files", "file:///a")).allowed

    assert sees(["files/*"], None)
    assert sees(["*"], None)
    assert not sees(["files/read_*"], None)
    assert not sees(["files/*", "!files/write"], None)
    assert not sees(["files/*"], [])
    assert sees(["files/read"], ["files/file:*"])


def test_a_model_is_judged_by_its_name_and_its_full_name() -> None:
    grants = Grants(models=GrantSet((Grant.of(["gpt-*", "!openai/gpt-4o"]),)))
    assert grants.allows("model", "azure", "gpt-4o")
    assert not grants.allows("model", "openai", "gpt-4o")
    narrowed = Grants(models=EVERYTHING, providers={"openai": GrantSet((Grant.of(["gpt-4o"]),))})
    assert narrowed.allows("model", "openai", "gpt-4o")
    assert not narrowed.allows("model", "openai", "o3")
    assert not narrowed.allows("model", "azure", "gpt-4o")
