"""How a member is reached, as configured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Isolation = Literal["auto", "shared", "per_principal", "per_session"]


@dataclass(frozen=True, slots=True)
class StdioSpec:
    """A program that speaks MCP over its standard streams. ``env`` is added to a short allowlist."""

    name: str
    command: str
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    cwd: str | None = None
    isolation: Isolation = "auto"
    timeout_s: float = 60.0


@dataclass(frozen=True, slots=True)
class HttpSpec:
    """A server over HTTP. ``headers`` are the gate's own credentials there."""

    name: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    isolation: Isolation = "auto"
    timeout_s: float = 60.0
    sse: bool = False
    """Speaks the HTTP+SSE transport of 2024-11-05, not Streamable HTTP."""


MemberSpec = StdioSpec | HttpSpec
