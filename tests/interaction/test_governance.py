"""Runs, growing holds, strict budgets and prices, on a real gateway process."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from aiohttp import web

from tests.peers import llm_replies as replies
from tests.peers.llm_replies import Tokens
from tests.peers.scripted_llm import ScriptedLLM, answer, cut_stream
from tests.support.gateway import ROOT, RunningGateway

pytestmark = pytest.mark.anyio

LAB = ROOT / "tests" / "peers" / "lab_server.py"
PLAIN, RUNS, STRICT, POOR, LONG = (f"vk-{name}-0123456789abcdef0123456789ab" for name in "prsol")


def configuration(llm: ScriptedLLM, budgets: str = "{expected_output_tokens: 100}") -> str:
    price = "{input_per_million: 1, output_per_million: 2}"
    return f"""
    budgets: {budgets}
    providers:
      - {{name: lab-llm, type: openai, base_url: "{llm.base}/v1", api_key: x, allowed_models: ["m"], prices: {{"*": {price}}}, weight: 1}}
      - {{name: claude, type: anthropic, base_url: "{llm.base}", api_key: x, allowed_models: ["c"], prices: {{"*": {price}}}}}
    mcp_servers:
      lab: {{command: "{sys.executable}", args: ["{LAB}"]}}
    tool_prices: {{"lab/*": 0.001}}
    teams:
      - {{name: t, allowed_models: ["*"], allowed_tools: ["lab/*"], run_limits: {{tool_calls: 3, duration: "1h"}}}}
    virtual_keys:
      - {{key_name: plain, key: {PLAIN}, allowed_models: ["*"], allowed_tools: ["lab/*"]}}
      - {{key_name: runs, key: {RUNS}, team: t, run_limits: {{budget_limit: 0.01, model_calls: 4, tool_calls: 5}}}}
      - {{key_name: strict, key: {STRICT}, allowed_models: ["*"], budget_limit: 0.05, budget_duration: 1d, enforcement: strict}}
      - {{key_name: poor, key: {POOR}, allowed_models: ["*"], budget_limit: 0.0009, budget_duration: 1d}}
      - {{key_name: long, key: {LONG}, allowed_models: ["*"], budget_limit: 0.0009, budget_duration: 1d}}
    """


@pytest.fixture(scope="module")
async def shared_gate(
    shared_llm: ScriptedLLM, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[RunningGateway]:
    async with RunningGateway(configuration(shared_llm), tmp_path_factory.mktemp("gate")) as running:
        yield running


@pytest.fixture
def gate(shared_gate: RunningGateway, llm: ScriptedLLM) -> RunningGateway:
    shared_gate.mark()
    return shared_gate


async def chat(gate: RunningGateway, key: str, run: str = "", limits: str = "", **fields: Any) -> httpx.Response:
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], **fields}
    headers = {"authorization": f"Bearer {key}"}
    headers |= {"x-tollkeeper-run": run} if run else {}
    headers |= {"x-tollkeeper-run-limits": limits} if limits else {}
    return await gate.http.post("/v1/chat/completions", json=body, headers=headers)


async def tool(gate: RunningGateway, key: str, run: str, limits: str = "") -> dict[str, Any]:
    headers = {"x-tollkeeper-run": run, **({"x-tollkeeper-run-limits": limits} if limits else {})}
    reply = await gate.mcp(key, "tools/call", {"name": "lab__echo", "arguments": {"text": "x"}}, **headers)
    result: dict[str, Any] = reply.json()["result"]
    return result


async def test_a_run_ends_with_its_tool_calls_and_another_run_goes_on(gate: RunningGateway) -> None:
    for _ in range(3):
        assert not (await tool(gate, RUNS, "run-a")).get("isError")
    refused = await tool(gate, RUNS, "run-a")
    facts = refused["_meta"]["io.tollkeeper/refusal"]
    assert (refused["isError"], facts["code"], facts["tier"]) == (True, "run_limited", "run:runs/run-a")
    assert (facts["unit"], facts["limit"]) == ("tool_calls", 3)  # the team's 3, narrower than the key's 5
    assert not (await tool(gate, RUNS, "run-b")).get("isError")
    assert (await chat(gate, RUNS, "run-a")).status_code == 200  # model calls are counted apart


async def test_a_run_ends_with_its_model_calls_and_clients_are_told_not_to_retry(gate: RunningGateway) -> None:
    for _ in range(4):
        assert (await chat(gate, RUNS, "run-m")).status_code == 200
    refused = await chat(gate, RUNS, "run-m")
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "run_limited")
    assert refused.headers["x-should-retry"] == "false"
    assert "retry-after" not in refused.headers


async def test_a_run_pays_for_models_and_tools_from_one_budget(gate: RunningGateway, llm: ScriptedLLM) -> None:
    llm.tokens = Tokens(4_000, 2_000)  # 0.008 of the run's 0.01
    assert (await chat(gate, RUNS, "run-d", max_tokens=50)).status_code == 200
    assert not (await tool(gate, RUNS, "run-d")).get("isError")  # 0.001
    llm.tokens = Tokens(1, 1)
    assert not (await tool(gate, RUNS, "run-d")).get("isError")  # 0.001: the budget is full
    refused = await chat(gate, RUNS, "run-d", max_tokens=50)
    assert (refused.status_code, refused.json()["error"]["code"]) == (402, "budget_exceeded")
    assert "never resets" in refused.json()["error"]["message"]
    assert refused.headers["x-should-retry"] == "false"
    rows = [row for row in await gate.rows() if row["run"] == "run-d" and row["outcome"] == "ok"]
    assert sum(row["cost_nano"] for row in rows) == 10_000_000


async def test_a_header_narrows_a_run_and_never_widens_it(gate: RunningGateway) -> None:
    assert not (await tool(gate, RUNS, "run-n", "tool_calls=1")).get("isError")
    refused = await tool(gate, RUNS, "run-n", "tool_calls=1")
    assert refused["_meta"]["io.tollkeeper/refusal"]["code"] == "run_limited"
    for header, code in (
        ("tool_calls=4", "run_limit_widened"),
        ("budget_limit=0.02", "run_limit_widened"),
        ("duration=2h", "run_limit_widened"),
        ("tool_calls=-1", "invalid_run_limits"),
        ("budget_limit=NaN", "invalid_run_limits"),
        ("tools=4", "invalid_run_limits"),
        ("tool_calls=1,tool_calls=2", "invalid_run_limits"),
    ):
        said = await chat(gate, RUNS, "run-n", header)
        assert (said.status_code, said.json()["error"]["code"]) == (403, code), header
    nameless = await chat(gate, RUNS, "", "tool_calls=1")
    assert nameless.json()["error"]["code"] == "invalid_run_limits"
    me = (await gate.http.get("/me", headers={"x-bf-vk": RUNS, "x-tollkeeper-run": "run-n"})).json()
    of_run = {limit["measure"]: limit["used"] for limit in me["limits"] if limit["tier"] == "run:runs/run-n"}
    assert of_run == {"cost": 1_000_000, "tool_calls": 1, "model_calls": 0}  # what was refused changed nothing


async def test_a_strict_key_must_say_how_long_the_answer_may_be_and_is_never_overrun(
    gate: RunningGateway, llm: ScriptedLLM
) -> None:
    silent = await chat(gate, STRICT)
    assert (silent.status_code, silent.json()["error"]["code"]) == (403, "max_tokens_required")
    llm.tokens = Tokens(10, 400)
    replies_ = await asyncio.gather(*(chat(gate, STRICT, max_tokens=400) for _ in range(100)))
    statuses = [reply.status_code for reply in replies_]
    assert set(statuses) == {200, 402}
    spent = sum(row["cost_nano"] for row in await gate.rows(key="strict"))
    assert spent == statuses.count(200) * 810_000 <= 50_000_000


def long_stream(words: int, usage: dict[str, int] | None, turn: asyncio.Semaphore) -> Any:
    """A chat stream of ``words`` chunks of some 240 bytes, each when it is its turn."""

    async def fault(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for _ in range(words):
            await turn.acquire()
            chunk = {
                "id": "c",
                "object": "chat.completion.chunk",
                "choices": [{"index": 0, "delta": {"content": "x" * 240}}],
            }
            await response.write(replies.sse(None, chunk))
        if usage is not None:
            await response.write(replies.sse(None, {"id": "c", "choices": [], "usage": usage}))
        await response.write(replies.sse(None, "[DONE]"))
        return response

    return fault


async def read_in_step(gate: RunningGateway, llm: ScriptedLLM, key: str, usage: dict[str, int] | None) -> str:
    """Read a long stream chunk by chunk: the next one is written when the last has come through the gate."""
    turn = asyncio.Semaphore(1)
    llm.faults.append(long_stream(60, usage, turn))
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": True}
    headers = {"authorization": f"Bearer {key}"}
    found = ""
    async with gate.http.stream("POST", "/v1/chat/completions", json=body, headers=headers) as reply:
        async for text in reply.aiter_text():
            found += text
            turn.release()
    return found


async def test_a_stream_that_outgrows_its_hold_finishes_and_its_overshoot_is_on_the_row(
    gate: RunningGateway, llm: ScriptedLLM
) -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 3_000, "total_tokens": 3_010}
    text = await read_in_step(gate, llm, LONG, usage)
    assert text.rstrip().endswith("[DONE]")
    (row,) = await gate.rows(key="long")
    assert (row["outcome"], row["cost_nano"], row["basis"]) == ("ok", 6_010_000, "measured")
    assert 250_000 < row["held_nano"] <= 900_000  # topped up to what the budget allowed; the rest is the overshoot
    assert (await chat(gate, LONG)).status_code == 402


async def test_an_answer_that_is_cut_ends_with_the_dialects_error(llm: ScriptedLLM, tmp_path: Any) -> None:
    text = configuration(llm, "{expected_output_tokens: 100, on_exhausted: cut}")
    async with RunningGateway(text, tmp_path) as gate:
        text = await read_in_step(gate, llm, POOR, None)
        events = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]
        assert events[-1]["error"]["code"] == "budget_exhausted"
        assert len(events) < 60
        (row,) = await gate.rows(key="poor")
        assert (row["outcome"], row["code"], row["basis"]) == ("failed", "budget_exhausted", "estimated")
        assert row["cost_nano"] <= 900_000 + 200_000


async def test_a_target_that_fails_is_followed_by_another_with_a_row_and_a_hold_of_its_own(
    llm: ScriptedLLM, tmp_path: Any
) -> None:
    text = f"""
    providers:
      - {{name: first, type: openai, base_url: "{llm.base}/v1", api_key: x, allowed_models: ["m"], prices: free, weight: 1000000}}
      - {{name: second, type: openai, base_url: "{llm.base}/v1", api_key: x, allowed_models: ["m"], prices: free, weight: 0.000001}}
    virtual_keys:
      - {{key_name: plain, key: {PLAIN}, allowed_models: ["*"], rate_limit: {{request_limit: 10, request_limit_duration: 1h}}}}
    """
    async with RunningGateway(text, tmp_path) as gate:
        llm.faults.append(answer(503, b'{"error":{"message":"overloaded"}}'))
        assert (await chat(gate, PLAIN)).status_code == 200
        rows = await gate.rows()
        assert [(r["attempt"], r["provider"], r["outcome"]) for r in rows] == [
            (1, "first", "failed"),
            (2, "second", "ok"),
        ]
        assert rows[0]["call_id"] == rows[1]["call_id"]
        me = (await gate.http.get("/me", headers={"x-bf-vk": PLAIN})).json()
        assert {(x["measure"], x["used"]) for x in me["limits"]} >= {("requests", 1)}  # one call, two attempts
        llm.faults.append(cut_stream([replies.sse(None, {"id": "c", "choices": []})]))
        await chat(gate, PLAIN, stream=True)
        assert [r["attempt"] for r in (await gate.rows())[2:]] == [1]  # what was begun is not begun again elsewhere


async def test_prices_are_shown_with_their_source_set_and_unset(gate: RunningGateway) -> None:
    code, out, err = await gate.cli("prices", "--json")
    assert code == 0, err
    assert {(line["provider"], line["source"]) for line in json.loads(out)} == {
        ("lab-llm", "configured"), ("claude", "configured"),
    }  # fmt: skip
    code, _, _ = await gate.cli("prices", "set", "lab-llm/other", "--input", "3", "--output", "4.5")
    assert code == 0
    code, out, _ = await gate.cli("prices", "--provider", "lab-llm", "--model", "other", "--json")
    assert json.loads(out)[0]["source"] == "configured"  # the file's pattern prices every model of this provider
    for arguments, reason in (
        (("set", "nowhere/x", "--input", "1", "--output", "1"), "unknown_provider"),
        (("set", "lab-llm/m", "--input", "-1", "--output", "1"), "negative"),
        (("set", "lab-llm/m", "--input", "NaN", "--output", "1"), "finite"),
        (("unset", "claude/never"), "unknown_price"),
    ):
        code, _, err = await gate.cli("prices", *arguments)
        assert (code, reason in err) == (1, True), err
    assert (await gate.cli("prices", "unset", "lab-llm/other"))[0] == 0


async def test_the_ledger_is_summed_and_exported_whole(gate: RunningGateway) -> None:
    for _ in range(3):
        await chat(gate, PLAIN, "run-x")
    await tool(gate, PLAIN, "run-x")
    code, out, err = await gate.cli("ledger", "--run", "run-x", "--by", "kind", "--json")
    assert code == 0, err
    sums = {total["group"]: (total["calls"], total["cost_nano"]) for total in map(json.loads, out.splitlines())}
    rows = await gate.rows(run="run-x")
    assert sums == {
        kind: (n, sum(r["cost_nano"] for r in rows if r["kind"] == kind)) for kind, n in (("model", 3), ("tool", 1))
    }
    code, out, _ = await gate.cli("ledger", "--all", "--json", "--run", "run-x")
    assert [json.loads(line) for line in out.splitlines()] == rows
    code, out, _ = await gate.cli("ledger", "--by", "day", "--json")
    assert json.loads(out.splitlines()[0])["group"].startswith("20")


async def test_free_calls_have_a_limit_of_their_own(gate: RunningGateway, llm: ScriptedLLM) -> None:
    body = {"model": "c", "messages": [{"role": "user", "content": "hi"}]}
    reply = await gate.http.post("/anthropic/v1/messages/count_tokens", json=body, headers={"x-api-key": PLAIN})
    assert reply.status_code == 200
    me = (await gate.http.get("/me", headers={"x-bf-vk": PLAIN})).json()
    assert [(x["measure"], x["used"] >= 1) for x in me["limits"]] == [("free_calls", True)]
