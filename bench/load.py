"""Load generators. Closed: so many connections, each sends its next request when its answer is complete. Paced:
requests leave at a rate, whether earlier ones are answered or not."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Scenario:
    """One thing to measure. ``path`` at the gateway, ``direct`` at the upstream itself (empty: the same;
    none: it cannot be asked over HTTP)."""

    name: str
    path: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()
    connections: int = 32
    direct: str | None = ""
    gate: str = "plain"
    """Which of the gateways that the runner starts: a configuration by name."""
    session: bool = False
    """Every connection is an MCP client of the initialize era, with a session of its own."""

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
    firsts: list[float] = field(default_factory=list)
    """The same until the first byte of an answer's body."""

    @property
    def per_second(self) -> float:
        return len(self.latencies) / self.seconds

    def quantile(self, share: float) -> float:
        return quantile(self.latencies, share)

    def ended(self, seconds: float) -> Measured:
        self.seconds = seconds
        self.latencies.sort()
        self.firsts.sort()
        return self


def quantile(ascending: Sequence[float], share: float) -> float:
    return ascending[min(len(ascending) - 1, int(len(ascending) * share))]


class _Client(asyncio.Protocol):
    """One connection, one exchange at a time. ``then`` is called after each, and when the connection is lost."""

    def __init__(self, request: bytes, into: Measured, then: Callable[[_Client], None]) -> None:
        self._request = request
        self._into = into
        self._then = then
        self._data = bytearray()
        self._sent_at = self._first_at = 0.0
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.lost:
            self.lost = True
            self._into.bad += 1
            self._then(self)

    def data_received(self, data: bytes) -> None:
        self._data += data
        end = self._data.find(b"\r\n\r\n")
        if end < 0:
            return
        now = time.perf_counter()
        if not self._first_at and len(self._data) > end + 4:
            self._first_at = now
        if not self._complete(end):
            return
        self._into.latencies.append((now - self._sent_at) * 1e6)
        self._into.firsts.append(((self._first_at or now) - self._sent_at) * 1e6)
        self._into.bad += self._data[9:12] != b"200"
        self._data.clear()
        self._then(self)

    def _complete(self, end: int) -> bool:
        head = bytes(self._data[:end]).lower()
        at = head.find(b"content-length:")
        if at >= 0:
            return len(self._data) >= end + 4 + int(head[at + 15 :].split(b"\r\n", 1)[0])
        return self._data.endswith(b"0\r\n\r\n")

    def send(self) -> None:
        self._first_at = 0.0
        self._sent_at = time.perf_counter()
        self._transport.write(self._request)

    def close(self) -> None:
        self.lost = True
        self._transport.close()


async def _connected(
    address: tuple[str, int], request: bytes, into: Measured, then: Callable[[_Client], None]
) -> _Client:
    loop = asyncio.get_running_loop()
    _, client = await loop.create_connection(lambda: _Client(request, into, then), *address)
    return client


async def run(address: tuple[str, int], requests: Sequence[bytes], seconds: float) -> Measured:
    """Send again and again for ``seconds``: every request over a connection of its own, all at once."""
    measured = Measured()
    begun = time.perf_counter()
    until = begun + seconds
    left = len(requests)
    all_ended = asyncio.Event()

    def then(client: _Client) -> None:
        nonlocal left
        if not client.lost and time.perf_counter() < until:
            client.send()
            return
        client.close()
        left -= 1
        if left == 0:
            all_ended.set()

    for request in requests:
        (await _connected(address, request, measured, then)).send()
    await all_ended.wait()
    return measured.ended(time.perf_counter() - begun)


async def paced(address: tuple[str, int], request: bytes, per_second: float, seconds: float) -> Measured:
    """Send ``request`` at a rate for ``seconds``, each over an idle connection or a new one."""
    measured = Measured()
    idle: list[_Client] = []
    under_way = 0
    moved = asyncio.Event()

    def then(client: _Client) -> None:
        nonlocal under_way
        if client in idle:  # lost while nothing was asked
            idle.remove(client)
            return
        under_way -= 1
        if not client.lost:
            idle.append(client)
        moved.set()

    begun = time.perf_counter()
    for number in range(max(1, int(per_second * seconds))):
        await asyncio.sleep(begun + number / per_second - time.perf_counter())
        client = idle.pop() if idle else await _connected(address, request, measured, then)
        under_way += 1
        client.send()
    while under_way:
        moved.clear()
        await moved.wait()
    for client in idle:
        client.close()
    return measured.ended(time.perf_counter() - begun)
