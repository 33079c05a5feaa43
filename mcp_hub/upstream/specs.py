"""How a member is reached, as configured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from mcp_hub.seams import Era
from policies.caching.keys import digest
from policies.grants import Grant

Isolation = Literal["auto", "shared", "per_principal", "per_session"]


Interactive = Literal["auto", "serial", "never"]


@dataclass(frozen=True, slots=True)
class Terms:
    """How the hub deals with one member, over whatever transport."""

    isolation: Isolation = "auto"
    timeout_s: float = 60.0
    """Seconds of silence that one call may take."""
    tool_timeouts: tuple[tuple[Grant, float], ...] = ()
    """Other limits by tool; the first that matches stands."""
    era: Era | None = None
    """Known beforehand: no probe."""
    interactive: Interactive = "auto"
    """``serial``: one call that may be asked at a time from the start; ``never``: it cannot ask at all."""
    roots: bool = False
    """Clients' roots are passed to it."""
    prefix: str | None = None
    """In front of its tools' names instead of its own name."""
    aliases: tuple[str, ...] = ()
    """Former prefixes: names under them still find their tool, and are not listed."""

    def timeout_of(self, name: str) -> float:
        if not self.tool_timeouts:
            return self.timeout_s
        return next((seconds for grant, seconds in self.tool_timeouts if grant.allows(name)), self.timeout_s)


_TERMS = Terms()


@dataclass(frozen=True)
class StdioSpec:
    """A program that speaks MCP over its standard streams. ``env`` is added to a short allowlist."""

    name: str
    command: str
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    cwd: str | None = None
    terms: Terms = _TERMS

    @cached_property
    def fingerprint(self) -> str:
        return _fingerprint(self.command, *self.args, "", self.cwd or "", *_pairs(self.env))


@dataclass(frozen=True)
class HttpSpec:
    """A server over HTTP. ``headers`` are the gate's own credentials there."""

    name: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    terms: Terms = _TERMS
    sse: bool = False
    """Speaks the HTTP+SSE transport of 2024-11-05, not Streamable HTTP."""

    @cached_property
    def fingerprint(self) -> str:
        return _fingerprint(self.url, *_pairs(self.headers))


MemberSpec = StdioSpec | HttpSpec


def _pairs(values: Mapping[str, str]) -> Iterator[str]:
    return (part for name in sorted(values) for part in (name, values[name]))


def _fingerprint(*parts: str) -> str:
    """A digest: what it is made of holds secrets."""
    return digest(part.encode("utf-8", "surrogateescape") for part in parts).hex()
