"""What a call costs: ``python -m bench.surfaces`` (part of ``make bench``).

The mock and the generator on core 0, one gateway process on core 1; every scenario directly at the mock and through
the gateway, in rounds that take turns; medians. CPU per call is user and system time of the gateway's process tree:
on a shared machine it is the number to trust, and the rate is not.

``--target URL --header 'name: value'`` sends the same scenarios to any other gateway; ``--pid`` tells whose CPU
to count.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from bench import waiting
from bench.gate import KEY, YAML, Gate, bare, gateway, mock, on_own_core, stdio_member
from bench.load import Scenario
from bench.measuring import Place, Rounds, measure
from bench.plots import latencies_svg
from bench.report import DOCUMENT, note, replace_section, table
from bench.scenarios import CREDENTIAL, SCENARIOS, WORDS
from bench.waiting import first_events

PLOT = DOCUMENT.with_name("performance-latency.svg")
PLOTTED = ("bare", "chat", "messages", "stream", "hit", "tools-call")
CACHE = "cache: {enabled: true, participation: header}"


@dataclass(frozen=True)
class Found:
    """What a run gave: rounds by scenario, the first events of paced streams if streams were wanted, and the plain
    gateway."""

    rounds: dict[str, Rounds]
    streams: Rounds | None
    idle: Gate


def configured(name: str, upstream: int) -> str:
    """The configuration of the gateway that a scenario names."""
    text = YAML.format(port=upstream, key=KEY, more=CACHE if name == "cache" else "")
    return text + stdio_member("program") if name == "stdio" else text


async def own(options: argparse.Namespace, scenarios: list[Scenario]) -> Found:
    """Direct against our own gateway."""
    found = {scenario.name: Rounds() for scenario in scenarios}
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        upstream = await stack.enter_async_context(mock())
        gates = {
            name: await stack.enter_async_context(
                bare(upstream) if name == "bare" else gateway(directory / name, configured(name, upstream))
            )
            for name in sorted({"plain", *(scenario.gate for scenario in scenarios)})
        }
        direct = Place(("127.0.0.1", upstream), ())
        places = {name: Place(("127.0.0.1", gate.port), CREDENTIAL, gate) for name, gate in gates.items()}
        idle = gates["plain"]
        print(f"start to ready {idle.ready_s:.2f} s, {idle.memory_mb():.0f} MB idle", flush=True)
        for _ in range(options.rounds):
            for scenario in scenarios:
                rounds = found[scenario.name]
                if scenario.direct is not None:
                    path = scenario.direct or scenario.path
                    rounds.direct.append((await measure(direct, scenario, path, options.seconds / 2))[0])
                measured, cpu = await measure(places[scenario.gate], scenario, scenario.path, options.seconds)
                rounds.through.append(measured)
                rounds.cpu_us.append(cpu)
        full = found["stream"].through if "stream" in found else []
        streams = await first_events(direct, places["plain"], full, options.seconds) if full else None
        print(f"{idle.memory_mb():.0f} MB after the load")
        return Found(found, streams, idle)


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
        direct = f"{statistics.median(m.per_second for m in rounds.direct):,.0f}" if rounds.direct else "–"
        medians = [
            statistics.median(values)
            for values in (
                [m.per_second for m in rounds.through],
                rounds.cpu_us,
                [m.quantile(0.5) / 1000 for m in rounds.through],
                [m.quantile(0.99) / 1000 for m in rounds.through],
            )
        ]
        bad = sum(m.bad for m in (*rounds.direct, *rounds.through))
        times = f"{medians[1] / least:.1f}" if least else ""
        cost = (direct, f"{medians[0]:,.0f}", f"{medians[1]:.0f}", times)
        numbers = (*cost, *(f"{m:.2f}" for m in medians[2:]))
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
    if options.target:
        print(table(HEAD, rows_of(on_own_core(other(options, wanted)))))
        return
    found = on_own_core(own(options, wanted))
    parts = [
        f"{note('bench.surfaces')}: medians of {options.rounds} rounds. Start to ready: {found.idle.ready_s:.2f} s."
    ]
    parts.append(table(HEAD, rows_of(found.rounds)))
    waits = waiting.rows_of(found.rounds, found.streams)
    if waits:
        parts.append(table(waiting.HEAD, waits))
    print("\n\n".join(parts))
    if options.write:
        replace_section(DOCUMENT, "surfaces", "\n\n".join([*parts, f"![latency]({PLOT.name})"]))
        curves = {name: r.through[-1].latencies for name, r in found.rounds.items() if name in PLOTTED}
        PLOT.write_text(latencies_svg(curves))


if __name__ == "__main__":
    main()
