"""What a call costs when there is much else: ``python -m bench.growth`` (``--long``: ten million ledger rows).

CPU per chat completion of a gateway with more and more stored virtual keys, and with more and more ledger rows (put
into its database before the start). CPU per MCP ``tools/call`` with more and more tools of one server, servers, and
open sessions of other clients. Gateways of all sizes of one kind run at once and are called in turn.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import statistics
import tempfile
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from bench.filling import put_keys, put_rows
from bench.gate import KEY, MODELS, Gate, gateway, mock, on_own_core
from bench.load import Scenario, run
from bench.measuring import Place, measure, open_sessions
from bench.plots import lines_svg
from bench.report import DOCUMENT, note, replace_section, table
from bench.scenarios import CHAT, CREDENTIAL, TOOL, TOOL_LEGACY

PLOT = DOCUMENT.with_name("performance-growth.svg")
Y_ROOM = (100, 1_000)
MANY_ROWS = 10_000_000
ROOM = "limits: {max_client_sessions: 1000000}\nledger: {max_rows: 100000000}"
"""Nothing that is put there expires."""
HEAD = ("CPU µs a call", "start to ready, s", "MB after a call")


WHILE = {
    "chat": "a chat completion among",
    "tools-call": "an MCP tools/call among",
    "tools-legacy": "an MCP tools/call in a session among",
}


def nothing(database: Path, count: int) -> None:
    """All that grows is in the configuration, or comes later."""


def one_server(count: int) -> list[int]:
    return [10]


@dataclass(frozen=True)
class Growth:
    """Something that there can be much of, and what is called meanwhile."""

    what: str
    sizes: tuple[int, ...]
    scenario: Scenario
    fill: Callable[[Path, int], None] = nothing
    servers: Callable[[int], list[int]] = one_server
    """How many tools each MCP server has; the first one is called. If the scenario is of a session, so many sessions
    are opened before."""


GROWTHS = (
    Growth("keys", (10, 1_000, 100_000), CHAT, fill=put_keys),
    Growth("ledger rows", (0, 100_000, 1_000_000), CHAT, fill=put_rows),
    Growth("tools of one MCP server", (10, 1_000, 10_000), TOOL, servers=lambda count: [count]),
    Growth("MCP servers", (1, 10, 50), TOOL, servers=lambda count: [10] * count),
    Growth("open MCP sessions", (1, 1_000, 5_000), TOOL_LEGACY),
)


@dataclass(frozen=True)
class Point:
    """What one size gave."""

    size: int
    cpu_us: float
    ready_s: float
    memory_mb: float


def configured(upstream: int, servers: list[int]) -> str:
    lines = [
        f'  {"lab" if n == 0 else f"more{n}"}: {{url: "http://127.0.0.1:{upstream}/mcp/{tools}"}}'
        for n, tools in enumerate(servers)
    ]
    return "\n".join([MODELS.format(port=upstream, key=KEY, more=ROOM), "mcp_servers:", *lines, ""])


async def grow(growth: Growth, rounds: int, seconds: float) -> list[Point]:
    """A gateway for every size; they are called in turn."""
    async with AsyncExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        upstream = await stack.enter_async_context(mock())
        async with gateway(root / "new", configured(upstream, [])):
            """Makes the schema."""
        gates: list[tuple[Gate, Place, float]] = []
        for size in growth.sizes:
            directory = root / str(size)
            shutil.copytree(root / "new", directory)
            await asyncio.to_thread(growth.fill, directory / ".tollkeeper" / "ledger.db", size)
            gate = await stack.enter_async_context(gateway(directory, configured(upstream, growth.servers(size))))
            place = Place(("127.0.0.1", gate.port), CREDENTIAL, gate)
            await _prepare(place, growth, size)
            gates.append((gate, place, gate.memory_mb()))
        scenario = growth.scenario
        runs: list[list[float]] = [[] for _ in gates]
        for turn in range(rounds):
            # There and back again, so that nobody is always the first.
            for n in range(len(gates))[:: -1 if turn % 2 else 1]:
                runs[n].append((await measure(gates[n][1], scenario, scenario.path, seconds))[1])
        return [
            Point(size, statistics.median(cpu_us), gate.ready_s, memory)
            for size, cpu_us, (gate, _, memory) in zip(growth.sizes, runs, gates, strict=True)
        ]


async def _prepare(place: Place, growth: Growth, size: int) -> None:
    """Opens what is to be open and makes one call: the first waits for what servers offer."""
    scenario = growth.scenario
    sessions = await open_sessions(place, scenario.path, max(1, size)) if scenario.session else []
    await run(place.address, [place.request(scenario, scenario.path, *sessions[:1])], 0)


def wanted(options: argparse.Namespace) -> list[Growth]:
    chosen = [g for g in GROWTHS if not options.only or g.what in options.only.split(",")]
    if not options.long:
        return chosen
    return [replace(g, sizes=(*g.sizes, MANY_ROWS)) if g.fill is put_rows else g for g in chosen]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.growth")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--only", default="", help=f"with commas: {', '.join(g.what for g in GROWTHS)}")
    parser.add_argument("--long", action="store_true", help="ten million ledger rows too")
    parser.add_argument("--write", action="store_true", help="into docs/performance.md")
    options = parser.parse_args()
    parts = [f"{note('bench.growth')}."]
    curves: dict[str, list[tuple[float, float]]] = {}
    for growth in wanted(options):
        found = on_own_core(grow(growth, options.rounds, options.seconds))
        lines = [
            (f"{p.size:,} {growth.what}", f"{p.cpu_us:.0f}", f"{p.ready_s:.1f}", f"{p.memory_mb:.0f}") for p in found
        ]
        parts.append(table((WHILE[growth.scenario.name], *HEAD), lines))
        print(parts[-1], flush=True)
        curves[growth.what] = [(max(p.size, 1), p.cpu_us) for p in found]
    print(parts[0])
    if options.write:
        replace_section(DOCUMENT, "growth", "\n\n".join([*parts, f"![growth]({PLOT.name})"]))
        PLOT.write_text(lines_svg(curves, "how many there are", "CPU µs a call", log_x=True, y_room=Y_ROOM))


if __name__ == "__main__":
    main()
