"""What one call waits longer through the gateway than without it: a part of ``python -m bench.surfaces``.

One connection, one call after another; and the first event of streams that begin at a fifth of the rate that the
gateway can carry, whether earlier ones have ended or not.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence

from bench.load import Measured, paced, quantile
from bench.measuring import Place, Rounds
from bench.scenarios import STREAM, WORDS

SHARE = 0.2
HEAD = (
    "what one call waits, ms",
    *("direct p50", "gateway p50", "longer p50", "direct p99", "gateway p99", "longer p99"),
)
ALONE = ("bare-alone", "alone", "tools-alone")
FIRST = "first event of a stream of 50, {rate:,.0f} streams begin a second ({share:.0%} of the full rate)"


async def first_events(direct: Place, through: Place, full: Sequence[Measured], seconds: float) -> Rounds:
    """Streams at a fifth of the full rate, in as many rounds as that was measured."""
    rate = SHARE * statistics.median(m.per_second for m in full)
    found = Rounds()
    for _ in full:
        for place, into in ((direct, found.direct), (through, found.through)):
            into.append(await paced(place.address, place.request(STREAM, STREAM.path), rate, seconds))
    return found


def rows_of(found: Mapping[str, Rounds], streams: Rounds | None) -> list[tuple[str, ...]]:
    """A table's rows: medians over the rounds."""
    rows = [_row(WORDS[name], found[name], lambda m: m.latencies) for name in ALONE if name in found]
    if streams is not None:
        rate = statistics.median(m.per_second for m in streams.through)
        rows.append(_row(FIRST.format(rate=rate, share=SHARE), streams, lambda m: m.firsts))
    return rows


def _row(what: str, rounds: Rounds, times: Callable[[Measured], Sequence[float]]) -> tuple[str, ...]:
    cells = [what]
    for share in (0.5, 0.99):
        direct, through = ([quantile(times(m), share) / 1000 for m in side] for side in (rounds.direct, rounds.through))
        longer = statistics.median(b - a for a, b in zip(direct, through, strict=True))
        cells += [f"{ms:.2f}" for ms in (statistics.median(direct), statistics.median(through), longer)]
    return tuple(cells)
