"""The whole file: every block with its default, in the order in which people write them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import Field, PrivateAttr

from gateway.config.caching import Cache, SemanticCache, ToolCaches
from gateway.config.hub import Mcp, McpServer, ToolPrices
from gateway.config.identity import Customer, Team, VirtualKey
from gateway.config.problems import KeyPath
from gateway.config.providers import Provider
from gateway.config.server import Budgets, Ledger, Limits, Server, Stores
from gateway.config.values import Pattern, Section, ServerName


@dataclass(frozen=True, slots=True)
class Provenance:
    """Which values came from which environment variables. Given to ``model_validate`` as its context."""

    variables: Mapping[KeyPath, tuple[str, ...]]


class Config(Section):
    """The configuration of one gateway."""

    server: Server = Field(default=Server(), description="Where the gateway listens.")
    providers: tuple[Provider, ...] = Field(default=(), description="Upstreams that answer model calls.")
    mcp_servers: dict[ServerName, McpServer] = Field(
        default={}, description="MCP servers by name: 1 to 32 of `a-z 0-9 _ -`, without `__`."
    )
    customers: tuple[Customer, ...] = Field(default=(), description="Organisations that pay.")
    teams: tuple[Team, ...] = Field(default=(), description="Groups of keys that share grants and budgets.")
    virtual_keys: tuple[VirtualKey, ...] = Field(default=(), description="Credentials of callers.")
    mcp: Mcp = Field(default=Mcp(), description="The MCP endpoint.")
    tool_prices: ToolPrices = Field(
        default={}, description="Dollars per call, by pattern over `server/tool`. Absent: tools cost nothing."
    )
    budgets: Budgets = Field(default=Budgets(), description="How budgets are enforced.")
    fallbacks: dict[Pattern, tuple[str, ...]] = Field(
        default={},
        description="Models to try in order when every target of a model has failed, or the prompt is too long for it: "
        "`{gpt-4o: [gpt-4.1, gpt-4o-mini]}`. They must be allowed for the caller's key.",
    )
    cache: Cache = Field(default=Cache(), description="The exact cache.")
    semantic_cache: SemanticCache = Field(default=SemanticCache(), description="The semantic cache.")
    tool_cache: ToolCaches = Field(
        default={}, description="Tools whose results may be cached, by pattern over `server/tool`."
    )
    stores: Stores = Field(default=Stores(), description="Where ledger and counters live.")
    limits: Limits = Field(default=Limits(), description="Bounds of the process.")
    ledger: Ledger = Field(default=Ledger(), description="What is kept of the ledger.")

    _variables: Mapping[KeyPath, tuple[str, ...]] = PrivateAttr(default_factory=dict)

    def model_post_init(self, context: Any) -> None:
        """Keep where values came from, when the loader told."""
        if isinstance(context, Provenance):
            self._variables = context.variables

    @property
    def from_environment(self) -> Mapping[KeyPath, tuple[str, ...]]:
        """Paths of the values that environment variables supplied, with the variables' names."""
        return self._variables

    @property
    def disabled_providers(self) -> Mapping[str, str]:
        """Providers whose key came out empty, with the reason: ``OPENAI_API_KEY is not set``."""
        reasons: dict[str, str] = {}
        for index, provider in enumerate(self.providers):
            variables = self._variables.get(("providers", index, "api_key"))
            if provider.api_key is None and variables:
                reasons[provider.name] = f"{', '.join(variables)} is not set"
            elif provider.api_key is not None and not provider.api_key.get_secret_value():
                reasons[provider.name] = "its api_key is empty"
        return reasons
