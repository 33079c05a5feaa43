"""The effective configuration shows everything but secrets; schema and reference page are complete."""

from __future__ import annotations

from pathlib import Path

import yaml

from gateway.config.loader import load, loads
from gateway.config.report import effective, reference_markdown, schema

ROOT = Path(__file__).parents[4]

SECRETS = """
providers:
  - {name: openai, api_key: SECRET-1}
  - {name: lab, type: openai, base_url: "${LAB_URL}"}
mcp_servers:
  a: {command: run, env: {TOKEN: SECRET-2}}
  b: {url: "https://h.example/mcp?token=SECRET-3", headers: {Authorization: "Bearer SECRET-4"}}
virtual_keys:
  - {key_name: k, key: SECRET-5, budget_limit: 100.00, budget_duration: "1M"}
stores: {ledger: "postgresql://me:SECRET-6@db/x", counters: "redis://:SECRET-7@h:6379"}
"""


def test_no_secret_is_printed() -> None:
    config = loads(SECRETS.encode(), "t.yaml", {"LAB_URL": "https://lab.example/SECRET-8"}).config

    text = effective(config)

    assert "SECRET" not in text
    assert "SECRET" not in repr(config.providers[0]) + repr(config.mcp_servers["a"]) + repr(config.virtual_keys[0])
    shown = yaml.safe_load(text)
    assert shown["providers"][0]["api_key"] == "***"
    assert shown["providers"][1]["base_url"] == "*** (LAB_URL)"
    assert (
        shown["mcp_servers"]["b"] | {"url": "https://h.example/mcp?***", "headers": {"Authorization": "***"}}
        == (shown["mcp_servers"]["b"])
    )
    assert shown["stores"] == {"ledger": "postgresql://***@db/x", "counters": "redis://***@h:6379", "cache": None}


def test_money_and_durations_are_printed_as_written() -> None:
    text = effective(loads(SECRETS.encode(), "t.yaml", {"LAB_URL": "https://h"}).config)

    assert "budget_limit: 100.00\n" in text
    assert "budget_duration: 1M\n" in text


def test_defaults_are_written_out_and_the_result_loads_again() -> None:
    text = b"tool_prices: {a/*: 0.0001}\nvirtual_keys: [{key_name: k, expires_at: 2027-01-01T00:00:00Z}]"
    config = loads(text, "t.yaml", {}).config

    shown = effective(config)

    assert "port: 8080\n" in shown
    assert loads(shown.encode(), "t.yaml", {}).config == config


def test_a_disabled_provider_is_named_first() -> None:
    config = loads(b"providers:\n- name: openai\n  api_key: ${OPENAI_API_KEY:-}", "t.yaml", {}).config

    assert effective(config).startswith("# provider openai is disabled: OPENAI_API_KEY is not set\n")


def test_every_field_has_a_description_and_a_default_or_is_required() -> None:
    whole = schema()
    for name, block in {"Config": whole, **whole["$defs"]}.items():
        assert block["description"], name
        for key, field in block["properties"].items():
            assert field.get("description"), f"{name}.{key}"
            known = "default" in field or key in block.get("required", ()) or (name, key) == ("Provider", "type")
            assert known, f"{name}.{key}"


def test_the_reference_page_is_current() -> None:
    assert (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8") == reference_markdown()


def test_the_quickstart_loads_without_and_with_provider_keys() -> None:
    key = {"TOLLKEEPER_QUICKSTART_KEY": "vk-0123456789abcdef0123456789abcdef"}
    path = ROOT / "examples" / "quickstart.yaml"

    bare = load(path, key)
    full = load(path, key | {"OPENAI_API_KEY": "a", "ANTHROPIC_API_KEY": "b"})

    assert set(bare.config.disabled_providers) == {"openai", "anthropic"}
    assert full.notes == ()
    assert set(full.config.mcp_servers) == {"time", "git"}
    assert full.config.providers[2].prices == "free"
    assert (full.config.server.host, full.config.server.port) == ("127.0.0.1", 8080)
