"""The real Gemini CLI on models of other vendors. It sends the defaults of Google's models with every request."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clients.gemini_cli import run_gemini
from tests.clients.upstreams import KEY, judge, paid
from tests.peers.scripted_llm import ScriptedLLM, ToolStep
from tests.support.gateway import RunningGateway

pytestmark = [pytest.mark.anyio, pytest.mark.client_programs]


@pytest.mark.parametrize(
    ("model", "sides"),
    [("gpt-4o", ["system", "user", "assistant", "tool"]), ("claude-opus-4-7", ["user", "assistant", "user"])],
)
async def test_gemini_cli_completes_a_tool_calling_task(
    abroad: RunningGateway, llm: ScriptedLLM, tmp_path: Path, model: str, sides: list[str]
) -> None:
    llm.plan = [ToolStep("mcp_gate_lab__add", {"a": 2, "b": 40})]
    result = await run_gemini(abroad.address, KEY, tmp_path, model, "Add 2 and 40.")
    assert result["response"] == llm.text
    used = result["stats"]["models"][model]["tokens"]
    assert (used["prompt"], used["candidates"]) == (200, 24), "the vendor's usage, in Google's words"

    rows = await abroad.rows()
    # Gemini CLI tells the tool's server nothing of the answer that asked for it, so the call has no parent.
    assert [(row["target"], row["outcome"]) for row in rows] == [(model, "ok"), ("lab/add", "ok"), (model, "ok")]
    paid(rows, llm)

    first, last = (judge(seen, result["session_id"]) for seen in llm.seen)
    assert [message["role"] for message in last["messages"]] == sides
    assert "42" in str(last["messages"][-1])
    assert "Add 2 and 40." in str(first["messages"][-1])
    assert "top_k" not in first
