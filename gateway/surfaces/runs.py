"""Which run (agent session) a request belongs to, by the headers that real clients send.

Sources: Claude Code sends ``X-Claude-Code-Session-Id``, Codex ``session-id``, opencode ``x-session-id``;
``x-tollkeeper-run`` is the gate's own and comes first. Trace context: W3C ``traceparent``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

RUN_HEADERS = ("x-tollkeeper-run", "x-claude-code-session-id", "session-id", "x-session-id")
AGENT_HEADER = "x-claude-code-agent-id"
TRACE_HEADER = "traceparent"
MAX_RUN_LENGTH = 200
LIMITS_HEADER = "x-tollkeeper-run-limits"
"""A caller's own narrowing of its run's limits (``policies.run_limits``)."""
_MARKS = frozenset((*RUN_HEADERS, AGENT_HEADER, TRACE_HEADER, LIMITS_HEADER))


class Marks(NamedTuple):
    """What a caller's headers say of where its call belongs."""

    run: str | None = None
    run_limits: str | None = None
    trace_id: str | None = None
    agent_id: str | None = None


_UNMARKED = Marks()


def marks_of(headers: Mapping[str, str]) -> Marks:
    """All of them; most calls of a plain SDK have none."""
    if _MARKS.isdisjoint(headers):
        return _UNMARKED
    return Marks(run_of(headers), headers.get(LIMITS_HEADER), trace_of(headers), agent_of(headers))


def run_of(headers: Mapping[str, str]) -> str | None:
    """The caller's name for its run, bounded; ``None`` if it names none."""
    for name in RUN_HEADERS:
        value = headers.get(name)
        if value:
            return value[:MAX_RUN_LENGTH]
    return None


def agent_of(headers: Mapping[str, str]) -> str | None:
    """The sub-agent within the run (Claude Code)."""
    value = headers.get(AGENT_HEADER)
    return value[:MAX_RUN_LENGTH] if value else None


def trace_of(headers: Mapping[str, str]) -> str | None:
    """The trace id of a ``traceparent`` header (https://www.w3.org/TR/trace-context/)."""
    return trace_id(headers.get(TRACE_HEADER, ""))


def trace_id(traceparent: str) -> str | None:
    """The trace id of a ``traceparent`` value; ``None`` when it is not one."""
    parts = traceparent.split("-")
    if len(parts) < 4 or len(parts[1]) != 32 or parts[1] == "0" * 32:
        return None
    return parts[1] if all(c in "0123456789abcdef" for c in parts[1]) else None
