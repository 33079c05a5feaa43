"""What governance costs: ``python -m bench.governance`` (``make bench``).

The reserve-and-settle pair on four tiers (key, team, customer, provider) with a budget and a rate each, in
process and on a real Redis on loopback; beside them a bare round trip (PING) of the same Redis client, so that the
ratio says what the script adds. Medians of rounds that take turns.
"""

from __future__ import annotations

import asyncio
import platform
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import redis
import redis.asyncio as client

from policies.counters import Counters, Hold, Need
from policies.memory_counters import MemoryCounters
from policies.stores.redis_counters import RedisCounters
from policies.tiers import Budget, Rate, Tier, TierId, TierKind, Window
from tests.support.services import redis_server

ROUNDS = 7
NANO = 10**9
KINDS: tuple[TierKind, ...] = ("key", "team", "customer", "provider")
TIERS = tuple(
    Tier(
        TierId(kind, "bench"),
        (Budget(1_000_000 * NANO, Window(1, "M")),),
        (Rate("requests", 10**9, Window(1, "h")), Rate("tokens", 10**12, Window(1, "d"))),
    )
    for kind in KINDS
)
OWN, TARGET = TIERS[:3], TIERS[3:]


async def pairs(counters: Counters, count: int, mark: str) -> None:
    """Reserve and settle, one after the other."""
    for number in range(count):
        now = time.time_ns()
        held = await counters.reserve(OWN, TARGET, Need(f"{mark}{number}", 1_000, 100), now)
        if isinstance(held, Hold):
            await counters.settle(held, 900, 90)


async def timed(work: Callable[[], Awaitable[None]], count: int) -> float:
    """Microseconds for one."""
    begun = time.perf_counter()
    await work()
    return (time.perf_counter() - begun) / count * 1e6


async def measure(url: str) -> dict[str, list[float]]:
    memory, shared, plain = MemoryCounters(), RedisCounters(url), client.Redis.from_url(url)
    found: dict[str, list[float]] = {"in process": [], "on Redis": [], "Redis PING": []}

    async def pings() -> None:
        for _ in range(2_000):
            await plain.ping()

    for turn in range(ROUNDS):
        found["in process"].append(await timed(lambda: pairs(memory, 20_000, "m"), 20_000))
        found["on Redis"].append(await timed(lambda mark=turn: pairs(shared, 1_000, f"r{mark}-"), 1_000))  # type: ignore[misc]
        found["Redis PING"].append(await timed(pings, 2_000))
    await shared.close()
    await plain.aclose()
    return found


def main() -> None:
    with tempfile.TemporaryDirectory() as name, redis_server(Path(name), durable=False) as server:
        found = asyncio.run(measure(server.url))
    print(f"Python {platform.python_version()}, redis-py {redis.__version__}, {platform.machine()}")
    for what, times in found.items():
        unit = "" if what == "Redis PING" else "reserve + settle, four tiers, "
        print(f"{unit}{what}: {statistics.median(times):.1f} µs (median of {ROUNDS} rounds)")


if __name__ == "__main__":
    main()
