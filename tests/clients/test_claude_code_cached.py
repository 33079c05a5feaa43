"""The real Claude Code, twice the same work: the second time nothing reaches the provider or the tool."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.clients.claude_code import run_claude
from tests.peers.scripted_llm import ScriptedLLM, ToolStep
from tests.support.gateway import RunningGateway

pytestmark = [pytest.mark.anyio, pytest.mark.client_programs]

KEY = "vk-claude-0123456789abcdef01234567"
TOOL = "mcp__tollkeeper__git__git_log"


async def test_the_same_work_again_costs_nothing_and_has_its_own_tree(llm: ScriptedLLM, tmp_path: Path) -> None:
    repository, home = tmp_path / "repository", tmp_path / "home"
    for path in (repository, home, tmp_path / "gate"):
        path.mkdir()
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.invalid"]
    for command in (["init", "-q"], [*identity, "commit", "-q", "--allow-empty", "-m", "the first commit"]):
        subprocess.run(["git", "-C", str(repository), *command], check=True)
    yaml = f"""
    providers:
      - {{name: anthropic, api_key: sk-upstream, base_url: "{llm.base}", allowed_models: ["claude-*"]}}
    mcp_servers:
      git: {{command: mcp-server-git, args: ["--repository", "{repository}"]}}
    virtual_keys:
      - {{key_name: claude, key: {KEY}, allowed_models: ["*"], allowed_tools: ["git/*"]}}
    cache: {{enabled: true, participation: always, tool_answers: true}}
    tool_cache: {{"git/git_log": {{ttl: 600}}}}
    """
    async with RunningGateway(yaml, tmp_path / "gate") as gate:
        llm.plan = [ToolStep(TOOL, {"repo_path": str(repository), "max_count": 1})]
        runs = []
        for _ in range(2):
            seen = len(llm.seen)
            run = await run_claude(gate.address, KEY, home, "Do it.", era="modern", allowed="mcp__tollkeeper__*")
            assert (run.result["result"], run.result["is_error"]) == (llm.text, False)
            runs.append((run.session, len(llm.seen) - seen))
        (first, asked), (second, asked_again) = runs
        assert (asked, asked_again) == (2, 0)
        old, new = await gate.rows(run=first), await gate.rows(run=second)
        assert [row["outcome"] for row in old] == ["ok"] * 3
        assert [(row["kind"], row["outcome"], row["cache"]) for row in new] == [
            ("model", "cached", "exact"),
            ("tool", "cached", "exact"),
            ("model", "cached", "exact"),
        ]
        assert new[1]["parent"] == new[0]["call_id"], "the tool call finds the answer that asked for it in its own run"
        assert sum(row["saved_nano"] for row in new) == sum(row["cost_nano"] for row in old) > 0
