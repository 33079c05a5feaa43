"""What a call costs when there is much else: ``python -m bench.growth`` (``--long``: ten million ledger rows).

CPU per chat completion of one gateway with more and more stored virtual keys, and with more and more ledger rows.
Keys and rows are put into the database between two starts of the gateway, by SQL, in the shape that it writes itself.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import uvloop

from bench.gate import KEY, ROOT, YAML, gateway, mock, pin
from bench.plots import lines_svg
from bench.report import machine, replace_section, table
from bench.scenarios import CHAT, CREDENTIAL
from bench.surfaces import DOCUMENT, Place, measure

PLOT = ROOT / "docs" / "performance-growth.svg"
KEYS = (10, 1_000, 100_000)
ROWS = (0, 100_000, 1_000_000)
MANY_ROWS = (*ROWS, 10_000_000)
HEAD = ("how many", "CPU µs a call", "start to ready, s", "MB idle")

Fill = Callable[[Path, int], None]


def put_keys(database: Path, count: int) -> None:
    """So many stored keys beside the one of the configuration."""
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("DELETE FROM virtual_keys")
        connection.executemany(
            "INSERT INTO virtual_keys (digest, name, scheme, hint, team, customer, grants, limits, created_ns)"
            " VALUES (?, ?, 'sha256', 'hint', 'research', NULL, '{}', '{}', ?)",
            ((hashlib.sha256(b"%d" % n).digest(), f"key-{n}", n) for n in range(count)),
        )


def put_rows(database: Path, count: int) -> None:
    """So many ledger rows of a thousand keys, from two days ago on: old enough for no window, too young to expire."""
    columns = (
        "call_id, attempt, started_ns, duration_us, overhead_us, kind, surface, operation, origin, key, target,"
        " outcome, status, stream, input_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens,"
        " output_tokens, reasoning_tokens, cost_nano, saved_nano, basis, tiers"
    )
    since = time.time_ns() - 2 * 86_400 * 10**9
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(
            f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)"  # noqa: S608 - own names
            f" INSERT OR IGNORE INTO ledger ({columns})"
            f" SELECT printf('tk_%012x%016x', i, i), 1, ? + i * 1000000, 1000, 200, 'model', 'openai_chat', 'chat',"
            f" 'client', 'key-' || (i % 1000), 'm', 'ok', 200, 0, 42, 0, 0, 0, 25, 0, 21300, 0, 'measured', '[]' FROM n"
            f" WHERE ? > 0",
            (count, since, count),
        )


async def grow(
    sizes: tuple[int, ...], fill: Fill, options: argparse.Namespace
) -> list[tuple[int, float, float, float]]:
    """(size, CPU µs a call, seconds to ready, MB) for every size."""
    found: list[tuple[int, float, float, float]] = []
    with tempfile.TemporaryDirectory() as name:
        async with mock() as upstream:
            yaml = YAML.format(port=upstream, key=KEY, more="")
            async with gateway(Path(name), yaml):
                """Makes the schema."""
            for size in sizes:
                await asyncio.to_thread(fill, Path(name) / ".tollkeeper" / "ledger.db", size)
                async with gateway(Path(name), yaml) as gate:
                    memory = gate.memory_mb()
                    place = Place(("127.0.0.1", gate.port), CREDENTIAL, gate)
                    runs = [(await measure(place, CHAT, CHAT.path, options.seconds))[1] for _ in range(options.rounds)]
                found.append((size, statistics.median(runs), gate.ready_s, memory))
                print(fill.__name__, *found[-1], flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.growth")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--long", action="store_true", help="ten million rows: a quarter of an hour, 4 GB of disk")
    parser.add_argument("--write", action="store_true", help="into docs/performance.md")
    options = parser.parse_args()
    pin(0, 0)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        keys = runner.run(grow(KEYS, put_keys, options))
        rows = runner.run(grow(MANY_ROWS if options.long else ROWS, put_rows, options))
    parts = [f"`python -m bench.growth` on {machine()}."]
    for what, found in (("keys", keys), ("ledger rows", rows)):
        lines = [(f"{n:,} {what}", f"{cpu:.0f}", f"{ready:.1f}", f"{memory:.0f}") for n, cpu, ready, memory in found]
        parts.append(table(HEAD, lines))
    print("\n\n".join(parts))
    if options.write:
        replace_section(DOCUMENT, "growth", "\n\n".join([*parts, f"![growth]({PLOT.name})"]))
        curves = {"keys": [(max(n, 1), cpu) for n, cpu, *_ in keys], "rows": [(max(n, 1), cpu) for n, cpu, *_ in rows]}
        PLOT.write_text(lines_svg(curves, "how many there are", "CPU µs a call", log_x=True))


if __name__ == "__main__":
    main()
