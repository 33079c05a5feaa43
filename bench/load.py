"""A closed-loop load generator: so many connections, each sends its next request when its answer is complete."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Scenario:
    """One thing to measure. ``path`` at the gateway, ``direct`` at the upstream itself (empty: the same)."""

    name: str
    path: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    connections: int = 32
    direct: str = ""
    gate: str = "plain"
    """Which of the gateways that the runner starts: a configuration by name."""

    def request(self, host: str, headers: tuple[tuple[str, str], ...], path: str) -> bytes:
        fields = (("host", host), ("content-type", "application/json"), *headers, *self.headers)
        lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields)]
        return "\r\n".join([*lines, f"content-length: {len(self.body)}", "", ""]).encode() + self.body


@dataclass
class Measured:
    """What one run of a scenario gave. Latencies in microseconds, ascending after the run."""

    seconds: float = 0.0
    bad: int = 0
    latencies: list[float] = field(default_factory=list)

    @property
    def per_second(self) -> float:
        return len(self.latencies) / self.seconds

    def quantile(self, share: float) -> float:
        return self.latencies[min(len(self.latencies) - 1, int(len(self.latencies) * share))]


class _Client(asyncio.Protocol):
    def __init__(self, request: bytes, until: float, into: Measured, ended: asyncio.Future[None]) -> None:
        self._request = request
        self._until = until
        self._into = into
        self._ended = ended
        self._data = bytearray()
        self._sent_at = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._send()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._ended.done():
            self._into.bad += 1
            self._ended.set_result(None)

    def data_received(self, data: bytes) -> None:
        self._data += data
        end = self._data.find(b"\r\n\r\n")
        if end < 0 or not self._complete(end):
            return
        now = time.perf_counter()
        self._into.latencies.append((now - self._sent_at) * 1e6)
        self._into.bad += self._data[9:12] != b"200"
        self._data.clear()
        if now < self._until:
            self._send()
        else:
            self._ended.set_result(None)
            self._transport.close()

    def _complete(self, end: int) -> bool:
        head = bytes(self._data[:end]).lower()
        at = head.find(b"content-length:")
        if at >= 0:
            return len(self._data) >= end + 4 + int(head[at + 15 :].split(b"\r\n", 1)[0])
        return self._data.endswith(b"0\r\n\r\n")

    def _send(self) -> None:
        self._sent_at = time.perf_counter()
        self._transport.write(self._request)


async def run(address: tuple[str, int], request: bytes, connections: int, seconds: float) -> Measured:
    """Send ``request`` again and again for ``seconds``, over ``connections`` at once."""
    loop = asyncio.get_running_loop()
    measured = Measured()
    begun = time.perf_counter()
    ends: list[asyncio.Future[None]] = []
    for _ in range(connections):
        ended: asyncio.Future[None] = loop.create_future()
        ends.append(ended)
        await loop.create_connection(
            lambda ended=ended: _Client(request, begun + seconds, measured, ended),  # type: ignore[misc]
            *address,
        )
    await asyncio.gather(*ends)
    measured.seconds = time.perf_counter() - begun
    measured.latencies.sort()
    return measured
