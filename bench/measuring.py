"""One run of a scenario at one place, and what many of them gave."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from bench.gate import Gate
from bench.load import Measured, Scenario, run
from bench.scenarios import INITIALIZE, INITIALIZED

WARM_S = 0.3
Header = tuple[str, str]
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class Rounds:
    """All rounds of one scenario."""

    direct: list[Measured] = field(default_factory=list)
    through: list[Measured] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Place:
    """Where requests go."""

    address: tuple[str, int]
    headers: tuple[Header, ...]
    gate: Gate | None = None

    def request(self, scenario: Scenario, path: str, *more: Header) -> bytes:
        return scenario.request("{}:{}".format(*self.address), (*self.headers, *more), path)

    async def connect(self) -> Connection:
        return await asyncio.open_connection(*self.address)

    def cpu_s(self) -> float:
        return self.gate.cpu_s() if self.gate is not None else 0.0


async def exchange(connection: Connection, request: bytes) -> tuple[str, bytes]:
    """Head, in small letters, and body of the answer (of a stream: none). Raises ``RuntimeError`` for a status that is
    not 2xx."""
    reader, writer = connection
    writer.write(request)
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    _, _, length = head.partition("content-length:")
    body = await reader.readexactly(int(length.split("\r\n", 1)[0]) if length else 0)
    if head[9] != "2":
        raise RuntimeError(f"{head}{body.decode()}")
    return head, body


async def open_sessions(place: Place, path: str, count: int) -> list[Header]:
    """So many MCP clients of the initialize era shake hands; the headers by which their sessions are known."""
    connection = await place.connect()
    found: list[Header] = []
    for _ in range(count):
        head, _ = await exchange(connection, place.request(INITIALIZE, path))
        _, _, rest = head.partition("mcp-session-id:")
        found.append(("mcp-session-id", rest.split("\r\n", 1)[0].strip()))
        await exchange(connection, place.request(INITIALIZED, path, found[-1]))
    connection[1].close()
    return found


async def measure(place: Place, scenario: Scenario, path: str, seconds: float) -> tuple[Measured, float]:
    """One run after a short warm-up: what came, and CPU microseconds per call (0 if nobody's are counted)."""
    if scenario.session:
        sessions = await open_sessions(place, path, scenario.connections)
        requests = [place.request(scenario, path, session) for session in sessions]
    else:
        requests = [place.request(scenario, path)] * scenario.connections
    await run(place.address, requests, WARM_S)
    before = place.cpu_s()
    measured = await run(place.address, requests, seconds)
    return measured, (place.cpu_s() - before) / max(1, len(measured.latencies)) * 1e6
