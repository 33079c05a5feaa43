"""Names of tools and ids of calls that a vendor's rules forbid, mapped for one request and back.

Nothing is remembered between requests: the same name or id always becomes the same one, and the client's conversation
goes on holding its own. What is already allowed stays as it is.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from providers.canonical.request import Tool

_FORBIDDEN = re.compile(r"[^A-Za-z0-9_-]")
_HASHED = 10


@dataclass(frozen=True, slots=True)
class NameRule:
    """What a vendor allows: a pattern for the whole, and the most characters."""

    pattern: re.Pattern[str]
    longest: int

    def allows(self, name: str) -> bool:
        return 0 < len(name) <= self.longest and self.pattern.fullmatch(name) is not None


NINE = NameRule(re.compile(r"[A-Za-z0-9]{9}"), 9)
"""Mistral's ids of calls (https://docs.mistral.ai/api/: nine letters and digits, exactly)."""
PLAIN_64 = NameRule(re.compile(r"[A-Za-z0-9_-]+"), 64)
PLAIN_128 = NameRule(re.compile(r"[A-Za-z0-9_-]+"), 128)


def fitted(name: str, rule: NameRule) -> str:
    """``name`` as ``rule`` allows it: unchanged, or cleaned and told apart by a hash of the whole."""
    if rule.allows(name):
        return name
    whole = hashlib.sha256(name.encode()).hexdigest()
    if rule.longest <= _HASHED:
        return whole[: rule.longest]
    mark = whole[:_HASHED]
    stem = _FORBIDDEN.sub("_", name)[: rule.longest - _HASHED - 1]
    return f"{stem}_{mark}"


class ToolNames:
    """The names under which one request's tools are offered to a target, and which tool each of them is."""

    __slots__ = ("_rule", "_tools")

    def __init__(self, tools: Iterable[Tool], rule: NameRule) -> None:
        self._rule = rule
        self._tools: dict[str, Tool] = {}
        for tool in tools:
            self._tools.setdefault(self.given(tool.name, tool.namespace), tool)

    def given(self, name: str, namespace: str = "") -> str:
        """What the target is told."""
        return fitted(f"{namespace}__{name}" if namespace else name, self._rule)

    def tool(self, given: str) -> Tool:
        """The caller's tool behind a name that the target said; a name that nobody offered stays as it is."""
        return self._tools.get(given) or Tool(given)
