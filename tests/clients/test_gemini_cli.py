"""The real Gemini CLI works through the gate: its own dialect, a tool of an MCP server, one ledger."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.clients.gemini_cli import run_gemini
from tests.peers.scripted_llm import ScriptedLLM, ToolStep
from tests.support.gateway import ROOT, RunningGateway

pytestmark = [pytest.mark.anyio, pytest.mark.client_programs]

KEY = "vk-gemini-0123456789abcdef01234567"


async def test_gemini_cli_completes_a_tool_calling_task_with_one_key(llm: ScriptedLLM, tmp_path: Path) -> None:
    home, place = tmp_path / "home", tmp_path / "gate"
    home.mkdir()
    place.mkdir()
    yaml = f"""
    providers:
      - {{name: gemini, api_key: google-secret, base_url: "{llm.base}", allowed_models: ["gemini-*"]}}
    mcp_servers:
      lab: {{command: "{sys.executable}", args: ["{ROOT / "tests" / "peers" / "lab_server.py"}"]}}
    virtual_keys:
      - {{key_name: cli, key: {KEY}, allowed_models: ["*"], allowed_tools: ["lab/add"]}}
    """
    async with RunningGateway(yaml, place) as gate:
        llm.plan = [ToolStep("mcp_gate_lab__add", {"a": 2, "b": 40})]
        result = await run_gemini(gate.address, KEY, home, "gemini-2.5-flash", "Add 2 and 40.")
        assert result["response"] == llm.text
        rows = await gate.rows()
        models = [row for row in rows if row["surface"] == "gemini" and row["operation"] == "generate"]
        tools = [row for row in rows if row["kind"] == "tool"]
        assert [(row["target"], row["outcome"]) for row in tools] == [("lab/add", "ok")]
        assert {row["outcome"] for row in models} == {"ok"}
        assert sum(row["output_tokens"] for row in models) == sum(tokens.output for tokens in llm.bill)
        results = [part for seen in llm.seen for content in seen.json.get("contents", ()) for part in content["parts"]]
        assert "42" in str([part for part in results if "functionResponse" in part])
