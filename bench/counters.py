"""What shared counters cost a worker: ``python -m bench.counters`` (part of ``make bench``).

CPU per call of a gateway whose counters are on a Redis on loopback, and of one that keeps them itself, in rounds that
take turns. The CPU of Redis itself, which runs on the mock's core, is not counted.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

from bench.gate import KEY, YAML, gateway, mock, on_own_core, pin
from bench.load import Scenario
from bench.measuring import Place, Rounds, measure
from bench.report import note, table, tell
from bench.scenarios import ALONE, CHAT, CREDENTIAL, STREAM, TOOL, WORDS
from tests.support.services import redis_server

SCENARIOS = (CHAT, STREAM, TOOL, ALONE)
HEAD = ("CPU µs a call", "counters in process", "on Redis", "ratio", "p50 ms, in process", "on Redis", "not 200")

Both = dict[str, tuple[Rounds, Rounds]]
"""By scenario: in process, on Redis."""


async def both(scenarios: tuple[Scenario, ...], rounds: int, seconds: float) -> Both:
    found: Both = {scenario.name: (Rounds(), Rounds()) for scenario in scenarios}
    async with AsyncExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(redis_server(root / "redis", durable=False))
        if server.process is not None:
            pin(server.process.pid, 0)
        upstream = await stack.enter_async_context(mock())
        places: list[Place] = []
        for name, more in (("memory", ""), ("shared", f'stores: {{counters: "{server.url}"}}')):
            yaml = YAML.format(port=upstream, key=KEY, more=more)
            gate = await stack.enter_async_context(gateway(root / name, yaml))
            places.append(Place(("127.0.0.1", gate.port), CREDENTIAL, gate))
        for _ in range(rounds):
            for scenario in scenarios:
                for place, into in zip(places, found[scenario.name], strict=True):
                    measured, cpu = await measure(place, scenario, scenario.path, seconds)
                    into.through.append(measured)
                    into.cpu_us.append(cpu)
    return found


def rows_of(found: Both) -> list[tuple[str, ...]]:
    """A table's rows: medians over the rounds; the ratio is the median of every round's."""
    rows: list[tuple[str, ...]] = []
    for name, (own, shared) in found.items():
        ratio = statistics.median(b / a for a, b in zip(own.cpu_us, shared.cpu_us, strict=True))
        cpu = [f"{statistics.median(side.cpu_us):.0f}" for side in (own, shared)]
        waits = [statistics.median(m.quantile(0.5) / 1000 for m in side.through) for side in (own, shared)]
        bad = sum(m.bad for m in (*own.through, *shared.through))
        rows.append((WORDS[name], *cpu, f"{ratio:.2f}", *(f"{ms:.2f}" for ms in waits), str(bad)))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.counters")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.5, help="of one run")
    parser.add_argument("--write", action="store_true", help="into docs/performance.md")
    options = parser.parse_args()
    found = on_own_core(both(SCENARIOS, options.rounds, options.seconds))
    text = f"{note('bench.counters')}: medians of {options.rounds} rounds.\n\n{table(HEAD, rows_of(found))}"
    tell("counters", text, write=options.write)


if __name__ == "__main__":
    main()
