"""Which run (agent session) a request belongs to, by the headers that real clients send.

Sources: Claude Code sends ``X-Claude-Code-Session-Id``, Codex ``session-id``, opencode ``x-session-id``;
``x-tollkeeper-run`` is the gate's own and comes first. Trace context: W3C ``traceparent``.
"""

from __future__ import annotations

from collections.abc import Mapping

RUN_HEADERS = ("x-tollkeeper-run", "x-claude-code-session-id", "session-id", "x-session-id")
MAX_RUN_LENGTH = 200
LIMITS_HEADER = "x-tollkeeper-run-limits"
"""A caller's own narrowing of its run's limits (``policies.run_limits``)."""


def run_of(headers: Mapping[str, str]) -> str | None:
    """The caller's name for its run, bounded; ``None`` if it names none."""
    for name in RUN_HEADERS:
        value = headers.get(name)
        if value:
            return value[:MAX_RUN_LENGTH]
    return None


def agent_of(headers: Mapping[str, str]) -> str | None:
    """The sub-agent within the run (Claude Code)."""
    value = headers.get("x-claude-code-agent-id")
    return value[:MAX_RUN_LENGTH] if value else None


def trace_of(headers: Mapping[str, str]) -> str | None:
    """The trace id of a ``traceparent`` header (https://www.w3.org/TR/trace-context/)."""
    return trace_id(headers.get("traceparent", ""))


def trace_id(traceparent: str) -> str | None:
    """The trace id of a ``traceparent`` value; ``None`` when it is not one."""
    parts = traceparent.split("-")
    if len(parts) < 4 or len(parts[1]) != 32 or parts[1] == "0" * 32:
        return None
    return parts[1] if all(c in "0123456789abcdef" for c in parts[1]) else None
