"""What was counted, in Prometheus's words: its own objects are made when somebody asks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate, chain

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.telemetry import BUCKETS, Labels, Series, Telemetry

CONTENT_TYPE = CONTENT_TYPE_LATEST
_BOUNDS = (*(str(float(bound)) for bound in BUCKETS), "+Inf")


class Metrics(Collector):
    """Renders one process's counts."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def render(self) -> bytes:
        """The text that a scrape takes."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """What was counted so far."""
        seen = self._telemetry.series()
        yield _counter(
            "tollkeeper_calls",
            "Attempts, refusals and cache hits.",
            ("kind", "provider", "outcome", "code"),
            (((of.kind, of.provider, of.outcome, of.code), one.rows) for of, one in seen),
        )
        charged = [(of, one) for of, one in seen if one.input_tokens or one.output_tokens]
        yield _counter(
            "tollkeeper_tokens",
            "Tokens by kind.",
            ("provider", "direction"),
            chain(
                (((of.provider, "input"), one.input_tokens) for of, one in charged),
                (((of.provider, "output"), one.output_tokens) for of, one in charged),
            ),
        )
        yield _counter(
            "tollkeeper_cost_nanodollars",
            "Cost in nano-dollars.",
            ("provider", "basis"),
            (((of.provider, of.basis), one.cost_nano) for of, one in seen if one.cost_nano),
        )
        yield _counter(
            "tollkeeper_cache",
            "What the cache said of calls that took part.",
            ("kind", "said"),
            (((of.kind, of.cache), one.rows) for of, one in seen if of.cache is not None),
        )
        yield _counter(
            "tollkeeper_cache_saved_nanodollars",
            "Cost that the cache saved.",
            ("kind",),
            (((of.kind,), one.saved_nano) for of, one in seen if one.saved_nano),
        )
        yield _durations(seen)


def _durations(seen: Sequence[tuple[Labels, Series]]) -> Metric:
    family = HistogramMetricFamily(
        "tollkeeper_call_duration_seconds", "From request read to row written.", labels=("kind",)
    )
    for kind in dict.fromkeys(of.kind for of, _ in seen):
        alike = [one for of, one in seen if of.kind == kind]
        below = accumulate(map(sum, zip(*(one.buckets for one in alike), strict=True)))
        family.add_metric((kind,), list(zip(_BOUNDS, below, strict=True)), sum(one.sum_us for one in alike) / 1e6)
    return family


def _counter(
    name: str, help_text: str, labels: tuple[str, ...], counts: Iterable[tuple[tuple[str | None, ...], int]]
) -> Metric:
    """Counts of equal labels are added up."""
    sums: defaultdict[tuple[str, ...], int] = defaultdict(int)
    for values, count in counts:
        sums[tuple(value or "" for value in values)] += count
    family = CounterMetricFamily(name, help_text, labels=labels)
    for found, total in sums.items():
        family.add_metric(found, total)
    return family
