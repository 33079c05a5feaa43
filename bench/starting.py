"""How long a start takes: ``python -m bench.starting`` (part of ``make bench``).

From the start of the process until it listens, and until the first ``tools/list`` is answered, which waits for every
MCP server; with no server, and with three small Python programs over stdio. The first start of an installation, which
makes the database, is told apart from the median of those that follow.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bench.gate import KEY, MODELS, gateway, on_own_core, stdio_member
from bench.measuring import Place, exchange
from bench.mock_stdio import TOOLS
from bench.report import note, table, tell
from bench.scenarios import CREDENTIAL
from bench.scenarios import TOOLS as LIST

SERVERS = (0, 3)
HEAD = ("start with", "listens first, s", "listens again, s", "all tools listed, s", "MB then")


@dataclass(frozen=True)
class Start:
    """Seconds since the process was started, and its memory then, its MCP servers' not counted."""

    ready_s: float
    listed_s: float
    memory_mb: float


async def start(directory: Path, servers: int) -> Start:
    """One start. Raises ``RuntimeError`` when a server's tools are missing."""
    members = "".join(stdio_member(f"program{n}") for n in range(servers))
    # Nothing is asked of a model: no upstream has to listen.
    yaml = MODELS.format(port=1, key=KEY, more="") + (f"mcp_servers:\n{members}" if members else "")
    begun = time.perf_counter()
    async with gateway(directory, yaml) as gate:
        place = Place(("127.0.0.1", gate.port), CREDENTIAL, gate)
        connection = await place.connect()
        _, body = await exchange(connection, place.request(LIST, LIST.path))
        listed_s = time.perf_counter() - begun
        connection[1].close()
        if body.count(b'"inputSchema"') != servers * TOOLS:
            raise RuntimeError(f"the list does not have {servers} times {TOOLS} tools: {body.decode()}")
        return Start(gate.ready_s, listed_s, gate.memory_mb())


async def starts(servers: int, count: int) -> list[Start]:
    """The first start of an installation, and so many more."""
    with tempfile.TemporaryDirectory() as name:
        return [await start(Path(name), servers) for _ in range(count + 1)]


def row_of(servers: int, found: list[Start]) -> tuple[str, ...]:
    first, *again = found
    medians = [statistics.median(v) for v in ([s.ready_s for s in again], [s.listed_s for s in again])]
    memory = statistics.median(s.memory_mb for s in again)
    what = f"{servers} MCP servers over stdio" if servers else "no MCP server"
    return (what, f"{first.ready_s:.2f}", *(f"{s:.2f}" for s in medians), f"{memory:.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.starting")
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--write", action="store_true", help="into docs/performance.md")
    options = parser.parse_args()
    rows = [row_of(servers, on_own_core(starts(servers, options.starts))) for servers in SERVERS]
    text = f"{note('bench.starting')}: medians of {options.starts} starts.\n\n{table(HEAD, rows)}"
    tell("starting", text, write=options.write)


if __name__ == "__main__":
    main()
