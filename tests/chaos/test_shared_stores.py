"""Two gateways on real Redis and PostgreSQL: one budget for both, through kills and outages."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import redis.asyncio as client
import sqlalchemy as sa

from policies.stores.redis_counters import RedisCounters
from policies.tiers import Budget
from tests.peers.llm_replies import Tokens
from tests.peers.scripted_llm import ScriptedLLM
from tests.support.gateway import ROOT, RunningGateway
from tests.support.money import MONTH, tier
from tests.support.services import PostgresServer, RedisServer, postgres_server, redis_server

pytestmark = pytest.mark.anyio

LAB = ROOT / "tests" / "peers" / "lab_server.py"
STRICT, SMALL = "vk-strict-0123456789abcdef0123456789", "vk-small-0123456789abcdef01234567890"


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        yield server


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path / "redis") as server:
        yield server


def configuration(
    llm: ScriptedLLM, redis: RedisServer, postgres: PostgresServer, *, mcp: bool = True, **budgets: Any
) -> str:
    servers = (
        f'mcp_servers: {{lab: {{command: "{sys.executable}", args: ["{LAB}"], isolation: shared}}}}' if mcp else ""
    )
    settings = ", ".join(f"{name}: {value}" for name, value in budgets.items())
    prices = '{"*": {input_per_million: 1, output_per_million: 2}}'
    return f"""
    stores: {{counters: "{redis.url}", ledger: "{postgres.url}"}}
    budgets: {{{settings}}}
    providers:
      - {{name: lab-llm, type: openai, base_url: "{llm.base}/v1", api_key: x, prices: {prices}}}
    {servers}
    tool_prices: {{"lab/*": 0.0005}}
    virtual_keys:
      - {{key_name: strict, key: {STRICT}, allowed_models: ["*"], allowed_tools: ["lab/*"], budget_limit: 0.05, budget_duration: 1M, enforcement: strict}}
      - {{key_name: small, key: {SMALL}, allowed_models: ["*"], budget_limit: 1, budget_duration: 1M, rate_limit: {{request_limit: 100, request_limit_duration: 1d}}}}
    """


@pytest.fixture
async def clean(postgres: PostgresServer) -> AsyncIterator[None]:
    """An empty ledger for each test."""
    yield
    engine = sa.create_engine(postgres.url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        connection.execute(sa.text("DROP SCHEMA public CASCADE"))
        connection.execute(sa.text("CREATE SCHEMA public"))
    engine.dispose()


async def chat(gate: RunningGateway, key: str, **fields: Any) -> httpx.Response:
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 400, **fields}
    return await gate.http.post("/v1/chat/completions", json=body, headers={"authorization": f"Bearer {key}"})


async def use_of(redis: RedisServer, name: str) -> tuple[int, int]:
    """(used, held) of a key's monthly money, read from Redis itself."""
    counters = RedisCounters(redis.url)
    (state,) = await counters.state([tier("key", name, Budget(1, MONTH))], time.time_ns())
    await counters.close()
    return state.used, state.held


async def settled_rows(gate: RunningGateway, **filters: str) -> list[dict[str, Any]]:
    """All rows of both gateways: what the other one has in memory is written within a second."""
    known = -1
    while True:
        rows = await gate.rows(**filters)
        if len(rows) == known:
            return rows
        known = len(rows)
        await asyncio.sleep(0.5)


async def test_two_processes_share_a_strict_budget_for_models_and_tools_and_never_overrun_it(
    clean: None, llm: ScriptedLLM, redis: RedisServer, postgres: PostgresServer, tmp_path: Path
) -> None:
    llm.tokens = Tokens(10, 400)
    text = configuration(llm, redis, postgres)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    async with RunningGateway(text, tmp_path / "a") as first, RunningGateway(text, tmp_path / "b") as second:
        calls: list[Any] = []
        for number in range(100):
            gate = first if number % 2 else second
            calls += [chat(gate, STRICT), gate.call(STRICT, "lab__echo", {"text": "x"})]
        answers = await asyncio.gather(*calls)
        models = [answer.status_code for answer in answers if isinstance(answer, httpx.Response)]
        tools = [answer["result"].get("isError", False) for answer in answers if isinstance(answer, dict)]
        assert set(models) == {200, 402}
        assert False in tools
        rows = [row for row in await settled_rows(first) if row["outcome"] != "refused"]
        spent = sum(row["cost_nano"] for row in rows)
        assert spent == models.count(200) * 810_000 + tools.count(False) * 500_000 <= 50_000_000
        assert len(llm.bill) == models.count(200)
        assert await use_of(redis, "strict") == (spent, 0)


async def test_a_key_that_is_revoked_here_ends_there_within_a_second(
    clean: None, llm: ScriptedLLM, redis: RedisServer, postgres: PostgresServer, tmp_path: Path
) -> None:
    text = configuration(llm, redis, postgres, mcp=False)
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    async with RunningGateway(text, tmp_path / "a") as first, RunningGateway(text, tmp_path / "b") as second:
        # Two installations that share keys share the pepper.
        assert await second.stop() == 0
        await second.http.aclose()
        (second.state / "pepper").write_bytes((first.state / "pepper").read_bytes())
        await second.start()
        made = await first.admin("POST", "/api/keys", json={"name": "shared", "allowed_models": ["*"]})
        key = made.json()["key"]
        while (await chat(second, key)).status_code != 200:
            await asyncio.sleep(0.05)
        await first.admin("DELETE", "/api/keys/shared")
        assert (await chat(first, key)).status_code == 401
        while (await chat(second, key)).status_code != 401:
            await asyncio.sleep(0.05)


async def test_without_redis_known_keys_go_on_within_an_allowance_and_nothing_is_lost_or_counted_twice(
    clean: None, llm: ScriptedLLM, redis: RedisServer, postgres: PostgresServer, tmp_path: Path
) -> None:
    llm.tokens = Tokens(10, 400)
    async with RunningGateway(configuration(llm, redis, postgres, mcp=False), tmp_path) as gate:
        assert (await chat(gate, SMALL)).status_code == 200
        redis.stop()
        statuses = [(await chat(gate, SMALL)).status_code for _ in range(15)]
        assert statuses == [200] * 10 + [429] * 5  # a tenth of the 100 requests
        health = await gate.http.get("/readyz")
        assert (health.status_code, health.json()["status"]) == (200, "degraded")
        redis.start()
        while (await gate.http.get("/readyz")).json()["status"] != "ready":
            await asyncio.sleep(0.05)
        assert (await chat(gate, SMALL)).status_code == 200
        rows = [row for row in await gate.rows(key="small") if row["outcome"] == "ok"]
        assert len(rows) == 12
        assert await use_of(redis, "small") == (12 * 810_000, 0)


async def test_a_call_that_was_under_way_when_redis_went_is_settled_when_it_is_back(
    clean: None, llm: ScriptedLLM, redis: RedisServer, postgres: PostgresServer, tmp_path: Path
) -> None:
    llm.tokens = Tokens(10, 400)
    llm.gate = asyncio.Event()
    async with RunningGateway(configuration(llm, redis, postgres, mcp=False), tmp_path) as gate:
        under_way = asyncio.ensure_future(chat(gate, SMALL))
        await llm.arrived.acquire()
        redis.stop()
        llm.gate.set()
        assert (await under_way).status_code == 200
        redis.start()
        while (await gate.http.get("/readyz")).json()["status"] != "ready":
            await asyncio.sleep(0.05)
        assert await use_of(redis, "small") == (810_000, 0)


async def test_with_deny_a_call_without_redis_is_refused_by_name(
    clean: None, llm: ScriptedLLM, redis: RedisServer, postgres: PostgresServer, tmp_path: Path
) -> None:
    text = configuration(llm, redis, postgres, mcp=False, on_store_outage="deny")
    async with RunningGateway(text, tmp_path) as gate:
        redis.stop()
        said = await chat(gate, SMALL)
        assert (said.status_code, said.json()["error"]["code"]) == (503, "counters_unavailable")
        assert llm.seen == []
        assert (await gate.http.get("/readyz")).status_code == 503


async def test_without_postgres_rows_wait_in_the_journal_and_are_written_once(
    clean: None, llm: ScriptedLLM, redis: RedisServer, postgres: PostgresServer, tmp_path: Path
) -> None:
    async with RunningGateway(configuration(llm, redis, postgres, mcp=False), tmp_path) as gate:
        assert (await chat(gate, SMALL)).status_code == 200
        postgres.stop()
        for _ in range(5):
            assert (await chat(gate, SMALL)).status_code == 200
        while (await gate.http.get("/readyz")).json()["status"] != "degraded":
            await asyncio.sleep(0.05)
        await gate.kill()  # what waits is on disk
        await gate.http.aclose()
        postgres.start()
        await gate.start()
        rows = await gate.rows(key="small")
        assert len(rows) == len({row["call_id"] for row in rows}) == 6
        assert await use_of(redis, "small") == (sum(row["cost_nano"] for row in rows), 0)


async def test_a_killed_gateway_leaves_no_hold_behind_and_its_calls_are_charged_once(
    clean: None, llm: ScriptedLLM, redis: RedisServer, postgres: PostgresServer, tmp_path: Path
) -> None:
    async with RunningGateway(configuration(llm, redis, postgres, mcp=False), tmp_path) as gate:
        assert (await chat(gate, SMALL)).status_code == 200
        llm.gate = asyncio.Event()
        lost = [asyncio.ensure_future(chat(gate, SMALL)) for _ in range(4)]
        for _ in range(5):
            await llm.arrived.acquire()
        await gate.kill()
        await asyncio.gather(*lost, return_exceptions=True)
        await gate.http.aclose()
        llm.gate = None
        for _ in range(2):  # the second start finds nothing left to take over
            await gate.start()
            rows = await gate.rows(key="small")
            assert sorted(row["outcome"] for row in rows) == ["interrupted"] * 4 + ["ok"]
            assert await use_of(redis, "small") == (sum(row["cost_nano"] for row in rows), 0)
            await gate.kill()
            await gate.http.aclose()
        await gate.start()


async def test_a_redis_that_lost_its_data_is_filled_from_the_ledger(
    clean: None, llm: ScriptedLLM, redis: RedisServer, postgres: PostgresServer, tmp_path: Path
) -> None:
    async with RunningGateway(configuration(llm, redis, postgres, mcp=False), tmp_path) as gate:
        for _ in range(3):
            await chat(gate, SMALL)
        rows = await gate.rows(key="small")
        assert await gate.stop() == 0
        await gate.http.aclose()
        raw = client.Redis.from_url(redis.url)
        await raw.flushall()
        await raw.aclose()
        await gate.start()
        assert await use_of(redis, "small") == (sum(row["cost_nano"] for row in rows), 0)
        me = (await gate.http.get("/me", headers={"x-bf-vk": SMALL})).json()
        assert {x["measure"]: x["used"] for x in me["limits"] if x["measure"] == "requests"} == {"requests": 3}


async def test_two_workers_share_one_socket_and_one_budget_and_a_dead_one_is_replaced(
    clean: None, llm: ScriptedLLM, redis: RedisServer, postgres: PostgresServer, tmp_path: Path
) -> None:
    llm.tokens = Tokens(10, 400)
    text = configuration(llm, redis, postgres, mcp=False)
    async with RunningGateway(text, tmp_path, arguments=("--workers", "2")) as gate:
        workers = psutil.Process(gate.process.pid).children()
        assert len(workers) == 2
        statuses = [answer.status_code for answer in await asyncio.gather(*(chat(gate, STRICT) for _ in range(120)))]
        assert set(statuses) == {200, 402}
        rows = [row for row in await settled_rows(gate) if row["outcome"] == "ok"]
        assert sum(row["cost_nano"] for row in rows) == statuses.count(200) * 810_000 <= 50_000_000
        workers[0].kill()
        while len([p for p in psutil.Process(gate.process.pid).children() if p.status() != "zombie"]) != 2 or (
            workers[0].pid in {p.pid for p in psutil.Process(gate.process.pid).children()}
        ):
            await asyncio.sleep(0.05)
        assert await gate.stop() == 0


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("providers: []", "need shared counters"),
        ("stores: {counters: 'redis://127.0.0.1:1'}\nmcp_servers: {a: {command: x}}", "one process only"),
    ],
)
async def test_workers_that_could_not_keep_a_promise_are_refused_with_the_reason(
    text: str, reason: str, tmp_path: Path
) -> None:
    gate = RunningGateway(text, tmp_path, arguments=("--workers", "2"))
    with pytest.raises(RuntimeError, match=reason):
        async with gate:
            pass


async def test_a_counter_store_with_foreign_data_stops_the_start(
    clean: None, llm: ScriptedLLM, redis: RedisServer, postgres: PostgresServer, tmp_path: Path
) -> None:
    raw = client.Redis.from_url(redis.url)
    await raw.rpush("tk:{tollkeeper}:schema", "a list")
    with pytest.raises(RuntimeError, match="foreign data"):
        async with RunningGateway(configuration(llm, redis, postgres, mcp=False), tmp_path):
            pass
    assert await raw.keys() == [b"tk:{tollkeeper}:schema"]
    await raw.aclose()
