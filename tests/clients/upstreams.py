"""One gate before a scripted provider of every kind, for clients that speak another dialect; and what vendors would say
to what reached them."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.peers.scripted_llm import ScriptedLLM, Seen
from tests.peers.vendors import anthropic, chat, converse, gemini
from tests.support.gateway import ROOT, RunningGateway

KEY = "vk-abroad-0123456789abcdef01234567"
SECRET = "sk-upstream"
CALL_NANO = 100 * 1_000 + 12 * 10_000
"""What one answer costs: 100 tokens in, 12 out."""
_VENDORS: dict[str, ModuleType] = {
    "/v1/chat/completions": chat,
    "/v1/messages": anthropic,
    "/v1beta/models/": gemini,
    "/model/": converse,
}


def gate_to(llm: ScriptedLLM, place: Path) -> RunningGateway:
    """With the default policy: what an upstream cannot be asked for is refused."""
    place.mkdir(exist_ok=True)
    prices = 'prices: {"*": {input_per_million: 1, output_per_million: 10}}'
    return RunningGateway(
        f"""
        providers:
          - {{name: chat, type: openai, api_key: {SECRET}, base_url: "{llm.base}/v1", responses: false,
              allowed_models: ["gpt-*"], {prices}}}
          - {{name: messages, type: anthropic, api_key: {SECRET}, base_url: "{llm.base}",
              allowed_models: [claude-opus-4-7], {prices}}}
          - {{name: google, type: gemini, api_key: {SECRET}, base_url: "{llm.base}", allowed_models: ["gemini-*"],
              {prices}}}
          - {{name: aws, type: bedrock, api_key: {SECRET}, base_url: "{llm.base}", region: eu-central-1,
              allowed_models: [claude-opus-5-5], {prices},
              aliases: {{claude-opus-5-5: "eu.anthropic.claude-opus-4-7-v1:0"}}}}
        mcp_servers:
          lab: {{command: "{sys.executable}", args: ["{ROOT / "tests" / "peers" / "lab_server.py"}"]}}
        virtual_keys:
          - {{key_name: abroad, key: {KEY}, allowed_models: ["*"], allowed_tools: ["lab/add"]}}
        """,
        place,
    )


def judge(seen: Seen, session: str) -> dict[str, Any]:
    """The body, after its vendor has checked it; nothing that is the caller's or its own vendor's is in the request."""
    vendor = next(vendor for path, vendor in _VENDORS.items() if seen.path.startswith(path))
    assert vendor.problems(seen.json) == []
    told = seen.body.decode() + seen.query + str(seen.headers)
    assert SECRET in str(seen.headers)
    for private in (KEY, session, "device_id", "account_uuid", "billing-header", "anthropic-beta", "x-codex"):
        assert private not in told, private
    return seen.json


def paid(rows: list[dict[str, Any]], llm: ScriptedLLM) -> None:
    """The ledger's sums are the provider's bill."""
    models = [row for row in rows if row["kind"] == "model"]
    assert len(models) == len(llm.bill)
    assert {(row["outcome"], row["basis"]) for row in models} == {("ok", "measured")}
    assert sum(row["input_tokens"] for row in models) == sum(tokens.input for tokens in llm.bill)
    assert sum(row["output_tokens"] for row in models) == sum(tokens.output for tokens in llm.bill)
    assert sum(row["cost_nano"] for row in rows) == len(llm.bill) * CALL_NANO
