"""What the cache costs and saves: ``python -m bench.caching`` (part of ``make bench``).

CPU of a real gateway process per call, for answers from the exact cache, for misses that are kept, and for calls that
take no part, in rounds that take turns; then the look-up among 10,000 vectors of one partition, in the embedded store
and in qdrant-client's local mode beside it.
"""

from __future__ import annotations

import asyncio
import json
import platform
import random
import statistics
import tempfile
import time
from array import array
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np
import psutil
from qdrant_client import AsyncQdrantClient

from policies.caching.stores import VectorStore
from policies.stores.embedded_vectors import EmbeddedVectors
from policies.stores.qdrant import QdrantVectors
from tests.peers.scripted_llm import ScriptedLLM
from tests.support.gateway import RunningGateway

ROUNDS = 5
CALLS = 1_500
CONNECTIONS = 16
VECTORS, DIMENSIONS, LOOK_UPS = 10_000, 384, 200
KEY = "vk-bench-0123456789abcdef0123456789"
YAML = """
providers: [{{name: lab, type: openai, base_url: "{base}/v1", allowed_models: ["*"], prices: free}}]
customers: [{{name: c, budget_limit: 1000, budget_duration: 1M}}]
teams: [{{name: t, customer: c, budget_limit: 1000, budget_duration: 1M}}]
virtual_keys:
  - {{key_name: bench, key: {key}, team: t, allowed_models: ["*"], budget_limit: 1000, budget_duration: 1M,
      rate_limit: {{request_limit: 100000000, request_limit_duration: 1h}}}}
cache: {{enabled: true, participation: always}}
"""


def request(text: str, *headers: str) -> bytes:
    body = json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": text}]}).encode()
    lines = ["POST /v1/chat/completions HTTP/1.1", "host: localhost", f"x-bf-vk: {KEY}", *headers]
    lines += ["content-type: application/json", f"content-length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


async def ask(port: int, requests: list[bytes]) -> None:
    """All requests, over a few connections; every answer must be 200."""
    shares = [requests[n::CONNECTIONS] for n in range(CONNECTIONS)]
    await asyncio.gather(*(_ask_in_turn(port, share) for share in shares))


async def _ask_in_turn(port: int, requests: list[bytes]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for one in requests:
        writer.write(one)
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(head.decode("latin-1"))
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
    writer.close()


async def processor(gate: RunningGateway, work: Callable[[], Awaitable[None]]) -> float:
    """Microseconds of the gateway's CPU per call, what is written behind the answers included."""
    process = psutil.Process(gate.process.pid)
    before = sum(process.cpu_times()[:2])
    await work()
    for path in ("/api/ledger?limit=1", "/api/cache/entries?limit=1"):
        (await gate.admin("GET", path)).raise_for_status()
    return (sum(process.cpu_times()[:2]) - before) / CALLS * 1e6


async def gateway() -> dict[str, float]:
    found: dict[str, list[float]] = {"hit": [], "miss, kept": [], "no part": []}
    with tempfile.TemporaryDirectory() as name:
        async with ScriptedLLM() as llm:
            llm.text = "word " * 80
            async with RunningGateway(YAML.format(base=llm.base, key=KEY), Path(name)) as gate:
                port = int(gate.address.rpartition(":")[2])
                await ask(port, [request("warm")] * 300)
                for turn in range(ROUNDS):
                    plans = {
                        "hit": [request("warm")] * CALLS,
                        "miss, kept": [request(f"{turn} {n}") for n in range(CALLS)],
                        "no part": [request(f"{turn} {n}", "cache-control: no-store") for n in range(CALLS)],
                    }
                    for what, requests in plans.items():
                        found[what].append(await processor(gate, lambda r=requests: ask(port, r)))  # type: ignore[misc]
                    llm.seen.clear()
    return {what: statistics.median(times) for what, times in found.items()}


async def look_ups(store: VectorStore) -> tuple[float, float]:
    """p50 and p95 of a look-up, milliseconds."""
    dice = random.Random(1)  # noqa: S311 - vectors
    await store.start()
    vectors = [array("f", (dice.gauss(0, 1) for _ in range(DIMENSIONS))) for _ in range(VECTORS)]
    far = time.time_ns() + 10**15
    for number, vector in enumerate(vectors):
        await store.add(b"b" * 32, entry_id(number), vector, far)
    times = []
    for number in range(LOOK_UPS):
        begun = time.perf_counter()
        found = await store.nearest(b"b" * 32, vectors[number * 7], time.time_ns())
        times.append((time.perf_counter() - begun) * 1e3)
        if found is None or found.entry_id != entry_id(number * 7):
            raise RuntimeError("the nearest was not found")
    await store.close()
    return statistics.median(times), statistics.quantiles(times, n=20)[-1]


def entry_id(number: int) -> bytes:
    return number.to_bytes(8, "big").ljust(32, b".")


async def measure() -> None:
    print(f"Python {platform.python_version()}, numpy {np.__version__}, {platform.machine()}")
    found = await gateway()
    for what, micros in found.items():
        print(f"chat, {what}: {micros:.0f} µs of the gateway's CPU per call (median of {ROUNDS} rounds of {CALLS})")
    print(
        f"a hit costs {found['hit'] / found['miss, kept']:.0%} of a miss, {found['hit'] / found['no part']:.0%} of none"
    )
    with tempfile.TemporaryDirectory() as name:
        stores: dict[str, VectorStore] = {
            "embedded": EmbeddedVectors(Path(name) / "v.db", DIMENSIONS, VECTORS),
            "qdrant-client, local mode": QdrantVectors(None, None, DIMENSIONS, AsyncQdrantClient(location=":memory:")),
        }
        for what, store in stores.items():
            p50, p95 = await look_ups(store)
            print(f"{what}: {p50:.2f} ms p50, {p95:.2f} ms p95 among {VECTORS:,} vectors of {DIMENSIONS}")


if __name__ == "__main__":
    asyncio.run(measure())
