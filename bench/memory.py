"""What is held costs: ``python -m bench.memory`` (part of ``make bench``).

Resident memory of a gateway process when it is idle, and how much it grows by every MCP session of the initialize era
that does nothing, with and without its stream of notices, and by every model stream that is open. Each kind has a
gateway of its own, because memory that one kind gave back would hide the next. A tenth of the number goes before the
first look: what is made once is not counted.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from bench.gate import KEY, YAML, Gate, gateway, mock, on_own_core
from bench.measuring import Connection, Place, exchange, open_sessions
from bench.report import note, table, tell
from bench.scenarios import CREDENTIAL, HELD, TOOL_LEGACY

ROOM = "limits: {max_client_sessions: 1000000}"
LOOKS, BETWEEN_S = 10, 0.1
HEAD = ("what is open", "how many", "MB before", "MB after", "kB each")

Hold = Callable[[Place, int], Awaitable[list[Connection]]]
"""Opens so many; what must stay referenced meanwhile."""


async def sessions(place: Place, count: int) -> list[Connection]:
    await open_sessions(place, TOOL_LEGACY.path, count)
    return []


async def listening_sessions(place: Place, count: int) -> list[Connection]:
    """Each with a GET that stays open."""
    held: list[Connection] = []
    for session in await open_sessions(place, TOOL_LEGACY.path, count):
        fields = (("host", "{}:{}".format(*place.address)), ("accept", "text/event-stream"), *place.headers, session)
        lines = [f"GET {TOOL_LEGACY.path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields), "", ""]
        held.append(await place.connect())
        await exchange(held[-1], "\r\n".join(lines).encode())
    return held


async def streams(place: Place, count: int) -> list[Connection]:
    """Of a model that says something every two seconds."""
    held: list[Connection] = []
    for _ in range(count):
        held.append(await place.connect())
        await exchange(held[-1], place.request(HELD, HELD.path))
        await held[-1][0].readuntil(b"data: ")
    return held


KINDS: dict[str, tuple[Hold, int]] = {
    "an MCP session of the initialize era": (sessions, 5_000),
    "the same with an open GET stream": (listening_sessions, 1_000),
    "a model's stream, client's and provider's connection included": (streams, 500),
}


@dataclass(frozen=True)
class Grown:
    """Resident memory before and after ``count`` more were opened."""

    count: int
    before_mb: float
    after_mb: float

    @property
    def kb_each(self) -> float:
        return (self.after_mb - self.before_mb) * 1024 / self.count


async def settled_mb(gate: Gate) -> float:
    """The median of a second: what was done last may still be written behind."""
    looks = []
    for _ in range(LOOKS):
        await asyncio.sleep(BETWEEN_S)
        looks.append(gate.memory_mb())
    return statistics.median(looks)


async def grown(upstream: int, hold: Hold, count: int) -> tuple[float, Grown]:
    """Idle megabytes of a new gateway, and how it grew."""
    with tempfile.TemporaryDirectory() as name:
        async with gateway(Path(name), YAML.format(port=upstream, key=KEY, more=ROOM)) as gate:
            place = Place(("127.0.0.1", gate.port), CREDENTIAL, gate)
            idle = await settled_mb(gate)
            held = await hold(place, max(1, count // 10))
            before = await settled_mb(gate)
            held += await hold(place, count)
            after = await settled_mb(gate)
            for _, writer in held:
                writer.close()
            return idle, Grown(count, before, after)


async def everything(share: float) -> tuple[float, dict[str, Grown]]:
    """Idle megabytes, and the growth of every kind; ``share`` of the usual counts."""
    idle: list[float] = []
    found: dict[str, Grown] = {}
    async with mock() as upstream:
        for what, (hold, count) in KINDS.items():
            start, found[what] = await grown(upstream, hold, max(1, int(count * share)))
            idle.append(start)
    return statistics.median(idle), found


def rows_of(found: dict[str, Grown]) -> list[tuple[str, ...]]:
    return [
        (what, f"{g.count:,}", f"{g.before_mb:.1f}", f"{g.after_mb:.1f}", f"{g.kb_each:.1f}")
        for what, g in found.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.memory")
    parser.add_argument("--share", type=float, default=1.0, help="of the usual counts")
    parser.add_argument("--write", action="store_true", help="into docs/performance.md")
    options = parser.parse_args()
    idle, found = on_own_core(everything(options.share))
    text = f"{note('bench.memory')}. Idle: {idle:.0f} MB resident.\n\n{table(HEAD, rows_of(found))}"
    tell("memory", text, write=options.write)


if __name__ == "__main__":
    main()
