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
    if not patterns:
        return None
    alternatives = ("".join(_WILD.get(c) or re.escape(c) for c in pattern) for pattern in patterns)
    return re.compile("|".join(f"(?:{a})" for a in alternatives), re.DOTALL)


_WILD = {"*": ".*", "?": "."}


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
    """Whether ``pattern`` certainly matches every name that starts with ``prefix``."""
    literal = pattern[:-1]
    return pattern.endswith("*") and not set(literal) & {"*", "?"} and prefix.startswith(literal)


def _may_start_with(pattern: str, prefix: str) -> bool:
    literal = re.split(r"[*?]", pattern, maxsplit=1)[0]
    if len(literal) == len(pattern):
        return pattern.startswith(prefix)
    return literal.startswith(prefix) or prefix.startswith(literal)


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
