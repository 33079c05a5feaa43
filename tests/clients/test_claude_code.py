"""The main job: the real Claude Code CLI works through the gate, and one ledger shows all of it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.clients.claude_code import Era, run_claude
from tests.clients.programs import client_program
from tests.interaction.test_mcp_endpoint import free_port, wait_for_port
from tests.peers.scripted_llm import ScriptedLLM, ToolStep
from tests.support.gateway import ROOT, RunningGateway

pytestmark = [pytest.mark.anyio, pytest.mark.client_programs]

KEY = "vk-claude-0123456789abcdef01234567"
OTHER = "vk-other-0123456789abcdef012345678"
PREFIX = "mcp__tollkeeper__"


@pytest.fixture(scope="module")
async def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("repository")
    identity = ["-c", "user.name=test", "-c", "user.email=test@example.invalid"]
    for command in (["init", "-q"], [*identity, "commit", "-q", "--allow-empty", "-m", "the first commit"]):
        subprocess.run(["git", "-C", str(path), *command], check=True)
    return path


@pytest.fixture(scope="module")
async def everything() -> AsyncIterator[int]:
    """``server-everything`` over Streamable HTTP."""
    port = free_port()
    environment = {**os.environ, "PORT": str(port)}
    program = client_program("mcp-server-everything")
    child = await asyncio.create_subprocess_exec(
        program, "streamableHttp", env=environment, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        await wait_for_port(port)
        yield port
    finally:
        child.terminate()
        await child.wait()


@pytest.fixture(scope="module")
async def gate(
    shared_llm: ScriptedLLM, everything: int, repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[RunningGateway]:
    yaml = f"""
    providers:
      - {{name: anthropic, api_key: sk-upstream, base_url: "{shared_llm.base}", allowed_models: ["claude-*"]}}
    mcp_servers:
      everything: {{url: "http://127.0.0.1:{everything}/mcp"}}
      git: {{command: mcp-server-git, args: ["--repository", "{repository}"]}}
    teams:
      - {{name: platform, allowed_models: ["claude-*"], allowed_tools: ["*", "!git/git_commit"]}}
    tool_prices: {{"git/*": 0.0005}}
    virtual_keys:
      - {{key_name: claude, key: {KEY}, team: platform, allowed_tools: ["everything/echo", "everything/get-sum", "git/*"]}}
      - {{key_name: other, key: {OTHER}, team: platform, allowed_tools: ["everything/echo"]}}
    """
    async with RunningGateway(yaml, tmp_path_factory.mktemp("gate")) as running:
        yield running


@pytest.mark.parametrize("era", ["modern", "legacy"])
async def test_claude_code_works_with_one_key_and_the_ledger_shows_the_tree(
    gate: RunningGateway, llm: ScriptedLLM, repository: Path, tmp_path: Path, era: Era
) -> None:
    gate.mark()
    llm.plan = [
        ToolStep(f"{PREFIX}everything__echo", {"message": "through the gate"}),
        ToolStep(f"{PREFIX}git__git_log", {"repo_path": str(repository), "max_count": 1}),
        ToolStep(f"{PREFIX}git__git_commit", {"repo_path": str(repository), "message": "no"}),
    ]
    run = await run_claude(gate.address, KEY, tmp_path, "Do it.", era=era, allowed=f"{PREFIX}*")
    assert (run.result["result"], run.result["is_error"]) == (llm.text, False)

    last = llm.seen[-1].json
    results = [b for m in last["messages"] if isinstance(m["content"], list) for b in m["content"]]
    told = str([b for b in results if b.get("type") == "tool_result"])
    assert "through the gate" in told
    assert "the first commit" in told
    assert "No such tool available" in told  # the denied tool was never listed
    offered = {tool["name"] for tool in last["tools"] if tool["name"].startswith(PREFIX)}
    assert f"{PREFIX}git__git_log" in offered
    assert f"{PREFIX}git__git_commit" not in offered
    assert all(len(name) <= 64 for name in offered)

    rows = await gate.rows(run=run.session)
    models = [row for row in rows if row["kind"] == "model"]
    tools = [row for row in rows if row["kind"] == "tool"]
    assert len(models) == len(llm.bill) == 4
    assert sum(row["input_tokens"] for row in models) == sum(tokens.input for tokens in llm.bill)
    assert sum(row["output_tokens"] for row in models) == sum(tokens.output for tokens in llm.bill)
    assert [(t["target"], t["parent"], t["surface"]) for t in tools] == [
        ("everything/echo", models[0]["call_id"], f"mcp_{era}"),
        ("git/git_log", models[1]["call_id"], f"mcp_{era}"),
    ]
    assert sum(row["cost_nano"] for row in tools) == 500_000
    assert {(row["key"], row["team"], row["outcome"]) for row in rows} == {("claude", "platform", "ok")}

    code, tree, _ = await gate.cli("ledger", "--run", run.session)
    lines = tree.splitlines()
    assert code == 0
    assert "paid by platform / claude" in lines[0]
    assert lines[2].startswith("│  └─ ")
    assert "everything/echo" in lines[2]
    assert "4 model calls  400 in, 48 out" in tree
    assert "2 tool calls  $0.0005" in tree


async def test_a_denied_tool_cannot_be_called_by_name_either(gate: RunningGateway, repository: Path) -> None:
    arguments = {"repo_path": str(repository), "message": "no"}
    answer = await gate.call(KEY, "git__git_commit", arguments)
    assert answer["error"] == {"code": -32602, "message": "Unknown tool: git__git_commit"}


async def test_two_keys_at_once_see_their_own_tools_and_rows(
    gate: RunningGateway, llm: ScriptedLLM, tmp_path: Path
) -> None:
    gate.mark()
    llm.plan = [ToolStep(f"{PREFIX}everything__echo", {"message": "hello"})]
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first, second = await asyncio.gather(
        run_claude(gate.address, KEY, tmp_path / "a", "Go.", era="modern", allowed=f"{PREFIX}*"),
        run_claude(gate.address, OTHER, tmp_path / "b", "Go.", era="legacy", allowed=f"{PREFIX}*"),
    )
    assert first.result["result"] == second.result["result"] == llm.text
    for name, session in (("claude", first.session), ("other", second.session)):
        rows = await gate.rows(run=session)
        assert {row["key"] for row in rows} == {name}
        assert [row["kind"] for row in rows] == ["model", "tool", "model"]
    offered = {
        request.headers["x-claude-code-session-id"]: {t["name"] for t in request.json["tools"]} for request in llm.seen
    }
    assert f"{PREFIX}git__git_log" in offered[first.session]
    assert {t for t in offered[second.session] if t.startswith(PREFIX)} == {f"{PREFIX}everything__echo"}


async def test_the_example_runs_as_its_readme_says(
    llm: ScriptedLLM, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    example = (ROOT / "examples" / "claude_code" / "tollkeeper.yaml").read_text()
    configured = example.replace(
        '    allowed_models: ["claude-*"]\n\nmcp', f'    allowed_models: ["claude-*"]\n    base_url: {llm.base}\n\nmcp'
    )
    assert configured != example
    llm.plan = [ToolStep(f"{PREFIX}git__git_status", {"repo_path": str(ROOT)})]
    environment = {"ANTHROPIC_API_KEY": "sk-upstream", "TOLLKEEPER_KEY": KEY}
    async with RunningGateway(configured, tmp_path, environment) as running:
        child = await asyncio.create_subprocess_exec(
            str(ROOT / "examples" / "claude_code" / "run.sh"),
            "What is the status?",
            cwd=ROOT,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(tmp_path),
                "IS_SANDBOX": "1",
                "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
                "ENABLE_TOOL_SEARCH": "false",
                "TOLLKEEPER_ADDRESS": running.address,
                "TOLLKEEPER_KEY": KEY,
                "TOLLKEEPER_STATE": str(running.state),
                "TOLLKEEPER": f"{Path(sys.executable).parent}/tollkeeper",
                "CLAUDE": client_program("claude"),
            },
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await child.communicate()
    assert child.returncode == 0
    assert llm.text in out.decode()
    assert "git/git_status" in out.decode()
    assert "paid by platform / claude-code" in out.decode()
