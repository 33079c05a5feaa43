"""The real Claude Code on models of other vendors: nothing that it sends by default is refused, and each vendor is
told only what it knows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.clients.claude_code import run_claude
from tests.clients.upstreams import KEY, judge, paid
from tests.peers.scripted_llm import ScriptedLLM, ToolStep
from tests.support.gateway import RunningGateway

pytestmark = [pytest.mark.anyio, pytest.mark.client_programs]

PREFIX = "mcp__tollkeeper__"
ADD = f"{PREFIX}lab__add"
STEP = ToolStep(ADD, {"a": 2, "b": 40})


async def work(
    abroad: RunningGateway, llm: ScriptedLLM, home: Path, model: str, **options: Any
) -> list[dict[str, Any]]:
    """One task with one tool; the bodies that went upstream, checked."""
    run = await run_claude(
        abroad.address, KEY, home, "Add 2 and 40.", era="modern", allowed=ADD, model=model, **options
    )
    assert (run.result["result"], run.result["is_error"]) == (llm.text, False)
    rows = await abroad.rows(run=run.session)
    models = [row for row in rows if row["kind"] == "model"]
    tools = [row for row in rows if row["kind"] == "tool"]
    assert [(t["target"], t["parent"], t["outcome"]) for t in tools] == [("lab/add", models[-2]["call_id"], "ok")]
    assert {(row["surface"], row["target"]) for row in models} == {("anthropic", model)}
    paid(rows, llm)
    return [judge(seen, run.session) for seen in llm.seen]


async def test_on_chat_completions(abroad: RunningGateway, llm: ScriptedLLM, tmp_path: Path) -> None:
    llm.plan = [STEP]
    first, last = await work(abroad, llm, tmp_path, "gpt-5.1")
    assert [message["role"] for message in last["messages"]] == ["system", "user", "assistant", "tool"]
    system, user, call, result = last["messages"]
    assert system["content"].startswith("You are a Claude agent")
    assert user["content"].index("Add 2 and 40.") < user["content"].index("<system-reminder>\n# Environment")
    assert call["tool_calls"][0]["function"] == {"name": ADD, "arguments": '{"a":2,"b":40}'}
    assert result["content"] == '{"result":42}'
    offered = {tool["function"]["name"]: tool["function"]["parameters"] for tool in first["tools"]}
    assert offered[ADD]["required"] == ["a", "b"]
    assert {"Bash", "Read"} <= offered.keys()
    assert (first["max_tokens"], first["reasoning_effort"]) == (32_000, "high")


async def test_on_chat_completions_with_tools_that_are_searched_for(
    abroad: RunningGateway, llm: ScriptedLLM, tmp_path: Path
) -> None:
    llm.plan = [ToolStep("ToolSearch", {"query": f"select:{ADD}", "max_results": 5}), STEP]
    first, second, last = await work(abroad, llm, tmp_path, "gpt-5.1", search=True)
    offered = [{tool["function"]["name"] for tool in body["tools"]} for body in (first, second)]
    assert "ToolSearch" in offered[0]
    assert offered[1] - offered[0] == {ADD}
    assert "DeferredToolPlaceholder" not in offered[0]
    assert ADD in first["messages"][1]["content"], "the model is told what there is to be found"
    results = [message["content"] for message in last["messages"] if message["role"] == "tool"]
    assert results == [f"Tool {ADD} is available now.", '{"result":42}']


async def test_on_gemini(abroad: RunningGateway, llm: ScriptedLLM, tmp_path: Path) -> None:
    llm.plan = [STEP]
    first, last = await work(abroad, llm, tmp_path, "gemini-2.5-pro")
    user, call, result = last["contents"]
    assert user["parts"][-2]["text"] == "Add 2 and 40."
    assert user["parts"][-1]["text"].startswith("<system-reminder>\n# Environment")
    assert call["parts"][0]["functionCall"]["args"] == {"a": 2, "b": 40}
    assert call["parts"][0]["thoughtSignature"] == "c2ln", "Gemini's seal comes back through Claude Code"
    assert result["parts"][0]["functionResponse"]["response"] == {"output": '{"result":42}'}
    assert first["generationConfig"]["maxOutputTokens"] == 32_000


async def test_on_bedrock(abroad: RunningGateway, llm: ScriptedLLM, tmp_path: Path) -> None:
    llm.plan = [STEP]
    first, last = await work(abroad, llm, tmp_path, "claude-opus-5-5")
    assert llm.seen[0].path == "/model/eu.anthropic.claude-opus-4-7-v1:0/converse-stream"
    user, call, result = last["messages"]
    asked = first["messages"][0]["content"]
    assert "# Environment" in asked[-2]["text"]
    assert asked[-1] == result["content"][-1] == {"cachePoint": {"type": "default"}}
    assert user["content"] == asked[:-1], "what was cached stays as it was"
    assert call["content"][-1]["toolUse"]["input"] == {"a": 2, "b": 40}
    assert result["content"][0]["toolResult"]["content"] == [{"text": '{"result":42}'}]
    assert first["additionalModelRequestFields"]["thinking"]["type"] == "adaptive"
    assert str(last).count("cachePoint") <= 4
