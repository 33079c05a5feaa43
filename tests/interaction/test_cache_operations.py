"""Operating the cache: the command line, forgetting, metrics, reload, several gateways on one Redis, bad files."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.interaction.test_cache import ONE, TWO, chat, config, post, said
from tests.peers.scripted_llm import ScriptedLLM
from tests.support.gateway import ROOT, RunningGateway
from tests.support.services import RedisServer, python_server, redis_server

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
async def shared_gate(
    shared_llm: ScriptedLLM, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[RunningGateway]:
    async with RunningGateway(config(shared_llm), tmp_path_factory.mktemp("cache")) as running:
        yield running


@pytest.fixture
async def gate(shared_gate: RunningGateway, llm: ScriptedLLM) -> RunningGateway:
    shared_gate.mark()
    await shared_gate.admin("DELETE", "/api/cache")
    return shared_gate


async def logged(gate: RunningGateway, event: str, times: int = 1) -> None:
    """Wait until the gateway has said it so often (bounded)."""
    for _ in range(200):
        if gate.log.read_text().count(event) >= times:
            return
        await asyncio.sleep(0.05)
    raise TimeoutError(event)


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path / "redis") as server:
        yield server


async def test_the_command_line_lists_and_forgets(gate: RunningGateway, llm: ScriptedLLM) -> None:
    await post(gate, chat("a"), x_tollkeeper_cache_tags="red")
    await post(gate, chat("b"), x_bf_cache_key="mine")
    await post(gate, {**chat("c"), "model": "gpt-5"}, TWO)
    status, out, _ = await gate.cli("cache", "list")
    assert (status, out.count("gpt-4o"), out.count("key:one#mine"), out.count("gpt-5")) == (0, 2, 1, 1)
    for arguments, gone in (
        (("--tag", "red"), 1),
        (("--cache-key", "mine"), 1),
        (("--model", "gpt-4o"), 0),
        (("--partition", "key:two"), 1),
        (("--all",), 0),
    ):
        status, out, _ = await gate.cli("cache", "clear", *arguments)
        assert (status, out) == (0, f"{gone} kept answer{'' if gone == 1 else 's'} forgotten.\n")
    status, _, err = await gate.cli("cache", "clear")
    assert (status, "Say what to forget" in err) == (1, True)


async def test_bifrosts_own_paths_forget(gate: RunningGateway, llm: ScriptedLLM) -> None:
    await post(gate, chat("a"), x_bf_cache_key="a/b")
    assert (await gate.admin("DELETE", "/api/cache/clear-by-key/a/b")).json() == {"cleared": 1}
    await post(gate, chat("a"))
    entry = (await gate.admin("GET", "/api/cache/entries")).json()["entries"][0]
    assert (await gate.admin("DELETE", f"/api/cache/clear/{entry['id']}")).json() == {"cleared": 1}
    assert said(await post(gate, chat("a"))) == "miss"


async def test_explain_tells_why_a_call_hit_or_missed(gate: RunningGateway, llm: ScriptedLLM, tmp_path: Path) -> None:
    missed = await post(gate, chat("why", temperature=0.5))
    hit = await post(gate, chat("why", temperature=0.5))
    silent = await post(gate, chat("why"), cache_control="no-store")
    for reply, words in (
        (missed, "a miss"),
        (hit, "an exact hit"),
        (silent, "the caller's Cache-Control forbade it"),
    ):
        status, out, err = await gate.cli("cache", "explain", reply.headers["x-tollkeeper-call-id"])
        assert (status, err, words in out) == (0, "", True), out
    request = tmp_path / "request.json"
    request.write_text(json.dumps(chat("why", temperature=0.7)))
    status, out, _ = await gate.cli("cache", "explain", "--request", str(request), "--key", "one")
    assert "no exact hit" in out
    assert "differs in temperature" in out
    status, out, _ = await gate.cli("cache", "explain", "--request", str(request), "--key", "two")
    assert "differs in partition, temperature" in out
    request.write_text(json.dumps(chat("why", temperature=0.5)))
    status, out, _ = await gate.cli("cache", "explain", "--request", str(request), "--key", "one")
    assert "an exact hit, kept at" in out
    status, out, _ = await gate.cli("cache", "explain", "--request", str(request), "--key", "off")
    assert "the virtual key's cache is off" in out
    assert len(llm.seen) == 2, "explaining calls nobody"
    status, _, err = await gate.cli("cache", "explain", "tk_nobody")
    assert (status, "unknown_call" in err) == (1, True)
    status, _, err = await gate.cli("cache", "explain", "--request", str(request), "--key", "nobody")
    assert (status, "unknown_key" in err) == (1, True)


async def test_only_the_operator_may_ask_or_forget(gate: RunningGateway, llm: ScriptedLLM) -> None:
    for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/entries"), ("DELETE", "/clear-by-key/x")):
        reply = await gate.http.request(method, f"/api/cache{path}", headers={"authorization": f"Bearer {ONE}"})
        assert reply.status_code == 401


async def test_hits_are_in_the_metrics_and_the_sums(gate: RunningGateway, llm: ScriptedLLM) -> None:
    for _ in range(3):
        await post(gate, chat("sum"))
    metrics = (await gate.admin("GET", "/metrics")).text
    assert 'tollkeeper_cache_total{kind="model",said="exact"}' in metrics
    assert 'tollkeeper_cache_saved_nanodollars_total{kind="model"}' in metrics
    assert "sum" not in metrics.replace("_sum", ""), "no text of a caller is a label"
    query = {"group_by": "key", "since_ns": gate.since_ns}
    total = (await gate.admin("GET", "/api/ledger/totals", params=query)).json()["totals"][0]
    assert (total["calls"], total["cached"]) == (3, 2)
    assert total["saved_nano"] == 2 * total["cost_nano"] > 0
    status, out, _ = await gate.cli("ledger", "--by", "key")
    assert (status, "saved" in out) == (0, True)


async def test_doctor_tells_of_the_cache(gate: RunningGateway, llm: ScriptedLLM) -> None:
    status, out, _ = await gate.cli("doctor")
    assert (status, "cache: ok" in out) == (0, True)


async def test_a_reload_changes_the_rules_and_keeps_the_answers(llm: ScriptedLLM, tmp_path: Path) -> None:
    async with RunningGateway(config(llm), tmp_path) as gate:
        await post(gate, chat("kept"))
        text = gate.config.read_text()
        gate.config.write_text(text.replace("  enabled: true\n", "  enabled: false\n"))
        gate.process.send_signal(signal.SIGHUP)
        await logged(gate, "configuration_reloaded")
        assert said(await post(gate, chat("kept"))) == "bypass; reason=off"
        gate.config.write_text(text)
        gate.process.send_signal(signal.SIGHUP)
        await logged(gate, "configuration_reloaded", times=2)
        assert said(await post(gate, chat("kept"))) == "exact"


async def test_two_gateways_share_answers_and_forgetting_through_redis(
    llm: ScriptedLLM, redis: RedisServer, tmp_path: Path
) -> None:
    text = config(llm) + f"stores: {{counters: memory, cache: '{redis.url}'}}\n"
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    async with RunningGateway(text, tmp_path / "a") as one, RunningGateway(text, tmp_path / "b") as other:
        assert said(await post(one, chat("shared"))) == "miss"
        assert (await one.admin("GET", "/api/cache")).json()["entries"] == 1
        assert said(await post(other, chat("shared"))) == "exact"
        assert (await other.admin("DELETE", "/api/cache", params={"key": "one"})).json() == {"cleared": 1}
        assert said(await post(one, chat("shared"))) == "miss"
        redis.stop()
        reply = await post(other, chat("alone"))
        assert (reply.status_code, said(reply)) == (200, "miss"), "a store that is gone costs hits, not calls"
        status, out, _ = await other.cli("doctor")
        assert (status, "cache: failing" in out) == (1, True)
        assert (await other.admin("DELETE", "/api/cache")).json()["error"]["code"] == "cache_unavailable"


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("stores: {counters: 'redis://127.0.0.1:1/0', cache: sqlite}", "one store of kept answers"),
        (
            "stores: {counters: 'redis://127.0.0.1:1/0'}\nsemantic_cache: {enabled: true, embedding: "
            "{provider: openai, model: e, dimensions: 3}}",
            "the embedded vectors have one owner",
        ),
    ],
)
async def test_several_workers_are_refused_what_one_process_must_own(
    llm: ScriptedLLM, tmp_path: Path, more: str, words: str
) -> None:
    with pytest.raises(RuntimeError, match=words):
        async with RunningGateway(config(llm) + more + "\n", tmp_path, arguments=("--workers", "2")):
            pass


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("semantic_cache: {vector_store: redis}", "redis_url must say where it is"),
        ("semantic_cache: {embedding: {dimensions: 3}}", "needs provider and model, or model_path"),
        ("semantic_cache: {embedding: {provider: nobody, model: m, dimensions: 3}}", "there is no provider 'nobody'"),
        ("semantic_cache: {embedding: {model_path: x, model: m, dimensions: 3}}", "has no meaning beside model"),
        ("semantic_cache: {guards: [numbrs]}", "must be of: numbers, negation"),
        ("stores: {cache: 'postgresql://x'}", "must be memory, sqlite or a redis:// address"),
        ("cache: {ttl_seconds: 0}", "cache.ttl_seconds"),
        ("cache: {participation: sometimes}", "header"),
        ("tool_cache: {'a/*': {}}", "ttl"),
    ],
)
async def test_a_bad_block_is_refused_by_name(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(RuntimeError, match=words):
        async with RunningGateway(text, tmp_path):
            pass


async def test_a_model_folder_that_is_none_is_refused_by_name(tmp_path: Path) -> None:
    text = "semantic_cache: {enabled: true, embedding: {model_path: /nowhere, dimensions: 3}}"
    with pytest.raises(RuntimeError, match="has no tokenizer"):
        async with RunningGateway(text, tmp_path):
            pass


async def test_what_a_server_calls_out_of_date_is_forgotten(tmp_path: Path) -> None:
    async with python_server(str(ROOT / "tests" / "peers" / "counting_server.py")) as port:
        yaml = f"""
        mcp_servers: {{count: {{url: "http://127.0.0.1:{port}/mcp"}}}}
        virtual_keys: [{{key_name: one, key: {ONE}, allowed_tools: ["*"]}}]
        tool_cache: {{"count/get_*": {{ttl: 60}}}}
        """
        async with RunningGateway(yaml, tmp_path) as gate:

            async def text(tool: str) -> Any:
                return (await gate.call(ONE, f"count__{tool}"))["result"]["content"][0]["text"]

            first = await text("get_count")
            assert await text("get_count") == first
            await text("put_tool")
            for _ in range(100):
                if await text("get_count") != first:
                    return
            raise AssertionError("the kept result outlived the change")
