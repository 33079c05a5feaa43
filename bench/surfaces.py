"""What a call costs: ``python -m bench.surfaces`` (part of ``make bench``).

The mock and the generator on core 0, one gateway process on core 1; every scenario directly at the mock and through
the gateway, in rounds that take turns; medians. CPU per call is user and system time of the gateway's process tree:
on a shared machine it is the number to trust, and the rate is not.

``--target URL --header 'name: value'`` sends the same scenarios to any other gateway; ``--pid`` tells whose CPU
to count.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import uvloop

from bench.gate import KEY, ROOT, YAML, Gate, bare, gateway, mock, pin
from bench.load import Measured, Scenario, run
from bench.plots import latencies_svg
from bench.report import machine, replace_section, table
from bench.scenarios import CREDENTIAL, SCENARIOS, WORDS

DOCUMENT = ROOT / "docs" / "performance.md"
PLOT = ROOT / "docs" / "performance-latency.svg"
CACHE = "cache: {enabled: true, participation: header}"
WARM_S = 0.3


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
    headers: tuple[tuple[str, str], ...]
    gate: Gate | None = None


async def measure(place: Place, scenario: Scenario, path: str, seconds: float) -> tuple[Measured, float]:
    """One run after a short warm-up: what came, and CPU microseconds per call (0 if nobody's are counted)."""
    request = scenario.request("{}:{}".format(*place.address), place.headers, path)
    await run(place.address, request, scenario.connections, WARM_S)
    before = place.gate.cpu_s() if place.gate is not None else 0.0
    measured = await run(place.address, request, scenario.connections, seconds)
    after = place.gate.cpu_s() if place.gate is not None else 0.0
    return measured, (after - before) / max(1, len(measured.latencies)) * 1e6


async def own(options: argparse.Namespace, scenarios: list[Scenario]) -> tuple[dict[str, Rounds], Gate]:
    """Direct against our own gateway."""
    found = {scenario.name: Rounds() for scenario in scenarios}
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        upstream = await stack.enter_async_context(mock())
        gates = {
            name: await stack.enter_async_context(
                gateway(directory / name, YAML.format(port=upstream, key=KEY, more=more))
            )
            for name, more in (("plain", ""), ("cache", CACHE))
        }
        gates["bare"] = await stack.enter_async_context(bare(upstream))
        idle = gates["plain"]
        print(f"start to ready {idle.ready_s:.2f} s, {idle.memory_mb():.0f} MB idle", flush=True)
        for _ in range(options.rounds):
            for scenario in scenarios:
                rounds, gate = found[scenario.name], gates[scenario.gate]
                direct = Place(("127.0.0.1", upstream), ())
                through = Place(("127.0.0.1", gate.port), CREDENTIAL, gate)
                path = scenario.direct or scenario.path
                rounds.direct.append((await measure(direct, scenario, path, options.seconds / 2))[0])
                measured, cpu = await measure(through, scenario, scenario.path, options.seconds)
                rounds.through.append(measured)
                rounds.cpu_us.append(cpu)
        print(f"{gates['plain'].memory_mb():.0f} MB after the load")
        return found, idle


async def other(options: argparse.Namespace, scenarios: list[Scenario]) -> dict[str, Rounds]:
    """Any gateway that already runs."""
    target = urlsplit(options.target)
    headers = tuple((name.strip(), value.strip()) for name, _, value in (h.partition(":") for h in options.header))
    gate = Gate(target.port or 80, options.pid, 0.0) if options.pid else None
    place = Place((target.hostname or "127.0.0.1", target.port or 80), headers, gate)
    found = {scenario.name: Rounds() for scenario in scenarios}
    for _ in range(options.rounds):
        for scenario in scenarios:
            measured, cpu = await measure(place, scenario, target.path.rstrip("/") + scenario.path, options.seconds)
            found[scenario.name].through.append(measured)
            found[scenario.name].cpu_us.append(cpu)
    return found


def rows_of(found: dict[str, Rounds]) -> list[tuple[str, ...]]:
    """A table's rows: medians over the rounds."""
    rows: list[tuple[str, ...]] = []
    least = statistics.median(found["bare"].cpu_us) if "bare" in found else 0.0
    for name, rounds in found.items():
        medians = [
            statistics.median(values)
            for values in (
                [m.per_second for m in rounds.direct] or [0.0],
                [m.per_second for m in rounds.through],
                rounds.cpu_us,
                [m.quantile(0.5) / 1000 for m in rounds.through],
                [m.quantile(0.99) / 1000 for m in rounds.through],
            )
        ]
        bad = sum(m.bad for m in (*rounds.direct, *rounds.through))
        times = f"{medians[2] / least:.1f}" if least else ""
        cost = (f"{medians[0]:,.0f}", f"{medians[1]:,.0f}", f"{medians[2]:.0f}", times)
        numbers = (*cost, *(f"{m:.2f}" for m in medians[3:]))
        rows.append((WORDS.get(name, name), *numbers, str(bad)))
    return rows


HEAD = ("what", "direct, calls/s", "gateway, calls/s", "CPU µs a call", "× bare", "p50 ms", "p99 ms", "not 200")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.surfaces")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2.0, help="of one run")
    parser.add_argument("--only", default="", help="names of scenarios, with commas")
    parser.add_argument("--target", help="another gateway's address, instead of a gateway of our own")
    parser.add_argument("--header", action="append", default=[], help="sent to it, 'name: value'")
    parser.add_argument("--pid", type=int, default=0, help="its process, to count its CPU")
    parser.add_argument("--write", action="store_true", help="into docs/performance.md")
    options = parser.parse_args()
    wanted = [s for s in SCENARIOS if not options.only or s.name in options.only.split(",")]
    pin(0, 0)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        if options.target:
            print(table(HEAD, rows_of(runner.run(other(options, wanted)))))
            return
        found, gate = runner.run(own(options, wanted))
    text = table(HEAD, rows_of(found))
    print(text)
    if options.write:
        command = " ".join(["python -m bench.surfaces", *sys.argv[1:]])
        note = f"`{command}` on {machine()}: medians of {options.rounds} rounds. Start to ready: {gate.ready_s:.2f} s."
        replace_section(DOCUMENT, "surfaces", f"{note}\n\n{text}\n\n![latency]({PLOT.name})")
        PLOT.write_text(latencies_svg({name: rounds.through[-1].latencies for name, rounds in found.items()}))


if __name__ == "__main__":
    main()
