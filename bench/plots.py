"""Plots as hand-written SVG: no library for two pictures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 720, 360, 70, 50, 20, 150
COLOURS = ("#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e", "#17becf")
SHARES = (*(n / 200 for n in range(200)), 0.996, 0.997, 0.998, 0.999)

Points = Sequence[tuple[float, float]]


def latencies_svg(found: Mapping[str, Sequence[float]]) -> str:
    """Distribution of latencies (µs, ascending) by name: milliseconds over the share of calls that were faster."""
    lines = {
        name: [(share * 100, values[int(len(values) * share)] / 1000) for share in SHARES]
        for name, values in found.items()
        if values
    }
    return lines_svg(lines, "share of calls, %", "ms", log_x=False)


def lines_svg(
    lines: Mapping[str, Points], x_name: str, y_name: str, *, log_x: bool, y_room: Sequence[float] = ()
) -> str:
    """Lines over a linear or logarithmic x and a logarithmic y, which has room for ``y_room`` too. Names stand at the
    right, in the order in which the lines end."""
    points = [point for line in lines.values() for point in line]
    ys = [*y_room, *(y for _, y in points)]
    x_at = _scale([x for x, _ in points], LEFT, WIDTH - RIGHT, log=log_x)
    y_at = _scale(ys, HEIGHT - BOTTOM, TOP, log=True)
    font = 'font-family="sans-serif" font-size="12"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" {font}>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<path d="M{LEFT} {TOP}V{HEIGHT - BOTTOM}H{WIDTH - RIGHT}" fill="none" stroke="#444"/>',
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 10}" text-anchor="middle">{escape(x_name)}</text>',
        f'<text x="12" y="{TOP + 10}">{escape(y_name)}</text>',
    ]
    for value in _ticks(ys):
        y = y_at(value)
        parts.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>')
    parts += [
        f'<text x="{x_at(value):.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{value:,g}</text>'
        for value in (_powers([x for x, _ in points]) if log_x else (0, 25, 50, 75, 100))
    ]
    places = _apart([y_at(line[-1][1]) + 4 for line in lines.values()])
    for (name, line), colour, y in zip(lines.items(), COLOURS, places, strict=False):
        path = " ".join(f"{x_at(x):.1f},{y_at(y):.1f}" for x, y in line)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        parts.append(f'<text x="{WIDTH - RIGHT + 6}" y="{y:.1f}" fill="{colour}">{escape(name)}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


class _scale:  # noqa: N801 - used as a function
    def __init__(self, values: Sequence[float], low: float, high: float, *, log: bool) -> None:
        self._log = log
        least, most = self._of(min(values)), self._of(max(values))
        self._least, self._span = least, (most - least) or 1.0
        self._low, self._high = low, high

    def __call__(self, value: float) -> float:
        share = (self._of(value) - self._least) / self._span
        return self._low + share * (self._high - self._low)

    def _of(self, value: float) -> float:
        return math.log10(max(value, 1e-6)) if self._log else value


def _apart(ys: Sequence[float]) -> list[float]:
    """The same heights, moved up where two lines of text would overlap."""
    moved = list(ys)
    lowest = float(HEIGHT)
    for place in sorted(range(len(ys)), key=lambda n: -ys[n]):
        lowest = moved[place] = min(ys[place], lowest - 14)
    return moved


def _powers(values: Sequence[float]) -> list[float]:
    """The powers of ten within."""
    return [10.0**n for n in range(math.ceil(math.log10(min(values))), math.floor(math.log10(max(values))) + 1)]


def _ticks(values: Sequence[float]) -> list[float]:
    """1, 2 and 5 of every power of ten within."""
    least, most = min(values), max(values)
    powers = range(math.floor(math.log10(max(least, 1e-6))), math.ceil(math.log10(max(most, 1e-6))) + 1)
    return [step * 10.0**power for power in powers for step in (1, 2, 5) if least <= step * 10.0**power <= most]
