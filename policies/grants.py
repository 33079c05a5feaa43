"""The one grant algebra for models, tools, resources and prompts.

A grant is a list of patterns over names. ``*`` matches any run of characters, ``/`` included;
``?`` matches one; everything else is literal and case-sensitive. A pattern that begins with ``!``
denies and wins whatever its position. Grants of several tiers intersect. Absent on a team or
customer means no narrowing; absent on a key means the team's, and without a team nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache


@lru_cache(maxsize=4096)
def _compile(patterns: tuple[str, ...]) -> re.Pattern[str] | None:
    """One expression for all of ``patterns``, without backtracking between stars: names are chosen by
    callers, who could otherwise make a pattern with several stars as slow as they like."""
    if not patterns:
        return None
    return re.compile("|".join(f"(?:{_expression(pattern)})" for pattern in patterns), re.DOTALL)


def _expression(pattern: str) -> str:
    first, *rest = ("".join("." if c == "?" else re.escape(c) for c in part) for part in pattern.split("*"))
    if not rest:
        return first
    # What stands between two stars may as well match where it first can: hence atomic and lazy.
    between = "".join(f"(?>.*?{part})" for part in rest[:-1] if part)
    return f"{first}{between}.*{rest[-1]}"


@dataclass(frozen=True)
class Grant:
    """One list of patterns, compiled. ``Grant.of(None)`` does not exist: absence is the caller's rule."""

    allow: tuple[str, ...]
    deny: tuple[str, ...] = ()

    @classmethod
    def of(cls, patterns: Iterable[str]) -> Grant:
        listed = tuple(patterns)
        return cls(
            allow=tuple(p for p in listed if not p.startswith("!")),
            deny=tuple(p[1:] for p in listed if p.startswith("!")),
        )

    @cached_property
    def _compiled(self) -> tuple[re.Pattern[str] | None, re.Pattern[str] | None]:
        return _compile(self.allow), _compile(self.deny)

    def allows(self, *names: str) -> bool:
        """Whether any of ``names`` (spellings of one thing) is allowed and none is denied."""
        allow, deny = self._compiled
        if allow is None or (deny is not None and any(deny.fullmatch(n) for n in names)):
            return False
        return any(allow.fullmatch(n) for n in names)

    def touches(self, prefix: str) -> bool:
        """Whether some name that starts with ``prefix`` could be allowed."""
        if any(_covers(pattern, prefix) for pattern in self.deny):
            return False
        return any(_may_start_with(pattern, prefix) for pattern in self.allow)

    def covers(self, prefix: str) -> bool:
        """Whether every name that starts with ``prefix`` is allowed."""
        whole = any(_covers(pattern, prefix) for pattern in self.allow)
        return whole and not any(_may_start_with(p, prefix) for p in self.deny)


def _covers(pattern: str, prefix: str) -> bool:
    """Whether ``pattern`` matches every name that starts with ``prefix``: it matches the prefix itself,
    and its last star takes whatever follows."""
    compiled = _compile((pattern,))
    return pattern.endswith("*") and compiled is not None and compiled.fullmatch(prefix) is not None


@lru_cache(maxsize=4096)
def _may_start_with(pattern: str, prefix: str) -> bool:
    """Whether ``pattern`` matches some name that starts with ``prefix``: whether any way of reading
    ``prefix`` ends within the pattern, the rest of which can then be supplied."""
    places = _past_stars(pattern, {0})
    for character in prefix:
        on_star = {at for at in places if pattern[at : at + 1] == "*"}
        moved = {at + 1 for at in places if pattern[at : at + 1] in ("?", character)}
        places = _past_stars(pattern, on_star | moved)
    return bool(places)


def _past_stars(pattern: str, places: set[int]) -> set[int]:
    """``places`` and those that are reached by letting a star match nothing."""
    reached = set(places)
    for place in places:
        at = place
        while pattern[at : at + 1] == "*":
            at += 1
            reached.add(at)
    return reached


@dataclass(frozen=True)
class GrantSet:
    """The grants of all tiers of one principal, intersected."""

    grants: tuple[Grant, ...]

    @classmethod
    def of_tiers(
        cls,
        key: Sequence[str] | None,
        team: Sequence[str] | None,
        customer: Sequence[str] | None,
        *,
        has_team: bool,
    ) -> GrantSet:
        """Intersect the lists of the three tiers by the rules of absence above."""
        if key is None and not has_team:
            return NOTHING
        if key is None and team is None:
            return NOTHING
        return cls(tuple(Grant.of(listed) for listed in (key, team, customer) if listed is not None))

    def allows(self, *names: str) -> bool:
        return all(grant.allows(*names) for grant in self.grants)

    def touches(self, prefix: str) -> bool:
        return all(grant.touches(prefix) for grant in self.grants)

    def covers(self, prefix: str) -> bool:
        return all(grant.covers(prefix) for grant in self.grants)


NOTHING = GrantSet((Grant((), ()),))
EVERYTHING = GrantSet((Grant(("*",), ()),))


def by_precision(patterns: Sequence[str]) -> list[str]:
    """Patterns in the order in which they are asked: names before globs, longer before shorter."""
    return sorted(patterns, key=lambda pattern: ("*" in pattern or "?" in pattern, -len(pattern), pattern))
