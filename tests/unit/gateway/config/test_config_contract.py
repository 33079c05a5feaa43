"""The configuration vocabulary that is promised to users loads as it is written."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import yaml

from gateway.config.loader import loads
from gateway.config.values import Duration

ENVIRON = {"OPENAI_API_KEY": "sk-openai", "ANTHROPIC_API_KEY": "sk-ant", "GITHUB_TOKEN": "ghp-1"}

PROMISED = """\
providers:
  - name: openai
    api_key: ${OPENAI_API_KEY}
    allowed_models: ["gpt-4o", "gpt-4o-mini"]
    weight: 1.0
  - name: anthropic
    api_key: ${ANTHROPIC_API_KEY}
    allowed_models: ["claude-sonnet-4-6", "claude-opus-4-7"]
    weight: 1.0
  - name: lab                       # any OpenAI-compatible endpoint
    type: openai
    base_url: http://127.0.0.1:9000/v1
    allowed_models: ["*"]

mcp_servers:                        # the de facto mcpServers shape
  files:    {command: npx, args: ["-y", "@modelcontextprotocol/server-filesystem", "/srv/data"]}
  github:   {url: "https://mcp.example.com/mcp", headers: {Authorization: "Bearer ${GITHUB_TOKEN}"}}

customers:
  - name: acme
    budget_limit: 1000.00
    budget_duration: "1M"
teams:
  - name: research
    customer: acme
    allowed_models: ["gpt-4o", "claude-*"]
    allowed_tools: ["files/read_*", "github/*", "!github/delete_*"]
    budget_limit: 300.00
    budget_duration: "1M"
virtual_keys:
  - key_name: customer-acme
    key: vk-acme-abc
    team: research
    rate_limit:
      request_limit: 200
      request_limit_duration: "1h"
      token_limit: 500000
      token_limit_duration: "1d"
    budget_limit: 100.00
    budget_duration: "1M"
    allowed_models: ["gpt-4o", "claude-sonnet-4-6"]
    allowed_tools: ["files/*", "github/get_*"]

semantic_cache:                     # without `embedding` the exact layer alone works, and `check` says so
  enabled: true
  vector_store: qdrant              # or redis, weaviate (weaviate_url: ${WEAVIATE_URL})
  similarity_threshold: 0.92
  conversation_history_threshold: 3
  ttl_seconds: 86400
"""

BESIDE = """\
server: {host: 127.0.0.1, port: 8080, public_url: null, allowed_hosts: [], allowed_origins: [], trusted_proxies: []}
providers:
  - name: lab
    prices: {"my-model": {input_per_million: 0.15, output_per_million: 0.60}}    # or `prices: free`
  - name: claude
    type: anthropic
    auth: passthrough               # the caller's own Authorization goes upstream; the virtual key comes in x-bf-vk
virtual_keys:
  - key_name: acme-ci
    customer: acme                  # a key without a team may name its customer
    providers: [{name: openai, allowed_models: ["gpt-4o-mini"], weight: 1.0, budget_limit: 10, budget_duration: "1d"}]
    allowed_resources: ["files/*"]
    allowed_prompts: []
mcp_servers:
  browser: {command: npx, args: ["…"], isolation: per_principal, env: {DISPLAY: ":1"}, timeout: 60}
mcp: {client_alias_budget: 17}      # characters kept for the client's own prefix, mcp__tollkeeper__
tool_prices: {"github/*": 0.001}
budgets: {enforcement: expected, on_exhausted: finish, unknown_price: estimate}
cache: {enabled: true, participation: header, ttl_seconds: 300}      # the exact layer
semantic_cache: {embedding: {provider: openai, model: text-embedding-3-small, dimensions: 1536}}
stores: {ledger: "sqlite:///…", counters: memory}      # postgresql://…, redis://…
"""


def _merged(first: Any, second: Any) -> Any:
    """Both documents as one: mappings key by key, list entries by their names."""
    if isinstance(first, dict):
        return first | {key: _merged(first.get(key), value) for key, value in second.items()}
    if isinstance(first, list):
        by_name = {entry.get("name", entry.get("key_name")): entry for entry in first}
        for entry in second:
            name = entry.get("name", entry.get("key_name"))
            by_name[name] = _merged(by_name.get(name), entry)
        return list(by_name.values())
    return second


def test_the_promised_blocks_load_as_written() -> None:
    config = loads(PROMISED.encode(), "tollkeeper.yaml", ENVIRON).config

    openai, anthropic, lab = config.providers
    assert (openai.type, anthropic.type, lab.type) == ("openai", "anthropic", "openai")
    assert openai.api_key is not None and openai.api_key.get_secret_value() == "sk-openai"
    assert lab.base_url == "http://127.0.0.1:9000/v1"
    assert config.mcp_servers["files"].args == ("-y", "@modelcontextprotocol/server-filesystem", "/srv/data")
    assert config.mcp_servers["github"].headers["Authorization"].get_secret_value() == "Bearer ghp-1"
    assert config.customers[0].budget_limit == Decimal("1000.00")
    assert config.teams[0].allowed_tools == ("files/read_*", "github/*", "!github/delete_*")
    key = config.virtual_keys[0]
    assert key.key is not None and key.key.get_secret_value() == "vk-acme-abc"
    assert key.rate_limit is not None
    assert (key.rate_limit.token_limit, key.rate_limit.token_limit_duration) == (500_000, Duration(1, "d"))
    assert config.semantic_cache.similarity_threshold == 0.92


def test_the_blocks_beside_them_load_together_with_them() -> None:
    document = _merged(yaml.safe_load(PROMISED), yaml.safe_load(BESIDE))

    config = loads(yaml.safe_dump(document, sort_keys=False).encode(), "tollkeeper.yaml", ENVIRON).config

    lab, claude = config.providers[2:]
    assert isinstance(lab.prices, dict) and lab.prices["my-model"].input_per_million == Decimal("0.15")
    assert (claude.type, claude.auth, claude.api_key) == ("anthropic", "passthrough", None)
    ci = config.virtual_keys[1]
    assert ci.providers is not None and ci.providers[0].budget_limit == Decimal(10)
    assert (ci.allowed_resources, ci.allowed_prompts) == (("files/*",), ())
    assert config.mcp_servers["browser"].isolation == "per_principal"
    assert config.mcp_servers["browser"].env["DISPLAY"].get_secret_value() == ":1"
    assert config.tool_prices == {"github/*": Decimal("0.001")}
    assert config.semantic_cache.embedding is not None and config.semantic_cache.embedding.dimensions == 1536
    assert config.stores.counters == "memory"


def test_prices_may_be_free_and_budgets_a_list() -> None:
    text = b"""
providers: [{name: openai, api_key: x, prices: free}]
customers:
  - name: acme
    enforcement: strict
    budgets:
      - {budget_limit: 10, budget_duration: 1d}
      - {budget_limit: 100, budget_duration: 1M}
"""
    config = loads(text, "tollkeeper.yaml", {}).config

    assert config.providers[0].prices == "free"
    assert [str(budget.budget_duration) for budget in config.customers[0].budgets] == ["1d", "1M"]
    assert config.customers[0].enforcement == "strict"


def test_an_entry_of_a_clients_own_file_is_understood() -> None:
    text = b'mcp_servers: {lab: {"type": "http", "url": "http://127.0.0.1:18090/mcp"}}'

    assert loads(text, "tollkeeper.yaml", {}).config.mcp_servers["lab"].transport == "http"


def test_a_file_of_commented_out_blocks_is_an_empty_configuration() -> None:
    config = loads(b"teams:\n# - name: x\nproviders:\n", "tollkeeper.yaml", {}).config

    assert (config.teams, config.server.port) == ((), 8080)
