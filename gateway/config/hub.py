"""MCP servers behind the gate and the one MCP endpoint in front of them."""

from __future__ import annotations

from typing import Literal

from pydantic import AliasChoices, Field

from gateway.config.values import Dollars, EnvironmentValue, HeaderValue, Pattern, Seconds, Section, Url

ToolPrices = dict[Pattern, Dollars]


class McpServer(Section):
    """One MCP server, in the shape of every client's `mcpServers`: a `command` over stdio, or a `url`."""

    command: str | None = Field(
        default=None, min_length=1, description="Program to start and speak to over stdio; found on PATH."
    )
    args: tuple[str, ...] = Field(
        default=(),
        description="Arguments of `command`. Put secrets into `env`: arguments are shown by `check` and by `ps`.",
    )
    env: dict[str, EnvironmentValue] = Field(
        default={},
        description="Environment variables for `command`, added to a short allowlist (PATH, HOME, locale …). The "
        "gateway's own variables, provider keys above all, are not inherited.",
    )
    cwd: str | None = Field(
        default=None, min_length=1, description="Working directory of `command`. Absent: the gateway's."
    )
    url: Url | None = Field(default=None, description="Address of a server over HTTP.")
    headers: dict[str, HeaderValue] = Field(
        default={}, description="Headers sent with every request to `url`, such as Authorization."
    )
    transport: Literal["stdio", "http", "sse"] | None = Field(
        default=None,
        validation_alias=AliasChoices("transport", "type"),
        description="`http` (Streamable HTTP) or `sse` (the HTTP+SSE transport of 2024-11-05) for a `url`. Absent: "
        "`stdio` with a `command`, `http` with a `url`. Also accepted under the clients' own key, `type`.",
    )
    isolation: Literal["shared", "per_principal", "per_session"] | None = Field(
        default=None,
        description="Who shares a session with this server: everybody, the calls of one virtual key, or of one client "
        "session. Absent: `shared` for servers that speak the stateless protocol, else `per_principal`.",
    )
    timeout: Seconds = Field(default=60.0, description="Seconds that one call may take.")
    enabled: bool = Field(default=True, description="`false`: kept in the file, not started and not listed.")


class Mcp(Section):
    """The endpoint `/mcp`."""

    client_alias_budget: int = Field(
        default=17,
        ge=0,
        le=40,
        description="Characters of the 64 of a tool name that are kept for the client's own prefix, such as "
        "`mcp__tollkeeper__` (17).",
    )
    instructions: str | None = Field(
        default=None,
        max_length=10_000,
        description="Text for the client's model about this endpoint, in front of the servers' own.",
    )
    sampling: Literal["client", "gateway", "refuse"] = Field(
        default="client",
        description="Who answers a server's sampling request: the caller, a configured model route, nobody.",
    )
