"""MCP servers behind the gate and the one MCP endpoint in front of them."""

from __future__ import annotations

from typing import Literal

from pydantic import AliasChoices, Field

from gateway.config.values import Dollars, EnvironmentValue, HeaderValue, Pattern, Seconds, Section, ServerName, Url

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
    timeout: Seconds = Field(
        default=60.0,
        description="Seconds of silence after which a call has failed. Progress begins them anew; they stand still "
        "while a person is asked something.",
    )
    tool_timeouts: dict[Pattern, Seconds] = Field(
        default={}, description="Other timeouts by tool name; the first pattern that matches stands."
    )
    era: Literal["modern", "legacy"] | None = Field(
        default=None,
        description="Protocol of the server: `modern` (2026-07-28) or `legacy` (initialize). Absent: found out by a "
        "probe, which costs 5 seconds when a legacy program ignores it.",
    )
    interactive: Literal["auto", "serial", "never"] = Field(
        default="auto",
        description="Whether the server may ask its caller in the middle of a call (elicitation, sampling, roots). "
        "`auto`: whatever the caller declares. `serial`: so, and one such call at a time from the start. `never`: no.",
    )
    roots: bool | None = Field(
        default=None,
        description="Whether callers' roots (paths on their machines) are passed to the server. Absent: to a `url`, "
        "not to a `command`, which would look for them on the gateway's own disk.",
    )
    prefix: ServerName | None = Field(
        default=None,
        description="What stands before `__` in its tools' names on `/mcp`. Absent: the server's name.",
    )
    aliases: tuple[ServerName, ...] = Field(
        default=(),
        description="Former names or prefixes: tools called by their old names are still found, and not listed.",
    )
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
        description="Who answers a server's sampling request: the caller (if it can), the gateway with "
        "`sampling_model`, nobody.",
    )
    sampling_model: str | None = Field(
        default=None,
        min_length=1,
        description="Model that answers with `sampling: gateway`. The call is checked, paid and recorded as one of "
        "the caller's own.",
    )
    page_size: int = Field(
        default=1_000, ge=1, le=100_000, description="Items on one page of a list; clients ask for the next page."
    )
    park_seconds: Seconds = Field(
        default=600.0, description="How long a call waits for a modern client to come back with an answer."
    )
    max_parked: int = Field(default=1_000, ge=0, description="Calls that may wait so at the same time.")
    max_parked_per_key: int = Field(default=16, ge=0, description="The same, of one virtual key.")
