"""The real Codex on models of other vendors: its groups of tools, its shell, one ledger."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clients.codex import run_codex
from tests.clients.upstreams import KEY, judge, paid
from tests.peers.scripted_llm import ScriptedLLM, ToolStep
from tests.support.gateway import RunningGateway

pytestmark = [pytest.mark.anyio, pytest.mark.client_programs]


@pytest.mark.parametrize("model", ["claude-opus-4-7", "gpt-4o", "gemini-2.5-pro", "claude-opus-5-5"])
async def test_codex_uses_its_shell_and_a_tool_of_the_gate(
    abroad: RunningGateway, llm: ScriptedLLM, tmp_path: Path, model: str
) -> None:
    llm.plan = [
        ToolStep("exec_command", {"cmd": "echo said the shell"}),
        ToolStep("mcp__gate__lab__add", {"a": 2, "b": 40}),
    ]
    run = await run_codex(abroad.address, KEY, tmp_path, model, "Add 2 and 40.")
    assert run.items("agent_message")[-1]["text"] == llm.text
    (shell,) = run.items("command_execution")
    assert (shell["exit_code"], shell["aggregated_output"]) == (0, "said the shell\n")
    (call,) = run.items("mcp_tool_call")
    assert (call["server"], call["tool"], call["status"]) == ("gate", "lab__add", "completed")

    rows = await abroad.rows(run=run.session)
    models = [row for row in rows if row["kind"] == "model"]
    tools = [row for row in rows if row["kind"] == "tool"]
    assert [(t["target"], t["parent"], t["outcome"]) for t in tools] == [("lab/add", models[1]["call_id"], "ok")]
    assert {(row["surface"], row["target"]) for row in models} == {("openai_responses", model)}
    paid(rows, llm)

    bodies = [judge(seen, run.session) for seen in llm.seen]
    assert len(bodies) == 3
    last = str(bodies[-1])
    assert "said the shell" in last
    assert "42" in last


async def test_anthropic_is_told_one_system_prompt_and_alternating_sides(
    abroad: RunningGateway, llm: ScriptedLLM, tmp_path: Path
) -> None:
    llm.plan = [ToolStep("mcp__gate__lab__add", {"a": 2, "b": 40})]
    run = await run_codex(abroad.address, KEY, tmp_path, "claude-opus-4-7", "Add 2 and 40.")
    first, last = (judge(seen, run.session) for seen in llm.seen)
    assert [message["role"] for message in last["messages"]] == ["user", "assistant", "user"]
    said = [block["text"] for block in first["messages"][0]["content"]]
    assert said[0].startswith("<environment_context>")
    assert said[1] == "Add 2 and 40."
    assert "Codex CLI" in first["system"][0]["text"]
    offered = {tool["name"]: tool["input_schema"] for tool in first["tools"]}
    assert offered["mcp__gate__lab__add"]["required"] == ["a", "b"]
    assert "web_search" not in str(first["tools"]), "OpenAI runs that tool, nobody else can"
    assert first["max_tokens"] == 32_000
    (result,) = last["messages"][-1]["content"]
    assert result["tool_use_id"] == last["messages"][1]["content"][-1]["id"]
    kept = {"type": "ephemeral"}
    assert first["system"][-1]["cache_control"] == result["cache_control"] == kept, "or each step is paid in full"
    assert first["messages"][0]["content"][-1]["cache_control"] == kept
