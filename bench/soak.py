"""Whether memory stays flat: ``python -m bench.soak --minutes 30`` (part of ``make prove``).

Chat completions, streams and MCP tool calls together at half load: each gets a third of half the CPU of the gateway's
core, at the rate that a short run found. Resident memory is looked at every ten seconds. It is flat if its median over
the last third of the time is at most 3 % above that over the second; the first third fills pools and caches. The exit
status is 1 if it is not, or if a call failed.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.gate import KEY, YAML, gateway, mock, on_own_core
from bench.load import Scenario, paced
from bench.measuring import Place, measure
from bench.report import note, table, tell
from bench.scenarios import CHAT, CREDENTIAL, STREAM, TOOL

SCENARIOS = (CHAT, STREAM, TOOL)
LOAD = 0.5
SLICE_S = 10.0
MOST_GROWTH = 0.03
HEAD = ("third of the time", "MB, median", "least", "most")
THIRDS = ("first", "second", "last")


@dataclass
class Soaked:
    """Memory after every slice (MB), calls by scenario, and how many were not answered with 200."""

    memory_mb: list[float] = field(default_factory=list)
    calls: dict[str, int] = field(default_factory=dict)
    bad: int = 0

    def thirds(self) -> list[Sequence[float]]:
        """Equal parts; what does not divide is left out of the first."""
        size = max(1, len(self.memory_mb) // 3)
        return [self.memory_mb[-size * 3 : -size * 2], self.memory_mb[-size * 2 : -size], self.memory_mb[-size:]]

    @property
    def growth(self) -> float:
        """Of the median from the second third to the last, as a share."""
        _, second, last = self.thirds()
        return statistics.median(last) / statistics.median(second) - 1

    @property
    def good(self) -> bool:
        return self.growth <= MOST_GROWTH and self.bad == 0


async def rates(place: Place, seconds: float) -> dict[str, float]:
    """Calls a second of each scenario at half load."""
    found: dict[str, float] = {}
    for scenario in SCENARIOS:
        _, cpu_us = await measure(place, scenario, scenario.path, seconds)
        found[scenario.name] = LOAD / len(SCENARIOS) / cpu_us * 1e6
    return found


async def soak(slices: int, slice_s: float, calibration_s: float = 2.0) -> Soaked:
    """So many slices of load, one after the other; it ends by itself."""
    soaked = Soaked(calls={scenario.name: 0 for scenario in SCENARIOS})
    with tempfile.TemporaryDirectory() as name:
        async with mock() as upstream, gateway(Path(name), YAML.format(port=upstream, key=KEY, more="")) as gate:
            place = Place(("127.0.0.1", gate.port), CREDENTIAL, gate)
            pace = await rates(place, calibration_s)

            async def one(scenario: Scenario) -> None:
                request = place.request(scenario, scenario.path)
                measured = await paced(place.address, request, pace[scenario.name], slice_s)
                soaked.calls[scenario.name] += len(measured.latencies)
                soaked.bad += measured.bad

            for number in range(slices):
                await asyncio.gather(*(one(scenario) for scenario in SCENARIOS))
                soaked.memory_mb.append(gate.memory_mb())
                print(f"{(number + 1) * slice_s:.0f} s: {soaked.memory_mb[-1]:.1f} MB", file=sys.stderr, flush=True)
    return soaked


def told(soaked: Soaked) -> str:
    lines = [
        (name, *(f"{mb:.1f}" for mb in (statistics.median(third), min(third), max(third))))
        for name, third in zip(THIRDS, soaked.thirds(), strict=True)
    ]
    calls = ", ".join(f"{count:,} {name}" for name, count in soaked.calls.items())
    verdict = "flat" if soaked.growth <= MOST_GROWTH else "NOT flat"
    return (
        f"{table(HEAD, lines)}\n\n{calls}; {soaked.bad} not answered with 200. From the second third to the last the "
        f"median grew by {soaked.growth:.1%}: {verdict} (bound: {MOST_GROWTH:.0%})."
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.soak")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--write", action="store_true", help="into docs/performance.md")
    options = parser.parse_args()
    soaked = on_own_core(soak(max(3, round(options.minutes * 60 / SLICE_S)), SLICE_S))
    text = f"{note('bench.soak')}.\n\n{told(soaked)}"
    tell("soak", text, write=options.write)
    sys.exit(not soaked.good)


if __name__ == "__main__":
    main()
