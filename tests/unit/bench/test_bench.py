"""The benchmark's programs, each in a tiny round: what they measure is there and is answered as it should be. Their
figures mean nothing here."""

from __future__ import annotations

import argparse
import sqlite3
import statistics
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from bench import counters, filling, growth, memory, soak, starting, surfaces, waiting
from bench.gate import MEMBER_PROGRAM, bare, gateway, mock
from bench.load import Scenario, paced, run
from bench.measuring import Place, exchange, open_sessions
from bench.report import table
from bench.scenarios import BARE, CHAT, CREDENTIAL, SCENARIOS, STREAM, TOOL, TOOL_LEGACY, TOOL_STDIO, TOOLS, WORDS

pytestmark = pytest.mark.anyio

TINY_S = 0.1


async def answer(place: Place, scenario: Scenario, path: str) -> bytes:
    sessions = await open_sessions(place, path, 1) if scenario.session else []
    connection = await place.connect()
    head, body = await exchange(connection, place.request(scenario, path, *sessions))
    while "chunked" in head and not body.endswith(b"0\r\n\r\n"):
        body += await connection[0].read(1 << 16)
    connection[1].close()
    return body


@pytest.mark.parametrize("name", ["plain", "cache", "stdio", "bare"])
async def test_every_scenario_is_answered_with_what_it_asks_for(name: str, tmp_path: Path) -> None:
    async with mock() as upstream:
        started = bare(upstream) if name == "bare" else gateway(tmp_path, surfaces.configured(name, upstream))
        async with started as gate:
            place = Place(("127.0.0.1", gate.port), CREDENTIAL, gate)
            for scenario in (s for s in SCENARIOS if s.gate == name):
                body = await answer(place, scenario, scenario.path)
                if scenario is TOOLS:
                    assert body.count(b'"inputSchema"') == 200
                elif scenario.path == "/mcp":
                    assert b'"text":"echo"' in body, scenario.name
                else:
                    assert (b"[DONE]" if scenario is STREAM else b"Hello! This is a fixed answer") in body, (
                        scenario.name
                    )
                if scenario.direct is not None:
                    direct = Place(("127.0.0.1", upstream), ())
                    assert await answer(direct, scenario, scenario.direct or scenario.path), scenario.name


async def test_a_program_that_is_an_mcp_server_is_not_counted_as_the_gateways(tmp_path: Path) -> None:
    async with mock() as upstream, gateway(tmp_path, surfaces.configured("stdio", upstream)) as gate:
        await answer(Place(("127.0.0.1", gate.port), CREDENTIAL), TOOL_STDIO, TOOL_STDIO.path)
        root = psutil.Process(gate.pid)
        children = root.children(recursive=True)
        assert children
        assert all(MEMBER_PROGRAM in child.cmdline() for child in children)
        counted = gate.memory_mb() * 1024 * 1024
        assert counted == pytest.approx(root.memory_info().rss, abs=min(c.memory_info().rss for c in children) / 2)


async def test_a_paced_run_sends_as_many_as_were_asked_for_and_counts_what_failed() -> None:
    async with mock() as upstream:
        place = Place(("127.0.0.1", upstream), ())
        measured = await paced(place.address, place.request(STREAM, STREAM.path), 200, 0.2)
        assert (len(measured.latencies), len(measured.firsts), measured.bad) == (40, 40, 0)
        assert all(first <= last for first, last in zip(measured.firsts, measured.latencies, strict=True))
        assert (await paced(place.address, place.request(CHAT, "/nowhere"), 200, 0.05)).bad == 10


async def test_a_closed_run_keeps_every_connection_busy_until_its_end() -> None:
    async with mock() as upstream:
        place = Place(("127.0.0.1", upstream), ())
        measured = await run(place.address, [place.request(CHAT, CHAT.path)] * 3, TINY_S)
        assert len(measured.latencies) > 3
        assert measured.bad == 0


async def test_surfaces_tells_every_scenario_and_what_one_call_waits_longer() -> None:
    scenarios = [s for s in SCENARIOS if s in (BARE, STREAM, TOOL_LEGACY, TOOL_STDIO) or s.name in waiting.ALONE]
    found = await surfaces.own(argparse.Namespace(rounds=1, seconds=TINY_S), scenarios)
    rows = surfaces.rows_of(found.rounds)
    assert [row[0] for row in rows] == [WORDS[s.name] for s in scenarios]
    assert [row[1] for row in rows].count("–") == 1
    assert {row[-1] for row in rows} == {"0"}
    assert found.streams is not None
    waits = waiting.rows_of(found.rounds, found.streams)
    assert len(waits) == len(waiting.ALONE) + 1
    assert {len(row) for row in waits} == {len(waiting.HEAD)}
    assert table(surfaces.HEAD, rows)


async def test_memory_opens_sessions_listeners_and_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "BETWEEN_S", 0)
    idle, found = await memory.everything(0.004)
    assert idle > 0
    assert [grown.count for grown in found.values()] == [20, 4, 2]
    assert all(grown.after_mb > 0 for grown in found.values())
    assert {len(row) for row in memory.rows_of(found)} == {len(memory.HEAD)}


@pytest.mark.parametrize("what", ["keys", "ledger rows", "open MCP sessions"])
async def test_growth_measures_a_call_beside_whatever_grows(what: str) -> None:
    (kind,) = (kind for kind in growth.GROWTHS if kind.what == what)
    (point,) = await growth.grow(replace(kind, sizes=(3,)), 1, TINY_S)
    assert point.size == 3
    assert point.cpu_us > 0


async def test_growth_has_as_many_servers_and_tools_as_it_says(tmp_path: Path) -> None:
    async with mock() as upstream, gateway(tmp_path, growth.configured(upstream, [30, 10, 10])) as gate:
        place = Place(("127.0.0.1", gate.port), CREDENTIAL)
        assert (await answer(place, TOOLS, TOOLS.path)).count(b'"inputSchema"') == 50
        assert b'"text":"echo"' in await answer(place, TOOL, TOOL.path)


async def test_rows_are_put_in_batches_and_leave_the_indexes_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filling, "BATCH", 2_000)
    database = tmp_path / ".tollkeeper" / "ledger.db"
    async with gateway(tmp_path, growth.configured(1, [])):
        """Makes the schema."""
    before = indexes(database)
    filling.put_rows(database, 5_000)
    assert indexes(database) == before
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("SELECT count(*) FROM ledger").fetchone() == (5_000,)


def indexes(database: Path) -> set[str]:
    with closing(sqlite3.connect(database)) as connection:
        found = connection.execute("SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = 'ledger'")
        return {name for (name,) in found}


async def test_counters_compares_a_gateway_on_redis_with_one_that_counts_itself() -> None:
    found = await counters.both((CHAT,), 1, TINY_S)
    (row,) = counters.rows_of(found)
    assert len(row) == len(counters.HEAD)
    assert row[-1] == "0"
    assert all(side.cpu_us[0] > 0 for side in found["chat"])


async def test_a_start_waits_for_the_tools_of_every_program() -> None:
    found = await starting.starts(3, 1)
    assert len(found) == 2
    assert all(start.listed_s >= start.ready_s > 0 for start in found)
    assert len(starting.row_of(3, found)) == len(starting.HEAD)


async def test_a_soak_ends_by_itself_and_tells_whether_memory_is_flat() -> None:
    soaked = await soak.soak(3, TINY_S, TINY_S)
    assert len(soaked.memory_mb) == 3
    assert soaked.bad == 0
    assert all(count > 0 for count in soaked.calls.values())
    assert "last" in soak.told(soaked)


def test_memory_that_grows_is_not_called_flat() -> None:
    flat = soak.Soaked([90.0, 100.0, 101.0, 100.0, 102.0, 101.0, 100.0])
    grows = soak.Soaked([100.0, 100.0, 101.0, 102.0, 106.0, 107.0, 108.0])
    assert flat.good
    assert [statistics.median(third) for third in flat.thirds()] == [100.5, 101.0, 100.5]
    assert not grows.good
    assert not soak.Soaked([100.0] * 6, bad=1).good
