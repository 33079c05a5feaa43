"""A server asks in the middle of a call of the real Claude Code: its stateless protocol in front, servers of either
era behind. Headless, it has nobody to fill in a form, so it declines or cancels; its roots it knows."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.clients.claude_code import Era, run_claude
from tests.peers.scripted_llm import ScriptedLLM, ToolStep
from tests.support.gateway import ROOT, RunningGateway

pytestmark = [pytest.mark.anyio, pytest.mark.client_programs]

KEY = "vk-claude-0123456789abcdef01234567"
PREFIX = "mcp__tollkeeper__"


@pytest.mark.parametrize("era", ["modern", "legacy"])
async def test_claude_code_is_asked_and_its_answer_reaches_the_server(
    llm: ScriptedLLM, tmp_path: Path, era: Era
) -> None:
    program = f'command: "{sys.executable}", env: {{PYTHONPATH: "{ROOT}"}}, roots: true, timeout: 30'
    servers = "\n".join(
        f'      {member}: {{{program}, args: ["-m", "tests.peers.everything_server", {member}]}}'
        for member in ("legacy", "modern")
    )
    yaml = f"""
    providers:
      - {{name: anthropic, api_key: sk-upstream, base_url: "{llm.base}", allowed_models: ["claude-*"]}}
    mcp_servers:\n{servers}
    virtual_keys: [{{key_name: claude, key: {KEY}, allowed_models: ["claude-*"], allowed_tools: ["*"]}}]
    """
    home = tmp_path / "home"
    home.mkdir()
    async with RunningGateway(yaml, tmp_path) as gate:
        llm.plan = [
            step
            for member in ("legacy", "modern")
            for step in (
                ToolStep(f"{PREFIX}{member}__test_input_required_result_list_roots", {}),
                ToolStep(f"{PREFIX}{member}__test_elicitation", {"message": "Who are you?"}),
            )
        ]
        run = await run_claude(gate.address, KEY, home, "Do it.", era=era, allowed=f"{PREFIX}*")
        assert (run.result["result"], run.result["is_error"]) == (llm.text, False)
        last = llm.seen[-1].json
        blocks = [b for m in last["messages"] if isinstance(m["content"], list) for b in m["content"]]
        told = [str(b["content"]) for b in blocks if b.get("type") == "tool_result"]
        assert len(told) == 4
        for roots, answer in ((told[0], told[1]), (told[2], told[3])):
            assert f"file://{home}" in roots
            assert "User response: action=" in answer
        rows = [row for row in await gate.rows(run=run.session) if row["kind"] == "tool"]
        assert {row["outcome"] for row in rows} == {"ok"}
        assert {row["surface"] for row in rows} == {f"mcp_{era}"}
